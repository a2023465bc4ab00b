/* SPDX-License-Identifier: GPL-2.0-only */
/* The maps of sampling: which sites are sampled, and what was left out there. */
#ifndef TCPWITNESS_SAMPLING_MAPS_H
#define TCPWITNESS_SAMPLING_MAPS_H

#include <stdint.h>

#include "capture/capture_stats.h"
#include "sampling.h"

/* BPF's own: how many slots have a shift, and what all are held to together. */
struct sampling_words {
	const uint32_t *active;
	const struct sampling_all *all;
};

struct sampling_maps {
	struct sampling_words words;
	int counts_fd, program_fd;	   /* the loader's */
	const struct sampling_slot *slots; /* SAMPLING_SLOTS, BPF's own: it writes them */
	unsigned int cpus;
	struct sampling_counters *scratch; /* one for each CPU */
	struct sampling_sites *sites;	   /* known so far */
};

/* `program_fd`: sampling_pass_time. 0 or -errno; sampling_maps_fini() in either case. */
int sampling_maps_init(struct sampling_maps *maps, int slots_fd, int counts_fd, int program_fd,
		       const struct sampling_words *words, unsigned int cpus);
void sampling_maps_fini(struct sampling_maps *maps);

/* Ends the windows that no record has ended. */
void sampling_maps_pass_time(const struct sampling_maps *maps, uint64_t now_ns);

/* How many slots are sampled now. */
uint32_t sampling_maps_active(const struct sampling_maps *maps);

/* Now; 0: every flow is followed. */
uint32_t sampling_maps_shift(const struct sampling_maps *maps, const struct sampling_site *site);

/* Fills in all but the budgets, which are there. */
void sampling_maps_read(const struct sampling_maps *maps, struct sampling_stats *ret);

#endif
