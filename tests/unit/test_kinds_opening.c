/* SPDX-License-Identifier: GPL-2.0-only */
/* Each kind of divergence while a connection opens, and its nearest neighbour that is none. */
#include "track_kinds.h"

/* ---- syn_unsent ---- */

static void syn_is_dropped_on_its_way_out(void **state)
{
	struct bench *bench = *state;

	/* connect() without bind(): the tracepoint has no tuple, the drop is the first word of it. */
	CHANGE(.from = KS_CLOSE, .to = KS_SYN_SENT, .bits = STATE_NO_TUPLE);
	bench_drop(bench, true, S, 500, 0);
	bench->kernel = full(KS_SYN_SENT, 0, 500, 501);
	assert_int_equal(bench->nr_events, 0);
	bench_wait(bench, 400 * NS_PER_MS);
	assert_opened(bench, DIVERGENCE_SYN_UNSENT, "NETFILTER_DROP");
	assert_string_equal(bench->evidence[0].drop_reason, "NETFILTER_DROP");
	assert_int_equal(bench->evidence[0].look.snapshot.state, KS_SYN_SENT);
	assert_int_equal(bench->evidence[0].segment.ts_ns, 0);
	/* The filter goes, the next SYN leaves. */
	SENT(.flags = S, .seq = 500, .kernel = full(KS_SYN_SENT, 0, 500, 501));
	assert_int_equal(bench->nr_events, 2);
	assert_int_equal(bench->events[1].type, TRACK_DIVERGENCE_CLOSE);
	assert_int_equal(stats_of(bench)->connections[VIEW_WIRE][FSM_SYN_SENT], 1);
}

static void syn_never_leaves(void **state)
{
	struct bench *bench = *state;

	CHANGE(.from = KS_CLOSE, .to = KS_SYN_SENT);
	bench_drop(bench, true, S, 500, 0);
	bench->kernel = full(KS_SYN_SENT, 0, 500, 501);
	bench_wait(bench, NS_PER_SEC);
	bench_drop(bench, true, S, 500, 0);
	CHANGE(.from = KS_SYN_SENT, .to = KS_CLOSE, .error = ETIMEDOUT);
	assert_int_equal(bench->nr_events, 3);
	assert_int_equal(bench->events[0].kind, DIVERGENCE_SYN_UNSENT);
	assert_int_equal(bench->reports[2].end, END_HANDSHAKE_TIMEOUT);
	assert_true(bench->reports[2].observable);
	assert_int_equal(stats_of(bench)->unobservable[UNOBSERVABLE_UNTAPPED], 0);
}

/* ARP gives up: ICMP of our own ends the connect(), its second SYN is dropped three seconds later. */
static void syn_is_dropped_when_connect_is_over(void **state)
{
	struct bench *bench = *state;

	bench_drop(bench, true, S, 500, 0);
	bench->kernel = nothing();
	bench_wait(bench, 2 * NS_PER_SEC);
	assert_no_divergence(bench);
	assert_int_equal(stats_of(bench)->entries, 0);
}

/* What no tap sees and no drop tells of went another way. */
static void syn_by_another_way_is_untapped(void **state)
{
	struct bench *bench = *state;

	CHANGE(.from = KS_CLOSE, .to = KS_SYN_SENT);
	bench->kernel = full(KS_SYN_SENT, 0, 500, 501);
	bench_wait(bench, 20 * NS_PER_SEC);
	CHANGE(.from = KS_SYN_SENT, .to = KS_CLOSE, .error = ETIMEDOUT);
	assert_no_divergence(bench);
	assert_int_equal(stats_of(bench)->unobservable[UNOBSERVABLE_UNTAPPED], 1);
}

/* Behind the tap the driver may drop what it likes: the SYN was seen. */
static void drop_inside_tcp_begins_nothing(void **state)
{
	struct bench *bench = *state;

	bench->drop_reason = "TCP_OLD_DATA";
	bench_drop(bench, true, S, 500, 0);
	bench->drop_reason = "NETFILTER_DROP";
	bench_drop(bench, true, S | A, 500, 1);
	bench_drop(bench, false, S, 500, 0);
	assert_int_equal(stats_of(bench)->entries, 0);
}

/* ---- syn_dropped ---- */

