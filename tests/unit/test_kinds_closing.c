/* SPDX-License-Identifier: GPL-2.0-only */
/* Each kind of divergence while a connection closes, and its nearest neighbour that is none. */
#include "track_kinds.h"

static void close_here(struct bench *bench)
{
	CHANGE(.from = KS_ESTABLISHED, .to = KS_FIN_WAIT1, .shutdown = 3, .rcv_nxt = 101,
	       .snd_una = 501, .snd_nxt = 501);
	SENT(.flags = F | A, .seq = 501, .ack = 101, .kernel = full(KS_FIN_WAIT1, 101, 501, 501));
}

static void reach_orphan(struct bench *bench)
{
	open_client(bench);
	close_here(bench);
	RECEIVED(.flags = A, .seq = 101, .ack = 502, .kernel = full(KS_FIN_WAIT1, 101, 501, 502));
	CHANGE(.from = KS_FIN_WAIT1, .to = KS_FIN_WAIT2, .bits = STATE_DEAD, .shutdown = 3,
	       .rcv_nxt = 101, .snd_una = 502, .snd_nxt = 502);
}

static void reach_minisocket(struct bench *bench)
{
	reach_orphan(bench);
	CHANGE(.from = KS_FIN_WAIT2, .to = KS_CLOSE, .bits = STATE_DEAD, .shutdown = 3,
	       .rcv_nxt = 101, .snd_una = 502, .snd_nxt = 502);
	bench->kernel = minisocket(KS_FIN_WAIT2, 101, 502);
}

static void reach_last_ack(struct bench *bench)
{
	open_server(bench);
	RECEIVED(.flags = F | A, .seq = 101, .ack = 501,
		 .kernel = full(KS_ESTABLISHED, 101, 501, 501));
	CHANGE(.from = KS_ESTABLISHED, .to = KS_CLOSE_WAIT, .bits = STATE_DONE, .rcv_nxt = 102,
	       .snd_una = 501, .snd_nxt = 501);
	CHANGE(.from = KS_CLOSE_WAIT, .to = KS_LAST_ACK, .bits = STATE_DONE, .rcv_nxt = 102,
	       .snd_una = 501, .snd_nxt = 501);
	SENT(.flags = F | A, .seq = 501, .ack = 102, .kernel = full(KS_LAST_ACK, 102, 501, 501));
}

/* ---- fin_unprocessed ---- */

static void fin(struct bench *bench, uint32_t seq)
{
	RECEIVED(.flags = F | A, .seq = seq, .ack = 501,
		 .kernel = full(KS_ESTABLISHED, 101, 501, 501));
}

static void fin_behind_missing_data(void **state)
{
	struct bench *bench = *state;

	open_server(bench);
	bench->kernel = full(KS_ESTABLISHED, 101, 501, 501);
	fin(bench, 201);
	bench_wait(bench, 600 * NS_PER_MS);
	fin(bench, 201);
	bench_wait(bench, 200 * NS_PER_MS);
	assert_int_equal(bench->nr_events, 0);
	bench_wait(bench, 2 * NS_PER_SEC);
	assert_opened(bench, DIVERGENCE_FIN_UNPROCESSED, "data_missing");
	assert_int_equal(bench->evidence[0].repeats, 2);
	assert_int_equal(bench->evidence[0].segment.seq, 201);
	assert_int_equal(bench->evidence[0].look.snapshot.vars.rcv_nxt, 101);
	/* What was missing comes, and the stack takes both. */
	CHANGE(.from = KS_ESTABLISHED, .to = KS_CLOSE_WAIT, .bits = STATE_DONE, .rcv_nxt = 202,
	       .snd_una = 501, .snd_nxt = 501);
	assert_int_equal(bench->nr_events, 2);
	assert_int_equal(bench->events[1].type, TRACK_DIVERGENCE_CLOSE);
}

/* Retransmission of the data fills most gaps. */
static void fin_that_waits_a_moment(void **state)
{
	struct bench *bench = *state;

	open_server(bench);
	bench->kernel = full(KS_ESTABLISHED, 101, 501, 501);
	fin(bench, 201);
	bench_wait(bench, 200 * NS_PER_MS);
	CHANGE(.from = KS_ESTABLISHED, .to = KS_CLOSE_WAIT, .bits = STATE_DONE, .rcv_nxt = 202,
	       .snd_una = 501, .snd_nxt = 501);
	assert_no_divergence(bench);
	assert_int_equal(stats_of(bench)->transients[TRANSIENT_FIN_WAITED], 1);
}

