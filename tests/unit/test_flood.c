/* SPDX-License-Identifier: GPL-2.0-only */
/* The rule that suspects SYN floods: when it begins and ends, and what it takes for none. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "listen/flood.h"
#include "util.h"

/* What comes in a second. */
struct second {
	uint64_t syns, handshakes, resets, listener_resets, accept_full, refused, filtered, other,
		deferred, queue_full, cookies, crowded;
	bool cookies_always;
};

struct bench {
	struct flood_watch watch;
	struct listener_counters counters;
	uint64_t now_ns;
	int changes;
};

static int setup(void **state)
{
	static struct bench bench;

	memset(&bench, 0, sizeof(bench));
	bench.now_ns = 1000 * NS_PER_SEC;
	*state = &bench;
	return 0;
}

static void pass(struct bench *bench, int seconds, const struct second *second)
{
	for (int i = 0; i < seconds; i++) {
		struct listener_counters *counters = &bench->counters;
		struct flood_totals totals = { 0 };

		counters->syns += second->syns;
		counters->handshakes += second->handshakes;
		counters->requests_reset += second->resets;
		counters->resets += second->listener_resets;
		counters->deferred += second->deferred;
		counters->cookies_sent += second->cookies;
		counters->cookies_wanted += second->cookies;
		counters->drops[LISTENER_DROP_ACCEPT_QUEUE_FULL] += second->accept_full;
		counters->drops[LISTENER_DROP_FINAL_ACK_REFUSED] += second->refused;
		counters->drops[LISTENER_DROP_FILTERED] += second->filtered;
		counters->drops[LISTENER_DROP_OTHER] += second->other;
		counters->drops[LISTENER_DROP_SYN_QUEUE_FULL] += second->queue_full;
		if (!second->cookies_always)
			counters->syn_fill.buckets[FILL_BUCKETS - 1] += second->cookies;
		counters->syn_fill.buckets[4] += second->crowded;
		bench->now_ns += NS_PER_SEC;
		totals.ts_ns = bench->now_ns;
		flood_add(&totals, counters);
		bench->changes += flood_judge(&bench->watch, &totals);
	}
}

static void begins_and_ends(void **state)
{
	struct bench *bench = *state;

	pass(bench, 10, &(struct second){ .syns = 100, .handshakes = 100 });
	assert_false(bench->watch.suspected);
	pass(bench, 3, &(struct second){ .syns = 1000, .handshakes = 100, .cookies = 800 });
	assert_false(bench->watch.suspected); /* they may yet answer */
	pass(bench, 5, &(struct second){ .syns = 1000, .handshakes = 100, .cookies = 800 });
	assert_true(bench->watch.suspected);
	assert_int_equal(bench->changes, 1);
	pass(bench, 60, &(struct second){ .syns = 1000, .handshakes = 100, .cookies = 800 });
	assert_true(bench->watch.suspected);
	assert_in_range(bench->watch.facts.rate, 950, 1000);
	assert_int_equal(bench->watch.facts.answered, 16); /* 8 seconds' answers for 5's SYNs */
	pass(bench, FLOOD_CALM_SECONDS, &(struct second){ .syns = 100, .handshakes = 100 });
	assert_true(bench->watch.suspected);
	pass(bench, FLOOD_WINDOW_SECONDS + 2, &(struct second){ .syns = 100, .handshakes = 100 });
	assert_false(bench->watch.suspected);
	assert_int_equal(bench->changes, 2);
}

static void from_the_first_second(void **state)
{
	struct bench *bench = *state;

	pass(bench, 6, &(struct second){ .syns = 60, .queue_full = 50 });
	assert_true(bench->watch.suspected);
}

