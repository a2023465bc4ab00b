/* SPDX-License-Identifier: GPL-2.0-only */
/* The tracker on made-up records: whole lives, each divergence, each reason of "unobservable". */
#include "track_kinds.h"

static void assert_path(const uint8_t *path, uint8_t steps, const uint8_t *expected, size_t count)
{
	assert_int_equal(steps, count);
	assert_memory_equal(path, expected, count);
}

#define ASSERT_PATH(path, steps, ...)                                                              \
	do {                                                                                       \
		const uint8_t expected[] = { __VA_ARGS__ };                                        \
		assert_path(path, steps, expected, sizeof(expected));                              \
	} while (0)

/* Ended, observable, compared, and nothing reported but the end. */
static const struct connection_report *assert_clean_end(struct bench *bench)
{
	const struct tracker_stats *stats = tracker_stats(bench->tracker);

	assert_int_equal(bench->nr_events, 1);
	assert_int_equal(bench_last(bench)->type, TRACK_CONNECTION);
	assert_true(bench->reports[0].observable);
	assert_int_equal(bench->reports[0].divergences, 0);
	assert_int_equal(stats->entries, 0);
	assert_int_equal(stats->compared_in_two, 1);
	for (int view = 0; view < VIEW_NR; view++)
		for (int state = 0; state < FSM_NR_STATES; state++)
			assert_int_equal(stats->connections[view][state], 0);
	return &bench->reports[0];
}

/* Table C seen from the client's side, B from the server's: the remote end closes first. */
static void server_life(void **state)
{
	struct bench *bench = *state;
	const struct connection_report *report;

	open_server(bench);
	RECEIVED(.flags = F | A, .seq = 101, .ack = 501,
		 .kernel = full(KS_ESTABLISHED, 101, 501, 501));
	CHANGE(.from = KS_ESTABLISHED, .to = KS_CLOSE_WAIT, .bits = STATE_DONE, .rcv_nxt = 102,
	       .snd_una = 501, .snd_nxt = 501);
	SENT(.flags = A, .seq = 501, .ack = 102, .kernel = full(KS_CLOSE_WAIT, 102, 501, 501));
	CHANGE(.from = KS_CLOSE_WAIT, .to = KS_LAST_ACK, .bits = STATE_DONE, .rcv_nxt = 102,
	       .snd_una = 501, .snd_nxt = 501);
	SENT(.flags = F | A, .seq = 501, .ack = 102, .kernel = full(KS_LAST_ACK, 102, 501, 501));
	RECEIVED(.flags = A, .seq = 102, .ack = 502, .kernel = full(KS_LAST_ACK, 102, 501, 502));
	CHANGE(.from = KS_LAST_ACK, .to = KS_CLOSE, .bits = STATE_DONE, .rcv_nxt = 102,
	       .snd_una = 502, .snd_nxt = 502);

	report = assert_clean_end(bench);
	assert_int_equal(report->role, ROLE_SERVER);
	assert_int_equal(report->end, END_REMOTE_CLOSE);
	ASSERT_PATH(report->local_path, report->local_steps, FSM_SYN_RECEIVED, FSM_ESTABLISHED,
		    FSM_CLOSE_WAIT, FSM_LAST_ACK, FSM_CLOSED);
	ASSERT_PATH(report->remote_path, report->remote_steps, FSM_SYN_SENT, FSM_ESTABLISHED,
		    FSM_FIN_WAIT_1, FSM_FIN_WAIT_2, FSM_TIME_WAIT);
	ASSERT_PATH(report->kernel_path, report->kernel_steps, KS_NEW_SYN_RECV, KS_ESTABLISHED,
		    KS_CLOSE_WAIT, KS_LAST_ACK, KS_CLOSE);
	assert_int_equal(tracker_stats(bench->tracker)->opened[ROLE_SERVER], 1);
}