/* One FIN that never comes again may be the tap's illusion. */
static void single_fin_that_waits_is_unobservable(void **state)
{
	struct bench *bench = *state;

	open_server(bench);
	bench->kernel = full(KS_ESTABLISHED, 101, 501, 501);
	fin(bench, 201);
	bench_wait(bench, 30 * NS_PER_SEC);
	assert_no_divergence(bench);
	CHANGE(.from = KS_ESTABLISHED, .to = KS_CLOSE, .shutdown = 3, .rcv_nxt = 101);
	bench->kernel = nothing();
	bench_wait(bench, NS_PER_SEC);
	assert_int_equal(bench->reports[0].why, UNOBSERVABLE_FIN_PENDING);
}

static void fin_refused_by_tcp(void **state)
{
	struct bench *bench = *state;

	open_server(bench);
	bench->drop_reason = "TCP_ZEROWINDOW";
	bench->kernel = full(KS_ESTABLISHED, 101, 501, 501);
	for (int i = 0; i < 3; i++) {
		fin(bench, 101);
		bench_drop(bench, false, F | A, 101, 501);
		bench_wait(bench, 800 * NS_PER_MS);
	}
	assert_opened(bench, DIVERGENCE_FIN_UNPROCESSED, "TCP_ZEROWINDOW");
	assert_int_equal(bench->events[0].connection->local_state, FSM_CLOSE_WAIT);
	assert_int_equal(bench->events[0].connection->kernel_state, KS_ESTABLISHED);
}

/* ---- stuck_owner ---- */

static void owner_is_stuck(void **state)
{
	struct bench *bench = *state;

	open_server(bench);
	fin(bench, 101);
	bench->kernel = full(KS_ESTABLISHED, 101, 501, 501);
	bench->kernel.backlog_bytes = 896;
	bench_wait(bench, 4 * NS_PER_SEC);
	assert_opened(bench, DIVERGENCE_STUCK_OWNER, NULL);
	assert_true(bench->evidence[0].repeats >= 3);
	assert_int_equal(bench->evidence[0].look.snapshot.backlog_bytes, 896);
	CHANGE(.from = KS_ESTABLISHED, .to = KS_CLOSE_WAIT, .bits = STATE_DONE, .rcv_nxt = 102,
	       .snd_una = 501, .snd_nxt = 501);
	assert_int_equal(bench->nr_events, 2);
	assert_true(bench->events[1].ts_ns - bench->events[1].since_ns >= 4 * NS_PER_SEC);
	assert_int_equal(stats_of(bench)->transients[TRANSIENT_OWNER_BUSY], 0);
}

/* Held again and again, but free in between. */
static void busy_owner_is_not_stuck(void **state)
{
	struct bench *bench = *state;

	open_server(bench);
	bench->kernel = full(KS_ESTABLISHED, 102, 501, 501);
	for (int i = 0; i < 5; i++) {
		fin(bench, 101);
		bench->kernel = full(KS_ESTABLISHED, 101, 501, 501);
		bench->kernel.bits |= SNAP_OWNED;
		bench_wait(bench, 700 * NS_PER_MS);
		bench->kernel.bits = SNAP_LOOKED;
		bench_wait(bench, 1200 * NS_PER_MS);
		if (bench->nr_events)
			break;
	}
	assert_int_equal(stats_of(bench)->divergences[DIVERGENCE_STUCK_OWNER], 0);
}

/* ---- fin_queued, fin_stalled ---- */

static struct rec_snapshot fin_behind(uint32_t snd_una)
{
	struct rec_snapshot snapshot = full(KS_FIN_WAIT1, 101, snd_una, snd_una);

	snapshot.vars.write_seq = 10002;
	return snapshot;
}

static void queue_fin(struct bench *bench)
{
	open_server(bench);
	CHANGE(.from = KS_ESTABLISHED, .to = KS_FIN_WAIT1, .bits = STATE_FIN_QUEUED, .shutdown = 3,
	       .rcv_nxt = 101, .snd_una = 501, .snd_nxt = 501, .write_seq = 10002);
	bench->kernel = fin_behind(501);
}

