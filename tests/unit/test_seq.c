/* SPDX-License-Identifier: GPL-2.0-only */
/* Sequence arithmetic holds wherever on the circle it is done. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "seeded.h"
#include "tcp/seq.h"

static void compares_across_wrap(void **state)
{
	(void)state;
	assert_true(seq_lt(0xffffffff, 0));
	assert_true(seq_gt(0, 0xffffffff));
	assert_true(seq_lt(0xfffffff0, 0x10));
	assert_true(seq_lt(0x7fffffff, 0x80000000));
	assert_false(seq_lt(5, 5));
	assert_true(seq_le(5, 5));
	assert_true(seq_ge(5, 5));
	assert_false(seq_gt(5, 5));
}

static void window_has_its_edges(void **state)
{
	(void)state;
	assert_true(seq_in_window(0xfffffffe, 0xfffffffe, 4));
	assert_true(seq_in_window(1, 0xfffffffe, 4));
	assert_false(seq_in_window(2, 0xfffffffe, 4));
	assert_false(seq_in_window(0xfffffffd, 0xfffffffe, 4));
	assert_false(seq_in_window(7, 7, 0));
	assert_true(seq_in_window(7, 7, 1));
}

/* Moving everything round the circle changes no answer; what lies ahead is after. */
static void place_does_not_matter(void **state)
{
	struct seeded random = { seed_of_run() };
	uint64_t seed = random.state;
	int i;

	(void)state;
	for (i = 0; i < 200000; i++) {
		seq_t start = seeded_next(&random), shift = seeded_next(&random);
		uint32_t length = seeded_below(&random, 0x7fffffff) + 1;
		uint32_t ahead = seeded_below(&random, 0x7fffffff) + 1;
		bool good = seq_lt(start, start + ahead) && seq_gt(start + ahead, start) &&
			    !seq_ge(start, start + ahead) &&
			    seq_in_window(start + ahead, start, length) == (ahead < length) &&
			    seq_in_window(start + shift + ahead, start + shift, length) ==
				    (ahead < length);

		if (!good)
			fail_msg("TEST_SEED=%llu start %x ahead %x length %x shift %x",
				 (unsigned long long)seed, start, ahead, length, shift);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(compares_across_wrap),
		cmocka_unit_test(window_has_its_edges),
		cmocka_unit_test(place_does_not_matter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