static void client_life_through_time_wait(void **state)
{
	struct bench *bench = *state;
	const struct tracker_stats *stats = tracker_stats(bench->tracker);
	const struct connection_report *report;

	CHANGE(.from = KS_CLOSE, .to = KS_SYN_SENT, .bits = STATE_NO_TUPLE);
	open_client(bench);
	assert_int_equal(stats->opened[ROLE_CLIENT], 1);
	CHANGE(.from = KS_ESTABLISHED, .to = KS_FIN_WAIT1, .rcv_nxt = 101, .snd_una = 501,
	       .snd_nxt = 501);
	SENT(.flags = F | A, .seq = 501, .ack = 101, .kernel = full(KS_FIN_WAIT1, 101, 501, 501));
	RECEIVED(.flags = A, .seq = 101, .ack = 502, .kernel = full(KS_FIN_WAIT1, 101, 501, 502));
	CHANGE(.from = KS_FIN_WAIT1, .to = KS_FIN_WAIT2, .bits = STATE_DEAD, .rcv_nxt = 101,
	       .snd_una = 502, .snd_nxt = 502);
	CHANGE(.from = KS_FIN_WAIT2, .to = KS_CLOSE, .bits = STATE_DEAD, .rcv_nxt = 101,
	       .snd_una = 502, .snd_nxt = 502);
	assert_int_equal(stats->connections[VIEW_KERNEL][FSM_FIN_WAIT_2], 1);
	RECEIVED(.flags = F | A, .seq = 101, .ack = 502,
		 .kernel = minisocket(KS_FIN_WAIT2, 101, 502));
	SENT(.flags = A, .seq = 502, .ack = 102, .kernel = minisocket(KS_TIME_WAIT, 102, 502));
	assert_int_equal(stats->connections[VIEW_WIRE][FSM_TIME_WAIT], 1);
	assert_int_equal(stats->connections[VIEW_KERNEL][FSM_TIME_WAIT], 1);

	bench->kernel = minisocket(KS_TIME_WAIT, 102, 502);
	bench_wait(bench, 59 * NS_PER_SEC);
	assert_int_equal(bench->nr_events, 0);
	bench_wait(bench, 2 * NS_PER_SEC);
	/* The reference's 2 MSL are over; the minisocket is still there, and so is the entry. */
	assert_int_equal(stats->connections[VIEW_WIRE][FSM_TIME_WAIT], 0);
	assert_int_equal(stats->connections[VIEW_KERNEL][FSM_TIME_WAIT], 1);
	bench->kernel = nothing();
	bench_wait(bench, 2 * NS_PER_SEC);

	report = assert_clean_end(bench);
	assert_int_equal(report->role, ROLE_CLIENT);
	assert_int_equal(report->end, END_LOCAL_CLOSE);
	ASSERT_PATH(report->local_path, report->local_steps, FSM_SYN_SENT, FSM_ESTABLISHED,
		    FSM_FIN_WAIT_1, FSM_FIN_WAIT_2, FSM_TIME_WAIT, FSM_CLOSED);
	ASSERT_PATH(report->kernel_path, report->kernel_steps, KS_SYN_SENT, KS_ESTABLISHED,
		    KS_FIN_WAIT1, KS_FIN_WAIT2, KS_TIME_WAIT, KS_CLOSE);
}

static void refused_connect(void **state)
{
	struct bench *bench = *state;
	const struct tracker_stats *stats = tracker_stats(bench->tracker);

	SENT(.flags = S, .seq = 500, .kernel = full(KS_SYN_SENT, 0, 0, 0));
	RECEIVED(.flags = R | A, .seq = 0, .ack = 501, .kernel = full(KS_SYN_SENT, 0, 500, 501));
	CHANGE(.from = KS_SYN_SENT, .to = KS_CLOSE, .error = ECONNREFUSED);
	assert_clean_end(bench);
	assert_int_equal(bench->reports[0].end, END_REFUSED);
	assert_int_equal(stats->connect_failures[CONNECT_REFUSED], 1);
	assert_int_equal(stats->closed[ROLE_CLIENT][END_REFUSED], 1);
}

static void connect_timeout_is_no_divergence(void **state)
{
	struct bench *bench = *state;

	SENT(.flags = S, .seq = 500, .kernel = full(KS_SYN_SENT, 0, 0, 0));
	bench->kernel = full(KS_SYN_SENT, 0, 500, 501);
	bench_wait(bench, 3 * NS_PER_SEC);
	CHANGE(.from = KS_SYN_SENT, .to = KS_CLOSE, .error = ETIMEDOUT);
	bench->kernel = nothing();
	bench_wait(bench, NS_PER_SEC);
	assert_int_equal(bench->nr_events, 1);
	assert_int_equal(bench_last(bench)->type, TRACK_CONNECTION);
	assert_int_equal(bench->reports[0].end, END_HANDSHAKE_TIMEOUT);
	assert_true(bench->reports[0].observable);
}

static void reset_by_linger(void **state)
{
	struct bench *bench = *state;

	open_server(bench);
	/* The event comes before the RST leaves (KERNEL.md §1.3). */
	CHANGE(.from = KS_ESTABLISHED, .to = KS_CLOSE, .rcv_nxt = 101, .snd_una = 501,
	       .snd_nxt = 501);
	assert_int_equal(bench->nr_events, 0);
	SENT(.flags = R | A, .seq = 501, .ack = 101, .kernel = { .state = KS_CLOSE, .cookie = 77 });
	assert_clean_end(bench);
	assert_int_equal(bench->reports[0].end, END_LOCAL_RESET);
}

/* Data and RST in one batch: XDP sees the RST while the stack has not taken in the data. */
static void reset_behind_data_of_its_batch(void **state)
{
	struct bench *bench = *state;

	bench->ingress_hook = HOOK_XDP_NATIVE;
	open_server(bench);
	RECEIVED(.flags = R | A, .seq = 201, .ack = 501,
		 .kernel = full(KS_ESTABLISHED, 101, 501, 501));
	assert_int_equal(tracker_stats(bench->tracker)->connections[VIEW_WIRE][FSM_ESTABLISHED], 1);
	CHANGE(.from = KS_ESTABLISHED, .to = KS_CLOSE, .error = ECONNRESET, .rcv_nxt = 201,
	       .snd_una = 501, .snd_nxt = 501);
	assert_clean_end(bench);
	assert_int_equal(bench->reports[0].end, END_REMOTE_RESET);
}

