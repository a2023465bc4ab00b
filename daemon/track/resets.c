/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Resets seen before the stack has caught up. RFC 5961 §3 takes a RST at RCV.NXT and challenges any
 * other in the window; but XDP runs ahead of the stack by a batch, and what the snapshot calls
 * RCV.NXT may be that of a segment ago. Such a RST is held until RCV.NXT is exact: at the kernel's
 * CLOSE, which is the end of a RST that was taken, or at a fresh look at a socket that lives on.
 */
#include "track/tracker_parts.h"

/* One or two go astray; so many on one live connection are somebody's doing. */
#define FORGED_RESETS 3u

bool tracker_hold_reset(struct tracker *tracker, struct conn *conn, const struct observation *seen)
{
	const struct rec_segment *rec = seen->segment;
	struct endpoint_facts facts;
	struct finding *finding;

	if (tracker->settings.wire_only || seen->sent || !(rec->tcp_flags & TCPF_RST))
		return false;
	facts = conn_facts(&rec->snapshot);
	if (!fsm_is_synchronized(conn_local_state(conn)) || !(facts.known & KNOWN_RCV_NXT))
		return false;
	if (!facts.lagging && !segment_is_ahead(rec))
		return false;
	/* At RCV.NXT already, or behind it: what comes cannot make it better. */
	if (!seq_gt(rec->seq, facts.rcv_nxt))
		return false;
	finding = tracker_need_finding(tracker, conn);
	if (!finding)
		return false;
	/* One is held; of those before it only that they came is remembered. */
	if (conn->flags & CONN_RESET_HELD)
		tracker_doubt_reset(tracker, conn, seen->ts_ns);
	conn->flags |= CONN_RESET_HELD;
	finding->held_seq = rec->seq;
	finding->held_ack = rec->ack;
	finding->held_flags = rec->tcp_flags;
	return true;
}

void tracker_refuse_reset(struct tracker *tracker, struct conn *conn,
			  const struct endpoint_facts *facts, uint64_t now_ns)
{
	/* RCV.NXT has come to it since then; it was not there, or there would be no socket. */
	if (!(conn->flags & CONN_RESET_HELD) || !(facts->known & KNOWN_RCV_NXT) ||
	    facts->rcv_nxt != tracker_finding(tracker, conn)->held_seq)
		return;
	conn->flags &= (uint16_t)~CONN_RESET_HELD;
	tracker_doubt_reset(tracker, conn, now_ns);
}

void tracker_release_reset(struct tracker *tracker, struct conn *conn, uint64_t now_ns)
{
	const struct finding *finding = tracker_finding(tracker, conn);
	struct dialogue_steps steps;
	struct tcp_segment segment;

	if (!(conn->flags & CONN_RESET_HELD))
		return;
	conn->flags &= (uint16_t)~CONN_RESET_HELD;
	segment = (struct tcp_segment){
		.seq = finding->held_seq,
		.ack = finding->held_ack,
		.flags = finding->held_flags,
	};
	dialogue_received(&conn->talk, &segment, &steps);
	tracker_take_steps(tracker, conn, &steps, now_ns);
	for (uint8_t i = 0; i < steps.local.count; i++)
		if (steps.local.at[i].to == FSM_CLOSED)
			conn_note_reset(conn, false, steps.local.at[i].from);
}

void tracker_settle_resets(struct tracker *tracker, struct conn *conn, uint64_t now_ns)
{
	struct finding *finding = tracker_finding(tracker, conn);
	uint32_t before;

	if (!finding || !finding->resets_unsettled)
		return;
	if (kview_is_gone(conn->kernel.state) || conn->kernel.state == KS_TIME_WAIT) {
		finding->resets_unsettled = 0;
		return;
	}
	before = finding->resets;
	finding->resets += finding->resets_unsettled;
	finding->resets_unsettled = 0;
	if (finding->resets < FORGED_RESETS)
		tracker_moment(tracker, conn, DIVERGENCE_RESET_IGNORED, NULL, now_ns);
	else if (before < FORGED_RESETS)
		tracker_moment(tracker, conn, DIVERGENCE_FORGED_RESET, NULL, now_ns);
}

bool tracker_concede_reset(struct tracker *tracker, struct conn *conn, uint64_t now_ns)
{
	const struct finding *finding = tracker_finding(tracker, conn);
	enum fsm_state from = conn_local_state(conn);

	if (!finding || !finding->resets_unsettled || !fsm_is_synchronized(from))
		return false;
	conn_note_reset(conn, false, from);
	tracker_adopt_wire(tracker, conn, FSM_CLOSED, &(struct endpoint_facts){ 0 });
	tracker_tell(tracker, conn, ENTRY_GAVE_UP, now_ns);
	return true;
}
