/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: judging
 *
 * The views of a healthy connection part for microseconds at every step: XDP sees a batch before
 * the stack does. Nothing is judged before the settle time; then a fresh look asks the kernel
 * again, its lock's owner and backlog are respected, and only a rule of compare.c makes a
 * divergence. A difference that no rule names is looked at a few times more and then called
 * unobservable, never divergent.
 */
#include <sys/param.h>

#include "tcp_defs.h"
#include "track/tracker_parts.h"
#include "util.h"

/* How many looks find a difference that no rule names before it is given up. */
#define LOOKS_MAX 6u

static bool kernel_gone(const struct conn *conn)
{
	return kview_is_gone(conn->kernel.state);
}

static bool wire_over(const struct conn *conn)
{
	return conn_local_state(conn) == FSM_CLOSED;
}

static void arm(struct tracker *tracker, uint32_t handle, struct conn *conn)
{
	uint64_t due_ns = tracker_next_due(tracker, conn);

	if (due_ns == UINT64_MAX) {
		/* Left to fire where it is set: that is rarer than setting it again. */
		return;
	}
	/* A deadline that fires early finds nothing to do and sets the right one. */
	if (!conn->deadline.due_ns || due_ns < conn->deadline.due_ns)
		deadlines_set(&tracker->wheel, handle, due_ns);
}

/* What it was that parted the views, now that they have come together by themselves. */
static enum transient transient_of(const struct conn *conn, const struct finding *finding)
{
	enum fsm_state wire = finding ? finding->parted_wire : conn_local_state(conn);
	uint8_t kernel = finding ? finding->parted_kernel : conn->kernel.state;

	if (finding && finding->was_owned)
		return TRANSIENT_OWNER_BUSY;
	if (wire == FSM_CLOSED && kernel == KS_NEW_SYN_RECV)
		return TRANSIENT_REQUEST_OUTLIVES_LISTENER;
	if (conn->tries)
		return TRANSIENT_SETTLED_LATE;
	if (finding && finding->fin_waited)
		return TRANSIENT_FIN_WAITED;
	if (wire == FSM_CLOSED && conn->flags & CONN_RESET_SENT)
		return TRANSIENT_RESET_BEFORE_EVENT;
	if ((wire == FSM_ESTABLISHED && kernel == KS_FIN_WAIT1) ||
	    (wire == FSM_CLOSE_WAIT && kernel == KS_LAST_ACK))
		return TRANSIENT_FIN_QUEUED_BRIEFLY;
	return TRANSIENT_IN_FLIGHT;
}

/* Two SYN cookies' and TFO's divergences last while the views agree: their proof is a SYN-ACK. */
static bool is_proven(const struct conn *conn)
{
	if (conn->open_kind == DIVERGENCE_COOKIE_STATELESS)
		return conn_local_state(conn) == FSM_SYN_RECEIVED;
	return conn->open_kind == DIVERGENCE_FAST_OPEN && conn->kernel.state == KS_SYN_RECV;
}

static void reunite(struct tracker *tracker, struct conn *conn)
{
	struct finding *finding = tracker_finding(tracker, conn);

	if (conn->open_kind == CONN_NO_KIND)
		tracker->stats.transients[transient_of(conn, finding)]++;
	conn->tries = 0;
	conn->parted_ns = 0;
	conn->evidence &= (uint16_t) ~(EVIDENCE_FILTERED | EVIDENCE_DROPPED |
				       EVIDENCE_SENT_DROPPED | EVIDENCE_SYN_AGAIN);
	if (finding)
		finding->owned_looks = 0;
}

/* Nothing odd about it any more? What is remembered of its RSTs and of its progress stays. */
static void tidy(struct tracker *tracker, struct conn *conn)
{
	const struct finding *finding = tracker_finding(tracker, conn);

	if (finding && conn->open_kind == CONN_NO_KIND && !finding->resets &&
	    !finding->resets_unsettled && !finding->stalled_since_ns && !finding->fins_refused &&
	    !(conn->flags & CONN_RESET_HELD))
		tracker_drop_finding(tracker, conn);
}

static void agree(struct tracker *tracker, struct conn *conn, uint64_t now_ns)
{
	enum fsm_state wire = conn_local_state(conn);

	/* "No socket" beside CLOSED is no testimony; a tracepoint that said CLOSE is. */
	if (conn->kernel.state != KS_NONE && conn->flags & CONN_WIRE_SEEN &&
	    (wire != FSM_CLOSED || conn->kernel.state == KS_CLOSE)) {
		tracker->stats.comparisons++;
		tracker->stats.comparisons_agreed++;
		conn->compared |= (uint16_t)(1u << wire);
	}
	if (conn->parted_ns)
		reunite(tracker, conn);
	if (conn->open_kind != CONN_NO_KIND && !is_proven(conn))
		tracker_close_divergence(tracker, conn, now_ns);
	if (conn->finding != FINDING_NONE)
		tidy(tracker, conn);
}

