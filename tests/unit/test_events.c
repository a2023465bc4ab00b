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

static void assert_line(const struct track_event *event, const struct listener_owner *listener,
			const char *expected)
{
	struct text out = { 0 };

	events_render(event, listener, OFFSET_NS, &out);
	text_char(&out, '\0');
	assert_string_equal(out.data, expected);
	text_free(&out);
}

#define PREFIX(event)                                                                              \
	"{\"event\":\"" event "\",\"schema\":1,\"time\":\"2026-01-01T00:00:00.123456789Z\","       \
	"\"mono_ns\":5000000000,\"local\":\"10.0.0.1:80\",\"remote\":\"[fd00::9]:4711\","          \
	"\"netns\":4026531840,\"role\":\"server\","

#define WORDS                                                                                      \
	"\"text\":\"the peer believes the connection is open; the accept queue had no room for "   \
	"it\",\"look_at\":\"why the application does not accept(); listen() backlog and "          \
	"somaxconn\","

#define DIVERGENCE                                                                                 \
	"\"id\":7,\"kind\":\"accept_queue_overflow\",\"class\":\"problem\","                       \
	"\"severity\":\"critical\",\"reason\":\"accept_queue_full\"," WORDS                        \
	"\"since\":\"2025-12-31T23:59:58.873456789Z\","                                            \
	"\"wire_state\":\"ESTABLISHED\",\"kernel_state\":\"NEW_SYN_RECV\","                        \
	"\"evidence\":{\"segment\":{\"time\":\"2025-12-31T23:59:58.873456789Z\",\"sent\":false,"   \
	"\"flags\":\"ACK\",\"seq\":1001,\"ack\":5001,\"len\":12},"                                 \
	"\"change\":{\"time\":\"2025-12-31T23:59:58.123456789Z\",\"from\":\"SYN_RECV\","           \
	"\"to\":\"CLOSE\",\"error\":\"ETIMEDOUT\",\"bits\":[\"orphan\"]},"                         \
	"\"look\":{\"time\":\"2026-01-01T00:00:00.123456789Z\",\"state\":\"NEW_SYN_RECV\","        \
	"\"owned\":false,\"backlog_bytes\":0,\"bits\":[\"final_ack_taken\"],\"queues\":{"          \
	"\"accept_length\":3,\"accept_limit\":2,\"syn_length\":1,\"drops\":4}},"                   \
	"\"drop_reason\":\"TCP_LISTEN_OVERFLOW\",\"repeats\":3},"

#define LISTENER                                                                                   \
	"\"listener\":\"0.0.0.0:80\","                                                             \
	"\"owner\":{\"pid\":17,\"command\":\"nginx\",\"cgroup_id\":99},"

#define NO_LISTENER "\"listener\":null,\"owner\":null,\"explains\":null}\n"

static void test_lines(void **state)
{
	struct connection_report report = fake_report();
	struct track_event event = fake_event(TRACK_DIVERGENCE_OPEN, &report);
	const struct listener_owner owner = fake_owner();

	(void)state;
	assert_line(&event, &owner,
		    PREFIX("divergence_open") DIVERGENCE LISTENER "\"explains\":null}\n");
	event.explains = 6;
	assert_line(&event, &owner,
		    PREFIX("divergence_open") DIVERGENCE LISTENER "\"explains\":6}\n");
	event.type = TRACK_DIVERGENCE_CLOSE;
	assert_line(&event, &owner,
		    PREFIX("divergence_close") DIVERGENCE LISTENER
		    "\"explained_as\":null,\"duration_seconds\":1.25}\n");
	event.explained_as = DIVERGENCE_SYN_UNSENT;
	assert_line(&event, &owner,
		    PREFIX("divergence_close") DIVERGENCE LISTENER
		    "\"explained_as\":\"syn_unsent\",\"duration_seconds\":1.25}\n");
	event.type = TRACK_CONNECTION;
	assert_line(&event, NULL,
		    PREFIX("connection") "\"local_path\":[\"LISTEN\",\"SYN_RECEIVED\","
					 "\"ESTABLISHED\"],\"remote_path\":[\"SYN_SENT\","
					 "\"ESTABLISHED\",\"FIN_WAIT_1\"],"
					 "\"kernel_path\":[\"LISTEN\",\"NEW_SYN_RECV\"],"
					 "\"opened\":\"2025-12-31T23:59:58.123456789Z\","
					 "\"closed\":\"2026-01-01T00:00:00.123456789Z\","
					 "\"divergences\":[\"accept_queue_overflow\"],"
					 "\"anomalies\":[],\"seen\":[\"syn\",\"synack\",\"fin\"],"
					 "\"observable\":true,\"why\":null,"
					 "\"ended\":\"remote_reset\"}\n");
}

