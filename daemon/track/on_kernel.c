/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's testimony: state changes. */
#include <errno.h>
#include <string.h>

#include "tcp_defs.h"
#include "track/closes.h"
#include "track/tracker_parts.h"

/* A listener's accept queue is closed within this time. */
#define CHILDREN_NS (2 * NS_PER_SEC)

static void count_connect_failure(struct tracker *tracker, uint16_t error)
{
	switch (error) {
	case ECONNREFUSED:
		tracker->stats.connect_failures[CONNECT_REFUSED]++;
		break;
	case ETIMEDOUT:
		tracker->stats.connect_failures[CONNECT_TIMEOUT]++;
		break;
	case EHOSTUNREACH:
	case ENETUNREACH:
	case ENETDOWN:
		tracker->stats.connect_failures[CONNECT_UNREACHABLE]++;
		break;
	default:
		/* The application gave up itself. */
		break;
	}
}

static void note_closed_listener(struct tracker *tracker, const struct observation *seen)
{
	struct closed_listener *place =
		&tracker->closed_listeners[tracker->next_closed_listener++ % CLOSED_LISTENERS_MAX];

	place->key = seen->key;
	place->ts_ns = seen->ts_ns;
}

static bool is_any(const uint8_t address[16])
{
	static const uint8_t any[16], any_v4[16] = { [10] = 0xff, [11] = 0xff };

	return !memcmp(address, any, 16) || !memcmp(address, any_v4, 16);
}

/* linux net/ipv4/inet_connection_sock.c:inet_csk_listen_stop closes what nobody accepted, one after
 * the other, right after the listener's own LISTEN->CLOSE. */
static bool listener_has_closed(const struct tracker *tracker, const struct observation *seen)
{
	for (size_t i = 0; i < CLOSED_LISTENERS_MAX; i++) {
		const struct closed_listener *closed = &tracker->closed_listeners[i];

		if (closed->ts_ns && seen->ts_ns - closed->ts_ns < CHILDREN_NS &&
		    closed->key.local_port == seen->key.local_port &&
		    closed->key.netns == seen->key.netns &&
		    (is_any(closed->key.local_address) ||
		     !memcmp(closed->key.local_address, seen->key.local_address, 16)))
			return true;
	}
	return false;
}

static enum close_cause cause_of(const struct tracker *tracker, const struct conn *conn,
				 const struct observation *seen)
{
	const struct finding *finding = tracker_finding(tracker, conn);
	uint8_t context = 0;

	if (!(conn->flags & CONN_WIRE_SEEN) || conn->end == END_REMOTE_RESET ||
	    (finding && finding->resets_unsettled))
		context |= CLOSE_RESET_SEEN;
	if (!seen->state->sk_err && listener_has_closed(tracker, seen))
		context |= CLOSE_LISTENER_CLOSED;
	return close_classify(seen->state, context);
}

/* What the kernel's last word says of how the connection ended, where the wire cannot. */
static void note_close(struct tracker *tracker, struct conn *conn, const struct observation *seen)
{
	const struct rec_state *change = seen->state;
	enum close_cause cause = cause_of(tracker, conn, seen);
	enum connection_end end = close_end(cause, change->old_state);

	conn->kernel.error = change->sk_err;
	conn->kernel.cause = (uint8_t)cause;
	tracker->stats.close_causes[cause]++;
	switch (cause) {
	case CLOSED_BY_KILLED:
	case CLOSED_BY_TIMEOUT:
	case CLOSED_BY_REFUSED:
		conn->end = (uint8_t)end;
		break;
	case CLOSED_BY_RESET_RECEIVED:
	case CLOSED_BY_DATA_AFTER_CLOSE:
	case CLOSED_BY_LOCAL_ABORT:
	case CLOSED_BY_DISCONNECTED:
	case CLOSED_BY_NEVER_ACCEPTED:
	case CLOSED_BY_MEMORY:
		/* The RST tells, if there was one. */
		if (!(conn->flags & CONN_WIRE_SEEN))
			conn->end = (uint8_t)end;
		break;
	default:
		if (conn->end == END_UNKNOWN || !(conn->flags & CONN_WIRE_SEEN))
			conn->end = (uint8_t)end;
		break;
	}
	if (cause == CLOSED_BY_RESET_RECEIVED)
		tracker_concede_reset(tracker, conn, seen->ts_ns);
}

/* The connection a state change belongs to; FLOW_NONE when there is none to move. */
static uint32_t connection_of(struct tracker *tracker, const struct observation *seen)
{
	const struct rec_state *change = seen->state;
	uint32_t handle = flowtable_find_ahead(tracker->table, seen);

	if (handle != FLOW_NONE) {
		const struct conn *conn = flowtable_at(tracker->table, handle);
		enum fsm_state wire = conn_local_state(conn);
		bool stranger = conn->kernel.cookie && seen->cookie &&
				conn->kernel.cookie != seen->cookie;
		bool begins = change->old_state == KS_CLOSE || change->old_state == KS_SYN_SENT ||
			      change->old_state == KS_SYN_RECV;

		if (!stranger)
			return handle;
		if (!begins)
			return FLOW_NONE; /* the last word of an earlier life */
		/* A request that expired and was made again under the same SYN. */
		if (conn->flags & CONN_WIRE_SEEN && wire <= FSM_ESTABLISHED && wire != FSM_CLOSED)
			return handle;
		if (change->old_state == KS_CLOSE)
			tracker_reuse_moment(tracker, flowtable_at(tracker->table, handle),
					     seen->ts_ns);
		tracker_finish(tracker, handle, seen->ts_ns);
	}
	if (change->new_state != KS_CLOSE)
		return tracker_begin(tracker, &seen->key, seen->ts_ns);
	/* It came and went unseen by any tap; a child that lost a race was never anything. */
	if (change->old_state == KS_SYN_RECV)
		tracker->stats.duplicate_children++;
	else if (tracker_was_left_out(tracker, &seen->key))
		tracker->stats.unobservable[UNOBSERVABLE_SAMPLED]++;
	else
		tracker->stats.unobservable[UNOBSERVABLE_UNTAPPED]++;
	return FLOW_NONE;
}

