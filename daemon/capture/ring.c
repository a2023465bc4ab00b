/* SPDX-License-Identifier: GPL-2.0-only */
/* Reads a BPF ring buffer in place through its two mappings. */
#include "capture/ring.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define AHEAD_LINES 4u

struct ring {
	unsigned long *consumer; /* page 0, ours to write */
	unsigned long *producer; /* page 1; read-only unless the ring is of memory */
	uint8_t *data;		 /* mapped twice in a row, so that no record is broken at the end */
	unsigned long mask;
	unsigned long cursor; /* consumer position with what ring_release has not given back */
	unsigned long limit;  /* producer position when the round began */
	size_t bytes, page;
};

static unsigned long record_span(uint32_t header)
{
	uint32_t size = header & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);

	return (size + BPF_RINGBUF_HDR_SZ + 7ul) & ~7ul;
}

static uint32_t header_at(const struct ring *ring, unsigned long position)
{
	return __atomic_load_n((const uint32_t *)(ring->data + (position & ring->mask)),
			       __ATOMIC_ACQUIRE);
}

/* The producer's page and the doubled data are one mapping for the kernel, three for memory. */
static int map_producer(struct ring *ring, int fd, bool memory)
{
	size_t span = ring->page + 2 * ring->bytes;
	uint8_t *base, *again;

	base = mmap(NULL, span, memory ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd,
		    (off_t)ring->page);
	if (base == MAP_FAILED)
		return -errno;
	ring->producer = (unsigned long *)base;
	ring->data = base + ring->page;
	if (!memory)
		return 0;
	again = mmap(ring->data + ring->bytes, ring->bytes, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_FIXED, fd, (off_t)(2 * ring->page));
	return again == MAP_FAILED ? -errno : 0;
}

static int ring_map(int fd, size_t bytes, bool memory, struct ring **ret_ring)
{
	struct ring *ring = calloc(1, sizeof(*ring));
	void *page;
	int err;

	if (!ring)
		return -ENOMEM;
	ring->bytes = bytes;
	ring->mask = bytes - 1;
	ring->page = (size_t)sysconf(_SC_PAGESIZE);
	page = mmap(NULL, ring->page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED) {
		err = -errno;
		goto fail;
	}
	ring->consumer = page;
	err = map_producer(ring, fd, memory);
	if (err)
		goto fail;
	ring->cursor = *ring->consumer;
	ring->limit = ring->cursor;
	*ret_ring = ring;
	return 0;
fail:
	ring_free(ring);
	return err;
}

int ring_open(int map_fd, size_t bytes, struct ring **ret_ring)
{
	return ring_map(map_fd, bytes, false, ret_ring);
}

int ring_open_memory(size_t bytes, struct ring **ret_ring)
{
	int fd = memfd_create("ring", MFD_CLOEXEC);
	int err;

	if (fd < 0)
		return -errno;
	err = ftruncate(fd, (off_t)(2 * (size_t)sysconf(_SC_PAGESIZE) + bytes)) ? -errno : 0;
	if (!err)
		err = ring_map(fd, bytes, true, ret_ring);
	close(fd); /* the mappings hold the memory */
	return err;
}

void ring_free(struct ring *ring)
{
	if (!ring)
		return;
	if (ring->consumer)
		munmap(ring->consumer, ring->page);
	if (ring->producer)
		munmap(ring->producer, ring->page + 2 * ring->bytes);
	free(ring);
}

void ring_limit(struct ring *ring)
{
	ring->limit = __atomic_load_n(ring->producer, __ATOMIC_ACQUIRE);
}

bool ring_peek(struct ring *ring, const void **ret_bytes, size_t *ret_size)
{
	while (ring->cursor != ring->limit) {
		uint32_t header = header_at(ring, ring->cursor);

		if (header & BPF_RINGBUF_BUSY_BIT)
			return false;
		if (!(header & BPF_RINGBUF_DISCARD_BIT)) {
			*ret_bytes = ring->data + (ring->cursor & ring->mask) + BPF_RINGBUF_HDR_SZ;
			/* Another CPU has written it: what comes next is asked for ahead of time. */
			for (unsigned int line = 1; line <= AHEAD_LINES; line++)
				__builtin_prefetch((const uint8_t *)*ret_bytes + line * 64);
			*ret_size = header;
			return true;
		}
		ring->cursor += record_span(header);
	}
	return false;
}

void ring_advance(struct ring *ring)
{
	ring->cursor += record_span(header_at(ring, ring->cursor));
}

void ring_release(struct ring *ring)
{
	__atomic_store_n(ring->consumer, ring->cursor, __ATOMIC_RELEASE);
}

bool ring_is_empty(const struct ring *ring)
{
	return __atomic_load_n(ring->producer, __ATOMIC_ACQUIRE) == ring->cursor;
}

unsigned int ring_fill(const struct ring *ring)
{
	unsigned long taken = __atomic_load_n(ring->producer, __ATOMIC_ACQUIRE) - ring->cursor;

	return (unsigned int)(taken * RING_FULL / ring->bytes);
}

uint64_t ring_count(const struct ring *ring)
{
	unsigned long end = __atomic_load_n(ring->producer, __ATOMIC_ACQUIRE);
	unsigned long at = ring->cursor;
	uint64_t count = 0;

	while (at != end) {
		uint32_t header = header_at(ring, at);

		count += !(header & BPF_RINGBUF_DISCARD_BIT);
		at += record_span(header);
	}
	return count;
}

size_t ring_room(const struct ring *ring)
{
	return ring->bytes - (*ring->producer - *ring->consumer);
}

int ring_write(struct ring *ring, const void *bytes, size_t size)
{
	uint32_t header[2] = { (uint32_t)size, 0 };
	unsigned long span = record_span(header[0]);
	uint8_t *at = ring->data + (*ring->producer & ring->mask);

	if (span > ring_room(ring))
		return -ENOSPC;
	memcpy(at, header, sizeof(header));
	memcpy(at + sizeof(header), bytes, size);
	__atomic_store_n(ring->producer, *ring->producer + span, __ATOMIC_RELEASE);
	return 0;
}
