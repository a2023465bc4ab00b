/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tracker on captures, a wire without a kernel: whole lives from both sides, several on one
 * tuple, beginnings and ends that are missing, segments lost, doubled and out of order. And the
 * same segments through a capture and straight into the reference give the same paths.
 */
#include "capture_file.h"

#include "capture/pcap.h"
#include "seeded.h"
#include "tcp/dialogue.h"
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

static void take_event(void *context, const struct track_event *event)
{
	struct outcome *outcome = context;

	assert_int_equal(event->type, TRACK_CONNECTION);
	assert_int_equal(event->ts_ns, event->connection->closed_ns);
	assert_true(outcome->count < REPORTS_MAX);
	outcome->reports[outcome->count++] = *event->connection;
}

static bool is_server_local(void *context, const uint8_t address[16])
{
	(void)context;
	return address[15] == 2;
}

static bool is_nothing_local(void *context, const uint8_t address[16])
{
	(void)context;
	(void)address;
	return false;
}

struct how {
	bool server_is_local;
	uint32_t flows_max;
};

static void play(struct capture_file *file, struct how how, struct outcome *ret)
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
	assert_int_equal(pcapfile_open(input, file->path, &pcap), 0);
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

static struct capture_file *begin(struct capture_file *file)
{
	capture_open(file, (struct wrapping){ .link = DLT_RAW }, 65535);
	return file;
}

static void finish(struct capture_file *file, struct outcome *ret)
{
	capture_close(file);
	play(file, (struct how){ 0 }, ret);
	capture_remove(file);
}

/* "SYN_SENT ESTABLISHED" */
static const char *path_text(const uint8_t *path, uint8_t steps, char text[256])
{
	size_t used = 0;

	text[0] = '\0';
	for (uint8_t i = 0; i < steps; i++)
		used += (size_t)snprintf(text + used, 256 - used, "%s%s", i ? " " : "",
					 fsm_state_name(path[i]));
	return text;
}

static void assert_paths(const struct connection_report *report, const char *local,
			 const char *remote)
{
	char text[256];

	assert_string_equal(path_text(report->local_path, report->local_steps, text), local);
	assert_string_equal(path_text(report->remote_path, report->remote_steps, text), remote);
	assert_int_equal(report->kernel_steps, 0);
	assert_int_equal(report->divergences, 0);
}

#define CLIENT_CLOSED_LAST                                                                         \
	"SYN_SENT ESTABLISHED CLOSE_WAIT LAST_ACK CLOSED",                                         \
		"SYN_RECEIVED ESTABLISHED FIN_WAIT_1 FIN_WAIT_2 TIME_WAIT"
#define SERVER_CLOSED_FIRST                                                                        \
	"SYN_RECEIVED ESTABLISHED FIN_WAIT_1 FIN_WAIT_2 TIME_WAIT CLOSED",                         \
		"SYN_SENT ESTABLISHED CLOSE_WAIT LAST_ACK CLOSED"

static void whole_life(void **state)
{
	struct capture_file *file = begin(&(struct capture_file){ 0 });
	const struct connection_report *report;
	struct outcome out;

	(void)state;
	capture_life(file, 0, true);
	capture_close(file);
	play(file, (struct how){ 0 }, &out);
	assert_int_equal(out.count, 1);
	report = &out.reports[0];
	assert_paths(report, CLIENT_CLOSED_LAST);
	assert_int_equal(report->role, ROLE_CLIENT);
	assert_int_equal(report->end, END_REMOTE_CLOSE);
	assert_int_equal(report->key.local_port, 50000);
	assert_true(report->observable);
	assert_int_equal(report->anomalies, 0);
	assert_int_equal(report->opened_ns, CAPTURE_START_NS + 10000);
	assert_int_equal(report->last_ns, CAPTURE_START_NS + 100000);
	assert_int_equal(report->closed_ns, report->last_ns);
	assert_int_equal(out.stats.opened[ROLE_CLIENT], 1);

	/* and with the server's eyes: it waits in TIME_WAIT, also where the capture ends */
	play(file, (struct how){ .server_is_local = true }, &out);
	capture_remove(file);
	assert_int_equal(out.count, 1);
	report = &out.reports[0];
	assert_paths(report, SERVER_CLOSED_FIRST);
	assert_int_equal(report->role, ROLE_SERVER);
	assert_int_equal(report->end, END_LOCAL_CLOSE);
	assert_int_equal(report->key.local_port, 443);
	assert_int_equal(report->last_ns, CAPTURE_START_NS + 100000);
	/* TIME_WAIT began with the client's FIN, 10 us before the last ACK */
	assert_int_equal(report->closed_ns, CAPTURE_START_NS + 90000 + 60 * NS_PER_SEC);
	assert_int_equal(report->anomalies, 0);
}

