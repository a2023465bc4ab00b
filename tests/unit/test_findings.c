/* SPDX-License-Identifier: GPL-2.0-only */
/* What is kept beside connections: findings and allowances. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "track/allowance.h"
#include "track/findings.h"

static void slab_grows_to_its_limit(void **state)
{
	struct findings *findings = findings_new(1000);
	uint32_t first, last = FINDING_NONE;

	(void)state;
	assert_non_null(findings);
	assert_null(findings_at(findings, FINDING_NONE));
	first = findings_take(findings);
	assert_int_not_equal(first, FINDING_NONE);
	findings_at(findings, first)->fins = 7;
	for (int i = 1; i < 1000; i++) {
		last = findings_take(findings);
		assert_int_not_equal(last, FINDING_NONE);
		assert_int_equal(findings_at(findings, last)->fins, 0);
	}
	assert_int_equal(findings_at(findings, first)->fins, 7);
	assert_int_equal(findings_take(findings), FINDING_NONE);
	findings_give(findings, first);
	findings_give(findings, FINDING_NONE);
	assert_int_equal(findings_take(findings), first);
	assert_int_equal(findings_at(findings, first)->fins, 0);
	assert_int_equal(findings_take(findings), FINDING_NONE);
	findings_free(findings);
	findings_free(NULL);
}

static void bucket_fills_with_time(void **state)
{
	struct allowance allowance = { 0 };
	uint64_t now_ns = 5 * NS_PER_SEC;

	(void)state;
	for (int i = 0; i < 10; i++)
		assert_true(allowance_take(&allowance, 10, 2, now_ns));
	assert_false(allowance_take(&allowance, 10, 2, now_ns));
	now_ns += 400 * NS_PER_MS;
	assert_false(allowance_take(&allowance, 10, 2, now_ns));
	now_ns += 200 * NS_PER_MS;
	assert_true(allowance_take(&allowance, 10, 2, now_ns));
	assert_false(allowance_take(&allowance, 10, 2, now_ns));
	now_ns += 3600 * NS_PER_SEC;
	for (int i = 0; i < 10; i++)
		assert_true(allowance_take(&allowance, 10, 2, now_ns));
	assert_false(allowance_take(&allowance, 10, 2, now_ns));
	/* Records come late: time may stand still, or seem to go back. */
	assert_false(allowance_take(&allowance, 10, 2, now_ns - NS_PER_SEC));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slab_grows_to_its_limit),
		cmocka_unit_test(bucket_fills_with_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
