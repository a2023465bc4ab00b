/* SPDX-License-Identifier: GPL-2.0-only */
/* The event log: each line's exact text, its rate limit, its file, and a reader that is slow. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "export/events.h"
#include "unit/fake_view.h"

#define OFFSET_NS (FAKE_WALL_NS - FAKE_MONO_NS)

static struct track_event fake_event(enum track_event_type type,
				     const struct connection_report *report)
{
	return (struct track_event){
		.type = type,
		.ts_ns = FAKE_MONO_NS,
		.kind = DIVERGENCE_ACCEPT_QUEUE_OVERFLOW,
		.since_ns = FAKE_MONO_NS - 1250000000,
		.reason = "accept_queue_full",
		.connection = report,
	};
}

static void assert_line(const struct track_event *event, const char *expected)
{
	struct text out = { 0 };

	events_render(event, OFFSET_NS, &out);
	text_char(&out, '\0');
	assert_string_equal(out.data, expected);
	text_free(&out);
}

#define PREFIX(event)                                                                              \
	"{\"event\":\"" event "\",\"schema\":1,\"time\":\"2026-01-01T00:00:00.123456789Z\","       \
	"\"mono_ns\":5000000000,\"local\":\"10.0.0.1:80\",\"remote\":\"[fd00::9]:4711\","          \
	"\"netns\":4026531840,\"role\":\"server\","

#define DIVERGENCE                                                                                 \
	"\"kind\":\"accept_queue_overflow\",\"class\":\"problem\","                                \
	"\"reason\":\"accept_queue_full\",\"since\":\"2025-12-31T23:59:58.873456789Z\","           \
	"\"wire_state\":\"ESTABLISHED\",\"kernel_state\":\"NEW_SYN_RECV\""

static void test_lines(void **state)
{
	struct connection_report report = fake_report();
	struct track_event event = fake_event(TRACK_DIVERGENCE_OPEN, &report);

	(void)state;
	assert_line(&event, PREFIX("divergence_open") DIVERGENCE "}\n");
	event.type = TRACK_DIVERGENCE_CLOSE;
	assert_line(&event, PREFIX("divergence_close") DIVERGENCE ",\"duration_seconds\":1.25}\n");
	event.type = TRACK_CONNECTION;
	assert_line(&event,
		    PREFIX("connection") "\"local_path\":[\"LISTEN\",\"SYN_RECEIVED\","
					 "\"ESTABLISHED\"],\"remote_path\":[\"SYN_SENT\","
					 "\"ESTABLISHED\",\"FIN_WAIT_1\"],"
					 "\"kernel_path\":[\"LISTEN\",\"NEW_SYN_RECV\"],"
					 "\"opened\":\"2025-12-31T23:59:58.123456789Z\","
					 "\"closed\":\"2026-01-01T00:00:00.123456789Z\","
					 "\"divergences\":[\"accept_queue_overflow\"],"
					 "\"anomalies\":[],\"observable\":true,\"why\":null,"
					 "\"ended\":\"remote_reset\"}\n");
}

static void test_what_is_not_known(void **state)
{
	struct connection_report report = fake_report();
	struct track_event event = fake_event(TRACK_DIVERGENCE_OPEN, &report);

	(void)state;
	report.kernel_state = KS_NONE;
	event.reason = NULL;
	assert_line(&event, PREFIX("divergence_open") "\"kind\":\"accept_queue_overflow\","
						      "\"class\":\"problem\",\"reason\":null,"
						      "\"since\":\"2025-12-31T23:59:58."
						      "873456789Z\",\"wire_state\":"
						      "\"ESTABLISHED\",\"kernel_state\":"
						      "\"NONE\"}\n");
}

static struct events *new_events(const struct events_settings *settings)
{
	struct events *events;

	assert_int_equal(events_new(settings, &events), 0);
	return events;
}

/* What the file at `path` holds; the caller frees it. */
static char *slurp(const char *path)
{
	FILE *file = fopen(path, "r");
	char *content = calloc(1, 1 << 20);

	assert_non_null(file);
	assert_non_null(content);
	assert_true(fread(content, 1, (1 << 20) - 1, file) > 0);
	fclose(file);
	return content;
}