static void learn_from_change(struct tracker *tracker, struct conn *conn,
			      const struct observation *seen)
{
	const struct rec_state *change = seen->state;
	const struct endpoint_facts facts = {
		.known = KNOWN_SND_UNA | KNOWN_SND_NXT | KNOWN_RCV_NXT,
		.snd_una = change->snd_una,
		.snd_nxt = change->snd_nxt,
		.rcv_nxt = change->rcv_nxt,
	};
	struct dialogue_steps steps;

	/* Before ESTABLISHED the variables are a recycled or cloned socket's. */
	if (!(conn->flags & CONN_WIRE_SEEN) || change->old_state == KS_SYN_SENT ||
	    change->old_state == KS_SYN_RECV || change->old_state == KS_CLOSE)
		return;
	dialogue_learn(&conn->talk, &facts, &steps);
	tracker_take_steps(tracker, conn, &steps, seen->ts_ns);
}

static void count_life(struct tracker *tracker, struct conn *conn, const struct rec_state *change)
{
	if (change->old_state == KS_SYN_SENT || change->new_state == KS_SYN_SENT) {
		if (conn->role == ROLE_UNKNOWN)
			conn->role = ROLE_CLIENT;
	}
	/* Its SYN may not have left yet: it is counted when it has, or when it was answered. */
	if (change->old_state == KS_SYN_SENT)
		tracker_count_opened(tracker, conn, ROLE_CLIENT);
	if (change->old_state == KS_SYN_RECV) {
		if (conn->role == ROLE_UNKNOWN)
			conn->role = ROLE_SERVER;
	}
}

/* A change tells two states: where the story begins, or goes on if something is missing before. */
static void take_old_state(struct tracker *tracker, struct conn *conn, uint8_t old_state)
{
	if (conn->kernel.state != KS_NONE)
		tracker_kernel_was(tracker, conn, old_state, 0);
	if (conn->kernel.state != KS_NONE || old_state == KS_CLOSE)
		return;
	if (old_state == KS_SYN_SENT) {
		tracker_set_kernel(tracker, conn, KS_SYN_SENT, 0);
	} else if (old_state == KS_SYN_RECV) {
		tracker_set_kernel(tracker, conn, KS_LISTEN, 0);
		tracker_set_kernel(tracker, conn, KS_SYN_RECV, 0);
	} else {
		tracker_assume_kernel(tracker, conn, old_state, 0);
	}
}

static void note_change(struct conn *conn, const struct observation *seen)
{
	conn->changed_ns = seen->ts_ns;
	conn->flags |= CONN_CHANGED_LAST;
	conn->change_from = seen->state->old_state;
	conn->change_to = seen->state->new_state;
	conn->change_bits = seen->state->bits;
}

void tracker_on_state(struct tracker *tracker, const struct observation *observation)
{
	const struct rec_state *change = observation->state;
	uint8_t state, substate;
	struct conn *conn;
	uint32_t handle;

	if (change->old_state == KS_LISTEN && change->new_state == KS_CLOSE)
		note_closed_listener(tracker, observation);
	if (change->old_state == KS_LISTEN || change->new_state == KS_LISTEN)
		return; /* a listener's: the listen stage takes it */
	if (change->old_state == KS_SYN_SENT && change->new_state == KS_CLOSE)
		count_connect_failure(tracker, change->sk_err);
	if (change->bits & STATE_NO_TUPLE)
		return; /* the SYN that follows carries tuple and cookie */
	handle = connection_of(tracker, observation);
	if (handle == FLOW_NONE)
		return;
	conn = flowtable_at(tracker->table, handle);
	/* A second child of one handshake that lost the race (KERNEL.md §6 row 30). */
	if (change->old_state == KS_SYN_RECV && change->new_state == KS_CLOSE &&
	    conn->kernel.state != KS_SYN_RECV && conn->kernel.state != KS_NEW_SYN_RECV) {
		tracker->stats.duplicate_children++;
		return;
	}
	if (change->bits & STATE_REPAIR)
		conn_set_unobservable(conn, UNOBSERVABLE_REPAIR);
	count_life(tracker, conn, change);
	take_old_state(tracker, conn, change->old_state);
	if (observation->cookie)
		conn->kernel.cookie = observation->cookie;
	learn_from_change(tracker, conn, observation);
	if (change->new_state == KS_CLOSE)
		tracker_release_reset(tracker, conn, observation->ts_ns);
	kview_after_change(change, &state, &substate);
	note_change(conn, observation);
	if (change->new_state == KS_CLOSE)
		note_close(tracker, conn, observation);
	tracker_set_kernel(tracker, conn, state, substate);
	tracker_tell_change(tracker, conn, observation);
	if (change->new_state == KS_CLOSE)
		tracker_close_moment(tracker, conn, observation->ts_ns);
	tracker_compare(tracker, handle, observation->ts_ns);
}
