/* SPDX-License-Identifier: GPL-2.0-only */
/* The wire's testimony: segments drive the reference, their snapshots are evidence. */
#include "tcp_defs.h"
#include "track/tracker_parts.h"

/* A segment seen again on a second interface comes within this time (DESIGN §4). */
#define COPY_WINDOW_NS 10000000ull

#define FINS_REFUSED 2u

static struct tcp_segment segment_of(const struct rec_segment *rec)
{
	return (struct tcp_segment){
		.seq = rec->seq,
		.ack = rec->ack,
		.len = rec->payload_bytes,
		.window = rec->window,
		.mss = rec->mss,
		.flags = rec->tcp_flags,
		.options = rec->options,
		.wscale = rec->wscale,
		.tsval = rec->tsval,
		.tsecr = rec->tsecr,
	};
}

static bool is_full(uint8_t state)
{
	switch (state) {
	case KS_ESTABLISHED:
	case KS_FIN_WAIT1:
	case KS_FIN_WAIT2:
	case KS_CLOSE_WAIT:
	case KS_LAST_ACK:
	case KS_CLOSING:
		return true;
	default:
		return false;
	}
}

/* Does this SYN begin another connection than the one the table holds on its tuple? */
static bool is_new_life(const struct conn *conn, const struct observation *seen)
{
	const struct rec_segment *rec = seen->segment;
	enum fsm_state wire = conn_local_state(conn);

	if (!segment_is_syn(rec))
		return false;
	if (!(conn->flags & CONN_WIRE_SEEN))
		return conn->kernel.state == KS_CLOSE || conn->kernel.state == KS_TIME_WAIT;
	if (wire == FSM_CLOSED)
		return true;
	if (seen->sent)
		return conn->kernel.cookie && rec->snapshot.cookie &&
		       conn->kernel.cookie != rec->snapshot.cookie;
	/* The kernel holds nothing but the listener for it: what we remember is over. */
	return rec->snapshot.state == KS_LISTEN && wire != FSM_LISTEN && wire != FSM_SYN_RECEIVED;
}

/* Starts the dialogue of a connection whose first segment this is. */
static void start_wire(struct tracker *tracker, struct conn *conn, const struct observation *seen)
{
	const struct rec_segment *rec = seen->segment;
	const struct rec_snapshot *snapshot = &rec->snapshot;
	struct endpoint_facts facts = conn_facts(snapshot);
	enum fsm_state state = kview_as_fsm(snapshot->state, snapshot->substate);

	if (tracker->settings.wire_only) {
		tracker_start_captured(tracker, conn, seen);
		return;
	}
	if (segment_is_syn(rec) && (seen->sent || snapshot->state != KS_SYN_SENT)) {
		dialogue_init(&conn->talk, seen->sent ? FSM_CLOSED : FSM_LISTEN,
			      seen->sent ? FSM_LISTEN : FSM_CLOSED, true);
		conn->flags |= CONN_WIRE_SEEN | CONN_HANDSHAKE_SEEN;
		conn->role = seen->sent ? ROLE_CLIENT : ROLE_SERVER;
		conn->opened_ns = seen->ts_ns;
		return;
	}
	if (state == FSM_CLOSED || state == FSM_LISTEN)
		state = kview_as_fsm(conn->kernel.state, conn->kernel.substate);
	/* What came before had the packets' tuple, and found no socket. */
	if (tracker_was_left_out(tracker, &conn->key))
		conn_set_unobservable(conn, UNOBSERVABLE_SAMPLED);
	conn_set_unobservable(conn, rec->hdr.flags & REC_F_TRANSLATED ? UNOBSERVABLE_NOT_LOCAL :
									UNOBSERVABLE_ADOPTED);
	tracker_adopt_wire(tracker, conn, state, &facts);
	conn->time_wait_ns = seen->ts_ns;
}

/* Is there a connection of this host behind a segment that no known one explains? */
static bool is_worth_following(const struct tracker *tracker, const struct observation *seen)
{
	const struct rec_segment *rec = seen->segment;
	uint8_t state = rec->snapshot.state;

	if (rec->tcp_flags & TCPF_RST)
		return false;
	if ((segment_is_syn(rec) && seen->sent) || tracker->settings.wire_only)
		return true;
	if (segment_is_syn(rec))
		return state == KS_LISTEN || state == KS_NEW_SYN_RECV || state == KS_SYN_SENT ||
		       (state == KS_TIME_WAIT && rec->snapshot.bits & SNAP_QUEUES);
	return is_full(state) || state == KS_NEW_SYN_RECV || state == KS_SYN_RECV ||
	       state == KS_SYN_SENT || state == KS_TIME_WAIT;
}

