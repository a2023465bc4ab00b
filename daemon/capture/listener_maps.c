/* SPDX-License-Identifier: GPL-2.0-only */
/* The maps of listeners: see listener_maps.h. */
#include "capture/listener_maps.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

int listener_maps_init(struct listener_maps *maps, int counters_fd, int listening_fd,
		       int sources_fd, unsigned int cpus)
{
	maps->scratch = calloc(cpus, sizeof(*maps->scratch));
	maps->counters_fd = counters_fd;
	maps->listening_fd = listening_fd;
	maps->sources_fd = sources_fd;
	maps->cpus = cpus;
	return maps->scratch ? 0 : -ENOMEM;
}

void listener_maps_fini(struct listener_maps *maps)
{
	free(maps->scratch);
	maps->scratch = NULL;
}

int listener_maps_read(const struct listener_maps *maps, uint64_t cookie, uint64_t now_ns,
		       struct listener_reading *ret)
{
	uint64_t window = now_ns >> LISTENER_WINDOW_SHIFT;

	if (bpf_map_lookup_elem(maps->counters_fd, &cookie, maps->scratch))
		return -errno;
	memset(ret, 0, sizeof(*ret));
	for (unsigned int cpu = 0; cpu < maps->cpus; cpu++) {
		const struct listener_cell *cell = &maps->scratch[cpu];
		const __u64 *from = (const __u64 *)&cell->counters;
		__u64 *to = (__u64 *)&ret->counters;

		for (size_t i = 0; i < sizeof(cell->counters) / sizeof(*to); i++)
			to[i] += from[i];
		for (int i = 0; i < 2; i++) {
			if (cell->peaks[i].window + 1 < window)
				continue;
			ret->syn_peak = MAX(ret->syn_peak, cell->peaks[i].syn_length);
			ret->accept_peak = MAX(ret->accept_peak, cell->peaks[i].accept_length);
		}
	}
	return 0;
}

int listener_maps_sources(const struct listener_maps *maps, uint64_t cookie,
			  struct source_sketch *ret)
{
	return bpf_map_lookup_elem(maps->sources_fd, &cookie, ret) ? -errno : 0;
}

int listener_maps_delete(const struct listener_maps *maps, uint64_t cookie)
{
	bpf_map_delete_elem(maps->sources_fd, &cookie);
	return bpf_map_delete_elem(maps->counters_fd, &cookie) ? -errno : 0;
}

void listener_maps_name(const struct listener_maps *maps, const struct conn_key *key, uint64_t from,
			uint64_t cookie)
{
	struct listening_key address = { .netns = key->netns, .port = key->local_port };
	uint64_t current = 0;

	memcpy(address.address, key->local_address, sizeof(address.address));
	/* Another may begin to listen there between the look and the change: its REC_LISTEN comes
	 * later than what we are told of now, and puts it right. */
	if (bpf_map_lookup_elem(maps->listening_fd, &address, &current))
		current = 0;
	if (current != from)
		return;
	if (cookie)
		bpf_map_update_elem(maps->listening_fd, &address, &cookie, BPF_ANY);
	else if (from)
		bpf_map_delete_elem(maps->listening_fd, &address);
}
