/* SPDX-License-Identifier: GPL-2.0-only */
/* How long things took: handshakes, divergences. */
#ifndef TCPWITNESS_DURATION_H
#define TCPWITNESS_DURATION_H

#include <stdint.h>

/* Bucket b counts durations below 2^b * 16 us, the last one the rest. */
#define DURATION_BUCKETS 24
#define DURATION_BUCKET_NS(b) (16000ull << (b))

struct duration_histogram {
	uint64_t buckets[DURATION_BUCKETS]; /* not cumulative */
	uint64_t sum_ns;
};

static inline void duration_observe(struct duration_histogram *histogram, uint64_t duration_ns)
{
	unsigned int bucket = 0;

	while (bucket < DURATION_BUCKETS - 1 && duration_ns >= DURATION_BUCKET_NS(bucket))
		bucket++;
	histogram->buckets[bucket]++;
	histogram->sum_ns += duration_ns;
}

#endif
