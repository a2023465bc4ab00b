/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: connections that were not followed whole
 *
 * In a flood BPF leaves flows out (include/sampling.h). Nobody marks the connections of the table
 * then: there may be a million, and most will have slept through it. What is known of one is
 * doubted when it matters: where the views differ, where something is about to be called a
 * divergence, and at its end. A connection is unobservable(sampled)
 *
 *  - if its flow was left out at any time since it began, or in the window before: the shift does
 *    not change at one instant for all CPUs, and a SYN may be in on one side and its SYN-ACK out
 *    on the other;
 *  - if the kernel has closed it and the views differ since a time at which such segments of it
 *    were left out as meet no socket: what it ended by, our RST to data that came after the close,
 *    is one of them.
 *
 * One that is first met in mid-life, and whose flow was ever left out, was born unseen for that
 * reason. What sweeps put right of those is in the course of things.
 */
#include "track/tracker_parts.h"

/* Is a time at which something was left out within a window of `since_ns`, or after it? */
static bool reaches(uint64_t until_ns, uint64_t since_ns)
{
	return until_ns == SAMPLED_NOW || (until_ns && until_ns + SAMPLING_WINDOW_NS >= since_ns);
}

bool tracker_is_sampled(const struct tracker *tracker, const struct conn *conn)
{
	const struct sampled *sampled = &tracker->sampled;

	if (!sampled->count && !sampled->blind)
		return false;
	if (reaches(sampled_until(sampled, &conn->key), conn->opened_ns))
		return true;
	return conn->kernel.state == KS_CLOSE && conn->parted_ns &&
	       reaches(sampled_strays_until(sampled, &conn->key), conn->parted_ns);
}

void tracker_mark_sampled(const struct tracker *tracker, struct conn *conn)
{
	if (tracker_is_sampled(tracker, conn))
		conn_set_unobservable(conn, UNOBSERVABLE_SAMPLED);
}

bool tracker_was_left_out(const struct tracker *tracker, const struct conn_key *key)
{
	return sampled_until(&tracker->sampled, key) != 0;
}

void tracker_on_sampling(struct tracker *tracker, const struct observation *observation)
{
	const struct rec_sampling *change = observation->sampling;
	const struct track_event event = { .type = TRACK_SAMPLING,
					   .ts_ns = observation->ts_ns,
					   .sampling = change };

	sampled_take(&tracker->sampled, change);
	if (change->to > change->from)
		tracker->stats.sampling_raised++;
	else
		tracker->stats.sampling_lowered++;
	if (tracker->ops.event)
		tracker->ops.event(tracker->ops.context, &event);
}