/* RFC 5961 §3: in the window and not at RCV.NXT, it is challenged, behind XDP too. */
static void blind_reset_is_challenged(void **state)
{
	struct bench *bench = *state;
	const struct tracker_stats *stats = tracker_stats(bench->tracker);

	bench->ingress_hook = HOOK_XDP_NATIVE;
	open_server(bench);
	RECEIVED(.flags = R, .seq = 201, .kernel = full(KS_ESTABLISHED, 101, 501, 501));
	bench->kernel = full(KS_ESTABLISHED, 101, 501, 501);
	bench_wait(bench, NS_PER_SEC);
	assert_int_equal(stats->anomalies[AN_RST_IN_WINDOW], 1);
	assert_int_equal(stats->connections[VIEW_WIRE][FSM_ESTABLISHED], 1);
	assert_moment(bench, 0, DIVERGENCE_RESET_IGNORED, NULL);
	RECEIVED(.flags = R, .seq = 101, .kernel = full(KS_ESTABLISHED, 101, 501, 501));
	CHANGE(.from = KS_ESTABLISHED, .to = KS_CLOSE, .error = ECONNRESET, .rcv_nxt = 101,
	       .snd_una = 501, .snd_nxt = 501);
	assert_int_equal(bench->nr_events, 3);
	assert_int_equal(bench->reports[2].end, END_REMOTE_RESET);
}

/* XDP is ahead of the stack, so each RST is held until a look; the next one must not hide it. */
static void resets_in_a_row_at_xdp(void **state)
{
	struct bench *bench = *state;

	bench->ingress_hook = HOOK_XDP_NATIVE;
	open_server(bench);
	for (uint32_t offset = 10; offset < 50; offset += 10)
		RECEIVED(.flags = R, .seq = 101 + offset,
			 .kernel = full(KS_ESTABLISHED, 101, 501, 501));
	bench->kernel = full(KS_ESTABLISHED, 101, 501, 501);
	bench_wait(bench, 400 * NS_PER_MS);
	assert_int_equal(tracker_stats(bench->tracker)->divergences[DIVERGENCE_FORGED_RESET], 1);
	assert_int_equal(bench->events[0].kind, DIVERGENCE_FORGED_RESET);
	assert_int_equal(bench->events[0].connection->local_state, FSM_ESTABLISHED);
}

/* At XDP, before a FIN that makes its number the expected one: it was challenged all the same. */
static void reset_ahead_of_a_fin_at_xdp(void **state)
{
	struct bench *bench = *state;

	bench->ingress_hook = HOOK_XDP_NATIVE;
	open_server(bench);
	RECEIVED(.flags = R, .seq = 102, .kernel = full(KS_ESTABLISHED, 101, 501, 501));
	RECEIVED(.flags = F | A, .seq = 101, .ack = 501,
		 .kernel = full(KS_ESTABLISHED, 101, 501, 501));
	CHANGE(.from = KS_ESTABLISHED, .to = KS_CLOSE_WAIT, .bits = STATE_DONE, .rcv_nxt = 102,
	       .snd_una = 501, .snd_nxt = 501);
	SENT(.flags = A, .seq = 501, .ack = 102, .kernel = full(KS_CLOSE_WAIT, 102, 501, 501));
	bench->kernel = full(KS_CLOSE_WAIT, 102, 501, 501);
	bench_wait(bench, 20 * NS_PER_SEC);
	assert_int_equal(tracker_stats(bench->tracker)->divergences[DIVERGENCE_RESET_IGNORED], 1);
	assert_int_equal(tracker_stats(bench->tracker)->connections[VIEW_WIRE][FSM_CLOSE_WAIT], 1);
	assert_int_equal(bench->reports[0].local_state, FSM_CLOSE_WAIT);
}

/* A request answers for a listener that is gone, until the final ACK finds it out (row 8). */
static void request_outlives_its_listener(void **state)
{
	struct bench *bench = *state;

	RECEIVED(.flags = S, .seq = 100, .kernel = idle_listener);
	SENT(.flags = S | A, .seq = 500, .ack = 101,
	     .kernel = queues(KS_NEW_SYN_RECV, 0, 0, 16, 1));
	RECEIVED(.flags = A, .seq = 101, .ack = 501,
		 .kernel = queues(KS_NEW_SYN_RECV, 0, 0, 16, 1));
	SENT(.flags = R, .seq = 501, .kernel = nothing());
	bench->kernel = nothing();
	bench_wait(bench, 400 * NS_PER_MS);
	assert_int_equal(
		tracker_stats(bench->tracker)->transients[TRANSIENT_REQUEST_OUTLIVES_LISTENER], 1);
	assert_int_equal(bench->nr_events, 1);
	assert_int_equal(bench->reports[0].divergences, 0);
}

/* Whose SYN died on its way out is a client all the same. */
static void connecting_without_a_syn(void **state)
{
	struct bench *bench = *state;
	struct connection_report report;
	struct conn_key key = { .local_port = 443, .remote_port = 50000, .netns = 1 };
	uint32_t life;

	memcpy(key.local_address, (uint8_t[]){ [10] = 255, 255, 10, 0, 0, 1 }, 16);
	memcpy(key.remote_address, (uint8_t[]){ [10] = 255, 255, 10, 0, 0, 2 }, 16);
	CHANGE(.from = KS_CLOSE, .to = KS_SYN_SENT);
	assert_true(tracker_find(bench->tracker, &key, &report, &life));
	assert_int_equal(report.role, ROLE_CLIENT);
	assert_int_equal(tracker_stats(bench->tracker)->opened[ROLE_CLIENT], 0);
}

