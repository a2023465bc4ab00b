/* SPDX-License-Identifier: GPL-2.0-only */
/* The ring of entries: order, wrapping, what is said when a beginning is gone. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "track/history.h"
#include "track/verdicts.h"

static const struct history_limits roomy = { .lives = 16, .entries = 1000 };

static struct tuple tuple_of(const char *text)
{
	struct tuple tuple;

	assert_int_equal(tuple_parse(text, &tuple), 0);
	return tuple;
}

static struct conn_key key_of(const char *text)
{
	struct tuple tuple = tuple_of(text);

	return tuple_key(&tuple, 1, false);
}

#define ONE "10.0.0.1:443-10.0.0.2:1000"
#define TWO "10.0.0.1:443-10.0.0.2:2000"

static void add(struct history *history, uint32_t life, enum track_entry_kind kind, uint64_t ts_ns,
		const char *tuple)
{
	struct track_entry entry = { .life = life, .kind = (uint8_t)kind, .ts_ns = ts_ns };

	entry.role = kind == ENTRY_BEGAN ? ROLE_UNKNOWN : ROLE_SERVER;
	entry.end = END_LOCAL_CLOSE;
	if (kind == ENTRY_BEGAN || kind == ENTRY_ENDED)
		entry.key = key_of(tuple);
	history_add(history, &entry);
}

static struct history_answer ask(const struct history *history, const char *text)
{
	struct tuple tuple = tuple_of(text);
	struct history_answer answer;

	assert_int_equal(history_ask(history, &tuple, &roomy, NULL, 0, &answer), 0);
	return answer;
}

static void assert_times(const struct history_answer *answer, size_t life, const uint64_t *times,
			 size_t count)
{
	assert_true(life < answer->nr_lives);
	assert_int_equal(answer->lives[life].count, count);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(answer->entries[answer->lives[life].first + i].ts_ns, times[i]);
}

#define ASSERT_TIMES(answer, life, ...)                                                            \
	assert_times(answer, life, (const uint64_t[]){ __VA_ARGS__ },                              \
		     sizeof((const uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t))

static void lives_are_told_apart(void **state)
{
	struct history *history = history_new(100);
	struct history_answer answer;

	(void)state;
	add(history, 1, ENTRY_BEGAN, 10, ONE);
	add(history, 1, ENTRY_SEGMENT, 11, NULL);
	add(history, 2, ENTRY_BEGAN, 12, TWO);
	add(history, 1, ENTRY_ENDED, 13, ONE);
	add(history, 2, ENTRY_SEGMENT, 14, NULL);
	add(history, 3, ENTRY_BEGAN, 15, ONE);
	add(history, 3, ENTRY_SEGMENT, 16, NULL);

	answer = ask(history, ONE);
	assert_int_equal(answer.nr_lives, 2);
	ASSERT_TIMES(&answer, 0, 10, 11, 13);
	ASSERT_TIMES(&answer, 1, 15, 16);
	assert_true(answer.lives[0].has_begin && answer.lives[0].has_ended);
	assert_int_equal(answer.lives[0].end, END_LOCAL_CLOSE);
	assert_int_equal(answer.lives[0].role, ROLE_SERVER);
	assert_true(answer.lives[1].has_begin && !answer.lives[1].has_ended);
	assert_int_equal(answer.lives[1].role, ROLE_SERVER);
	assert_int_equal(answer.lives[1].key.remote_port, 1000);
	history_answer_free(&answer);

	/* The other way round it is the same connection. */
	answer = ask(history, "10.0.0.2:2000-10.0.0.1:443");
	assert_int_equal(answer.nr_lives, 1);
	ASSERT_TIMES(&answer, 0, 12, 14);
	history_answer_free(&answer);

	answer = ask(history, "10.0.0.1:443");
	assert_int_equal(answer.nr_lives, 3);
	assert_int_equal(answer.nr_entries, 0);
	assert_int_equal(answer.lives[0].life, 1);
	assert_int_equal(answer.lives[2].life, 3);
	assert_int_equal(answer.lives[0].last_ns, 13);
	history_answer_free(&answer);

	answer = ask(history, "10.0.0.1:444");
	assert_int_equal(answer.nr_lives, 0);
	history_answer_free(&answer);
	history_free(history);
}

