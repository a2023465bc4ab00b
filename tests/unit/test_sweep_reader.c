/* SPDX-License-Identifier: GPL-2.0-only */
/* The process that reads the iterator: a pipe stands for the iterator, and may keep it waiting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "capture/sweep_reader.h"

#define PATIENCE_MS 10000

struct fixture {
	struct sweep_reader reader;
	int input[2]; /* a pipe: what the iterator would give */
	uint64_t cpu_ns;
	uint32_t found;
	uint16_t last_port;
};

static void count(void *context, const struct rec_socket *socket)
{
	struct fixture *fixture = context;

	fixture->found++;
	fixture->last_port = socket->local_port;
}

static int begin(void **state)
{
	static struct fixture fixture;

	memset(&fixture, 0, sizeof(fixture));
	sweep_reader_init(&fixture.reader);
	assert_int_equal(pipe2(fixture.input, O_CLOEXEC), 0);
	assert_int_equal(sweep_reader_give(&fixture.reader, fixture.input[0]), 0);
	*state = &fixture;
	return 0;
}

static int end(void **state)
{
	struct fixture *fixture = *state;

	sweep_reader_fini(&fixture->reader);
	close(fixture->input[0]);
	if (fixture->input[1] >= 0)
		close(fixture->input[1]);
	return 0;
}

static void put(struct fixture *fixture, uint16_t port)
{
	const struct rec_socket record = { .local_port = port };

	assert_int_equal(write(fixture->input[1], &record, sizeof(record)), sizeof(record));
}

static void put_end(struct fixture *fixture)
{
	close(fixture->input[1]);
	fixture->input[1] = -1;
}

/* The next outcome, waited for. */
static int take(struct fixture *fixture)
{
	struct pollfd pair = { .fd = fixture->reader.fd, .events = POLLIN };

	assert_int_equal(poll(&pair, 1, PATIENCE_MS), 1);
	return sweep_reader_take(&fixture->reader, count, fixture, &fixture->cpu_ns);
}

static void test_records_come_and_end(void **state)
{
	struct fixture *fixture = *state;

	put(fixture, 1);
	assert_int_equal(take(fixture), 1);
	put(fixture, 2);
	assert_int_equal(take(fixture), 1);
	put_end(fixture);
	assert_int_equal(take(fixture), 0);
	assert_int_equal(fixture->found, 2);
	assert_int_equal(fixture->last_port, 2);
	assert_true(fixture->cpu_ns > 0);
}

static void test_one_after_the_other(void **state)
{
	struct fixture *fixture = *state;
	pid_t pid = fixture->reader.pid;
	int next[2];

	put_end(fixture);
	assert_int_equal(take(fixture), 0);
	assert_int_equal(pipe2(next, O_CLOEXEC), 0);
	assert_int_equal(sweep_reader_give(&fixture->reader, next[0]), 0);
	fixture->input[1] = next[1];
	put(fixture, 7);
	assert_int_equal(take(fixture), 1);
	assert_int_equal(fixture->last_port, 7);
	assert_int_equal(fixture->reader.pid, pid);
	close(next[0]);
}

/* As a socket whose lock is held keeps the real iterator waiting. */
static void test_a_read_that_waits_keeps_nobody_else_waiting(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(sweep_reader_take(&fixture->reader, count, fixture, &fixture->cpu_ns),
			 -EAGAIN);
	sweep_reader_fini(&fixture->reader);
	assert_int_equal(fixture->reader.fd, -1);
}

static void test_its_death_is_told_and_the_next_takes_over(void **state)
{
	struct fixture *fixture = *state;
	pid_t pid = fixture->reader.pid;

	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_true(take(fixture) < 0);
	assert_int_equal(fixture->reader.fd, -1);
	assert_int_equal(sweep_reader_give(&fixture->reader, fixture->input[0]), 0);
	assert_int_not_equal(fixture->reader.pid, pid);
	put(fixture, 3);
	assert_int_equal(take(fixture), 1);
	assert_int_equal(fixture->found, 1);
}

static void test_half_a_record_is_refused(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(write(fixture->input[1], "x", 1), 1);
	assert_int_equal(take(fixture), -EPROTO);
	assert_int_equal(fixture->found, 0);
}

static void test_what_cannot_be_read_is_an_error(void **state)
{
	struct fixture *fixture = *state;
	int directory = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	put_end(fixture);
	assert_int_equal(take(fixture), 0);
	assert_int_equal(sweep_reader_give(&fixture->reader, directory), 0);
	assert_int_equal(take(fixture), -EISDIR);
	close(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_records_come_and_end, begin, end),
		cmocka_unit_test_setup_teardown(test_one_after_the_other, begin, end),
		cmocka_unit_test_setup_teardown(test_a_read_that_waits_keeps_nobody_else_waiting,
						begin, end),
		cmocka_unit_test_setup_teardown(test_its_death_is_told_and_the_next_takes_over,
						begin, end),
		cmocka_unit_test_setup_teardown(test_half_a_record_is_refused, begin, end),
		cmocka_unit_test_setup_teardown(test_what_cannot_be_read_is_an_error, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