/* The newest pair of states that differ is what the views come together from. */
static void note_difference(struct finding *finding, const struct conn *conn)
{
	finding->parted_wire = conn_local_state(conn);
	finding->parted_kernel = conn->kernel.state;
}

/* They differ otherwise than they did: what was looked at says nothing of it. */
static void part_anew(struct tracker *tracker, struct conn *conn, uint64_t now_ns)
{
	struct finding *finding = tracker_finding(tracker, conn);

	if (!finding || (finding->parted_wire == conn_local_state(conn) &&
			 finding->parted_kernel == conn->kernel.state))
		return;
	note_difference(finding, conn);
	finding->riddles = 0;
	conn->looked_ns = now_ns;
	conn->tries = 0;
}

static void part(struct tracker *tracker, struct conn *conn, uint64_t now_ns)
{
	bool received = !(conn->flags & CONN_LAST_SENT);
	struct finding *finding = tracker_need_finding(tracker, conn);

	conn->parted_ns = now_ns;
	conn->looked_ns = 0;
	conn->tries = 0;
	if (!finding)
		return;
	finding->look_ns = 0;
	finding->progress_ns = 0;
	finding->owned_looks = 0;
	finding->was_owned = false;
	finding->riddles = 0;
	note_difference(finding, conn);
	finding->fin_waited = dialogue_fin_pending(&conn->talk);
	finding->syns = dialogue_syn_unanswered(&conn->talk);
	finding->syn_gap_ns = 0;
	finding->fins = received && conn->last_flags & TCPF_FIN;
}

/* Both views call it closed; or it was the kernel's alone and is gone. */
static bool is_finished(const struct conn *conn)
{
	if (!kernel_gone(conn))
		return false;
	if (!(conn->flags & CONN_WIRE_SEEN))
		return state_path_count(&conn->kernel_path) > 0;
	return wire_over(conn);
}

/* The SYN-ACK itself is the proof: there is nothing to wait for. */
static void open_proven(struct tracker *tracker, struct conn *conn, uint64_t now_ns)
{
	struct verdict verdict = { .divergent = true, .kind = DIVERGENCE_COOKIE_STATELESS };

	if (!(conn->evidence & (EVIDENCE_COOKIE | EVIDENCE_FAST_OPEN)) ||
	    conn_local_state(conn) != FSM_SYN_RECEIVED || conn->flags & CONN_UNOBSERVABLE)
		return;
	if (conn->evidence & EVIDENCE_COOKIE && kernel_gone(conn)) {
		tracker_open_divergence(tracker, conn, verdict, now_ns);
	} else if (conn->evidence & EVIDENCE_FAST_OPEN && conn->kernel.state == KS_SYN_RECV) {
		verdict.kind = DIVERGENCE_FAST_OPEN;
		tracker_open_divergence(tracker, conn, verdict, now_ns);
	}
}

void tracker_compare(struct tracker *tracker, uint32_t handle, uint64_t now_ns)
{
	struct conn *conn = flowtable_at(tracker->table, handle);
	bool wire_seen = conn->flags & CONN_WIRE_SEEN;

	if (is_finished(conn)) {
		agree(tracker, conn, now_ns);
		if (!tracker->settings.wire_only) {
			tracker_finish(tracker, handle, now_ns);
			return;
		}
		tracker_report_end(tracker, conn, now_ns);
		conn->segment_ns = now_ns;
	}
	if (wire_seen && !tracker->settings.wire_only)
		open_proven(tracker, conn, now_ns);
	if (tracker->settings.wire_only || compare_agree(conn))
		agree(tracker, conn, now_ns);
	else if (!conn->parted_ns)
		part(tracker, conn, now_ns);
	else
		part_anew(tracker, conn, now_ns);
	tracker_watch_minisocket(tracker, conn, now_ns);
	arm(tracker, handle, conn);
}

/* A socket whose owner keeps the stack waiting: nothing it shows is news. */
static void note_owned(struct finding *finding, uint64_t now_ns)
{
	if (!finding->owned_looks)
		finding->owned_since_ns = now_ns;
	finding->was_owned = true;
	if (finding->owned_looks < UINT8_MAX)
		finding->owned_looks++;
}

