/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A sweep is no proof. It takes its time, and sockets open, move and close while it runs; it reads
 * a state that a tracepoint has announced and the kernel not stored yet; it may go by a socket
 * that changes its place in the table. So what it says against the kernel view is a doubt, and a
 * look decides, after the settle time, when every record of what led there has been taken in.
 */
#include "track/tracker_parts.h"

void tracker_doubt(struct conn *conn, enum fsm_state seen, uint64_t now_ns)
{
	/* Where the views differ, judge.c asks already. */
	if (conn->parted_ns)
		return;
	conn->doubt = conn->doubt == DOUBT_SEED && seen == FSM_CLOSED ? DOUBT_MISSED :
									DOUBT_STATE + (uint8_t)seen;
	/* It is asked for a settle time after this. */
	conn->looked_ns = now_ns;
	conn->tries = 0;
}

/* Did it end in the course of things, as those do that have no tracepoint for it? */
static bool has_expired(const struct conn *conn, enum fsm_state from)
{
	bool wire_seen = conn->flags & CONN_WIRE_SEEN;

	switch (from) {
	case FSM_SYN_RECEIVED:
	case FSM_FIN_WAIT_2:
		return true;
	case FSM_TIME_WAIT:
		return !wire_seen || conn_local_state(conn) != FSM_TIME_WAIT;
	default:
		return false;
	}
}

static enum sweep_correction correction_of(const struct conn *conn, enum fsm_state from)
{
	if (from == FSM_CLOSED || from == FSM_LISTEN)
		return CORRECTION_EXTRA;
	if (!kview_is_gone(conn->kernel.state))
		return CORRECTION_STATE;
	return has_expired(conn, from) ? CORRECTION_EXPIRED : CORRECTION_MISSING;
}

void tracker_settle_doubt(struct tracker *tracker, struct conn *conn,
			  const struct rec_snapshot *look, enum fsm_state from)
{
	enum fsm_state to = kview_as_fsm(conn->kernel.state, conn->kernel.substate);
	bool gone = kview_is_gone(conn->kernel.state);
	uint8_t doubt = conn->doubt;

	if (doubt <= DOUBT_SEED)
		return;
	/* That a full socket has gone is believed at the second look: see snapshots.c. */
	if (kview_is_gone(look->state) && !gone)
		return;
	conn->doubt = DOUBT_NONE;
	/* A life whose beginning was missed. */
	if (!gone && look->cookie)
		conn->kernel.cookie = look->cookie;
	if (to == from)
		return;
	/* Neither what the view was nor what the sweep saw: it moves, and its records are coming.
	 * That a seed has gone is no correction. */
	if (doubt != DOUBT_STATE + (gone ? FSM_CLOSED : to))
		return;
	if (!tracker_is_sampled(tracker, conn))
		tracker->stats.sweep_corrections[correction_of(conn, from)]++;
}
