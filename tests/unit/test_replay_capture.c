/* SPDX-License-Identifier: GPL-2.0-only */
/* `tcpwitness replay` of a capture: its lines, their order, its flags, its exit codes. */
#include "capture_file.h"

#include <fcntl.h>

#include "cli/cli.h"

#define S TCPF_SYN
#define A TCPF_ACK
#define F TCPF_FIN
#define R TCPF_RST

#define ARGS_MAX 24

/* Runs `replay` with these arguments; what it printed is in *ret_printed, which is to be freed. */
static int replay(const char *const *args, char **ret_printed)
{
	char path[] = "/tmp/tcpwitness-printed-XXXXXX", *argv[ARGS_MAX] = { strdup("replay") };
	int out = mkstemp(path), real = dup(STDOUT_FILENO), argc = 1, code;
	char *printed = calloc(1, 1 << 16);

	assert_true(out >= 0);
	assert_non_null(printed);
	for (; args[argc - 1]; argc++)
		argv[argc] = strdup(args[argc - 1]);
	fflush(stdout);
	dup2(out, STDOUT_FILENO);
	code = cli_replay(argc, argv);
	fflush(stdout);
	dup2(real, STDOUT_FILENO);
	close(real);
	assert_true(pread(out, printed, (1 << 16) - 1, 0) >= 0);
	close(out);
	unlink(path);
	for (int i = 0; i < argc; i++)
		free(argv[i]);
	*ret_printed = printed;
	return code;
}

#define REPLAY(ret_printed, ...) replay((const char *const[]){ __VA_ARGS__, NULL }, ret_printed)

static void begin(struct capture_file *file)
{
	capture_open(file, (struct wrapping){ .link = DLT_RAW }, 65535);
}

/* One closes and waits, one is reset meanwhile, one ends with the capture. */
static void three_connections(struct capture_file *file)
{
	CLIENT(.flags = S, .seq = 100, .client_port = 3);
	CLIENT(.flags = S, .seq = 100, .client_port = 2);
	CLIENT(.flags = S, .seq = 100, .client_port = 1);
	SERVER(.flags = S | A, .seq = 500, .ack = 101, .client_port = 3);
	SERVER(.flags = S | A, .seq = 500, .ack = 101, .client_port = 2);
	SERVER(.flags = S | A, .seq = 500, .ack = 101, .client_port = 1);
	CLIENT(.flags = A, .seq = 101, .ack = 501, .client_port = 1);
	CLIENT(.flags = A, .seq = 101, .ack = 501, .client_port = 3);
	CLIENT(.flags = F | A, .seq = 101, .ack = 501, .client_port = 3);
	SERVER(.flags = F | A, .seq = 501, .ack = 102, .client_port = 3);
	CLIENT(.flags = A, .seq = 102, .ack = 502, .client_port = 3);
	file->now_ns += 30 * NS_PER_SEC;
	SERVER(.flags = R, .seq = 501, .client_port = 2);
	file->now_ns += 90 * NS_PER_SEC;
	CLIENT(.flags = A, .seq = 101, .ack = 501, .len = 1, .client_port = 1);
}

#define LINE_RESET                                                                                 \
	"10.0.0.1:2 > 10.0.0.2:443 remote_reset 30.0001 SYN_SENT,ESTABLISHED,CLOSED "              \
	"SYN_RECEIVED,CLOSED -\n"
#define LINE_CLOSED                                                                                \
	"10.0.0.1:3 > 10.0.0.2:443 local_close 0.0001 "                                            \
	"SYN_SENT,ESTABLISHED,FIN_WAIT_1,FIN_WAIT_2,TIME_WAIT,CLOSED "                             \
	"SYN_RECEIVED,ESTABLISHED,CLOSE_WAIT,LAST_ACK,CLOSED -\n"
#define LINE_OPEN                                                                                  \
	"10.0.0.1:1 > 10.0.0.2:443 unknown 120.0001 SYN_SENT,ESTABLISHED "                         \
	"SYN_RECEIVED,ESTABLISHED -\n"

static void lines_in_the_order_of_ends(void **state)
{
	struct capture_file file;
	char *printed;

	(void)state;
	begin(&file);
	three_connections(&file);
	capture_close(&file);
	assert_int_equal(REPLAY(&printed, file.path), CLI_OK);
	assert_string_equal(printed, LINE_RESET LINE_CLOSED LINE_OPEN);
	free(printed);
	capture_remove(&file);
}