static void note_look(struct finding *finding, const struct rec_snapshot *look, uint64_t now_ns)
{
	finding->look = *look;
	finding->look_ns = now_ns;
	if (look->bits & SNAP_OWNED || look->backlog_bytes) {
		note_owned(finding, now_ns);
		return;
	}
	finding->owned_looks = 0;
	if (look->bits & SNAP_QUEUES)
		return;
	if (!finding->progress_ns || finding->progress_una != look->vars.snd_una)
		finding->progress_ns = now_ns;
	finding->progress_una = look->vars.snd_una;
}

/* What the look found is taken for the kernel's view. */
static void take_look(struct tracker *tracker, struct conn *conn, const struct rec_snapshot *look,
		      uint64_t now_ns)
{
	enum fsm_state from = kview_as_fsm(conn->kernel.state, conn->kernel.substate);
	const struct endpoint_facts facts = conn_facts(look);
	uint8_t before = conn->kernel.state;
	struct dialogue_steps steps;

	if (facts.known && conn->flags & CONN_WIRE_SEEN) {
		dialogue_learn(&conn->talk, &facts, &steps);
		tracker_take_steps(tracker, conn, &steps, now_ns);
	}
	if (facts.known)
		tracker_refuse_reset(tracker, conn, &facts, now_ns);
	tracker_release_reset(tracker, conn, now_ns);
	tracker_take_snapshot(tracker, conn, look, true);
	tracker_settle_doubt(tracker, conn, look, from);
	tracker_settle_resets(tracker, conn, now_ns);
	tracker_tell_look(tracker, conn, before, now_ns);
	if (look->state == KS_TIME_WAIT)
		conn->flags &= (uint16_t)~CONN_PROBING;
	/* A RST ended it before its time; a minisocket that RFC 1337 protects is still there. */
	if (before == KS_TIME_WAIT && kernel_gone(conn) && wire_over(conn) &&
	    now_ns - conn->time_wait_ns < tracker->settings.time_wait_ns)
		tracker_vanished_moment(tracker, conn, KS_TIME_WAIT, now_ns);
}

/* A SYN that nobody here answers or drops: NAT took it past the listener that it seemed to meet. */
static bool went_elsewhere(const struct tracker *tracker, const struct conn *conn)
{
	const struct finding *finding = tracker_finding(tracker, conn);

	return dialogue_syn_unanswered(&conn->talk) && finding && finding->look_ns &&
	       !compare_listener_dropped(finding, &finding->look);
}

static enum unobservable_reason riddle_reason(const struct tracker *tracker,
					      const struct conn *conn)
{
	if (went_elsewhere(tracker, conn))
		return UNOBSERVABLE_NOT_LOCAL;
	return dialogue_fin_pending(&conn->talk) ? UNOBSERVABLE_FIN_PENDING :
						   UNOBSERVABLE_UNEXPLAINED;
}

/* The difference stays without a name: say so, and follow the kernel from here on. */
static void give_up(struct tracker *tracker, uint32_t handle, struct conn *conn,
		    enum unobservable_reason why, uint64_t now_ns)
{
	conn_set_unobservable(conn, why);
	if (kernel_gone(conn)) {
		tracker_finish(tracker, handle, now_ns);
		return;
	}
	/* It did not end where the reference thought it did. */
	if (wire_over(conn))
		conn->end = END_UNKNOWN;
	tracker_adopt_wire(tracker, conn, kview_as_fsm(conn->kernel.state, conn->kernel.substate),
			   &(struct endpoint_facts){ 0 });
	if (conn_local_state(conn) == FSM_TIME_WAIT)
		conn->time_wait_ns = now_ns;
	tracker_tell(tracker, conn, ENTRY_GAVE_UP, now_ns);
	tracker_compare(tracker, handle, now_ns);
}

/* The kernel let go of a handshake that never became a connection: RFC 9293 has no event for
 * it on the wire, and nothing is wrong. True when the connection was finished. */
static bool end_handshake(struct tracker *tracker, uint32_t handle, struct conn *conn,
			  uint64_t now_ns)
{
	bool request_gone = conn->kernel.state == KS_LISTEN || conn->kernel.state == KS_CLOSE;
	enum fsm_state wire = conn_local_state(conn);

	if (!kernel_gone(conn))
		return false;
	/* A peer that saw its handshake complete while the accept queue refused it waits in vain. */
	if (wire == FSM_SYN_SENT || wire == FSM_SYN_RECEIVED ||
	    (conn->open_kind == DIVERGENCE_ACCEPT_QUEUE_OVERFLOW && request_gone &&
	     !(conn->evidence & EVIDENCE_COOKIE))) {
		/* A request has no tracepoint; a full socket's has told why it closed. */
		if (!(conn->evidence & EVIDENCE_COOKIE) && !conn->changed_ns)
			tracker_vanished_moment(tracker, conn, KS_NEW_SYN_RECV, now_ns);
		if (conn->end == END_UNKNOWN)
			conn->end = END_HANDSHAKE_TIMEOUT;
		tracker_finish(tracker, handle, now_ns);
		return true;
	}
	return false;
}

