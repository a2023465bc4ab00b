/* SPDX-License-Identifier: GPL-2.0-only */
/* The tracking stage's face: see tracker.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "track/tracker_parts.h"

/* So many connections may have something odd about them at a time. */
#define FINDINGS_LEAST 1024u
#define FINDINGS_SHARE 8u

static struct deadline *deadline_of(void *context, uint32_t handle)
{
	const struct tracker *tracker = context;

	return &flowtable_at(tracker->table, handle)->deadline;
}

struct tracker *tracker_new(const struct tracker_settings *settings, const struct tracker_ops *ops)
{
	struct tracker *tracker = calloc(1, sizeof(*tracker));

	if (!tracker)
		return NULL;
	tracker->table = flowtable_new(settings->flows_max, settings->hash_seed);
	tracker->findings = findings_new(FINDINGS_LEAST + settings->flows_max / FINDINGS_SHARE);
	if (!tracker->table || !tracker->findings) {
		tracker_free(tracker);
		return NULL;
	}
	tracker->settings = *settings;
	tracker->ops = *ops;
	tracker->stats.limit = settings->flows_max;
	deadlines_init(&tracker->wheel, deadline_of, tracker);
	return tracker;
}

void tracker_free(struct tracker *tracker)
{
	if (!tracker)
		return;
	flowtable_free(tracker->table);
	findings_free(tracker->findings);
	sampled_free(&tracker->sampled);
	free(tracker->spaces);
	free(tracker);
}

const struct tracker_stats *tracker_stats(const struct tracker *tracker)
{
	return &tracker->stats;
}

void tracker_foresee(const struct tracker *tracker, struct observation *next, size_t count)
{
	flowtable_look_ahead(tracker->table, next, count);
}

void tracker_observe(struct tracker *tracker, const struct observation *observation)
{
	switch (observation->type) {
	case REC_SEGMENT:
		if (tracker->settings.wire_only)
			tracker_on_captured(tracker, observation);
		else
			tracker_on_segment(tracker, observation);
		break;
	case REC_DROP:
		tracker_on_drop(tracker, observation);
		break;
	case REC_STATE:
		tracker_on_state(tracker, observation);
		break;
	case REC_SOCKET:
		tracker_on_socket(tracker, observation);
		break;
	case REC_SWEEP:
		tracker_on_sweep(tracker, observation);
		break;
	case REC_NETNS:
		tracker_on_netns(tracker, observation);
		break;
	case REC_SAMPLING:
		tracker_on_sampling(tracker, observation);
		break;
	case REC_LOSS:
		tracker->epoch++;
		break;
	case REC_TICK:
		tracker_advance(tracker, observation->ts_ns);
		break;
	default:
		/* Retransmits and resets are counted in the kernel; listeners take REC_LISTEN. */
		break;
	}
}

void tracker_advance(struct tracker *tracker, uint64_t now_ns)
{
	deadlines_advance(&tracker->wheel, now_ns, tracker_on_deadline);
	tracker_walk(tracker, now_ns);
	if (tracker->nr_overflows)
		tracker_close_overflows(tracker, now_ns);
}

uint64_t tracker_next_deadline(const struct tracker *tracker)
{
	return tracker->sweep.left ? 0 : deadlines_next(&tracker->wheel);
}

bool tracker_find(const struct tracker *tracker, const struct conn_key *key,
		  struct connection_report *ret, uint32_t *ret_life)
{
	uint32_t handle = flowtable_find(tracker->table, key);

	if (handle == FLOW_NONE)
		return false;
	tracker_report(tracker, flowtable_at(tracker->table, handle), ret);
	*ret_life = flowtable_at(tracker->table, handle)->life;
	return true;
}

size_t tracker_list(const struct tracker *tracker, size_t *cursor, size_t max,
		    void (*each)(void *context, const struct connection_report *report),
		    void *context)
{
	uint32_t span = flowtable_span(tracker->table);
	size_t visited = 0;

	while (*cursor < span && visited < max) {
		const struct conn *conn = flowtable_at(tracker->table, (uint32_t)(*cursor)++);
		struct connection_report report;

		if (!conn->in_use)
			continue;
		tracker_report(tracker, conn, &report);
		each(context, &report);
		visited++;
	}
	if (*cursor >= span)
		*cursor = 0;
	return visited;
}