static void test_what_is_not_known(void **state)
{
	const struct divergence_evidence nothing = { 0 };
	struct connection_report report = fake_report();
	struct track_event event = fake_event(TRACK_DIVERGENCE_OPEN, &report);
	struct listener_owner owner = fake_owner();

#define UNKNOWN                                                                                    \
	PREFIX("divergence_open")                                                                  \
	"\"id\":7,\"kind\":\"accept_queue_overflow\",\"class\":\"problem\","                       \
	"\"severity\":\"critical\",\"reason\":null," WORDS                                         \
	"\"since\":\"2025-12-31T23:59:58.873456789Z\","                                            \
	"\"wire_state\":\"ESTABLISHED\",\"kernel_state\":\"NONE\","                                \
	"\"evidence\":{\"segment\":null,\"change\":null,\"look\":null,\"drop_reason\":null,"       \
	"\"repeats\":0},"

	(void)state;
	report.kernel_state = KS_NONE;
	event.reason = NULL;
	event.evidence = &nothing;
	assert_line(&event, NULL, UNKNOWN "\"listener\":null,\"owner\":null,\"explains\":null}\n");
	owner.pid = 0; /* it listened before we came */
	assert_line(&event, &owner,
		    UNKNOWN "\"listener\":\"0.0.0.0:80\",\"owner\":null,\"explains\":null}\n");
}

/* A socket that is there: its variables, its owner, what waits in its backlog. */
static void test_look_at_a_full_socket(void **state)
{
	struct divergence_evidence evidence = {
		.segment = { .ts_ns = FAKE_MONO_NS, .seq = 9, .tcp_flags = TCPF_RST, .sent = true },
		.look = { .ts_ns = FAKE_MONO_NS,
			  .snapshot = { .state = KS_ESTABLISHED,
					.bits = SNAP_OWNED | SNAP_DONE,
					.backlog_bytes = 768,
					.vars = { 1, 2, 3, 4 } } },
	};
	struct connection_report report = fake_report();
	struct track_event event = fake_event(TRACK_DIVERGENCE_OPEN, &report);
	struct text out = { 0 };

	(void)state;
	event.evidence = &evidence;
	events_render(&event, NULL, OFFSET_NS, &out);
	evidence.look.snapshot.state = KS_TIME_WAIT;
	evidence.look.snapshot.substate = KS_FIN_WAIT2;
	evidence.look.snapshot.bits = 0;
	evidence.look.snapshot.backlog_bytes = 0;
	events_render(&event, NULL, OFFSET_NS, &out);
	evidence.look.snapshot.state = 0; /* no socket: its variables are nobody's */
	events_render(&event, NULL, OFFSET_NS, &out);
	text_char(&out, '\0');
	assert_non_null(strstr(
		out.data, "\"sent\":true,\"flags\":\"RST\",\"seq\":9,\"ack\":null,\"len\":0}"));
	assert_non_null(strstr(out.data,
			       "\"state\":\"ESTABLISHED\",\"owned\":true,\"backlog_bytes\":768,"
			       "\"bits\":[\"owned\",\"done\"],\"variables\":{\"rcv_nxt\":1,"
			       "\"snd_una\":2,\"snd_nxt\":3,\"write_seq\":4}}"));
	assert_non_null(strstr(out.data, "\"state\":\"TIME_WAIT\",\"substate\":\"FIN_WAIT2\","
					 "\"owned\":false,\"backlog_bytes\":0,\"bits\":[],"
					 "\"variables\":{\"rcv_nxt\":1,"));
	assert_non_null(strstr(out.data, "\"state\":\"NONE\",\"owned\":false,"
					 "\"backlog_bytes\":0,\"bits\":[]}"));
	text_free(&out);
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
	events_take(events, &event, NULL, OFFSET_NS);
	event.type = TRACK_CONNECTION; /* not asked for */
	events_take(events, &event, NULL, OFFSET_NS);
	events_flush(events);
	assert_int_equal(events_stats(events)->written, 1);
	assert_int_equal(events_stats(events)->dropped, 0);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0640);
	content = slurp(path);
	assert_string_equal(content, PREFIX("divergence_open") DIVERGENCE NO_LISTENER);
	free(content);
	events_free(events);

	/* Started again: appended, not begun anew. */
	settings.connections = true;
	events = new_events(&settings);
	events_take(events, &event, NULL, OFFSET_NS);
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
		events_take(events, &event, NULL, OFFSET_NS);
	events_flush(events);
	assert_int_equal(events_stats(events)->written, 10);
	assert_int_equal(events_stats(events)->dropped, 15);
	/* half a second later half of them; time that goes back gives nothing */
	event.ts_ns += 500000000;
	for (int i = 0; i < 25; i++)
		events_take(events, &event, NULL, OFFSET_NS);
	events_flush(events);
	assert_int_equal(events_stats(events)->written, 15);
	event.ts_ns -= 400000000;
	events_take(events, &event, NULL, OFFSET_NS);
	events_flush(events);
	assert_int_equal(events_stats(events)->written, 15);
	/* a pause saves up one second's worth, not more */
	event.ts_ns += 60000000000;
	for (int i = 0; i < 25; i++)
		events_take(events, &event, NULL, OFFSET_NS);
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
		events_take(events, &event, NULL, OFFSET_NS);
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
	events_take(events, &event, NULL, OFFSET_NS);
	close(reader);
	signal(SIGPIPE, SIG_IGN);
	events_flush(events);
	assert_int_equal(events_stats(events)->written, lines);
	assert_int_equal(events_stats(events)->written + events_stats(events)->dropped, 20001);
	events_free(events);
	unlink(fifo);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_what_is_not_known),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_bad_file),
		cmocka_unit_test(test_rate_limit),
		cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_look_at_a_full_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