static void syn_against_queues(struct bench *bench, struct rec_snapshot listener,
			       const char *reason)
{
	RECEIVED(.flags = S, .seq = 100, .kernel = listener);
	bench->kernel = after_drops(listener, 1);
	bench_wait(bench, 400 * NS_PER_MS);
	assert_opened(bench, DIVERGENCE_SYN_DROPPED, reason);
}

static void syn_queue_full(void **state)
{
	syn_against_queues(*state, queues(KS_LISTEN, 0, 0, 3, 4), "syn_queue_full");
}

static void last_quarter(void **state)
{
	struct rec_snapshot listener = queues(KS_LISTEN, 0, 0, 100, 7);

	listener.syn_bits = SNAP_SYN_LAST_QUARTER;
	syn_against_queues(*state, listener, "last_quarter");
}

static void full_accept_queue_is_blamed_first(void **state)
{
	struct rec_snapshot listener = queues(KS_LISTEN, 0, 5, 4, 5);

	listener.syn_bits = SNAP_SYN_LAST_QUARTER;
	syn_against_queues(*state, listener, "accept_queue_full");
}

/* tcp_syncookies=1: the queue is full, a cookie answers. */
static void full_queue_that_answers_is_none(void **state)
{
	struct bench *bench = *state;

	RECEIVED(.flags = S, .seq = 100, .kernel = queues(KS_LISTEN, 0, 0, 3, 4));
	SENT(.flags = S | A, .seq = 500, .ack = 101, .kernel = nothing());
	bench->kernel = queues(KS_LISTEN, 0, 0, 3, 4);
	bench_wait(bench, NS_PER_SEC);
	assert_int_equal(stats_of(bench)->divergences[DIVERGENCE_SYN_DROPPED], 0);
	assert_opened(bench, DIVERGENCE_COOKIE_STATELESS, NULL);
}

static void synack_is_dropped_on_its_way_out(void **state)
{
	struct bench *bench = *state;

	RECEIVED(.flags = S, .seq = 100, .kernel = idle_listener);
	bench_drop(bench, true, S | A, 500, 101);
	bench->kernel = queues(KS_NEW_SYN_RECV, 0, 0, 16, 1);
	bench_wait(bench, 400 * NS_PER_MS);
	assert_opened(bench, DIVERGENCE_SYN_DROPPED, "NETFILTER_DROP");
	SENT(.flags = S | A, .seq = 500, .ack = 101,
	     .kernel = queues(KS_NEW_SYN_RECV, 0, 0, 16, 1));
	assert_int_equal(bench->events[1].type, TRACK_DIVERGENCE_CLOSE);
}

static void repeated_syns_are_counted(void **state)
{
	struct bench *bench = *state;

	for (int i = 0; i < 3; i++) {
		RECEIVED(.flags = S, .seq = 100, .kernel = idle_listener);
		bench->kernel = after_drops(idle_listener, (uint32_t)i + 1);
		if (i < 2)
			bench_wait(bench, 60 * NS_PER_MS);
	}
	bench_wait(bench, 400 * NS_PER_MS);
	assert_opened(bench, DIVERGENCE_SYN_DROPPED, "unknown");
	assert_int_equal(bench->evidence[0].repeats, 3);
	assert_int_equal(bench->evidence[0].segment.tcp_flags, S);
	assert_false(bench->evidence[0].segment.sent);
}

/* ---- accept_queue_overflow by a cookie's ACK ---- */

static void cookie_ack_on_a_full_queue(void **state)
{
	struct bench *bench = *state;

	RECEIVED(.flags = S, .seq = 100, .kernel = idle_listener);
	SENT(.flags = S | A, .seq = 500, .ack = 101, .kernel = nothing());
	RECEIVED(.flags = A, .seq = 101, .ack = 501, .kernel = queues(KS_LISTEN, 0, 2, 1, 0));
	bench->kernel = queues(KS_LISTEN, 0, 2, 1, 0);
	bench_wait(bench, 400 * NS_PER_MS);
	assert_int_equal(bench->nr_events, 3);
	assert_int_equal(bench->events[2].kind, DIVERGENCE_ACCEPT_QUEUE_OVERFLOW);
}

/* ---- fast_open ---- */

