/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The books of the comparison under anything at all: records that contradict each other, looks that
 * contradict them, losses, sweeps and time. No gauge goes below zero, every divergence that opened
 * closes or is open, and when all is over nothing is left of it.
 */
#include "track_kinds.h"
#include "unit/seeded.h"

#define STEPS 60000
#define TUPLES 6

static struct seeded random_state;

static uint32_t pick(uint32_t max)
{
	return seeded_below(&random_state, max);
}

static const uint8_t states[] = { KS_NONE,	 KS_LISTEN,	 KS_NEW_SYN_RECV, KS_SYN_SENT,
				  KS_SYN_RECV,	 KS_ESTABLISHED, KS_FIN_WAIT1,	  KS_FIN_WAIT2,
				  KS_CLOSE_WAIT, KS_LAST_ACK,	 KS_CLOSING,	  KS_TIME_WAIT,
				  KS_CLOSE };

static struct rec_snapshot any_snapshot(void)
{
	uint8_t state = states[pick(ARRAY_SIZE(states))];
	struct rec_snapshot snapshot;

	if (state == KS_LISTEN || state == KS_NEW_SYN_RECV)
		snapshot = queues(state, pick(2) ? SNAP_ACKED : 0, pick(4), 2, pick(4));
	else if (state == KS_TIME_WAIT)
		snapshot = minisocket(pick(2) ? KS_TIME_WAIT : KS_FIN_WAIT2, 100 + pick(4),
				      500 + pick(4));
	else
		snapshot = full(state, 100 + pick(4), 500 + pick(4), 500 + pick(4));
	snapshot.cookie = state == KS_NONE ? 0 : 77 + pick(2);
	if (!pick(8))
		snapshot.bits |= SNAP_OWNED;
	if (!pick(8))
		snapshot.backlog_bytes = 10;
	snapshot.retransmits = (uint8_t)pick(2);
	return snapshot;
}

static void any_segment(struct bench *bench)
{
	static const uint8_t flags[] = { S, S | A, A, F | A, R, R | A, P | A, F | A | P };

	bench_segment(bench, (struct segment_spec){ .sent = pick(2),
						    .flags = flags[pick(ARRAY_SIZE(flags))],
						    .seq = (pick(2) ? 100 : 500) + pick(6),
						    .ack = (pick(2) ? 100 : 500) + pick(6),
						    .len = pick(3),
						    .kernel = any_snapshot() });
}

static void any_change(struct bench *bench)
{
	static const uint16_t errors[] = { 0, 0, 0, ECONNRESET, ETIMEDOUT, ECONNABORTED, EPIPE };

	bench_change(bench, (struct change_spec){ .from = states[1 + pick(ARRAY_SIZE(states) - 1)],
						  .to = states[1 + pick(ARRAY_SIZE(states) - 1)],
						  .bits = (uint8_t)pick(16) & ~STATE_REPAIR,
						  .error = errors[pick(ARRAY_SIZE(errors))],
						  .shutdown = (uint8_t)pick(4),
						  .rcv_nxt = 100 + pick(4),
						  .snd_una = 500 + pick(4),
						  .snd_nxt = 500 + pick(4),
						  .cookie = 77 + pick(2) });
}

static void anything(struct bench *bench)
{
	static const char *const reasons[] = { "NETFILTER_DROP", "TCP_OLD_DATA", NULL };

	bench->local_port = 443 + (uint16_t)pick(2);
	bench->remote_port = 50000 + (uint16_t)pick(TUPLES / 2);
	bench->ingress_hook = pick(2) ? HOOK_TC_INGRESS : HOOK_XDP_NATIVE;
	bench->kernel = any_snapshot();
	bench->look_error = pick(20) ? 0 : -EIO;
	bench->drop_reason = reasons[pick(ARRAY_SIZE(reasons))];
	bench->nr_events = 0;
	switch (pick(16)) {
	case 0 ... 6:
		any_segment(bench);
		break;
	case 7 ... 10:
		any_change(bench);
		break;
	case 11:
		bench_drop(bench, pick(2), pick(2) ? S : F | A, 100 + pick(4), 500);
		break;
	case 12:
		sweep(bench, SWEEP_BEGIN);
		swept_socket(bench, any_snapshot());
		sweep(bench, SWEEP_END);
		break;
	case 13:
		if (!pick(50))
			loss(bench);
		break;
	default:
		bench_wait(bench, pick(10) ? pick(300) * NS_PER_MS : pick(70) * NS_PER_SEC);
		break;
	}
}

static void books_balance(void **state)
{
	struct bench *bench = *state;
	const struct tracker_stats *stats = stats_of(bench);
	uint32_t kinds = 0;

	random_state.state = seed_of_run();
	print_message("TEST_SEED=%llu\n", (unsigned long long)random_state.state);
	for (int i = 0; i < STEPS; i++) {
		anything(bench);
		assert_books(bench);
	}
	for (int kind = 0; kind < DIVERGENCE_NR; kind++)
		kinds |= stats->divergences[kind] ? 1u << kind : 0;
	/* Nonsense though it is, it comes by a good part of what there is. */
	assert_true(__builtin_popcount(kinds) > DIVERGENCE_NR / 3);
	/* Everything ends: nothing may be left behind. */
	bench->kernel = nothing();
	bench->look_error = 0;
	for (int i = 0; i < 40; i++) {
		bench->nr_events = 0;
		sweep(bench, SWEEP_BEGIN);
		sweep(bench, SWEEP_END);
		bench_wait(bench, 60 * NS_PER_SEC);
	}
	assert_int_equal(stats->entries, 0);
	for (int kind = 0; kind < DIVERGENCE_NR; kind++)
		assert_int_equal(stats->divergences_open[kind], 0);
	for (int view = 0; view < VIEW_NR; view++)
		for (int from = 0; from < FSM_NR_STATES; from++)
			assert_int_equal(stats->connections[view][from], 0);
	for (int i = 0; i < CONDITION_NR; i++)
		assert_int_equal(stats->conditions[i], 0);
	assert_int_equal(stats->findings_lost, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(books_balance) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