static size_t count_lines(const char *content)
{
	size_t lines = 0;

	for (; *content; content++)
		lines += *content == '\n';
	return lines;
}

static void test_file(void **state)
{
	char folder[] = "/tmp/test_events.XXXXXX", path[64];
	struct connection_report report = fake_report();
	struct track_event event = fake_event(TRACK_DIVERGENCE_OPEN, &report);
	struct events_settings settings = { .path = path };
	struct events *events;
	struct stat status;
	char *content;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/log", folder);
	events = new_events(&settings);
	events_take(events, &event, OFFSET_NS);
	event.type = TRACK_CONNECTION; /* not asked for */
	events_take(events, &event, OFFSET_NS);
	events_flush(events);
	assert_int_equal(events_stats(events)->written, 1);
	assert_int_equal(events_stats(events)->dropped, 0);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0640);
	content = slurp(path);
	assert_string_equal(content, PREFIX("divergence_open") DIVERGENCE "}\n");
	free(content);
	events_free(events);

	/* Started again: appended, not begun anew. */
	settings.connections = true;
	events = new_events(&settings);
	events_take(events, &event, OFFSET_NS);
	events_free(events);
	content = slurp(path);
	assert_int_equal(count_lines(content), 2);
	free(content);
	unlink(path);
	rmdir(folder);
}

static void test_bad_file(void **state)
{
	struct events_settings settings = { .path = "/nonexistent/log" };
	struct events *events = NULL;
	char fifo[] = "/tmp/test_events_fifo.XXXXXX";

	(void)state;
	assert_int_equal(events_new(&settings, &events), -ENOENT);
	/* a FIFO nobody reads is an error at once, not a daemon that hangs */
	close(mkstemp(fifo));
	unlink(fifo);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	settings.path = fifo;
	assert_int_equal(events_new(&settings, &events), -ENXIO);
	assert_null(events);
	unlink(fifo);
}

static void test_rate_limit(void **state)
{
	struct connection_report report = fake_report();
	struct track_event event = fake_event(TRACK_DIVERGENCE_CLOSE, &report);
	struct events_settings settings = { .path = "/dev/null", .divergences_rate = 10 };
	struct events *events = new_events(&settings);

	(void)state;
	for (int i = 0; i < 25; i++)
		events_take(events, &event, OFFSET_NS);
	events_flush(events);
	assert_int_equal(events_stats(events)->written, 10);
	assert_int_equal(events_stats(events)->dropped, 15);
	/* half a second later half of them; time that goes back gives nothing */
	event.ts_ns += 500000000;
	for (int i = 0; i < 25; i++)
		events_take(events, &event, OFFSET_NS);
	events_flush(events);
	assert_int_equal(events_stats(events)->written, 15);
	event.ts_ns -= 400000000;
	events_take(events, &event, OFFSET_NS);
	events_flush(events);
	assert_int_equal(events_stats(events)->written, 15);
	/* a pause saves up one second's worth, not more */
	event.ts_ns += 60000000000;
	for (int i = 0; i < 25; i++)
		events_take(events, &event, OFFSET_NS);
	events_flush(events);
	assert_int_equal(events_stats(events)->written, 25);
	assert_int_equal(events_stats(events)->dropped, 51);
	events_free(events);
}

/* A FIFO whose reader does not read: flushing must return, memory must have an end, and every
 * line is either read whole or counted as dropped. */
