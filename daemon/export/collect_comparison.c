/* SPDX-License-Identifier: GPL-2.0-only */
/* Metrics of the comparison: what collectors.h has of it. */
#include "export/collectors.h"

void collect_divergences(struct exposition *e)
{
	for (int kind = 0; kind < DIVERGENCE_NR; kind++)
		sample2(e, divergence_label(kind), divergence_class_label(divergence_class(kind)),
			e->values[kind]);
}

/*
 * A few of the bounds that are kept, so that the series stay few: 262 ms, 1.05 s, 4.2 s, 16.8 s,
 * 67 s. Below the settle time are the momentary ones, beyond the last those that lasted until
 * somebody acted.
 */
#define WIDE_FIRST 14
#define WIDE_STEP 2
#define WIDE_BUCKETS 6

static uint64_t duration_bound_ns(size_t b)
{
	return DURATION_BUCKET_NS(WIDE_FIRST + WIDE_STEP * b);
}

_Static_assert(WIDE_FIRST + WIDE_STEP * (WIDE_BUCKETS - 2) == DURATION_BUCKETS - 2,
	       "the last bound is the last that is kept");

void collect_divergence_durations(struct exposition *e)
{
	for (int kind = 0; kind < DIVERGENCE_NR; kind++) {
		const struct duration_histogram *kept =
			&e->view->tracker.divergence_durations[kind];
		const char *const labels[] = { divergence_label(kind),
					       divergence_class_label(divergence_class(kind)) };
		uint64_t buckets[WIDE_BUCKETS] = { 0 };
		size_t bucket = 0;

		for (size_t b = 0; b < DURATION_BUCKETS; b++) {
			if (b > WIDE_FIRST + WIDE_STEP * bucket)
				bucket++;
			buckets[bucket] += kept->buckets[b];
		}
		expose_histogram(e, labels, buckets, WIDE_BUCKETS, duration_bound_ns, kept->sum_ns);
	}
}

void collect_transients(struct exposition *e)
{
	for (int transient = 0; transient < TRANSIENT_NR; transient++)
		sample1(e, transient_label(transient), e->values[transient]);
}

void collect_conditions(struct exposition *e)
{
	for (int condition = 0; condition < CONDITION_NR; condition++)
		sample1(e, condition_label(condition), e->values[condition]);
}

void collect_close_causes(struct exposition *e)
{
	for (int cause = 0; cause < CLOSE_CAUSE_NR; cause++)
		sample1(e, close_cause_label(cause), e->values[cause]);
}

void collect_unobservable(struct exposition *e)
{
	for (int reason = 0; reason < UNOBSERVABLE_NR; reason++)
		sample1(e, unobservable_label(reason), e->values[reason]);
}

void collect_sweep_corrections(struct exposition *e)
{
	for (int correction = 0; correction < CORRECTION_NR; correction++)
		sample1(e, sweep_correction_label(correction), e->values[correction]);
}
