/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A timing wheel of 32-bit handles: at most one deadline a handle, O(1) to set, move and drop.
 * A deadline beyond the wheel's horizon waits in its slot for as many turns as it needs.
 * Time is passed in.
 */
#ifndef TCPWITNESS_DEADLINES_H
#define TCPWITNESS_DEADLINES_H

#include <stdbool.h>
#include <stdint.h>

#define DEADLINE_TICK_NS 16777216ull /* 2^24 ns, about 17 ms: the resolution */
#define DEADLINE_SLOTS 4096u	     /* about 69 s: a whole TIME_WAIT in one turn */
#define DEADLINE_NONE UINT32_MAX

/* Lies inside the thing that waits; all zero = not waiting. */
struct deadline {
	uint64_t due_ns; /* 0 = not set */
	uint32_t prev, next;
};

struct deadlines {
	/* Where a handle's struct deadline lies. */
	struct deadline *(*of)(void *context, uint32_t handle);
	void *context;
	uint64_t tick; /* every slot before it has been served */
	uint64_t count;
	uint32_t slots[DEADLINE_SLOTS]; /* first handle, or DEADLINE_NONE */
};

void deadlines_init(struct deadlines *wheel, struct deadline *(*of)(void *, uint32_t),
		    void *context);

/* Sets or moves the deadline of `handle`; due_ns must not be 0. */
void deadlines_set(struct deadlines *wheel, uint32_t handle, uint64_t due_ns);

/* No-op when it is not set. */
void deadlines_drop(struct deadlines *wheel, uint32_t handle);

/* Calls `fire` for every handle that is due, its deadline dropped before the call; `fire` may set
 * and drop any deadline. */
void deadlines_advance(struct deadlines *wheel, uint64_t now_ns,
		       void (*fire)(void *context, uint32_t handle, uint64_t now_ns));

/* Not later than the earliest deadline; UINT64_MAX when nothing waits. */
uint64_t deadlines_next(const struct deadlines *wheel);

#endif
