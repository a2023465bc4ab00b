/* SPDX-License-Identifier: GPL-2.0-only */
/* What tests of the comparison share: drops, and what is to be told of a divergence. */
#ifndef TRACK_KINDS_H
#define TRACK_KINDS_H

#include "track_records.h"

#define S TCPF_SYN
#define A TCPF_ACK
#define F TCPF_FIN
#define R TCPF_RST
#define P TCPF_PSH

static inline const struct tracker_stats *stats_of(const struct bench *bench)
{
	return tracker_stats(bench->tracker);
}

/* Both events of one that is over as it happens, the first of them at `index`. */
static inline void assert_moment(struct bench *bench, size_t index, enum divergence_kind kind,
				 const char *reason)
{
	assert_true(bench->nr_events >= index + 2);
	for (size_t i = index; i < index + 2; i++) {
		assert_int_equal(bench->events[i].type,
				 i == index ? TRACK_DIVERGENCE_OPEN : TRACK_DIVERGENCE_CLOSE);
		assert_int_equal(bench->events[i].kind, kind);
		assert_int_equal(bench->events[i].id, bench->events[index].id);
		if (reason)
			assert_string_equal(bench->events[i].reason, reason);
		else
			assert_null(bench->events[i].reason);
	}
	assert_int_equal(tracker_stats(bench->tracker)->divergences_open[kind], 0);
}

static inline void assert_opened(struct bench *bench, enum divergence_kind kind, const char *reason)
{
	assert_int_equal(bench->nr_events, 1);
	assert_int_equal(bench->events[0].type, TRACK_DIVERGENCE_OPEN);
	assert_int_equal(bench->events[0].kind, kind);
	if (reason)
		assert_string_equal(bench->events[0].reason, reason);
	else
		assert_null(bench->events[0].reason);
	assert_int_equal(tracker_stats(bench->tracker)->divergences_open[kind], 1);
}

static inline void bench_drop(struct bench *bench, bool sent, uint8_t flags, uint32_t seq,
			      uint32_t ack)
{
	uint64_t space[32] = { 0 };
	struct rec_drop *rec = (struct rec_drop *)space;

	bench->now_ns += 3000;
	rec->hdr = bench_header(bench, REC_DROP, sent);
	rec->local_port = bench->local_port;
	rec->remote_port = bench->remote_port;
	rec->reason = 8;
	rec->seq = seq;
	rec->ack = ack;
	rec->tcp_flags = flags;
	put_addresses(rec->addresses);
	bench_feed(bench, rec, REC_SIZE_V4(rec_drop));
}

/* Nothing was told but, perhaps, the connection's end; nothing is open, and nothing was counted. */
static inline void assert_no_divergence(const struct bench *bench)
{
	for (size_t i = 0; i < bench->nr_events; i++)
		assert_int_equal(bench->events[i].type, TRACK_CONNECTION);
	for (int kind = 0; kind < DIVERGENCE_NR; kind++) {
		assert_int_equal(stats_of(bench)->divergences[kind], 0);
		assert_int_equal(stats_of(bench)->divergences_open[kind], 0);
	}
}

/* The books: what was opened was closed or is open, each kind by itself; durations likewise. */
static inline void assert_books(const struct bench *bench)
{
	const struct tracker_stats *stats = stats_of(bench);

	for (int kind = 0; kind < DIVERGENCE_NR; kind++) {
		uint64_t closed = 0;

		for (int i = 0; i < DURATION_BUCKETS; i++)
			closed += stats->divergence_durations[kind].buckets[i];
		assert_int_equal(stats->divergences[kind], closed + stats->divergences_open[kind]);
	}
	for (int view = 0; view < VIEW_NR; view++)
		for (int state = 0; state < FSM_NR_STATES; state++)
			assert_true(stats->connections[view][state] <= stats->limit);
	for (int i = 0; i < CONDITION_NR; i++)
		assert_true(stats->conditions[i] <= stats->limit);
}

static inline int setup(void **state)
{
	static struct bench bench;

	bench_start(&bench, 1024);
	*state = &bench;
	return 0;
}

static inline int teardown(void **state)
{
	assert_books(*state);
	bench_stop(*state);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
