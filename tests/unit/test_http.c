/* SPDX-License-Identifier: GPL-2.0-only */
/* What a live server answers on loopback and on its Unix socket. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <zlib.h>

#include "unit/live_server.h"

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
					 "view=\"wire\",netns=\"host\"} 12\n"));
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
	assert_reply(get(fixture, "/", "Host: a\r\n"), 200,
		     "<p>Divergences open now: 1 critical, 0 warning, 2 info.</p>");
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

#define EXPLAIN "/api/v1/explain?tuple=10.0.0.1:80"
#define EXPLAIN_WHOLE "/api/v1/explain?tuple=%5Bfd00::9%5D:4711-%5Bfd00::1%5D:80"

static void test_explain(void **state)
{
	struct fixture *fixture = *state;
	int port = http_port(fixture->http, 0);
	char headers[64];
	struct reply reply;

	snprintf(headers, sizeof(headers), "Host: localhost:%d\r\n", port);
	assert_reply(get(fixture, EXPLAIN, headers), 200, "\"role\":\"server\"");
	reply = get(fixture, EXPLAIN "&format=table", headers);
	assert_true(has_header(&reply, "Content-Type: text/plain; charset=utf-8"));
	assert_reply(reply, 200, "10.0.0.1:80-[fd00::9]:4711  server  from ");
	reply = get(fixture, EXPLAIN_WHOLE "&format=table", headers);
	assert_true(has_header(&reply, "Cache-Control: no-store"));
	assert_reply(reply, 404,
		     "nothing is known of [fd00::9]:4711-[fd00::1]:80: no such connection, or it "
		     "is older than the 16 events");
	assert_reply(get(fixture, EXPLAIN_WHOLE, headers), 404, "{\"error\":\"nothing is known");
	assert_reply(get(fixture, "/api/v1/explain", headers), 400, "ADDR:PORT-ADDR:PORT");
	assert_reply(get(fixture, "/api/v1/explain?tuple=10.0.0.1", headers), 400, "ADDR:PORT");
	assert_reply(get(fixture, EXPLAIN "&format=xml", headers), 400, "json, table or color");
}

static void test_divergences(void **state)
{
	static const struct {
		const char *query, *part;
	} good[] = {
		{ "", "\"last\":5,\"left_off\":0,\"divergences\":[{\"id\":7," },
		{ "?state=closed&since=3", "[{\"id\":9," },
		{ "?state=all&kind=fin_queued", "[{\"id\":8," },
		{ "?state=all&class=expected", "[{\"id\":8," },
		{ "?format=table", "forgotten; since=5\n" },
		{ "?format=color&details=0", "\033[1;31m7 " },
		{ "?format=lines", "{\"event\":\"last\",\"schema\":1,\"last\":5}\n" },
	};
	struct fixture *fixture = *state;
	char path[128];
	struct reply reply;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		snprintf(path, sizeof(path), "/api/v1/divergences%s", good[i].query);
		assert_reply(request(connect_unix(fixture->socket_path), "GET", path,
				     "Host: x\r\n"),
			     200, good[i].part);
	}
	reply = request(connect_unix(fixture->socket_path), "GET",
			"/api/v1/divergences?format=lines", "Host: x\r\n");
	assert_true(has_header(&reply, "Content-Type: application/x-ndjson"));
	assert_true(has_header(&reply, "Cache-Control: no-store"));
	free(reply.data);
	assert_reply(request(connect_unix(fixture->socket_path), "GET",
			     "/api/v1/divergences?state=shut", "Host: x\r\n"),
		     400, "{\"error\":\"state: open, closed or all\"}");
	assert_reply(get(fixture, "/api/v1/divergences?format=table", "Host: evil.example\r\n"),
		     403, "error");
}

static void test_api_is_for_this_host(void **state)
{
	static const char *const paths[] = { "/api/v1/status", "/api/v1/connections",
					     "/api/v1/listeners", "/api/v1/divergences", EXPLAIN };
	static const char *const parts[] = { "\"flow_table\"", "\"connections\":[{",
					     "\"listener\":\"10.0.0.1:80\"",
					     "\"kind\":\"accept_queue_overflow\"",
					     "\"local\":\"10.0.0.1:80\"" };
	struct fixture *fixture = *state;
	char headers[128];

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
	/* a proxy on this host asks for somebody else */
	strcat(headers, "X-Forwarded-For: 192.0.2.1\r\n");
	assert_reply(get(fixture, "/api/v1/status", headers), 403, "error");
	assert_reply(get(fixture, "/metrics", "Host: a\r\n"), 200,
		     "tcpwitness_http_requests_forbidden_total 6\n");
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
		char source[32];

		snprintf(source, sizeof(source), "127.0.0.%d", 1 + i / 16);
		idle[i] = connect_v4(source, port);
	}
	assert_reply(request(connect_v4("127.0.0.9", port), "GET", "/metrics", "Host: a\r\n"), 200,
		     "tcpwitness_");
	for (int i = 0; i < 64; i++)
		close(idle[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_metrics, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gzip, setup, teardown),
		cmocka_unit_test_setup_teardown(test_head, setup, teardown),
		cmocka_unit_test_setup_teardown(test_explain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_paths_and_methods, setup, teardown),
		cmocka_unit_test_setup_teardown(test_health, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ipv6, setup, teardown),
		cmocka_unit_test_setup_teardown(test_divergences, setup, teardown),
		cmocka_unit_test_setup_teardown(test_api_is_for_this_host, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pages_of_connections, setup, teardown),
		cmocka_unit_test_setup_teardown(test_idle_clients_do_not_lock_out, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
