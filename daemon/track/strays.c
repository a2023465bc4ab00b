/* SPDX-License-Identifier: GPL-2.0-only */
/* Segments of connections that are over: a peer that does not notice our RST. */
#include "track/tracker_parts.h"

void tracker_bury(struct tracker *tracker, const struct conn *conn, uint64_t now_ns)
{
	struct grave *grave;

	if (tracker->settings.wire_only || !(conn->flags & CONN_RESET_SENT) ||
	    conn->flags & CONN_UNOBSERVABLE)
		return;
	grave = graves_dig(&tracker->graves, &conn->key, now_ns);
	if (grave)
		grave->role = conn->role;
}

void tracker_unbury(struct tracker *tracker, const struct conn_key *key)
{
	struct grave *grave = graves_find(&tracker->graves, key);

	if (grave)
		grave->ended_ns = 0;
}

static void tell_unaware(struct tracker *tracker, const struct grave *grave,
			 const struct observation *seen)
{
	const struct rec_segment *rec = seen->segment;
	struct conn conn = {
		.key = grave->key,
		.role = grave->role,
		.end = END_LOCAL_RESET,
		.open_kind = CONN_NO_KIND,
		.opened_ns = grave->ended_ns,
		.segment_ns = seen->ts_ns,
		.last_seq = rec->seq,
		.last_ack = rec->ack,
		.last_payload = rec->payload_bytes,
		.last_flags = rec->tcp_flags,
		.flags = CONN_WIRE_SEEN | (seen->sent ? CONN_LAST_SENT : 0),
		.kernel = { .state = KS_CLOSE },
	};

	tracker_moment(tracker, &conn, DIVERGENCE_PEER_UNAWARE, "reset_lost", seen->ts_ns);
}

/* Data to no socket is not recorded, our RST that answers it is: either tells of the peer. */
void tracker_on_stray(struct tracker *tracker, const struct observation *seen)
{
	uint8_t flags = seen->segment->tcp_flags;
	struct grave *grave;

	tracker->stats.stray_segments++;
	if (tracker->settings.wire_only || flags & TCPF_SYN)
		return;
	grave = graves_find(&tracker->graves, &seen->key);
	if (!grave)
		return;
	if (!seen->sent && flags & TCPF_RST)
		grave->ended_ns = 0; /* it knows, or has its own opinion */
	else if (grave_hears(grave, seen->ts_ns))
		tell_unaware(tracker, grave, seen);
}