/*
 * The kernel has nothing but a listener for it, which never answered its SYN, and yet the peer
 * acknowledges: NAT took the connection elsewhere (a published port), past this listener.
 */
static bool is_answered_elsewhere(const struct conn *conn, const struct observation *seen)
{
	const struct rec_segment *rec = seen->segment;

	return !seen->sent && rec->snapshot.state == KS_LISTEN &&
	       (rec->tcp_flags & (TCPF_SYN | TCPF_ACK | TCPF_RST)) == TCPF_ACK &&
	       conn->flags & CONN_WIRE_SEEN && conn_local_state(conn) == FSM_LISTEN;
}

/* The connection this segment belongs to, begun if need be; FLOW_NONE if there is none. */
static uint32_t connection_of(struct tracker *tracker, const struct observation *seen)
{
	uint32_t handle = flowtable_find_ahead(tracker->table, seen);

	if (handle != FLOW_NONE &&
	    is_answered_elsewhere(flowtable_at(tracker->table, handle), seen)) {
		tracker_forget(tracker, handle, seen->ts_ns);
		handle = FLOW_NONE;
	}
	if (handle != FLOW_NONE && is_new_life(flowtable_at(tracker->table, handle), seen)) {
		if (seen->sent)
			tracker_reuse_moment(tracker, flowtable_at(tracker->table, handle),
					     seen->ts_ns);
		tracker_finish(tracker, handle, seen->ts_ns);
		handle = FLOW_NONE;
	}
	if (handle == FLOW_NONE) {
		if (!is_worth_following(tracker, seen)) {
			tracker_on_stray(tracker, seen);
			return FLOW_NONE;
		}
		handle = tracker_begin(tracker, &seen->key, seen->ts_ns);
	}
	if (handle != FLOW_NONE && !(flowtable_at(tracker->table, handle)->flags & CONN_WIRE_SEEN))
		start_wire(tracker, flowtable_at(tracker->table, handle), seen);
	return handle;
}

/* The same segment on a second interface (bridge and port, macvlan): counted, not judged. */
static bool is_copy(struct conn *conn, const struct observation *seen)
{
	const struct rec_segment *rec = seen->segment;
	bool copy = rec->seq == conn->last_seq && rec->ack == conn->last_ack &&
		    rec->tcp_flags == conn->last_flags && rec->ip_id == conn->last_ip_id &&
		    conn->last_ifindex && rec->ifindex != conn->last_ifindex &&
		    seen->ts_ns - conn_last_ns(conn) < COPY_WINDOW_NS;

	if (copy)
		return true;
	return false;
}

/* Of an unanswered SYN the newest segment is that SYN. */
static void note_syn(struct tracker *tracker, struct conn *conn, const struct observation *seen)
{
	const struct rec_snapshot *snapshot = &seen->segment->snapshot;
	struct finding *finding;

	if (!dialogue_syn_unanswered(&conn->talk)) {
		/* Where there is no listener it begins to differ only now, or never. */
		if (!(snapshot->bits & SNAP_QUEUES))
			return;
		finding = tracker_need_finding(tracker, conn);
		if (finding)
			finding->syn_drops = snapshot->queues.drops;
		return;
	}
	conn->evidence |= EVIDENCE_SYN_AGAIN;
	finding = tracker_finding(tracker, conn);
	if (!finding)
		return;
	finding->syn_gap_ns = seen->ts_ns - conn->segment_ns;
	finding->syns++;
}

/* What a segment is, beside whatever else it is: bits by enum seen_kind. */
static uint8_t kinds_of(const struct rec_segment *rec, bool all)
{
	bool syn = rec->tcp_flags & TCPF_SYN, ack = rec->tcp_flags & TCPF_ACK;
	uint8_t kinds = 0;

	if (syn)
		kinds |= ack ? 1u << SEEN_SYNACK : 1u << SEEN_SYN;
	else if (all && ack)
		kinds |= 1u << SEEN_ACK;
	if (all && rec->payload_bytes)
		kinds |= 1u << SEEN_DATA;
	if (rec->tcp_flags & TCPF_FIN)
		kinds |= 1u << SEEN_FIN;
	if (rec->tcp_flags & TCPF_RST)
		kinds |= 1u << SEEN_RST;
	return kinds;
}