static void fin_waits_behind_data(void **state)
{
	struct bench *bench = *state;

	queue_fin(bench);
	bench_wait(bench, 400 * NS_PER_MS);
	assert_opened(bench, DIVERGENCE_FIN_QUEUED, NULL);
	/* It moves: never stalled, however long it takes. */
	for (uint32_t i = 1; i <= 60; i++) {
		bench->kernel = fin_behind(501 + 10 * i);
		bench_wait(bench, NS_PER_SEC);
	}
	assert_int_equal(bench->nr_events, 1);
	SENT(.flags = F | A, .seq = 10001, .ack = 101,
	     .kernel = full(KS_FIN_WAIT1, 101, 10001, 10002));
	assert_int_equal(bench->nr_events, 2);
	assert_int_equal(bench->events[1].type, TRACK_DIVERGENCE_CLOSE);
	assert_int_equal(bench->events[1].explained_as, DIVERGENCE_NR);
}

static void queued_fin_stalls(void **state)
{
	struct bench *bench = *state;

	queue_fin(bench);
	bench_wait(bench, 9 * NS_PER_SEC);
	assert_int_equal(bench->nr_events, 1);
	bench_wait(bench, 2 * NS_PER_SEC);
	assert_int_equal(bench->nr_events, 3);
	assert_int_equal(bench->events[1].type, TRACK_DIVERGENCE_CLOSE);
	assert_int_equal(bench->events[1].kind, DIVERGENCE_FIN_QUEUED);
	assert_int_equal(bench->events[1].explained_as, DIVERGENCE_FIN_STALLED);
	assert_int_equal(bench->events[2].kind, DIVERGENCE_FIN_STALLED);
	assert_int_equal(bench->events[2].explains, bench->events[0].id);
	assert_int_equal(bench->events[2].since_ns, bench->events[0].since_ns);
	/* An orphan that nobody reads from is given up in the end. */
	CHANGE(.from = KS_FIN_WAIT1, .to = KS_CLOSE, .error = ETIMEDOUT, .bits = STATE_DEAD,
	       .shutdown = 3, .rcv_nxt = 101, .snd_una = 501, .snd_nxt = 501, .write_seq = 10002);
	bench->kernel = nothing();
	bench_wait(bench, NS_PER_SEC);
	assert_int_equal(stats_of(bench)->divergences[DIVERGENCE_SILENT_CLOSE], 1);
	assert_int_equal(stats_of(bench)->divergences[DIVERGENCE_PEER_UNAWARE], 0);
	assert_int_equal(stats_of(bench)->entries, 0);
}

static void fin_leaves_at_once(void **state)
{
	struct bench *bench = *state;

	open_client(bench);
	close_here(bench);
	bench->kernel = full(KS_FIN_WAIT1, 101, 501, 502);
	bench_wait(bench, 2 * NS_PER_SEC);
	assert_no_divergence(bench);
	assert_int_equal(stats_of(bench)->transients[TRANSIENT_FIN_QUEUED_BRIEFLY], 1);
}

/* ---- peer_unaware, silent_close ---- */

static void fin_is_dropped_on_its_way_out(void **state)
{
	struct bench *bench = *state;

	open_server(bench);
	CHANGE(.from = KS_ESTABLISHED, .to = KS_FIN_WAIT1, .shutdown = 3, .rcv_nxt = 101,
	       .snd_una = 501, .snd_nxt = 501);
	bench_drop(bench, true, F | A, 501, 101);
	bench->kernel = full(KS_FIN_WAIT1, 101, 501, 502);
	bench_wait(bench, 400 * NS_PER_MS);
	assert_opened(bench, DIVERGENCE_PEER_UNAWARE, "NETFILTER_DROP");
	SENT(.flags = F | A, .seq = 501, .ack = 101, .kernel = full(KS_FIN_WAIT1, 101, 501, 502));
	assert_int_equal(bench->events[1].type, TRACK_DIVERGENCE_CLOSE);
}

static void reset_is_dropped_on_its_way_out(void **state)
{
	struct bench *bench = *state;

	open_server(bench);
	CHANGE(.from = KS_ESTABLISHED, .to = KS_CLOSE, .shutdown = 3, .rcv_nxt = 101,
	       .snd_una = 501, .snd_nxt = 501);
	bench_drop(bench, true, R | A, 501, 101);
	bench->kernel = idle_listener;
	bench_wait(bench, NS_PER_SEC);
	assert_int_equal(bench->nr_events, 3);
	assert_int_equal(bench->events[0].kind, DIVERGENCE_PEER_UNAWARE);
	assert_string_equal(bench->events[0].reason, "NETFILTER_DROP");
	assert_int_equal(stats_of(bench)->entries, 0);
}

