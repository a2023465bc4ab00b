/* SPDX-License-Identifier: GPL-2.0-only */
/* A live server on loopback and on a Unix socket, before a data thread made for the test. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <zlib.h>

#include "export/http.h"
#include "unit/fake_view.h"

#define CONNECTIONS 2500

/* ---- the data thread ---- */

struct fixture {
	struct mailbox *mailbox;
	struct http *http;
	pthread_t thread;
	int stop_fd;
	_Atomic bool ready;
	_Atomic bool deaf, is_deaf; /* does not serve the mailbox: the wish, the fact */
	char folder[32], socket_path[64];
};

static void snapshot(void *context, struct export_view *view)
{
	(void)context;
	fake_snapshot(view);
}

static size_t list(void *context, size_t *cursor, size_t max,
		   void (*each)(void *, const struct connection_report *), void *each_context)
{
	size_t count = 0;

	(void)context;
	for (; *cursor < CONNECTIONS && count < max; count++, (*cursor)++) {
		struct connection_report report = fake_report();

		report.key.remote_port = (uint16_t)*cursor;
		each(each_context, &report);
	}
	if (*cursor >= CONNECTIONS)
		*cursor = 0;
	return count;
}

static size_t divergences(void *context, struct open_divergence *rows, size_t max,
			  size_t *ret_filled)
{
	(void)context;
	assert_true(max > 0);
	rows[0] = (struct open_divergence){ .kind = DIVERGENCE_SYN_DROPPED,
					    .connection = fake_report() };
	*ret_filled = 1;
	return 1;
}

static bool is_ready(void *context)
{
	struct fixture *fixture = context;

	return fixture->ready;
}

static void *data_thread(void *argument)
{
	struct fixture *fixture = argument;

	for (;;) {
		struct pollfd fds[2] = {
			{ .fd = fixture->stop_fd, .events = POLLIN },
			{ .fd = mailbox_fd(fixture->mailbox), .events = POLLIN },
		};

		fixture->is_deaf = fixture->deaf;
		poll(fds, fixture->is_deaf ? 1 : 2, 10);
		if (fds[0].revents)
			return NULL;
		if (fds[1].revents && !fixture->is_deaf)
			mailbox_serve(fixture->mailbox);
	}
}

static const char *const two_addresses[] = { "127.0.0.1:0", "[::1]:0" };

static struct http_settings default_settings(const struct fixture *fixture)
{
	return (struct http_settings){
		.listen_addresses = two_addresses,
		.nr_listen_addresses = 2,
		.api_socket = fixture->socket_path,
		.idle_seconds = 1,
		.answers = { .telemetry_path = "/metrics",
			     .listeners_max = 10,
			     .max_requests = 40,
			     .patience_ms = 20000,
			     .build = fake_build },
	};
}

static const struct export_ops fake_ops = {
	.snapshot = snapshot,
	.list = list,
	.divergences = divergences,
	.ready = is_ready,
	.drop_reason = fake_drop_reason,
};

static void start(struct fixture *fixture, const struct http_settings *settings)
{
	char error[HTTP_ERROR_MAX];
	struct export_ops ops = fake_ops;

	ops.context = fixture;
	fixture->mailbox = mailbox_new();
	assert_non_null(fixture->mailbox);
	if (http_start(settings, &ops, fixture->mailbox, error, &fixture->http))
		fail_msg("%s", error);
	fixture->stop_fd = eventfd(0, EFD_CLOEXEC);
	assert_int_equal(pthread_create(&fixture->thread, NULL, data_thread, fixture), 0);
}

static void set_deaf(struct fixture *fixture, bool deaf)
{
	fixture->deaf = deaf;
	while (fixture->is_deaf != deaf)
		poll(NULL, 0, 1);
}

/* A request has reached the data thread's door. */
static void await_letter(const struct fixture *fixture)
{
	struct pollfd letters = { .fd = mailbox_fd(fixture->mailbox), .events = POLLIN };

	assert_int_equal(poll(&letters, 1, 10000), 1);
}

static void stop(struct fixture *fixture)
{
	eventfd_write(fixture->stop_fd, 1);
	pthread_join(fixture->thread, NULL);
	http_stop(fixture->http);
	mailbox_free(fixture->mailbox);
	close(fixture->stop_fd);
}

static int make_folder(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	strcpy(fixture->folder, "/tmp/test_http.XXXXXX");
	if (!mkdtemp(fixture->folder))
		return -1;
	snprintf(fixture->socket_path, sizeof(fixture->socket_path), "%s/run/api.sock",
		 fixture->folder);
	fixture->ready = true;
	*state = fixture;
	return 0;
}

