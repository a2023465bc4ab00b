/* SPDX-License-Identifier: GPL-2.0-only */
/* Who holds a socket: this process its own, found a few links at a time; nobody one that is gone. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "listen/owners.h"

/* There is an end to every /proc. */
#define STEPS_MAX 1000000

struct answers {
	size_t count;
	struct owner_found last;
};

static void take(void *context, const struct owner_found *owner)
{
	struct answers *answers = context;

	answers->count++;
	answers->last = *owner;
}

static uint32_t inode_of(int fd)
{
	struct stat status;

	assert_int_equal(fstat(fd, &status), 0);
	return (uint32_t)status.st_ino;
}

static struct answers search(const struct diag_socket *sockets, size_t count, size_t links)
{
	struct owner_search *search = owner_search_new();
	struct answers answers = { 0 };
	size_t steps = 0;

	assert_non_null(search);
	assert_false(owner_search_busy(search));
	for (size_t i = 0; i < count; i++)
		assert_int_equal(owner_search_want(search, &sockets[i], 7), 0);
	while (owner_search_busy(search) && steps++ < STEPS_MAX)
		owner_search_step(search, links, take, &answers);
	assert_true(steps < STEPS_MAX);
	owner_search_free(search);
	return answers;
}

static void finds_its_own(void **state)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	const struct diag_socket wanted = { .cookie = 4711, .inode = inode_of(fd) };

	(void)state;
	for (size_t links = 1; links <= 1000; links *= 10) {
		struct answers answers = search(&wanted, 1, links);

		assert_int_equal(answers.count, 1);
		assert_int_equal(answers.last.pid, getpid());
		assert_int_equal(answers.last.netns, 7);
		assert_int_equal(answers.last.socket.cookie, 4711);
		assert_string_equal(answers.last.comm, "test_owners");
	}
	close(fd);
}

/* Behind more links than the first round reads. */
static void finds_deep(void **state)
{
	struct diag_socket wanted = { .cookie = 4712 };
	int fds[1000], last = -1;

	(void)state;
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM, 0);
		assert_true(fds[i] >= 0);
		last = fds[i];
	}
	wanted.inode = inode_of(last);
	assert_int_equal(search(&wanted, 1, 1000).last.pid, getpid());
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		close(fds[i]);
}

static void gives_up(void **state)
{
	const struct diag_socket wanted[] = { { .inode = 0xfffffffe }, { .inode = 0xffffffff } };

	(void)state;
	assert_int_equal(search(wanted, 2, 1000).count, 0);
}

static void searches_again(void **state)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	const struct diag_socket gone = { .inode = 0xffffffff }, here = { .inode = inode_of(fd) };
	struct owner_search *search = owner_search_new();
	struct answers answers = { 0 };

	(void)state;
	owner_search_want(search, &gone, 1);
	while (owner_search_busy(search))
		owner_search_step(search, 1000, take, &answers);
	owner_search_want(search, &here, 1);
	while (owner_search_busy(search))
		owner_search_step(search, 1000, take, &answers);
	assert_int_equal(answers.count, 1);
	owner_search_free(search);
	close(fd);
}

static void place_of_a_process(void **state)
{
	struct place place;

	(void)state;
	owner_place((uint32_t)getpid(), &place);
	assert_true(place.known);
	owner_place(0x7fffffff, &place);
	assert_false(place.known);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_its_own),      cmocka_unit_test(finds_deep),
		cmocka_unit_test(gives_up),	      cmocka_unit_test(searches_again),
		cmocka_unit_test(place_of_a_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
