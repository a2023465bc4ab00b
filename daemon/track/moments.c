/* SPDX-License-Identifier: GPL-2.0-only */
/* Which of what happens is a divergence by itself: the rules of compare.c, applied. */
#include "track/tracker_parts.h"

void tracker_doubt_reset(struct tracker *tracker, struct conn *conn, uint64_t now_ns)
{
	struct finding *finding = tracker_need_finding(tracker, conn);

	if (!finding)
		return;
	finding->resets_unsettled++;
	finding->reset_ns = now_ns;
}

void tracker_step_moment(struct tracker *tracker, struct conn *conn, const struct fsm_step *step,
			 uint64_t now_ns)
{
	const struct moment_rule *rule = compare_moment(MOMENT_STEP, step->event, step->from);

	if (!rule || tracker->settings.wire_only)
		return;
	if (rule->kind == DIVERGENCE_RESET_IGNORED) {
		tracker_doubt_reset(tracker, conn, now_ns);
		return;
	}
	if (step->event == EV_SEND_RST) {
		/* Any other than an orphan's minisocket aborts by itself. */
		if (conn->kernel.state != KS_TIME_WAIT || conn->kernel.substate != KS_FIN_WAIT2)
			return;
		/* linux net/ipv4/tcp_ipv4.c:tcp_v4_rcv, TCP_TW_RST: it goes with its RST */
		conn->flags |= CONN_MINISOCKET_GONE;
	}
	tracker_moment(tracker, conn, rule->kind, rule->reason, now_ns);
}

void tracker_vanished_moment(struct tracker *tracker, struct conn *conn, uint8_t what,
			     uint64_t now_ns)
{
	const struct moment_rule *rule =
		compare_moment(MOMENT_VANISHED, what, conn_local_state(conn));

	if (!rule || !(conn->flags & CONN_WIRE_SEEN))
		return;
	if (rule->kind == DIVERGENCE_TIME_WAIT_ASSASSINATED &&
	    !(conn->anomalies & 1u << AN_TIME_WAIT_ASSASSINATED))
		return;
	tracker_moment(tracker, conn, rule->kind, rule->reason, now_ns);
}

void tracker_close_moment(struct tracker *tracker, struct conn *conn, uint64_t now_ns)
{
	const struct moment_rule *rule =
		compare_moment(MOMENT_CLOSE, conn->kernel.cause, conn_local_state(conn));

	if (rule && conn->flags & CONN_WIRE_SEEN)
		tracker_moment(tracker, conn, rule->kind, rule->reason, now_ns);
}

void tracker_reuse_moment(struct tracker *tracker, struct conn *conn, uint64_t now_ns)
{
	const struct fsm_step step = { .event = EV_SEND_SYN, .from = conn_local_state(conn) };

	if (conn->flags & CONN_WIRE_SEEN)
		tracker_step_moment(tracker, conn, &step, now_ns);
}
