/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's testimony, asked for: what a sweep of its sockets found, and what it did not. */
#include "tcp_defs.h"
#include "track/tracker_parts.h"

/* A swept socket that the table does not hold: it was there before us, or its birth was lost. */
static void adopt_socket(struct tracker *tracker, const struct observation *seen)
{
	const struct rec_snapshot *snapshot = &seen->socket->snapshot;
	uint32_t handle = tracker_begin(tracker, &seen->key, seen->ts_ns);
	struct conn *conn;

	if (handle == FLOW_NONE)
		return;
	/* The kernel's word alone: the wire joins at the first segment, if a tap sees one. */
	conn = flowtable_at(tracker->table, handle);
	conn->kernel.cookie = snapshot->cookie;
	tracker_assume_kernel(tracker, conn, snapshot->state, snapshot->substate);
	tracker_tell_look(tracker, conn, KS_NONE, seen->ts_ns);
	tracker_compare(tracker, handle, seen->ts_ns);
}

/* After a loss: the sweep is the only witness left; the reference starts again from it. */
static void resync(struct tracker *tracker, struct conn *conn, const struct observation *seen)
{
	const struct rec_snapshot *snapshot = &seen->socket->snapshot;
	enum fsm_state state = kview_as_fsm(snapshot->state, snapshot->substate);
	struct endpoint_facts facts = conn_facts(snapshot);

	conn->epoch = tracker->epoch;
	if (conn->flags & CONN_WIRE_SEEN)
		conn_set_unobservable(conn, UNOBSERVABLE_LOSS);
	if (seen->ts_ns < conn->last_ns)
		return; /* a later record has moved it already */
	tracker_set_kernel(tracker, conn, snapshot->state, snapshot->substate);
	if (conn->flags & CONN_WIRE_SEEN && conn_local_state(conn) != state) {
		tracker_adopt_wire(tracker, conn, state, &facts);
		tracker_tell(tracker, conn, ENTRY_GAVE_UP, seen->ts_ns);
	}
	if (state == FSM_TIME_WAIT && !conn->time_wait_ns)
		conn->time_wait_ns = seen->ts_ns;
}

void tracker_on_socket(struct tracker *tracker, const struct observation *observation)
{
	const struct rec_snapshot *snapshot = &observation->socket->snapshot;
	uint32_t handle;
	struct conn *conn;
	uint8_t before;

	if (kview_is_gone(snapshot->state))
		return;
	handle = flowtable_find(tracker->table, &observation->key);
	if (handle == FLOW_NONE) {
		adopt_socket(tracker, observation);
		return;
	}
	conn = flowtable_at(tracker->table, handle);
	before = conn->kernel.state;
	if (tracker_is_stale(tracker, conn))
		resync(tracker, conn, observation);
	else if (observation->ts_ns > conn->last_ns)
		tracker_take_snapshot(tracker, conn, snapshot, true);
	tracker_tell_look(tracker, conn, before, observation->ts_ns);
	tracker_compare(tracker, handle, observation->ts_ns);
}

/* What a sweep after a loss did not find has ended while nobody watched. */
static void drop_unconfirmed(struct tracker *tracker, uint64_t now_ns)
{
	for (uint32_t handle = 0; handle < flowtable_span(tracker->table); handle++) {
		struct conn *conn = flowtable_at(tracker->table, handle);

		if (!conn->in_use || !tracker_is_stale(tracker, conn))
			continue;
		conn_set_unobservable(conn, UNOBSERVABLE_LOSS);
		if (conn->last_ns < tracker->sweep_begin_ns) {
			tracker_finish(tracker, handle, now_ns);
			continue;
		}
		/* It moved while the sweep ran: its own records carry it on. */
		conn->epoch = tracker->epoch;
		tracker_compare(tracker, handle, now_ns);
	}
}

void tracker_on_sweep(struct tracker *tracker, const struct observation *observation)
{
	if (observation->sweep->phase == SWEEP_BEGIN) {
		tracker->sweep_begin_ns = observation->ts_ns;
		return;
	}
	drop_unconfirmed(tracker, observation->ts_ns);
	tracker->sweep_begin_ns = 0;
}
