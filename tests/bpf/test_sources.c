/* SPDX-License-Identifier: GPL-2.0-only */
/* Every SYN of a flood marks its source in the listener's sketch, and what that costs. Needs root. */
#include "harness.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/param.h>
#include <sys/socket.h>

#include "listen/estimate.h"
#include "parse.h"
#include "sketch.h"

#define PORT 443
#define FRAME_BYTES 74

static struct harness *harness;
static int listening = -1;

struct frame {
	uint8_t bytes[FRAME_BYTES];
	size_t size;
};

/* A SYN to [::]:PORT: from an IPv4 address, or from an IPv6 /64. */
static struct frame syn(uint32_t source, bool ipv6)
{
	struct frame frame = { .size = ipv6 ? 14 + 40 + 20 : 14 + 20 + 20 };
	uint8_t *ip = frame.bytes + 14, *tcp = ip + (ipv6 ? 40 : 20);
	uint32_t address = htonl(source);

	memcpy(frame.bytes + 12, ipv6 ? "\x86\xdd" : "\x08\x00", 2);
	if (ipv6) {
		ip[0] = 0x60;
		ip[5] = 20;
		ip[6] = IPPROTO_TCP;
		ip[7] = 64;
		ip[8] = 0xfd;
		memcpy(ip + 12, &address, 4);
		ip[23] = (uint8_t)source; /* of one /64 all hosts are one */
		ip[24] = 0xfd;
		ip[39] = 1;
	} else {
		ip[0] = 0x45;
		ip[3] = 40;
		ip[8] = 64;
		ip[9] = IPPROTO_TCP;
		memcpy(ip + 12, &address, 4);
		memcpy(ip + 16, "\x0a\0\0\2", 4);
	}
	tcp[0] = 0x9c;
	tcp[2] = PORT >> 8;
	tcp[3] = PORT & 0xff;
	tcp[12] = 0x50;
	tcp[13] = TCPF_SYN;
	tcp[14] = 4;
	return frame;
}

static uint32_t run(const struct frame *frame, uint32_t repeat)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame->bytes,
		    .data_size_in = (__u32)frame->size, .repeat = (int)repeat);

	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(harness->skel->progs.xdp_ingress),
						&options),
			 0);
	return options.duration;
}

static uint64_t cookie_of(int fd)
{
	uint64_t cookie;
	socklen_t size = sizeof(cookie);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size), 0);
	return cookie;
}

static uint64_t estimate(void)
{
	uint64_t cookie = cookie_of(listening);
	struct source_sketch sketch;
	struct sketch_union sum = { 0 };

	assert_int_equal(
		bpf_map_lookup_elem(bpf_map__fd(harness->skel->maps.sources), &cookie, &sketch), 0);
	sketch_add(&sum, &sketch, MAX(sketch.windows[0].number, sketch.windows[1].number));
	return sketch_estimate(&sum);
}

static void forget(void)
{
	uint64_t cookie = cookie_of(listening);

	bpf_map_delete_elem(bpf_map__fd(harness->skel->maps.sources), &cookie);
	harness_count(harness);
}

static void flood(uint32_t sources, bool ipv6)
{
	for (uint32_t i = 0; i < sources; i++) {
		struct frame frame = syn(0x0b000000 + i, ipv6);

		run(&frame, 1);
		if (i % 100 == 99)
			harness_count(harness);
	}
}

static void every_source_is_marked(void **state)
{
	(void)state;
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		forget();
		flood(5, ipv6);
		assert_int_equal(estimate(), 5);
		flood(5, ipv6); /* again */
		assert_int_equal(estimate(), 5);
		flood(20000, ipv6);
		print_message("  20000 sources: %llu\n", (unsigned long long)estimate());
		/* four standard errors */
		assert_in_range(estimate(), 17400, 22600);
	}
}

/* Reported, not judged: the machine is shared. */
static void costs(void **state)
{
	struct frame frame = syn(0x0b000000, false), elsewhere = frame;
	uint32_t least = UINT32_MAX, least_elsewhere = UINT32_MAX;

	(void)state;
	elsewhere.bytes[14 + 20 + 3] = (PORT & 0xff) + 1; /* nobody listens: no counts, no sketch */
	for (int i = 0; i < 10; i++) {
		uint32_t ns = run(&frame, 20000);

		harness_count(harness);
		least = ns < least ? ns : least;
		ns = run(&elsewhere, 20000);
		harness_count(harness);
		least_elsewhere = ns < least_elsewhere ? ns : least_elsewhere;
	}
	print_message("  a SYN to a listener %u ns, to a closed port %u ns\n", least,
		      least_elsewhere);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_source_is_marked),
		cmocka_unit_test(costs),
	};
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(PORT) };
	int failed;

	if (geteuid() || unshare(CLONE_NEWNET))
		return harness_skip();
	harness = harness_open();
	listening = socket(AF_INET6, SOCK_STREAM, 0);
	if (bind(listening, (const struct sockaddr *)&any, sizeof(any)) || listen(listening, 8))
		return 1;
	cookie_of(listening); /* makes one */
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	close(listening);
	harness_close(harness);
	return failed;
}
