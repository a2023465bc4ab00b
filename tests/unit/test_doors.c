/* SPDX-License-Identifier: GPL-2.0-only */
/* A server in trouble: a data thread that does not answer, too many requests, a stop in the
 * midst of one; addresses and socket files that are taken. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <sys/stat.h>

#include "export/guests.h"
#include "unit/live_server.h"
#include "util.h"

static void test_deaf_data_thread(void **state)
{
	struct fixture *fixture = *state;
	struct http_settings settings = default_settings(fixture);

	settings.answers.patience_ms = 100;
	start(fixture, &settings);
	set_deaf(fixture, true);
	assert_reply(get(fixture, "/-/healthy", "Host: a\r\n"), 503, "did not answer");
	assert_reply(get(fixture, "/metrics", "Host: a\r\n"), 503, "did not answer");
	assert_reply(request(connect_unix(fixture->socket_path), "GET", "/api/v1/connections",
			     "Host: x\r\n"),
		     503, NULL);
	assert_reply(get(fixture, "/", "Host: a\r\n"), 200, "tcpwitness");
	set_deaf(fixture, false);
	assert_reply(get(fixture, "/metrics", "Host: a\r\n"), 200, "tcpwitness_ready 1\n");
	stop(fixture);
}

/* The first request waits for the data thread; the second finds no room, the page does. */
static void test_max_requests(void **state)
{
	struct fixture *fixture = *state;
	struct http_settings settings = default_settings(fixture);
	int waiting;

	settings.answers.max_requests = 1;
	start(fixture, &settings);
	set_deaf(fixture, true);
	waiting = connect_v4("127.0.0.1", http_port(fixture->http, 0));
	send_request(waiting, "GET", "/metrics", "Host: a\r\n");
	await_letter(fixture);
	assert_reply(request(connect_v6(http_port(fixture->http, 1)), "GET", "/metrics",
			     "Host: a\r\n"),
		     503, "too many requests");
	assert_reply(request(connect_v6(http_port(fixture->http, 1)), "GET", "/", "Host: a\r\n"),
		     200, "The data thread does not answer");
	set_deaf(fixture, false);
	assert_reply(receive(waiting), 200, "tcpwitness_http_requests_refused_total");
	/* the room is free again */
	assert_reply(request(connect_v6(http_port(fixture->http, 1)), "GET", "/metrics",
			     "Host: a\r\n"),
		     200, "tcpwitness_");
	stop(fixture);
}

/* More connections of one client than it may have are closed at once, and counted; another's are
 * not, and when one of its own ends there is room again. */
