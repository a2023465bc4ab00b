/* SPDX-License-Identifier: GPL-2.0-only */
/* Divergences as they open, are explained anew, and close; with what they rest on. */
#include <sys/param.h>

#include "track/tracker_parts.h"

/* Of a kind that is expected and over at once, so many are told in a burst and a second each; all
 * are counted, and every connection's end names its own. */
#define MOMENTS_BURST 1000u
#define MOMENTS_PER_SECOND 100u

struct finding *tracker_finding(const struct tracker *tracker, const struct conn *conn)
{
	return findings_at(tracker->findings, conn->finding);
}

struct finding *tracker_need_finding(struct tracker *tracker, struct conn *conn)
{
	if (conn->finding == FINDING_NONE) {
		conn->finding = findings_take(tracker->findings);
		if (conn->finding == FINDING_NONE)
			tracker->stats.findings_lost++;
	}
	return tracker_finding(tracker, conn);
}

void tracker_drop_finding(struct tracker *tracker, struct conn *conn)
{
	findings_give(tracker->findings, conn->finding);
	conn->finding = FINDING_NONE;
}

/* How often what makes a divergence was seen; 0 = once. */
static uint32_t repeats_of(enum divergence_kind kind, const struct finding *finding)
{
	uint32_t count = 0;

	if (!finding)
		return 0;
	switch (kind) {
	case DIVERGENCE_SYN_DROPPED:
		count = finding->syns;
		break;
	case DIVERGENCE_FIN_UNPROCESSED:
		count = MAX(finding->fins, finding->fins_refused);
		break;
	case DIVERGENCE_STUCK_OWNER:
		count = finding->owned_looks;
		break;
	case DIVERGENCE_RESET_IGNORED:
	case DIVERGENCE_FORGED_RESET:
		count = finding->resets;
		break;
	default:
		break;
	}
	return count > 1 ? count : 0;
}

static struct divergence_evidence evidence_of(const struct tracker *tracker,
					      const struct conn *conn, enum divergence_kind kind)
{
	const uint16_t dropped = EVIDENCE_FILTERED | EVIDENCE_DROPPED | EVIDENCE_SENT_DROPPED;
	const struct finding *finding = tracker_finding(tracker, conn);
	struct divergence_evidence evidence = {
		.segment = { conn->segment_ns, conn->last_seq, conn->last_ack, conn->last_payload,
			     conn->last_flags, conn->flags & CONN_LAST_SENT },
		.change = { conn->changed_ns, conn->kernel.error, conn->change_from,
			    conn->change_to, conn->change_bits },
		.repeats = repeats_of(kind, finding),
	};

	if (finding && finding->look_ns) {
		evidence.look.ts_ns = finding->look_ns;
		evidence.look.snapshot = finding->look;
	}
	if (conn->evidence & dropped && tracker->ops.drop_reason)
		evidence.drop_reason =
			tracker->ops.drop_reason(tracker->ops.context, conn->drop_reason);
	return evidence;
}

/* `what` has all but the connection and the evidence. */
static void emit(struct tracker *tracker, struct conn *conn, const struct track_event *what)
{
	const struct divergence_evidence evidence = evidence_of(tracker, conn, what->kind);
	struct connection_report report;
	struct track_event event = *what;

	event.evidence = &evidence;
	event.connection = &report;
	tracker_tell_divergence(tracker, conn, &event);
	if (!tracker->ops.event)
		return;
	tracker_report(tracker, conn, &report);
	tracker->ops.event(tracker->ops.context, &event);
}

/* Returns the id of the one that was open, or 0. */
static uint64_t close_as(struct tracker *tracker, struct conn *conn,
			 enum divergence_kind explained_as, uint64_t now_ns)
{
	struct finding *finding = tracker_finding(tracker, conn);
	struct track_event event = {
		.type = TRACK_DIVERGENCE_CLOSE,
		.ts_ns = now_ns,
		.kind = conn->open_kind,
		.explained_as = explained_as,
	};

	if (conn->open_kind == CONN_NO_KIND)
		return 0;
	event.id = finding->divergence_id;
	event.since_ns = finding->since_ns;
	event.reason = finding->reason;
	emit(tracker, conn, &event);
	duration_observe(&tracker->stats.divergence_durations[conn->open_kind],
			 now_ns - finding->since_ns);
	tracker->stats.divergences_open[conn->open_kind]--;
	conn->open_kind = CONN_NO_KIND;
	return event.id;
}

void tracker_close_divergence(struct tracker *tracker, struct conn *conn, uint64_t now_ns)
{
	close_as(tracker, conn, DIVERGENCE_NR, now_ns);
}

static void count(struct tracker *tracker, struct conn *conn, enum divergence_kind kind)
{
	conn->divergences |= 1u << kind;
	tracker->stats.divergences[kind]++;
}

void tracker_open_divergence(struct tracker *tracker, struct conn *conn, struct verdict verdict,
			     uint64_t now_ns)
{
	struct track_event event = {
		.type = TRACK_DIVERGENCE_OPEN,
		.ts_ns = now_ns,
		.kind = verdict.kind,
		.reason = verdict.reason,
		.explained_as = DIVERGENCE_NR,
	};
	struct finding *finding;

	tracker_mark_sampled(tracker, conn);
	if (conn->flags & CONN_UNOBSERVABLE && conn->why == UNOBSERVABLE_SAMPLED)
		return;
	finding = tracker_need_finding(tracker, conn);
	if (conn->open_kind == verdict.kind || !finding)
		return;
	/* Explained anew: the old explanation ends where the better one begins. */
	event.explains = close_as(tracker, conn, verdict.kind, now_ns);
	finding->divergence_id = ++tracker->divergences;
	finding->since_ns = conn->parted_ns ? conn->parted_ns : now_ns;
	finding->reason = verdict.reason;
	conn->open_kind = (uint8_t)verdict.kind;
	count(tracker, conn, verdict.kind);
	tracker->stats.divergences_open[verdict.kind]++;
	event.id = finding->divergence_id;
	event.since_ns = finding->since_ns;
	emit(tracker, conn, &event);
}

/* A token bucket for each kind: a flood of the harmless must not drown the rest. */
static bool may_tell(struct tracker *tracker, enum divergence_kind kind, uint64_t now_ns)
{
	struct allowance *allowance = &tracker->moments[kind];

	if (divergence_class(kind) == CLASS_PROBLEM)
		return true;
	return allowance_take(allowance, MOMENTS_BURST, MOMENTS_PER_SECOND, now_ns);
}

void tracker_moment(struct tracker *tracker, struct conn *conn, enum divergence_kind kind,
		    const char *reason, uint64_t now_ns)
{
	struct track_event event = {
		.type = TRACK_DIVERGENCE_OPEN,
		.ts_ns = now_ns,
		.kind = kind,
		.since_ns = now_ns,
		.reason = reason,
		.explained_as = DIVERGENCE_NR,
	};

	/* Of a connection that is not known well enough nothing is said. */
	tracker_mark_sampled(tracker, conn);
	if (tracker->settings.wire_only || conn->flags & CONN_UNOBSERVABLE)
		return;
	count(tracker, conn, kind);
	duration_observe(&tracker->stats.divergence_durations[kind], 0);
	if (!may_tell(tracker, kind, now_ns)) {
		tracker->stats.moments_untold[kind]++;
		return;
	}
	event.id = ++tracker->divergences;
	emit(tracker, conn, &event);
	event.type = TRACK_DIVERGENCE_CLOSE;
	emit(tracker, conn, &event);
}