static void accept_queue_overflow(void **state)
{
	struct bench *bench = *state;

	RECEIVED(.flags = S, .seq = 100, .kernel = idle_listener);
	SENT(.flags = S | A, .seq = 500, .ack = 101, .kernel = queues(KS_NEW_SYN_RECV, 0, 0, 1, 1));
	RECEIVED(.flags = A, .seq = 101, .ack = 501, .kernel = queues(KS_NEW_SYN_RECV, 0, 2, 1, 1));
	assert_int_equal(bench->nr_events, 0);
	bench->kernel = queues(KS_NEW_SYN_RECV, SNAP_ACKED, 2, 1, 1);
	bench_wait(bench, 200 * NS_PER_MS);
	assert_int_equal(bench->nr_events, 0);
	bench_wait(bench, 100 * NS_PER_MS);
	assert_opened(bench, DIVERGENCE_ACCEPT_QUEUE_OVERFLOW, "accept_queue_full");

	/* accept() makes room, the peer's next segment makes the child. */
	CHANGE(.from = KS_SYN_RECV, .to = KS_ESTABLISHED, .rcv_nxt = 101, .snd_una = 501,
	       .snd_nxt = 501);
	assert_int_equal(bench->nr_events, 2);
	assert_int_equal(bench->events[1].type, TRACK_DIVERGENCE_CLOSE);
	assert_int_equal(
		tracker_stats(bench->tracker)->divergences_open[DIVERGENCE_ACCEPT_QUEUE_OVERFLOW],
		0);
}

static void refused_final_ack_expires(void **state)
{
	struct bench *bench = *state;

	RECEIVED(.flags = S, .seq = 100, .kernel = idle_listener);
	SENT(.flags = S | A, .seq = 500, .ack = 101, .kernel = queues(KS_NEW_SYN_RECV, 0, 0, 1, 1));
	RECEIVED(.flags = A, .seq = 101, .ack = 501, .kernel = queues(KS_NEW_SYN_RECV, 0, 2, 1, 1));
	bench->kernel = queues(KS_NEW_SYN_RECV, SNAP_ACKED, 2, 1, 1);
	bench_wait(bench, NS_PER_SEC);
	bench->kernel = queues(KS_LISTEN, 0, 2, 1, 0);
	bench_wait(bench, 20 * NS_PER_SEC);
	assert_int_equal(bench->nr_events, 3);
	assert_int_equal(bench->events[1].type, TRACK_DIVERGENCE_CLOSE);
	assert_int_equal(bench->reports[2].end, END_HANDSHAKE_TIMEOUT);
	assert_int_equal(tracker_stats(bench->tracker)->entries, 0);
}

static void syn_dropped_by_accept_queue(void **state)
{
	struct bench *bench = *state;

	RECEIVED(.flags = S, .seq = 100, .kernel = queues(KS_LISTEN, 0, 2, 1, 0));
	bench->kernel = after_drops(queues(KS_LISTEN, 0, 2, 1, 0), 1);
	bench_wait(bench, 400 * NS_PER_MS);
	assert_opened(bench, DIVERGENCE_SYN_DROPPED, "accept_queue_full");
	bench_wait(bench, 600 * NS_PER_MS);
	RECEIVED(.flags = S, .seq = 100, .kernel = idle_listener);
	SENT(.flags = S | A, .seq = 500, .ack = 101, .kernel = queues(KS_NEW_SYN_RECV, 0, 0, 1, 1));
	assert_int_equal(bench->nr_events, 2);
	assert_int_equal(bench->events[1].type, TRACK_DIVERGENCE_CLOSE);
}

/* With no queue to blame one silence is not enough. */
static void one_silent_syn_is_no_divergence(void **state)
{
	struct bench *bench = *state;

	RECEIVED(.flags = S, .seq = 100, .kernel = idle_listener);
	bench->kernel = after_drops(idle_listener, 1);
	bench_wait(bench, 900 * NS_PER_MS);
	assert_int_equal(bench->nr_events, 0);
	RECEIVED(.flags = S, .seq = 100, .kernel = after_drops(idle_listener, 1));
	bench->kernel = after_drops(idle_listener, 2);
	bench_wait(bench, 4 * NS_PER_SEC);
	assert_opened(bench, DIVERGENCE_SYN_DROPPED, "unknown");
	bench_wait(bench, 70 * NS_PER_SEC);
	assert_int_equal(bench->nr_events, 3);
	assert_int_equal(bench_last(bench)->connection->end, END_HANDSHAKE_TIMEOUT);
	assert_int_equal(tracker_stats(bench->tracker)->entries, 0);
}

/* A published port on which somebody listens as well: the server that NAT chose is silent. */
static void syns_that_pass_the_listener_are_no_divergence(void **state)
{
	struct bench *bench = *state;
	const struct rec_snapshot full_queue = queues(KS_LISTEN, 0, 2, 1, 0);

	bench->kernel = full_queue;
	for (int i = 0; i < 4; i++) {
		RECEIVED(.flags = S, .seq = 100, .kernel = full_queue);
		bench_wait(bench, NS_PER_SEC << i);
	}
	bench_wait(bench, 70 * NS_PER_SEC);
	assert_int_equal(bench->nr_events, 1);
	assert_false(bench->reports[0].observable);
	assert_int_equal(bench->reports[0].why, UNOBSERVABLE_NOT_LOCAL);
	assert_int_equal(tracker_stats(bench->tracker)->entries, 0);
}