/* 2 MSL pass within the capture: the end is when they are over, not at the next packet. */
static void time_wait_runs_out(void **state)
{
	struct capture_file *file = begin(&(struct capture_file){ 0 });
	struct outcome out;

	(void)state;
	capture_life(file, 0, false);
	file->now_ns += 1000 * NS_PER_SEC;
	CLIENT(.flags = S, .seq = 9000, .client_port = 50001);
	capture_close(file);
	play(file, (struct how){ .server_is_local = true }, &out);
	capture_remove(file);
	assert_int_equal(out.count, 2);
	assert_paths(&out.reports[0], SERVER_CLOSED_FIRST);
	assert_int_equal(out.reports[0].closed_ns, CAPTURE_START_NS + 90000 + 60 * NS_PER_SEC);
}

static void refused_and_reset(void **state)
{
	struct capture_file *file = begin(&(struct capture_file){ 0 });
	struct outcome out;

	(void)state;
	CLIENT(.flags = S, .seq = 100);
	SERVER(.flags = R | A, .seq = 0, .ack = 101);
	CLIENT(.flags = S, .seq = 100, .client_port = 50001);
	SERVER(.flags = S | A, .seq = 500, .ack = 101, .client_port = 50001);
	CLIENT(.flags = A, .seq = 101, .ack = 501, .client_port = 50001);
	CLIENT(.flags = R | A, .seq = 101, .ack = 501, .client_port = 50001);
	/* data that was on its way, and its RST: of no new connection */
	SERVER(.flags = A, .seq = 501, .ack = 101, .len = 100, .client_port = 50001);
	CLIENT(.flags = R, .seq = 101, .client_port = 50001);
	finish(file, &out);
	assert_int_equal(out.count, 2);
	assert_paths(&out.reports[0], "SYN_SENT CLOSED", "CLOSED");
	assert_int_equal(out.reports[0].end, END_REFUSED);
	assert_paths(&out.reports[1], "SYN_SENT ESTABLISHED CLOSED",
		     "SYN_RECEIVED ESTABLISHED CLOSED");
	assert_int_equal(out.reports[1].end, END_LOCAL_RESET);
	assert_int_equal(out.stats.stray_segments, 2);
}

