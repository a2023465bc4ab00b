/* SPDX-License-Identifier: GPL-2.0-only */
/* Reads the socket iterator, again and again: see sweep.h. */
#include "capture/sweep.h"

#include <errno.h>
#include <string.h>
#include <sys/param.h>
#include <unistd.h>

#include "util.h"

/* Room kept in the ring, beyond one read, for what must not fail: losses, brackets. */
#define SPARE_BYTES (2 * SWEEP_READ_BYTES)
/* Reads of one slice: some 2000 sockets, about 1.5 ms. */
#define READS 6

int sweep_read(int fd, sweep_each each, void *context)
{
	_Alignas(8) uint8_t buffer[SWEEP_READ_BYTES];
	ssize_t size = read(fd, buffer, sizeof(buffer));

	/* EAGAIN: a million sockets of other namespaces were passed over, and there are more. */
	if (size < 0)
		return errno == EAGAIN || errno == EINTR ? 1 : -errno;
	if (size == 0)
		return 0;
	if ((size_t)size % sizeof(struct rec_socket))
		return -EPROTO;
	for (ssize_t at = 0; at < size; at += (ssize_t)sizeof(struct rec_socket))
		each(context, (const struct rec_socket *)(buffer + at));
	return 1;
}

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
	sweeper->fd = -1;
	sweeper->taken = true;
	sweeper->stats.interval_ns = floor_ns;
}

static void iterator_close(struct sweeper *sweeper)
{
	if (sweeper->fd >= 0)
		close(sweeper->fd);
	sweeper->fd = -1;
}

void sweeper_fini(struct sweeper *sweeper)
{
	iterator_close(sweeper);
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

/* The next namespace's iterator. 1: it is open, 0: there are no more; -errno. */
static int iterator_open(struct sweeper *sweeper)
{
	do
		sweeper->fd = sweeper->ops.open(sweeper->ops.context, sweeper->index++);
	while (sweeper->fd == -ESRCH);
	return sweeper->fd >= 0 ? 1 : sweeper->fd == -ENOENT ? 0 : sweeper->fd;
}

/* One slice. 1: there is more; 0: that was all; -errno. */
static int slice(struct sweeper *sweeper)
{
	int more = 1;

	for (int i = 0; i < READS && more > 0; i++) {
		if (!has_room(sweeper))
			return 1;
		if (sweeper->fd < 0)
			more = iterator_open(sweeper);
		if (more <= 0)
			break;
		more = sweep_read(sweeper->fd, add, sweeper);
		if (more == 0) {
			iterator_close(sweeper);
			more = 1;
		}
	}
	return more;
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
	more = slice(sweeper);
	sweeper->cost_ns += clock_read(CLOCK_THREAD_CPUTIME_ID) - cpu_ns;
	if (more > 0)
		return 0;
	sweeper->running = false;
	iterator_close(sweeper);
	if (more == 0)
		return bracket(sweeper, SWEEP_END);
	/* A sweep that broke off confirms nothing: it gets no end. */
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