/* An orphan's minisocket has run out: RFC 9293 has no such timer. */
static bool end_orphan(struct tracker *tracker, uint32_t handle, struct conn *conn, uint64_t now_ns)
{
	if (!kernel_gone(conn) || conn_local_state(conn) != FSM_FIN_WAIT_2 ||
	    conn->kernel.cause != CLOSED_BY_FIN_WAIT_2 || !conn->changed_ns)
		return false;
	tracker_vanished_moment(tracker, conn, KS_FIN_WAIT2, now_ns);
	tracker_finish(tracker, handle, now_ns);
	return true;
}

/* A minisocket that was there and has not had its time: ss -K. */
static bool end_minisocket(struct tracker *tracker, uint32_t handle, struct conn *conn,
			   uint64_t now_ns)
{
	if (!kernel_gone(conn) || conn_local_state(conn) != FSM_TIME_WAIT ||
	    !(conn->flags & CONN_MINISOCKET_SEEN) || !conn->changed_ns ||
	    now_ns - conn->changed_ns >= tracker->settings.time_wait_ns)
		return false;
	tracker_vanished_moment(tracker, conn, KS_TIME_WAIT, now_ns);
	tracker_finish(tracker, handle, now_ns);
	return true;
}

static struct verdict explain(struct tracker *tracker, const struct conn *conn,
			      const struct rec_snapshot *look, uint64_t now_ns)
{
	const uint16_t dropped = EVIDENCE_FILTERED | EVIDENCE_DROPPED | EVIDENCE_SENT_DROPPED;
	struct circumstances at = {
		.conn = conn,
		.finding = tracker_finding(tracker, conn),
		.look = look,
		.parted_ns = conn->parted_ns,
		.now_ns = now_ns,
	};

	if (!at.finding)
		return (struct verdict){ .divergent = false };
	if (conn->evidence & dropped && tracker->ops.drop_reason)
		at.drop_reason = tracker->ops.drop_reason(tracker->ops.context, conn->drop_reason);
	return compare_explain(&at);
}

/* True when the connection was finished. */
static bool pronounce(struct tracker *tracker, uint32_t handle, struct conn *conn,
		      struct verdict verdict, uint64_t now_ns)
{
	struct finding *finding = tracker_finding(tracker, conn);

	if (finding)
		finding->riddles = 0;
	if (verdict.kind == DIVERGENCE_TIME_WAIT_MISSING)
		tracker_miss_minisocket(tracker, conn, now_ns);
	else
		tracker_open_divergence(tracker, conn, verdict, now_ns);
	if (verdict.ends)
		tracker_finish(tracker, handle, now_ns);
	return verdict.ends;
}

/* The owner keeps the stack waiting: nothing can be said but that, and in time who is to blame. */
static void judge_owner(struct tracker *tracker, uint32_t handle, struct conn *conn,
			const struct rec_snapshot *look, uint64_t now_ns)
{
	if (conn->parted_ns && !(conn->flags & CONN_UNOBSERVABLE) &&
	    !tracker_is_stale(tracker, conn)) {
		struct verdict verdict = explain(tracker, conn, look, now_ns);

		if (verdict.divergent && pronounce(tracker, handle, conn, verdict, now_ns))
			return;
	}
	arm(tracker, handle, conn);
}

/* Has it been looked at often enough without a name for what was found, or without that of the
 * divergence that is open holding any longer? */
static bool is_riddle(struct tracker *tracker, const struct conn *conn)
{
	struct finding *finding = tracker_finding(tracker, conn);

	return finding ? ++finding->riddles >= LOOKS_MAX : conn->tries >= LOOKS_MAX;
}