static void note_segment(struct tracker *tracker, struct conn *conn, const struct observation *seen)
{
	const struct rec_segment *rec = seen->segment;
	struct finding *finding = tracker_finding(tracker, conn);

	conn->segment_ns = seen->ts_ns;
	conn->last_seq = rec->seq;
	conn->last_ack = rec->ack;
	conn->last_payload = rec->payload_bytes;
	conn->last_flags = rec->tcp_flags;
	conn->seen |= kinds_of(rec, tracker->settings.wire_only);
	conn->last_ip_id = rec->ip_id;
	conn->last_ifindex = rec->ifindex;
	conn->flags &= (uint16_t) ~(CONN_LAST_SENT | CONN_CHANGED_LAST);
	conn->flags |= seen->sent ? CONN_LAST_SENT : 0;
	if (finding && !seen->sent && rec->tcp_flags & TCPF_FIN)
		finding->fins++;
}

/* Before the reference runs: whether a SYN is the second one is told by what it knew so far. */
static void weigh(struct tracker *tracker, struct conn *conn, const struct observation *seen)
{
	const struct rec_segment *rec = seen->segment;
	const struct rec_snapshot *snapshot = &rec->snapshot;

	if (rec->hdr.flags & REC_F_TRANSLATED)
		conn->evidence |= EVIDENCE_TRANSLATED;
	if (snapshot->bits & SNAP_REPAIR)
		conn_set_unobservable(conn, UNOBSERVABLE_REPAIR);
	if (!seen->sent) {
		conn_weigh_queues(conn, snapshot, rec->tcp_flags);
		if (segment_is_syn(rec))
			note_syn(tracker, conn, seen);
		return;
	}
	if (segment_is_synack(rec) && !snapshot->state && snapshot->bits & SNAP_LOOKED &&
	    !(snapshot->bits & SNAP_CTL_SK))
		conn->evidence |= EVIDENCE_COOKIE;
	/* RFC 7413: the child was made by the SYN, and accept() may have had it already. */
	if (segment_is_synack(rec) && snapshot->state == KS_SYN_RECV &&
	    conn_local_state(conn) == FSM_LISTEN)
		conn->evidence |= EVIDENCE_FAST_OPEN;
}

static void note_ends(struct conn *conn, const struct observation *seen,
		      const struct dialogue_steps *steps)
{
	uint8_t flags = seen->segment->tcp_flags;

	if (flags & TCPF_FIN && (seen->sent || conn_local_state(conn) != FSM_LISTEN))
		conn_note_fin(conn, seen->sent);
	if (!(flags & TCPF_RST))
		return;
	for (uint8_t i = 0; i < steps->local.count; i++)
		if (steps->local.at[i].to == FSM_CLOSED)
			conn_note_reset(conn, seen->sent, steps->local.at[i].from);
}

/* PAWS, or beyond the window: the first may be an old one that strayed, the second is meant. */
static void note_refused_fin(struct tracker *tracker, struct conn *conn,
			     const struct observation *seen, const struct dialogue_steps *steps)
{
	const struct rec_segment *rec = seen->segment;
	struct finding *finding;
	bool refused = false;

	for (uint8_t i = 0; i < steps->local.count; i++)
		refused |= steps->local.at[i].event == EV_RCV_OLD_TIMESTAMP ||
			   steps->local.at[i].event == EV_RCV_OUTSIDE;
	if (seen->sent || !(rec->tcp_flags & TCPF_FIN) || !refused ||
	    !fsm_is_synchronized(conn_local_state(conn)))
		return;
	finding = tracker_need_finding(tracker, conn);
	if (!finding)
		return;
	finding->refused_fin = rec->seq + rec->payload_bytes;
	if (++finding->fins_refused >= FINS_REFUSED)
		conn->evidence |= EVIDENCE_FIN_REFUSED;
}

static void run_reference(struct tracker *tracker, struct conn *conn,
			  const struct observation *seen, struct dialogue_steps *ret_steps)
{
	struct tcp_segment segment = segment_of(seen->segment);
	struct endpoint_facts facts = conn_facts(&seen->segment->snapshot);
	bool sent = seen->sent;

	weigh(tracker, conn, seen);
	note_segment(tracker, conn, seen);
	if (segment_is_ahead(seen->segment))
		facts.lagging = true;
	if (!sent && facts.known) {
		dialogue_learn(&conn->talk, &facts, ret_steps);
		tracker_take_steps(tracker, conn, ret_steps, seen->ts_ns);
	}
	if (tracker->settings.wire_only)
		tracker_fill_gap(tracker, conn, &segment, seen);
	if (sent)
		dialogue_sent(&conn->talk, &segment, ret_steps);
	else
		dialogue_received(&conn->talk, &segment, ret_steps);
	if (fsm_has_received_fin(conn_local_state(conn)))
		conn->evidence &= (uint16_t)~EVIDENCE_FIN_REFUSED;
	else if (!tracker->settings.wire_only)
		note_refused_fin(tracker, conn, seen, ret_steps);
}

