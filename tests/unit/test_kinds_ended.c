/* SPDX-License-Identifier: GPL-2.0-only */
/* Divergences of resets, kills and TIME_WAIT, and of what both views agree on. */
#include "track_kinds.h"

static void reach_time_wait(struct bench *bench)
{
	CHANGE(.from = KS_ESTABLISHED, .to = KS_FIN_WAIT1, .shutdown = 3, .rcv_nxt = 101,
	       .snd_una = 501, .snd_nxt = 501);
	SENT(.flags = F | A, .seq = 501, .ack = 101, .kernel = full(KS_FIN_WAIT1, 101, 501, 501));
	RECEIVED(.flags = F | A, .seq = 101, .ack = 502,
		 .kernel = full(KS_FIN_WAIT1, 101, 501, 502));
	CHANGE(.from = KS_FIN_WAIT1, .to = KS_FIN_WAIT2, .bits = STATE_DEAD, .rcv_nxt = 101,
	       .snd_una = 502, .snd_nxt = 502);
	SENT(.flags = A, .seq = 502, .ack = 102, .kernel = full(KS_FIN_WAIT2, 102, 502, 502));
	CHANGE(.from = KS_FIN_WAIT2, .to = KS_CLOSE, .bits = STATE_DEAD | STATE_DONE,
	       .rcv_nxt = 102, .snd_una = 502, .snd_nxt = 502);
	bench->kernel = minisocket(KS_TIME_WAIT, 102, 502);
}

/* ---- reset_ignored, forged_reset ---- */

static void inexact_reset(struct bench *bench, uint32_t seq)
{
	RECEIVED(.flags = R, .seq = seq, .kernel = full(KS_ESTABLISHED, 101, 501, 501));
	bench->kernel = full(KS_ESTABLISHED, 101, 501, 501);
}

static void resets_one_by_one(void **state)
{
	struct bench *bench = *state;

	open_server(bench);
	for (uint32_t i = 1; i <= 5; i++) {
		inexact_reset(bench, 101 + 10 * i);
		assert_int_equal(bench->nr_events, 2 * (i <= 3 ? i - 1 : 3));
		bench_wait(bench, 400 * NS_PER_MS);
	}
	assert_int_equal(bench->nr_events, 6);
	assert_moment(bench, 0, DIVERGENCE_RESET_IGNORED, NULL);
	assert_moment(bench, 2, DIVERGENCE_RESET_IGNORED, NULL);
	assert_moment(bench, 4, DIVERGENCE_FORGED_RESET, NULL);
	assert_int_equal(bench->evidence[4].repeats, 3);
	assert_int_equal(divergence_class(DIVERGENCE_FORGED_RESET), CLASS_PROBLEM);
	/* An ordinary one looks once in its settle time, however many RSTs come. */
	assert_int_equal(stats_of(bench)->looks, 5);
}

static void resets_in_a_burst(void **state)
{
	struct bench *bench = *state;

	open_server(bench);
	for (uint32_t i = 1; i <= 4; i++)
		inexact_reset(bench, 101 + 10 * i);
	bench_wait(bench, 400 * NS_PER_MS);
	assert_int_equal(bench->nr_events, 2);
	assert_moment(bench, 0, DIVERGENCE_FORGED_RESET, NULL);
	assert_int_equal(bench->evidence[0].repeats, 4);
	assert_int_equal(stats_of(bench)->looks, 1);
}

/* The reference refused it; the stack, which knows its SACK blocks, did not. */
static void stack_takes_a_reset_that_we_refuse(void **state)
{
	struct bench *bench = *state;

	open_server(bench);
	inexact_reset(bench, 151);
	CHANGE(.from = KS_ESTABLISHED, .to = KS_CLOSE, .error = ECONNRESET, .rcv_nxt = 101,
	       .snd_una = 501, .snd_nxt = 501);
	assert_no_divergence(bench);
	assert_int_equal(bench->nr_events, 1);
	assert_int_equal(bench->reports[0].end, END_REMOTE_RESET);
	assert_true(bench->reports[0].observable);
}

/* Resets of what is half open, or over, are nobody's attack. */
static void resets_elsewhere(void **state)
{
	struct bench *bench = *state;

	open_client(bench);
	reach_time_wait(bench);
	for (uint32_t i = 1; i <= 4; i++)
		RECEIVED(.flags = R, .seq = 102 + 10 * i,
			 .kernel = minisocket(KS_TIME_WAIT, 102, 502));
	bench_wait(bench, NS_PER_SEC);
	assert_no_divergence(bench);
}

/* ---- killed ---- */