/* ss -K of a minisocket that a look has seen: an overflow of their table would not have made it. */
static void minisocket_killed(void **state)
{
	struct bench *bench = *state;

	open_server(bench);
	CHANGE(.from = KS_ESTABLISHED, .to = KS_FIN_WAIT1, .rcv_nxt = 101, .snd_una = 501,
	       .snd_nxt = 501);
	SENT(.flags = F | A, .seq = 501, .ack = 101, .kernel = full(KS_FIN_WAIT1, 101, 501, 501));
	RECEIVED(.flags = F | A, .seq = 101, .ack = 502,
		 .kernel = full(KS_FIN_WAIT1, 101, 501, 502));
	CHANGE(.from = KS_FIN_WAIT1, .to = KS_FIN_WAIT2, .rcv_nxt = 101, .snd_una = 502,
	       .snd_nxt = 502);
	SENT(.flags = A, .seq = 502, .ack = 102, .kernel = full(KS_FIN_WAIT2, 102, 502, 502));
	CHANGE(.from = KS_FIN_WAIT2, .to = KS_CLOSE, .bits = STATE_DONE, .rcv_nxt = 102,
	       .snd_una = 502, .snd_nxt = 502);
	bench->kernel = minisocket(KS_TIME_WAIT, 102, 502);
	bench_wait(bench, NS_PER_SEC);
	bench->kernel = nothing();
	sweep(bench, SWEEP_BEGIN);
	sweep(bench, SWEEP_END);
	bench_wait(bench, 3 * NS_PER_SEC);
	assert_int_equal(tracker_stats(bench->tracker)->divergences[DIVERGENCE_KILLED], 1);
	assert_int_equal(tracker_stats(bench->tracker)->divergences[DIVERGENCE_TIME_WAIT_MISSING],
			 0);
	assert_int_equal(tracker_stats(bench->tracker)->entries, 0);
	assert_int_equal(bench_last(bench)->type, TRACK_CONNECTION);
	assert_int_equal(bench_last(bench)->connection->end, END_LOCAL_CLOSE);
}

static void filtered_syn(void **state)
{
	struct bench *bench = *state;

	RECEIVED(.flags = S, .seq = 100, .kernel = idle_listener);
	bench_drop(bench, false, S, 100, 0);
	bench->kernel = idle_listener;
	bench_wait(bench, 400 * NS_PER_MS);
	assert_opened(bench, DIVERGENCE_SEGMENT_FILTERED, "NETFILTER_DROP");
}

static void filtered_final_ack(void **state)
{
	struct bench *bench = *state;

	RECEIVED(.flags = S, .seq = 100, .kernel = idle_listener);
	SENT(.flags = S | A, .seq = 500, .ack = 101,
	     .kernel = queues(KS_NEW_SYN_RECV, 0, 0, 16, 1));
	RECEIVED(.flags = A, .seq = 101, .ack = 501,
		 .kernel = queues(KS_NEW_SYN_RECV, 0, 0, 16, 1));
	bench_drop(bench, false, A, 101, 501);
	bench->kernel = queues(KS_NEW_SYN_RECV, 0, 0, 16, 1);
	bench_wait(bench, 400 * NS_PER_MS);
	assert_opened(bench, DIVERGENCE_SEGMENT_FILTERED, "NETFILTER_DROP");
}

/* TCP's own drops explain nothing: the reference judges those segments itself. */
static void drops_inside_tcp_are_not_filters(void **state)
{
	struct bench *bench = *state;

	bench->drop_reason = "TCP_OLD_DATA";
	RECEIVED(.flags = S, .seq = 100, .kernel = idle_listener);
	bench_drop(bench, false, S, 100, 0);
	bench->kernel = idle_listener;
	bench_wait(bench, 900 * NS_PER_MS);
	assert_int_equal(bench->nr_events, 0);
}

static void silent_close(void **state)
{
	struct bench *bench = *state;

	open_server(bench);
	bench_wait(bench, NS_PER_SEC);
	CHANGE(.from = KS_ESTABLISHED, .to = KS_CLOSE, .error = ETIMEDOUT, .rcv_nxt = 101,
	       .snd_una = 501, .snd_nxt = 601);
	bench->kernel = idle_listener;
	bench_wait(bench, 400 * NS_PER_MS);
	assert_int_equal(bench->nr_events, 3);
	assert_int_equal(bench->events[0].type, TRACK_DIVERGENCE_OPEN);
	assert_int_equal(bench->events[0].kind, DIVERGENCE_SILENT_CLOSE);
	assert_string_equal(bench->events[0].reason, "timeout");
	assert_int_equal(bench->reports[2].end, END_TIMEOUT);
	assert_int_equal(tracker_stats(bench->tracker)->entries, 0);
}