void tracker_on_segment(struct tracker *tracker, const struct observation *observation)
{
	uint32_t handle = connection_of(tracker, observation);
	struct dialogue_steps steps;
	struct conn *conn;

	if (handle == FLOW_NONE)
		return;
	conn = flowtable_at(tracker->table, handle);
	if (is_copy(conn, observation))
		return;
	if (tracker_hold_reset(tracker, conn, observation)) {
		note_segment(tracker, conn, observation);
		tracker_tell_segment(tracker, conn, observation);
		tracker_compare(tracker, handle, observation->ts_ns);
		return;
	}
	run_reference(tracker, conn, observation, &steps);
	if (dialogue_restarts(&steps)) {
		/* It is the last thing that happened to the old life, too. */
		if (tracker->ops.told)
			tracker_note_steps(tracker, &steps);
		tracker_tell_segment(tracker, conn, observation);
		for (uint8_t i = 0; i < steps.local.count; i++)
			tracker_step_moment(tracker, conn, &steps.local.at[i], observation->ts_ns);
		tracker_finish(tracker, handle, observation->ts_ns);
		handle = connection_of(tracker, observation);
		if (handle == FLOW_NONE)
			return;
		conn = flowtable_at(tracker->table, handle);
		run_reference(tracker, conn, observation, &steps);
	}
	tracker_take_snapshot(tracker, conn, &observation->segment->snapshot, false);
	tracker_take_steps(tracker, conn, &steps, observation->ts_ns);
	note_ends(conn, observation, &steps);
	tracker_tell_segment(tracker, conn, observation);
	if (segment_is_syn(observation->segment) && observation->sent)
		tracker_count_opened(tracker, conn, ROLE_CLIENT);
	if (conn->flags & CONN_MINISOCKET_GONE)
		tracker_set_kernel(tracker, conn, KS_CLOSE, 0);
	tracker_compare(tracker, handle, observation->ts_ns);
}

/* A SYN of ours that died before any tap: connect() waits, and this is all that is heard of it. */
static uint32_t begin_unsent(struct tracker *tracker, const struct observation *seen)
{
	uint32_t handle;

	if (!seen->sent || (seen->drop->tcp_flags & (TCPF_SYN | TCPF_ACK)) != TCPF_SYN)
		return FLOW_NONE;
	handle = tracker_begin(tracker, &seen->key, seen->ts_ns);
	if (handle == FLOW_NONE)
		return FLOW_NONE;
	flowtable_at(tracker->table, handle)->role = ROLE_CLIENT;
	tracker_assume_kernel(tracker, flowtable_at(tracker->table, handle), KS_SYN_SENT, 0);
	return handle;
}

void tracker_on_drop(struct tracker *tracker, const struct observation *observation)
{
	const struct rec_drop *drop = observation->drop;
	uint32_t handle = flowtable_find_ahead(tracker->table, observation);
	const char *reason = NULL;
	bool before_tcp;
	struct conn *conn;

	if (tracker->ops.drop_reason)
		reason = tracker->ops.drop_reason(tracker->ops.context, drop->reason);
	before_tcp = compare_drop_is_before_tcp(reason);
	if (handle == FLOW_NONE && before_tcp)
		handle = begin_unsent(tracker, observation);
	if (handle == FLOW_NONE)
		return;
	conn = flowtable_at(tracker->table, handle);
	tracker_tell_drop(tracker, conn, observation, reason);
	if (observation->sent) {
		/* What never left the wire cannot show; what left has been seen. */
		if (!before_tcp || !(drop->tcp_flags & (TCPF_SYN | TCPF_FIN | TCPF_RST)))
			return;
		conn->evidence |= EVIDENCE_SENT_DROPPED;
	} else if (conn->parted_ns) {
		/* Where the views agree the drop changed nothing that is compared. */
		conn->evidence |= before_tcp ? EVIDENCE_FILTERED : EVIDENCE_DROPPED;
	} else {
		return;
	}
	conn->drop_reason = (uint16_t)drop->reason;
	tracker_compare(tracker, handle, observation->ts_ns);
}
