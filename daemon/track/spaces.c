/* SPDX-License-Identifier: GPL-2.0-only */
/* The network namespaces that have connections: their names, and how many of what. */
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
	if (ret->observable && tracker_is_sampled(tracker, conn)) {
		ret->observable = false;
		ret->why = UNOBSERVABLE_SAMPLED;
	}
	tracker_name_space(tracker, ret);
}

void tracker_drop_space(struct tracker *tracker, uint32_t netns)
{
	size_t i = find(tracker, netns);

	if (i == tracker->nr_spaces)
		return;
	tracker->spaces[i] = tracker->spaces[--tracker->nr_spaces];
	tracker->space_numbers[i] = tracker->spaces[i].netns;
}