static void killed_by_an_operator(void **state)
{
	struct bench *bench = *state;

	open_server(bench);
	SENT(.flags = R | A, .seq = 501, .ack = 101, .kernel = full(KS_ESTABLISHED, 101, 501, 501));
	assert_int_equal(bench->nr_events, 0);
	CHANGE(.from = KS_ESTABLISHED, .to = KS_CLOSE, .error = ECONNABORTED, .rcv_nxt = 101,
	       .snd_una = 501, .snd_nxt = 501);
	assert_int_equal(bench->nr_events, 3);
	assert_moment(bench, 0, DIVERGENCE_KILLED, NULL);
	assert_int_equal(bench->reports[2].end, END_KILLED);
	assert_int_equal(bench->reports[2].divergences, 1u << DIVERGENCE_KILLED);
}

/* Of what was seen first in mid-life nothing is said. */
static void killed_and_adopted(void **state)
{
	struct bench *bench = *state;

	RECEIVED(.flags = F | A, .seq = 9000, .ack = 4000,
		 .kernel = full(KS_ESTABLISHED, 9000, 4000, 4000));
	CHANGE(.from = KS_ESTABLISHED, .to = KS_CLOSE, .error = ECONNABORTED, .rcv_nxt = 9001,
	       .snd_una = 4000, .snd_nxt = 4000);
	assert_no_divergence(bench);
}

/* ---- time_wait_assassinated ---- */

static void assassinated(void **state)
{
	struct bench *bench = *state;

	open_client(bench);
	reach_time_wait(bench);
	bench_wait(bench, NS_PER_SEC);
	RECEIVED(.flags = R | A, .seq = 102, .ack = 502,
		 .kernel = minisocket(KS_TIME_WAIT, 102, 502));
	assert_int_equal(bench->nr_events, 0);
	bench->kernel = nothing();
	bench_wait(bench, 2 * NS_PER_SEC);
	assert_int_equal(bench->nr_events, 3);
	assert_moment(bench, 0, DIVERGENCE_TIME_WAIT_ASSASSINATED, NULL);
	assert_int_equal(bench->reports[2].end, END_LOCAL_CLOSE);
}

/* tcp_rfc1337: the RST is ignored, the minisocket stays for its minute. */
static void protected_by_rfc_1337(void **state)
{
	struct bench *bench = *state;

	open_client(bench);
	reach_time_wait(bench);
	RECEIVED(.flags = R | A, .seq = 102, .ack = 502,
		 .kernel = minisocket(KS_TIME_WAIT, 102, 502));
	bench_wait(bench, 61 * NS_PER_SEC);
	assert_int_equal(stats_of(bench)->connections[VIEW_KERNEL][FSM_TIME_WAIT], 1);
	bench->kernel = nothing();
	bench_wait(bench, 3 * NS_PER_SEC);
	assert_no_divergence(bench);
	assert_int_equal(stats_of(bench)->entries, 0);
}

/* ---- time_wait_reused ---- */

static void reused_by_a_newer_syn(void **state)
{
	struct bench *bench = *state;
	struct rec_snapshot over = minisocket(KS_TIME_WAIT, 102, 502);

	over.bits |= SNAP_QUEUES;
	over.queues.accept_length = 0;
	over.queues.accept_limit = 16;
	over.queues.syn_length = 0;
	open_server(bench);
	reach_time_wait(bench);
	RECEIVED(.flags = S, .seq = 900000, .kernel = over);
	assert_int_equal(bench->nr_events, 3);
	assert_moment(bench, 0, DIVERGENCE_TIME_WAIT_REUSED, "passive");
	assert_int_equal(bench->reports[2].divergences, 1u << DIVERGENCE_TIME_WAIT_REUSED);
	assert_int_equal(stats_of(bench)->entries, 1);
}

/* bind() and connect(): the socket's own first event tells before the SYN does. */
static void reused_by_a_bound_socket(void **state)
{
	struct bench *bench = *state;

	open_client(bench);
	reach_time_wait(bench);
	CHANGE(.from = KS_CLOSE, .to = KS_SYN_SENT, .cookie = 78);
	assert_moment(bench, 0, DIVERGENCE_TIME_WAIT_REUSED, "active");
	assert_int_equal(bench->nr_events, 3);
	SENT(.flags = S, .seq = 70000,
	     .kernel = { .cookie = 78, .state = KS_SYN_SENT, .bits = SNAP_LOOKED });
	assert_int_equal(bench->nr_events, 3);
}

/* A flood of what is harmless is counted, and told within reason. */
static void flood_of_moments(void **state)
{
	struct bench *bench = *state;

	for (int i = 0; i < 1500; i++) {
		bench->nr_events = 0;
		open_client(bench);
		reach_time_wait(bench);
		CHANGE(.from = KS_CLOSE, .to = KS_SYN_SENT, .cookie = 78);
		CHANGE(.from = KS_SYN_SENT, .to = KS_CLOSE, .shutdown = 3, .cookie = 78);
	}
	assert_int_equal(stats_of(bench)->divergences[DIVERGENCE_TIME_WAIT_REUSED], 1500);
	assert_true(stats_of(bench)->moments_untold[DIVERGENCE_TIME_WAIT_REUSED] > 450);
	assert_true(stats_of(bench)->moments_untold[DIVERGENCE_TIME_WAIT_REUSED] <= 500);
}