static void pauses_do_not_end_it(void **state)
{
	struct bench *bench = *state;

	pass(bench, 8, &(struct second){ .syns = 1000, .cookies = 1000 });
	for (int i = 0; i < 5; i++) {
		pass(bench, 6, &(struct second){ .syns = 0 });
		pass(bench, 8, &(struct second){ .syns = 1000, .cookies = 1000 });
	}
	assert_true(bench->watch.suspected);
	assert_int_equal(bench->changes, 1);
}

static void no_flood(void **state)
{
	static const struct second harmless[] = {
		/* 20,000 connections a second, the queues half full at times */
		{ .syns = 20000, .handshakes = 20000, .crowded = 15000 },
		/* the same with cookies: a crowd, but it answers */
		{ .syns = 20000, .handshakes = 18000, .cookies = 15000 },
		/* an application that does not accept: SYNs dropped, again and again, and ACKs */
		{ .syns = 500, .accept_full = 480, .refused = 20 },
		/* slow clients: they come, and complete */
		{ .syns = 49, .crowded = 49 },
		{ .syns = 1000, .deferred = 1000, .crowded = 1000 },
		/* a scan: it resets what it opens; or fills no queue; or is filtered */
		{ .syns = 5000, .resets = 5000, .crowded = 5000 },
		{ .syns = 5000 },
		{ .syns = 5000, .filtered = 5000 },
		/* SYN-ACKs that a firewall of ours eats */
		{ .syns = 5000, .other = 5000, .crowded = 5000 },
		/* tcp_syncookies 2 */
		{ .syns = 1000, .handshakes = 900, .cookies = 1000, .cookies_always = true },
		{ .syns = 1000, .listener_resets = 900, .cookies = 1000, .cookies_always = true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(harmless); i++) {
		struct bench *bench = *state;

		setup(state);
		pass(bench, 30, &harmless[i]);
		assert_false(bench->watch.suspected);
		pass(bench, 30, &(struct second){ 0 });
		assert_int_equal(bench->changes, 0);
	}
}

/* All within three seconds of each other, so that at first nobody seems to answer. */
static void slow_path(void **state)
{
	struct bench *bench = *state;

	pass(bench, 2, &(struct second){ .syns = 1000, .cookies = 500 });
	pass(bench, 20, &(struct second){ .syns = 1000, .handshakes = 1000, .cookies = 500 });
	assert_int_equal(bench->changes, 0);
	pass(bench, 2, &(struct second){ .handshakes = 1000 });
	pass(bench, 20, &(struct second){ 0 });
	assert_int_equal(bench->changes, 0);
}

static void flood_under_each_setting(void **state)
{
	static const struct second floods[] = {
		{ .syns = 1000, .queue_full = 900 },
		{ .syns = 1000, .cookies = 900 },
		{ .syns = 1000, .cookies = 1000, .cookies_always = true },
		{ .syns = 1000, .crowded = 600 },
		/* beside ordinary clients, and others that meet a full accept queue */
		{ .syns = 1300, .handshakes = 100, .accept_full = 200, .cookies = 900 },
		/* RSTs to the listener prove nothing where requests are made */
		{ .syns = 1000, .cookies = 900, .listener_resets = 1000 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(floods); i++) {
		struct bench *bench = *state;

		setup(state);
		pass(bench, 8, &floods[i]);
		assert_true(bench->watch.suspected);
	}
}

/* A member of a group closes, and its counts with it. */
static void totals_that_go_back(void **state)
{
	struct bench *bench = *state;

	pass(bench, 10, &(struct second){ .syns = 1000, .handshakes = 1000, .crowded = 900 });
	memset(&bench->counters, 0, sizeof(bench->counters));
	pass(bench, 20, &(struct second){ .syns = 1000, .handshakes = 1000, .crowded = 900 });
	assert_int_equal(bench->changes, 0);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(begins_and_ends),
		TEST(from_the_first_second),
		TEST(pauses_do_not_end_it),
		TEST(no_flood),
		TEST(slow_path),
		TEST(flood_under_each_setting),
		TEST(totals_that_go_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