static void child_before_the_final_ack(void **state)
{
	struct bench *bench = *state;

	RECEIVED(.flags = S, .seq = 100, .len = 5, .kernel = idle_listener);
	SENT(.flags = S | A, .seq = 500, .ack = 106, .kernel = full(KS_SYN_RECV, 106, 501, 501));
	assert_opened(bench, DIVERGENCE_FAST_OPEN, NULL);
	assert_int_equal(divergence_class(DIVERGENCE_FAST_OPEN), CLASS_EXPECTED);
	bench->kernel = full(KS_SYN_RECV, 106, 501, 501);
	bench_wait(bench, NS_PER_SEC);
	assert_int_equal(bench->nr_events, 1);
	RECEIVED(.flags = A, .seq = 106, .ack = 501, .kernel = full(KS_SYN_RECV, 106, 501, 501));
	CHANGE(.from = KS_SYN_RECV, .to = KS_ESTABLISHED, .rcv_nxt = 106, .snd_una = 501,
	       .snd_nxt = 501);
	assert_int_equal(bench->nr_events, 2);
	assert_int_equal(bench->events[1].type, TRACK_DIVERGENCE_CLOSE);
	assert_int_equal(bench->events[1].id, bench->events[0].id);
}

/* Crossed SYNs have a full socket in SYN_RECV, too, and nobody has it yet. */
static void crossed_syns_are_no_fast_open(void **state)
{
	struct bench *bench = *state;

	SENT(.flags = S, .seq = 500, .kernel = full(KS_SYN_SENT, 0, 0, 0));
	RECEIVED(.flags = S, .seq = 100, .kernel = full(KS_SYN_SENT, 0, 500, 501));
	CHANGE(.from = KS_SYN_SENT, .to = KS_SYN_RECV, .rcv_nxt = 101, .snd_una = 500,
	       .snd_nxt = 501);
	SENT(.flags = S | A, .seq = 500, .ack = 101, .kernel = full(KS_SYN_RECV, 101, 500, 501));
	bench->kernel = full(KS_SYN_RECV, 101, 500, 501);
	bench_wait(bench, NS_PER_SEC);
	assert_no_divergence(bench);
}

/* ---- request_expired ---- */

static void many_requests_expire(void **state)
{
	struct bench *bench = *state;

	for (uint16_t port = 1; port <= 10; port++) {
		bench->remote_port = port;
		RECEIVED(.flags = S, .seq = 100, .kernel = idle_listener);
		SENT(.flags = S | A, .seq = 500, .ack = 101,
		     .kernel = queues(KS_NEW_SYN_RECV, 0, 0, 16, 1));
	}
	bench->kernel = idle_listener;
	bench_wait(bench, 5 * NS_PER_SEC);
	assert_int_equal(stats_of(bench)->divergences[DIVERGENCE_REQUEST_EXPIRED], 10);
	assert_int_equal(stats_of(bench)->closed[ROLE_SERVER][END_HANDSHAKE_TIMEOUT], 10);
	assert_int_equal(bench->nr_events, 30);
	assert_int_equal(stats_of(bench)->entries, 0);
}

/* Its peer reset it: that is how it ended, and the wire says so. */
static void request_that_was_reset_has_not_expired(void **state)
{
	struct bench *bench = *state;

	RECEIVED(.flags = S, .seq = 100, .kernel = idle_listener);
	SENT(.flags = S | A, .seq = 500, .ack = 101,
	     .kernel = queues(KS_NEW_SYN_RECV, 0, 0, 16, 1));
	RECEIVED(.flags = R, .seq = 101, .kernel = queues(KS_NEW_SYN_RECV, 0, 0, 16, 1));
	bench->kernel = idle_listener;
	bench_wait(bench, 5 * NS_PER_SEC);
	assert_no_divergence(bench);
}

static void cookie_that_nobody_completes_had_no_request(void **state)
{
	struct bench *bench = *state;

	RECEIVED(.flags = S, .seq = 100, .kernel = idle_listener);
	SENT(.flags = S | A, .seq = 500, .ack = 101, .kernel = nothing());
	bench->kernel = idle_listener;
	bench_wait(bench, 70 * NS_PER_SEC);
	assert_int_equal(stats_of(bench)->divergences[DIVERGENCE_REQUEST_EXPIRED], 0);
	assert_int_equal(stats_of(bench)->entries, 0);
}

