/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How fast the reference is by itself: whole lives of connections, nine segments each, through
 * classification, table and variables. As many connections at once as stay in the L2 cache.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tcp/endpoint.h"
#include "tcp_defs.h"

#define SEGMENTS 10000000u
#define CONNECTIONS 1024u

static const struct {
	bool sent;
	struct tcp_segment seg;
} life[] = {
	{ false, { .seq = 0, .flags = TCPF_SYN, .window = 1000 } },
	{ true, { .seq = 0, .ack = 1, .flags = TCPF_SYN | TCPF_ACK, .window = 1000 } },
	{ false, { .seq = 1, .ack = 1, .flags = TCPF_ACK, .window = 1000 } },
	{ false, { .seq = 1, .len = 99, .ack = 1, .flags = TCPF_ACK | TCPF_PSH, .window = 1000 } },
	{ true, { .seq = 1, .len = 499, .ack = 100, .flags = TCPF_ACK, .window = 1000 } },
	{ false, { .seq = 100, .ack = 500, .flags = TCPF_ACK | TCPF_FIN, .window = 1000 } },
	{ true, { .seq = 500, .ack = 101, .flags = TCPF_ACK, .window = 1000 } },
	{ true, { .seq = 500, .ack = 101, .flags = TCPF_ACK | TCPF_FIN, .window = 1000 } },
	{ false, { .seq = 101, .ack = 501, .flags = TCPF_ACK, .window = 1000 } },
};

#define LIFE_SEGMENTS (sizeof(life) / sizeof(*life))

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(void)
{
	static struct tcp_endpoint ends[CONNECTIONS];
	struct endpoint_steps steps;
	unsigned int done = 0, closed = 0, lives = 0, i;
	double start = now_s(), seconds;
	size_t k;

	while (done < SEGMENTS) {
		for (i = 0; i < CONNECTIONS; i++)
			endpoint_init(&ends[i], FSM_LISTEN, false);
		for (k = 0; k < LIFE_SEGMENTS; k++) {
			for (i = 0; i < CONNECTIONS; i++) {
				steps.count = 0;
				if (life[k].sent)
					endpoint_send(&ends[i], &life[k].seg, &steps);
				else
					endpoint_receive(&ends[i], &life[k].seg, &steps);
			}
		}
		for (i = 0; i < CONNECTIONS; i++)
			closed += ends[i].state == FSM_CLOSED;
		lives += CONNECTIONS;
		done += CONNECTIONS * LIFE_SEGMENTS;
	}
	seconds = now_s() - start;
	if (closed != lives) {
		fprintf(stderr, "%u of %u connections were closed\n", closed, lives);
		return 1;
	}
	printf("{\"bench\":\"reference\",\"segments\":%u,\"seconds\":%.3f,"
	       "\"ns_per_segment\":%.1f}\n",
	       done, seconds, seconds * 1e9 / done);
	return 0;
}
