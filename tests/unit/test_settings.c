/* SPDX-License-Identifier: GPL-2.0-only */
/* The flags of `tcpwitness run`: defaults, every kind of value, and one clear line for each error. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "log.h"
#include "settings.h"
#include "util.h"

#define ARGS_MAX 80

static char why[SETTINGS_WHY_BYTES];

/* Splits at spaces: "run --device lo". The pieces live in a static buffer, as argv would. */
static enum settings_outcome parse(const char *line, struct settings *ret)
{
	static char buffer[4096];
	char *argv[ARGS_MAX + 1] = { NULL }, *save = NULL;
	int argc = 0;

	assert_true(strlen(line) < sizeof(buffer));
	strcpy(buffer, line);
	for (char *word = strtok_r(buffer, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		assert_true(argc < ARGS_MAX);
		argv[argc++] = word;
	}
	why[0] = '\0';
	return settings_parse(argc, argv, ret, why);
}

static void test_defaults(void **state)
{
	struct settings s;

	(void)state;
	assert_int_equal(parse("run", &s), SETTINGS_OK);
	assert_int_equal(s.devices.count, 0);
	assert_int_equal(s.devices_excluded.count, 0);
	assert_int_equal(s.netns.count, 1);
	assert_string_equal(s.netns.at[0], "host");
	assert_int_equal(s.capture_mode, CAPTURE_AUTO);
	assert_int_equal(s.flows_max, 1 << 20);
	assert_int_equal(s.listeners_max, 64);
	assert_int_equal(s.ring_bytes, 0);
	assert_int_equal(s.settle_ms, 250);
	assert_int_equal(s.web_listen_addresses.count, 1);
	assert_string_equal(s.web_listen_addresses.at[0], ":10293");
	assert_string_equal(s.web_telemetry_path, "/metrics");
	assert_string_equal(s.api_socket, DEFAULT_API_SOCKET);
	assert_null(s.events_file);
	assert_null(s.record_file);
	assert_false(s.events_connections);
	assert_int_equal(s.log_level, LOG_LEVEL_INFO);
	assert_int_equal(s.log_format, LOG_FORMAT_TEXT);
	assert_int_equal(s.duration_s, 0);
}

static void test_every_flag(void **state)
{
	struct settings s;

	(void)state;
	assert_int_equal(
		parse("run --device lo --device=eth7 --device.exclude docker0 --capture.mode=tcx "
		      "--netns=host,blue --netns=pid:17 --netns=/run/docker/netns/x "
		      "--flows.max 2048 --listeners.max=1 --ring.bytes=4096 --settle=10 "
		      "--web.listen-address=127.0.0.1:0 --web.listen-address=[::1]:9 "
		      "--web.telemetry-path=/m --web.max-requests=3 --api.socket=/tmp/a.sock "
		      "--events.file=- --events.connections --record=/tmp/r --log.level=debug "
		      "--log.format=logfmt --duration=7",
		      &s),
		SETTINGS_OK);
	assert_int_equal(s.devices.count, 2);
	assert_string_equal(s.devices.at[0], "lo");
	assert_string_equal(s.devices.at[1], "eth7");
	assert_string_equal(s.devices_excluded.at[0], "docker0");
	assert_int_equal(s.netns.count, 3);
	assert_string_equal(s.netns.at[0], "host,blue");
	assert_int_equal(s.capture_mode, CAPTURE_TCX);
	assert_int_equal(s.flows_max, 2048);
	assert_int_equal(s.listeners_max, 1);
	assert_int_equal(s.ring_bytes, 4096);
	assert_int_equal(s.settle_ms, 10);
	assert_int_equal(s.web_listen_addresses.count, 2);
	assert_string_equal(s.web_listen_addresses.at[0], "127.0.0.1:0");
	assert_string_equal(s.web_telemetry_path, "/m");
	assert_int_equal(s.web_max_requests, 3);
	assert_string_equal(s.api_socket, "/tmp/a.sock");
	assert_string_equal(s.events_file, "-");
	assert_true(s.events_connections);
	assert_string_equal(s.record_file, "/tmp/r");
	assert_int_equal(s.log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(s.log_format, LOG_FORMAT_LOGFMT);
	assert_int_equal(s.duration_s, 7);
}

static void test_one_line_for_each_error(void **state)
{
	static const struct {
		const char *line, *why;
	} cases[] = {
		{ "run --flows.max abc",
		  "--flows.max: 'abc' is not a number between 1024 and 2^26" },
		{ "run --flows.max -5", "--flows.max: '-5' is not a number between 1024 and 2^26" },
		{ "run --flows.max=+2000",
		  "--flows.max: '+2000' is not a number between 1024 and 2^26" },
		{ "run --flows.max=", "--flows.max: '' is not a number between 1024 and 2^26" },
		{ "run --flows.max=1023",
		  "--flows.max: '1023' is not a number between 1024 and 2^26" },
		{ "run --flows.max=67108865",
		  "--flows.max: '67108865' is not a number between 1024 and 2^26" },
		{ "run --flows.max=99999999999999999999999",
		  "--flows.max: '99999999999999999999999' is not a number between 1024 and 2^26" },
		{ "run --flows.max=0x800",
		  "--flows.max: '0x800' is not a number between 1024 and 2^26" },
		{ "run --ring.bytes=5000",
		  "--ring.bytes: '5000' is not a power of two between 4096 and 2^28" },
		{ "run --ring.bytes=2048",
		  "--ring.bytes: '2048' is not a power of two between 4096 and 2^28" },
		{ "run --settle=0", "--settle: '0' is not a number between 1 and 60000" },
		{ "run --duration=0", "--duration: '0' is not a number between 1 and 2^26" },
		{ "run --capture.mode=pcap",
		  "--capture.mode: 'pcap' is none of auto, xdp, xdp-generic, tcx, clsact" },
		{ "run --log.level=loud",
		  "--log.level: 'loud' is none of error, warn, info, debug" },
		{ "run --log.format=json", "--log.format: 'json' is none of text, logfmt" },
		{ "run --device=an-interface-name-too-long",
		  "--device: 'an-interface-name-too-long' is not an interface name" },
		{ "run --device=a/b", "--device: 'a/b' is not an interface name" },
		{ "run --device=", "--device: '' is not an interface name" },
		{ "run --web.listen-address=10293",
		  "--web.listen-address: '10293' is not an address like :10293, 127.0.0.1:10293 or "
		  "[::1]:10293" },
		{ "run --web.telemetry-path=metrics",
		  "--web.telemetry-path: 'metrics' is not a path like /metrics" },
		{ "run --web.telemetry-path=/",
		  "--web.telemetry-path: '/' is not a path like /metrics" },
		{ "run --events.file=", "--events.file: '' is not a path" },
		{ "run --events.connections",
		  "--events.connections: needs --events.file to write to" },
		{ "run --device=lo --device.exclude=lo",
		  "--device.exclude: 'lo' is also given by --device" },
		{ "run --flows.max", "--flows.max: a value is missing" },
		{ "run --no.such.flag=1", "--no.such.flag=1: no such flag" },
		{ "run -x", "-x: no such flag" },
		{ "run lo", "'lo': only flags are expected" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct settings s = { .flows_max = 4711 };

		assert_int_equal(parse(cases[i].line, &s), SETTINGS_BAD);
		assert_string_equal(why, cases[i].why);
		assert_int_equal(s.flows_max, 4711); /* untouched */
	}
}

static void test_netns_words(void **state)
{
	static const char *const good[] = { "host", "all", "blue", "host,blue,pid:1", "/run/x" };
	static const char *const bad[] = { "a,,b", ",a", "a,",	   "../x",
					   "a/b",  ".",	 "pid:x1", "pid:1x" };
	char line[64], wanted[SETTINGS_WHY_BYTES];
	struct settings s;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		snprintf(line, sizeof(line), "run --netns=%s", good[i]);
		assert_int_equal(parse(line, &s), SETTINGS_OK);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(line, sizeof(line), "run --netns=%s", bad[i]);
		assert_int_equal(parse(line, &s), SETTINGS_BAD);
		snprintf(wanted, sizeof(wanted),
			 "--netns: '%s' is not host, all, a name, a path or pid:N, or several with "
			 "commas",
			 bad[i]);
		assert_string_equal(why, wanted);
	}
}

static void test_socket_path_fits_sockaddr(void **state)
{
	char line[256] = "run --api.socket=/";
	struct settings s;

	(void)state;
	memset(line + strlen(line), 'x', 106);
	assert_int_equal(parse(line, &s), SETTINGS_OK);
	assert_int_equal(strlen(s.api_socket), 107);
	line[strlen(line)] = 'x';
	assert_int_equal(parse(line, &s), SETTINGS_BAD);
	assert_non_null(strstr(why, "is not a path of at most 107 bytes"));
}

static void test_a_list_has_an_end(void **state)
{
	char line[4096] = "run";
	struct settings s;

	(void)state;
	for (int i = 0; i < SETTINGS_LIST_MAX; i++)
		sprintf(line + strlen(line), " --device=v%d", i);
	assert_int_equal(parse(line, &s), SETTINGS_OK);
	assert_int_equal(s.devices.count, SETTINGS_LIST_MAX);
	assert_string_equal(s.devices.at[SETTINGS_LIST_MAX - 1], "v63");
	strcat(line, " --device=onemore");
	assert_int_equal(parse(line, &s), SETTINGS_BAD);
	assert_string_equal(why, "--device: more than 64 values");
}

/* Every run of blanks and newlines becomes one blank, as if nothing had been wrapped. */
static void squeeze(char *text)
{
	char *to = text;

	for (const char *from = text; *from; from++) {
		char c = *from == '\n' ? ' ' : *from;

		if (c != ' ' || (to > text && to[-1] != ' '))
			*to++ = c;
	}
	*to = '\0';
}

/* The help comes from the same table: it names every flag and the defaults in force. */
static void test_help(void **state)
{
	static const char *const wanted[] = {
		"--device=NAME",
		"--device.exclude=NAME",
		"--capture.mode=MODE",
		"--flows.max=N",
		"(default: 1048576)",
		"--listeners.max=N",
		"--ring.bytes=BYTES",
		"--settle=MS",
		"--web.listen-address=ADDR",
		"(default: :10293)",
		"--web.telemetry-path=PATH",
		"--web.max-requests=N",
		"--api.socket=PATH",
		"--events.file=PATH",
		"--events.connections ",
		"--record=FILE",
		"--log.level=LEVEL",
		"--log.format=FORMAT",
		"--duration=SECONDS",
		"[error warn info debug]",
		"--help",
	};
	struct settings s;
	char *text = NULL;
	size_t size = 0;
	FILE *out;

	(void)state;
	assert_int_equal(parse("run --help", &s), SETTINGS_HELP);
	assert_int_equal(parse("run -h", &s), SETTINGS_HELP);
	out = open_memstream(&text, &size);
	assert_non_null(out);
	settings_print_help(out);
	fclose(out);
	for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
		assert_in_range(strcspn(line, "\n"), 1, 100);
	squeeze(text);
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		assert_non_null(strstr(text, wanted[i]));
	free(text);
}

static void test_addresses(void **state)
{
	static const struct {
		const char *text;
		int family;
		const char *host;
		uint16_t port;
	} good[] = {
		{ ":10293", AF_INET6, "::", 10293 },
		{ "[::]:0", AF_INET6, "::", 0 },
		{ "[::1]:65535", AF_INET6, "::1", 65535 },
		{ "127.0.0.1:80", AF_INET, "127.0.0.1", 80 },
		{ "0.0.0.0:80", AF_INET, "0.0.0.0", 80 },
		{ "localhost:80", AF_INET, "127.0.0.1", 80 },
	};
	static const char *const bad[] = {
		"",
		":",
		"80",
		"::1:80",
		"[::1]",
		"[::1]80",
		"[]:80",
		"1.2.3:80",
		"1.2.3.4:65536",
		"1.2.3.4:-1",
		"1.2.3.4: 80",
		"1.2.3.4:80x",
		"example.org:80",
		"[1.2.3.4]:80",
		"[::1%lo]:80",
		"1.2.3.4:99999999999999999999",
		"[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc]:80",
	};
	struct sockaddr_storage address;
	socklen_t length;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		const struct sockaddr_in6 *v6 = (void *)&address;
		const struct sockaddr_in *v4 = (void *)&address;
		bool is_v6 = good[i].family == AF_INET6;
		char host[INET6_ADDRSTRLEN];

		assert_int_equal(settings_parse_address(good[i].text, &address, &length), 0);
		assert_int_equal(address.ss_family, good[i].family);
		assert_int_equal(length, is_v6 ? sizeof(*v6) : sizeof(*v4));
		assert_int_equal(ntohs(is_v6 ? v6->sin6_port : v4->sin_port), good[i].port);
		inet_ntop(good[i].family, is_v6 ? (void *)&v6->sin6_addr : (void *)&v4->sin_addr,
			  host, sizeof(host));
		assert_string_equal(host, good[i].host);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		length = 4711;
		assert_int_not_equal(settings_parse_address(bad[i], &address, &length), 0);
		assert_int_equal(length, 4711);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_every_flag),
		cmocka_unit_test(test_one_line_for_each_error),
		cmocka_unit_test(test_netns_words),
		cmocka_unit_test(test_socket_path_fits_sockaddr),
		cmocka_unit_test(test_a_list_has_an_end),
		cmocka_unit_test(test_help),
		cmocka_unit_test(test_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
