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

/* Looks are repeated at settle << tries up to this shift, and given up after LOOKS_MAX. */
#define BACKOFF_SHIFT_MAX 5u
#define LOOKS_MAX 6u

/* A handshake of which the kernel holds nothing, without a word for this long, has ended: no gap
 * between SYNs is longer (tcp_syn_retries = 6: 32 s, then 64 s of waiting). */
#define HALF_OPEN_IDLE_NS (65 * NS_PER_SEC)
/* A SYN nobody answers is sent again after 1 s, or 3 s by older stacks (RFC 6298 §2.1), and then
 * after twice the gap before: who is silent for longer has given up. */
#define FIRST_SYN_GAP_NS (4 * NS_PER_SEC)

/* Minisockets vanish silently: how often one that ought to be gone is asked for. */
#define MINISOCKET_POLL_NS (1 * NS_PER_SEC)
#define ORPHAN_POLL_NS (2 * NS_PER_SEC)

static bool kernel_gone(const struct conn *conn)
{
	return kview_is_gone(conn->kernel.state);
}

static bool wire_over(const struct conn *conn)
{
	return conn_local_state(conn) == FSM_CLOSED;
}

/* How long a poll of a silent socket waits; 0 = it need not be polled. */
static uint64_t poll_interval(const struct tracker *tracker, const struct conn *conn)
{
	const struct kview *kernel = &conn->kernel;

	if (conn->doubt > DOUBT_SEED)
		return tracker->settings.settle_ns;
	if (kernel->state == KS_NEW_SYN_RECV)
		return NS_PER_SEC << MIN(conn->tries, BACKOFF_SHIFT_MAX);
	if (kernel->state != KS_TIME_WAIT)
		return 0;
	if (kernel->substate == KS_FIN_WAIT2)
		return ORPHAN_POLL_NS;
	if (!(conn->flags & CONN_WIRE_SEEN) || wire_over(conn))
		return MINISOCKET_POLL_NS;
	return 0;
}

static bool waits_for_peer(const struct conn *conn)
{
	enum fsm_state wire = conn_local_state(conn);

	if (!(conn->flags & CONN_WIRE_SEEN))
		return false;
	return wire == FSM_LISTEN || (wire <= FSM_SYN_RECEIVED && kernel_gone(conn));
}

/* When the silence of a peer that waits_for_peer() has lasted too long. */
static uint64_t patience_ends(const struct conn *conn)
{
	uint64_t gap_ns = conn->syn_gap_ns * 5 / 2;

	if (conn_local_state(conn) != FSM_LISTEN)
		return conn->last_ns + HALF_OPEN_IDLE_NS;
	return conn->last_ns + MIN(MAX(gap_ns, FIRST_SYN_GAP_NS), 2 * HALF_OPEN_IDLE_NS);
}

static uint64_t next_due(const struct tracker *tracker, const struct conn *conn)
{
	uint64_t due_ns = UINT64_MAX, poll_ns = poll_interval(tracker, conn);
	uint64_t asked_ns = MAX(conn->looked_ns, conn->last_ns);

	if (conn->flags & CONN_WIRE_SEEN && conn_local_state(conn) == FSM_TIME_WAIT)
		due_ns = conn->time_wait_ns + tracker->settings.time_wait_ns;
	if (conn->parted_ns)
		due_ns = MIN(due_ns, MAX(conn->parted_ns, conn->looked_ns) +
					     (tracker->settings.settle_ns
					      << MIN(conn->tries, BACKOFF_SHIFT_MAX)));
	else if (poll_ns)
		due_ns = MIN(due_ns, asked_ns + poll_ns);
	if (waits_for_peer(conn))
		due_ns = MIN(due_ns, patience_ends(conn));
	return due_ns;
}

static void arm(struct tracker *tracker, uint32_t handle, struct conn *conn)
{
	uint64_t due_ns = next_due(tracker, conn);

	if (due_ns == UINT64_MAX) {
		/* Left to fire where it is set: that is rarer than setting it again. */
		return;
	}
	/* A deadline that fires early finds nothing to do and sets the right one. */
	if (!conn->deadline.due_ns || due_ns < conn->deadline.due_ns)
		deadlines_set(&tracker->wheel, handle, due_ns);
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
		conn->tries = 0;
	conn->parted_ns = 0;
	conn->evidence &= (uint8_t) ~(EVIDENCE_FILTERED | EVIDENCE_SYN_AGAIN);
	/* A cookie's handshake lasts, stateless, until the final ACK makes a socket. */
	if (conn->open_kind == DIVERGENCE_COOKIE_STATELESS && wire == FSM_SYN_RECEIVED)
		return;
	tracker_close_divergence(tracker, conn, now_ns);
}

/* Both views call it closed; or it was the kernel's alone and is gone. */
static bool is_finished(const struct conn *conn)
{
	if (!kernel_gone(conn))
		return false;
	if (!(conn->flags & CONN_WIRE_SEEN))
		return conn->kernel_path.count > 0;
	return wire_over(conn);
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
		conn->last_ns = now_ns;
	}
	if (wire_seen && conn->evidence & EVIDENCE_COOKIE && kernel_gone(conn) &&
	    conn_local_state(conn) == FSM_SYN_RECEIVED)
		/* The SYN-ACK itself is the proof: there is nothing to wait for. */
		tracker_open_divergence(tracker, conn,
					(struct verdict){ .divergent = true,
							  .kind = DIVERGENCE_COOKIE_STATELESS },
					now_ns);
	if (!wire_seen || tracker->settings.wire_only || compare_agree(conn)) {
		agree(tracker, conn, now_ns);
	} else if (!conn->parted_ns) {
		conn->parted_ns = now_ns;
		conn->looked_ns = 0;
		conn->tries = 0;
	}
	arm(tracker, handle, conn);
}

