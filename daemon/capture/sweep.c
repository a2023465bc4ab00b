/* SPDX-License-Identifier: GPL-2.0-only */
/* Sweeps, again and again: see sweep.h. */
#include "capture/sweep.h"

#include <errno.h>
#include <string.h>
#include <sys/param.h>
#include <unistd.h>

#include "log.h"
#include "util.h"

/* Room kept in the ring, beyond one read, for what must not fail: losses, brackets. */
#define SPARE_BYTES (2 * SWEEP_READ_BYTES)
/* Reads of one slice: some 2000 sockets, about 1.5 ms. */
#define READS 6

uint64_t sweep_interval_ns(uint64_t cost_ns, uint64_t floor_ns)
{
	return MAX(floor_ns, MIN(cost_ns * SWEEP_SHARE, SWEEP_INTERVAL_MAX_NS));
}

void sweeper_init(struct sweeper *sweeper, const struct sweeper_ops *ops, struct ring *ring,
		  uint32_t netns, uint64_t floor_ns)
{
	memset(sweeper, 0, sizeof(*sweeper));
	sweeper->ops = *ops;
	sweeper->ring = ring;
	sweeper->netns = netns;
	sweeper->floor_ns = floor_ns;
	sweep_reader_init(&sweeper->reader);
	sweeper->taken = true;
	sweeper->stats.interval_ns = floor_ns;
}

void sweeper_fini(struct sweeper *sweeper)
{
	sweep_reader_fini(&sweeper->reader);
}

void sweeper_want(struct sweeper *sweeper)
{
	sweeper->wanted = true;
}

static int bracket(struct sweeper *sweeper, enum sweep_phase phase)
{
	const struct rec_sweep record = {
		.hdr = { .type = REC_SWEEP,
			 .version = RECORD_VERSION,
			 .netns = sweeper->netns,
			 .ts_ns = clock_read(CLOCK_MONOTONIC) },
		.phase = phase,
	};

	return ring_write(sweeper->ring, &record, sizeof(record));
}

/* The room was made sure of before the read. */
static void add(void *context, const struct rec_socket *socket)
{
	struct sweeper *sweeper = context;

	ring_write(sweeper->ring, socket, sizeof(*socket));
	sweeper->sockets++;
}

static bool has_room(const struct sweeper *sweeper)
{
	return ring_room(sweeper->ring) >= SPARE_BYTES + SWEEP_READ_BYTES;
}

/* The next namespace's iterator. 1: it is being read, 0: there are no more; -errno. */
static int next_iterator(struct sweeper *sweeper)
{
	int fd, err;

	do
		fd = sweeper->ops.open(sweeper->ops.context, sweeper->index++);
	while (fd == -ESRCH);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	err = sweep_reader_give(&sweeper->reader, fd);
	close(fd);
	sweeper->reading = !err;
	return err ? err : 1;
}

/* One slice. 1: there is more; 0: that was all; -errno. */
static int slice(struct sweeper *sweeper, uint64_t now_ns)
{
	int more = 1;

	for (int i = 0; i < READS && has_room(sweeper); i++) {
		if (!sweeper->reading) {
			sweeper->heard_ns = now_ns;
			more = next_iterator(sweeper);
			if (more <= 0)
				return more;
		}
		more = sweep_reader_take(&sweeper->reader, add, sweeper, &sweeper->cost_ns);
		if (more == -EAGAIN)
			return 1;
		if (more < 0)
			return more;
		sweeper->heard_ns = now_ns;
		sweeper->reading = more > 0;
	}
	return 1;
}

/* Says so once: what no sweep can put right is right only as far as tracepoints go. */
static void note_stall(struct sweeper *sweeper, uint64_t now_ns)
{
	bool stalled = sweeper->running && now_ns - sweeper->heard_ns >= SWEEP_STALLED_NS;

	if (stalled && !sweeper->stats.stalled)
		log_warn("the sweep of the sockets waits for one whose lock its owner holds");
	sweeper->stats.stalled = stalled;
}

static int begin(struct sweeper *sweeper, uint64_t now_ns)
{
	if (!has_room(sweeper))
		return 0;
	sweeper->wanted = false;
	sweeper->running = true;
	sweeper->taken = false;
	sweeper->index = 0;
	sweeper->begin_ns = now_ns;
	sweeper->cost_ns = 0;
	sweeper->sockets = 0;
	return bracket(sweeper, SWEEP_BEGIN);
}

static bool is_due(const struct sweeper *sweeper, uint64_t now_ns)
{
	if (sweeper->running || !sweeper->taken)
		return false;
	return sweeper->wanted ||
	       (sweeper->floor_ns && now_ns - sweeper->begin_ns >= sweeper->stats.interval_ns);
}

int sweeper_step(struct sweeper *sweeper, uint64_t now_ns, bool losing)
{
	uint64_t cpu_ns;
	int err = 0, more;

	if (!losing && is_due(sweeper, now_ns))
		err = begin(sweeper, now_ns);
	if (err || !sweeper->running)
		return err;
	cpu_ns = clock_read(CLOCK_THREAD_CPUTIME_ID);
	more = slice(sweeper, now_ns);
	sweeper->cost_ns += clock_read(CLOCK_THREAD_CPUTIME_ID) - cpu_ns;
	sweeper->running = more > 0;
	note_stall(sweeper, now_ns);
	if (more > 0)
		return 0;
	if (more == 0)
		return bracket(sweeper, SWEEP_END);
	/* A sweep that broke off confirms nothing: it gets no end. What is left is not for the next. */
	sweep_reader_fini(&sweeper->reader);
	sweeper->reading = false;
	sweeper->taken = true;
	sweeper->wanted = !sweeper->floor_ns;
	return more;
}

bool sweeper_is_busy(const struct sweeper *sweeper)
{
	return !sweeper->taken;
}

void sweeper_charge(struct sweeper *sweeper, uint64_t cpu_ns, bool ended)
{
	sweeper->cost_ns += cpu_ns;
	if (!ended)
		return;
	sweeper->taken = true;
	sweeper->stats.sweeps++;
	sweeper->stats.cost_ns = sweeper->cost_ns;
	sweeper->stats.sockets = sweeper->sockets;
	if (sweeper->floor_ns)
		sweeper->stats.interval_ns = sweep_interval_ns(sweeper->cost_ns, sweeper->floor_ns);
}
