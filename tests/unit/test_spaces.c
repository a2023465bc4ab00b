/* SPDX-License-Identifier: GPL-2.0-only */
/* Network namespaces and NAT, as the tracker sees them. */
#include "track_records.h"

static struct bench *bench;

static int start(void **state)
{
	static struct bench the_bench;

	bench = &the_bench;
	bench_start(bench, 1024);
	*state = bench;
	return 0;
}

static int stop(void **state)
{
	(void)state;
	bench_stop(bench);
	return 0;
}

static void netns(uint32_t number, enum netns_phase phase, const char *name)
{
	struct rec_netns rec = { .hdr = bench_header(bench, REC_NETNS, false), .phase = phase };

	bench->now_ns += 1000;
	rec.hdr.ts_ns = bench->now_ns;
	rec.hdr.netns = number;
	strcpy(rec.name, name);
	bench_feed(bench, &rec, sizeof(rec));
}

static const struct tracked_space *space(uint32_t number)
{
	size_t count;
	const struct tracked_space *spaces = tracker_spaces(bench->tracker, &count);

	for (size_t i = 0; i < count; i++)
		if (spaces[i].netns == number)
			return &spaces[i];
	return NULL;
}

static void test_named_and_counted(void **state)
{
	(void)state;
	netns(1, NETNS_BEGIN, "blue");
	netns(2, NETNS_BEGIN, "green");
	open_server(bench);
	assert_string_equal(space(1)->name, "blue");
	assert_int_equal(space(1)->connections[VIEW_WIRE][FSM_ESTABLISHED], 1);
	assert_int_equal(space(1)->connections[VIEW_KERNEL][FSM_ESTABLISHED], 1);
	assert_int_equal(space(2)->connections[VIEW_WIRE][FSM_ESTABLISHED], 0);
	RECEIVED(.flags = R, .seq = 101, .kernel = full(KS_ESTABLISHED, 101, 501, 501));
	CHANGE(.from = KS_ESTABLISHED, .to = KS_CLOSE, .error = ECONNRESET);
	assert_int_equal(space(1)->connections[VIEW_WIRE][FSM_ESTABLISHED], 0);
	assert_int_equal(space(1)->connections[VIEW_KERNEL][FSM_ESTABLISHED], 0);
	assert_string_equal(bench_last(bench)->connection->netns_name, "blue");
}

static void test_end(void **state)
{
	const struct connection_report *report;

	(void)state;
	netns(1, NETNS_BEGIN, "blue");
	netns(2, NETNS_BEGIN, "green");
	open_server(bench);
	netns(2, NETNS_END, "green");
	assert_int_equal(tracker_stats(bench->tracker)->entries, 1);
	assert_null(space(2));
	netns(1, NETNS_END, "blue");
	assert_int_equal(tracker_stats(bench->tracker)->entries, 0);
	assert_null(space(1));
	assert_int_equal(bench->nr_events, 1);
	assert_int_equal(bench_last(bench)->type, TRACK_CONNECTION);
	report = bench_last(bench)->connection;
	assert_false(report->observable);
	assert_int_equal(report->why, UNOBSERVABLE_NETNS_GONE);
	assert_string_equal(report->netns_name, "blue");
	assert_int_equal(tracker_stats(bench->tracker)->connections[VIEW_WIRE][FSM_ESTABLISHED], 0);
}

/* A sweep that ran when a namespace came did not cover it: what the next one finds there was there
 * before us. */
static void test_new_one_is_seeded(void **state)
{
	const struct tracker_stats *stats = tracker_stats(bench->tracker);

	(void)state;
	bench->kernel = full(KS_ESTABLISHED, 101, 501, 501);
	sweep(bench, SWEEP_BEGIN);
	sweep(bench, SWEEP_END);
	sweep(bench, SWEEP_BEGIN);
	netns(1, NETNS_BEGIN, "blue");
	sweep(bench, SWEEP_END);
	sweep(bench, SWEEP_BEGIN);
	swept_socket(bench, bench->kernel);
	sweep(bench, SWEEP_END);
	assert_int_equal(stats->entries, 1);
	assert_int_equal(stats->sweep_corrections[CORRECTION_EXTRA], 0);
}

/* A published port: the SYN met a listener of ours, and netfilter took it elsewhere. */
static void test_answered_elsewhere(void **state)
{
	const struct tracker_stats *stats = tracker_stats(bench->tracker);

	(void)state;
	RECEIVED(.flags = S, .seq = 100, .kernel = idle_listener);
	assert_int_equal(stats->entries, 1);
	RECEIVED(.flags = A, .seq = 101, .ack = 501, .kernel = idle_listener);
	assert_int_equal(stats->entries, 0);
	RECEIVED(.flags = A, .seq = 101, .ack = 501, .len = 10, .kernel = idle_listener);
	RECEIVED(.flags = F | A, .seq = 111, .ack = 501, .kernel = idle_listener);
	bench_wait(bench, 10 * NS_PER_SEC);
	assert_int_equal(stats->entries, 0);
	assert_int_equal(bench->nr_events, 0);
	assert_int_equal(stats->stray_segments, 3);
}

