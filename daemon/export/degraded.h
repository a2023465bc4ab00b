/* SPDX-License-Identifier: GPL-2.0-only */
/* Which of the daemon's limits was passed of late: README's table "Past the limit". */
#ifndef TCPWITNESS_DEGRADED_H
#define TCPWITNESS_DEGRADED_H

#include <stdbool.h>
#include <stdint.h>

#include "export/text.h"

/* name, label, what /-/ready says of it */
#define DEGRADED_LIMITS(X)                                                                         \
	X(SEGMENT_RING, "segment_ring", "records of segments are lost: see --ring.bytes")          \
	X(KERNEL_RING, "kernel_ring", "records of state changes are lost: see --ring.bytes")       \
	X(SAMPLING, "sampling", "in a flood: not every connection is followed, all are counted")   \
	X(FLOW_TABLE, "flow_table", "connections are evicted: see --flows.max")                    \
	X(FINDINGS, "findings", "connections are not judged further: too much is odd at once")     \
	X(LISTENERS, "listeners", "some listeners have no label of their own: --listeners.max")    \
	X(EVENTS, "events", "lines of the event log are lost")                                     \
	X(RECORD_LOG, "record_log", "it could not be written, and has ended")                      \
	X(HTTP, "http", "requests are refused: see --web.max-requests")

enum degraded_limit {
#define X(name, label, text) DEGRADED_##name,
	DEGRADED_LIMITS(X)
#undef X
	DEGRADED_NR
};

/* For so long after it last was, a limit counts as passed: longer than most scrape intervals. */
#define DEGRADED_NS (60 * 1000000000ull)

struct degraded {
	uint64_t counted[DEGRADED_NR]; /* what was there to count when last asked */
	uint64_t at_ns[DEGRADED_NR];   /* CLOCK_MONOTONIC, when it was last passed; 0: never */
};

const char *degraded_label(enum degraded_limit limit);

/* It is passed each time that this counter grows. */
void degraded_count(struct degraded *degraded, enum degraded_limit limit, uint64_t counter,
		    uint64_t now_ns);

/* It is passed as long as this holds. */
void degraded_hold(struct degraded *degraded, enum degraded_limit limit, bool holds,
		   uint64_t now_ns);

bool degraded_is(const struct degraded *degraded, enum degraded_limit limit, uint64_t now_ns);

/* A line for each limit that is passed: "degraded: flow_table: ..., 5 s ago". */
void degraded_lines(const struct degraded *degraded, uint64_t now_ns, struct text *out);

#endif
