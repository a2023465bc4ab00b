/* SPDX-License-Identifier: GPL-2.0-only */
/* The timing wheel: nothing fires early, nothing is forgotten, whatever order it is set in. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "track/deadlines.h"
#include "util.h"

#define HANDLES 500u

struct bench {
	struct deadlines wheel; /* first: the wheel's context is the bench */
	struct deadline deadlines[HANDLES];
	uint64_t expected_ns[HANDLES]; /* 0 = not set */
	unsigned int fired;
	uint64_t again_ns; /* what a fired handle is set to, 0 = nothing */
};

static struct deadline *at(void *context, uint32_t handle)
{
	return &((struct bench *)context)->deadlines[handle];
}

static void fire(void *context, uint32_t handle, uint64_t now_ns)
{
	struct bench *bench = context;

	assert_int_not_equal(bench->expected_ns[handle], 0);
	assert_true(bench->expected_ns[handle] <= now_ns);
	bench->expected_ns[handle] = 0;
	bench->fired++;
	if (bench->again_ns) {
		bench->expected_ns[handle] = bench->again_ns;
		deadlines_set(&bench->wheel, handle, bench->again_ns);
	}
}

static struct bench *bench_new(uint64_t now_ns)
{
	struct bench *bench = calloc(1, sizeof(*bench));

	assert_non_null(bench);
	deadlines_init(&bench->wheel, at, bench);
	deadlines_advance(&bench->wheel, now_ns, fire);
	return bench;
}

static void set(struct bench *bench, uint32_t handle, uint64_t due_ns)
{
	bench->expected_ns[handle] = due_ns;
	deadlines_set(&bench->wheel, handle, due_ns);
}

static void random_deadlines_all_fire_in_time(void **state)
{
	uint64_t now_ns = 12345 * NS_PER_SEC;
	struct bench *bench = bench_new(now_ns);
	unsigned int seed = 99;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		uint32_t handle = (uint32_t)rand_r(&seed) % HANDLES;
		/* Up to 200 s: almost three turns of the wheel. */
		uint64_t due_ns = now_ns + (uint64_t)rand_r(&seed) % (200 * NS_PER_SEC);

		if (rand_r(&seed) % 4) {
			set(bench, handle, due_ns);
		} else {
			deadlines_drop(&bench->wheel, handle);
			bench->expected_ns[handle] = 0;
		}
		now_ns += (uint64_t)rand_r(&seed) % (100 * NS_PER_MS);
		deadlines_advance(&bench->wheel, now_ns, fire);
		for (uint32_t i = 0; i < HANDLES; i++)
			assert_true(!bench->expected_ns[i] ||
				    bench->expected_ns[i] + DEADLINE_TICK_NS > now_ns);
	}
	deadlines_advance(&bench->wheel, now_ns + 300 * NS_PER_SEC, fire);
	assert_int_equal(bench->wheel.count, 0);
	assert_true(bench->fired > 1000);
	free(bench);
}

static void next_is_never_late(void **state)
{
	uint64_t now_ns = 50 * NS_PER_SEC;
	struct bench *bench = bench_new(now_ns);

	(void)state;
	assert_true(deadlines_next(&bench->wheel) == UINT64_MAX);
	set(bench, 0, now_ns + 30 * NS_PER_SEC);
	set(bench, 1, now_ns + 10 * NS_PER_SEC);
	assert_true(deadlines_next(&bench->wheel) <= now_ns + 10 * NS_PER_SEC + DEADLINE_TICK_NS);
	assert_true(deadlines_next(&bench->wheel) >= now_ns + 10 * NS_PER_SEC);
	free(bench);
}

/* What is set while it fires, even to a time gone by, waits for a later turn of the loop. */
static void setting_while_firing_ends(void **state)
{
	uint64_t now_ns = 50 * NS_PER_SEC;
	struct bench *bench = bench_new(now_ns);

	(void)state;
	set(bench, 0, now_ns + NS_PER_SEC);
	bench->again_ns = 1;
	deadlines_advance(&bench->wheel, now_ns + 2 * NS_PER_SEC, fire);
	assert_true(bench->fired >= 1);
	assert_int_equal(bench->wheel.count, 1);
	free(bench);
}

static void a_long_pause_serves_everything(void **state)
{
	uint64_t now_ns = 50 * NS_PER_SEC;
	struct bench *bench = bench_new(now_ns);

	(void)state;
	for (uint32_t i = 0; i < HANDLES; i++)
		set(bench, i, now_ns + i * NS_PER_SEC + 1);
	deadlines_advance(&bench->wheel, now_ns + 100000 * NS_PER_SEC, fire);
	assert_int_equal(bench->fired, HANDLES);
	free(bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_deadlines_all_fire_in_time),
		cmocka_unit_test(next_is_never_late),
		cmocka_unit_test(setting_while_firing_ends),
		cmocka_unit_test(a_long_pause_serves_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
