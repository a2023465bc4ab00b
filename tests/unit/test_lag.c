/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One ring lags behind the other, by milliseconds or by seconds: healthy connections, whose records
 * and whose kernel are written down first, and played back with either ring's records delayed.
 * The kernel that is looked at is not delayed: it is what it is at that moment.
 */
#include "track_records.h"

#include <stdlib.h>

#define ENTRIES_MAX 256
#define MOMENTS_MAX 256
#define NR_LIVES 16

enum lagging {
	RING_OF_SEGMENTS,
	RING_OF_STATES,
	LAGGING_NR
};

/* The bench stands first: its hooks get the recording by it. */
struct recording {
	struct bench bench;
	struct tape_entry {
		uint64_t ts_ns, due_ns;
		uint64_t record[16];
		size_t size;
		enum lagging ring;
	} entries[ENTRIES_MAX];
	size_t nr_entries;
	struct moment {
		uint64_t ts_ns;
		uint16_t remote_port;
		struct rec_snapshot kernel;
	} moments[MOMENTS_MAX];
	size_t nr_moments;
};

static void keep(struct bench *bench, const void *record, size_t size)
{
	struct recording *recording = (struct recording *)bench;
	struct tape_entry *entry = &recording->entries[recording->nr_entries++];

	assert_true(recording->nr_entries <= ENTRIES_MAX && size <= sizeof(entry->record));
	memcpy(entry->record, record, size);
	entry->size = size;
	entry->ts_ns = bench->now_ns;
	entry->ring = ((const struct rec_hdr *)record)->type == REC_STATE ? RING_OF_STATES :
									    RING_OF_SEGMENTS;
}

/* From now on this is the kernel's socket of the connection that is being written down. */
static void became(struct bench *bench, struct rec_snapshot kernel)
{
	struct recording *recording = (struct recording *)bench;

	assert_true(recording->nr_moments < MOMENTS_MAX);
	recording->moments[recording->nr_moments++] =
		(struct moment){ bench->now_ns, bench->remote_port, kernel };
}

static struct rec_snapshot truth(const struct bench *bench, const struct conn_key *key)
{
	const struct recording *recording = (const struct recording *)bench;
	struct rec_snapshot kernel = { .state = KS_NONE, .bits = SNAP_LOOKED };

	for (size_t i = 0; i < recording->nr_moments; i++) {
		const struct moment *moment = &recording->moments[i];

		if (moment->remote_port == key->remote_port && moment->ts_ns <= bench->now_ns)
			kernel = moment->kernel;
	}
	return kernel;
}

/* ---- lives; local numbers begin at 500, remote ones at 100 ---- */

/* The remote end closes; the application follows after `pause_ns`. */
static void close_second(struct bench *bench, uint64_t pause_ns)
{
	RECEIVED(.flags = F | A, .seq = 101, .ack = 501,
		 .kernel = full(KS_ESTABLISHED, 101, 501, 501));
	CHANGE(.from = KS_ESTABLISHED, .to = KS_CLOSE_WAIT, .bits = STATE_DONE, .rcv_nxt = 102,
	       .snd_una = 501, .snd_nxt = 501);
	became(bench, full(KS_CLOSE_WAIT, 102, 501, 501));
	SENT(.flags = A, .seq = 501, .ack = 102, .kernel = full(KS_CLOSE_WAIT, 102, 501, 501));
	bench->now_ns += pause_ns;
	CHANGE(.from = KS_CLOSE_WAIT, .to = KS_LAST_ACK, .bits = STATE_DONE, .rcv_nxt = 102,
	       .snd_una = 501, .snd_nxt = 501);
	SENT(.flags = F | A, .seq = 501, .ack = 102, .kernel = full(KS_LAST_ACK, 102, 501, 501));
	became(bench, full(KS_LAST_ACK, 102, 501, 502));
	RECEIVED(.flags = A, .seq = 102, .ack = 502, .kernel = full(KS_LAST_ACK, 102, 501, 502));
	CHANGE(.from = KS_LAST_ACK, .to = KS_CLOSE, .bits = STATE_DONE, .rcv_nxt = 102,
	       .snd_una = 502, .snd_nxt = 502);
	became(bench, nothing());
}

/* The local end closes; the remote one follows after `pause_ns`. */
static void close_first(struct bench *bench, uint64_t pause_ns)
{
	CHANGE(.from = KS_ESTABLISHED, .to = KS_FIN_WAIT1, .rcv_nxt = 101, .snd_una = 501,
	       .snd_nxt = 501);
	SENT(.flags = F | A, .seq = 501, .ack = 101, .kernel = full(KS_FIN_WAIT1, 101, 501, 501));
	became(bench, full(KS_FIN_WAIT1, 101, 501, 502));
	RECEIVED(.flags = A, .seq = 101, .ack = 502, .kernel = full(KS_FIN_WAIT1, 101, 501, 502));
	CHANGE(.from = KS_FIN_WAIT1, .to = KS_FIN_WAIT2, .rcv_nxt = 101, .snd_una = 502,
	       .snd_nxt = 502);
	CHANGE(.from = KS_FIN_WAIT2, .to = KS_CLOSE, .rcv_nxt = 101, .snd_una = 502,
	       .snd_nxt = 502);
	became(bench, minisocket(KS_FIN_WAIT2, 101, 502));
	bench->now_ns += pause_ns;
	RECEIVED(.flags = F | A, .seq = 101, .ack = 502,
		 .kernel = minisocket(KS_FIN_WAIT2, 101, 502));
	became(bench, minisocket(KS_TIME_WAIT, 102, 502));
	SENT(.flags = A, .seq = 502, .ack = 102, .kernel = minisocket(KS_TIME_WAIT, 102, 502));
	bench->now_ns += 60 * NS_PER_SEC;
	became(bench, nothing());
}

