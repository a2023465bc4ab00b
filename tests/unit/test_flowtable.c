/* SPDX-License-Identifier: GPL-2.0-only */
/* The flow table against a plain array, with random additions and removals. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "track/flowtable.h"

static struct conn_key key_of(uint32_t number)
{
	struct conn_key key = { .netns = 1, .local_port = 443 };

	memcpy(key.remote_address, &number, sizeof(number));
	key.remote_port = (uint16_t)(number * 7);
	return key;
}

static void finds_what_was_added(void **state)
{
	struct flowtable *table = flowtable_new(10, 1);
	struct conn_key key = key_of(1), other = key_of(2);
	uint32_t handle = flowtable_add(table, &key);

	(void)state;
	assert_int_not_equal(handle, FLOW_NONE);
	assert_int_equal(flowtable_find(table, &key), handle);
	assert_int_equal(flowtable_find(table, &other), FLOW_NONE);
	assert_memory_equal(&flowtable_at(table, handle)->key, &key, sizeof(key));
	flowtable_remove(table, handle);
	assert_int_equal(flowtable_find(table, &key), FLOW_NONE);
	assert_int_equal(flowtable_count(table), 0);
	flowtable_free(table);
}

static void is_bounded(void **state)
{
	struct flowtable *table = flowtable_new(3, 1);
	struct conn_key key;

	(void)state;
	for (uint32_t i = 0; i < 3; i++) {
		key = key_of(i);
		assert_int_not_equal(flowtable_add(table, &key), FLOW_NONE);
	}
	key = key_of(3);
	assert_int_equal(flowtable_add(table, &key), FLOW_NONE);
	key = key_of(0);
	flowtable_remove(table, flowtable_find(table, &key));
	key = key_of(3);
	assert_int_not_equal(flowtable_add(table, &key), FLOW_NONE);
	flowtable_free(table);
}

#define KEYS 20000u

/* Adds and removes at random; the model says what must be found, where it must still lie. */
static void agrees_with_a_model(void **state)
{
	struct flowtable *table = flowtable_new(KEYS, 42);
	uint32_t *model = malloc(KEYS * sizeof(*model));
	uint32_t count = 0;
	unsigned int seed = 4711;

	(void)state;
	for (uint32_t i = 0; i < KEYS; i++)
		model[i] = FLOW_NONE;
	for (uint32_t round = 0; round < 200000; round++) {
		uint32_t number = (uint32_t)rand_r(&seed) % KEYS;
		struct conn_key key = key_of(number);

		assert_int_equal(flowtable_find(table, &key), model[number]);
		if (model[number] == FLOW_NONE) {
			model[number] = flowtable_add(table, &key);
			assert_int_not_equal(model[number], FLOW_NONE);
			count++;
		} else if (rand_r(&seed) % 2) {
			flowtable_remove(table, model[number]);
			model[number] = FLOW_NONE;
			count--;
		}
		assert_int_equal(flowtable_count(table), count);
	}
	free(model);
	flowtable_free(table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_what_was_added),
		cmocka_unit_test(is_bounded),
		cmocka_unit_test(agrees_with_a_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
