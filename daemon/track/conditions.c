/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What both views agree on and an operator wants to know all the same (KERNEL.md §6 rows 35, 36):
 * gauges of the connections in it now. CLOSE_WAIT is timed by the deadline wheel; whether an open
 * connection makes progress is seen by sweeps.
 */
#include "track/tracker_parts.h"

#define CONDITION_NS (60 * NS_PER_SEC)

static uint64_t condition_ns(const struct tracker *tracker)
{
	return tracker->settings.condition_ns ? tracker->settings.condition_ns : CONDITION_NS;
}

static void set(struct tracker *tracker, struct conn *conn, enum condition condition, bool holds)
{
	uint8_t bit = (uint8_t)(1u << condition);

	if (holds == !!(conn->conditions & bit))
		return;
	conn->conditions ^= bit;
	if (holds)
		tracker->stats.conditions[condition]++;
	else
		tracker->stats.conditions[condition]--;
}

void tracker_end_conditions(struct tracker *tracker, struct conn *conn)
{
	for (int i = 0; i < CONDITION_NR; i++)
		set(tracker, conn, i, false);
}

/* Of a socket that was there before us it is known since when at least. */
static uint64_t close_wait_ends(const struct tracker *tracker, const struct conn *conn)
{
	return (conn->changed_ns ? conn->changed_ns : conn->opened_ns) + condition_ns(tracker);
}

uint64_t tracker_condition_due(const struct tracker *tracker, const struct conn *conn)
{
	if (conn->kernel.state != KS_CLOSE_WAIT ||
	    conn->conditions & 1u << CONDITION_CLOSE_WAIT_LEAK)
		return UINT64_MAX;
	return close_wait_ends(tracker, conn);
}

void tracker_check_conditions(struct tracker *tracker, struct conn *conn, uint64_t now_ns)
{
	if (tracker_condition_due(tracker, conn) <= now_ns)
		set(tracker, conn, CONDITION_CLOSE_WAIT_LEAK, true);
}

static bool is_stalled(const struct rec_snapshot *snapshot)
{
	if (snapshot->state != KS_ESTABLISHED && snapshot->state != KS_CLOSE_WAIT)
		return false;
	return snapshot->retransmits;
}

void tracker_note_progress(struct tracker *tracker, struct conn *conn,
			   const struct rec_snapshot *snapshot, uint64_t now_ns)
{
	struct finding *finding = tracker_finding(tracker, conn);

	if (!is_stalled(snapshot)) {
		if (finding)
			finding->stalled_since_ns = 0;
		set(tracker, conn, CONDITION_NO_PROGRESS, false);
		return;
	}
	finding = tracker_need_finding(tracker, conn);
	if (!finding)
		return;
	if (!finding->stalled_since_ns || finding->stalled_una != snapshot->vars.snd_una) {
		finding->stalled_since_ns = now_ns;
		finding->stalled_una = snapshot->vars.snd_una;
		set(tracker, conn, CONDITION_NO_PROGRESS, false);
	} else if (now_ns - finding->stalled_since_ns >= condition_ns(tracker)) {
		set(tracker, conn, CONDITION_NO_PROGRESS, true);
	}
}