/* One tuple, three lives: after CLOSED, over TIME_WAIT, and with the roles turned. */
static void lives_on_one_tuple(void **state)
{
	struct capture_file *file = begin(&(struct capture_file){ 0 });
	struct outcome out;

	(void)state;
	capture_life(file, 0, false);
	CLIENT(.flags = S, .seq = 70000);
	SERVER(.flags = S | A, .seq = 80000, .ack = 70001);
	CLIENT(.flags = A, .seq = 70001, .ack = 80001);
	CLIENT(.flags = F | A, .seq = 70001, .ack = 80001);
	SERVER(.flags = F | A, .seq = 80001, .ack = 70002);
	CLIENT(.flags = A, .seq = 70002, .ack = 80002);
	CLIENT(.flags = S, .seq = 90000); /* over its own TIME_WAIT */
	SERVER(.flags = R | A, .ack = 90001);
	SERVER(.flags = S, .seq = 5); /* the server calls back, from its own port */
	CLIENT(.flags = R | A, .ack = 6);
	finish(file, &out);
	assert_int_equal(out.count, 4);
	assert_paths(&out.reports[0], CLIENT_CLOSED_LAST);
	assert_paths(&out.reports[1], "SYN_SENT ESTABLISHED FIN_WAIT_1 FIN_WAIT_2 TIME_WAIT",
		     "SYN_RECEIVED ESTABLISHED CLOSE_WAIT LAST_ACK CLOSED");
	assert_int_equal(out.reports[1].end, END_LOCAL_CLOSE);
	assert_paths(&out.reports[2], "SYN_SENT CLOSED", "CLOSED");
	assert_paths(&out.reports[3], "SYN_SENT CLOSED", "CLOSED");
	assert_int_equal(out.reports[3].key.local_port, 443);
	assert_int_equal(out.reports[3].role, ROLE_CLIENT);
}

static void picked_up_in_mid_life(void **state)
{
	struct capture_file *file = begin(&(struct capture_file){ 0 });
	struct outcome out;

	(void)state;
	SERVER(.flags = A, .seq = 501, .ack = 401, .len = 1000);
	CLIENT(.flags = A, .seq = 401, .ack = 1501);
	CLIENT(.flags = F | A, .seq = 401, .ack = 1501);
	SERVER(.flags = A, .seq = 1501, .ack = 402);
	SERVER(.flags = F | A, .seq = 1501, .ack = 402);
	CLIENT(.flags = A, .seq = 402, .ack = 1502);
	SERVER(.flags = R, .seq = 9, .client_port = 50001); /* a RST begins nothing */
	finish(file, &out);
	assert_int_equal(out.count, 1);
	assert_paths(&out.reports[0], "ESTABLISHED CLOSE_WAIT LAST_ACK CLOSED",
		     "ESTABLISHED FIN_WAIT_1 FIN_WAIT_2 TIME_WAIT");
	assert_int_equal(out.reports[0].role, ROLE_UNKNOWN);
	assert_int_equal(out.reports[0].key.local_port, 443); /* the first source */
	assert_int_equal(out.reports[0].end, END_REMOTE_CLOSE);
	assert_false(out.reports[0].observable);
	assert_int_equal(out.reports[0].why, UNOBSERVABLE_ADOPTED);
	assert_int_equal(out.reports[0].anomalies, 0);
	assert_int_equal(out.stats.stray_segments, 1);
}

/* Picked up, too, the variables are exact: a RST beside RCV.NXT ends nothing (RFC 5961 §3). */
static void exact_from_mid_life_on(void **state)
{
	struct capture_file *file = begin(&(struct capture_file){ 0 });
	struct outcome out;

	(void)state;
	CLIENT(.flags = A, .seq = 401, .ack = 1501);
	SERVER(.flags = R, .seq = 1601);
	CLIENT(.flags = A, .seq = 401, .ack = 1501);
	finish(file, &out);
	assert_int_equal(out.count, 1);
	assert_paths(&out.reports[0], "ESTABLISHED", "ESTABLISHED");
	assert_int_equal(out.reports[0].anomalies, 1u << AN_RST_IN_WINDOW);
}

