/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: a wire without a kernel
 *
 * In a capture there is no socket to ask which end is local, whether a connection exists, or what
 * it knew before the capture began; in return every segment is there with its data, both ends are
 * seen alike, and the reference may be exact. Three things are different from a live wire:
 *
 * Direction. Whoever is local by its address; where that does not tell, whoever sends the SYN.
 *
 * Beginnings. From a SYN, or from a SYN-ACK that tells of one, the whole story is known. From
 * anything else the connection is taken for ESTABLISHED at both ends, and is "adopted".
 *
 * Gaps. The tap may have missed segments, or a whole direction. An end is believed when it
 * acknowledges what was never seen to be sent, as far as it had offered room for that: it was
 * sent, unseen. What else those segments were (a FIN?) nobody knows: the connection is judged no
 * longer, its reason is "loss".
 *
 * And endings: nobody says that a socket is gone. A connection is reported when its local end is
 * CLOSED, and remembered a while for the late segments that would look like another one.
 */
#include <string.h>

#include "track/tracker_parts.h"

static void turn(struct observation *seen)
{
	const struct conn_key key = seen->key;

	memcpy(seen->key.local_address, key.remote_address, sizeof(key.remote_address));
	memcpy(seen->key.remote_address, key.local_address, sizeof(key.local_address));
	seen->key.local_port = key.remote_port;
	seen->key.remote_port = key.local_port;
	seen->sent = !seen->sent;
}

/* Of a connection that begins: is the source the remote end? */
static bool is_from_remote(const struct tracker *tracker, const struct observation *seen)
{
	const struct tracker_ops *ops = &tracker->ops;
	bool source, destination;

	if (!ops->is_local)
		return segment_is_synack(seen->segment);
	source = ops->is_local(ops->context, seen->key.local_address);
	destination = ops->is_local(ops->context, seen->key.remote_address);
	return source == destination ? segment_is_synack(seen->segment) : destination;
}

/* Turns the observation, whose source is called local, the way its connection has it. */
static uint32_t orient(struct tracker *tracker, struct observation *seen)
{
	uint32_t handle = flowtable_find(tracker->table, &seen->key);

	if (handle == FLOW_NONE) {
		turn(seen);
		handle = flowtable_find(tracker->table, &seen->key);
		if (handle == FLOW_NONE)
			turn(seen);
	}
	if (handle != FLOW_NONE && flowtable_at(tracker->table, handle)->flags & CONN_REPORTED &&
	    segment_is_syn(seen->segment)) {
		tracker_finish(tracker, handle, seen->ts_ns);
		handle = FLOW_NONE;
		if (!seen->sent)
			turn(seen);
	}
	if (handle == FLOW_NONE && is_from_remote(tracker, seen))
		turn(seen);
	return handle;
}

void tracker_on_captured(struct tracker *tracker, const struct observation *observation)
{
	struct observation seen = *observation;
	uint32_t handle = orient(tracker, &seen);

	if (handle != FLOW_NONE && flowtable_at(tracker->table, handle)->flags & CONN_REPORTED)
		tracker->stats.stray_segments++;
	else
		tracker_on_segment(tracker, &seen);
}

/* What waits for nothing but time has come to its end; of all others it is not known. */
static uint64_t end_with_capture(struct tracker *tracker, struct conn *conn, uint64_t now_ns)
{
	struct dialogue_steps steps;
	uint64_t end_ns = conn->time_wait_ns + tracker->settings.time_wait_ns;

	if (conn_local_state(conn) != FSM_TIME_WAIT) {
		conn->end = END_UNKNOWN;
		return now_ns;
	}
	dialogue_expire(&conn->talk, &steps);
	tracker_take_steps(tracker, conn, &steps, end_ns);
	tracker_tell(tracker, conn, ENTRY_TIMER, end_ns);
	return end_ns;
}

void tracker_finish_all(struct tracker *tracker, uint64_t now_ns)
{
	for (uint32_t handle = 0; handle < flowtable_span(tracker->table); handle++) {
		struct conn *conn = flowtable_at(tracker->table, handle);
		uint64_t end_ns = now_ns;

		if (!conn->in_use)
			continue;
		if (!(conn->flags & CONN_REPORTED))
			end_ns = end_with_capture(tracker, conn, now_ns);
		tracker_finish(tracker, handle, end_ns);
	}
}
