/* SPDX-License-Identifier: GPL-2.0-only */
/* The metric table: its names keep the conventions, every legal series is there from the start,
 * and promtool and a strict OpenMetrics checker find nothing wrong. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "export/metrics.h"
#include "unit/fake_view.h"

static struct export_view *new_view(bool filled)
{
	struct export_view *view = view_new(2);

	assert_non_null(view);
	if (filled)
		fake_snapshot(view);
	else
		fake_interfaces(&view->capture);
	fake_complete(view);
	return view;
}

/* The scrape of a view, NUL-terminated behind its length. */
static struct text scrape(struct export_view *view, enum expose_format format)
{
	struct text out = { 0 };

	metrics_render(view, format, &out);
	text_char(&out, '\0');
	assert_false(out.failed);
	out.length--;
	view_free(view);
	return out;
}

/* A line of its own, whole. */
static bool has_line(const struct text *out, const char *line)
{
	char pattern[512];

	snprintf(pattern, sizeof(pattern), "\n%s\n", line);
	return strstr(out->data, pattern) != NULL;
}

#define assert_line(out, ...)                                                                      \
	do {                                                                                       \
		char line_[400];                                                                   \
		snprintf(line_, sizeof(line_), __VA_ARGS__);                                       \
		if (!has_line(out, line_))                                                         \
			fail_msg("no line %s", line_);                                             \
	} while (0)

static bool ends_with(const char *name, const char *suffix)
{
	size_t length = strlen(name), tail = strlen(suffix);

	return length >= tail && !strcmp(name + length - tail, suffix);
}

static void test_names(void **state)
{
	size_t count;
	const struct metric *metrics = metrics_table(&count);

	(void)state;
	assert_true(count > 40);
	for (size_t i = 0; i < count; i++) {
		const struct metric *m = &metrics[i];

		assert_true(!strncmp(m->name, "tcpwitness_", 11) ||
			    !strncmp(m->name, "process_", 8));
		assert_int_equal(m->type == METRIC_COUNTER, ends_with(m->name, "_total"));
		assert_int_equal(m->type == METRIC_INFO, ends_with(m->name, "_info"));
		assert_int_equal(m->unit == UNIT_SECONDS, strstr(m->name, "_seconds") != NULL);
		assert_int_equal(m->unit == UNIT_BYTES, ends_with(m->name, "_bytes"));
		assert_true(ends_with(m->help, "."));
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(m->name, metrics[j].name);
	}
}

