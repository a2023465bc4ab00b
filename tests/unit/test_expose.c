/* SPDX-License-Identifier: GPL-2.0-only */
/* Number formats, and a small table of metrics in both exposition formats, byte for byte. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "export/expose.h"
#include "export/view.h"

static void assert_text(struct text *text, const char *expected)
{
	text_char(text, '\0');
	assert_false(text->failed);
	assert_string_equal(text->data, expected);
	text_free(text);
}

static void test_u64(void **state)
{
	struct text text = { 0 };

	(void)state;
	text_u64(&text, 0);
	text_char(&text, ' ');
	text_u64(&text, 10);
	text_char(&text, ' ');
	text_u64(&text, UINT64_MAX);
	assert_text(&text, "0 10 18446744073709551615");
}

static void test_seconds(void **state)
{
	static const struct {
		uint64_t ns;
		const char *plain, *canonical;
	} cases[] = {
		{ 0, "0", "0.0" },
		{ 1, "0.000000001", "1e-09" },
		{ 16000, "0.000016", "1.6e-05" },
		{ 99999, "0.000099999", "9.9999e-05" },
		{ 100000, "0.0001", "0.0001" },
		{ 128000, "0.000128", "0.000128" },
		{ 500000000, "0.5", "0.5" },
		{ 1000000000, "1", "1.0" },
		{ 10000000000, "10", "10.0" },
		{ 67108864000, "67.108864", "67.108864" },
		{ 100000000000000, "100000", "100000.0" },
		{ 1000000000000000, "1000000", "1e+06" },
		{ 1250000000000000, "1250000", "1.25e+06" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct text text = { 0 };

		text_seconds(&text, cases[i].ns);
		assert_text(&text, cases[i].plain);
		text_canonical_seconds(&text, cases[i].ns);
		assert_text(&text, cases[i].canonical);
	}
}

static void test_rfc3339(void **state)
{
	struct text text = { 0 };

	(void)state;
	text_rfc3339(&text, 0);
	assert_text(&text, "1970-01-01T00:00:00.000000000Z");
	text_rfc3339(&text, 1709251199999999999ull);
	assert_text(&text, "2024-02-29T23:59:59.999999999Z");
}

static void test_utf8(void **state)
{
	(void)state;
	assert_int_equal(utf8_sequence(""), 0);
	assert_int_equal(utf8_sequence("a"), 1);
	assert_int_equal(utf8_sequence("\xC3\xA9"), 2);
	assert_int_equal(utf8_sequence("\xE2\x82\xAC"), 3);
	assert_int_equal(utf8_sequence("\xF0\x9F\x98\x80"), 4);
	/* alone, cut off, overlong, surrogate, beyond U+10FFFF */
	assert_int_equal(utf8_sequence("\x80"), 0);
	assert_int_equal(utf8_sequence("\xE2\x82"), 0);
	assert_int_equal(utf8_sequence("\xC0\x80"), 0);
	assert_int_equal(utf8_sequence("\xE0\x80\x80"), 0);
	assert_int_equal(utf8_sequence("\xED\xA0\x80"), 0);
	assert_int_equal(utf8_sequence("\xF4\x90\x80\x80"), 0);
}

static void test_grows_and_consumes(void **state)
{
	struct text text = { 0 };

	(void)state;
	for (int i = 0; i < 10000; i++)
		text_string(&text, "0123456789");
	assert_int_equal(text.length, 100000);
	text_consume(&text, 99995);
	assert_text(&text, "56789");
}

/* ---- a table of one of each ---- */

static void collect_things(struct exposition *e)
{
	expose_sample(e, (const char *const[]){ "a\"b", "c\\d\ne\xff" }, e->values[0]);
	expose_sample(e, (const char *const[]){ "", "ü" }, e->values[1]);
}

static void collect_age(struct exposition *e)
{
	expose_sample(e, NULL, 1500000000);
}

static void collect_facts(struct exposition *e)
{
	expose_sample(e, (const char *const[]){ "1" }, 1);
}

static uint64_t bound(size_t b)
{
	return 1000000000ull << b;
}

static void collect_histogram(struct exposition *e)
{
	static const uint64_t buckets[] = { 1, 0, 5 };

	expose_histogram(e, (const char *const[]){ "x" }, buckets, 3, bound, 30500000000);
}