/* ss -K: the RST goes before the socket closes, and this one goes nowhere. */
static void reset_of_the_killed_is_dropped(void **state)
{
	struct bench *bench = *state;

	open_server(bench);
	bench_drop(bench, true, R | A, 501, 101);
	CHANGE(.from = KS_ESTABLISHED, .to = KS_CLOSE, .error = ECONNABORTED, .rcv_nxt = 101,
	       .snd_una = 501, .snd_nxt = 501);
	bench->kernel = idle_listener;
	bench_wait(bench, NS_PER_SEC);
	assert_moment(bench, 0, DIVERGENCE_KILLED, NULL);
	assert_int_equal(bench->events[2].kind, DIVERGENCE_PEER_UNAWARE);
	assert_int_equal(bench->nr_events, 5);
}

static void nobody_acknowledges_our_fin(void **state)
{
	struct bench *bench = *state;

	reach_last_ack(bench);
	bench->kernel = full(KS_LAST_ACK, 102, 501, 502);
	bench_wait(bench, 3 * NS_PER_SEC);
	CHANGE(.from = KS_LAST_ACK, .to = KS_CLOSE, .error = ETIMEDOUT,
	       .bits = STATE_DONE | STATE_DEAD, .rcv_nxt = 102, .snd_una = 501, .snd_nxt = 502);
	bench->kernel = idle_listener;
	bench_wait(bench, NS_PER_SEC);
	assert_int_equal(bench->nr_events, 3);
	assert_int_equal(bench->events[0].kind, DIVERGENCE_PEER_UNAWARE);
	assert_string_equal(bench->events[0].reason, "timeout");
	assert_int_equal(bench->evidence[0].change.error, ETIMEDOUT);
	assert_int_equal(bench->reports[2].end, END_TIMEOUT);
	assert_int_equal(stats_of(bench)->divergences[DIVERGENCE_SILENT_CLOSE], 0);
}

/* The namespace goes, its orphans find no route. */
static void namespace_ends(void **state)
{
	struct bench *bench = *state;

	open_client(bench);
	close_here(bench);
	CHANGE(.from = KS_FIN_WAIT1, .to = KS_CLOSE, .error = ENETUNREACH, .bits = STATE_DEAD,
	       .shutdown = 3, .rcv_nxt = 101, .snd_una = 501, .snd_nxt = 502);
	bench->kernel = nothing();
	bench_wait(bench, NS_PER_SEC);
	assert_int_equal(bench->events[0].kind, DIVERGENCE_PEER_UNAWARE);
	assert_string_equal(bench->events[0].reason, "unreachable");
}

/* Half-closed: our FIN was acknowledged, then the path died. */
static void half_closed_gives_up(void **state)
{
	struct bench *bench = *state;

	reach_orphan(bench);
	CHANGE(.from = KS_FIN_WAIT2, .to = KS_CLOSE, .error = ETIMEDOUT, .shutdown = 2,
	       .rcv_nxt = 101, .snd_una = 502, .snd_nxt = 502);
	bench->kernel = nothing();
	bench_wait(bench, NS_PER_SEC);
	assert_int_equal(bench->events[0].kind, DIVERGENCE_SILENT_CLOSE);
}

/* Keep-alive tells the peer before it gives up. */
static void keepalive_is_not_silent(void **state)
{
	struct bench *bench = *state;

	open_server(bench);
	SENT(.flags = R | A, .seq = 501, .ack = 101, .kernel = full(KS_ESTABLISHED, 101, 501, 501));
	CHANGE(.from = KS_ESTABLISHED, .to = KS_CLOSE, .error = ETIMEDOUT, .rcv_nxt = 101,
	       .snd_una = 501, .snd_nxt = 501);
	assert_no_divergence(bench);
	assert_int_equal(bench->reports[0].end, END_TIMEOUT);
	assert_int_equal(stats_of(bench)->transients[TRANSIENT_RESET_BEFORE_EVENT], 1);
	assert_int_equal(stats_of(bench)->close_causes[CLOSED_BY_TIMEOUT], 1);
}

