/* SPDX-License-Identifier: GPL-2.0-only */
/* Which flows are recorded, and how budgets move that, over made-up windows. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "sampling.h"

#define SEED 0x5eed5eed5eed5eedull
#define BUDGET 1000u
#define FLOWS 65536u

static uint32_t hash_of(uint32_t remote, uint16_t port, uint64_t seed)
{
	const uint32_t local[4] = { 0x0a000001 }, far[4] = { remote };

	return sampling_hash(local, 443, far, port, 0, seed);
}

static void test_hash_is_symmetric(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 1000; i++) {
		const uint32_t one[4] = { i * 2654435761u, i, ~i, i << 7 };
		const uint32_t other[4] = { ~i * 40503u, i + 1, i ^ 77, i >> 3 };
		uint16_t port = (uint16_t)(i * 31), far = (uint16_t)(i * 7 + 1);

		for (int ipv6 = 0; ipv6 <= 1; ipv6++)
			assert_int_equal(sampling_hash(one, port, other, far, ipv6, SEED),
					 sampling_hash(other, far, one, port, ipv6, SEED));
	}
}

/* Every word and port counts, IPv4 has one word, and another seed is another hash. */
static void test_hash_takes_everything_in(void **state)
{
	const uint32_t local[4] = { 1, 2, 3, 4 };
	uint32_t base, v4;

	(void)state;
	base = sampling_hash(local, 443, (uint32_t[]){ 5, 6, 7, 8 }, 99, 1, SEED);
	v4 = sampling_hash(local, 443, (uint32_t[]){ 5, 6, 7, 8 }, 99, 0, SEED);
	for (int word = 0; word < 4; word++) {
		uint32_t remote[4] = { 5, 6, 7, 8 };

		remote[word] ^= 1u << 31;
		assert_int_not_equal(sampling_hash(local, 443, remote, 99, 1, SEED), base);
		assert_int_equal(sampling_hash(local, 443, remote, 99, 0, SEED) == v4, word > 0);
	}
	assert_int_not_equal(sampling_hash(local, 443, (uint32_t[]){ 5, 6, 7, 8 }, 98, 1, SEED),
			     base);
	assert_int_not_equal(sampling_hash(local, 442, (uint32_t[]){ 5, 6, 7, 8 }, 99, 1, SEED),
			     base);
	assert_int_not_equal(sampling_hash(local, 443, (uint32_t[]){ 5, 6, 7, 8 }, 99, 1, SEED + 1),
			     base);
}

/* One flow in 2^shift, whether addresses count up, ports do, or both are anything. */
static void test_share(void **state)
{
	(void)state;
	for (uint32_t shift = 0; shift <= 10; shift++) {
		uint32_t taken[3] = { 0 }, want = FLOWS >> shift;

		for (uint32_t i = 0; i < FLOWS; i++) {
			taken[0] += sampling_takes(hash_of(i, 40000, SEED), shift);
			taken[1] += sampling_takes(hash_of(0x0a000002, (uint16_t)i, SEED), shift);
			taken[2] += sampling_takes(
				hash_of(i * 2654435761u, (uint16_t)(i * 40503u), SEED), shift);
		}
		/* five standard deviations: sqrt(n) each */
		for (int i = 0; i < 3; i++) {
			int64_t off = (int64_t)taken[i] - want;

			assert_true(off * off <= 25 * (int64_t)want);
		}
	}
}

/* Who is followed at a shift was followed at every lesser one: a rise only ever ends stories. */
static void test_shifts_are_nested(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 4096; i++)
		for (uint32_t shift = 1; shift <= SAMPLING_SHIFT_MAX; shift++)
			if (sampling_takes(hash_of(i, 1, SEED), shift))
				assert_true(sampling_takes(hash_of(i, 1, SEED), shift - 1));
}

static void test_slots(void **state)
{
	struct sampling_site site = { .netns = 4026532000u };
	uint8_t *seen = calloc(SAMPLING_SLOTS, 1);

	(void)state;
	assert_non_null(seen);
	for (uint32_t port = 0; port < 65536; port++) {
		site.port = (uint16_t)port;
		assert_true(sampling_slot_of(&site) < SAMPLING_PORTS);
		assert_int_equal(seen[sampling_slot_of(&site)]++, 0);
	}
	site.port = 0;
	for (site.ifindex = 1; site.ifindex <= SAMPLING_INTERFACES; site.ifindex++) {
		assert_true(sampling_slot_of(&site) >= SAMPLING_PORTS);
		assert_true(sampling_slot_of(&site) < SAMPLING_SLOTS);
		assert_int_equal(seen[sampling_slot_of(&site)]++, 0);
	}
	free(seen);
}