static void abort_it(struct bench *bench)
{
	CHANGE(.from = KS_ESTABLISHED, .to = KS_CLOSE, .rcv_nxt = 101, .snd_una = 501,
	       .snd_nxt = 501);
	became(bench, nothing());
	SENT(.flags = R | A, .seq = 501, .ack = 101, .kernel = full(KS_CLOSE, 101, 501, 501));
}

static void be_reset(struct bench *bench)
{
	RECEIVED(.flags = R, .seq = 101, .kernel = full(KS_ESTABLISHED, 101, 501, 501));
	CHANGE(.from = KS_ESTABLISHED, .to = KS_CLOSE, .error = ECONNRESET, .rcv_nxt = 101,
	       .snd_una = 501, .snd_nxt = 501);
	became(bench, nothing());
}

/* Every role with every end, short and long, one beside the other. */
static void write_down(struct bench *bench)
{
	uint64_t begin_ns = bench->now_ns;

	for (unsigned int life = 0; life < NR_LIVES; life++) {
		bool server = life & 1, lasting = life & 2;

		bench->now_ns = begin_ns + life * 3 * NS_PER_MS;
		bench->remote_port = (uint16_t)(50000 + life);
		became(bench, server ? idle_listener : nothing());
		if (server)
			open_server(bench);
		else
			open_client(bench);
		became(bench, full(KS_ESTABLISHED, 101, 501, 501));
		if (lasting)
			bench->now_ns += 3 * NS_PER_SEC;
		switch (life >> 2) {
		case 0:
			close_first(bench, lasting ? NS_PER_SEC : 0);
			break;
		case 1:
			close_second(bench, lasting ? NS_PER_SEC : 0);
			break;
		case 2:
			abort_it(bench);
			break;
		default:
			be_reset(bench);
		}
	}
	bench->now_ns = begin_ns;
}

/* ---- playing it ---- */

static int by_due(const void *left, const void *right)
{
	const struct tape_entry *a = left, *b = right;

	if (a->due_ns != b->due_ns)
		return a->due_ns < b->due_ns ? -1 : 1;
	return a->ts_ns < b->ts_ns ? -1 : a->ts_ns > b->ts_ns;
}

static void advance_to(struct bench *bench, uint64_t to_ns)
{
	while (bench->now_ns < to_ns) {
		uint64_t step_ns = to_ns - bench->now_ns;

		bench->now_ns += step_ns < 20 * NS_PER_MS ? step_ns : 20 * NS_PER_MS;
		tracker_advance(bench->tracker, bench->now_ns);
	}
}

static void play(struct recording *recording, enum lagging ring, uint64_t lag_ns)
{
	struct bench *bench = &recording->bench;

	for (size_t i = 0; i < recording->nr_entries; i++) {
		struct tape_entry *entry = &recording->entries[i];

		entry->due_ns = entry->ts_ns + (entry->ring == ring ? lag_ns : 0);
	}
	qsort(recording->entries, recording->nr_entries, sizeof(recording->entries[0]), by_due);
	bench->divert = NULL;
	for (size_t i = 0; i < recording->nr_entries; i++) {
		advance_to(bench, recording->entries[i].due_ns);
		bench_feed(bench, recording->entries[i].record, recording->entries[i].size);
	}
	advance_to(bench, bench->now_ns + 300 * NS_PER_SEC);
}

static void nothing_is_divergent(enum lagging ring, uint64_t lag_ns)
{
	struct recording *recording = calloc(1, sizeof(*recording));
	const struct tracker_stats *stats;
	struct bench *bench;

	assert_non_null(recording);
	bench = &recording->bench;
	bench_start(bench, 64);
	bench->divert = keep;
	bench->answer = truth;
	write_down(bench);
	play(recording, ring, lag_ns);
	stats = tracker_stats(bench->tracker);
	for (int kind = 0; kind < DIVERGENCE_NR; kind++)
		if (stats->divergences[kind])
			fail_msg("%llu %s by a lag of %llu ms of ring %d",
				 (unsigned long long)stats->divergences[kind],
				 divergence_label(kind), (unsigned long long)(lag_ns / NS_PER_MS),
				 ring);
	assert_int_equal(stats->entries, 0);
	if (!lag_ns) {
		assert_int_equal(bench->nr_events, NR_LIVES);
		assert_int_equal(stats->compared_in_two, NR_LIVES);
	}
	bench_stop(bench);
	free(recording);
}

static const uint64_t lags_ms[] = { 0, 1, 5, 100, 249, 251, 400, 1000, 2000, 5000, 20000, 70000 };

static void states_lag(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lags_ms); i++)
		nothing_is_divergent(RING_OF_STATES, lags_ms[i] * NS_PER_MS);
}

static void segments_lag(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lags_ms); i++)
		nothing_is_divergent(RING_OF_SEGMENTS, lags_ms[i] * NS_PER_MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(states_lag),
		cmocka_unit_test(segments_lag),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
