/* SPDX-License-Identifier: GPL-2.0-only */
/* What is said of the sampling: metrics, the status, the listeners' table, the event's line. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "export/api.h"
#include "export/listener_table.h"
#include "export/metrics.h"
#include "unit/fake_view.h"

#define OFFSET_NS (FAKE_WALL_NS - FAKE_MONO_NS)

static struct export_view *new_view(bool sampled)
{
	struct export_view *view = view_new(2);
	struct sampling_stats *sampling;

	assert_non_null(view);
	fake_snapshot(view);
	sampling = &view->capture.sampling;
	sampling->budget = sampling->share = 1000000;
	sampling->total = 2000000;
	if (sampled) {
		sampling->share = 250000;
		sampling->active = 2;
		sampling->nr_rows = 3;
		sampling->rows[0] = (struct sampling_row){
			.site = { FAKE_NETNS, 0, 80, 0 },
			.shift = 4,
			.counters = { .suppressed = { 500, 0, 7, 0, 30 }, .born = 6 },
		};
		sampling->rows[1].site = (struct sampling_site){ FAKE_NETNS, 2, 0, 0 };
		sampling->rows[1].shift = 1;
		sampling->rows[1].counters.suppressed[SAMPLING_RESET] = 9;
		sampling->rows[2].site = (struct sampling_site){ FAKE_NETNS, 77, 0, 0 }; /* gone */
		sampling->other.counters.suppressed[SAMPLING_DROP] = 3;
		sampling->other.counters.born = 1;
		view->tracker.sampling_raised = 5;
		view->tracker.sampling_lowered = 3;
		view->listeners[0].sampling_shift = 4;
	}
	fake_complete(view);
	return view;
}

static void assert_has(const struct text *out, const char *what)
{
	if (!strstr(out->data, what))
		fail_msg("nowhere: %s\nin: %s", what, out->data);
}

static void assert_lines(bool sampled, const char *const *lines)
{
	struct export_view *view = new_view(sampled);
	struct text out = { 0 };
	char line[300];

	metrics_render(view, EXPOSE_TEXT, &out);
	text_char(&out, '\0');
	for (; *lines; lines++) {
		snprintf(line, sizeof(line), "\ntcpwitness_%s\n", *lines);
		assert_has(&out, line);
	}
	text_free(&out);
	view_free(view);
}

#define SHIFT "sampling_shift{netns=\"host\","
#define LEFT_OUT "sampling_suppressed_records_total{netns=\"host\","

static void test_series_from_the_start(void **state)
{
	static const char *const lines[] = {
		SHIFT "port=\"\",interface=\"eth\\\"0\\\\\"} 0",
		"sampling_shift{netns=\"\",port=\"other\",interface=\"\"} 0",
		LEFT_OUT "port=\"\",interface=\"eth\\\"0\\\\\",record=\"segment\"} 0",
		"sampling_suppressed_records_total{netns=\"\",port=\"other\",interface=\"\","
		"record=\"state\"} 0",
		"sampling_sites 0",
		"sampling_budget 1000000",
		"sampling_total_budget 2000000",
		"sampling_share 1000000",
		"sampling_changes_total{direction=\"raise\"} 0",
		"sampling_suppressed_handshakes_total 0",
		"listener_sampling_shift{listener=\"10.0.0.1:80\",netns=\"host\"} 0",
		"listener_sampling_shift{listener=\"other\",netns=\"\"} 0",
		NULL,
	};

	(void)state;
	assert_lines(false, lines);
}

