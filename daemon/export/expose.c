/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: exposition formats
 *
 * The two formats differ in five ways, and all five are in this file:
 *  - OpenMetrics names a counter's family without _total and an info's without _info; text 0.0.4
 *    uses the sample's name and knows no type "info" (a gauge stands in).
 *  - OpenMetrics has UNIT lines.
 *  - In OpenMetrics `le` is a canonical float: 1.0, not 1.
 *  - OpenMetrics escapes quotes in HELP, text does not.
 *  - OpenMetrics ends with # EOF.
 * Label values that are not UTF-8 would make Prometheus drop the whole scrape (an interface may
 * be named with any bytes): they become U+FFFD.
 */
#include "export/expose.h"

#include <stdbool.h>
#include <string.h>

static const struct type_facts {
	const char *text, *openmetrics; /* TYPE line */
	const char *suffix;		/* of the sample's name, over the family's */
} types[METRIC_TYPE_NR] = {
	[METRIC_COUNTER] = { "counter", "counter", "_total" },
	[METRIC_GAUGE] = { "gauge", "gauge", "" },
	[METRIC_HISTOGRAM] = { "histogram", "histogram", "" },
	[METRIC_INFO] = { "gauge", "info", "_info" },
};

static const char *const units[METRIC_UNIT_NR] = {
	[UNIT_NONE] = NULL,
	[UNIT_SECONDS] = "seconds",
	[UNIT_BYTES] = "bytes",
};

const char *expose_content_type(enum expose_format format)
{
	static const char *const content_types[EXPOSE_NR] = {
		[EXPOSE_TEXT] = "text/plain; version=0.0.4; charset=utf-8",
		[EXPOSE_OPENMETRICS] = "application/openmetrics-text; version=1.0.0; charset=utf-8",
	};

	return content_types[format];
}

static void append_escaped(struct text *out, const char *string, bool quotes)
{
	for (;;) {
		size_t length = plain_run(string);

		text_bytes(out, string, length);
		string += length;
		if (!*string)
			return;
		length = utf8_sequence(string);
		if (*string == '\n')
			text_string(out, "\\n");
		else if (*string == '\\')
			text_string(out, "\\\\");
		else if (*string == '"' && quotes)
			text_string(out, "\\\"");
		else if (length)
			text_bytes(out, string, length);
		else
			text_string(out, UTF8_REPLACEMENT);
		string += length ? length : 1;
	}
}

/* "# KEYWORD family text" */
static void append_descriptor(struct exposition *exposition, const char *keyword, const char *text)
{
	struct text *out = exposition->out;
	bool openmetrics = exposition->format == EXPOSE_OPENMETRICS;
	const char *name = exposition->metric->name;

	text_string(out, "# ");
	text_string(out, keyword);
	text_char(out, ' ');
	text_bytes(out, name, openmetrics ? exposition->family_length : strlen(name));
	text_char(out, ' ');
	append_escaped(out, text, openmetrics);
	text_char(out, '\n');
}

static void append_family(struct exposition *exposition)
{
	const struct metric *metric = exposition->metric;
	const struct type_facts *type = &types[metric->type];

	if (exposition->format == EXPOSE_OPENMETRICS) {
		append_descriptor(exposition, "TYPE", type->openmetrics);
		if (units[metric->unit])
			append_descriptor(exposition, "UNIT", units[metric->unit]);
		append_descriptor(exposition, "HELP", metric->help);
	} else {
		append_descriptor(exposition, "HELP", metric->help);
		append_descriptor(exposition, "TYPE", type->text);
	}
	metric->collect(exposition);
}

void expose(const struct metric *metrics, size_t nr_metrics, const struct export_view *view,
	    enum expose_format format, struct text *out)
{
	for (size_t i = 0; i < nr_metrics; i++) {
		const struct metric *metric = &metrics[i];
		struct exposition exposition = {
			.view = view,
			.values = (const void *)((const char *)view + metric->offset),
			.metric = metric,
			.format = format,
			.out = out,
			.family_length = strlen(metric->name) - strlen(types[metric->type].suffix),
		};

		append_family(&exposition);
	}
	if (format == EXPOSE_OPENMETRICS)
		text_string(out, "# EOF\n");
}

/* The sample's name and its labels, open for one more; returns what that one starts with. */
static char append_series(struct exposition *exposition, const char *suffix,
			  const char *const *values)
{
	const char *name = exposition->metric->labels;
	struct text *out = exposition->out;
	char before = '{';

	text_string(out, exposition->metric->name);
	text_string(out, suffix);
	while (*name) {
		size_t length = strcspn(name, ",");

		text_char(out, before);
		text_bytes(out, name, length);
		text_string(out, "=\"");
		append_escaped(out, *values++, true);
		text_char(out, '"');
		before = ',';
		name += length + (name[length] == ',');
	}
	return before;
}

static void append_value(struct exposition *exposition, bool seconds, uint64_t value, char before)
{
	struct text *out = exposition->out;

	text_string(out, before == '{' ? " " : "} ");
	if (seconds)
		text_seconds(out, value);
	else
		text_u64(out, value);
	text_char(out, '\n');
}

void expose_sample(struct exposition *exposition, const char *const *values, uint64_t value)
{
	char before = append_series(exposition, "", values);

	append_value(exposition, exposition->metric->unit == UNIT_SECONDS, value, before);
}

void expose_signed(struct exposition *exposition, const char *const *values, int64_t value)
{
	char before = append_series(exposition, "", values);

	text_string(exposition->out, before == '{' ? " " : "} ");
	if (value < 0)
		text_char(exposition->out, '-');
	text_u64(exposition->out, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
	text_char(exposition->out, '\n');
}

static void append_bound(struct exposition *exposition, uint64_t ns)
{
	if (exposition->format == EXPOSE_OPENMETRICS)
		text_canonical_seconds(exposition->out, ns);
	else
		text_seconds(exposition->out, ns);
}

void expose_histogram(struct exposition *exposition, const char *const *values,
		      const uint64_t *buckets, size_t nr_buckets, uint64_t (*bound_ns)(size_t b),
		      uint64_t sum_ns)
{
	struct text *out = exposition->out;
	uint64_t count = 0;

	for (size_t b = 0; b < nr_buckets; b++) {
		count += buckets[b];
		text_char(out, append_series(exposition, "_bucket", values));
		text_string(out, "le=\"");
		if (b + 1 < nr_buckets)
			append_bound(exposition, bound_ns(b));
		else
			text_string(out, "+Inf");
		text_char(out, '"');
		append_value(exposition, false, count, ',');
	}
	append_value(exposition, true, sum_ns, append_series(exposition, "_sum", values));
	append_value(exposition, false, count, append_series(exposition, "_count", values));
}