/* The SYN is missing, or comes late: the SYN-ACK says who is who. */
static void begins_with_synack(void **state)
{
	for (int late = 0; late < 2; late++) {
		struct capture_file *file = begin(&(struct capture_file){ 0 });
		struct outcome out;

		(void)state;
		SERVER(.flags = S | A, .seq = 500, .ack = 101);
		if (late)
			CLIENT(.flags = S, .seq = 100);
		CLIENT(.flags = A, .seq = 101, .ack = 501);
		CLIENT(.flags = F | A, .seq = 101, .ack = 501);
		SERVER(.flags = A, .seq = 501, .ack = 102);
		SERVER(.flags = F | A, .seq = 501, .ack = 102);
		CLIENT(.flags = A, .seq = 102, .ack = 502);
		capture_close(file);
		play(file, (struct how){ 0 }, &out);
		assert_int_equal(out.count, 1);
		assert_paths(&out.reports[0],
			     "SYN_SENT ESTABLISHED FIN_WAIT_1 FIN_WAIT_2 TIME_WAIT CLOSED",
			     "SYN_RECEIVED ESTABLISHED CLOSE_WAIT LAST_ACK CLOSED");
		assert_int_equal(out.reports[0].role, ROLE_CLIENT);
		assert_true(out.reports[0].observable);
		assert_int_equal(out.reports[0].anomalies, 0);
		play(file, (struct how){ .server_is_local = true }, &out);
		capture_remove(file);
		assert_int_equal(out.count, 1);
		assert_paths(&out.reports[0], "SYN_RECEIVED ESTABLISHED CLOSE_WAIT LAST_ACK CLOSED",
			     "SYN_SENT ESTABLISHED FIN_WAIT_1 FIN_WAIT_2 TIME_WAIT");
		assert_int_equal(out.reports[0].role, ROLE_SERVER);
	}
}

/* The client's ACK was written before the SYN-ACK that it answers. */
static void handshake_out_of_order(void **state)
{
	struct capture_file *file = begin(&(struct capture_file){ 0 });
	struct outcome out;

	(void)state;
	CLIENT(.flags = S, .seq = 100);
	CLIENT(.flags = A, .seq = 101, .ack = 501);
	SERVER(.flags = S | A, .seq = 500, .ack = 101);
	SERVER(.flags = F | A, .seq = 501, .ack = 101);
	CLIENT(.flags = F | A, .seq = 101, .ack = 502);
	SERVER(.flags = A, .seq = 502, .ack = 102);
	finish(file, &out);
	assert_int_equal(out.count, 1);
	assert_paths(&out.reports[0], "SYN_SENT ESTABLISHED CLOSE_WAIT LAST_ACK CLOSED",
		     "SYN_RECEIVED ESTABLISHED FIN_WAIT_1 FIN_WAIT_2 TIME_WAIT");
	assert_int_equal(out.reports[0].anomalies, 0);
}

/* Everything twice, as a mirror port writes it. */
static void every_segment_twice(void **state)
{
	const uint8_t fa = F | A;
	struct capture_file *file = begin(&(struct capture_file){ 0 });
	struct outcome out;

	(void)state;
	for (int i = 0; i < 2; i++)
		CLIENT(.flags = S, .seq = 100);
	for (int i = 0; i < 2; i++)
		SERVER(.flags = S | A, .seq = 500, .ack = 101);
	for (int i = 0; i < 2; i++)
		CLIENT(.flags = A, .seq = 101, .ack = 501);
	for (int i = 0; i < 2; i++)
		CLIENT(.flags = A, .seq = 101, .ack = 501, .len = 10);
	for (int i = 0; i < 2; i++)
		SERVER(.flags = fa, .seq = 501, .ack = 111);
	for (int i = 0; i < 2; i++)
		CLIENT(.flags = A, .seq = 111, .ack = 502);
	for (int i = 0; i < 2; i++)
		CLIENT(.flags = fa, .seq = 111, .ack = 502);
	for (int i = 0; i < 2; i++)
		SERVER(.flags = A, .seq = 502, .ack = 112);
	capture_close(file);
	play(file, (struct how){ 0 }, &out);
	assert_int_equal(out.count, 1);
	assert_paths(&out.reports[0], CLIENT_CLOSED_LAST);
	assert_int_equal(out.stats.stray_segments, 1);
	play(file, (struct how){ .server_is_local = true }, &out);
	capture_remove(file);
	assert_int_equal(out.count, 1);
	assert_paths(&out.reports[0], SERVER_CLOSED_FIRST);
}