static int remove_folder(void **state)
{
	struct fixture *fixture = *state;
	char run[64];

	snprintf(run, sizeof(run), "%s/run", fixture->folder);
	rmdir(run);
	/* fails if a test left a socket behind */
	assert_int_equal(rmdir(fixture->folder), 0);
	free(fixture);
	return 0;
}

static int setup(void **state)
{
	struct http_settings settings;
	struct fixture *fixture;

	if (make_folder(state))
		return -1;
	fixture = *state;
	settings = default_settings(fixture);
	start(fixture, &settings);
	return 0;
}

static int teardown(void **state)
{
	stop(*state);
	return remove_folder(state);
}

/* ---- the client ---- */

static int connect_v4(const char *source, uint16_t port)
{
	struct sockaddr_in from = { .sin_family = AF_INET }, to = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, source, &from.sin_addr);
	inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
	to.sin_port = htons(port);
	assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static int connect_v6(uint16_t port)
{
	struct sockaddr_in6 to = { .sin6_family = AF_INET6,
				   .sin6_addr = IN6ADDR_LOOPBACK_INIT,
				   .sin6_port = htons(port) };
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static int connect_unix(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(to.sun_path, path);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

struct reply {
	int status; /* 0: cut off without one */
	char *data; /* headers and body, NUL-terminated */
	char *body;
	size_t body_length;
};

static void send_request(int fd, const char *method, const char *path, const char *headers)
{
	char request[1024];
	int length = snprintf(request, sizeof(request),
			      "%s %s HTTP/1.1\r\nConnection: close\r\n%s\r\n", method, path,
			      headers);

	assert_int_equal(send(fd, request, (size_t)length, MSG_NOSIGNAL), length);
}

static struct reply receive(int fd)
{
	struct reply reply = { .data = calloc(1, 4 << 20) };
	size_t length = 0;
	ssize_t count;

	assert_non_null(reply.data);
	while ((count = recv(fd, reply.data + length, (4 << 20) - 1 - length, 0)) > 0)
		length += (size_t)count;
	close(fd);
	sscanf(reply.data, "HTTP/1.1 %d", &reply.status);
	reply.body = strstr(reply.data, "\r\n\r\n");
	reply.body = reply.body ? reply.body + 4 : reply.data + length;
	reply.body_length = length - (size_t)(reply.body - reply.data);
	return reply;
}

static struct reply request(int fd, const char *method, const char *path, const char *headers)
{
	send_request(fd, method, path, headers);
	return receive(fd);
}

static struct reply get(const struct fixture *fixture, const char *path, const char *headers)
{
	return request(connect_v4("127.0.0.1", http_port(fixture->http, 0)), "GET", path, headers);
}

static bool has_header(const struct reply *reply, const char *line)
{
	char pattern[256];
	const char *at;

	snprintf(pattern, sizeof(pattern), "\r\n%s\r\n", line);
	at = strstr(reply->data, pattern);
	return at && at < reply->body;
}

static void assert_reply(struct reply reply, int status, const char *part)
{
	if (reply.status != status || (part && !strstr(reply.body, part)))
		fail_msg("expected %d with %s, got %s", status, part ? part : "(nothing)",
			 reply.data);
	free(reply.data);
}

/* ---- the tests ---- */

static void test_metrics(void **state)
{
	struct reply reply = get(*state, "/metrics", "Host: anything\r\n");

	assert_true(has_header(&reply, "Content-Type: text/plain; version=0.0.4; charset=utf-8"));
	assert_null(strstr(reply.body, "# EOF"));
	assert_reply(reply, 200, "tcpwitness_listener_syns_total{listener=\"10.0.0.1:80\"");

	reply = get(*state, "/metrics",
		    "Host: a\r\nAccept: application/openmetrics-text;version=1.0.0,*/*;q=0.1\r\n");
	assert_true(has_header(&reply, "Content-Type: application/openmetrics-text; "
				       "version=1.0.0; charset=utf-8"));
	assert_string_equal(reply.body + reply.body_length - 6, "# EOF\n");
	assert_reply(reply, 200, "# TYPE tcpwitness_divergences counter\n");
}

static void test_gzip(void **state)
{
	struct reply plain = get(*state, "/metrics", "Host: a\r\n");
	struct reply packed = get(*state, "/metrics", "Host: a\r\nAccept-Encoding: gzip\r\n");
	char *unpacked = calloc(1, 1 << 20);
	z_stream stream = { .next_in = (unsigned char *)packed.body,
			    .avail_in = (unsigned int)packed.body_length,
			    .next_out = (unsigned char *)unpacked,
			    .avail_out = (1 << 20) - 1 };

	assert_false(has_header(&plain, "Content-Encoding: gzip"));
	assert_true(has_header(&packed, "Content-Encoding: gzip"));
	assert_true(packed.body_length * 3 < plain.body_length);
	assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
	assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
	inflateEnd(&stream);
	assert_non_null(strstr(unpacked, "tcpwitness_connections{state=\"ESTABLISHED\","
					 "view=\"wire\"} 12\n"));
	free(unpacked);
	free(plain.data);
	free(packed.data);
}

static void test_head(void **state)
{
	struct fixture *fixture = *state;
	struct reply reply = request(connect_v4("127.0.0.1", http_port(fixture->http, 0)), "HEAD",
				     "/metrics", "Host: a\r\n");

	assert_true(has_header(&reply, "Content-Type: text/plain; version=0.0.4; charset=utf-8"));
	assert_non_null(strstr(reply.data, "\r\nContent-Length: "));
	assert_null(strstr(reply.data, "\r\nContent-Length: 0\r\n"));
	assert_int_equal(reply.body_length, 0);
	assert_reply(reply, 200, NULL);
}

static void test_paths_and_methods(void **state)
{
	static const char *const methods[] = { "POST", "PUT", "DELETE", "OPTIONS", "PATCH" };
	struct fixture *fixture = *state;

	assert_reply(get(fixture, "/", "Host: a\r\n"), 200, "href=\"/metrics\"");
	assert_reply(get(fixture, "/nothing", "Host: a\r\n"), 404, NULL);
	assert_reply(get(fixture, "/metrics/", "Host: a\r\n"), 404, NULL);
	assert_reply(get(fixture, "/api/v1/", "Host: a\r\n"), 404, NULL);
	assert_reply(get(fixture, "/metrics?x=1", "Host: a\r\n"), 200, "tcpwitness_");
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		int fd = connect_v4("127.0.0.1", http_port(fixture->http, 0));
		struct reply reply =
			request(fd, methods[i], "/metrics", "Host: a\r\nContent-Length: 0\r\n");

		assert_true(has_header(&reply, "Allow: GET, HEAD"));
		assert_reply(reply, 405, NULL);
	}
	/* a GET with a body, which means nothing */
	{
		int fd = connect_v4("127.0.0.1", http_port(fixture->http, 0));

		send_request(fd, "GET", "/-/healthy", "Host: a\r\nContent-Length: 3\r\n");
		assert_int_equal(send(fd, "abc", 3, MSG_NOSIGNAL), 3);
		assert_reply(receive(fd), 200, "healthy");
	}
}

static void test_health(void **state)
{
	struct fixture *fixture = *state;

	assert_reply(get(fixture, "/-/healthy", "Host: a\r\n"), 200, "healthy");
	assert_reply(get(fixture, "/-/ready", "Host: a\r\n"), 200, "ready");
	fixture->ready = false;
	assert_reply(get(fixture, "/-/healthy", "Host: a\r\n"), 200, "healthy");
	assert_reply(get(fixture, "/-/ready", "Host: a\r\n"), 503, "not ready");
}

static void test_ipv6(void **state)
{
	struct fixture *fixture = *state;
	uint16_t port = http_port(fixture->http, 1);
	char headers[64];

	assert_reply(request(connect_v6(port), "GET", "/metrics", "Host: a\r\n"), 200,
		     "tcpwitness_");
	snprintf(headers, sizeof(headers), "Host: [::1]:%u\r\n", port);
	assert_reply(request(connect_v6(port), "GET", "/api/v1/status", headers), 200,
		     "\"schema\":1");
	/* the other address's port is not this one's */
	snprintf(headers, sizeof(headers), "Host: [::1]:%u\r\n", http_port(fixture->http, 0));
	assert_reply(request(connect_v6(port), "GET", "/api/v1/status", headers), 403, NULL);
}

static void test_api_is_for_this_host(void **state)
{
	static const char *const paths[] = { "/api/v1/status", "/api/v1/connections",
					     "/api/v1/listeners", "/api/v1/divergences" };
	static const char *const parts[] = { "\"flow_table\"", "\"connections\":[{",
					     "\"listener\":\"10.0.0.1:80\"",
					     "\"kind\":\"syn_dropped\"" };
	struct fixture *fixture = *state;
	char headers[64];

	snprintf(headers, sizeof(headers), "Host: localhost:%u\r\n", http_port(fixture->http, 0));
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct reply reply;

		/* DNS rebinding: the peer is loopback, the name is not */
		assert_reply(get(fixture, paths[i], "Host: evil.example\r\n"), 403, "error");
		reply = get(fixture, paths[i], headers);
		assert_true(has_header(&reply, "Content-Type: application/json"));
		assert_true(has_header(&reply, "Cache-Control: no-store"));
		assert_reply(reply, 200, parts[i]);
		/* the file system guards the Unix socket: any name will do */
		assert_reply(request(connect_unix(fixture->socket_path), "GET", paths[i],
				     "Host: x\r\n"),
			     200, parts[i]);
	}
	assert_reply(get(fixture, "/metrics", "Host: a\r\n"), 200,
		     "tcpwitness_http_requests_forbidden_total 4\n");
}