/* What the issue and its dashboards count on, by name and label. */
static void test_every_series_from_the_start(void **state)
{
	static const char *const kinds[] = { "syn", "synack", "ack", "fin", "rst", "data" };
	static const char *const lines[] = {
		"transitions_total{view=\"wire\",from=\"SYN_SENT\",to=\"ESTABLISHED\"} 0",
		"transitions_total{view=\"kernel\",from=\"FIN_WAIT_1\",to=\"CLOSING\"} 0",
		"handshake_duration_seconds_bucket{role=\"client\",le=\"0.000016\"} 0",
		"handshake_duration_seconds_bucket{role=\"server\",le=\"+Inf\"} 0",
		"handshake_duration_seconds_count{role=\"server\"} 0",
		"connections_opened_total{role=\"client\"} 0",
		"connections_closed_total{role=\"server\",how=\"remote_reset\"} 0",
		"resets_received_total 0",
		"resets_sent_total 0",
		"divergences_total{kind=\"accept_queue_overflow\",class=\"problem\"} 0",
		"divergences_open{kind=\"deferred_accept\",class=\"expected\"} 0",
		"comparisons_total 0",
		"unobservable_connections_total{reason=\"untapped\"} 0",
		"retransmitted_segments_total{kind=\"synack\"} 0",
		"dropped_segments_total{reason=\"NETFILTER_DROP\"} 0",
		"dropped_segments_total{reason=\"other\"} 0",
		"anomalies_total{anomaly=\"syn_in_window\"} 0",
		"ignored_segments_total{reason=\"truncated\"} 0",
		"connect_failures_total{reason=\"unreachable\"} 0",
		"records_attempted_total{ring=\"segment\"} 0",
		"records_decoded_total{ring=\"kernel\"} 0",
		"records_rejected_total{ring=\"kernel\",reason=\"version\"} 0",
		"records_pending{ring=\"segment\"} 0",
		"last_record_timestamp_seconds 0",
		"ring_lag_seconds{ring=\"segment\"} 0",
		"flow_table_entries 0",
		"flow_table_limit 0",
		"flow_table_evictions_total 0",
		"scrape_duration_seconds 0.00025",
	};
	struct text out = scrape(new_view(false), EXPOSE_TEXT);

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		assert_line(&out, "tcpwitness_received_segments_total{kind=\"%s\"} 0", kinds[i]);
		assert_line(&out, "tcpwitness_sent_segments_total{kind=\"%s\"} 0", kinds[i]);
	}
	for (int s = FSM_CLOSED + 1; s < FSM_NR_STATES; s++) {
		assert_line(&out,
			    "tcpwitness_connections{state=\"%s\",view=\"wire\",netns=\"host\"} 0",
			    fsm_state_name(s));
		assert_line(&out,
			    "tcpwitness_connections{state=\"%s\",view=\"kernel\",netns=\"host\"} 0",
			    fsm_state_name(s));
	}
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_line(&out, "tcpwitness_%s", lines[i]);
	assert_null(strstr(out.data, "state=\"CLOSED\""));
	assert_null(strstr(out.data, "from=\"LAST_ACK\",to=\"LISTEN\""));
	text_free(&out);
}

static void test_listener_series_from_the_start(void **state)
{
	static const char *const lines[] = {
		"listener_syn_queue_length{listener=\"other\",netns=\"\"} 0",
		"listener_accept_queue_length{listener=\"other\",netns=\"\"} 0",
		"listener_accept_queue_limit{listener=\"other\",netns=\"\"} 0",
		"listener_syns_total{listener=\"other\",netns=\"\"} 0",
		"listener_drops_total{listener=\"other\",netns=\"\",reason=\"syn_queue_full\"} 0",
		"listener_syn_queue_limit{listener=\"other\",netns=\"\"} 0",
		"listener_syn_queue_length_max{listener=\"other\",netns=\"\"} 0",
		"listener_accept_queue_length_max{listener=\"other\",netns=\"\"} 0",
		"listener_synacks_total{listener=\"other\",netns=\"\"} 0",
		"listener_retransmitted_synacks_total{listener=\"other\",netns=\"\"} 0",
		"listener_handshakes_total{listener=\"other\",netns=\"\"} 0",
		"listener_deferred_acks_total{listener=\"other\",netns=\"\"} 0",
		"listener_cookies_total{listener=\"other\",netns=\"\",result=\"failed\"} 0",
		"listener_drops_total{listener=\"other\",netns=\"\",reason=\"other\"} 0",
		"listener_syn_queue_fill_ratio_bucket{listener=\"other\",netns=\"\",le=\"0\"} 0",
		"listener_accept_queue_fill_ratio_bucket{listener=\"other\",netns=\"\",le=\"1\"} 0",
		"listener_accept_queue_fill_ratio_sum{listener=\"other\",netns=\"\"} 0",
		"listener_handshake_duration_seconds_count{listener=\"other\",netns=\"\"} 0",
		"listener_drops_unexplained{netns=\"host\",counter=\"TCPReqQFullDoCookies\"} 0",
		"listen_sysctl{netns=\"host\",sysctl=\"tcp_synack_retries\"} 0",
		"syn_queue_test_info{full=\"not_observed\"} 1",
	};
	struct text out = scrape(new_view(false), EXPOSE_TEXT);

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_line(&out, "tcpwitness_%s", lines[i]);
	text_free(&out);
}