static void cookie_is_expected(void **state)
{
	struct bench *bench = *state;

	RECEIVED(.flags = S, .seq = 100, .kernel = idle_listener);
	SENT(.flags = S | A, .seq = 500, .ack = 101, .kernel = nothing());
	assert_opened(bench, DIVERGENCE_COOKIE_STATELESS, NULL);
	assert_int_equal(divergence_class(DIVERGENCE_COOKIE_STATELESS), CLASS_EXPECTED);
	RECEIVED(.flags = A, .seq = 101, .ack = 501, .kernel = idle_listener);
	CHANGE(.from = KS_SYN_RECV, .to = KS_ESTABLISHED, .rcv_nxt = 101, .snd_una = 501,
	       .snd_nxt = 501);
	assert_int_equal(bench->nr_events, 2);
	assert_int_equal(bench->events[1].type, TRACK_DIVERGENCE_CLOSE);
}

static void deferred_accept_is_expected(void **state)
{
	struct bench *bench = *state;

	RECEIVED(.flags = S, .seq = 100, .kernel = idle_listener);
	SENT(.flags = S | A, .seq = 500, .ack = 101,
	     .kernel = queues(KS_NEW_SYN_RECV, SNAP_DEFER, 0, 16, 1));
	RECEIVED(.flags = A, .seq = 101, .ack = 501,
		 .kernel = queues(KS_NEW_SYN_RECV, SNAP_DEFER, 0, 16, 1));
	bench->kernel = queues(KS_NEW_SYN_RECV, SNAP_DEFER | SNAP_ACKED, 0, 16, 1);
	bench_wait(bench, 400 * NS_PER_MS);
	assert_opened(bench, DIVERGENCE_DEFERRED_ACCEPT, NULL);
}

/* A socket whose owner holds its lock lags for as long as it likes: no verdict. */
static void owned_socket_is_waited_for(void **state)
{
	struct bench *bench = *state;

	open_server(bench);
	RECEIVED(.flags = F | A, .seq = 101, .ack = 501,
		 .kernel = full(KS_ESTABLISHED, 101, 501, 501));
	bench->kernel = full(KS_ESTABLISHED, 101, 501, 501);
	bench->kernel.bits |= SNAP_OWNED;
	bench_wait(bench, 1500 * NS_PER_MS);
	assert_int_equal(bench->nr_events, 0);
	assert_int_equal(tracker_stats(bench->tracker)->entries, 1);
	CHANGE(.from = KS_ESTABLISHED, .to = KS_CLOSE_WAIT, .bits = STATE_DONE, .rcv_nxt = 102,
	       .snd_una = 501, .snd_nxt = 501);
	bench_wait(bench, NS_PER_SEC);
	assert_int_equal(tracker_stats(bench->tracker)->unobservable[UNOBSERVABLE_UNEXPLAINED], 0);
	assert_int_equal(tracker_stats(bench->tracker)->connections[VIEW_KERNEL][FSM_CLOSE_WAIT],
			 1);
	assert_int_equal(tracker_stats(bench->tracker)->transients[TRANSIENT_OWNER_BUSY], 1);
}

/* A request that died of RST has no tracepoint: a look finds out. */
static void embryonic_reset(void **state)
{
	struct bench *bench = *state;

	RECEIVED(.flags = S, .seq = 100, .kernel = idle_listener);
	SENT(.flags = S | A, .seq = 500, .ack = 101,
	     .kernel = queues(KS_NEW_SYN_RECV, 0, 0, 16, 1));
	RECEIVED(.flags = R, .seq = 101, .kernel = queues(KS_NEW_SYN_RECV, 0, 0, 16, 1));
	bench->kernel = idle_listener;
	bench_wait(bench, 400 * NS_PER_MS);
	assert_int_equal(bench->nr_events, 1);
	assert_int_equal(bench->reports[0].end, END_REMOTE_RESET);
	assert_int_equal(tracker_stats(bench->tracker)->entries, 0);
}

static void handshake_that_nobody_completes(void **state)
{
	struct bench *bench = *state;

	RECEIVED(.flags = S, .seq = 100, .kernel = idle_listener);
	SENT(.flags = S | A, .seq = 500, .ack = 101,
	     .kernel = queues(KS_NEW_SYN_RECV, 0, 0, 16, 1));
	bench->kernel = queues(KS_NEW_SYN_RECV, 0, 0, 16, 1);
	bench_wait(bench, 10 * NS_PER_SEC);
	assert_int_equal(bench->nr_events, 0);
	bench->kernel = idle_listener;
	bench_wait(bench, 40 * NS_PER_SEC);
	assert_int_equal(bench->nr_events, 3);
	assert_moment(bench, 0, DIVERGENCE_REQUEST_EXPIRED, NULL);
	assert_int_equal(bench->reports[2].end, END_HANDSHAKE_TIMEOUT);
	assert_true(bench->reports[2].observable);
}