/* A FIN that overtook its data waits for it. */
static void fin_before_its_data(void **state)
{
	struct capture_file *file = begin(&(struct capture_file){ 0 });
	struct outcome out;

	(void)state;
	CLIENT(.flags = S, .seq = 100);
	SERVER(.flags = S | A, .seq = 500, .ack = 101);
	CLIENT(.flags = A, .seq = 101, .ack = 501);
	SERVER(.flags = F | A, .seq = 1501, .ack = 101);
	CLIENT(.flags = A, .seq = 101, .ack = 501); /* asks for what is missing */
	CLIENT(.flags = A, .seq = 101, .ack = 501, .len = 5);
	SERVER(.flags = A, .seq = 501, .ack = 101, .len = 1000);
	CLIENT(.flags = A, .seq = 106, .ack = 1502);
	SERVER(.flags = A, .seq = 1502, .ack = 106);
	CLIENT(.flags = F | A, .seq = 106, .ack = 1502);
	SERVER(.flags = A, .seq = 1502, .ack = 107);
	finish(file, &out);
	assert_int_equal(out.count, 1);
	assert_paths(&out.reports[0], CLIENT_CLOSED_LAST);
	assert_int_equal(out.reports[0].anomalies, 0);
}

/* Only what the client sent was captured: its own path is nearly whole, the server's is deduced. */
static void only_one_direction(void **state)
{
	struct capture_file *file = begin(&(struct capture_file){ 0 });
	struct outcome out;

	(void)state;
	CLIENT(.flags = S, .seq = 100);
	CLIENT(.flags = A, .seq = 101, .ack = 501);
	CLIENT(.flags = A, .seq = 101, .ack = 501, .len = 100);
	CLIENT(.flags = A, .seq = 201, .ack = 2501);
	CLIENT(.flags = F | A, .seq = 201, .ack = 2501);
	CLIENT(.flags = A, .seq = 202, .ack = 2502);
	finish(file, &out);
	assert_int_equal(out.count, 1);
	assert_paths(&out.reports[0], "SYN_SENT ESTABLISHED FIN_WAIT_1",
		     "SYN_RECEIVED ESTABLISHED");
	assert_int_equal(out.reports[0].end, END_UNKNOWN);
	assert_false(out.reports[0].observable);
	assert_int_equal(out.reports[0].why, UNOBSERVABLE_LOSS);
	assert_int_equal(out.reports[0].anomalies, 0);
	assert_int_equal(out.stats.gaps, 3);

	file = begin(&(struct capture_file){ 0 });
	SERVER(.flags = S | A, .seq = 500, .ack = 101);
	SERVER(.flags = A, .seq = 501, .ack = 201);
	SERVER(.flags = A, .seq = 501, .ack = 201, .len = 2000);
	SERVER(.flags = A, .seq = 2501, .ack = 301);
	SERVER(.flags = F | A, .seq = 2501, .ack = 301);
	SERVER(.flags = A, .seq = 2502, .ack = 302);
	finish(file, &out);
	assert_int_equal(out.count, 1);
	assert_paths(&out.reports[0], "SYN_SENT ESTABLISHED CLOSE_WAIT",
		     "SYN_RECEIVED ESTABLISHED FIN_WAIT_1");
	assert_int_equal(out.reports[0].why, UNOBSERVABLE_LOSS);
	assert_int_equal(out.reports[0].anomalies, 0);
}

