/* SPDX-License-Identifier: GPL-2.0-only */
/* A live HTTP server before a data thread made for the test, and a client to talk to it. */
#ifndef TCPWITNESS_TESTS_LIVE_SERVER_H
#define TCPWITNESS_TESTS_LIVE_SERVER_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

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

static inline void snapshot(void *context, struct export_view *view)
{
	(void)context;
	fake_snapshot(view);
}

static inline size_t list(void *context, size_t *cursor, size_t max,
			  void (*each)(void *, const struct connection_report *),
			  void *each_context)
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

/* Has two, one of them over. */
static inline size_t divergences(void *context, const struct ledger_query *query,
				 struct divergence_row *rows, size_t max,
				 struct ledger_counts *ret_counts, uint64_t *ret_wall_offset_ns)
{
	struct ledger *ledger = ledger_new();
	size_t count;

	(void)context;
	assert_non_null(ledger);
	fake_ledger(ledger);
	*ret_counts = ledger_counts(ledger);
	*ret_wall_offset_ns = FAKE_WALL_NS - FAKE_MONO_NS;
	count = ledger_list(ledger, query, rows, max);
	ledger_free(ledger);
	return count;
}

/* Knows port 80 only. */
static inline int explain(void *context, const struct tuple *tuple,
			  const struct history_limits *limits, struct history_answer *ret_answer,
			  struct history_stats *ret_kept, uint64_t *ret_wall_offset_ns)
{
	struct history *history = history_new(16);
	struct track_entry entry = { .kind = ENTRY_BEGAN, .life = 1, .key = fake_key(1, 80, 4711) };
	int err;

	(void)context;
	assert_non_null(history);
	history_add(history, &entry);
	entry = (struct track_entry){ .kind = ENTRY_SEGMENT, .life = 1, .flags = ENTRY_WIRE };
	entry.segment.tcp_flags = TCPF_SYN;
	entry.role = ROLE_SERVER;
	history_add(history, &entry);
	err = history_ask(history, tuple, limits, NULL, 0, ret_answer);
	*ret_kept = history_stats(history);
	*ret_wall_offset_ns = FAKE_WALL_NS;
	history_free(history);
	return err;
}

static inline void health(void *context, struct export_health *ret)
{
	struct fixture *fixture = context;

	*ret = (struct export_health){ .ready = fixture->ready,
				       .open = { [SEVERITY_CRITICAL] = 1, [SEVERITY_INFO] = 2 } };
}

static inline void *data_thread(void *argument)
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

static inline struct http_settings default_settings(const struct fixture *fixture)
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
	.explain = explain,
	.health = health,
	.drop_reason = fake_drop_reason,
};

static inline void start(struct fixture *fixture, const struct http_settings *settings)
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

static inline void set_deaf(struct fixture *fixture, bool deaf)
{
	fixture->deaf = deaf;
	while (fixture->is_deaf != deaf)
		poll(NULL, 0, 1);
}

/* A request has reached the data thread's door. */
static inline void await_letter(const struct fixture *fixture)
{
	struct pollfd letters = { .fd = mailbox_fd(fixture->mailbox), .events = POLLIN };

	assert_int_equal(poll(&letters, 1, 10000), 1);
}

static inline void stop(struct fixture *fixture)
{
	eventfd_write(fixture->stop_fd, 1);
	pthread_join(fixture->thread, NULL);
	http_stop(fixture->http);
	mailbox_free(fixture->mailbox);
	close(fixture->stop_fd);
}

static inline int make_folder(void **state)
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

static inline int remove_folder(void **state)
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

static inline int setup(void **state)
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

static inline int teardown(void **state)
{
	stop(*state);
	return remove_folder(state);
}

/* ---- the client ---- */

static inline int connect_v4(const char *source, uint16_t port)
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

static inline int connect_v6(uint16_t port)
{
	struct sockaddr_in6 to = { .sin6_family = AF_INET6,
				   .sin6_addr = IN6ADDR_LOOPBACK_INIT,
				   .sin6_port = htons(port) };
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static inline int connect_unix(const char *path)
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

static inline void send_request(int fd, const char *method, const char *path, const char *headers)
{
	char request[1024];
	int length = snprintf(request, sizeof(request),
			      "%s %s HTTP/1.1\r\nConnection: close\r\n%s\r\n", method, path,
			      headers);

	assert_int_equal(send(fd, request, (size_t)length, MSG_NOSIGNAL), length);
}

static inline struct reply receive(int fd)
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

static inline struct reply request(int fd, const char *method, const char *path,
				   const char *headers)
{
	send_request(fd, method, path, headers);
	return receive(fd);
}

static inline struct reply get(const struct fixture *fixture, const char *path, const char *headers)
{
	return request(connect_v4("127.0.0.1", http_port(fixture->http, 0)), "GET", path, headers);
}

static inline bool has_header(const struct reply *reply, const char *line)
{
	char pattern[256];
	const char *at;

	snprintf(pattern, sizeof(pattern), "\r\n%s\r\n", line);
	at = strstr(reply->data, pattern);
	return at && at < reply->body;
}

static inline void assert_reply(struct reply reply, int status, const char *part)
{
	if (reply.status != status || (part && !strstr(reply.body, part)))
		fail_msg("expected %d with %s, got %s", status, part ? part : "(nothing)",
			 reply.data);
	free(reply.data);
}

#endif
