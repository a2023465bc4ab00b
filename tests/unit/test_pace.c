/* SPDX-License-Identifier: GPL-2.0-only */
/* How long the loop sleeps: under load, without, and in between. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "capture/ring.h"
#include "cli/pace.h"

#define START_NS (5 * NS_PER_SEC)
#define FILL_WANTED (RING_FULL / 8)

/* A turn after the sleep that was due. */
static void turn(struct pace *pace, struct pace_turn found)
{
	pace_turned(pace, pace->turned_ns + pace->sleep_ns, &found);
}

/* So many records come that a ring fills in fill_ns: what the loop finds in the long run. */
static uint64_t settle(struct pace *pace, uint64_t fill_ns)
{
	for (int i = 0; i < 20; i++) {
		uint64_t fill = pace->sleep_ns * RING_FULL / fill_ns;

		turn(pace, (struct pace_turn){ .took = true, .fill = (unsigned int)fill });
	}
	return pace->sleep_ns;
}

static void make_idle(struct pace *pace)
{
	pace_begin(pace, START_NS);
	for (int i = 0; i < 20; i++)
		turn(pace, (struct pace_turn){ 0 });
}

static void sleeps_longer_and_longer_without_records(void **state)
{
	struct pace pace;
	uint64_t before;

	(void)state;
	pace_begin(&pace, START_NS);
	assert_int_equal(pace.sleep_ns, PACE_SHORTEST_NS);
	assert_false(pace_is_idle(&pace));
	do {
		before = pace.sleep_ns;
		turn(&pace, (struct pace_turn){ 0 });
		assert_true(pace.sleep_ns <= 2 * before);
	} while (pace.sleep_ns > before);
	assert_int_equal(pace.sleep_ns, PACE_IDLE_NS);
	assert_true(pace_is_idle(&pace));
}

static void does_not_sleep_long_while_something_is_under_way(void **state)
{
	struct pace pace;

	(void)state;
	make_idle(&pace);
	turn(&pace, (struct pace_turn){ .busy = true });
	assert_int_equal(pace.sleep_ns, PACE_LOADED_NS);
	assert_false(pace_is_idle(&pace));
}

static void finds_an_eighth_of_a_ring_under_load(void **state)
{
	struct pace pace;
	uint64_t sleep_ns;

	(void)state;
	pace_begin(&pace, START_NS);
	/* Between the shortest and the longest. */
	sleep_ns = settle(&pace, 400 * NS_PER_MS);
	assert_in_range(sleep_ns, 48 * NS_PER_MS, 55 * NS_PER_MS);
	/* A few records. */
	assert_int_equal(settle(&pace, 100 * NS_PER_SEC), PACE_LOADED_NS);
	assert_false(pace_is_idle(&pace));
	/* More than it can do anything about. */
	assert_int_equal(settle(&pace, 60 * NS_PER_MS), PACE_SHORTEST_NS);
}

/* A burst: no sleep is longer than it takes to half fill the ring, after the first. */
static void shortens_at_once_and_lengthens_by_and_by(void **state)
{
	struct pace pace;

	(void)state;
	pace_begin(&pace, START_NS);
	settle(&pace, 100 * NS_PER_SEC);
	pace_turned(&pace, pace.turned_ns + 50 * NS_PER_MS,
		    &(struct pace_turn){ .took = true, .woken = true, .fill = RING_FULL / 2 });
	assert_int_equal(pace.sleep_ns, PACE_SHORTEST_NS);
	turn(&pace, (struct pace_turn){ .took = true, .fill = 1 });
	assert_int_equal(pace.sleep_ns, 2 * PACE_SHORTEST_NS);
}

/* The record that wakes it is too young to be taken. */
static void turns_soon_when_a_record_ends_a_long_sleep(void **state)
{
	struct pace pace;

	(void)state;
	make_idle(&pace);
	pace_turned(&pace, pace.turned_ns + 300 * NS_PER_MS, &(struct pace_turn){ .woken = true });
	assert_int_equal(pace.sleep_ns, PACE_SHORTEST_NS);
	make_idle(&pace);
	pace_turned(&pace, pace.turned_ns + 300 * NS_PER_MS,
		    &(struct pace_turn){ .took = true, .woken = true });
	assert_int_equal(pace.sleep_ns, PACE_SHORTEST_NS);
}

static void a_deadline_ends_a_long_sleep_and_no_short_one(void **state)
{
	const int loaded_ms = PACE_LOADED_NS / NS_PER_MS, idle_ms = PACE_IDLE_NS / NS_PER_MS;
	struct pace pace;

	(void)state;
	make_idle(&pace);
	assert_int_equal(pace_patience(&pace, UINT64_MAX), idle_ms);
	assert_int_equal(pace_patience(&pace, pace.turned_ns + 300 * NS_PER_MS), 300);
	assert_int_equal(pace_patience(&pace, pace.turned_ns + 3 * NS_PER_MS), loaded_ms);
	assert_int_equal(pace_patience(&pace, pace.turned_ns - 3 * NS_PER_MS), loaded_ms);
	assert_int_equal(pace_patience(&pace, 0), PACE_SHORTEST_NS / NS_PER_MS);
	settle(&pace, 400 * NS_PER_MS);
	assert_int_equal(pace_patience(&pace, pace.turned_ns + NS_PER_MS),
			 pace.sleep_ns / NS_PER_MS);
	assert_int_equal(pace_patience(&pace, 0), PACE_SHORTEST_NS / NS_PER_MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sleeps_longer_and_longer_without_records),
		cmocka_unit_test(does_not_sleep_long_while_something_is_under_way),
		cmocka_unit_test(finds_an_eighth_of_a_ring_under_load),
		cmocka_unit_test(shortens_at_once_and_lengthens_by_and_by),
		cmocka_unit_test(turns_soon_when_a_record_ends_a_long_sleep),
		cmocka_unit_test(a_deadline_ends_a_long_sleep_and_no_short_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
