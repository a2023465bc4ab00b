/* SPDX-License-Identifier: GPL-2.0-only */
/* Connections that our RST ended, and peers that do not notice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "track/graves.h"
#include "util.h"

#define SECONDS(n) ((uint64_t)(n)*NS_PER_SEC)

static struct conn_key key_of(uint32_t number)
{
	return (struct conn_key){ .local_port = 80,
				  .remote_port = (uint16_t)number,
				  .netns = number >> 16 };
}

static int begin(void **state)
{
	*state = calloc(1, sizeof(struct graves));
	return *state ? 0 : -1;
}

static int end(void **state)
{
	free(*state);
	return 0;
}

static void test_what_is_buried_is_found_until_it_is_displaced(void **state)
{
	struct graves *graves = *state;
	struct conn_key first = key_of(1);

	assert_null(graves_find(graves, &first));
	assert_non_null(graves_dig(graves, &first, SECONDS(1)));
	assert_non_null(graves_find(graves, &first));
	for (uint32_t i = 2; i < 64 * GRAVES_NR; i++) {
		struct conn_key other = key_of(i);

		graves_dig(graves, &other, SECONDS(2));
	}
	assert_null(graves_find(graves, &first));
}

static void test_a_peer_that_goes_on_keeps_its_place(void **state)
{
	struct graves *graves = *state;
	struct conn_key first = key_of(1);
	struct grave *grave = graves_dig(graves, &first, SECONDS(1));

	assert_false(grave_hears(grave, SECONDS(1) + SECONDS(1) / 2));
	for (uint32_t i = 2; i < 64 * GRAVES_NR; i++) {
		struct conn_key other = key_of(i);

		graves_dig(graves, &other, SECONDS(2));
	}
	assert_ptr_equal(graves_find(graves, &first), grave);
	/* it has noticed, or gone: the next takes its place */
	for (uint32_t i = 2; i < 64 * GRAVES_NR; i++) {
		struct conn_key other = key_of(i);

		graves_dig(graves, &other, SECONDS(60));
	}
	assert_null(graves_find(graves, &first));
}

/* Most of them are soon heard of, by what was on its way when the RST left: no sign that counts. */
static void test_thousands_of_resets_a_second_hide_none_that_is_silent_at_first(void **state)
{
	const uint32_t rate = 5000, kept = 1000;
	struct graves *graves = *state;
	uint32_t found = 0;

	for (uint32_t i = 0; i < rate + kept; i++) {
		uint64_t now_ns = SECONDS(10) + i * NS_PER_SEC / rate;
		struct conn_key key = key_of(i);
		struct grave *grave = graves_dig(graves, &key, now_ns);

		assert_non_null(grave);
		if (i >= kept)
			grave_hears(grave, now_ns + 1);
	}
	for (uint32_t i = 0; i < kept; i++) {
		struct conn_key key = key_of(i);

		found += graves_find(graves, &key) != NULL;
	}
	assert_int_equal(found, kept);
}

static void test_it_takes_three_signs_one_of_them_late(void **state)
{
	struct graves *graves = *state;
	struct conn_key key = key_of(1);
	struct grave *grave = graves_dig(graves, &key, SECONDS(10));

	assert_false(grave_hears(grave, SECONDS(10) + 1)); /* what was on its way */
	assert_false(grave_hears(grave, SECONDS(10) + SECONDS(1) / 2));
	assert_false(grave_hears(grave, SECONDS(10) + SECONDS(1) / 2 + 1)); /* a burst */
	assert_false(grave_hears(grave, SECONDS(11)));
	assert_false(grave_hears(grave, SECONDS(11) + SECONDS(1) / 2)); /* too early for the last */
	assert_true(grave_hears(grave, SECONDS(13)));
	assert_false(grave_hears(grave, SECONDS(14))); /* told once */
}

static void test_a_new_life_on_the_tuple_begins_anew(void **state)
{
	struct graves *graves = *state;
	struct conn_key key = key_of(1);
	struct grave *grave = graves_dig(graves, &key, SECONDS(10));

	grave_hears(grave, SECONDS(11));
	assert_ptr_equal(graves_dig(graves, &key, SECONDS(12)), grave);
	assert_int_equal(grave->heard, 0);
	assert_int_equal(grave->ended_ns, SECONDS(12));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_what_is_buried_is_found_until_it_is_displaced,
						begin, end),
		cmocka_unit_test_setup_teardown(test_a_peer_that_goes_on_keeps_its_place, begin,
						end),
		cmocka_unit_test_setup_teardown(
			test_thousands_of_resets_a_second_hide_none_that_is_silent_at_first, begin,
			end),
		cmocka_unit_test_setup_teardown(test_it_takes_three_signs_one_of_them_late, begin,
						end),
		cmocka_unit_test_setup_teardown(test_a_new_life_on_the_tuple_begins_anew, begin,
						end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
