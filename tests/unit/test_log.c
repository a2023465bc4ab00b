/* SPDX-License-Identifier: GPL-2.0-only */
/* Log lines as they reach stderr, in every dress, and the rate limiter. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"

static FILE *captured;
static int real_stderr;

static int capture(void **state)
{
	(void)state;
	unsetenv("JOURNAL_STREAM");
	captured = tmpfile();
	real_stderr = dup(STDERR_FILENO);
	return captured && real_stderr >= 0 &&
			       dup2(fileno(captured), STDERR_FILENO) == STDERR_FILENO ?
		       0 :
		       -1;
}

static int release(void **state)
{
	(void)state;
	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	fclose(captured);
	unsetenv("JOURNAL_STREAM");
	log_init(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	return 0;
}

/* All that was logged since the test began. */
static const char *logged(void)
{
	static char text[16384];
	ssize_t n = pread(fileno(captured), text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void test_levels(void **state)
{
	(void)state;
	log_init(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	log_err("port %d in use", 80);
	log_warn("slow\n");
	log_info("ready");
	log_debug("unseen");
	assert_string_equal(logged(), "tcpwitness: error: port 80 in use\n"
				      "tcpwitness: warn: slow\n"
				      "tcpwitness: ready\n");
	assert_true(log_enabled(LOG_LEVEL_INFO));
	assert_false(log_enabled(LOG_LEVEL_DEBUG));
}

static void test_errors_keep_errno(void **state)
{
	(void)state;
	log_init(LOG_LEVEL_ERR, LOG_FORMAT_TEXT);
	errno = ENOENT;
	log_err("open x: %m");
	assert_int_equal(errno, ENOENT);
	assert_int_equal(log_err_ret(-EBUSY, "attach to %s", "lo"), -EBUSY);
	assert_string_equal(logged(), "tcpwitness: error: open x: No such file or directory\n"
				      "tcpwitness: error: attach to lo: Device or resource busy\n");
}

static void test_logfmt_quotes(void **state)
{
	const char *line;

	(void)state;
	log_init(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT);
	log_warn("a \"b\" \\ c\nd\te");
	line = logged();
	/* ts=2026-01-02T03:04:05.678Z level=... */
	assert_int_equal(strncmp(line, "ts=2", 4), 0);
	assert_int_equal(line[3 + 10], 'T');
	assert_int_equal(line[3 + 23], 'Z');
	assert_string_equal(line + 3 + 24, " level=warn msg=\"a \\\"b\\\" \\\\ c\\nd\\x09e\"\n");
}

static void test_journal_gets_syslog_numbers(void **state)
{
	char stream[64];
	struct stat st;

	(void)state;
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_init(LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
	log_err("e");
	log_warn("w");
	log_info("i");
	log_debug("d");
	assert_string_equal(logged(), "<3>e\n<4>w\n<6>i\n<7>d\n");
}

/* The variable is inherited by everything under a unit; only the journal's own stream counts. */
static void test_another_stream_is_no_journal(void **state)
{
	(void)state;
	setenv("JOURNAL_STREAM", "1:1", 1);
	log_init(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	log_info("i");
	assert_string_equal(logged(), "tcpwitness: i\n");
}

static void test_long_lines_are_cut(void **state)
{
	static char text[9000];
	const char *line;

	(void)state;
	memset(text, '"', sizeof(text) - 1);
	log_init(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	log_info("%s", text);
	log_init(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT);
	log_info("%s", text);
	line = logged();
	assert_in_range(strcspn(line, "\n"), 4000, 4096);
	line = strchr(line, '\n') + 1;
	assert_in_range(strcspn(line, "\n"), 4000, 4096);
	line = strchr(line, '\n');
	assert_string_equal(line - 1, "\"\n");
}

static void test_limit(void **state)
{
	struct log_limit limit = LOG_LIMIT(2, 1);
	uint64_t suppressed = 99;

	(void)state;
	assert_true(log_limit_allows(&limit, 1000000000, &suppressed));
	assert_int_equal(suppressed, 0);
	assert_true(log_limit_allows(&limit, 1000000001, &suppressed));
	assert_false(log_limit_allows(&limit, 1000000002, &suppressed));
	assert_false(log_limit_allows(&limit, 1999999999, &suppressed));
	assert_true(log_limit_allows(&limit, 2000000000, &suppressed));
	assert_int_equal(suppressed, 2);
	assert_true(log_limit_allows(&limit, 2000000001, &suppressed));
	assert_int_equal(suppressed, 0);
	assert_false(log_limit_allows(&limit, 2000000002, &suppressed));
}

int main(void)
{
#define CAPTURED(test) cmocka_unit_test_setup_teardown(test, capture, release)
	const struct CMUnitTest tests[] = {
		CAPTURED(test_levels),
		CAPTURED(test_errors_keep_errno),
		CAPTURED(test_logfmt_quotes),
		CAPTURED(test_journal_gets_syslog_numbers),
		CAPTURED(test_another_stream_is_no_journal),
		CAPTURED(test_long_lines_are_cut),
		cmocka_unit_test(test_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