/* ---- request outlives its listener ---- */

static void request_outlives_listener(void **state)
{
	struct bench *bench = *state;

	RECEIVED(.flags = S, .seq = 100, .kernel = idle_listener);
	SENT(.flags = S | A, .seq = 500, .ack = 101,
	     .kernel = queues(KS_NEW_SYN_RECV, 0, 0, 16, 1));
	RECEIVED(.flags = A, .seq = 101, .ack = 501,
		 .kernel = queues(KS_NEW_SYN_RECV, 0, 0, 16, 1));
	SENT(.flags = R, .seq = 501, .kernel = nothing());
	bench->kernel = nothing();
	bench_wait(bench, NS_PER_SEC);
	assert_no_divergence(bench);
	assert_int_equal(stats_of(bench)->transients[TRANSIENT_REQUEST_OUTLIVES_LISTENER], 1);
	assert_int_equal(stats_of(bench)->entries, 0);
}

/* ---- synack_refused ---- */

static void synack_of_another_syn(void **state)
{
	struct bench *bench = *state;
	const struct rec_snapshot syn_sent = full(KS_SYN_SENT, 0, 500, 501);

	SENT(.flags = S, .seq = 500, .kernel = full(KS_SYN_SENT, 0, 0, 0));
	RECEIVED(.flags = S | A, .seq = 100, .ack = 9000, .kernel = syn_sent);
	assert_int_equal(bench->nr_events, 0);
	SENT(.flags = R, .seq = 9000, .kernel = syn_sent);
	assert_moment(bench, 0, DIVERGENCE_SYNACK_REFUSED, NULL);
	assert_int_equal(bench->evidence[0].segment.tcp_flags, R);
	assert_true(bench->evidence[0].segment.sent);
	RECEIVED(.flags = S | A, .seq = 100, .ack = 501, .kernel = syn_sent);
	CHANGE(.from = KS_SYN_SENT, .to = KS_ESTABLISHED, .rcv_nxt = 101, .snd_una = 501,
	       .snd_nxt = 501);
	SENT(.flags = A, .seq = 501, .ack = 101, .kernel = full(KS_ESTABLISHED, 101, 501, 501));
	bench_wait(bench, NS_PER_SEC);
	assert_int_equal(bench->nr_events, 2);
	assert_int_equal(stats_of(bench)->connections[VIEW_WIRE][FSM_ESTABLISHED], 1);
}

/* ---- never_accepted ---- */

static void listener_closes(struct bench *bench, uint16_t port)
{
	uint64_t space[32] = { 0 };
	struct rec_state *rec = (struct rec_state *)space;

	bench->now_ns += 5000;
	rec->hdr = bench_header(bench, REC_STATE, false);
	rec->cookie = 5;
	rec->local_port = port;
	rec->old_state = KS_LISTEN;
	rec->new_state = KS_CLOSE;
	rec->shutdown = 3;
	bench_feed(bench, rec, REC_SIZE_V4(rec_state));
}

static void close_child(struct bench *bench, uint8_t shutdown)
{
	CHANGE(.from = KS_ESTABLISHED, .to = KS_CLOSE, .shutdown = shutdown, .rcv_nxt = 101,
	       .snd_una = 501, .snd_nxt = 501);
	SENT(.flags = R | A, .seq = 501, .ack = 101, .kernel = { .state = KS_CLOSE, .cookie = 77 });
}

static void child_goes_with_its_listener(void **state)
{
	struct bench *bench = *state;

	open_server(bench);
	listener_closes(bench, bench->local_port);
	close_child(bench, 0);
	assert_int_equal(bench->nr_events, 3);
	assert_moment(bench, 0, DIVERGENCE_NEVER_ACCEPTED, NULL);
	assert_int_equal(bench->evidence[0].change.from, KS_ESTABLISHED);
	assert_int_equal(bench->evidence[0].change.to, KS_CLOSE);
	assert_int_equal(bench->reports[2].end, END_LOCAL_RESET);
	assert_int_equal(stats_of(bench)->close_causes[CLOSED_BY_NEVER_ACCEPTED], 1);
}

