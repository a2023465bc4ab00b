/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Many rings to one order of time. A round takes, from whichever ring has the oldest, every
 * record up to now - slack; younger ones stay in their rings, because a CPU that was in the
 * middle of one may still come up with an older. What turns up behind the order all the same is
 * handed over at once and counted as late. Where a ring is half full, nothing waits in that
 * round: better late than lost. Memory is that of the rings: nothing is copied.
 */
#ifndef TCPWITNESS_MERGE_H
#define TCPWITNESS_MERGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capture/ring.h"
#include "record.h"

/* One raw record, in its ring: 8-byte aligned. */
struct merged_record {
	const void *bytes;
	uint32_t size;
	uint32_t family; /* enum rec_ring, or RING_NR for what passed through no BPF ring */
};

/* Records are handed over so many at a time: who takes them can look ahead. */
#define MERGE_BATCH 32

/* Takes 1 to MERGE_BATCH records, oldest first, which are gone when it returns. */
typedef void (*merge_sink)(void *context, const struct merged_record *records, size_t count);

struct merge_stats {
	uint64_t late;		 /* older than a record handed over before it */
	uint64_t last_record_ns; /* time of the newest record handed over, 0 = none yet */
	uint64_t lag_ns;	 /* its age when it was */
};

struct merge;

/* At most `rings` will be added. NULL: no memory. */
struct merge *merge_new(size_t rings, uint64_t slack_ns);
/* Frees the rings too. */
void merge_free(struct merge *merge);

/* The merge owns the ring from now on. */
void merge_add(struct merge *merge, struct ring *ring, uint32_t family);

/* One round. With `flush`, everything that is committed when it begins, whatever its age. */
void merge_drain(struct merge *merge, uint64_t now_ns, bool flush, merge_sink sink, void *context);

/* How full the fullest ring was when the last round began, in parts of RING_FULL. */
unsigned int merge_fill(const struct merge *merge);
/* Does nothing lie in any ring, committed or not? */
bool merge_is_empty(const struct merge *merge);

const struct merge_stats *merge_stats(const struct merge *merge, uint32_t family);

/* Records that wait in the rings of a family. */
uint64_t merge_pending(const struct merge *merge, uint32_t family);

#endif