/* ---- time_wait_missing ---- */

static void overflow(struct bench *bench)
{
	open_server(bench);
	reach_time_wait(bench);
	bench->kernel = idle_listener;
}

static void bucket_table_is_full(void **state)
{
	struct bench *bench = *state;

	for (uint16_t port = 1; port <= 20; port++) {
		bench->remote_port = port;
		overflow(bench);
	}
	bench_wait(bench, 2 * NS_PER_SEC);
	/* Once for the listener; each connection has it in its own end. */
	assert_int_equal(bench->nr_events, 21);
	for (size_t i = 0; i < 21; i++)
		if (bench->events[i].type == TRACK_CONNECTION)
			assert_int_equal(bench->reports[i].divergences,
					 1u << DIVERGENCE_TIME_WAIT_MISSING);
	assert_int_equal(bench->events[0].type, TRACK_DIVERGENCE_OPEN);
	assert_int_equal(bench->events[0].kind, DIVERGENCE_TIME_WAIT_MISSING);
	assert_int_equal(bench->events[0].connection->key.local_port, bench->local_port);
	assert_int_equal(bench->events[0].connection->key.remote_port, 0);
	assert_int_equal(stats_of(bench)->divergences[DIVERGENCE_TIME_WAIT_MISSING], 1);
	assert_int_equal(stats_of(bench)->divergences_open[DIVERGENCE_TIME_WAIT_MISSING], 1);
	assert_int_equal(stats_of(bench)->entries, 0);
	/* Another listener has its own; both are over when none was missed for a while. */
	bench->local_port = 444;
	overflow(bench);
	bench_wait(bench, 2 * NS_PER_SEC);
	assert_int_equal(stats_of(bench)->divergences_open[DIVERGENCE_TIME_WAIT_MISSING], 2);
	bench_wait(bench, 40 * NS_PER_SEC);
	assert_int_equal(stats_of(bench)->divergences_open[DIVERGENCE_TIME_WAIT_MISSING], 0);
	assert_int_equal(bench_last(bench)->type, TRACK_DIVERGENCE_CLOSE);
	assert_int_equal(bench->evidence[bench->nr_events - 2].repeats, 20);
}

/* An ordinary TIME_WAIT is asked for once, if at all, and is there. */
static void minisocket_is_there(void **state)
{
	struct bench *bench = *state;

	open_server(bench);
	reach_time_wait(bench);
	bench_wait(bench, 50 * NS_PER_SEC);
	assert_no_divergence(bench);
	assert_int_equal(stats_of(bench)->looks, 1);
}

/* Many at once: a few are asked for. */
static void few_minisockets_are_asked_for(void **state)
{
	struct bench *bench = *state;

	for (uint16_t port = 1; port <= 500; port++) {
		bench->remote_port = port;
		open_server(bench);
		reach_time_wait(bench);
	}
	bench_wait(bench, 2 * NS_PER_SEC);
	assert_no_divergence(bench);
	assert_true(stats_of(bench)->looks <= 70);
}

/* ss -K of a minisocket, long after it began: it was there. */
static void minisocket_is_killed(void **state)
{
	struct bench *bench = *state;

	open_server(bench);
	reach_time_wait(bench);
	bench_wait(bench, 20 * NS_PER_SEC);
	bench->kernel = idle_listener;
	bench_wait(bench, 50 * NS_PER_SEC);
	assert_no_divergence(bench);
	assert_int_equal(stats_of(bench)->entries, 0);
}

/* ---- conditions ---- */

static void reach_close_wait(struct bench *bench)
{
	open_server(bench);
	RECEIVED(.flags = F | A, .seq = 101, .ack = 501,
		 .kernel = full(KS_ESTABLISHED, 101, 501, 501));
	CHANGE(.from = KS_ESTABLISHED, .to = KS_CLOSE_WAIT, .bits = STATE_DONE, .rcv_nxt = 102,
	       .snd_una = 501, .snd_nxt = 501);
	bench->kernel = full(KS_CLOSE_WAIT, 102, 501, 501);
}

