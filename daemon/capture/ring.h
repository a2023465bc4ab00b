/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One BPF ring buffer, read in place. libbpf's reader hands a ring's records over in a gulp and
 * has no peek; the merge needs to look at the oldest record of every ring and to leave the young
 * ones where they are. A ring of memory has the same layout and is written by the daemon itself
 * (sweeps, losses; fake rings in tests). linux kernel/bpf/ringbuf.c describes the layout.
 */
#ifndef TCPWITNESS_RING_H
#define TCPWITNESS_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ring;

/* Maps a BPF_MAP_TYPE_RINGBUF of `bytes` bytes; map_fd stays the caller's. 0 or -errno. */
int ring_open(int map_fd, size_t bytes, struct ring **ret_ring);
/* A ring in memory, written with ring_write. `bytes`: a power of two, whole pages. */
int ring_open_memory(size_t bytes, struct ring **ret_ring);
void ring_free(struct ring *ring);

/* Sets how far this round reads: what comes in later waits for the next ring_limit. */
void ring_limit(struct ring *ring);
/* The oldest record within the limit, in place and 8-byte aligned; false: none, or not committed
 * yet. It stays valid until the ring_release after its ring_advance. */
bool ring_peek(struct ring *ring, const void **ret_bytes, size_t *ret_size);
void ring_advance(struct ring *ring);
/* Gives what was advanced over back to the producer. */
void ring_release(struct ring *ring);

/* How much of it is taken, in parts of RING_FULL. */
#define RING_FULL 256u
unsigned int ring_fill(const struct ring *ring);
/* Is there none left that is unread, committed or not? */
bool ring_is_empty(const struct ring *ring);

/* Records that lie in the ring unread. */
uint64_t ring_count(const struct ring *ring);

/* Memory rings: 0 or -ENOSPC. */
int ring_write(struct ring *ring, const void *bytes, size_t size);
size_t ring_room(const struct ring *ring);

#endif