/* The tap lost the data before the FIN; both ends had it, and say so. */
static void tap_lost_segments(void **state)
{
	struct capture_file *file = begin(&(struct capture_file){ 0 });
	struct outcome out;

	(void)state;
	CLIENT(.flags = S, .seq = 100);
	SERVER(.flags = S | A, .seq = 500, .ack = 101);
	CLIENT(.flags = A, .seq = 101, .ack = 501);
	SERVER(.flags = F | A, .seq = 1501, .ack = 401);
	CLIENT(.flags = A, .seq = 401, .ack = 1502);
	CLIENT(.flags = F | A, .seq = 401, .ack = 1502);
	SERVER(.flags = A, .seq = 1502, .ack = 402);
	finish(file, &out);
	assert_int_equal(out.count, 1);
	assert_paths(&out.reports[0], CLIENT_CLOSED_LAST);
	assert_int_equal(out.reports[0].anomalies, 0);
	assert_int_equal(out.reports[0].why, UNOBSERVABLE_LOSS);
}

/* Nobody can have taken in what he had offered no room for: that ACK is not believed. */
static void impossible_ack_is_no_gap(void **state)
{
	struct capture_file *file = begin(&(struct capture_file){ 0 });
	struct outcome out;

	(void)state;
	CLIENT(.flags = S, .seq = 100);
	SERVER(.flags = S | A, .seq = 500, .ack = 101, .window = 1000);
	CLIENT(.flags = A, .seq = 101, .ack = 501);
	SERVER(.flags = A, .seq = 501, .ack = 10000000);
	SERVER(.flags = F | A, .seq = 501, .ack = 101);
	CLIENT(.flags = F | A, .seq = 101, .ack = 502);
	SERVER(.flags = A, .seq = 502, .ack = 102);
	finish(file, &out);
	assert_int_equal(out.count, 1);
	assert_paths(&out.reports[0], "SYN_SENT ESTABLISHED CLOSE_WAIT LAST_ACK CLOSED",
		     "SYN_RECEIVED ESTABLISHED FIN_WAIT_1 FIN_WAIT_2 TIME_WAIT");
	assert_int_equal(out.reports[0].anomalies, 1u << AN_ACK_OF_UNSENT);
	assert_true(out.reports[0].observable);
	assert_int_equal(out.stats.gaps, 0);
}

static void unfinished_ends_are_unknown(void **state)
{
	struct capture_file *file = begin(&(struct capture_file){ 0 });
	struct outcome out;

	(void)state;
	CLIENT(.flags = S, .seq = 100);
	SERVER(.flags = S | A, .seq = 500, .ack = 101);
	CLIENT(.flags = A, .seq = 101, .ack = 501);
	CLIENT(.flags = F | A, .seq = 101, .ack = 501);
	CLIENT(.flags = S, .seq = 100, .client_port = 50001);
	finish(file, &out);
	assert_int_equal(out.count, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(out.reports[i].end, END_UNKNOWN);
		assert_int_equal(out.reports[i].closed_ns, file->now_ns);
		assert_true(out.reports[i].observable);
	}
}

/* A SYN that is never answered ends while the capture goes on. */
static void handshake_times_out(void **state)
{
	struct capture_file *file = begin(&(struct capture_file){ 0 });
	struct outcome out;
	uint64_t last_ns = 0;

	(void)state;
	for (int i = 0; i < 5; i++) {
		CLIENT(.flags = S, .seq = 100);
		last_ns = file->now_ns;
		file->now_ns += NS_PER_SEC << i;
	}
	file->now_ns += 300 * NS_PER_SEC;
	CLIENT(.flags = S, .seq = 100, .client_port = 50001);
	finish(file, &out);
	assert_int_equal(out.count, 2);
	assert_paths(&out.reports[0], "SYN_SENT", "");
	assert_int_equal(out.reports[0].end, END_HANDSHAKE_TIMEOUT);
	assert_int_equal(out.reports[0].last_ns, last_ns);
	assert_int_equal(out.reports[0].closed_ns, last_ns + 65 * NS_PER_SEC);
}