static void test_values(void **state)
{
	static const char *const lines[] = {
		"connections{state=\"ESTABLISHED\",view=\"wire\",netns=\"host\"} 12",
		"transitions_total{view=\"wire\",from=\"LISTEN\",to=\"SYN_RECEIVED\"} 13",
		/* not legal, but it happened */
		"transitions_total{view=\"kernel\",from=\"LAST_ACK\",to=\"LISTEN\"} 1",
		"handshake_duration_seconds_bucket{role=\"client\",le=\"0.000064\"} 2",
		"handshake_duration_seconds_bucket{role=\"client\",le=\"0.000128\"} 3",
		"handshake_duration_seconds_bucket{role=\"client\",le=\"67.108864\"} 3",
		"handshake_duration_seconds_bucket{role=\"client\",le=\"+Inf\"} 4",
		"handshake_duration_seconds_sum{role=\"client\"} 70.123",
		"handshake_duration_seconds_count{role=\"client\"} 4",
		"received_segments_total{kind=\"syn\"} 11",
		"resets_received_total 3",
		"resets_sent_total 4",
		"ignored_segments_total{reason=\"transit\"} 5",
		"dropped_segments_total{reason=\"NETFILTER_DROP\"} 6",
		"dropped_segments_total{reason=\"NO_SOCKET\"} 0",
		"dropped_segments_total{reason=\"IP_CSUM\"} 1",
		/* reason 200 has no name, the last slot holds those beyond the core range */
		"dropped_segments_total{reason=\"other\"} 5",
		"listeners 5",
		"listener_syns_total{listener=\"10.0.0.1:80\",netns=\"host\"} 100",
		"listener_syns_total{listener=\"10.0.0.2:80\",netns=\"host\"} 101",
		"listener_syns_total{listener=\"other\",netns=\"\"} 1000",
		"listener_drops_total{listener=\"10.0.0.1:80\",netns=\"host\","
		"reason=\"final_ack_accept_queue_full\"} 8",
		"listener_drops_unexplained{netns=\"host\",counter=\"ListenDrops\"} -2",
		"listener_knob_info{listener=\"10.0.0.1:80\",netns=\"host\",queue=\"accept\","
		"knob=\"listen_backlog\"} 1",
		"records_attempted_total{ring=\"segment\"} 10",
		"records_rejected_total{ring=\"segment\",reason=\"length\"} 1",
		"records_lost_total{ring=\"segment\",cpu=\"0\"} 0",
		"records_lost_total{ring=\"kernel\",cpu=\"0\"} 0",
		"records_lost_total{ring=\"segment\",cpu=\"3\"} 2",
		"ring_lag_seconds{ring=\"kernel\"} 0.0015",
		"last_record_timestamp_seconds 1767225599.123456789",
		"interface_info{interface=\"eth\\\"0\\\\\",hook=\"ingress\",mode=\"xdp_native\",netns=\"host\"} 1",
		"interface_info{interface=\"bad\xEF\xBF\xBD\",hook=\"egress\",mode=\"tcx\",netns=\"host\"} 1",
		"program_attached{program=\"witness_state\",interface=\"\",netns=\"\"} 1",
		"program_run_seconds_total{program=\"witness_xdp\"} 1.23456789",
		"program_runs_total{program=\"witness_xdp\"} 42",
		"build_info{version=\"1.0\\\"beta\\\"\",revision=\"abc\",cc=\"gcc\","
		"clang=\"clang\",libbpf=\"1.1\"} 1",
		"ready 1",
	};
	struct text out = scrape(new_view(true), EXPOSE_TEXT);

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_line(&out, "tcpwitness_%s", lines[i]);
	assert_line(&out, "process_cpu_seconds_total 1.23");
	/* known to the kernel, but neither common nor seen */
	assert_null(strstr(out.data, "OTHERHOST"));
	text_free(&out);
}

static void assert_lines(bool filled, const char *const *lines, size_t count)
{
	struct text out = scrape(new_view(filled), EXPOSE_TEXT);

	for (size_t i = 0; i < count; i++)
		assert_line(&out, "tcpwitness_%s", lines[i]);
	text_free(&out);
}