static void test_needed(void **state)
{
	(void)state;
	for (uint32_t offered = 0; offered < 70000; offered += 1 + offered / 16)
		for (uint32_t budget = 1; budget < 5000; budget += 1 + budget / 3) {
			uint32_t shift = 0;

			while (offered >> shift > budget / 2)
				shift++;
			assert_int_equal(sampling_needed(offered, budget), shift);
		}
	assert_int_equal(sampling_needed(UINT32_MAX, 1), SAMPLING_SHIFT_MAX);
	for (uint32_t bits = 1; bits <= 32; bits++) {
		assert_int_equal(sampling_bits(UINT32_MAX >> (32 - bits)), bits);
		assert_int_equal(sampling_bits(1u << (bits - 1)), bits);
	}
	assert_int_equal(sampling_bits(0), 0);
}

/* ---- budgets ---- */

struct course {
	struct sampling_slot slot;
	uint64_t now_ns;
	uint32_t changes, most; /* most recorded in one window */
	struct sampling_change last;
};

static struct course course_begin(void)
{
	return (struct course){ .now_ns = 1000 * SAMPLING_WINDOW_NS };
}

/* So many flows of one record each, evenly over so many windows; time passes at their end. */
static void run(struct course *course, uint32_t windows, uint32_t a_window)
{
	struct sampling_change change;
	uint32_t flow = 0;

	for (uint32_t w = 0; w < windows; w++) {
		uint64_t begin_ns = course->now_ns;
		uint32_t recorded = 0;

		for (uint32_t i = 0; i < a_window; i++) {
			bool taken = sampling_takes(hash_of(flow++ * 2654435761u, 80, SEED),
						    sampling_shift(&course->slot));

			course->now_ns = begin_ns + i * SAMPLING_WINDOW_NS / a_window;
			recorded += taken;
			if (!sampling_account(&course->slot, course->now_ns, 1, taken, BUDGET,
					      &change))
				continue;
			course->last = change;
			course->changes++;
			assert_int_equal(sampling_shift(&course->slot), change.to);
		}
		if (recorded > course->most)
			course->most = recorded;
		course->now_ns = begin_ns + SAMPLING_WINDOW_NS;
		if (sampling_account(&course->slot, course->now_ns, 0, 0, BUDGET, &change)) {
			course->last = change;
			course->changes++;
		}
	}
}

static void test_within_the_budget(void **state)
{
	struct course course = course_begin();

	(void)state;
	run(&course, 50, BUDGET - 1);
	assert_int_equal(course.changes, 0);
	assert_int_equal(sampling_shift(&course.slot), 0);
}

/* At any rate: raised within the window, steady from then on, and never much over the budget. */
static void test_flood(void **state)
{
	(void)state;
	for (uint32_t factor = 2; factor <= 200; factor += factor / 2) {
		struct course course = course_begin();
		uint32_t changes, shift;

		run(&course, 1, BUDGET * factor);
		assert_true(sampling_shift(&course.slot) > 0);
		run(&course, 3, BUDGET * factor);
		changes = course.changes;
		shift = sampling_shift(&course.slot);
		course.most = 0;
		run(&course, 40, BUDGET * factor);
		assert_int_equal(course.changes, changes);
		assert_int_equal(sampling_shift(&course.slot), shift);
		assert_true(course.most <= BUDGET);
		assert_true(course.most >= BUDGET / 8);
	}
}

static void test_first_window(void **state)
{
	struct course course = course_begin();

	(void)state;
	run(&course, 1, 100 * BUDGET);
	assert_true(course.most <= 3 * BUDGET);
}

/* It ends, and nothing comes any more: daemon's time alone lowers it, in one step. */
static void test_recovery_in_silence(void **state)
{
	struct course course = course_begin();
	uint32_t changes;

	(void)state;
	run(&course, 5, 50 * BUDGET);
	changes = course.changes;
	run(&course, SAMPLING_CALM - 1, 0);
	assert_true(sampling_shift(&course.slot) > 0);
	run(&course, 2, 0);
	assert_int_equal(sampling_shift(&course.slot), 0);
	assert_int_equal(course.changes, changes + 1);
	assert_int_equal(course.last.to, 0);
}

/* Silence that nobody watched: the first record after it closes all windows at once. */
static void test_recovery_by_the_next_record(void **state)
{
	struct course course = course_begin();
	struct sampling_change change;

	(void)state;
	run(&course, 5, 50 * BUDGET);
	course.now_ns += 100 * SAMPLING_WINDOW_NS;
	assert_true(sampling_account(&course.slot, course.now_ns, 1, 0, BUDGET, &change));
	assert_int_equal(change.to, 0);
	assert_int_equal(sampling_shift(&course.slot), 0);
}

