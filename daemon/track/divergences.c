/* SPDX-License-Identifier: GPL-2.0-only */
/* Divergences as they open, are explained anew, and close. */
#include "track/tracker_parts.h"

/* `explains` and `explained_as` as in struct track_event. */
static void emit_divergence(struct tracker *tracker, struct conn *conn, enum track_event_type type,
			    uint64_t explains, enum divergence_kind explained_as, uint64_t now_ns)
{
	struct connection_report report;
	const struct divergence_evidence evidence = {
		.segment = { .ts_ns = conn->last_ns,
			     .seq = conn->last_seq,
			     .ack = conn->last_ack,
			     .tcp_flags = conn->last_flags },
	};
	const struct track_event event = {
		.type = type,
		.ts_ns = now_ns,
		.kind = conn->open_kind,
		.id = conn->divergence_id,
		.explains = explains,
		.explained_as = explained_as,
		.since_ns = conn->since_ns,
		.reason = conn->open_reason,
		.connection = &report,
		.evidence = &evidence,
	};

	tracker_tell_divergence(tracker, conn, &event);
	if (!tracker->ops.event)
		return;
	conn_report(conn, &report);
	tracker->ops.event(tracker->ops.context, &event);
}

/* Returns the id of the one that was open, or 0. */
static uint64_t close_as(struct tracker *tracker, struct conn *conn,
			 enum divergence_kind explained_as, uint64_t now_ns)
{
	if (conn->open_kind == CONN_NO_KIND)
		return 0;
	emit_divergence(tracker, conn, TRACK_DIVERGENCE_CLOSE, 0, explained_as, now_ns);
	tracker->stats.divergences_open[conn->open_kind]--;
	conn->open_kind = CONN_NO_KIND;
	conn->open_reason = NULL;
	return conn->divergence_id;
}

void tracker_close_divergence(struct tracker *tracker, struct conn *conn, uint64_t now_ns)
{
	close_as(tracker, conn, DIVERGENCE_NR, now_ns);
}

void tracker_open_divergence(struct tracker *tracker, struct conn *conn, struct verdict verdict,
			     uint64_t now_ns)
{
	uint64_t explains;

	if (conn->open_kind == verdict.kind)
		return;
	/* Explained anew: the old explanation ends where the better one begins. */
	explains = close_as(tracker, conn, verdict.kind, now_ns);
	conn->divergence_id = ++tracker->divergences;
	conn->open_kind = (uint8_t)verdict.kind;
	conn->open_reason = verdict.reason;
	conn->since_ns = conn->parted_ns ? conn->parted_ns : now_ns;
	conn->divergences |= 1u << verdict.kind;
	tracker->stats.divergences[verdict.kind]++;
	tracker->stats.divergences_open[verdict.kind]++;
	emit_divergence(tracker, conn, TRACK_DIVERGENCE_OPEN, explains, DIVERGENCE_NR, now_ns);
}