static void test_the_comparison(void **state)
{
	static const char *const from_the_start[] = {
		"divergence_duration_seconds_bucket{kind=\"killed\",class=\"expected\",le=\"+Inf\"} 0",
		"divergences_untold_total{kind=\"reset_ignored\",class=\"expected\"} 0",
		"transients_total{cause=\"in_flight\"} 0",
		"connections_stuck{condition=\"no_progress\"} 0",
		"sockets_closed_total{cause=\"graceful\"} 0",
	};
#define DURATIONS(what) "divergence_duration_seconds_" what
#define SYN_DROPPED "kind=\"syn_dropped\",class=\"problem\""
	static const char *const lines[] = {
		"divergences_total{kind=\"syn_dropped\",class=\"problem\"} 9",
		"divergences_open{kind=\"syn_dropped\",class=\"problem\"} 1",
		DURATIONS("bucket{" SYN_DROPPED ",le=\"0.262144\"} 2"),
		DURATIONS("bucket{" SYN_DROPPED ",le=\"1.048576\"} 3"),
		DURATIONS("bucket{" SYN_DROPPED ",le=\"4.194304\"} 3"),
		DURATIONS("bucket{" SYN_DROPPED ",le=\"16.777216\"} 3"),
		DURATIONS("bucket{" SYN_DROPPED ",le=\"67.108864\"} 5"),
		DURATIONS("bucket{" SYN_DROPPED ",le=\"+Inf\"} 8"),
		DURATIONS("sum{" SYN_DROPPED "} 400"),
		DURATIONS("count{" SYN_DROPPED "} 8"),
		"divergences_untold_total{kind=\"reset_ignored\",class=\"expected\"} 15",
		"transients_total{cause=\"owner_busy\"} 16",
		"connections_stuck{condition=\"close_wait_leak\"} 17",
		"sockets_closed_total{cause=\"memory\"} 18",
	};
#undef SYN_DROPPED
#undef DURATIONS

	(void)state;
	assert_lines(false, from_the_start, sizeof(from_the_start) / sizeof(from_the_start[0]));
	assert_lines(true, lines, sizeof(lines) / sizeof(lines[0]));
}

static void check_formats(bool filled)
{
	struct text out = scrape(new_view(filled), EXPOSE_TEXT);

	assert_int_equal(run_checker("promtool check metrics", &out), 0);
	text_free(&out);
	out = scrape(new_view(filled), EXPOSE_OPENMETRICS);
	assert_int_equal(run_checker("python3 tests/net/openmetrics.py", &out), 0);
	text_free(&out);
}

static void test_checkers_agree(void **state)
{
	(void)state;
	check_formats(false);
	check_formats(true);
}

static void test_process(void **state)
{
	struct process_line line;
	struct process_stats stats;

	(void)state;
	assert_int_equal(process_parse_stat("1 (a) b) c) S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 "
					    "2 0 1234 4096000 77 18446744073709551615",
					    &line),
			 0);
	assert_int_equal(line.start_ticks, 1234);
	assert_int_equal(line.virtual_bytes, 4096000);
	assert_int_equal(line.resident_pages, 77);
	assert_int_not_equal(process_parse_stat("1 (a) S 1", &line), 0);
	assert_int_not_equal(process_parse_stat("nonsense", &line), 0);

	assert_int_equal(process_read(&stats), 0);
	assert_true(stats.open_fds >= 3);
	assert_true(stats.max_fds >= stats.open_fds);
	assert_true(stats.resident_bytes > 100000 && stats.resident_bytes <= stats.virtual_bytes);
	/* after 2020, so at least it is an epoch */
	assert_true(stats.start_time_ns > 1577836800000000000ull);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_every_series_from_the_start),
		cmocka_unit_test(test_listener_series_from_the_start),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_the_comparison),
		cmocka_unit_test(test_checkers_agree),
		cmocka_unit_test(test_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