static void newest_overwrites_oldest(void **state)
{
	struct history *history = history_new(4);
	struct history_stats stats = history_stats(history);
	struct history_answer answer;

	(void)state;
	assert_int_equal(stats.entries, 0);
	assert_int_equal(stats.limit, 4);
	add(history, 1, ENTRY_BEGAN, 10, ONE);
	for (uint64_t i = 1; i <= 9; i++)
		add(history, 1, ENTRY_SEGMENT, 10 + i, NULL);
	stats = history_stats(history);
	assert_int_equal(stats.entries, 4);
	assert_int_equal(stats.overwritten, 6);

	/* Without its beginning nobody knows whose they are... */
	answer = ask(history, ONE);
	assert_int_equal(answer.nr_lives, 0);
	history_answer_free(&answer);

	/* ...until its end says so. */
	add(history, 1, ENTRY_ENDED, 20, ONE);
	answer = ask(history, ONE);
	assert_int_equal(answer.nr_lives, 1);
	assert_false(answer.lives[0].has_begin);
	assert_int_equal(answer.lives[0].first_ns, 17);
	ASSERT_TIMES(&answer, 0, 17, 18, 19, 20);
	history_answer_free(&answer);
	history_free(history);
}

static void tracker_names_what_is_open(void **state)
{
	const struct tuple tuple = tuple_of(ONE);
	const struct history_open open = { .key = key_of(ONE), .life = 5, .role = ROLE_CLIENT };
	struct history *history = history_new(2);
	struct history_answer answer;

	(void)state;
	add(history, 5, ENTRY_BEGAN, 10, ONE);
	add(history, 5, ENTRY_SEGMENT, 11, NULL);
	add(history, 5, ENTRY_SEGMENT, 12, NULL);
	assert_int_equal(history_ask(history, &tuple, &roomy, &open, 1, &answer), 0);
	assert_int_equal(answer.nr_lives, 1);
	assert_false(answer.lives[0].has_begin);
	ASSERT_TIMES(&answer, 0, 11, 12);
	history_answer_free(&answer);

	/* All of it is gone, or nothing was kept: it is named nevertheless. */
	add(history, 6, ENTRY_SEGMENT, 13, NULL);
	add(history, 6, ENTRY_SEGMENT, 14, NULL);
	assert_int_equal(history_ask(history, &tuple, &roomy, &open, 1, &answer), 0);
	assert_int_equal(answer.nr_lives, 1);
	assert_int_equal(answer.lives[0].count, 0);
	assert_int_equal(answer.lives[0].role, ROLE_CLIENT);
	history_answer_free(&answer);
	assert_int_equal(history_ask(NULL, &tuple, &roomy, &open, 1, &answer), 0);
	assert_int_equal(answer.nr_lives, 1);
	assert_int_equal(answer.lives[0].count, 0);
	history_answer_free(&answer);
	history_free(history);
}

static void limits_keep_the_newest(void **state)
{
	const struct history_limits tight = { .lives = 2, .entries = 3 };
	const struct tuple tuple = tuple_of(ONE);
	struct history *history = history_new(100);
	struct history_answer answer;

	(void)state;
	for (uint32_t life = 1; life <= 3; life++) {
		add(history, life, ENTRY_BEGAN, life * 100, ONE);
		for (uint64_t i = 1; i <= life; i++)
			add(history, life, ENTRY_SEGMENT, life * 100 + i, NULL);
		add(history, life, ENTRY_ENDED, life * 100 + 50, ONE);
	}
	assert_int_equal(history_ask(history, &tuple, &tight, NULL, 0, &answer), 0);
	assert_true(answer.has_more);
	assert_int_equal(answer.nr_lives, 2);
	ASSERT_TIMES(&answer, 0, 201, 202, 250);
	ASSERT_TIMES(&answer, 1, 302, 303, 350);
	assert_false(answer.lives[0].has_begin);
	assert_int_equal(answer.lives[1].first_ns, 302);
	history_answer_free(&answer);
	history_free(history);
}

static void nothing_kept(void **state)
{
	struct history_stats stats = history_stats(NULL);

	(void)state;
	assert_null(history_new(0));
	assert_int_equal(errno, EINVAL);
	assert_int_equal(stats.limit, 0);
	history_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lives_are_told_apart),
		cmocka_unit_test(newest_overwrites_oldest),
		cmocka_unit_test(tracker_names_what_is_open),
		cmocka_unit_test(limits_keep_the_newest),
		cmocka_unit_test(nothing_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
