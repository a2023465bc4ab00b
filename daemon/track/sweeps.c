/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's testimony, asked for: what a sweep of its sockets found, and what it did not.
 *
 * Each connection carries the number of the last sweep that found it. When a sweep is complete,
 * the table is walked for those that it should have found, a slice at each tick. After a loss of
 * records the sweep is the only witness left: the reference starts again from what it says.
 */
#include <sys/param.h>

#include "tcp_defs.h"
#include "track/tracker_parts.h"

/* Connections that a slice of the walk looks at: 0.2 ms, and 20 ms when all of them are missing. */
#define WALK_SLICE 8192u

/* The first sweep, or one after a loss: what is unknown is no surprise. */
static bool is_resync(const struct tracker *tracker)
{
	return !tracker->sweep.seeded || tracker->sweep.confirmed_epoch != tracker->epoch;
}

static bool look(struct tracker *tracker, const struct conn_key *key, uint32_t ifindex,
		 struct rec_snapshot *ret_snapshot)
{
	struct rec_socket answer;

	tracker->stats.looks++;
	if (!tracker->ops.look || tracker->ops.look(tracker->ops.context, key, ifindex, &answer))
		return false;
	*ret_snapshot = answer.snapshot;
	return true;
}

/*
 * A socket that the table does not hold. It may have ended in the moment in which the sweep read
 * it: tracepoints announce CLOSED before it is stored, and the iterator holds on to minisockets.
 */
static bool is_there(struct tracker *tracker, const struct observation *seen)
{
	const struct rec_socket *socket = seen->socket;
	struct rec_snapshot now;

	if (!look(tracker, &seen->key, socket->ifindex, &now))
		return true;
	/* An MPTCP minisocket's cookie is not to be had by a look. */
	return !kview_is_gone(now.state) && (!now.cookie || now.cookie == socket->snapshot.cookie);
}

static void adopt_socket(struct tracker *tracker, const struct observation *seen)
{
	const struct rec_snapshot *snapshot = &seen->socket->snapshot;
	bool resync = is_resync(tracker);
	struct conn *conn;
	uint32_t handle;

	/* Where there is no room, no other may go for it: that one would be found next. */
	if (!resync && (tracker->stats.entries >= tracker->stats.limit || !is_there(tracker, seen)))
		return;
	handle = tracker_begin(tracker, &seen->key, seen->ts_ns);
	if (handle == FLOW_NONE)
		return;
	/* The kernel's word alone: the wire joins at the first segment, if a tap sees one. */
	conn = flowtable_at(tracker->table, handle);
	conn->swept = tracker->sweep.number;
	conn->kernel.cookie = snapshot->cookie;
	conn->last_ifindex = seen->socket->ifindex;
	if (tracker_was_left_out(tracker, &conn->key))
		conn_set_unobservable(conn, UNOBSERVABLE_SAMPLED);
	if (resync)
		conn->doubt = DOUBT_SEED;
	else if (conn->flags & CONN_UNOBSERVABLE)
		; /* nobody was to tell of it */
	else if (snapshot->state != KS_SYN_SENT)
		/* The tracepoint of SYN_SENT has no tuple: until its SYN leaves nobody knows it. */
		tracker->stats.sweep_corrections[CORRECTION_EXTRA]++;
	tracker_assume_kernel(tracker, conn, snapshot->state, snapshot->substate);
	tracker_tell_look(tracker, conn, KS_NONE, seen->ts_ns);
	tracker_compare(tracker, handle, seen->ts_ns);
}

/* After a loss: the sweep is the only witness left; the reference starts again from it. */
static void resync(struct tracker *tracker, struct conn *conn, const struct rec_snapshot *snapshot,
		   uint64_t ts_ns)
{
	enum fsm_state state = kview_as_fsm(snapshot->state, snapshot->substate);
	struct endpoint_facts facts = conn_facts(snapshot);

	conn->epoch = tracker->epoch;
	if (conn->flags & CONN_WIRE_SEEN)
		conn_set_unobservable(conn, UNOBSERVABLE_LOSS);
	if (ts_ns < conn_last_ns(conn))
		return; /* a later record has moved it already */
	tracker_set_kernel(tracker, conn, snapshot->state, snapshot->substate);
	if (conn->flags & CONN_WIRE_SEEN && conn_local_state(conn) != state) {
		tracker_adopt_wire(tracker, conn, state, &facts);
		tracker_tell(tracker, conn, ENTRY_GAVE_UP, ts_ns);
	}
	if (state == FSM_TIME_WAIT && !conn->time_wait_ns)
		conn->time_wait_ns = ts_ns;
}

/* States that begin without a tracepoint: there is nothing to wait for. */
static bool is_silent_step(const struct conn *conn, const struct rec_snapshot *found)
{
	uint8_t known = conn->kernel.state;

	if (found->state == KS_NEW_SYN_RECV)
		return kview_is_gone(known);
	return found->state == KS_TIME_WAIT &&
	       (known == KS_TIME_WAIT || known == KS_FIN_WAIT2 || known == KS_CLOSING);
}

