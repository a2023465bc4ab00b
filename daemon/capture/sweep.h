/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: sweeps
 *
 * Tracepoints tell what moves; a sweep tells what is there. It walks all TCP sockets of the
 * watched namespaces with the socket iterator and writes what it finds into the daemon's own
 * ring, between two brackets, where the merge puts it in order with everything else. One sweep
 * covers every watched namespace, one after the other.
 *
 * A process of its own reads it (sweep_reader.h), a slice at a time is taken from there, so that
 * neither a big table nor a socket whose lock is held stalls anybody. It is no snapshot: sockets
 * come, move and go while it runs. What follows from what it found and missed is the tracker's
 * business (track/sweeps.c).
 *
 * Sweeps repeat. Begin to begin takes at least a hundred times the CPU time that the last one
 * took, reading and taking in what was read: one percent of a core.
 */
#ifndef TCPWITNESS_SWEEP_H
#define TCPWITNESS_SWEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capture/capture_stats.h"
#include "capture/ring.h"
#include "capture/sweep_reader.h"
#include "util.h"

/* The share of a core that sweeps may take is one in so many. */
#define SWEEP_SHARE 100
/* But they are never further apart than this: 1 % holds up to some 3 million sockets. */
#define SWEEP_INTERVAL_MAX_NS (300 * NS_PER_SEC)

/* A sweep that has been silent for this long waits for the lock of some socket. */
#define SWEEP_STALLED_NS (5 * NS_PER_SEC)

/* From begin to begin: what one that took cost_ns allows, but not less than floor_ns. */
uint64_t sweep_interval_ns(uint64_t cost_ns, uint64_t floor_ns);

struct sweeper_ops {
	void *context;
	/* An fd of the iterator over the index-th watched namespace; -ESRCH: that one is ending;
	 * -ENOENT: there are no more. */
	int (*open)(void *context, uint32_t index);
};

/* Zero it, then sweeper_init(). The members are sweep.c's own. */
struct sweeper {
	struct sweeper_ops ops;
	struct ring *ring;
	uint64_t floor_ns;
	uint64_t begin_ns, cost_ns, sockets; /* of the sweep that runs, or was the last */
	uint64_t heard_ns;		     /* when something of it came, or was asked for */
	uint32_t netns, index;
	struct sweep_reader reader;
	bool wanted, running;
	bool reading; /* an iterator is over there */
	bool taken;   /* everything it wrote was taken in */
	struct sweep_stats stats;
};

/* `ring` takes the records; floor_ns: shortest interval, 0 = only sweeps that are asked for. */
void sweeper_init(struct sweeper *sweeper, const struct sweeper_ops *ops, struct ring *ring,
		  uint32_t netns, uint64_t floor_ns);
void sweeper_fini(struct sweeper *sweeper);

/* A sweep as soon as may be, whatever the interval. */
void sweeper_want(struct sweeper *sweeper);

/* Begins a sweep if one is due and continues the one that runs by a slice. A sweep confirms what
 * it finds, so none begins while records are being lost. 0 or -errno. */
int sweeper_step(struct sweeper *sweeper, uint64_t now_ns, bool losing);

/* May what comes out of the ring be a sweep's? Then taking it in is part of the cost. */
bool sweeper_is_busy(const struct sweeper *sweeper);

/* Taking in its records took so much; `ended`: the closing bracket was among them. */
void sweeper_charge(struct sweeper *sweeper, uint64_t cpu_ns, bool ended);

#endif