static void close_wait_leaks(void **state)
{
	struct bench *bench = *state;
	const uint64_t *leaks = &stats_of(bench)->conditions[CONDITION_CLOSE_WAIT_LEAK];

	reach_close_wait(bench);
	bench_wait(bench, 59 * NS_PER_SEC);
	assert_int_equal(*leaks, 0);
	bench_wait(bench, 2 * NS_PER_SEC);
	assert_int_equal(*leaks, 1);
	assert_int_equal(stats_of(bench)->looks, 0);
	bench_wait(bench, 600 * NS_PER_SEC);
	assert_int_equal(*leaks, 1);
	CHANGE(.from = KS_CLOSE_WAIT, .to = KS_LAST_ACK, .bits = STATE_DONE, .rcv_nxt = 102,
	       .snd_una = 501, .snd_nxt = 501);
	assert_int_equal(*leaks, 0);
	assert_no_divergence(bench);
}

static void leak_ends_with_its_connection(void **state)
{
	struct bench *bench = *state;

	reach_close_wait(bench);
	bench_wait(bench, 61 * NS_PER_SEC);
	RECEIVED(.flags = R, .seq = 102, .kernel = bench->kernel);
	CHANGE(.from = KS_CLOSE_WAIT, .to = KS_CLOSE, .error = EPIPE, .bits = STATE_DONE,
	       .rcv_nxt = 102, .snd_una = 501, .snd_nxt = 501);
	assert_int_equal(stats_of(bench)->conditions[CONDITION_CLOSE_WAIT_LEAK], 0);
	assert_int_equal(stats_of(bench)->entries, 0);
}

static void swept(struct bench *bench, uint8_t retransmits, uint32_t snd_una)
{
	struct rec_snapshot found = full(KS_ESTABLISHED, 101, snd_una, snd_una);

	found.retransmits = retransmits;
	sweep(bench, SWEEP_BEGIN);
	swept_socket(bench, found);
	sweep(bench, SWEEP_END);
}

static void nothing_is_acknowledged(void **state)
{
	struct bench *bench = *state;
	const uint64_t *stuck = &stats_of(bench)->conditions[CONDITION_NO_PROGRESS];

	open_server(bench);
	bench->kernel = full(KS_ESTABLISHED, 101, 501, 501);
	swept(bench, 0, 501);
	for (uint8_t i = 1; i <= 6; i++) {
		swept(bench, i, 501);
		assert_int_equal(*stuck, 0);
		bench_wait(bench, 10 * NS_PER_SEC);
	}
	swept(bench, 7, 501);
	assert_int_equal(*stuck, 1);
	/* The path is back. */
	swept(bench, 0, 5001);
	assert_int_equal(*stuck, 0);
	assert_no_divergence(bench);
}

/* It retransmits at every sweep, and yet it moves. */
static void lossy_is_not_stuck(void **state)
{
	struct bench *bench = *state;

	open_server(bench);
	bench->kernel = full(KS_ESTABLISHED, 101, 501, 501);
	for (uint32_t i = 0; i < 20; i++) {
		swept(bench, 1, 501 + i);
		bench_wait(bench, 10 * NS_PER_SEC);
	}
	assert_int_equal(stats_of(bench)->conditions[CONDITION_NO_PROGRESS], 0);
}

static void stuck_ends_with_its_connection(void **state)
{
	struct bench *bench = *state;

	open_server(bench);
	bench->kernel = full(KS_ESTABLISHED, 101, 501, 501);
	swept(bench, 1, 501);
	bench_wait(bench, 70 * NS_PER_SEC);
	swept(bench, 9, 501);
	assert_int_equal(stats_of(bench)->conditions[CONDITION_NO_PROGRESS], 1);
	CHANGE(.from = KS_ESTABLISHED, .to = KS_CLOSE, .error = ETIMEDOUT, .rcv_nxt = 101,
	       .snd_una = 501, .snd_nxt = 601);
	assert_int_equal(stats_of(bench)->conditions[CONDITION_NO_PROGRESS], 0);
	bench->kernel = idle_listener;
	bench_wait(bench, NS_PER_SEC);
	assert_int_equal(stats_of(bench)->divergences[DIVERGENCE_SILENT_CLOSE], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(resets_one_by_one),
		TEST(resets_in_a_burst),
		TEST(stack_takes_a_reset_that_we_refuse),
		TEST(resets_elsewhere),
		TEST(killed_by_an_operator),
		TEST(killed_and_adopted),
		TEST(assassinated),
		TEST(protected_by_rfc_1337),
		TEST(reused_by_a_newer_syn),
		TEST(reused_by_a_bound_socket),
		TEST(flood_of_moments),
		TEST(bucket_table_is_full),
		TEST(minisocket_is_there),
		TEST(few_minisockets_are_asked_for),
		TEST(minisocket_is_killed),
		TEST(close_wait_leaks),
		TEST(leak_ends_with_its_connection),
		TEST(nothing_is_acknowledged),
		TEST(lossy_is_not_stuck),
		TEST(stuck_ends_with_its_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
