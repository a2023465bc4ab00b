/* SPDX-License-Identifier: GPL-2.0-only */
/* K-way merge of rings by time, with a watermark: a binary heap of the rings' oldest records. */
#include "capture/merge.h"

#include <stdlib.h>
#include <sys/param.h>

/* Space is given back to a producer while a long round still runs: every so many of its records. */
#define RELEASE_EVERY 256u

_Static_assert(RELEASE_EVERY % MERGE_BATCH == 0, "records of a batch are still in their rings");

struct source {
	struct ring *ring;
	uint32_t family;
	uint64_t ts_ns; /* of the record at the head */
	const void *bytes;
	size_t size;
};

struct merge {
	uint64_t slack_ns;
	uint64_t order_ns; /* the newest time handed over */
	unsigned int fill; /* of the fullest ring when the round began */
	struct merge_stats stats[RING_NR + 1];
	size_t nr_sources, nr_heap;
	struct source **heap; /* those with a record, oldest on top */
	struct source sources[];
};

struct merge *merge_new(size_t rings, uint64_t slack_ns)
{
	struct merge *merge = calloc(1, sizeof(*merge) + rings * sizeof(merge->sources[0]));

	if (!merge)
		return NULL;
	merge->heap = calloc(rings, sizeof(merge->heap[0]));
	if (!merge->heap) {
		free(merge);
		return NULL;
	}
	merge->slack_ns = slack_ns;
	return merge;
}

void merge_free(struct merge *merge)
{
	if (!merge)
		return;
	for (size_t i = 0; i < merge->nr_sources; i++)
		ring_free(merge->sources[i].ring);
	free(merge->heap);
	free(merge);
}

void merge_add(struct merge *merge, struct ring *ring, uint32_t family)
{
	struct source *source = &merge->sources[merge->nr_sources++];

	source->ring = ring;
	source->family = family;
}

static bool source_peek(struct source *source)
{
	if (!ring_peek(source->ring, &source->bytes, &source->size))
		return false;
	/* Too short for a time: let it through at once, the decoder rejects and counts it. */
	source->ts_ns = 0;
	if (source->size >= sizeof(struct rec_hdr))
		source->ts_ns = ((const struct rec_hdr *)source->bytes)->ts_ns;
	return true;
}

static void heap_sink(struct merge *merge, size_t at)
{
	struct source **heap = merge->heap;
	struct source *moving = heap[at];

	for (size_t child; (child = 2 * at + 1) < merge->nr_heap; at = child) {
		if (child + 1 < merge->nr_heap && heap[child + 1]->ts_ns < heap[child]->ts_ns)
			child++;
		if (moving->ts_ns <= heap[child]->ts_ns)
			break;
		heap[at] = heap[child];
	}
	heap[at] = moving;
}

static void heap_build(struct merge *merge)
{
	merge->fill = 0;
	merge->nr_heap = 0;
	for (size_t i = 0; i < merge->nr_sources; i++) {
		ring_limit(merge->sources[i].ring);
		merge->fill = MAX(merge->fill, ring_fill(merge->sources[i].ring));
		if (source_peek(&merge->sources[i]))
			merge->heap[merge->nr_heap++] = &merge->sources[i];
	}
	for (size_t i = merge->nr_heap / 2; i-- > 0;)
		heap_sink(merge, i);
}

static void account(struct merge *merge, const struct source *source, uint64_t now_ns)
{
	struct merge_stats *stats = &merge->stats[source->family];

	if (source->ts_ns < merge->order_ns)
		stats->late++;
	else
		merge->order_ns = source->ts_ns;
	if (source->ts_ns >= stats->last_record_ns) {
		stats->last_record_ns = source->ts_ns;
		stats->lag_ns = now_ns > source->ts_ns ? now_ns - source->ts_ns : 0;
	}
}

/* The oldest record of all. Its ring goes on, but does not give it back yet. */
static struct merged_record take_oldest(struct merge *merge, uint64_t now_ns)
{
	struct source *source = merge->heap[0];
	const struct merged_record record = { source->bytes, (uint32_t)source->size,
					      source->family };

	account(merge, source, now_ns);
	ring_advance(source->ring);
	if (!source_peek(source))
		merge->heap[0] = merge->heap[--merge->nr_heap];
	if (merge->nr_heap > 0)
		heap_sink(merge, 0);
	return record;
}

static void release_all(struct merge *merge)
{
	for (size_t i = 0; i < merge->nr_sources; i++)
		ring_release(merge->sources[i].ring);
}

void merge_drain(struct merge *merge, uint64_t now_ns, bool flush, merge_sink sink, void *context)
{
	uint64_t watermark = now_ns > merge->slack_ns ? now_ns - merge->slack_ns : 0;
	struct merged_record batch[MERGE_BATCH];
	size_t taken = 0;

	heap_build(merge);
	/* Its producer is about to lose records: none of them waits. */
	if (merge->fill >= RING_FULL / 2)
		watermark = now_ns;
	if (flush)
		watermark = UINT64_MAX;
	while (merge->nr_heap > 0 && merge->heap[0]->ts_ns <= watermark) {
		batch[taken++ % MERGE_BATCH] = take_oldest(merge, now_ns);
		if (taken % MERGE_BATCH == 0)
			sink(context, batch, MERGE_BATCH);
		if (taken % RELEASE_EVERY == 0)
			release_all(merge);
	}
	if (taken % MERGE_BATCH)
		sink(context, batch, taken % MERGE_BATCH);
	release_all(merge);
}

unsigned int merge_fill(const struct merge *merge)
{
	return merge->fill;
}

bool merge_is_empty(const struct merge *merge)
{
	for (size_t i = 0; i < merge->nr_sources; i++)
		if (!ring_is_empty(merge->sources[i].ring))
			return false;
	return true;
}

const struct merge_stats *merge_stats(const struct merge *merge, uint32_t family)
{
	return &merge->stats[family];
}

uint64_t merge_pending(const struct merge *merge, uint32_t family)
{
	uint64_t count = 0;

	for (size_t i = 0; i < merge->nr_sources; i++)
		if (merge->sources[i].family == family)
			count += ring_count(merge->sources[i].ring);
	return count;
}
