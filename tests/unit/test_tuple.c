/* SPDX-License-Identifier: GPL-2.0-only */
/* A connection's name as people write it: read, printed, matched in both directions. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "track/tuple.h"
#include "util.h"

static void round_trip(void **state)
{
	static const struct {
		const char *text, *printed;
	} cases[] = {
		{ "10.0.0.1:443-10.0.0.9:51234", "10.0.0.1:443-10.0.0.9:51234" },
		{ "[fd00::1]:443-[fd00::9]:51234", "[fd00::1]:443-[fd00::9]:51234" },
		{ "[FD00:0:0::1]:443-[::1]:65535", "[fd00::1]:443-[::1]:65535" },
		{ "[::ffff:10.0.0.1]:80-10.0.0.2:1", "10.0.0.1:80-10.0.0.2:1" },
		{ "10.0.0.1:443", "10.0.0.1:443" },
		{ "[fd00::1]:443", "[fd00::1]:443" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char printed[TUPLE_TEXT_MAX];
		struct tuple tuple;

		assert_int_equal(tuple_parse(cases[i].text, &tuple), 0);
		assert_string_equal(tuple_format(&tuple, printed), cases[i].printed);
		assert_int_equal(tuple.is_half, strchr(printed, '-') == NULL);
	}
}

static void refused(void **state)
{
	static const char *const texts[] = {
		"",
		"-",
		":",
		"10.0.0.1",
		"10.0.0.1:",
		"10.0.0.1:0",
		"10.0.0.1:65536",
		"10.0.0.1:-1",
		"10.0.0.1: 80",
		"10.0.0.1:80x",
		"10.0.0.1:18446744073709551617",
		"10.0.0:80",
		"10.0.0.256:80",
		" 10.0.0.1:80",
		"10.0.0.1:80-",
		"-10.0.0.1:80",
		"10.0.0.1:80-10.0.0.2",
		"10.0.0.1:80-10.0.0.2:81-10.0.0.3:82",
		"10.0.0.1:80 - 10.0.0.2:81",
		"10.0.0.1:80-[fd00::1]:81",
		"fd00::1:80-fd00::2:81",
		"[fd00::1:80",
		"[fd00::1]80",
		"[]:80",
		"[]80-[]:80",
		"[10.0.0.1]:80",
		"[fe80::1%eth0]:80",
		"localhost:80",
		":80",
	};
	const struct tuple untouched = { .ports = { 7, 8 } };
	char long_text[1024];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct tuple tuple = untouched;

		if (tuple_parse(texts[i], &tuple) != -EINVAL)
			fail_msg("'%s' was taken", texts[i]);
		assert_memory_equal(&tuple, &untouched, sizeof(tuple));
	}
	memset(long_text, '1', sizeof(long_text));
	long_text[sizeof(long_text) - 1] = '\0';
	assert_int_equal(tuple_parse(long_text, &(struct tuple){ 0 }), -EINVAL);
}

static void matches_either_way(void **state)
{
	struct tuple tuple, half, other;
	struct conn_key key, turned;

	(void)state;
	assert_int_equal(tuple_parse("10.0.0.1:443-10.0.0.9:51234", &tuple), 0);
	key = tuple_key(&tuple, 7, false);
	turned = tuple_key(&tuple, 7, true);
	assert_int_equal(key.local_port, 443);
	assert_int_equal(key.remote_port, 51234);
	assert_int_equal(key.local_address[15], 1);
	assert_int_equal(turned.local_port, 51234);
	assert_int_equal(turned.local_address[15], 9);
	assert_true(tuple_matches(&tuple, &key));
	assert_true(tuple_matches(&tuple, &turned));

	assert_int_equal(tuple_parse("10.0.0.9:51234", &half), 0);
	assert_true(tuple_matches(&half, &key));
	assert_true(tuple_matches(&half, &turned));
	key.remote_port = turned.local_port = 51235;
	assert_false(tuple_matches(&half, &key));
	assert_false(tuple_matches(&tuple, &key));
	assert_false(tuple_matches(&tuple, &turned));

	/* Ports and addresses belong together. */
	assert_int_equal(tuple_parse("10.0.0.1:51234-10.0.0.9:443", &other), 0);
	key = tuple_key(&tuple, 7, false);
	assert_false(tuple_matches(&other, &key));
	/* One side twice is not both. */
	assert_int_equal(tuple_parse("10.0.0.1:443-10.0.0.1:443", &other), 0);
	assert_false(tuple_matches(&other, &key));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(refused),
		cmocka_unit_test(matches_either_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