/* Our own answer to the SYN is what tells the two apart. */
static void test_answered_here(void **state)
{
	(void)state;
	RECEIVED(.flags = S, .seq = 100, .kernel = idle_listener);
	SENT(.flags = S | A, .seq = 500, .ack = 101, .kernel = nothing());
	RECEIVED(.flags = A, .seq = 101, .ack = 501, .kernel = idle_listener);
	assert_int_equal(tracker_stats(bench->tracker)->entries, 1);
}

static void translate(struct bench *to, const void *record, size_t size)
{
	uint64_t copy[64];
	struct rec_hdr *hdr = (struct rec_hdr *)copy;

	memcpy(copy, record, size);
	if (hdr->type == REC_SEGMENT && hdr->flags & REC_F_SENT)
		hdr->flags |= REC_F_TRANSLATED;
	to->divert = NULL;
	bench_feed(to, copy, size);
	to->divert = translate;
}

/* Both ways go by the socket's name: NAT changes nothing that matters. */
static void test_translated_and_whole(void **state)
{
	const struct connection_report *report;

	(void)state;
	bench->divert = translate;
	open_client(bench);
	RECEIVED(.flags = R, .seq = 101, .kernel = full(KS_ESTABLISHED, 101, 501, 501));
	CHANGE(.from = KS_ESTABLISHED, .to = KS_CLOSE, .error = ECONNRESET);
	report = bench_last(bench)->connection;
	assert_true(report->observable);
}

/* What arrives has the packets' name, and is never seen: the views part, and nothing diverges. */
static void test_translated_one_way(void **state)
{
	struct connection_report report;
	uint32_t life;
	struct conn_key key = { .local_port = bench->local_port,
				.remote_port = bench->remote_port,
				.netns = 1 };

	(void)state;
	memcpy(&key.local_address[12], (uint8_t[]){ 10, 0, 0, 1 }, 4);
	key.local_address[10] = key.local_address[11] = 0xff;
	key.remote_address[10] = key.remote_address[11] = 0xff;
	memcpy(&key.remote_address[12], (uint8_t[]){ 10, 0, 0, 2 }, 4);
	bench->divert = translate;
	bench->kernel = full(KS_ESTABLISHED, 101, 501, 501);
	SENT(.flags = S, .seq = 500, .kernel = full(KS_SYN_SENT, 0, 0, 0));
	CHANGE(.from = KS_SYN_SENT, .to = KS_ESTABLISHED, .rcv_nxt = 101, .snd_una = 501,
	       .snd_nxt = 501);
	bench_wait(bench, 2 * NS_PER_SEC);
	assert_true(tracker_find(bench->tracker, &key, &report, &life));
	assert_false(report.observable);
	assert_int_equal(report.why, UNOBSERVABLE_NOT_LOCAL);
	assert_int_equal(report.local_state, FSM_ESTABLISHED);
	assert_int_equal(bench->nr_events, 0);
}

/* A server behind a redirect: its SYN-ACK is the first that goes by its name. */
static void test_redirected(void **state)
{
	(void)state;
	bench->divert = translate;
	SENT(.flags = S | A, .seq = 500, .ack = 101,
	     .kernel = queues(KS_NEW_SYN_RECV, 0, 0, 16, 1));
	CHANGE(.from = KS_SYN_RECV, .to = KS_ESTABLISHED, .rcv_nxt = 101, .snd_una = 501,
	       .snd_nxt = 501);
	CHANGE(.from = KS_ESTABLISHED, .to = KS_CLOSE, .error = ECONNRESET);
	bench_wait(bench, 2 * NS_PER_SEC);
	assert_int_equal(bench->nr_events, 1);
	assert_int_equal(bench_last(bench)->type, TRACK_CONNECTION);
	assert_int_equal(bench_last(bench)->connection->why, UNOBSERVABLE_NOT_LOCAL);
	assert_int_equal(bench_last(bench)->connection->role, ROLE_SERVER);
}

#define WITH_BENCH(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_BENCH(test_named_and_counted),  WITH_BENCH(test_end),
		WITH_BENCH(test_new_one_is_seeded),  WITH_BENCH(test_answered_elsewhere),
		WITH_BENCH(test_answered_here),	     WITH_BENCH(test_translated_and_whole),
		WITH_BENCH(test_translated_one_way), WITH_BENCH(test_redirected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
