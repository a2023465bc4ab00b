/* SPDX-License-Identifier: GPL-2.0-only */
/* The capture stage's own truth: what was recorded, lost, decoded; what is attached where. */
#ifndef TCPWITNESS_CAPTURE_STATS_H
#define TCPWITNESS_CAPTURE_STATS_H

#include <net/if.h>
#include <stdint.h>

#include "capture/decode.h"
#include "config.h"
#include "counters.h"
#include "sampling.h"

#define INTERFACES_MAX 1024
#define PROGRAM_NAME_MAX 32
#define MODE_NAME_MAX 16
#define SPACE_NAME_MAX NETNS_NAME_BYTES

/* One row of tcpwitness_interface_info: a hook of a watched interface. */
struct interface_row {
	char interface[IF_NAMESIZE];
	char hook[MODE_NAME_MAX]; /* ingress | egress */
	char mode[MODE_NAME_MAX]; /* xdp_native | xdp_generic | tcx | clsact */
	uint32_t netns, ifindex;
};

/* One row of tcpwitness_program_*: interface is "" for tracepoints. */
struct program_row {
	char program[PROGRAM_NAME_MAX];
	char interface[IF_NAMESIZE];
	int attached;
	uint32_t netns; /* 0 for tracepoints */
};

struct program_cost {
	char program[PROGRAM_NAME_MAX];
	uint64_t run_time_ns, runs; /* 0 unless kernel.bpf_stats_enabled */
	/* Events that came while the program ran on the same CPU, and passed it by. Those of
	 * on_set_state are told to on_set_state_nested, and the other way round. */
	uint64_t misses;
};

/* A watched network namespace. */
struct space_row {
	uint32_t netns;		   /* inode number */
	char name[SPACE_NAME_MAX]; /* what it is called in labels, unique */
};

#define PROGRAMS_MAX 32

/* Sweeps of the socket tables, see sweep.h. */
struct sweep_stats {
	uint64_t sweeps;	   /* complete ones */
	uint64_t cost_ns, sockets; /* of the last: CPU time it took, sockets it found */
	uint64_t stalled;	   /* 1: the one that runs waits for a socket's lock */
	uint64_t interval_ns;	   /* from its begin to the next one's; 0 = only when asked for */
};

/* What is known of a site of sampling.h. */
struct sampling_row {
	struct sampling_site site;
	uint32_t shift; /* now */
	struct sampling_counters counters;
};

/* Rows of their own; the rest is added up. */
#define SAMPLING_ROWS_MAX 64

struct sampling_stats {
	/* Records a second, 0: no limit: of one site while nothing presses, of all together, and of
	 * one site now. */
	uint64_t budget, total, share;
	uint32_t active;  /* slots that are sampled now */
	uint32_t nr_rows; /* sites that were ever sampled, in the order in which they first were */
	struct sampling_row rows[SAMPLING_ROWS_MAX];
	struct sampling_row other; /* shift: the largest; its site means nothing */
};

/* Handshakes that were completed and not followed. */
static inline uint64_t sampling_born(const struct sampling_stats *stats)
{
	uint64_t born = stats->other.counters.born;

	for (uint32_t i = 0; i < stats->nr_rows; i++)
		born += stats->rows[i].counters.born;
	return born;
}

/* What one CPU's rings had no room for. */
struct loss_row {
	uint32_t cpu;
	uint64_t lost[RING_NR];
};

#define LOSS_ROWS_MAX 1024

struct capture_stats {
	/* by ring: attempted = decoded + rejected + lost + pending */
	uint64_t attempted[RING_NR];
	uint64_t decoded[RING_NR];
	uint64_t rejected[RING_NR][REJECT_NR];
	uint64_t lost[RING_NR]; /* of all CPUs */
	uint64_t pending[RING_NR];
	uint64_t late[RING_NR]; /* arrived behind the merge's watermark; applied all the same */
	uint64_t last_record_ns[RING_NR]; /* CLOCK_MONOTONIC of the newest record, 0 = none yet */
	uint64_t lag_ns[RING_NR];	  /* age of the newest record when it was drained */
	struct segment_counters segments; /* summed over CPUs and interfaces */
	struct total_counters totals;	  /* summed over CPUs */
	struct sweep_stats sweeps;
	struct sampling_stats sampling;
	uint32_t nr_spaces, nr_losses, nr_interfaces, nr_programs, nr_costs;
	struct space_row spaces[NAMESPACES_MAX];
	struct loss_row losses[LOSS_ROWS_MAX]; /* by CPU, see loader_losses() */
	struct interface_row interfaces[2 * INTERFACES_MAX];
	struct segment_counters by_interface[INTERFACES_MAX]; /* of rows 2 i and 2 i + 1 */
	struct program_row programs[4 * INTERFACES_MAX];
	struct program_cost costs[PROGRAMS_MAX];
};

#endif