static void hold_against(struct tracker *tracker, struct conn *conn,
			 const struct rec_snapshot *found, uint64_t ts_ns)
{
	enum fsm_state known_as = kview_as_fsm(conn->kernel.state, conn->kernel.substate);
	enum fsm_state found_as = kview_as_fsm(found->state, found->substate);

	if (is_silent_step(conn, found)) {
		tracker_take_snapshot(tracker, conn, found, true);
	} else if (known_as != found_as) {
		tracker_doubt(conn, found_as, ts_ns);
		return;
	} else if (found->cookie) {
		/* Requests expire and are made again under the same SYN. */
		conn->kernel.cookie = found->cookie;
	}
	conn->doubt = DOUBT_NONE;
}

void tracker_on_socket(struct tracker *tracker, const struct observation *observation)
{
	const struct rec_snapshot *found = &observation->socket->snapshot;
	uint64_t ts_ns = observation->ts_ns;
	struct conn *conn;
	uint32_t handle;
	uint8_t before, doubt;

	if (kview_is_gone(found->state))
		return;
	handle = flowtable_find_ahead(tracker->table, observation);
	if (handle == FLOW_NONE) {
		adopt_socket(tracker, observation);
		return;
	}
	conn = flowtable_at(tracker->table, handle);
	conn->swept = tracker->sweep.number;
	tracker_note_progress(tracker, conn, found, ts_ns);
	before = conn->kernel.state;
	doubt = conn->doubt;
	if (tracker_is_stale(tracker, conn))
		resync(tracker, conn, found, ts_ns);
	else if (ts_ns <= MAX(conn_last_ns(conn), conn->looked_ns))
		return; /* what came out of the iterator had to wait for us */
	else if (found->state == before && found->substate == conn->kernel.substate && !doubt &&
		 found->cookie == conn->kernel.cookie)
		return; /* as it nearly always is */
	else
		hold_against(tracker, conn, found, ts_ns);
	tracker_tell_look(tracker, conn, before, ts_ns);
	tracker_compare(tracker, handle, ts_ns);
}

/* A connection that a loss made stale, and that the sweep after it did not find: it has ended
 * while nobody watched, unless a look finds it all the same. */
static void end_unconfirmed(struct tracker *tracker, uint32_t handle, struct conn *conn,
			    uint64_t now_ns)
{
	struct rec_snapshot now;

	conn_set_unobservable(conn, UNOBSERVABLE_LOSS);
	if (conn_last_ns(conn) >= tracker->sweep.walk_begin_ns) {
		/* It moved while the sweep ran: its own records carry it on. */
		conn->epoch = tracker->epoch;
	} else if (look(tracker, &conn->key, conn->last_ifindex, &now) &&
		   !kview_is_gone(now.state)) {
		resync(tracker, conn, &now, now_ns);
	} else {
		tracker_finish(tracker, handle, now_ns);
		return;
	}
	tracker_compare(tracker, handle, now_ns);
}

/* One connection of the walk: should the sweep have found it? */
static void consider(struct tracker *tracker, uint32_t handle, uint64_t now_ns)
{
	const struct sweeping *sweep = &tracker->sweep;
	struct conn *conn = flowtable_at(tracker->table, handle);

	if (!conn->in_use)
		return;
	if (tracker_is_stale(tracker, conn)) {
		end_unconfirmed(tracker, handle, conn, now_ns);
		return;
	}
	if (kview_is_gone(conn->kernel.state) || conn->doubt > DOUBT_SEED)
		return;
	/* By this sweep, or by the next one already. */
	if (conn->swept == sweep->walk_number || conn->swept == sweep->number)
		return;
	/* Something younger than the sweep has said where it is. */
	if (MAX(conn_last_ns(conn), conn->looked_ns) >= sweep->walk_begin_ns)
		return;
	tracker_doubt(conn, FSM_CLOSED, now_ns);
	tracker_compare(tracker, handle, now_ns);
}

void tracker_walk(struct tracker *tracker, uint64_t now_ns)
{
	struct sweeping *sweep = &tracker->sweep;
	uint32_t span = flowtable_span(tracker->table);
	uint32_t slice;

	/* Records were lost since it began: the next sweep counts. */
	if (sweep->confirmed_epoch != tracker->epoch)
		sweep->left = 0;
	slice = MIN(sweep->left, WALK_SLICE);
	sweep->left -= slice;
	for (; slice > 0; slice--) {
		sweep->cursor = sweep->cursor + 1 < span ? sweep->cursor + 1 : 0;
		consider(tracker, sweep->cursor, now_ns);
	}
}

void tracker_on_sweep(struct tracker *tracker, const struct observation *observation)
{
	struct sweeping *sweep = &tracker->sweep;

	if (observation->sweep->phase == SWEEP_BEGIN) {
		sweep->number = sweep->number < UINT16_MAX ? sweep->number + 1 : 1;
		sweep->begin_ns = observation->ts_ns;
		sweep->epoch = tracker->epoch;
		return;
	}
	if (sweep->begin_ns) {
		sweep->seeded = true;
		sweep->confirmed_epoch = sweep->epoch;
		sweep->walk_number = sweep->number;
		sweep->walk_begin_ns = sweep->begin_ns;
		/* From where the last walk is: those it has not come to are not passed over. */
		sweep->left = flowtable_span(tracker->table);
		tracker_walk(tracker, observation->ts_ns);
	}
	sweep->begin_ns = 0;
}
