/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * TIME_WAIT minisockets that were never made. No tracepoint shows them: a clean close is taken to
 * have left one. When the bucket table is full (net.ipv4.tcp_max_tw_buckets) it has not, and then
 * every connection of the namespace goes without. So some are asked for, never more than a few a
 * second, and what is missed is told once per listener and not per connection (KERNEL.md §6 row 19).
 */
#include <string.h>

#include "track/tracker_parts.h"

#define PROBES_BURST 64u
#define PROBES_PER_SECOND 20u
/* An overflow is over when none was missed for so long. */
#define OVERFLOW_QUIET_NS (30 * NS_PER_SEC)

/* A server's port names its listener; all clients of an address are one. */
static struct conn_key overflow_key(const struct conn *conn)
{
	struct conn_key key = { .netns = conn->key.netns };

	memcpy(key.local_address, conn->key.local_address, sizeof(key.local_address));
	if (!memcmp(key.local_address, (uint8_t[12]){ [10] = 0xff, [11] = 0xff }, 12))
		memcpy(key.remote_address, key.local_address, 12);
	if (conn->role == ROLE_SERVER)
		key.local_port = conn->key.local_port;
	return key;
}

static struct overflow *find_overflow(struct tracker *tracker, const struct conn *conn)
{
	const struct conn_key key = overflow_key(conn);

	for (size_t i = 0; i < tracker->nr_overflows; i++)
		if (!memcmp(&tracker->overflows[i].key, &key, sizeof(key)))
			return &tracker->overflows[i];
	return NULL;
}

/* The last place is that of all for which there is none. */
static struct overflow *need_overflow(struct tracker *tracker, const struct conn *conn)
{
	struct overflow *overflow = find_overflow(tracker, conn);

	if (overflow)
		return overflow;
	if (tracker->nr_overflows < OVERFLOWS_MAX)
		tracker->nr_overflows++;
	overflow = &tracker->overflows[tracker->nr_overflows - 1];
	if (!overflow->count)
		*overflow = (struct overflow){ .key = overflow_key(conn), .role = conn->role };
	return overflow;
}

static void tell(struct tracker *tracker, const struct overflow *overflow,
		 enum track_event_type type, uint64_t now_ns)
{
	struct connection_report report = {
		.key = overflow->key,
		.role = overflow->role,
		.end = END_UNKNOWN,
		.opened_ns = overflow->since_ns,
		.last_ns = overflow->missed_ns,
		.local_state = FSM_TIME_WAIT,
		.remote_state = FSM_CLOSED,
		.kernel_state = KS_CLOSE,
		.divergences = 1u << DIVERGENCE_TIME_WAIT_MISSING,
		.observable = true,
	};
	const struct divergence_evidence evidence = {
		.look = { overflow->missed_ns, { .bits = SNAP_LOOKED } },
		.repeats = overflow->count > 1 ? overflow->count : 0,
	};
	const struct track_event event = {
		.type = type,
		.ts_ns = now_ns,
		.kind = DIVERGENCE_TIME_WAIT_MISSING,
		.id = overflow->id,
		.explained_as = DIVERGENCE_NR,
		.since_ns = overflow->since_ns,
		.connection = &report,
		.evidence = &evidence,
	};

	tracker_name_space(tracker, &report);
	if (tracker->ops.event)
		tracker->ops.event(tracker->ops.context, &event);
}

void tracker_miss_minisocket(struct tracker *tracker, struct conn *conn, uint64_t now_ns)
{
	struct overflow *overflow = need_overflow(tracker, conn);

	conn->divergences |= 1u << DIVERGENCE_TIME_WAIT_MISSING;
	overflow->missed_ns = now_ns;
	if (overflow->count++)
		return;
	overflow->since_ns = conn->time_wait_ns;
	overflow->id = ++tracker->divergences;
	tracker->stats.divergences[DIVERGENCE_TIME_WAIT_MISSING]++;
	tracker->stats.divergences_open[DIVERGENCE_TIME_WAIT_MISSING]++;
	tell(tracker, overflow, TRACK_DIVERGENCE_OPEN, now_ns);
}

bool tracker_misses_minisockets(struct tracker *tracker, const struct conn *conn)
{
	return find_overflow(tracker, conn) != NULL;
}

void tracker_close_overflows(struct tracker *tracker, uint64_t now_ns)
{
	size_t kept = 0;

	for (size_t i = 0; i < tracker->nr_overflows; i++) {
		struct overflow *overflow = &tracker->overflows[i];

		if (now_ns < overflow->missed_ns + OVERFLOW_QUIET_NS) {
			tracker->overflows[kept++] = *overflow;
			continue;
		}
		tell(tracker, overflow, TRACK_DIVERGENCE_CLOSE, now_ns);
		tracker->stats.divergences_open[DIVERGENCE_TIME_WAIT_MISSING]--;
		duration_observe(&tracker->stats.divergence_durations[DIVERGENCE_TIME_WAIT_MISSING],
				 overflow->missed_ns - overflow->since_ns);
	}
	memset(&tracker->overflows[kept], 0,
	       (tracker->nr_overflows - kept) * sizeof(tracker->overflows[0]));
	tracker->nr_overflows = kept;
}

void tracker_watch_minisocket(struct tracker *tracker, struct conn *conn, uint64_t now_ns)
{
	if (conn->flags & CONN_PROBED || conn->kernel.state != KS_TIME_WAIT ||
	    conn->kernel.substate != KS_TIME_WAIT || conn->flags & CONN_UNOBSERVABLE ||
	    conn_local_state(conn) != FSM_TIME_WAIT)
		return;
	conn->flags |= CONN_PROBED;
	if (!allowance_take(&tracker->probes, PROBES_BURST, PROBES_PER_SECOND, now_ns))
		return;
	conn->flags |= CONN_PROBING;
	conn->looked_ns = 0;
	conn->tries = 0;
}