static void peer_goes_on_after_our_reset(void **state)
{
	struct bench *bench = *state;

	open_server(bench);
	CHANGE(.from = KS_ESTABLISHED, .to = KS_CLOSE, .shutdown = 3, .rcv_nxt = 101,
	       .snd_una = 501, .snd_nxt = 501);
	SENT(.flags = R | A, .seq = 501, .ack = 101, .kernel = { .state = KS_CLOSE, .cookie = 77 });
	assert_no_divergence(bench);
	bench->nr_events = 0;
	/* Its data to no socket is not recorded, the RST that answers is. */
	for (int i = 0; i < 4; i++) {
		bench_wait(bench, 900 * NS_PER_MS);
		SENT(.flags = R, .seq = 501, .kernel = nothing());
	}
	assert_int_equal(bench->nr_events, 2);
	assert_moment(bench, 0, DIVERGENCE_PEER_UNAWARE, "reset_lost");
	assert_int_equal(bench->events[0].connection->key.remote_port, bench->remote_port);
}

/* Its FIN was on its way. */
static void peer_that_had_not_heard_yet(void **state)
{
	struct bench *bench = *state;

	open_server(bench);
	CHANGE(.from = KS_ESTABLISHED, .to = KS_CLOSE, .shutdown = 3, .rcv_nxt = 101,
	       .snd_una = 501, .snd_nxt = 501);
	SENT(.flags = R | A, .seq = 501, .ack = 101, .kernel = { .state = KS_CLOSE, .cookie = 77 });
	for (int i = 0; i < 30; i++) {
		bench_wait(bench, 40 * NS_PER_MS);
		SENT(.flags = R, .seq = 501, .kernel = nothing());
	}
	assert_no_divergence(bench);
}

/* ---- data_after_close ---- */

static void data_before_the_ack_of_our_fin(void **state)
{
	struct bench *bench = *state;

	open_client(bench);
	close_here(bench);
	CHANGE(.from = KS_FIN_WAIT1, .to = KS_CLOSE, .error = ECONNRESET, .bits = STATE_DEAD,
	       .shutdown = 3, .rcv_nxt = 101, .snd_una = 501, .snd_nxt = 502);
	assert_moment(bench, 0, DIVERGENCE_DATA_AFTER_CLOSE, NULL);
	SENT(.flags = R, .seq = 501, .kernel = { .state = KS_CLOSE, .cookie = 77 });
	assert_int_equal(bench->nr_events, 3);
	assert_int_equal(stats_of(bench)->entries, 0);
}

static void data_to_the_minisocket(void **state)
{
	struct bench *bench = *state;

	reach_minisocket(bench);
	SENT(.flags = R, .seq = 502, .kernel = minisocket(KS_FIN_WAIT2, 101, 502));
	assert_int_equal(bench->nr_events, 3);
	assert_moment(bench, 0, DIVERGENCE_DATA_AFTER_CLOSE, NULL);
	assert_int_equal(stats_of(bench)->entries, 0);
	assert_int_equal(stats_of(bench)->connections[VIEW_KERNEL][FSM_FIN_WAIT_2], 0);
}

/* The peer's own RST: nothing came after close(). */
static void reset_of_an_orphan(void **state)
{
	struct bench *bench = *state;

	open_client(bench);
	close_here(bench);
	RECEIVED(.flags = R, .seq = 101, .kernel = full(KS_FIN_WAIT1, 101, 501, 502));
	CHANGE(.from = KS_FIN_WAIT1, .to = KS_CLOSE, .error = ECONNRESET, .bits = STATE_DEAD,
	       .shutdown = 3, .rcv_nxt = 101, .snd_una = 501, .snd_nxt = 502);
	assert_no_divergence(bench);
	assert_int_equal(bench->reports[0].end, END_REMOTE_RESET);
	assert_int_equal(stats_of(bench)->close_causes[CLOSED_BY_RESET_RECEIVED], 1);
}

/* ---- orphan_aborted ---- */

