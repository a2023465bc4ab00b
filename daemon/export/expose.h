/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Exposition: a table of metric families to Prometheus text 0.0.4 or OpenMetrics 1.0. Pure: a
 * family's collector reads the view it is given and hands its samples over, in a fixed order.
 */
#ifndef TCPWITNESS_EXPOSE_H
#define TCPWITNESS_EXPOSE_H

#include <stddef.h>
#include <stdint.h>

#include "export/text.h"

enum expose_format {
	EXPOSE_TEXT, /* text/plain; version=0.0.4 */
	EXPOSE_OPENMETRICS,
	EXPOSE_NR
};

const char *expose_content_type(enum expose_format format);

enum metric_type {
	METRIC_COUNTER, /* name ends in _total */
	METRIC_GAUGE,
	METRIC_HISTOGRAM,
	METRIC_INFO, /* name ends in _info, value 1: facts as labels */
	METRIC_TYPE_NR
};

/* The name ends in it (before _total). Values of UNIT_SECONDS are handed over in nanoseconds. */
enum metric_unit {
	UNIT_NONE,
	UNIT_SECONDS,
	UNIT_BYTES,
	METRIC_UNIT_NR
};

struct export_view;
struct exposition;

struct metric {
	const char *name; /* of the samples, as text 0.0.4 has it */
	enum metric_type type;
	enum metric_unit unit;
	const char *labels; /* names, comma-separated; "" for none */
	void (*collect)(struct exposition *exposition);
	size_t offset; /* in the view, of the uint64_t the collector walks, where it walks some */
	const char *help;
};

/* A family being written. Collectors read the first two and hand over samples. */
struct exposition {
	const struct export_view *view;
	const uint64_t *values; /* what the metric's offset names */
	const struct metric *metric;
	enum expose_format format;
	size_t family_length; /* of the metric's name, without the suffix its type adds */
	struct text *out;
};

/* Appends every family, samples and all. */
void expose(const struct metric *metrics, size_t nr_metrics, const struct export_view *view,
	    enum expose_format format, struct text *out);

/* For collectors. `values` are of the family's labels, in their order; NULL where it has none. */
void expose_sample(struct exposition *exposition, const char *const *values, uint64_t value);

/* A gauge that may be below zero. */
void expose_signed(struct exposition *exposition, const char *const *values, int64_t value);

/* `buckets` counts per bucket, not cumulative; the last has no upper bound. Bound b is
 * bound_ns(b), and what lies on it belongs below it. */
void expose_histogram(struct exposition *exposition, const char *const *values,
		      const uint64_t *buckets, size_t nr_buckets, uint64_t (*bound_ns)(size_t b),
		      uint64_t sum_ns);

#endif