/* Asks the kernel. False: no answer, or a socket whose owner keeps the stack waiting. */
static bool take_look(struct tracker *tracker, struct conn *conn, struct rec_snapshot *ret_snapshot,
		      uint64_t now_ns)
{
	struct endpoint_facts facts;
	struct dialogue_steps steps;
	struct rec_socket answer;
	enum fsm_state from = kview_as_fsm(conn->kernel.state, conn->kernel.substate);
	uint8_t before = conn->kernel.state;

	conn->looked_ns = now_ns;
	if (conn->tries < UINT8_MAX)
		conn->tries++;
	tracker->stats.looks++;
	if (!tracker->ops.look || tracker->ops.look(tracker->ops.context, &conn->key, &answer))
		return false;
	*ret_snapshot = answer.snapshot;
	if (ret_snapshot->bits & SNAP_OWNED || ret_snapshot->backlog_bytes)
		return false;
	facts = conn_facts(ret_snapshot);
	if (facts.known && conn->flags & CONN_WIRE_SEEN) {
		dialogue_learn(&conn->talk, &facts, &steps);
		tracker_take_steps(tracker, conn, &steps, now_ns);
	}
	tracker_release_reset(tracker, conn, now_ns);
	tracker_take_snapshot(tracker, conn, ret_snapshot, true);
	tracker_settle_doubt(tracker, conn, ret_snapshot, from);
	tracker_tell_look(tracker, conn, before, now_ns);
	return true;
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
		if (conn->end == END_UNKNOWN)
			conn->end = END_HANDSHAKE_TIMEOUT;
		tracker_finish(tracker, handle, now_ns);
		return true;
	}
	return false;
}

static void judge(struct tracker *tracker, uint32_t handle, struct conn *conn,
		  const struct rec_snapshot *look, uint64_t now_ns)
{
	const char *drop_reason = NULL;
	struct verdict verdict;

	tracker->stats.comparisons++;
	if (end_handshake(tracker, handle, conn, now_ns))
		return;
	if (conn->evidence & EVIDENCE_TRANSLATED)
		conn_set_unobservable(conn, UNOBSERVABLE_NOT_LOCAL);
	if (conn->flags & CONN_UNOBSERVABLE) {
		give_up(tracker, handle, conn, conn->why, now_ns);
		return;
	}
	if (conn->evidence & EVIDENCE_FILTERED && tracker->ops.drop_reason)
		drop_reason = tracker->ops.drop_reason(tracker->ops.context, conn->drop_reason);
	verdict = compare_explain(conn, look, drop_reason);
	if (verdict.divergent) {
		tracker_open_divergence(tracker, conn, verdict, now_ns);
		if (verdict.kind == DIVERGENCE_SILENT_CLOSE) {
			/* Nothing more will come of it: the kernel forgot it. */
			tracker_finish(tracker, handle, now_ns);
			return;
		}
	} else if (conn->open_kind == CONN_NO_KIND && conn->tries >= LOOKS_MAX) {
		give_up(tracker, handle, conn,
			dialogue_fin_pending(&conn->talk) ? UNOBSERVABLE_FIN_PENDING :
							    UNOBSERVABLE_UNEXPLAINED,
			now_ns);
		return;
	}
	arm(tracker, handle, conn);
}

/* A silent socket is asked for, or a parting has outlived the settle time. */
static void look_again(struct tracker *tracker, uint32_t handle, struct conn *conn, uint64_t now_ns)
{
	struct rec_snapshot look;

	if (!take_look(tracker, conn, &look, now_ns)) {
		arm(tracker, handle, conn);
		return;
	}
	if (!conn->parted_ns || compare_agree(conn) || is_finished(conn)) {
		tracker_compare(tracker, handle, now_ns);
		return;
	}
	/* What a loss made stale, the sweep will put right. */
	if (tracker_is_stale(tracker, conn)) {
		arm(tracker, handle, conn);
		return;
	}
	judge(tracker, handle, conn, &look, now_ns);
}

void tracker_on_deadline(void *context, uint32_t handle, uint64_t now_ns)
{
	struct tracker *tracker = context;
	struct conn *conn = flowtable_at(tracker->table, handle);
	uint64_t due_ns = next_due(tracker, conn);
	struct dialogue_steps steps;

	if (due_ns > now_ns) {
		arm(tracker, handle, conn);
		return;
	}
	/* Between two packets of a capture no clock ticks: it happened when it was due. */
	if (tracker->settings.wire_only)
		now_ns = due_ns;
	if (waits_for_peer(conn) && patience_ends(conn) <= now_ns) {
		conn->end = END_HANDSHAKE_TIMEOUT;
		tracker_finish(tracker, handle, now_ns);
		return;
	}
	if (conn->flags & CONN_WIRE_SEEN && conn_local_state(conn) == FSM_TIME_WAIT &&
	    conn->time_wait_ns + tracker->settings.time_wait_ns <= now_ns) {
		dialogue_expire(&conn->talk, &steps);
		tracker_take_steps(tracker, conn, &steps, now_ns);
		tracker_tell(tracker, conn, ENTRY_TIMER, now_ns);
	}
	if (tracker->settings.wire_only)
		tracker_finish(tracker, handle, now_ns);
	else
		look_again(tracker, handle, conn, now_ns);
}