static void test_slow_reader(void **state)
{
	char fifo[] = "/tmp/test_events_fifo.XXXXXX";
	struct connection_report report = fake_report();
	struct track_event event = fake_event(TRACK_DIVERGENCE_CLOSE, &report);
	struct events_settings settings = { .path = fifo };
	struct events *events;
	uint64_t lines = 0;
	char buffer[4096], last = '\n';
	int reader;

	(void)state;
	close(mkstemp(fifo));
	unlink(fifo);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	reader = open(fifo, O_RDONLY | O_NONBLOCK);
	assert_true(reader >= 0);
	events = new_events(&settings);
	for (int i = 0; i < 20000; i++) {
		events_take(events, &event, OFFSET_NS);
		events_flush(events);
	}
	assert_true(events_stats(events)->dropped > 0);
	for (;;) {
		ssize_t count = read(reader, buffer, sizeof(buffer));

		if (count <= 0) {
			events_flush(events);
			count = read(reader, buffer, sizeof(buffer));
		}
		if (count <= 0)
			break;
		for (ssize_t i = 0; i < count; i++)
			lines += buffer[i] == '\n';
		last = buffer[count - 1];
	}
	assert_int_equal(lines, events_stats(events)->written);
	assert_int_equal(events_stats(events)->written + events_stats(events)->dropped, 20000);
	assert_int_equal(last, '\n');

	/* The reader goes: what waits is lost and said so. */
	events_take(events, &event, OFFSET_NS);
	close(reader);
	signal(SIGPIPE, SIG_IGN);
	events_flush(events);
	assert_int_equal(events_stats(events)->written, lines);
	assert_int_equal(events_stats(events)->written + events_stats(events)->dropped, 20001);
	events_free(events);
	unlink(fifo);
}

static void test_open_list(void **state)
{
	struct connection_report report = fake_report();
	struct track_event event = fake_event(TRACK_DIVERGENCE_OPEN, &report);
	struct events_settings settings = { 0 };
	struct events *events = new_events(&settings);
	struct open_divergence rows[4];
	size_t filled;

	(void)state;
	assert_int_equal(events_list_open(events, rows, 4, &filled), 0);
	assert_int_equal(filled, 0);
	for (uint16_t port = 1; port <= 3; port++) {
		report.key.remote_port = port;
		events_take(events, &event, OFFSET_NS);
	}
	event.kind = DIVERGENCE_SILENT_CLOSE; /* another kind, the same connection */
	event.reason = NULL;
	events_take(events, &event, OFFSET_NS);
	assert_int_equal(events_list_open(events, rows, 3, &filled), 4);
	assert_int_equal(filled, 3);

	event.type = TRACK_DIVERGENCE_CLOSE;
	event.kind = DIVERGENCE_ACCEPT_QUEUE_OVERFLOW;
	report.key.remote_port = 1;
	events_take(events, &event, OFFSET_NS);
	report.key.remote_port = 3;
	events_take(events, &event, OFFSET_NS);
	assert_int_equal(events_list_open(events, rows, 4, &filled), 2);
	assert_int_equal(filled, 2);
	for (size_t i = 0; i < filled; i++) {
		bool silent = rows[i].kind == DIVERGENCE_SILENT_CLOSE;

		assert_int_equal(rows[i].connection.key.remote_port, silent ? 3 : 2);
		assert_string_equal(rows[i].reason, silent ? "" : "accept_queue_full");
	}
	events_free(events);
}

static void test_open_list_is_bounded(void **state)
{
	struct connection_report report = fake_report();
	struct track_event event = fake_event(TRACK_DIVERGENCE_OPEN, &report);
	struct events_settings settings = { 0 };
	struct events *events = new_events(&settings);
	struct open_divergence row;
	size_t filled;

	(void)state;
	for (uint32_t i = 0; i < 2 * EVENTS_OPEN_MAX; i++) {
		report.key.netns = i;
		events_take(events, &event, OFFSET_NS);
	}
	assert_int_equal(events_list_open(events, &row, 1, &filled), 2 * EVENTS_OPEN_MAX);
	event.type = TRACK_DIVERGENCE_CLOSE;
	for (uint32_t i = 0; i < 2 * EVENTS_OPEN_MAX; i++) {
		report.key.netns = i;
		events_take(events, &event, OFFSET_NS);
	}
	assert_int_equal(events_list_open(events, &row, 1, &filled), 0);
	assert_int_equal(filled, 0);
	events_free(events);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),	   cmocka_unit_test(test_what_is_not_known),
		cmocka_unit_test(test_file),	   cmocka_unit_test(test_bad_file),
		cmocka_unit_test(test_rate_limit), cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_open_list),  cmocka_unit_test(test_open_list_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
