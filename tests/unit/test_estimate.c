/* SPDX-License-Identifier: GPL-2.0-only */
/* The estimate of distinct sources keeps the error it states, from none to a hundred million. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "listen/estimate.h"
#include "util.h"

/* As bpf/sources.h does it. */
static void mark(struct source_window *window, uint64_t source, uint64_t seed)
{
	uint64_t hash = sources_mix(source ^ seed), rest = hash >> SOURCES_REGISTER_BITS;
	uint8_t *mark = &window->registers[hash & (SOURCES_REGISTERS - 1)];
	uint8_t rank = rest ? (uint8_t)(__builtin_ctzll(rest) + 1) : SOURCES_RANK_MAX;

	if (*mark < rank)
		*mark = rank;
}

/* Sources as a scan has them: one address after the other. */
static double estimate(uint64_t sources, uint64_t seed)
{
	struct source_sketch sketch = { .windows = { [1] = { .number = 7 } } };
	struct sketch_union sum = { 0 };

	for (uint64_t i = 0; i < sources; i++)
		mark(&sketch.windows[1], 0x0a000000 + i, seed);
	sketch_add(&sum, &sketch, 7);
	return (double)sketch_estimate(&sum);
}

static void error_is_as_stated(void **state)
{
	static const uint64_t amounts[] = { 100, 500, 1000, 2500, 4000, 10000, 100000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(amounts); i++) {
		double squares = 0, sum = 0;
		const int seeds = 100;

		for (int seed = 1; seed <= seeds; seed++) {
			double off = estimate(amounts[i], sources_mix((uint64_t)seed)) /
					     (double)amounts[i] -
				     1;

			squares += off * off;
			sum += off;
			assert_true(off < 0.15 && off > -0.15);
		}
		print_message("  %6llu sources: variance %.5f, bias %+.4f\n",
			      (unsigned long long)amounts[i], squares / seeds, sum / seeds);
		/* 3.25 % squared; of a hundred seeds the variance is within a half of it */
		assert_true(squares / seeds < 1.5 * 0.0325 * 0.0325);
		assert_true(sum / seeds < 0.0125 && sum / seeds > -0.0125);
	}
}

static void few_are_counted(void **state)
{
	(void)state;
	assert_int_equal(estimate(0, 1), 0);
	assert_int_equal(estimate(1, 1), 1);
	for (uint64_t sources = 2; sources <= 20; sources++) {
		double off = estimate(sources, 4711) - (double)sources;

		assert_true(off <= 1 && off >= -1);
	}
}

static void a_hundred_million(void **state)
{
	double off = estimate(100000000, 99) / 1e8 - 1;

	(void)state;
	assert_true(off < 0.13 && off > -0.13);
}

static void windows_and_unions(void **state)
{
	struct source_sketch one = { .windows = { { .number = 8 }, { .number = 7 } } };
	struct source_sketch two = { .windows = { { .number = 8 }, { .number = 5 } } };
	struct sketch_union sum = { 0 };

	(void)state;
	mark(&one.windows[0], 1, 0);
	mark(&one.windows[1], 2, 0);
	mark(&two.windows[0], 1, 0);
	mark(&two.windows[0], 3, 0);
	mark(&two.windows[1], 4, 0); /* of a window gone by */
	sketch_add(&sum, &one, 8);
	assert_int_equal(sketch_estimate(&sum), 2);
	sketch_add(&sum, &two, 8);
	assert_int_equal(sketch_estimate(&sum), 3);
	sum = (struct sketch_union){ 0 };
	sketch_add(&sum, &one, 9);
	assert_int_equal(sketch_estimate(&sum), 1);
	sum = (struct sketch_union){ 0 };
	sketch_add(&sum, &one, 10);
	assert_int_equal(sketch_estimate(&sum), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(error_is_as_stated),
		cmocka_unit_test(few_are_counted),
		cmocka_unit_test(a_hundred_million),
		cmocka_unit_test(windows_and_unions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
