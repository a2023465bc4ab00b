/* SPDX-License-Identifier: GPL-2.0-only */
/* The tables of the comparison, held together: every row has a home, every kind something that fires
 * it, every pair its reason. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

#include "track/compare.h"
#include "track/kview.h"
#include "track/taxonomy.h"

/* Kinds that no table fires by itself: what they are made of is counted first. */
#define FIRED_ELSEWHERE                                                                            \
	(1u << DIVERGENCE_COOKIE_STATELESS | 1u << DIVERGENCE_FAST_OPEN |                          \
	 1u << DIVERGENCE_FORGED_RESET)

static void every_row_has_one_home(void **state)
{
	const struct taxonomy_row *row;
	size_t count = 0;

	(void)state;
	while ((row = taxonomy_row_at(count))) {
		count++;
		assert_int_equal(row->number, count);
		assert_true(row->home < HOME_NR);
		assert_non_null(taxonomy_home_label(row->home));
		assert_non_null(taxonomy_label(row));
		assert_true(strlen(taxonomy_label(row)) > 2);
		assert_true(strlen(row->title) > 10);
		assert_true(strlen(row->title) < 80);
		if (row->home == HOME_KIND) {
			assert_true(row->which < DIVERGENCE_NR);
			assert_false(row->also & 1u << row->which);
			assert_null(row->how);
		}
	}
	assert_int_equal(count, TAXONOMY_ROWS);
}

static void every_kind_is_a_rows(void **state)
{
	const struct taxonomy_row *row;
	uint32_t kinds = 0;

	(void)state;
	for (size_t i = 0; (row = taxonomy_row_at(i)); i++) {
		kinds |= row->also;
		if (row->home == HOME_KIND)
			kinds |= 1u << row->which;
	}
	for (int kind = 0; kind < DIVERGENCE_NR; kind++)
		if (!(kinds & 1u << kind))
			fail_msg("%s is no row's", divergence_label(kind));
}

static void every_kind_is_fired(void **state)
{
	const struct moment_rule *moment;
	struct compare_rule rule;
	uint32_t kinds = FIRED_ELSEWHERE;

	(void)state;
	for (size_t i = 0; compare_rule_at(i, &rule); i++) {
		assert_true(rule.wire && rule.kernel);
		assert_true(strlen(rule.when) > 10);
		kinds |= 1u << rule.kind;
	}
	for (size_t i = 0; (moment = compare_moment_at(i)); i++) {
		assert_true(moment->wire);
		assert_true(strlen(moment->when) > 10);
		assert_ptr_equal(compare_moment(moment->trigger, moment->what,
						(enum fsm_state)__builtin_ctz(moment->wire)),
				 moment);
		kinds |= 1u << moment->kind;
	}
	for (int kind = 0; kind < DIVERGENCE_NR; kind++)
		if (!(kinds & 1u << kind))
			fail_msg("nothing fires %s", divergence_label(kind));
}

/* Only what the views may not agree on is asked of a rule that has no more than states to go by. */
static void every_pair_has_a_reason(void **state)
{
	const struct kview_pair *pair;
	uint32_t named = 0;
	size_t i;

	(void)state;
	for (i = 0; (pair = kview_pair_at(i)); i++) {
		assert_true(pair->wire < FSM_NR_STATES && pair->kernel < FSM_NR_STATES);
		assert_true(strlen(pair->why) > 7);
		assert_int_equal(pair->wire == pair->kernel, i < FSM_NR_STATES);
		if (i < FSM_NR_STATES)
			named |= 1u << pair->wire;
		for (size_t j = 0; j < i; j++)
			assert_false(kview_pair_at(j)->wire == pair->wire &&
				     kview_pair_at(j)->kernel == pair->kernel);
	}
	assert_int_equal(named, (1u << FSM_NR_STATES) - 1);
	assert_int_equal(i, 15);
}

static void labels_are_distinct(void **state)
{
	(void)state;
	for (int i = 0; i < TRANSIENT_NR; i++)
		for (int j = 0; j < i; j++)
			assert_string_not_equal(transient_label(i), transient_label(j));
	for (int i = 0; i < CLOSE_CAUSE_NR; i++)
		for (int j = 0; j < i; j++)
			assert_string_not_equal(close_cause_label(i), close_cause_label(j));
	for (int i = 0; i < CONDITION_NR; i++) {
		assert_true(strlen(condition_label(i)) > 3);
		assert_true(strlen(condition_text(i)) > 10);
		assert_true(strlen(condition_look_at(i)) > 10);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_has_one_home), cmocka_unit_test(every_kind_is_a_rows),
		cmocka_unit_test(every_kind_is_fired),	  cmocka_unit_test(every_pair_has_a_reason),
		cmocka_unit_test(labels_are_distinct),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
