/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Until when which flows were left out, by the records that tell of changed shifts (sampling.h).
 * Of each slot that ever had a shift it is known when a shift of k or more was last in force; a
 * flow is left out by those beyond the zeroes that its hash ends in. So it takes no memory of
 * flows to say when one was last not recorded. Pure but for its memory.
 */
#ifndef TCPWITNESS_SAMPLED_H
#define TCPWITNESS_SAMPLED_H

#include <stdbool.h>
#include <stdint.h>

#include "capture/decode.h"
#include "sampling.h"

struct sampled_slot {
	uint32_t number;
	/* [k]: 0 never, SAMPLED_NOW: now */
	uint64_t until_ns[SAMPLING_SHIFT_MAX + 1];
};

#define SAMPLED_NOW UINT64_MAX

/* All zero at first. */
struct sampled {
	uint64_t seed;
	struct sampled_slot *slots;
	uint32_t count, room;
	uint32_t *places; /* by slot number: 1 + its place in `slots`; 0 = never sampled */
	uint32_t strays[SAMPLING_INTERFACES]; /* places of those of interfaces */
	uint32_t nr_strays;
	bool blind; /* there was no memory: anything may be left out */
};

void sampled_free(struct sampled *sampled);

void sampled_take(struct sampled *sampled, const struct rec_sampling *change);

/* Until when the flow of that key was left out: 0 never, SAMPLED_NOW: it is. */
uint64_t sampled_until(const struct sampled *sampled, const struct conn_key *key);

/* The same of those of its segments that met no socket, by whichever interface. */
uint64_t sampled_strays_until(const struct sampled *sampled, const struct conn_key *key);

#endif
