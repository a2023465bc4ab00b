/* SPDX-License-Identifier: GPL-2.0-only */
/* What became of SYNs: see outcome.h. */
#include "listen/outcome.h"

#include <stddef.h>
#include <sys/param.h>

#include "util.h"

/* So many SYNs must meet a queue of exactly its limit before "none was let in" means something. */
#define TEST_SYNS_MIN 3

const char *syn_queue_test_label(enum syn_queue_test test)
{
	static const char *const labels[] = {
#define X(name, label) label,
		SYN_QUEUE_TESTS(X)
#undef X
	};

	return labels[test];
}

uint64_t outcome_first_synacks(const struct listener_counters *at)
{
	return beyond(at->synacks, MAX(at->synacks_again, at->synacks_retransmitted));
}

/* SYNs without an answer. A handshake had one, even where it left by an interface unwatched. */
static uint64_t unanswered(const struct listener_counters *at)
{
	uint64_t answered = MAX(outcome_first_synacks(at), at->handshakes);

	return beyond(at->syns, answered + at->drops[LISTENER_DROP_FILTERED]);
}

/* ACKs without a child. */
static uint64_t childless(const struct listener_counters *at)
{
	return beyond(at->attempts, at->handshakes);
}

/* How many more of `aged` a predicate gave this reason for than of `older`. */
static uint64_t foreseen(const struct listener_outcome *outcome, enum syn_queue_test test,
			 enum listener_drop reason)
{
	const struct listener_counters *aged = &outcome->aged, *older = &outcome->older;
	uint64_t amount = aged->drops[reason] - older->drops[reason];

	if (reason == LISTENER_DROP_SYN_QUEUE_FULL && test == SYN_QUEUE_FULL_AT)
		amount += aged->at_limit - older->at_limit;
	if (reason == LISTENER_DROP_LAST_QUARTER)
		amount = beyond(amount, beyond(aged->quarter_admitted - older->quarter_admitted,
					       aged->quarter_time_wait - older->quarter_time_wait));
	return amount;
}

/*
 * Shares `amount` among reasons as they were foreseen; what is beyond that by more than half had
 * another cause, and is returned.
 */
static uint64_t share(struct listener_outcome *outcome, enum syn_queue_test test,
		      const enum listener_drop *reasons, size_t count, uint64_t amount)
{
	uint64_t weights[LISTENER_DROP_NR], sum = 0, shared, given = 0;
	size_t heaviest = 0;

	for (size_t i = 0; i < count; i++) {
		weights[i] = foreseen(outcome, test, reasons[i]);
		sum += weights[i];
		if (weights[i] > weights[heaviest])
			heaviest = i;
	}
	if (!sum)
		return amount;
	shared = MIN(amount, sum + sum / 2);
	for (size_t i = 0; i < count; i++) {
		outcome->drops[reasons[i]] += weights[i] * shared / sum;
		given += weights[i] * shared / sum;
	}
	outcome->drops[reasons[heaviest]] += shared - given;
	return amount - shared;
}

static void settle_syns(struct listener_outcome *outcome, enum syn_queue_test test,
			const struct listener_counters *now)
{
	static const enum listener_drop reasons[] = {
		LISTENER_DROP_ACCEPT_QUEUE_FULL,
		LISTENER_DROP_SYN_QUEUE_FULL,
		LISTENER_DROP_LAST_QUARTER,
	};
	uint64_t dropped = MIN(unanswered(&outcome->aged), unanswered(now));

	if (dropped <= outcome->dropped)
		return;
	outcome->drops[LISTENER_DROP_OTHER] +=
		share(outcome, test, reasons, ARRAY_SIZE(reasons), dropped - outcome->dropped);
	outcome->dropped = dropped;
}

static void settle_acks(struct listener_outcome *outcome, enum syn_queue_test test, bool alone,
			const struct listener_counters *now)
{
	static const enum listener_drop reasons[] = {
		LISTENER_DROP_FINAL_ACK_REFUSED,
		LISTENER_DROP_COOKIE_REFUSED,
	};
	uint64_t refused = MIN(childless(&outcome->aged), childless(now));

	if (!alone || now->attempts_early) {
		for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
			outcome->drops[reasons[i]] += foreseen(outcome, test, reasons[i]);
		return;
	}
	if (refused <= outcome->refused)
		return;
	share(outcome, test, reasons, ARRAY_SIZE(reasons), refused - outcome->refused);
	outcome->refused = refused;
}

void outcome_settle(struct listener_outcome *outcome, enum syn_queue_test test, bool alone,
		    const struct listener_counters *now)
{
	settle_syns(outcome, test, now);
	settle_acks(outcome, test, alone, now);
	outcome->older = outcome->aged;
	outcome->aged = *now;
}

enum syn_queue_test outcome_test(const struct listener_outcome *outcome,
				 const struct listener_counters *now)
{
	const struct listener_counters *aged = &outcome->aged;

	/* TIME_WAIT's SYNs are let in beyond the limit by every kernel. */
	if (now->beyond_limit > now->at_limit_time_wait)
		return SYN_QUEUE_FULL_BEYOND;
	if (aged->at_limit + aged->at_limit_cookies >= TEST_SYNS_MIN)
		return SYN_QUEUE_FULL_AT;
	return SYN_QUEUE_FULL_UNKNOWN;
}

void outcome_apply(const struct listener_outcome *outcome, enum syn_queue_test test, bool told,
		   struct listener_counters *counters)
{
	for (int reason = 0; reason < LISTENER_DROP_NR; reason++)
		if (reason != LISTENER_DROP_FILTERED && reason != LISTENER_DROP_COOKIE_INVALID)
			counters->drops[reason] = outcome->drops[reason];
	if (told) {
		counters->drops[LISTENER_DROP_FINAL_ACK_REFUSED] = counters->told_acks;
		counters->drops[LISTENER_DROP_COOKIE_REFUSED] = counters->told_cookies;
	}
	if (test == SYN_QUEUE_FULL_AT)
		counters->cookies_wanted += counters->at_limit_cookies;
}
