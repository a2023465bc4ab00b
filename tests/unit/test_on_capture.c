/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tracker on captures, a wire without a kernel: whole lives from both sides, several on one
 * tuple, beginnings and ends that are missing, segments lost, doubled and out of order.
 */
#include "capture_play.h"

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
	assert_int_equal(report->seen, (1u << SEEN_NR) - 1 - (1u << SEEN_RST));
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
	assert_int_equal(out.reports[2].seen, 1u << SEEN_SYN | 1u << SEEN_ACK | 1u << SEEN_RST);
	assert_int_equal(out.reports[3].key.local_port, 443);
	assert_int_equal(out.reports[3].role, ROLE_CLIENT);
}

/* The tuple comes back while the last life, as far as the capture knows, is not over. */
static void reused_before_its_end(void **state)
{
	struct capture_file *file = begin(&(struct capture_file){ 0 });
	struct outcome out;

	(void)state;
	CLIENT(.flags = S, .seq = 100);
	SERVER(.flags = S | A, .seq = 500, .ack = 101);
	CLIENT(.flags = A, .seq = 101, .ack = 501);
	file->now_ns += 1000 * NS_PER_SEC;
	CLIENT(.flags = S, .seq = 70000100);
	SERVER(.flags = S | A, .seq = 90000500, .ack = 70000101);
	CLIENT(.flags = A, .seq = 70000101, .ack = 90000501);
	SERVER(.flags = F | A, .seq = 90000501, .ack = 70000101);
	CLIENT(.flags = F | A, .seq = 70000101, .ack = 90000502);
	SERVER(.flags = A, .seq = 90000502, .ack = 70000102);
	capture_close(file);
	for (int server = 0; server < 2; server++) {
		play(file, (struct how){ .server_is_local = server }, &out);
		assert_int_equal(out.count, 2);
		assert_int_equal(out.reports[0].end, END_UNKNOWN);
		assert_int_equal(out.reports[1].role, server ? ROLE_SERVER : ROLE_CLIENT);
		assert_int_equal(out.reports[1].end, server ? END_LOCAL_CLOSE : END_REMOTE_CLOSE);
	}
	assert_paths(&out.reports[0], "SYN_RECEIVED ESTABLISHED", "SYN_SENT ESTABLISHED");
	assert_paths(&out.reports[1],
		     "SYN_RECEIVED ESTABLISHED FIN_WAIT_1 FIN_WAIT_2 TIME_WAIT CLOSED",
		     "SYN_SENT ESTABLISHED CLOSE_WAIT LAST_ACK CLOSED");
	capture_remove(file);
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
	assert_int_equal(out.reports[0].seen,
			 1u << SEEN_SYN | 1u << SEEN_ACK | 1u << SEEN_DATA | 1u << SEEN_FIN);

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_life),
		cmocka_unit_test(time_wait_runs_out),
		cmocka_unit_test(refused_and_reset),
		cmocka_unit_test(lives_on_one_tuple),
		cmocka_unit_test(reused_before_its_end),
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