static void closes(struct capture_file *file, uint16_t port)
{
	CLIENT(.flags = S, .seq = 100, .client_port = port);
	SERVER(.flags = S | A, .seq = 500, .ack = 101, .client_port = port);
	CLIENT(.flags = F | A, .seq = 101, .ack = 501, .client_port = port);
	SERVER(.flags = F | A, .seq = 501, .ack = 102, .client_port = port);
}

static void is_refused(struct capture_file *file, uint16_t port)
{
	CLIENT(.flags = S, .seq = 100, .client_port = port);
	SERVER(.flags = R | A, .ack = 101, .client_port = port);
}

/* 2 MSL are over a moment before each RST, and noticed a moment after it. */
static void deadlines_are_in_order_too(void **state)
{
	struct capture_file file;
	char *printed, expected[32];
	const char *at;

	(void)state;
	begin(&file);
	for (uint16_t i = 1; i <= 60; i++) {
		file.now_ns = CAPTURE_START_NS + i * 2 * NS_PER_MS;
		closes(&file, i);
	}
	for (uint16_t i = 1; i <= 60; i++) {
		file.now_ns = CAPTURE_START_NS + 60 * NS_PER_SEC + (i * 2 + 1) * NS_PER_MS;
		is_refused(&file, 100 + i);
	}
	capture_close(&file);
	assert_int_equal(REPLAY(&printed, file.path), CLI_OK);
	at = printed;
	for (uint16_t i = 1; i <= 60; i++) {
		for (int refused = 0; refused < 2; refused++) {
			snprintf(expected, sizeof(expected), "10.0.0.1:%d > ", i + refused * 100);
			assert_int_equal(strncmp(at, expected, strlen(expected)), 0);
			at = strchr(at, '\n') + 1;
		}
	}
	free(printed);
	capture_remove(&file);
}

/* What ends at the same time is ordered by tuple, whatever the order in the capture. */
static void then_in_the_order_of_tuples(void **state)
{
	struct capture_file capture, *file = &capture;
	char *printed, expected[32];
	const char *at;

	(void)state;
	begin(file);
	for (uint16_t port = 300; port > 200; port--)
		CLIENT(.flags = S, .seq = 100, .client_port = port);
	capture_close(file);
	assert_int_equal(REPLAY(&printed, file->path), CLI_OK);
	at = printed;
	for (uint16_t port = 201; port <= 300; port++) {
		snprintf(expected, sizeof(expected), "10.0.0.1:%u > ", port);
		assert_int_equal(strncmp(at, expected, strlen(expected)), 0);
		at = strchr(at, '\n') + 1;
	}
	assert_int_equal(*at, '\0');
	free(printed);
	capture_remove(file);
}

static void events_of_the_log(void **state)
{
	struct capture_file capture, *file = &capture;
	char *printed;

	(void)state;
	begin(file);
	SERVER(.flags = R | A, .seq = 1, .client_port = 9); /* begins nothing */
	CLIENT(.flags = A, .seq = 101, .ack = 501);
	SERVER(.flags = S | A, .seq = 500, .ack = 101, .client_port = 7);
	CLIENT(.flags = R, .seq = 101, .client_port = 7);
	capture_close(file);
	assert_int_equal(REPLAY(&printed, "--json", file->path), CLI_OK);
	assert_string_equal(
		printed,
		"{\"event\":\"connection\",\"schema\":1,\"time\":\"2023-11-14T22:13:20.000040000Z\","
		"\"mono_ns\":1700000000000040000,\"local\":\"10.0.0.1:7\","
		"\"remote\":\"10.0.0.2:443\",\"netns\":0,\"role\":\"client\","
		"\"local_path\":[\"SYN_SENT\",\"ESTABLISHED\",\"CLOSED\"],"
		"\"remote_path\":[\"SYN_RECEIVED\",\"CLOSED\"],\"kernel_path\":[],"
		"\"opened\":\"2023-11-14T22:13:20.000030000Z\","
		"\"closed\":\"2023-11-14T22:13:20.000040000Z\",\"divergences\":[],\"anomalies\":[],"
		"\"seen\":[\"synack\",\"rst\"],\"observable\":true,\"why\":null,\"ended\":\"local_reset\"}\n"
		"{\"event\":\"connection\",\"schema\":1,\"time\":\"2023-11-14T22:13:20.000040000Z\","
		"\"mono_ns\":1700000000000040000,\"local\":\"10.0.0.1:50000\","
		"\"remote\":\"10.0.0.2:443\",\"netns\":0,\"role\":\"unknown\","
		"\"local_path\":[\"ESTABLISHED\"],\"remote_path\":[\"ESTABLISHED\"],"
		"\"kernel_path\":[],\"opened\":\"2023-11-14T22:13:20.000020000Z\","
		"\"closed\":\"2023-11-14T22:13:20.000040000Z\",\"divergences\":[],\"anomalies\":[],"
		"\"seen\":[\"ack\"],\"observable\":false,\"why\":\"adopted\",\"ended\":\"unknown\"}\n");
	free(printed);
	capture_remove(file);
}

