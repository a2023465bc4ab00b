/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's word at one instant: what a lookup found says of where the socket has been. */
#include "track/tracker_parts.h"

/* A look answers for this instant, the rings lag behind it: one that misses a full socket may
 * only be ahead of the tracepoint that says why. */
#define LOOKS_TO_BELIEVE 2

/* States that begin and end without a tracepoint: only lookups know them. */
static bool is_silent(uint8_t state)
{
	return state == KS_NEW_SYN_RECV || state == KS_TIME_WAIT;
}

/*
 * The kernel was in `state`, and no tracepoint told how it came there. Events in a softirq that
 * interrupts a tracing program can pass it by, rarely and in bursts: under XDP and a saturated CPU
 * 391 of 800,025 that `perf stat` counted did, and not even all of those are among its misses.
 */
void tracker_kernel_was(struct tracker *tracker, struct conn *conn, uint8_t state, uint8_t substate)
{
	if (kview_rank(state) <= kview_rank(conn->kernel.state))
		return;
	if (!kview_is_gone(conn->kernel.state) && !tracker_is_sampled(tracker, conn))
		tracker->stats.kernel_gaps++;
	tracker_set_kernel(tracker, conn, state, substate);
}

/* A lookup that found no socket of this connection: what was silent is over. */
static void take_absence(struct tracker *tracker, struct conn *conn, uint8_t found, bool fresh)
{
	uint8_t now = conn->kernel.state;
	/* One that ought to be there for a while yet is missed when two looks miss it. */
	bool young = now == KS_TIME_WAIT && conn_local_state(conn) == FSM_TIME_WAIT;

	if (young && conn->tries < LOOKS_TO_BELIEVE)
		return;
	if (now == KS_NONE && found == KS_LISTEN)
		tracker_set_kernel(tracker, conn, KS_LISTEN, 0);
	else if (now == KS_NEW_SYN_RECV || (is_silent(now) && fresh))
		tracker_set_kernel(tracker, conn, now == KS_NEW_SYN_RECV ? found : KS_CLOSE, 0);
	else if (fresh && !kview_is_gone(now) && conn->tries >= LOOKS_TO_BELIEVE)
		tracker_set_kernel(tracker, conn, KS_CLOSE, 0);
}

void tracker_take_snapshot(struct tracker *tracker, struct conn *conn,
			   const struct rec_snapshot *snapshot, bool fresh)
{
	uint8_t now = conn->kernel.state, found = snapshot->state;
	bool first = kview_is_gone(now);

	if (!(snapshot->bits & SNAP_LOOKED))
		return;
	if (found == KS_NONE || found == KS_LISTEN) {
		if (found == KS_LISTEN || fresh)
			take_absence(tracker, conn, found, fresh);
		return;
	}
	if (found == KS_CLOSE)
		return;
	/* Under a SYN it is the last life's (DESIGN §4): the listener will answer. */
	if (found == KS_TIME_WAIT && snapshot->bits & SNAP_QUEUES) {
		take_absence(tracker, conn, KS_LISTEN, false);
		return;
	}
	if (found == KS_TIME_WAIT)
		conn->flags |= CONN_MINISOCKET_SEEN;
	if (found == KS_TIME_WAIT && now == KS_TIME_WAIT)
		tracker_set_kernel(tracker, conn, found, snapshot->substate);
	else if (!fresh)
		tracker_kernel_was(tracker, conn, found, snapshot->substate);
	else
		/* Not a gap: the answer may be ahead of the tracepoint that is on its way. */
		tracker_set_kernel(tracker, conn, found, snapshot->substate);
	if (snapshot->cookie && (first || !conn->kernel.cookie))
		conn->kernel.cookie = snapshot->cookie;
}