static void judge(struct tracker *tracker, uint32_t handle, struct conn *conn,
		  const struct rec_snapshot *look, uint64_t now_ns)
{
	struct verdict verdict;

	tracker->stats.comparisons++;
	if (end_handshake(tracker, handle, conn, now_ns) ||
	    end_orphan(tracker, handle, conn, now_ns) ||
	    end_minisocket(tracker, handle, conn, now_ns))
		return;
	if (conn->evidence & EVIDENCE_TRANSLATED)
		conn_set_unobservable(conn, UNOBSERVABLE_NOT_LOCAL);
	tracker_mark_sampled(tracker, conn);
	if (conn->flags & CONN_UNOBSERVABLE) {
		give_up(tracker, handle, conn, conn->why, now_ns);
		return;
	}
	verdict = explain(tracker, conn, look, now_ns);
	/* Where minisockets are known to be missing, it does not matter when one is missed. */
	if (!verdict.divergent && conn_local_state(conn) == FSM_TIME_WAIT && kernel_gone(conn) &&
	    tracker_misses_minisockets(tracker, conn))
		verdict = (struct verdict){ true, true, DIVERGENCE_TIME_WAIT_MISSING, NULL };
	if (verdict.divergent) {
		if (pronounce(tracker, handle, conn, verdict, now_ns))
			return;
	} else if (is_riddle(tracker, conn)) {
		give_up(tracker, handle, conn, riddle_reason(tracker, conn), now_ns);
		return;
	}
	arm(tracker, handle, conn);
}

/* A silent socket is asked for, or a parting has outlived the settle time. */
static void look_again(struct tracker *tracker, uint32_t handle, struct conn *conn, uint64_t now_ns)
{
	struct finding *finding = tracker_finding(tracker, conn);
	struct rec_socket answer;

	conn->looked_ns = now_ns;
	if (conn->tries < UINT8_MAX)
		conn->tries++;
	tracker->stats.looks++;
	if (!tracker->ops.look ||
	    tracker->ops.look(tracker->ops.context, &conn->key, conn->last_ifindex, &answer)) {
		conn->flags &= (uint16_t)~CONN_PROBING;
		if (finding)
			finding->resets_unsettled = 0;
		arm(tracker, handle, conn);
		return;
	}
	if (finding)
		note_look(finding, &answer.snapshot, now_ns);
	if (answer.snapshot.bits & SNAP_OWNED || answer.snapshot.backlog_bytes) {
		judge_owner(tracker, handle, conn, &answer.snapshot, now_ns);
		return;
	}
	take_look(tracker, conn, &answer.snapshot, now_ns);
	if (!conn->parted_ns || compare_agree(conn) || is_finished(conn)) {
		tracker_compare(tracker, handle, now_ns);
		return;
	}
	/* What a loss made stale, the sweep will put right. */
	if (tracker_is_stale(tracker, conn)) {
		arm(tracker, handle, conn);
		return;
	}
	judge(tracker, handle, conn, &answer.snapshot, now_ns);
}

/* Is there anything to ask the kernel for, or did only the clock run? */
static bool wants_look(struct tracker *tracker, const struct conn *conn, uint64_t now_ns)
{
	return tracker_next_due(tracker, conn) <= now_ns;
}

void tracker_on_deadline(void *context, uint32_t handle, uint64_t now_ns)
{
	struct tracker *tracker = context;
	struct conn *conn = flowtable_at(tracker->table, handle);
	uint64_t due_ns = tracker_next_due(tracker, conn);
	struct dialogue_steps steps;
	bool expired = false;

	if (due_ns > now_ns) {
		arm(tracker, handle, conn);
		return;
	}
	/* Between two packets of a capture no clock ticks: it happened when it was due. */
	if (tracker->settings.wire_only)
		now_ns = due_ns;
	if (tracker_is_abandoned(tracker, conn, now_ns)) {
		conn->end = END_HANDSHAKE_TIMEOUT;
		if (!conn->divergences && went_elsewhere(tracker, conn))
			conn_set_unobservable(conn, UNOBSERVABLE_NOT_LOCAL);
		tracker_finish(tracker, handle, now_ns);
		return;
	}
	if (conn->flags & CONN_WIRE_SEEN && conn_local_state(conn) == FSM_TIME_WAIT &&
	    conn->time_wait_ns + tracker->settings.time_wait_ns <= now_ns) {
		dialogue_expire(&conn->talk, &steps);
		tracker_take_steps(tracker, conn, &steps, now_ns);
		tracker_tell(tracker, conn, ENTRY_TIMER, now_ns);
		expired = true;
	}
	tracker_check_conditions(tracker, conn, now_ns);
	if (tracker->settings.wire_only)
		tracker_finish(tracker, handle, now_ns);
	else if (expired || wants_look(tracker, conn, now_ns))
		look_again(tracker, handle, conn, now_ns);
	else
		arm(tracker, handle, conn);
}