static void local_addresses_turn_it(void **state)
{
	struct capture_file file;
	char *printed, option[] = "--local=10.0.0.2";

	(void)state;
	begin(&file);
	three_connections(&file);
	capture_close(&file);
	/* of several the last counts as much as the first */
	assert_int_equal(REPLAY(&printed, option, "--local", "fd00::7", file.path), CLI_OK);
	assert_int_equal(strncmp(printed, "10.0.0.2:443 < 10.0.0.1:3 remote_close ", 39), 0);
	free(printed);
	assert_int_equal(REPLAY(&printed, "--local", "fd00::7", option, file.path), CLI_OK);
	assert_int_equal(strncmp(printed, "10.0.0.2:443 < 10.0.0.1:3 remote_close ", 39), 0);
	free(printed);
	/* where both are, or neither is, the SYN tells */
	assert_int_equal(REPLAY(&printed, option, "--local=10.0.0.1", file.path), CLI_OK);
	assert_string_equal(printed, LINE_RESET LINE_CLOSED LINE_OPEN);
	free(printed);
	assert_int_equal(REPLAY(&printed, "--local=10.0.0.9", file.path), CLI_OK);
	assert_string_equal(printed, LINE_RESET LINE_CLOSED LINE_OPEN);
	free(printed);
	capture_remove(&file);
}

static void bad_arguments(void **state)
{
	struct capture_file file;
	const char *many[CLI_REPEATS_MAX + 3] = { NULL };
	char *printed;
	FILE *log;

	(void)state;
	begin(&file);
	capture_close(&file);
	assert_int_equal(REPLAY(&printed, "--local=here", file.path), CLI_USAGE);
	free(printed);
	assert_int_equal(REPLAY(&printed, "--flows.max=none", file.path), CLI_USAGE);
	free(printed);
	for (int i = 0; i <= CLI_REPEATS_MAX; i++)
		many[i] = "--local=10.0.0.1";
	many[CLI_REPEATS_MAX + 1] = file.path;
	assert_int_equal(replay(many, &printed), CLI_USAGE);
	free(printed);
	assert_int_equal(replay(many + 1, &printed), CLI_OK); /* one less is enough */
	assert_string_equal(printed, "");
	free(printed);

	log = fopen(file.path, "w");
	assert_non_null(log);
	fputs("tcpwlog\n", log);
	fclose(log);
	assert_int_equal(REPLAY(&printed, "--local=10.0.0.1", file.path), CLI_USAGE);
	free(printed);
	assert_int_equal(REPLAY(&printed, "--tunnels", file.path), CLI_USAGE);
	free(printed);
	capture_remove(&file);
	assert_int_equal(REPLAY(&printed, file.path), CLI_FAILED); /* it is gone */
	free(printed);
}

/* What could be read is told, and then that it was not all. */
static void cut_and_foreign_files_fail(void **state)
{
	struct capture_file file;
	char *printed;

	(void)state;
	begin(&file);
	three_connections(&file);
	capture_close(&file);
	assert_int_equal(truncate(file.path, 24 + 13 * (16 + 40) + 3 * 2 * 8 - 1), 0);
	assert_int_equal(REPLAY(&printed, file.path), CLI_FAILED);
	assert_non_null(strstr(printed, LINE_RESET));
	assert_non_null(strstr(printed, LINE_CLOSED));
	free(printed);
	assert_int_equal(truncate(file.path, 0), 0);
	assert_int_equal(REPLAY(&printed, file.path), CLI_FAILED);
	assert_string_equal(printed, "");
	free(printed);
	assert_int_equal(REPLAY(&printed, "/proc/self/status"), CLI_FAILED);
	free(printed);
	capture_remove(&file);

	capture_open(&file, (struct wrapping){ .link = DLT_IEEE802_11 }, 65535);
	capture_close(&file);
	assert_int_equal(REPLAY(&printed, file.path), CLI_FAILED);
	free(printed);
	capture_remove(&file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_in_the_order_of_ends),
		cmocka_unit_test(deadlines_are_in_order_too),
		cmocka_unit_test(then_in_the_order_of_tuples),
		cmocka_unit_test(events_of_the_log),
		cmocka_unit_test(local_addresses_turn_it),
		cmocka_unit_test(bad_arguments),
		cmocka_unit_test(cut_and_foreign_files_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