/* Tracepoints that passed our programs by: later words of the kernel tell what they told. */
static void missed_state_changes_are_made_up_for(void **state)
{
	struct bench *bench = *state;
	const struct tracker_stats *stats = tracker_stats(bench->tracker);
	const struct connection_report *report;

	RECEIVED(.flags = S, .seq = 100, .kernel = idle_listener);
	SENT(.flags = S | A, .seq = 500, .ack = 101,
	     .kernel = queues(KS_NEW_SYN_RECV, 0, 0, 16, 1));
	RECEIVED(.flags = A, .seq = 101, .ack = 501,
		 .kernel = queues(KS_NEW_SYN_RECV, 0, 0, 16, 1));
	/* SYN_RECV->ESTABLISHED is missing; the FIN's snapshot knows better. */
	RECEIVED(.flags = F | A, .seq = 101, .ack = 501,
		 .kernel = full(KS_ESTABLISHED, 101, 501, 501));
	assert_int_equal(stats->opened[ROLE_SERVER], 1);
	assert_int_equal(stats->kernel_gaps, 1);
	/* ESTABLISHED->CLOSE_WAIT is missing; the next change begins where it led. */
	CHANGE(.from = KS_CLOSE_WAIT, .to = KS_LAST_ACK, .bits = STATE_DONE, .rcv_nxt = 102,
	       .snd_una = 501, .snd_nxt = 501);
	assert_int_equal(stats->kernel_gaps, 2);
	SENT(.flags = F | A, .seq = 501, .ack = 102, .kernel = full(KS_LAST_ACK, 102, 501, 501));
	RECEIVED(.flags = A, .seq = 102, .ack = 502, .kernel = full(KS_LAST_ACK, 102, 501, 502));
	/* LAST_ACK->CLOSE is missing; fresh looks find nothing there any more. */
	bench->kernel = idle_listener;
	bench_wait(bench, 2 * NS_PER_SEC);

	report = assert_clean_end(bench);
	ASSERT_PATH(report->kernel_path, report->kernel_steps, KS_NEW_SYN_RECV, KS_ESTABLISHED,
		    KS_CLOSE_WAIT, KS_LAST_ACK, KS_CLOSE);
	assert_int_equal(stats->opened[ROLE_SERVER], 1);
}

static void untapped(void **state)
{
	struct bench *bench = *state;
	const struct tracker_stats *stats = tracker_stats(bench->tracker);

	CHANGE(.from = KS_SYN_SENT, .to = KS_ESTABLISHED);
	assert_int_equal(stats->opened[ROLE_CLIENT], 1);
	assert_int_equal(stats->connections[VIEW_KERNEL][FSM_ESTABLISHED], 1);
	assert_int_equal(stats->connections[VIEW_WIRE][FSM_ESTABLISHED], 0);
	bench_wait(bench, NS_PER_SEC);
	CHANGE(.from = KS_ESTABLISHED, .to = KS_CLOSE, .error = ETIMEDOUT);
	assert_int_equal(bench->nr_events, 1);
	assert_false(bench->reports[0].observable);
	assert_int_equal(bench->reports[0].why, UNOBSERVABLE_UNTAPPED);
	assert_int_equal(stats->unobservable[UNOBSERVABLE_UNTAPPED], 1);
	assert_int_equal(stats->divergences[DIVERGENCE_SILENT_CLOSE], 0);
}

static void adopted_in_mid_life(void **state)
{
	struct bench *bench = *state;

	RECEIVED(.flags = F | A, .seq = 9000, .ack = 4000,
		 .kernel = full(KS_ESTABLISHED, 9000, 4000, 4000));
	CHANGE(.from = KS_ESTABLISHED, .to = KS_CLOSE_WAIT, .bits = STATE_DONE, .rcv_nxt = 9001,
	       .snd_una = 4000, .snd_nxt = 4000);
	CHANGE(.from = KS_CLOSE_WAIT, .to = KS_LAST_ACK, .bits = STATE_DONE, .rcv_nxt = 9001,
	       .snd_una = 4000, .snd_nxt = 4000);
	SENT(.flags = F | A, .seq = 4000, .ack = 9001,
	     .kernel = full(KS_LAST_ACK, 9001, 4000, 4000));
	RECEIVED(.flags = A, .seq = 9001, .ack = 4001,
		 .kernel = full(KS_LAST_ACK, 9001, 4000, 4001));
	CHANGE(.from = KS_LAST_ACK, .to = KS_CLOSE, .bits = STATE_DONE, .rcv_nxt = 9001,
	       .snd_una = 4001, .snd_nxt = 4001);
	assert_int_equal(bench->nr_events, 1);
	assert_int_equal(bench->reports[0].why, UNOBSERVABLE_ADOPTED);
	assert_int_equal(bench->reports[0].end, END_REMOTE_CLOSE);
	assert_int_equal(tracker_stats(bench->tracker)->entries, 0);
}

static void syn_over_time_wait_is_a_new_life(void **state)
{
	struct bench *bench = *state;

	open_client(bench);
	CHANGE(.from = KS_ESTABLISHED, .to = KS_FIN_WAIT1, .rcv_nxt = 101, .snd_una = 501,
	       .snd_nxt = 501);
	SENT(.flags = F | A, .seq = 501, .ack = 101, .kernel = full(KS_FIN_WAIT1, 101, 501, 501));
	RECEIVED(.flags = F | A, .seq = 101, .ack = 502,
		 .kernel = full(KS_FIN_WAIT1, 101, 501, 502));
	CHANGE(.from = KS_FIN_WAIT1, .to = KS_FIN_WAIT2, .rcv_nxt = 101, .snd_una = 502,
	       .snd_nxt = 502);
	SENT(.flags = A, .seq = 502, .ack = 102, .kernel = full(KS_FIN_WAIT2, 102, 502, 502));
	CHANGE(.from = KS_FIN_WAIT2, .to = KS_CLOSE, .bits = STATE_DONE, .rcv_nxt = 102,
	       .snd_una = 502, .snd_nxt = 502);
	/* tcp_tw_reuse: the same tuple, another socket. */
	SENT(.flags = S, .seq = 70000,
	     .kernel = { .cookie = 78, .state = KS_SYN_SENT, .bits = SNAP_LOOKED });
	assert_int_equal(bench->nr_events, 3);
	assert_moment(bench, 0, DIVERGENCE_TIME_WAIT_REUSED, "active");
	assert_int_equal(bench->reports[2].end, END_LOCAL_CLOSE);
	assert_true(bench->reports[2].observable);
	assert_int_equal(tracker_stats(bench->tracker)->opened[ROLE_CLIENT], 2);
	assert_int_equal(tracker_stats(bench->tracker)->connections[VIEW_WIRE][FSM_SYN_SENT], 1);
}

