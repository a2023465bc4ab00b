/* SPDX-License-Identifier: GPL-2.0-only */
/* Letters to the data thread: answered, given up while queued, given up while running, refused
 * after closing; and in each case freed exactly once. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdlib.h>

#include "export/mailbox.h"

#define LONG_MS 60000

struct request {
	int ran;
	sem_t *entered, *leave; /* if set: run() posts one and waits for the other */
};

static int released;

static void run(void *argument)
{
	struct request *request = argument;

	if (request->entered) {
		sem_post(request->entered);
		sem_wait(request->leave);
	}
	request->ran++;
}

static void release(void *argument)
{
	released++;
	free(argument);
}

static struct request *new_request(void)
{
	struct request *request = calloc(1, sizeof(*request));

	assert_non_null(request);
	return request;
}

/* The data thread. */
struct server {
	struct mailbox *mailbox;
	_Atomic bool stop;
	pthread_t thread;
};

static void *serve(void *argument)
{
	struct server *server = argument;
	struct pollfd fd = { .fd = mailbox_fd(server->mailbox), .events = POLLIN };

	while (!server->stop)
		if (poll(&fd, 1, 10) == 1)
			mailbox_serve(server->mailbox);
	return NULL;
}

static void start(struct server *server)
{
	server->mailbox = mailbox_new();
	assert_non_null(server->mailbox);
	assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

static void stop(struct server *server)
{
	server->stop = true;
	pthread_join(server->thread, NULL);
}

static void test_answered(void **state)
{
	struct server server = { 0 };
	struct request *request = new_request();

	(void)state;
	released = 0;
	start(&server);
	assert_int_equal(mailbox_call(server.mailbox, run, request, release, LONG_MS), 0);
	stop(&server);
	assert_int_equal(request->ran, 1);
	assert_int_equal(released, 0);
	free(request);
	mailbox_free(server.mailbox);
}

/* Nobody serves: the letter is taken back, and a later serve finds nothing of it. */
static void test_given_up_in_the_queue(void **state)
{
	struct mailbox *mailbox = mailbox_new();

	(void)state;
	released = 0;
	assert_int_equal(mailbox_call(mailbox, run, new_request(), release, 20), -ETIMEDOUT);
	assert_int_equal(released, 1);
	mailbox_serve(mailbox);
	assert_int_equal(released, 1);
	mailbox_free(mailbox);
}

/* The answer comes after the caller has gone: it is written into memory that is still there (the
 * sanitizers watch), and freed by the data thread. */
static void test_given_up_while_running(void **state)
{
	struct server server = { 0 };
	unsigned int patience_ms = 20;
	sem_t entered, leave;

	(void)state;
	sem_init(&entered, 0, 0);
	sem_init(&leave, 0, 0);
	start(&server);
	/* On a busy machine patience may end before the run begins: then with more of it. */
	do {
		struct request *request = new_request();

		released = 0;
		request->entered = &entered;
		request->leave = &leave;
		assert_int_equal(mailbox_call(server.mailbox, run, request, release, patience_ms),
				 -ETIMEDOUT);
		patience_ms *= 2;
	} while (sem_trywait(&entered));
	assert_int_equal(released, 0);
	sem_post(&leave);
	stop(&server);
	assert_int_equal(released, 1);
	sem_destroy(&entered);
	sem_destroy(&leave);
	mailbox_free(server.mailbox);
}

static void *close_later(void *argument)
{
	struct mailbox *mailbox = argument;
	struct pollfd fd = { .fd = mailbox_fd(mailbox), .events = POLLIN };

	/* until somebody waits inside */
	poll(&fd, 1, LONG_MS);
	mailbox_close(mailbox);
	return NULL;
}

static void test_closed(void **state)
{
	struct mailbox *mailbox = mailbox_new();
	pthread_t thread;

	(void)state;
	released = 0;
	pthread_create(&thread, NULL, close_later, mailbox);
	assert_int_equal(mailbox_call(mailbox, run, new_request(), release, LONG_MS), -ESHUTDOWN);
	pthread_join(thread, NULL);
	assert_int_equal(mailbox_call(mailbox, run, new_request(), release, LONG_MS), -ESHUTDOWN);
	assert_int_equal(released, 2);
	mailbox_free(mailbox);
}

#define CALLERS 8
#define CALLS 500

static void *call_often(void *argument)
{
	struct mailbox *mailbox = argument;
	uintptr_t answered = 0;

	for (int i = 0; i < CALLS; i++) {
		struct request *request = calloc(1, sizeof(*request));

		/* every fourth without patience, so that both ways are taken at once */
		if (!mailbox_call(mailbox, run, request, free, i % 4 ? LONG_MS : 0)) {
			answered += request->ran == 1;
			free(request);
		}
	}
	return (void *)answered;
}

static void test_many_callers(void **state)
{
	struct server server = { 0 };
	pthread_t callers[CALLERS];

	(void)state;
	start(&server);
	for (int i = 0; i < CALLERS; i++)
		pthread_create(&callers[i], NULL, call_often, server.mailbox);
	for (int i = 0; i < CALLERS; i++) {
		void *answered;

		pthread_join(callers[i], &answered);
		assert_true((uintptr_t)answered >= CALLS * 3 / 4);
	}
	stop(&server);
	mailbox_free(server.mailbox);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answered),
		cmocka_unit_test(test_given_up_in_the_queue),
		cmocka_unit_test(test_given_up_while_running),
		cmocka_unit_test(test_closed),
		cmocka_unit_test(test_many_callers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
