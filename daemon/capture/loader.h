/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The BPF side as the daemon holds it: programs loaded, those chosen that fit this kernel's
 * tracepoints, rings made, maps at hand. The only user of the skeleton.
 */
#ifndef TCPWITNESS_LOADER_H
#define TCPWITNESS_LOADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capture/attach.h"
#include "capture/capture_stats.h"
#include "capture/decode.h"
#include "capture/kernel_facts.h"
#include "capture/listener_maps.h"
#include "capture/ring.h"
#include "capture/sampling_maps.h"

struct loader;

struct loader_settings {
	/* For each CPU's ring of each family; a CPU that is not online gets the smallest there
	 * is. 0: what is affordable. */
	uint32_t ring_bytes;
	/* Not only the namespace we run in, but those of loader_namespace are watched, at the
	 * cost of 30 to 100 ns a segment. */
	bool several;
	/* Records a second, see sampling.h, of one slot and of all; 0: no limit. */
	uint64_t sampling_budget, sampling_total;
};

/*
 * Opens and loads; attaches nothing. The BTF is read from $TCPWITNESS_BTF where that is set. 0 or
 * -errno, logged in one line that says what to do.
 */
int loader_new(const struct loader_settings *settings, struct loader **ret_loader);
void loader_free(struct loader *loader);

/* Attaches the tracepoints. Their links go with the loader. */
int loader_attach(struct loader *loader);

bool loader_several(const struct loader *loader);
uint32_t loader_netns(const struct loader *loader);

/* Whether the next record wakes whoever polls the rings. */
void loader_want_wake(const struct loader *loader, bool wanted);
unsigned int loader_cpus(const struct loader *loader);
const struct kernel_facts *loader_facts(const struct loader *loader);
/* Fds stay the loader's. */
void loader_hooks(const struct loader *loader, struct attach_programs *ret_programs);
int loader_ring_fd(const struct loader *loader, enum rec_ring family, unsigned int cpu);
uint32_t loader_ring_bytes(const struct loader *loader, unsigned int cpu);

/* One fresh look at a socket of the namespace with that id, as a segment that arrives by `ifindex`
 * would meet it: ret_look becomes a REC_LOOK. 0 or -errno. */
int loader_look(const struct loader *loader, const struct conn_key *key, int32_t nsid,
		uint32_t ifindex, struct rec_socket *ret_look);

/* An fd that yields one run of the socket iterator, see sweep.h. The fd, or -errno. */
int loader_iterate(const struct loader *loader);

int loader_prefix(const struct loader *loader, uint32_t netns, const struct local_prefix *prefix,
		  bool add);
int loader_namespace(const struct loader *loader, uint32_t netns, bool add);
/* Gives an interface its slot of `segments`; NULL takes it away. */
int loader_slot(const struct loader *loader, uint32_t netns, uint32_t ifindex,
		const uint32_t *slot);

/* Per-CPU counters, summed. */
int loader_segments(const struct loader *loader, uint32_t slot,
		    struct segment_counters *ret_counters);
int loader_totals(const struct loader *loader, struct total_counters *ret_totals);
/*
 * Rows of the CPUs that were online at the start or have lost something, in their order; `max`
 * (>= 1) of them, and what is beyond adds up in the last. Returns how many; none where the map
 * cannot be read.
 */
uint32_t loader_losses(const struct loader *loader, struct loss_row *rows, uint32_t max);
/* Stays the loader's. */
const struct listener_maps *loader_listeners(const struct loader *loader);
const struct sampling_maps *loader_sampling(const struct loader *loader);

/* Rows of the tracepoint programs, and the cost of all. Returns how many were written. */
uint32_t loader_tracepoints(const struct loader *loader, struct program_row *rows, uint32_t max);
uint32_t loader_costs(const struct loader *loader, struct program_cost *rows, uint32_t max);

/* What this kernel gives, for `doctor`. Strings are static. */
struct capability {
	const char *name;
	bool available;
	const char *without; /* what is lost where it is not available */
};

#define CAPABILITIES_MAX 16
size_t loader_capabilities(const struct loader *loader, struct capability rows[CAPABILITIES_MAX]);
/* Logs what this kernel does not give, a line each. */
void loader_log_lacks(const struct loader *loader);

#endif
