/* SPDX-License-Identifier: GPL-2.0-only */
/* Limits that were passed: for how long that is said, and how. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "export/degraded.h"
#include "util.h"

#define START_NS (1000 * NS_PER_SEC)

static void counters_that_grow(void **state)
{
	struct degraded degraded = { 0 };

	(void)state;
	degraded_count(&degraded, DEGRADED_FLOW_TABLE, 0, START_NS);
	assert_false(degraded_is(&degraded, DEGRADED_FLOW_TABLE, START_NS));
	degraded_count(&degraded, DEGRADED_FLOW_TABLE, 3, START_NS);
	degraded_count(&degraded, DEGRADED_FLOW_TABLE, 3, START_NS + 30 * NS_PER_SEC);
	assert_true(degraded_is(&degraded, DEGRADED_FLOW_TABLE, START_NS + DEGRADED_NS - 1));
	assert_false(degraded_is(&degraded, DEGRADED_FLOW_TABLE, START_NS + DEGRADED_NS));
	assert_false(degraded_is(&degraded, DEGRADED_EVENTS, START_NS));
	degraded_count(&degraded, DEGRADED_FLOW_TABLE, 4, START_NS + DEGRADED_NS);
	assert_true(degraded_is(&degraded, DEGRADED_FLOW_TABLE, START_NS + DEGRADED_NS));
}

static void states_that_hold(void **state)
{
	struct degraded degraded = { 0 };

	(void)state;
	for (int second = 0; second < 100; second++)
		degraded_hold(&degraded, DEGRADED_SAMPLING, true, START_NS + second * NS_PER_SEC);
	degraded_hold(&degraded, DEGRADED_SAMPLING, false, START_NS + 110 * NS_PER_SEC);
	assert_true(degraded_is(&degraded, DEGRADED_SAMPLING, START_NS + 158 * NS_PER_SEC));
	assert_false(degraded_is(&degraded, DEGRADED_SAMPLING, START_NS + 159 * NS_PER_SEC));
}

static void lines(void **state)
{
	struct degraded degraded = { 0 };
	struct text text = { 0 };

	(void)state;
	degraded_lines(&degraded, START_NS, &text);
	assert_int_equal(text.length, 0);
	degraded_hold(&degraded, DEGRADED_FLOW_TABLE, true, START_NS);
	/* another thread's clock may be read a little earlier */
	degraded_hold(&degraded, DEGRADED_EVENTS, true, START_NS + 9 * NS_PER_SEC);
	degraded_lines(&degraded, START_NS + 8 * NS_PER_SEC, &text);
	text_char(&text, '\0');
	assert_string_equal(text.data,
			    "degraded: flow_table: connections are evicted: see --flows.max; "
			    "last 8 s ago\n"
			    "degraded: events: lines of the event log are lost; last 0 s ago\n");
	text_free(&text);
}

static void labels(void **state)
{
	(void)state;
	for (int limit = 0; limit < DEGRADED_NR; limit++)
		assert_true(strlen(degraded_label(limit)) > 0);
	assert_string_equal(degraded_label(DEGRADED_RECORD_LOG), "record_log");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counters_that_grow),
		cmocka_unit_test(states_that_hold),
		cmocka_unit_test(lines),
		cmocka_unit_test(labels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
