/* SPDX-License-Identifier: GPL-2.0-only */
/* Plays a capture to the tracker, and what came of it. */
#ifndef CAPTURE_PLAY_H
#define CAPTURE_PLAY_H

#include "capture_file.h"

#include "capture/pcap.h"
#include "track/tracker.h"

#define S TCPF_SYN
#define A TCPF_ACK
#define F TCPF_FIN
#define R TCPF_RST

#define REPORTS_MAX 256

struct outcome {
	size_t count;
	struct connection_report reports[REPORTS_MAX];
	struct tracker_stats stats;
};

static inline void take_event(void *context, const struct track_event *event)
{
	struct outcome *outcome = context;

	assert_int_equal(event->type, TRACK_CONNECTION);
	assert_int_equal(event->ts_ns, event->connection->closed_ns);
	assert_true(outcome->count < REPORTS_MAX);
	outcome->reports[outcome->count++] = *event->connection;
}

static inline bool is_server_local(void *context, const uint8_t address[16])
{
	(void)context;
	return address[15] == 2;
}

static inline bool is_nothing_local(void *context, const uint8_t address[16])
{
	(void)context;
	(void)address;
	return false;
}

struct how {
	bool server_is_local;
	uint32_t flows_max;
};

static inline void play(struct capture_file *file, struct how how, struct outcome *ret)
{
	const struct tracker_settings settings = {
		.flows_max = how.flows_max ? how.flows_max : 1024,
		.time_wait_ns = 60 * NS_PER_SEC,
		.wire_only = true,
	};
	const struct tracker_ops ops = {
		.context = ret,
		.event = take_event,
		.is_local = how.server_is_local ? is_server_local : is_nothing_local,
	};
	struct tracker *tracker = tracker_new(&settings, &ops);
	FILE *input = fopen(file->path, "r");
	struct observation seen;
	struct pcapfile *pcap;
	uint64_t now_ns = 0;
	int more;

	memset(ret, 0, sizeof(*ret));
	assert_non_null(tracker);
	assert_non_null(input);
	assert_int_equal(pcapfile_open(input, file->path, false, &pcap), 0);
	while ((more = pcapfile_next(pcap, &seen)) == 1) {
		now_ns = seen.ts_ns;
		tracker_advance(tracker, now_ns);
		tracker_observe(tracker, &seen);
		assert_true(tracker_stats(tracker)->entries <= settings.flows_max);
	}
	assert_int_equal(more, 0);
	tracker_finish_all(tracker, now_ns);
	ret->stats = *tracker_stats(tracker);
	assert_int_equal(ret->stats.entries, 0);
	assert_int_equal(ret->stats.looks, 0);
	assert_int_equal(ret->stats.comparisons, 0);
	assert_int_equal(ret->stats.anomalies[AN_IMPOSSIBLE], 0);
	for (int state = 0; state < FSM_NR_STATES; state++)
		assert_int_equal(ret->stats.connections[VIEW_WIRE][state], 0);
	tracker_free(tracker);
	pcapfile_free(pcap);
}

static inline struct capture_file *begin(struct capture_file *file)
{
	capture_open(file, (struct wrapping){ .link = DLT_RAW }, 65535);
	return file;
}

static inline void finish(struct capture_file *file, struct outcome *ret)
{
	capture_close(file);
	play(file, (struct how){ 0 }, ret);
	capture_remove(file);
}

/* "SYN_SENT ESTABLISHED" */
static inline const char *path_text(const uint8_t *path, uint8_t steps, char text[256])
{
	size_t used = 0;

	text[0] = '\0';
	for (uint8_t i = 0; i < steps; i++)
		used += (size_t)snprintf(text + used, 256 - used, "%s%s", i ? " " : "",
					 fsm_state_name(path[i]));
	return text;
}

static inline void assert_paths(const struct connection_report *report, const char *local,
				const char *remote)
{
	char text[256];

	assert_string_equal(path_text(report->local_path, report->local_steps, text), local);
	assert_string_equal(path_text(report->remote_path, report->remote_steps, text), remote);
	assert_int_equal(report->kernel_steps, 0);
	assert_int_equal(report->divergences, 0);
}

#endif
