/* SPDX-License-Identifier: GPL-2.0-only */
/* Network namespaces come, and end with all that is left in them. */
#include <string.h>

#include "track/tracker_parts.h"

/* TIME_WAIT, mostly: a namespace with an open socket in it does not end. */
static void end_all(struct tracker *tracker, uint32_t netns, uint64_t now_ns)
{
	for (uint32_t handle = 0; handle < flowtable_span(tracker->table); handle++) {
		struct conn *conn = flowtable_at(tracker->table, handle);

		if (!conn->in_use || conn->key.netns != netns)
			continue;
		conn_set_unobservable(conn, UNOBSERVABLE_NETNS_GONE);
		tracker_finish(tracker, handle, now_ns);
	}
}

void tracker_on_netns(struct tracker *tracker, const struct observation *observation)
{
	const struct rec_netns *rec = observation->netns;
	struct tracked_space *space;

	if (rec->phase != NETNS_BEGIN) {
		end_all(tracker, rec->hdr.netns, observation->ts_ns);
		tracker_drop_space(tracker, rec->hdr.netns);
		return;
	}
	space = tracker_space(tracker, rec->hdr.netns);
	if (space)
		memcpy(space->name, rec->name, sizeof(space->name));
	/* What the next whole sweep finds there is no surprise. */
	tracker->sweep.seeded = false;
	tracker->sweep.begin_ns = 0;
}