/* More connections than fit: what is given up is reported, and nothing is refused. */
static void full_table(void **state)
{
	struct capture_file *file = begin(&(struct capture_file){ 0 });
	struct outcome out;
	size_t evicted = 0;

	(void)state;
	for (uint16_t port = 1; port <= 50; port++) {
		CLIENT(.flags = S, .seq = 100, .client_port = port);
		SERVER(.flags = S | A, .seq = 500, .ack = 101, .client_port = port);
		CLIENT(.flags = A, .seq = 101, .ack = 501, .client_port = port);
	}
	capture_close(file);
	play(file, (struct how){ .flows_max = 20 }, &out);
	capture_remove(file);
	assert_int_equal(out.count, 50);
	for (size_t i = 0; i < out.count; i++) {
		evicted += !out.reports[i].observable;
		assert_paths(&out.reports[i], "SYN_SENT ESTABLISHED", "SYN_RECEIVED ESTABLISHED");
	}
	assert_int_equal(evicted, 30);
	assert_int_equal(out.stats.unobservable[UNOBSERVABLE_EVICTED], 30);
}

/* What is only remembered for its late segments gives way before anything that lives. */
static void ended_ones_give_way_first(void **state)
{
	struct capture_file *file = begin(&(struct capture_file){ 0 });
	struct outcome out;

	(void)state;
	for (uint16_t port = 1; port <= 30; port++) {
		CLIENT(.flags = S, .seq = 100, .client_port = port);
		if (port > 10 && port <= 20)
			SERVER(.flags = R | A, .ack = 101, .client_port = port);
		else
			SERVER(.flags = S | A, .seq = 500, .ack = 101, .client_port = port);
	}
	capture_close(file);
	play(file, (struct how){ .flows_max = 20 }, &out);
	capture_remove(file);
	assert_int_equal(out.count, 30);
	for (size_t i = 0; i < out.count; i++)
		assert_true(out.reports[i].observable);
	assert_int_equal(out.stats.evictions, 10);
	assert_int_equal(out.stats.unobservable[UNOBSERVABLE_EVICTED], 0);
}

/* --- the same through a capture and straight into the reference --- */

struct sides {
	uint32_t snd_nxt[2], rcv_nxt[2];
	bool fin_sent[2];
	struct talk said[64];
	size_t count;
};

static void say(struct sides *sides, struct seeded *random, int from, uint8_t flags, uint32_t len)
{
	struct talk talk = { .from_server = from,
			     .flags = flags | A,
			     .seq = sides->snd_nxt[from],
			     .ack = sides->rcv_nxt[from],
			     .len = len };

	sides->snd_nxt[from] += len + (flags & F ? 1 : 0);
	sides->fin_sent[from] |= flags & F;
	sides->said[sides->count++] = talk;
	/* it arrives at once, and sometimes is written twice */
	sides->rcv_nxt[!from] = sides->snd_nxt[from];
	if (seeded_chance(random, 10))
		sides->said[sides->count++] = talk;
}

/* A plausible conversation: every end sends in sequence, the last words may be missing. */
static void converse(struct sides *sides, struct seeded *random)
{
	uint32_t client = seeded_next(random), server = seeded_next(random);
	uint32_t steps = seeded_below(random, 20);

	memset(sides, 0, sizeof(*sides));
	sides->said[0] = (struct talk){ .flags = S, .seq = client };
	sides->said[1] = (struct talk){
		.from_server = true, .flags = S | A, .seq = server, .ack = client + 1
	};
	sides->count = 2;
	sides->snd_nxt[0] = sides->rcv_nxt[1] = client + 1;
	sides->snd_nxt[1] = sides->rcv_nxt[0] = server + 1;
	say(sides, random, 0, 0, 0);
	for (uint32_t i = 0; i < steps; i++) {
		int from = (int)seeded_below(random, 2);
		uint32_t what = seeded_below(random, 10);

		if (what == 0) {
			say(sides, random, from, R, 0);
			return;
		}
		if (what < 4 && !sides->fin_sent[from])
			say(sides, random, from, F, 0);
		else
			say(sides, random, from, 0,
			    what < 7 && !sides->fin_sent[from] ? what * 100 : 0);
	}
}

