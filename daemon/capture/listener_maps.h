/* SPDX-License-Identifier: GPL-2.0-only */
/* The maps of listeners: what BPF counted for one, and under whose cookie children count. */
#ifndef TCPWITNESS_LISTENER_MAPS_H
#define TCPWITNESS_LISTENER_MAPS_H

#include <stdint.h>

#include "capture/decode.h"
#include "counters.h"
#include "sketch.h"

/* One listening socket, over all CPUs. */
struct listener_reading {
	struct listener_counters counters;
	uint32_t syn_peak, accept_peak; /* longest queues of this window and the one before */
};

struct listener_maps {
	int counters_fd, listening_fd, sources_fd; /* the loader's */
	unsigned int cpus;
	struct listener_cell *scratch; /* one for each CPU */
};

/* 0 or -ENOMEM. */
int listener_maps_init(struct listener_maps *maps, int counters_fd, int listening_fd,
		       int sources_fd, unsigned int cpus);
void listener_maps_fini(struct listener_maps *maps);

/* What the socket with this cookie counted. 0 or -errno; -ENOENT: nothing yet. */
int listener_maps_read(const struct listener_maps *maps, uint64_t cookie, uint64_t now_ns,
		       struct listener_reading *ret);
/* Where its SYNs came from. 0 or -errno; -ENOENT: there was none. */
int listener_maps_sources(const struct listener_maps *maps, uint64_t cookie,
			  struct source_sketch *ret);
int listener_maps_delete(const struct listener_maps *maps, uint64_t cookie);

/*
 * From now on the children of key's local end count for `cookie`: if nobody listened there
 * (`from` 0), or only `from` did. With `cookie` 0 nobody does any more.
 */
void listener_maps_name(const struct listener_maps *maps, const struct conn_key *key, uint64_t from,
			uint64_t cookie);

#endif
