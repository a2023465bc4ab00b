/* SPDX-License-Identifier: GPL-2.0-only */
/* The answers of a daemon, whole and damaged, as the commands take and print them. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/ask.h"
#include "cli/outline.h"
#include "util.h"

static void test_whole_responses(void **state)
{
	static const struct {
		const char *response;
		int status;
		const char *body;
	} cases[] = {
		{ "HTTP/1.0 200 OK\r\n\r\n{}", 200, "{}" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nServer: x\r\n\r\n{}", 200, "{}" },
		{ "HTTP/1.1 200 OK\r\ncontent-length:2\r\n\r\n{}", 200, "{}" },
		{ "HTTP/1.1 503 Busy\r\nContent-Length: 5\r\n\r\nlater", 503, "later" },
		{ "HTTP/1.1 204 No Content\r\n\r\n", 204, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *response = strdup(cases[i].response), *body = NULL;
		int status = -1;

		assert_int_equal(ask_parse_response(response, &status, &body), 0);
		assert_int_equal(status, cases[i].status);
		assert_string_equal(body, cases[i].body);
		free(response);
	}
}

static void test_damaged_responses(void **state)
{
	static const char *const cases[] = {
		"",
		"SSH-2.0-OpenSSH_9.2\r\n\r\n",
		"HTTP/2 200\r\n\r\n",
		"HTTP/1.1 abc\r\n\r\n",
		"HTTP/1.1 7\r\n\r\n",
		"HTTP/1.1 200 OK",
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *response = strdup(cases[i]), *body = NULL;
		int status = -1;

		assert_int_equal(ask_parse_response(response, &status, &body), -EBADMSG);
		assert_null(body);
		free(response);
	}
}

static char *outlined(const char *json, bool brief, int *ret_err)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	*ret_err = outline_print(json, brief, out);
	fclose(out);
	return text;
}

static const char sample[] =
	"{\"ready\": true, \"a\\\"b\": \"x\\u001b[2J\\\\\",\n"
	" \"rings\": {\"lost\": -1.5e3, \"empty\": {}, \"zero\": {\"in\": {\"s\": \"text\", \"z\": 0}},"
	" \"list\": [1, {\"k\": null, \"l\": 0, \"m\": [7]}], \"last\": null}, \"end\": 0.5}";

static void test_outline(void **state)
{
	char *text;
	int err;

	(void)state;
	text = outlined(sample, false, &err);
	assert_int_equal(err, 0);
	assert_string_equal(text, "ready                            true\n"
				  "a\"b                              x\\u001b[2J\\\n"
				  "rings\n"
				  "  lost                           -1.5e3\n"
				  "  zero\n"
				  "    in\n"
				  "      s                          text\n"
				  "      z                          0\n"
				  "  list\n"
				  "    -                            1\n"
				  "    - k null, l 0, - 7\n"
				  "  last                           null\n"
				  "end                              0.5\n");
	free(text);
}

static void test_brief_outline(void **state)
{
	char *text;
	int err;

	(void)state;
	text = outlined(sample, true, &err);
	assert_int_equal(err, 0);
	assert_string_equal(text, "ready                            true\n"
				  "a\"b                              x\\u001b[2J\\\n"
				  "rings\n"
				  "  lost                           -1.5e3\n"
				  "  list\n"
				  "    -                            1\n"
				  "    - l 0, - 7\n"
				  "end                              0.5\n");
	free(text);
}

static void test_outline_refuses_what_is_not_json(void **state)
{
	static const char *const cases[] = {
		"",	 "{",	     "{\"a\"}",	       "{\"a\":}",	"{\"a\":1,}", "[1 2]",
		"{} {}", "\"no end", "{\"a\":\"\n\"}", "<html></html>", "]",	      "{\"a\":1]",
	};
	char deep[64];
	int err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		free(outlined(cases[i], i % 2, &err));
		assert_int_equal(err, -EBADMSG);
	}
	memset(deep, '[', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = '\0';
	free(outlined(deep, false, &err));
	assert_int_equal(err, -EBADMSG);
}

struct server {
	int fd;
	const char *response;
	char request[512];
};

static void *serve_once(void *context)
{
	struct server *server = context;
	int fd = accept(server->fd, NULL, NULL);
	size_t used = 0;

	while (fd >= 0 && !strstr(server->request, "\r\n\r\n")) {
		ssize_t n = recv(fd, server->request + used, sizeof(server->request) - 1 - used, 0);

		if (n <= 0)
			break;
		used += (size_t)n;
	}
	/* in two pieces, as a network would */
	send(fd, server->response, 10, MSG_NOSIGNAL);
	send(fd, server->response + 10, strlen(server->response) - 10, MSG_NOSIGNAL);
	close(fd);
	return NULL;
}

static int ask_server(const char *response, char *request, char **ret_body)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct server server = { .response = response };
	char directory[] = "/tmp/tcpwitness-ask-XXXXXX";
	pthread_t thread;
	int err;

	assert_non_null(mkdtemp(directory));
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/api.sock", directory);
	server.fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(server.fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(server.fd, 1), 0);
	assert_int_equal(pthread_create(&thread, NULL, serve_once, &server), 0);
	err = ask_daemon(address.sun_path, "/api/v1/status", ret_body);
	pthread_join(thread, NULL);
	close(server.fd);
	unlink(address.sun_path);
	rmdir(directory);
	if (request)
		strcpy(request, server.request);
	return err;
}

static void test_asks_over_the_socket(void **state)
{
	char request[512], *body = NULL;

	(void)state;
	assert_int_equal(ask_server("HTTP/1.0 200 OK\r\nContent-Length: 7\r\n\r\n{\"a\":1}",
				    request, &body),
			 0);
	assert_string_equal(body, "{\"a\":1}");
	assert_string_equal(request, "GET /api/v1/status HTTP/1.0\r\nHost: localhost\r\n"
				     "Connection: close\r\n\r\n");
	free(body);
}

static void test_says_why_there_is_no_answer(void **state)
{
	char *body = NULL;
	char path[200];

	(void)state;
	assert_int_equal(ask_server("HTTP/1.0 503 Busy\r\n\r\nlater", NULL, &body), -EPROTO);
	assert_int_equal(ask_server("220 mail.example.org ESMTP\r\n", NULL, &body), -EBADMSG);
	assert_int_equal(ask_daemon("/nonexistent/api.sock", "/", &body), -ENOENT);
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(ask_daemon(path, "/", &body), -ENAMETOOLONG);
	assert_null(body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_responses),
		cmocka_unit_test(test_damaged_responses),
		cmocka_unit_test(test_outline),
		cmocka_unit_test(test_brief_outline),
		cmocka_unit_test(test_outline_refuses_what_is_not_json),
		cmocka_unit_test(test_asks_over_the_socket),
		cmocka_unit_test(test_says_why_there_is_no_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
