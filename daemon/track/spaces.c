/* SPDX-License-Identifier: GPL-2.0-only */
/* Network namespaces come, have connections, and end with all that is left of them. */
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "track/tracker_parts.h"

static size_t find(const struct tracker *tracker, uint32_t netns)
{
	size_t i = tracker->last_space;

	if (i < tracker->nr_spaces && tracker->space_numbers[i] == netns)
		return i;
	for (i = 0; i < tracker->nr_spaces; i++)
		if (tracker->space_numbers[i] == netns)
			break;
	return i;
}

struct tracked_space *tracker_space(struct tracker *tracker, uint32_t netns)
{
	size_t i = find(tracker, netns);

	tracker->last_space = i;
	if (i < tracker->nr_spaces)
		return &tracker->spaces[i];
	if (tracker->nr_spaces == NAMESPACES_MAX)
		return NULL;
	if (!tracker->spaces)
		tracker->spaces = calloc(NAMESPACES_MAX, sizeof(*tracker->spaces));
	if (!tracker->spaces)
		return NULL;
	memset(&tracker->spaces[i], 0, sizeof(tracker->spaces[i]));
	tracker->spaces[i].netns = netns;
	tracker->space_numbers[i] = netns;
	tracker->nr_spaces++;
	return &tracker->spaces[i];
}

const struct tracked_space *tracker_spaces(const struct tracker *tracker, size_t *ret_count)
{
	*ret_count = tracker->nr_spaces;
	return tracker->spaces;
}

void tracker_name_space(const struct tracker *tracker, struct connection_report *report)
{
	size_t i = find(tracker, report->key.netns);

	if (i < tracker->nr_spaces)
		memcpy(report->netns_name, tracker->spaces[i].name, sizeof(report->netns_name));
}

void tracker_report(const struct tracker *tracker, const struct conn *conn,
		    struct connection_report *ret)
{
	conn_report(conn, ret);
	tracker_name_space(tracker, ret);
}

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
	size_t i;

	if (rec->phase == NETNS_BEGIN) {
		space = tracker_space(tracker, rec->hdr.netns);
		if (space)
			memcpy(space->name, rec->name, sizeof(space->name));
		/* What the next whole sweep finds there is no surprise. */
		tracker->sweep.seeded = false;
		tracker->sweep.begin_ns = 0;
		return;
	}
	end_all(tracker, rec->hdr.netns, observation->ts_ns);
	i = find(tracker, rec->hdr.netns);
	if (i == tracker->nr_spaces)
		return;
	tracker->spaces[i] = tracker->spaces[--tracker->nr_spaces];
	tracker->space_numbers[i] = tracker->spaces[i].netns;
}