static size_t count(const char *haystack, const char *needle)
{
	size_t found = 0;

	for (; (haystack = strstr(haystack, needle)); haystack++)
		found++;
	return found;
}

static void test_pages_of_connections(void **state)
{
	struct fixture *fixture = *state;
	char path[128] = "/api/v1/connections";
	size_t total = 0, pages = 0;
	struct reply reply;

	for (;;) {
		unsigned long next;
		const char *cursor;

		reply = request(connect_unix(fixture->socket_path), "GET", path, "Host: x\r\n");
		assert_int_equal(reply.status, 200);
		total += count(reply.body, "\"remote\":");
		pages++;
		cursor = strstr(reply.body, "\"next_cursor\":");
		assert_non_null(cursor);
		next = strtoul(cursor + strlen("\"next_cursor\":"), NULL, 10);
		free(reply.data);
		if (!next)
			break;
		snprintf(path, sizeof(path), "/api/v1/connections?cursor=%lu", next);
	}
	assert_int_equal(total, CONNECTIONS);
	assert_int_equal(pages, 3);
	reply = request(connect_unix(fixture->socket_path), "GET",
			"/api/v1/connections?limit=7&cursor=100", "Host: x\r\n");
	assert_int_equal(count(reply.body, "\"remote\":"), 7);
	assert_reply(reply, 200, "\"next_cursor\":107");
	assert_reply(request(connect_unix(fixture->socket_path), "GET",
			     "/api/v1/connections?limit=0", "Host: x\r\n"),
		     400, "limit");
	assert_reply(request(connect_unix(fixture->socket_path), "GET",
			     "/api/v1/connections?limit=10001", "Host: x\r\n"),
		     400, "limit");
	assert_reply(request(connect_unix(fixture->socket_path), "GET",
			     "/api/v1/connections?cursor=x", "Host: x\r\n"),
		     400, "cursor");
	assert_reply(request(connect_unix(fixture->socket_path), "GET", "/api/v1/listeners?limit=1",
			     "Host: x\r\n"),
		     200, "\"listener\":\"10.0.0.1:80\"");
}