/* disconnect() looks the same, but no listener has closed; or another one; or long ago. */
static void disconnected_child_was_accepted(void **state)
{
	struct bench *bench = *state;

	open_server(bench);
	listener_closes(bench, 444);
	close_child(bench, 0);
	assert_no_divergence(bench);
	assert_int_equal(stats_of(bench)->close_causes[CLOSED_BY_DISCONNECTED], 1);
	bench->nr_events = 0;
	open_server(bench);
	listener_closes(bench, bench->local_port);
	bench->kernel = full(KS_ESTABLISHED, 101, 501, 501);
	bench_wait(bench, 10 * NS_PER_SEC);
	close_child(bench, 0);
	assert_no_divergence(bench);
}

/* The accepted ones that close() ends while the listener closes have been shut down. */
static void aborted_child_was_accepted(void **state)
{
	struct bench *bench = *state;

	open_server(bench);
	listener_closes(bench, bench->local_port);
	close_child(bench, 3);
	assert_no_divergence(bench);
	assert_int_equal(stats_of(bench)->close_causes[CLOSED_BY_LOCAL_ABORT], 1);
}

/* ---- what is no connection's ---- */

static void duplicate_child_is_counted(void **state)
{
	struct bench *bench = *state;

	open_server(bench);
	CHANGE(.from = KS_SYN_RECV, .to = KS_CLOSE, .cookie = 77);
	assert_int_equal(stats_of(bench)->duplicate_children, 1);
	assert_int_equal(stats_of(bench)->connections[VIEW_KERNEL][FSM_ESTABLISHED], 1);
	assert_no_divergence(bench);
}

static void repair_is_unobservable(void **state)
{
	struct bench *bench = *state;

	CHANGE(.from = KS_SYN_SENT, .to = KS_ESTABLISHED, .bits = STATE_REPAIR);
	CHANGE(.from = KS_ESTABLISHED, .to = KS_CLOSE, .bits = STATE_REPAIR);
	assert_no_divergence(bench);
	assert_int_equal(bench->reports[0].why, UNOBSERVABLE_REPAIR);
	assert_int_equal(stats_of(bench)->close_causes[CLOSED_BY_REPAIR], 1);
}

/* TFO's connect() sends no SYN before the first write: no tap sees what has not been sent. */
static void deferred_connect_is_no_unsent_syn(void **state)
{
	struct bench *bench = *state;

	CHANGE(.from = KS_CLOSE, .to = KS_SYN_SENT);
	bench->kernel = full(KS_SYN_SENT, 0, 0, 0);
	bench_wait(bench, 5 * NS_PER_SEC);
	SENT(.flags = S, .seq = 500, .len = 5, .kernel = full(KS_SYN_SENT, 0, 0, 0));
	CHANGE(.from = KS_SYN_SENT, .to = KS_CLOSE, .shutdown = 3);
	bench->kernel = nothing();
	bench_wait(bench, NS_PER_SEC);
	assert_no_divergence(bench);
	assert_int_equal(stats_of(bench)->close_causes[CLOSED_BY_CONNECT_CLOSED], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(syn_is_dropped_on_its_way_out),
		TEST(syn_never_leaves),
		TEST(syn_is_dropped_when_connect_is_over),
		TEST(syn_by_another_way_is_untapped),
		TEST(drop_inside_tcp_begins_nothing),
		TEST(syn_queue_full),
		TEST(last_quarter),
		TEST(full_accept_queue_is_blamed_first),
		TEST(full_queue_that_answers_is_none),
		TEST(synack_is_dropped_on_its_way_out),
		TEST(repeated_syns_are_counted),
		TEST(cookie_ack_on_a_full_queue),
		TEST(child_before_the_final_ack),
		TEST(crossed_syns_are_no_fast_open),
		TEST(many_requests_expire),
		TEST(request_that_was_reset_has_not_expired),
		TEST(cookie_that_nobody_completes_had_no_request),
		TEST(request_outlives_listener),
		TEST(synack_of_another_syn),
		TEST(child_goes_with_its_listener),
		TEST(disconnected_child_was_accepted),
		TEST(aborted_child_was_accepted),
		TEST(duplicate_child_is_counted),
		TEST(repair_is_unobservable),
		TEST(deferred_connect_is_no_unsent_syn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