static void no_memory_for_orphans(void **state)
{
	struct bench *bench = *state;

	open_client(bench);
	close_here(bench);
	CHANGE(.from = KS_FIN_WAIT1, .to = KS_CLOSE, .bits = STATE_DEAD, .shutdown = 3,
	       .rcv_nxt = 101, .snd_una = 501, .snd_nxt = 502);
	SENT(.flags = R | A, .seq = 502, .ack = 101, .kernel = { .state = KS_CLOSE, .cookie = 77 });
	assert_int_equal(bench->nr_events, 3);
	assert_moment(bench, 0, DIVERGENCE_ORPHAN_ABORTED, NULL);
}

/* ---- fin_wait_2_timeout ---- */

static void orphan_runs_out(void **state)
{
	struct bench *bench = *state;

	reach_minisocket(bench);
	bench_wait(bench, 10 * NS_PER_SEC);
	assert_int_equal(bench->nr_events, 0);
	bench->kernel = nothing();
	bench_wait(bench, 30 * NS_PER_SEC);
	assert_int_equal(bench->nr_events, 3);
	assert_moment(bench, 0, DIVERGENCE_FIN_WAIT_2_TIMEOUT, NULL);
	assert_int_equal(bench->reports[2].end, END_LOCAL_CLOSE);
	assert_true(bench->reports[2].observable);
	assert_int_equal(stats_of(bench)->entries, 0);
}

static void linger2_is_negative(void **state)
{
	struct bench *bench = *state;

	reach_orphan(bench);
	CHANGE(.from = KS_FIN_WAIT2, .to = KS_CLOSE, .bits = STATE_DEAD | STATE_LINGER2_NEG,
	       .shutdown = 3, .rcv_nxt = 101, .snd_una = 502, .snd_nxt = 502);
	SENT(.flags = R, .seq = 502, .kernel = { .state = KS_CLOSE, .cookie = 77 });
	assert_int_equal(bench->nr_events, 3);
	assert_moment(bench, 0, DIVERGENCE_FIN_WAIT_2_TIMEOUT, "linger2");
}

/* tcp_fin_timeout > 60 s: a full socket first, the minisocket for the last minute. */
static void long_orphan_stays_a_full_socket(void **state)
{
	struct bench *bench = *state;

	reach_orphan(bench);
	bench->kernel = full(KS_FIN_WAIT2, 101, 502, 502);
	bench_wait(bench, 70 * NS_PER_SEC);
	CHANGE(.from = KS_FIN_WAIT2, .to = KS_CLOSE, .bits = STATE_DEAD, .shutdown = 3,
	       .rcv_nxt = 101, .snd_una = 502, .snd_nxt = 502);
	bench->kernel = minisocket(KS_FIN_WAIT2, 101, 502);
	bench_wait(bench, 50 * NS_PER_SEC);
	assert_no_divergence(bench);
	assert_int_equal(stats_of(bench)->connections[VIEW_KERNEL][FSM_FIN_WAIT_2], 1);
	RECEIVED(.flags = F | A, .seq = 101, .ack = 502,
		 .kernel = minisocket(KS_FIN_WAIT2, 101, 502));
	SENT(.flags = A, .seq = 502, .ack = 102, .kernel = minisocket(KS_TIME_WAIT, 102, 502));
	assert_no_divergence(bench);
	assert_int_equal(stats_of(bench)->connections[VIEW_KERNEL][FSM_TIME_WAIT], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(fin_behind_missing_data),
		TEST(fin_that_waits_a_moment),
		TEST(single_fin_that_waits_is_unobservable),
		TEST(fin_refused_by_tcp),
		TEST(owner_is_stuck),
		TEST(busy_owner_is_not_stuck),
		TEST(fin_waits_behind_data),
		TEST(queued_fin_stalls),
		TEST(fin_leaves_at_once),
		TEST(fin_is_dropped_on_its_way_out),
		TEST(reset_is_dropped_on_its_way_out),
		TEST(reset_of_the_killed_is_dropped),
		TEST(nobody_acknowledges_our_fin),
		TEST(namespace_ends),
		TEST(half_closed_gives_up),
		TEST(keepalive_is_not_silent),
		TEST(peer_goes_on_after_our_reset),
		TEST(peer_that_had_not_heard_yet),
		TEST(data_before_the_ack_of_our_fin),
		TEST(data_to_the_minisocket),
		TEST(reset_of_an_orphan),
		TEST(orphan_runs_out),
		TEST(linger2_is_negative),
		TEST(no_memory_for_orphans),
		TEST(long_orphan_stays_a_full_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
