/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How long the loop sleeps. A turn costs some tens of microseconds whatever it finds, so under load
 * it sleeps until the fullest ring is likely to have an eighth of it filled, and without load until
 * a record comes. Pure: time is passed in.
 */
#ifndef TCPWITNESS_PACE_H
#define TCPWITNESS_PACE_H

#include <stdbool.h>
#include <stdint.h>

#include "util.h"

/* The shortest sleep: a shorter timer costs the host throughput by itself (DESIGN §4). */
#define PACE_SHORTEST_NS (20 * NS_PER_MS)
/* The longest while there is load: what is known may be so old, and a verdict so late. */
#define PACE_LOADED_NS (100 * NS_PER_MS)
/* The longest while nothing comes. */
#define PACE_IDLE_NS NS_PER_SEC

struct pace {
	uint64_t sleep_ns;
	uint64_t turned_ns; /* when the last turn began */
};

/* What a turn found. */
struct pace_turn {
	bool took;	   /* records */
	bool woken;	   /* by the capture: there are or will be some */
	bool busy;	   /* something is under way that goes on at each turn */
	unsigned int fill; /* of the fullest ring, in parts of RING_FULL */
};

void pace_begin(struct pace *pace, uint64_t now_ns);

/* After the turn that began at now_ns. */
void pace_turned(struct pace *pace, uint64_t now_ns, const struct pace_turn *turn);

/* Milliseconds to sleep when something is due at due_ns: UINT64_MAX = nothing is, 0 = at once. */
int pace_patience(const struct pace *pace, uint64_t due_ns);

/* Is it so long that the next record must end it? */
bool pace_is_idle(const struct pace *pace);

#endif