static void test_in_a_flood(void **state)
{
	static const char *const lines[] = {
		SHIFT "port=\"80\",interface=\"\"} 4",
		SHIFT "port=\"\",interface=\"eth\\\"0\\\\\"} 1",
		SHIFT "port=\"\",interface=\"77\"} 0",
		LEFT_OUT "port=\"80\",interface=\"\",record=\"segment\"} 500",
		LEFT_OUT "port=\"80\",interface=\"\",record=\"retransmit\"} 7",
		LEFT_OUT "port=\"80\",interface=\"\",record=\"state\"} 30",
		LEFT_OUT "port=\"\",interface=\"eth\\\"0\\\\\",record=\"reset\"} 9",
		"sampling_suppressed_records_total{netns=\"\",port=\"other\",interface=\"\","
		"record=\"drop\"} 3",
		"sampling_sites 2",
		"sampling_share 250000",
		"sampling_changes_total{direction=\"raise\"} 5",
		"sampling_changes_total{direction=\"lower\"} 3",
		"sampling_suppressed_handshakes_total 7",
		"listener_sampling_shift{listener=\"10.0.0.1:80\",netns=\"host\"} 4",
		"listener_sampling_shift{listener=\"10.0.0.2:80\",netns=\"host\"} 0",
		NULL,
	};

	(void)state;
	assert_lines(true, lines);
}

/* One series for one interface, sampled or not. */
static void test_interface_once(void **state)
{
	struct export_view *view = new_view(true);
	struct text out = { 0 };
	const char *at;
	int count = 0;

	(void)state;
	metrics_render(view, EXPOSE_TEXT, &out);
	text_char(&out, '\0');
	for (at = out.data; (at = strstr(at, SHIFT "port=\"\",interface=\"eth")); at++)
		count++;
	assert_int_equal(count, 1);
	text_free(&out);
	view_free(view);
}

static void test_status(void **state)
{
	struct export_view *view = new_view(true);
	struct text out = { 0 };

	(void)state;
	api_status(view, &out);
	text_char(&out, '\0');
	assert_has(&out,
		   "\"sampling\":{\"budget\":1000000,\"total_budget\":2000000,\"share\":250000,"
		   "\"active\":2,\"sites\":["
		   "{\"netns\":\"host\",\"port\":80,\"shift\":4,\"suppressed\":{"
		   "\"segment\":500,\"drop\":0,\"retransmit\":7,\"reset\":0,\"state\":30},"
		   "\"suppressed_handshakes\":6},"
		   "{\"netns\":\"host\",\"interface_index\":2,\"shift\":1,");
	text_free(&out);
	view_free(view);
}

static void test_listeners(void **state)
{
	struct export_view *view = new_view(true);
	struct text out = { 0 };

	(void)state;
	api_listeners(view, &out);
	text_char(&out, '\0');
	assert_has(&out, "\"sampling_shift\":4,");
	text_free(&out);
	listener_table(view, LISTENERS_BY_SYNS, false, &out);
	text_char(&out, '\0');
	assert_has(&out, "followed");
	assert_has(&out, "  1/16  ");
	assert_has(&out, "  all  ");
	text_free(&out);
	view_free(view);
}

static void assert_event(const struct rec_sampling *change, const char *tail)
{
	const struct track_event event = { .type = TRACK_SAMPLING,
					   .ts_ns = FAKE_MONO_NS,
					   .sampling = change };
	char line[400];
	struct text out = { 0 };

	snprintf(line, sizeof(line),
		 "{\"event\":\"sampling\",\"schema\":1,\"time\":\"2026-01-01T00:00:00.123456789Z\","
		 "\"mono_ns\":5000000000,\"netns\":4026531840,%s}\n",
		 tail);
	events_render(&event, NULL, OFFSET_NS, &out);
	text_char(&out, '\0');
	assert_string_equal(out.data, line);
	text_free(&out);
}

static void test_event(void **state)
{
	struct rec_sampling change = {
		.hdr = { .netns = FAKE_NETNS }, .port = 80, .from = 0, .to = 4, .offered = 90000
	};

	(void)state;
	assert_event(&change, "\"port\":80,\"interface_index\":null,\"from_shift\":0,"
			      "\"to_shift\":4,\"offered_records\":90000");
	change.port = 0;
	change.ifindex = 2;
	assert_event(&change, "\"port\":null,\"interface_index\":2,\"from_shift\":0,"
			      "\"to_shift\":4,\"offered_records\":90000");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_series_from_the_start),
		cmocka_unit_test(test_in_a_flood),
		cmocka_unit_test(test_interface_once),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_listeners),
		cmocka_unit_test(test_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
