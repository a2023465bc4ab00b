/* SPDX-License-Identifier: GPL-2.0-only */
/* Requests that expire: what the counters and the queue tell together, and what a race must not. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

#include "listen/listeners.h"
#include "tcp_defs.h"

#define SECOND 1000000000ull

struct bench {
	struct listeners *listeners;
	struct listener_counters before, after; /* what BPF has counted, around a look */
	uint32_t syn_length;			/* what the look finds */
	uint64_t ts_ns;
	bool looked;
};

static int counters(void *context, uint64_t cookie, struct listener_reading *ret)
{
	const struct bench *bench = context;

	(void)cookie;
	memset(ret, 0, sizeof(*ret));
	ret->counters = bench->looked ? bench->after : bench->before;
	return 0;
}

static void forget(void *context, uint64_t cookie)
{
	(void)context;
	(void)cookie;
}

static void find(struct bench *bench, uint64_t cookie, uint32_t syn_length)
{
	const struct rec_socket rec = {
		.snapshot = { .cookie = cookie,
			      .state = KS_LISTEN,
			      .bits = SNAP_QUEUES,
			      .queues = { .syn_length = syn_length, .accept_limit = 16 } },
	};
	const struct observation seen = { .type = REC_SOCKET,
					  .ts_ns = bench->ts_ns,
					  .cookie = cookie,
					  .key = { .netns = 1, .local_port = 80 },
					  .socket = &rec };

	listeners_observe(bench->listeners, &seen);
}

static void look(void *context, const struct conn_key *key)
{
	struct bench *bench = context;

	(void)key;
	bench->looked = true;
	find(bench, 5, bench->syn_length);
}

/* One second later; nothing arrives while the queue is looked at. */
static struct listener_row look_again(struct bench *bench, uint32_t syn_length)
{
	struct listener_row rows[2], other;
	size_t total;

	bench->ts_ns += SECOND;
	bench->syn_length = syn_length;
	bench->looked = false;
	listeners_each_key(bench->listeners, look, bench);
	assert_int_equal(listeners_busiest(bench->listeners, rows, 2, &total, &other), 1);
	bench->before = bench->after;
	return rows[0];
}

static void begin(struct bench *bench, uint64_t requests)
{
	bench->after.syns += requests;
	bench->after.synacks += requests;
	bench->before = bench->after;
}

static void three_ends(void **state)
{
	struct bench *bench = *state;
	struct listener_row row;

	begin(bench, 4);
	assert_int_equal(look_again(bench, 4).requests_expired, 0);
	bench->after.handshakes++;
	bench->after.requests_reset++;
	bench->before = bench->after;
	assert_int_equal(look_again(bench, 2).requests_expired, 0);
	assert_int_equal(look_again(bench, 0).requests_expired, 0); /* one look alone */
	row = look_again(bench, 0);
	assert_int_equal(row.requests_expired, 2);
	assert_int_equal(row.requests_completed, 1);
	/* four for a second, two for one; none since the look that found none */
	assert_int_equal(row.half_open_ns, 6 * SECOND);
}

static void no_requests_stand_behind_cookies(void **state)
{
	struct bench *bench = *state;

	bench->after.cookies_sent = 7;
	bench->after.cookies_accepted = bench->after.handshakes = 3;
	begin(bench, 7);
	for (int i = 0; i < 3; i++)
		assert_int_equal(look_again(bench, 0).requests_expired, 0);
	assert_int_equal(look_again(bench, 0).requests_completed, 0);
}

/* SYNs and final ACKs that come between the readings and the look. */
static void arrivals_are_no_expiry(void **state)
{
	struct bench *bench = *state;

	for (int i = 0; i < 10; i++) {
		bench->after.syns += 100;
		bench->after.synacks += 100;
		bench->after.handshakes += 95;
		assert_int_equal(look_again(bench, 5 * (uint32_t)(i + 1)).requests_expired, 0);
	}
}

static void retransmitted_synacks_begin_nothing(void **state)
{
	struct bench *bench = *state;

	begin(bench, 1);
	bench->after.synacks += 5;
	bench->after.synacks_retransmitted = 5;
	bench->before = bench->after;
	for (int i = 0; i < 3; i++)
		assert_int_equal(look_again(bench, 1).requests_expired, 0);
}

/* Which member of a group a child is of, nobody can tell. */
static void nothing_is_told_of_groups(void **state)
{
	struct bench *bench = *state;

	find(bench, 6, 0);
	begin(bench, 4);
	for (int i = 0; i < 3; i++)
		assert_int_equal(look_again(bench, 0).requests_expired, 0);
}

static int setup(void **state)
{
	static struct bench bench;
	const struct listeners_ops ops = { &bench, false, counters, forget, NULL, NULL, NULL };

	memset(&bench, 0, sizeof(bench));
	bench.ts_ns = SECOND;
	bench.listeners = listeners_new(&ops, 2);
	*state = &bench;
	if (!bench.listeners)
		return -1;
	find(&bench, 5, 0);
	return 0;
}

static int teardown(void **state)
{
	listeners_free(((struct bench *)*state)->listeners);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(three_ends),
		TEST(no_requests_stand_behind_cookies),
		TEST(arrivals_are_no_expiry),
		TEST(retransmitted_synacks_begin_nothing),
		TEST(nothing_is_told_of_groups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