static const struct metric table[] = {
	{ "t_things_total", METRIC_COUNTER, UNIT_NONE, "one,two", collect_things,
	  offsetof(struct export_view, events), "Things \"so\\called\"." },
	{ "t_age_seconds", METRIC_GAUGE, UNIT_SECONDS, "", collect_age, 0, "Age." },
	{ "t_build_info", METRIC_INFO, UNIT_NONE, "version", collect_facts, 0, "Facts." },
	{ "t_wait_seconds", METRIC_HISTOGRAM, UNIT_SECONDS, "role", collect_histogram, 0,
	  "Waits." },
};

static void render(enum expose_format format, struct text *out)
{
	struct export_view *view = view_new(0);

	assert_non_null(view);
	view->events = (struct events_stats){ .written = 7, .dropped = UINT64_MAX };
	expose(table, sizeof(table) / sizeof(table[0]), view, format, out);
	view_free(view);
}

static void test_text_format(void **state)
{
	struct text out = { 0 };

	(void)state;
	render(EXPOSE_TEXT, &out);
	assert_text(&out, "# HELP t_things_total Things \"so\\\\called\".\n"
			  "# TYPE t_things_total counter\n"
			  "t_things_total{one=\"a\\\"b\",two=\"c\\\\d\\ne\xEF\xBF\xBD\"} 7\n"
			  "t_things_total{one=\"\",two=\"ü\"} 18446744073709551615\n"
			  "# HELP t_age_seconds Age.\n"
			  "# TYPE t_age_seconds gauge\n"
			  "t_age_seconds 1.5\n"
			  "# HELP t_build_info Facts.\n"
			  "# TYPE t_build_info gauge\n"
			  "t_build_info{version=\"1\"} 1\n"
			  "# HELP t_wait_seconds Waits.\n"
			  "# TYPE t_wait_seconds histogram\n"
			  "t_wait_seconds_bucket{role=\"x\",le=\"1\"} 1\n"
			  "t_wait_seconds_bucket{role=\"x\",le=\"2\"} 1\n"
			  "t_wait_seconds_bucket{role=\"x\",le=\"+Inf\"} 6\n"
			  "t_wait_seconds_sum{role=\"x\"} 30.5\n"
			  "t_wait_seconds_count{role=\"x\"} 6\n");
}

static void test_openmetrics(void **state)
{
	struct text out = { 0 };

	(void)state;
	render(EXPOSE_OPENMETRICS, &out);
	assert_text(&out, "# TYPE t_things counter\n"
			  "# HELP t_things Things \\\"so\\\\called\\\".\n"
			  "t_things_total{one=\"a\\\"b\",two=\"c\\\\d\\ne\xEF\xBF\xBD\"} 7\n"
			  "t_things_total{one=\"\",two=\"ü\"} 18446744073709551615\n"
			  "# TYPE t_age_seconds gauge\n"
			  "# UNIT t_age_seconds seconds\n"
			  "# HELP t_age_seconds Age.\n"
			  "t_age_seconds 1.5\n"
			  "# TYPE t_build info\n"
			  "# HELP t_build Facts.\n"
			  "t_build_info{version=\"1\"} 1\n"
			  "# TYPE t_wait_seconds histogram\n"
			  "# UNIT t_wait_seconds seconds\n"
			  "# HELP t_wait_seconds Waits.\n"
			  "t_wait_seconds_bucket{role=\"x\",le=\"1.0\"} 1\n"
			  "t_wait_seconds_bucket{role=\"x\",le=\"2.0\"} 1\n"
			  "t_wait_seconds_bucket{role=\"x\",le=\"+Inf\"} 6\n"
			  "t_wait_seconds_sum{role=\"x\"} 30.5\n"
			  "t_wait_seconds_count{role=\"x\"} 6\n"
			  "# EOF\n");
}

static void test_content_types(void **state)
{
	(void)state;
	assert_string_equal(expose_content_type(EXPOSE_TEXT),
			    "text/plain; version=0.0.4; charset=utf-8");
	assert_string_equal(expose_content_type(EXPOSE_OPENMETRICS),
			    "application/openmetrics-text; version=1.0.0; charset=utf-8");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_u64),
		cmocka_unit_test(test_seconds),
		cmocka_unit_test(test_rfc3339),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_grows_and_consumes),
		cmocka_unit_test(test_text_format),
		cmocka_unit_test(test_openmetrics),
		cmocka_unit_test(test_content_types),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