/* As many idle clients as there are connections: within idle_seconds somebody else gets in. */
static void test_idle_clients_do_not_lock_out(void **state)
{
	struct fixture *fixture = *state;
	uint16_t port = http_port(fixture->http, 0);
	int idle[64];

	for (int i = 0; i < 64; i++) {
		char source[16];

		snprintf(source, sizeof(source), "127.0.0.%d", 1 + i / 16);
		idle[i] = connect_v4(source, port);
	}
	assert_reply(request(connect_v4("127.0.0.9", port), "GET", "/metrics", "Host: a\r\n"), 200,
		     "tcpwitness_");
	for (int i = 0; i < 64; i++)
		close(idle[i]);
}

/* ---- servers with settings of their own ---- */

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
		     200, "tcpwitness");
	set_deaf(fixture, false);
	assert_reply(receive(waiting), 200, "tcpwitness_http_requests_refused_total");
	/* the room is free again */
	assert_reply(request(connect_v6(http_port(fixture->http, 1)), "GET", "/metrics",
			     "Host: a\r\n"),
		     200, "tcpwitness_");
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
		cmocka_unit_test_setup_teardown(test_metrics, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gzip, setup, teardown),
		cmocka_unit_test_setup_teardown(test_head, setup, teardown),
		cmocka_unit_test_setup_teardown(test_paths_and_methods, setup, teardown),
		cmocka_unit_test_setup_teardown(test_health, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ipv6, setup, teardown),
		cmocka_unit_test_setup_teardown(test_api_is_for_this_host, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pages_of_connections, setup, teardown),
		cmocka_unit_test_setup_teardown(test_idle_clients_do_not_lock_out, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deaf_data_thread, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(test_max_requests, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(test_stop_while_waiting, make_folder,
						remove_folder),
		cmocka_unit_test_setup_teardown(test_telemetry_path, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(test_bad_settings, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(test_unix_socket_file, make_folder, remove_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