static void test_greedy_client(void **state)
{
	struct fixture *fixture = *state;
	struct http_settings settings = default_settings(fixture);
	int fds[GUESTS_PER_CLIENT + 4];
	uint16_t port;
	char byte;

	settings.idle_seconds = 120;
	start(fixture, &settings);
	port = http_port(fixture->http, 0);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = connect_v4("127.0.0.5", port);
	for (size_t i = GUESTS_PER_CLIENT; i < ARRAY_SIZE(fds); i++)
		assert_true(recv(fds[i], &byte, 1, 0) <= 0);
	assert_reply(request(connect_v4("127.0.0.6", port), "GET", "/metrics", "Host: a\r\n"), 200,
		     "\ntcpwitness_http_connections_refused_total 4\n");
	for (size_t i = 0; i < GUESTS_PER_CLIENT; i++) {
		send_request(fds[i], "GET", "/-/ready", "Host: a\r\n");
		assert_reply(receive(fds[i]), 200, "ready");
	}
	assert_reply(request(connect_v4("127.0.0.5", port), "GET", "/-/ready", "Host: a\r\n"), 200,
		     "ready");
	for (size_t i = GUESTS_PER_CLIENT; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	stop(fixture);
}

/* A client waits for the data thread, which decides to stop: nobody waits for anybody. */
static void test_stop_while_waiting(void **state)
{
	struct fixture *fixture = *state;
	struct http_settings settings = default_settings(fixture);
	int waiting;

	start(fixture, &settings);
	set_deaf(fixture, true);
	waiting = connect_v4("127.0.0.1", http_port(fixture->http, 0));
	send_request(waiting, "GET", "/metrics", "Host: a\r\n");
	await_letter(fixture);
	stop(fixture);
	free(receive(waiting).data);
}

static void test_telemetry_path(void **state)
{
	struct fixture *fixture = *state;
	struct http_settings settings = default_settings(fixture);

	settings.answers.telemetry_path = "/x/y";
	start(fixture, &settings);
	assert_reply(get(fixture, "/x/y", "Host: a\r\n"), 200, "tcpwitness_");
	assert_reply(get(fixture, "/metrics", "Host: a\r\n"), 404, NULL);
	assert_reply(get(fixture, "/", "Host: a\r\n"), 200, "href=\"/x/y\"");
	stop(fixture);
}

static void assert_refused(const struct http_settings *settings, int err, const char *part)
{
	struct mailbox *mailbox = mailbox_new();
	char error[HTTP_ERROR_MAX] = "";
	struct http *http = NULL;

	assert_int_equal(http_start(settings, &fake_ops, mailbox, error, &http), err);
	assert_null(http);
	assert_non_null(strstr(error, part));
	assert_null(strchr(error, '\n'));
	mailbox_free(mailbox);
}

static void test_bad_settings(void **state)
{
	struct fixture *fixture = *state;
	struct http_settings settings = default_settings(fixture), second;
	char address[32];
	const char *const taken[] = { address };
	const char *const nonsense[] = { "nonsense" };

	start(fixture, &settings);
	second = settings;
	snprintf(address, sizeof(address), "127.0.0.1:%u", http_port(fixture->http, 0));
	second.listen_addresses = taken;
	second.nr_listen_addresses = 1;
	second.api_socket = NULL;
	assert_refused(&second, -EADDRINUSE, address);
	second.listen_addresses = nonsense;
	assert_refused(&second, -EINVAL, "nonsense");
	second = settings;
	second.answers.telemetry_path = "metrics";
	assert_refused(&second, -EINVAL, "metrics");
	/* somebody answers on the Unix socket: it stays his, and answers on */
	second = settings;
	assert_refused(&second, -EADDRINUSE, fixture->socket_path);
	assert_reply(request(connect_unix(fixture->socket_path), "GET", "/-/ready", "Host: x\r\n"),
		     200, "ready");
	stop(fixture);
}

static void test_unix_socket_file(void **state)
{
	struct fixture *fixture = *state;
	struct http_settings settings = default_settings(fixture);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct stat status;
	int stale;

	start(fixture, &settings);
	assert_int_equal(stat(fixture->socket_path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0660);
	stop(fixture);
	assert_int_equal(access(fixture->socket_path, F_OK), -1);

	/* what a kill -9 leaves behind is replaced */
	stale = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	strcpy(address.sun_path, fixture->socket_path);
	assert_int_equal(bind(stale, (struct sockaddr *)&address, sizeof(address)), 0);
	close(stale);
	start(fixture, &settings);
	assert_reply(request(connect_unix(fixture->socket_path), "GET", "/-/ready", "Host: x\r\n"),
		     200, "ready");
	/* one that took the path over in the meantime is not removed */
	assert_int_equal(unlink(fixture->socket_path), 0);
	stale = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(stale, (struct sockaddr *)&address, sizeof(address)), 0);
	stop(fixture);
	assert_int_equal(access(fixture->socket_path, F_OK), 0);
	close(stale);
	unlink(fixture->socket_path);

	/* a plain file is not ours to replace */
	fclose(fopen(fixture->socket_path, "w"));
	assert_refused(&settings, -EEXIST, fixture->socket_path);
	assert_int_equal(unlink(fixture->socket_path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_deaf_data_thread, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(test_max_requests, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(test_greedy_client, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(test_stop_while_waiting, make_folder,
						remove_folder),
		cmocka_unit_test_setup_teardown(test_telemetry_path, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(test_bad_settings, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(test_unix_socket_file, make_folder, remove_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