/* Ordinary traffic remains: it is back at 0 within two runs of calm windows. */
static void test_recovery_under_load(void **state)
{
	struct course course = course_begin();

	(void)state;
	run(&course, 5, 50 * BUDGET);
	run(&course, 1, 20 * BUDGET); /* it ends within this window */
	run(&course, 2 * SAMPLING_CALM + 1, BUDGET / 3);
	assert_int_equal(sampling_shift(&course.slot), 0);
}

/* A lesser flood: the shift follows, and stays there. */
static void test_lesser_flood(void **state)
{
	struct course course = course_begin();
	uint32_t high, changes;

	(void)state;
	run(&course, 5, 100 * BUDGET);
	high = sampling_shift(&course.slot);
	run(&course, 2 * SAMPLING_CALM, 10 * BUDGET);
	assert_true(sampling_shift(&course.slot) < high);
	assert_true(sampling_shift(&course.slot) > 2);
	changes = course.changes;
	run(&course, 4 * SAMPLING_CALM, 10 * BUDGET);
	assert_int_equal(course.changes, changes);
}

/* A flood that comes and goes with the windows does not move the shift with it. */
static void test_pulses(void **state)
{
	struct course course = course_begin();
	uint32_t changes;

	(void)state;
	for (int i = 0; i < 5; i++)
		run(&course, 2, 40 * BUDGET);
	changes = course.changes;
	for (int i = 0; i < 10; i++) {
		run(&course, SAMPLING_CALM / 2, 0);
		run(&course, 1, 40 * BUDGET);
	}
	assert_int_equal(course.changes, changes);
}

/* One flow alone, which no shift thins out but the one that leaves it out. */
static void test_flood_of_one_flow(void **state)
{
	(void)state;
	for (uint32_t flow = 0; flow < 64; flow++) {
		struct course course = course_begin();
		uint32_t hash = hash_of(flow, 80, SEED), recorded = 0;
		struct sampling_change change;

		for (uint32_t i = 0; i < 40 * BUDGET; i++) {
			bool taken = sampling_takes(hash, sampling_shift(&course.slot));

			course.now_ns += SAMPLING_WINDOW_NS / (20 * BUDGET);
			recorded += taken;
			sampling_account(&course.slot, course.now_ns, 1, taken, BUDGET, &change);
		}
		assert_false(sampling_takes(hash, sampling_shift(&course.slot)));
		assert_true(recorded <= 8 * BUDGET);
	}
}

static void test_largest_shift(void **state)
{
	struct course course = course_begin();
	struct sampling_change change;

	(void)state;
	/* all of it is one flow with a hash of 0: no shift leaves it out */
	for (uint32_t i = 0; i < 100 * BUDGET; i++)
		sampling_account(&course.slot, course.now_ns++, 1, 1, BUDGET, &change);
	assert_int_equal(sampling_shift(&course.slot), SAMPLING_SHIFT_MAX);
}

/* Another CPU's clock is a little behind, over the end of a window. */
static void test_clock_behind(void **state)
{
	struct course course = course_begin();
	struct sampling_change change;

	(void)state;
	run(&course, 5, 50 * BUDGET);
	assert_false(sampling_account(&course.slot, course.now_ns - 10, 1, 0, BUDGET, &change));
	assert_true(sampling_shift(&course.slot) > 0);
	assert_int_equal(course.slot.window, course.now_ns >> SAMPLING_WINDOW_SHIFT);
}

static void test_window_budget(void **state)
{
	(void)state;
	assert_int_equal(sampling_window_budget(0), 0);
	assert_int_equal(sampling_window_budget(1), 1);
	assert_int_equal(sampling_window_budget(1000000), 134217);
	assert_int_equal(sampling_window_budget(1u << 30), 144115188);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hash_is_symmetric),
		cmocka_unit_test(test_hash_takes_everything_in),
		cmocka_unit_test(test_share),
		cmocka_unit_test(test_shifts_are_nested),
		cmocka_unit_test(test_slots),
		cmocka_unit_test(test_needed),
		cmocka_unit_test(test_within_the_budget),
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_first_window),
		cmocka_unit_test(test_recovery_in_silence),
		cmocka_unit_test(test_recovery_by_the_next_record),
		cmocka_unit_test(test_recovery_under_load),
		cmocka_unit_test(test_lesser_flood),
		cmocka_unit_test(test_pulses),
		cmocka_unit_test(test_flood_of_one_flow),
		cmocka_unit_test(test_largest_shift),
		cmocka_unit_test(test_clock_behind),
		cmocka_unit_test(test_window_budget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