static void copy_on_a_second_interface_is_counted_once(void **state)
{
	struct bench *bench = *state;
	const struct tracker_stats *stats = tracker_stats(bench->tracker);

	RECEIVED(.flags = S, .seq = 100, .kernel = idle_listener);
	bench->ifindex = 3;
	RECEIVED(.flags = S, .seq = 100, .kernel = idle_listener);
	bench->ifindex = 2;
	bench->kernel = idle_listener;
	bench_wait(bench, 5 * NS_PER_SEC);
	/* A copy is no retransmission: one silence stays one. */
	assert_int_equal(stats->divergences[DIVERGENCE_SYN_DROPPED], 0);
}

static void stray_segments_begin_nothing(void **state)
{
	struct bench *bench = *state;

	RECEIVED(.flags = A, .seq = 1, .ack = 2, .kernel = nothing());
	RECEIVED(.flags = S, .seq = 1, .kernel = nothing());
	RECEIVED(.flags = R, .seq = 1, .kernel = idle_listener);
	SENT(.flags = R | A, .seq = 0, .ack = 2, .kernel = nothing());
	assert_int_equal(tracker_stats(bench->tracker)->stray_segments, 4);
	assert_int_equal(tracker_stats(bench->tracker)->entries, 0);
}

static void full_table_gives_up_half_open_first(void **state)
{
	struct bench *bench = *state;
	const struct tracker_stats *stats = tracker_stats(bench->tracker);

	open_server(bench);
	for (uint16_t port = 1; port <= 4; port++) {
		bench->remote_port = port;
		RECEIVED(.flags = S, .seq = 100, .kernel = idle_listener);
	}
	assert_int_equal(stats->entries, 4);
	assert_int_equal(stats->evictions, 1);
	assert_int_equal(stats->unobservable[UNOBSERVABLE_EVICTED], 1);
	assert_int_equal(stats->connections[VIEW_WIRE][FSM_ESTABLISHED], 1);
}

/* What is open never gives way. One that finds no room is one, however often it is heard of. */
static void full_table_turns_away_each_once(void **state)
{
	struct bench *bench = *state;
	const struct tracker_stats *stats = tracker_stats(bench->tracker);

	for (uint16_t port = 1; port <= 4; port++) {
		bench->remote_port = port;
		open_server(bench);
	}
	for (uint16_t port = 5; port <= 6; port++) {
		bench->remote_port = port;
		RECEIVED(.flags = S, .seq = 100, .kernel = idle_listener);
		RECEIVED(.flags = S, .seq = 100, .kernel = idle_listener);
		RECEIVED(.flags = S, .seq = 100, .kernel = idle_listener);
	}
	assert_int_equal(stats->connections[VIEW_WIRE][FSM_ESTABLISHED], 4);
	assert_int_equal(stats->evictions, 2);
	assert_int_equal(stats->unobservable[UNOBSERVABLE_EVICTED], 2);
}

static int setup_small(void **state)
{
	static struct bench bench;

	bench_start(&bench, 4);
	*state = &bench;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(server_life),
		TEST(client_life_through_time_wait),
		TEST(refused_connect),
		TEST(connect_timeout_is_no_divergence),
		TEST(reset_by_linger),
		TEST(reset_behind_data_of_its_batch),
		TEST(blind_reset_is_challenged),
		TEST(accept_queue_overflow),
		TEST(refused_final_ack_expires),
		TEST(syn_dropped_by_accept_queue),
		TEST(one_silent_syn_is_no_divergence),
		TEST(syns_that_pass_the_listener_are_no_divergence),
		TEST(resets_in_a_row_at_xdp),
		TEST(reset_ahead_of_a_fin_at_xdp),
		TEST(request_outlives_its_listener),
		TEST(minisocket_killed),
		TEST(connecting_without_a_syn),
		TEST(filtered_syn),
		TEST(filtered_final_ack),
		TEST(drops_inside_tcp_are_not_filters),
		TEST(silent_close),
		TEST(cookie_is_expected),
		TEST(deferred_accept_is_expected),
		TEST(owned_socket_is_waited_for),
		TEST(embryonic_reset),
		TEST(handshake_that_nobody_completes),
		TEST(missed_state_changes_are_made_up_for),
		TEST(untapped),
		TEST(adopted_in_mid_life),
		TEST(syn_over_time_wait_is_a_new_life),
		TEST(copy_on_a_second_interface_is_counted_once),
		TEST(stray_segments_begin_nothing),
		cmocka_unit_test_setup_teardown(full_table_gives_up_half_open_first, setup_small,
						teardown),
		cmocka_unit_test_setup_teardown(full_table_turns_away_each_once, setup_small,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