struct state_text {
	char text[256];
};

static void push(struct state_text *text, const struct endpoint_steps *steps)
{
	for (uint8_t i = 0; i < steps->count; i++) {
		size_t used = strlen(text->text);

		if (steps->at[i].from != steps->at[i].to)
			snprintf(text->text + used, sizeof(text->text) - used, "%s%s",
				 used ? " " : "", fsm_state_name(steps->at[i].to));
	}
}

/* What the reference alone makes of it, from the client's side, until its end is CLOSED. */
static void refer(const struct sides *sides, struct state_text paths[2])
{
	struct dialogue_steps steps;
	struct tcp_dialogue talk;

	memset(paths, 0, 2 * sizeof(*paths));
	dialogue_init(&talk, FSM_CLOSED, FSM_LISTEN, false);
	for (size_t i = 0; i < sides->count; i++) {
		const struct talk *said = &sides->said[i];
		bool syn = said->flags & S;
		struct tcp_segment segment = {
			.seq = said->seq,
			.ack = said->ack,
			.len = said->len,
			.window = 64240,
			.flags = said->flags,
			.options = syn ? TCPO_MSS | TCPO_WSCALE : 0,
			.wscale = syn ? 7 : 0,
			.mss = syn ? 1460 : 0,
		};

		(said->from_server ? dialogue_received : dialogue_sent)(&talk, &segment, &steps);
		push(&paths[0], &steps.local);
		push(&paths[1], &steps.remote);
		if (talk.local.state == FSM_CLOSED)
			return;
	}
	if (talk.local.state == FSM_TIME_WAIT) {
		dialogue_expire(&talk, &steps);
		push(&paths[0], &steps.local);
		push(&paths[1], &steps.remote);
	}
}

static void capture_tells_what_the_reference_does(void **state)
{
	static const int links[] = { DLT_EN10MB, DLT_LINUX_SLL, DLT_LINUX_SLL2, DLT_RAW, DLT_PPP };
	uint64_t seed = seed_of_run();
	struct seeded random = { seed };
	struct state_text paths[2];
	struct capture_file file;
	struct sides sides;
	struct outcome out;

	(void)state;
	print_message("TEST_SEED=%llu\n", (unsigned long long)seed);
	for (int round = 0; round < 500; round++) {
		converse(&sides, &random);
		refer(&sides, paths);
		capture_open(&file,
			     (struct wrapping){ .link = links[round % ARRAY_SIZE(links)],
						.ipv6 = round & 1 },
			     seeded_chance(&random, 50) ? 80 : 65535);
		for (size_t i = 0; i < sides.count; i++)
			capture_talk(&file, sides.said[i]);
		finish(&file, &out);
		assert_int_equal(out.count, 1);
		assert_paths(&out.reports[0], paths[0].text, paths[1].text);
		assert_int_equal(out.stats.gaps, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_life),
		cmocka_unit_test(time_wait_runs_out),
		cmocka_unit_test(refused_and_reset),
		cmocka_unit_test(lives_on_one_tuple),
		cmocka_unit_test(picked_up_in_mid_life),
		cmocka_unit_test(exact_from_mid_life_on),
		cmocka_unit_test(begins_with_synack),
		cmocka_unit_test(handshake_out_of_order),
		cmocka_unit_test(every_segment_twice),
		cmocka_unit_test(fin_before_its_data),
		cmocka_unit_test(only_one_direction),
		cmocka_unit_test(tap_lost_segments),
		cmocka_unit_test(impossible_ack_is_no_gap),
		cmocka_unit_test(unfinished_ends_are_unknown),
		cmocka_unit_test(handshake_times_out),
		cmocka_unit_test(full_table),
		cmocka_unit_test(ended_ones_give_way_first),
		cmocka_unit_test(capture_tells_what_the_reference_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
