/* SPDX-License-Identifier: GPL-2.0-only */
/* When a SYN flood is suspected: see flood.h. */
#include "listen/flood.h"

#include <sys/param.h>

#include "util.h"

#define TOTALS_NR (FLOOD_WINDOW_SECONDS + 2)

/* FILL_PERCENT's buckets above 50 per cent. */
#define FILL_CROWDED 4

void flood_add(struct flood_totals *totals, const struct listener_counters *counters)
{
	const __u64 *drops = counters->drops, *fill = counters->syn_fill.buckets;

	totals->syns += counters->syns;
	totals->excused += drops[LISTENER_DROP_ACCEPT_QUEUE_FULL] + drops[LISTENER_DROP_FILTERED] +
			   drops[LISTENER_DROP_OTHER];
	totals->answers += counters->handshakes + counters->deferred + counters->requests_reset +
			   drops[LISTENER_DROP_FINAL_ACK_REFUSED] +
			   drops[LISTENER_DROP_COOKIE_REFUSED];
	totals->listener_resets += counters->resets;
	totals->cookies += counters->cookies_sent;
	totals->cookies_wanted += counters->cookies_wanted;
	totals->dropped += drops[LISTENER_DROP_SYN_QUEUE_FULL] + drops[LISTENER_DROP_LAST_QUARTER];
	for (int bucket = FILL_CROWDED; bucket < FILL_BUCKETS; bucket++)
		totals->crowded += fill[bucket];
	totals->beyond += fill[FILL_BUCKETS - 1];
}

/* The newest of at least `age` ago; else the oldest there is. */
static const struct flood_totals *before(const struct flood_watch *watch, uint64_t age_ns)
{
	uint32_t kept = MIN(watch->count, TOTALS_NR);
	const struct flood_totals *newest = &watch->totals[(watch->count - 1) % TOTALS_NR];
	const struct flood_totals *found = newest;

	for (uint32_t i = 1; i < kept && newest->ts_ns - found->ts_ns < age_ns; i++)
		found = &watch->totals[(watch->count - 1 - i) % TOTALS_NR];
	return found;
}

/* Members that close take along what they counted: then a total may go back. */
static struct flood_facts facts_of(const struct flood_watch *watch)
{
	const struct flood_totals *newest = &watch->totals[(watch->count - 1) % TOTALS_NR];
	const struct flood_totals *lagged = before(watch, FLOOD_LAG_SECONDS * NS_PER_SEC);
	const struct flood_totals *oldest = before(watch, FLOOD_WINDOW_SECONDS * NS_PER_SEC);
	uint64_t asked = beyond(beyond(lagged->syns, oldest->syns),
				beyond(newest->excused, oldest->excused));
	uint64_t answers = beyond(newest->answers, oldest->answers);
	uint64_t period_ns = lagged->ts_ns - oldest->ts_ns;
	bool always = beyond(newest->cookies_wanted, oldest->cookies_wanted) >
		      beyond(newest->beyond, oldest->beyond);
	struct flood_facts facts = { .answered = 100 };

	if (always)
		answers += beyond(newest->listener_resets, oldest->listener_resets);
	if (!period_ns || !asked)
		return facts;
	facts.rate = (uint32_t)(asked * NS_PER_SEC / period_ns);
	facts.answered = (uint32_t)(MIN(answers, asked) * 100 / asked);
	facts.hurts =
		newest->dropped > oldest->dropped || newest->cookies > oldest->cookies || always ||
		2 * beyond(newest->crowded, oldest->crowded) > beyond(newest->syns, oldest->syns);
	return facts;
}

static void may_begin(struct flood_watch *watch, uint64_t now_ns)
{
	const struct flood_facts *facts = &watch->facts;

	if (facts->rate < FLOOD_RATE || facts->answered >= FLOOD_ANSWERED || !facts->hurts)
		return;
	watch->suspected = true;
	watch->since_ns = now_ns;
	watch->quiet_ns = 0;
}

static void may_end(struct flood_watch *watch, uint64_t now_ns)
{
	const struct flood_facts *facts = &watch->facts;

	if (facts->rate >= FLOOD_RATE_STAYS && facts->answered < FLOOD_ANSWERED_STAYS) {
		watch->quiet_ns = 0;
		return;
	}
	if (!watch->quiet_ns)
		watch->quiet_ns = now_ns;
	watch->suspected = now_ns - watch->quiet_ns < FLOOD_CALM_SECONDS * NS_PER_SEC;
}

bool flood_judge(struct flood_watch *watch, const struct flood_totals *totals)
{
	bool suspected = watch->suspected;

	watch->totals[watch->count++ % TOTALS_NR] = *totals;
	watch->facts = facts_of(watch);
	if (suspected)
		may_end(watch, totals->ts_ns);
	else
		may_begin(watch, totals->ts_ns);
	return watch->suspected != suspected;
}
