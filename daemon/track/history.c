/* SPDX-License-Identifier: GPL-2.0-only */
/* A ring of entries, and what can be asked of it: see history.h. */
#include "track/history.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include "track/verdicts.h"

struct history {
	uint32_t limit;
	uint32_t next;	/* added % limit, without the division */
	uint64_t added; /* ever; entry n is at n % limit */
	struct track_entry *ring;
};

struct history *history_new(uint32_t limit)
{
	struct history *history;

	if (!limit) {
		errno = EINVAL;
		return NULL;
	}
	history = calloc(1, sizeof(*history));
	if (!history)
		return NULL;
	history->limit = limit;
	/* Fresh pages from the kernel: none is used before it is written. */
	history->ring = calloc(limit, sizeof(*history->ring));
	if (!history->ring) {
		free(history);
		return NULL;
	}
	return history;
}

void history_free(struct history *history)
{
	if (!history)
		return;
	free(history->ring);
	free(history);
}

void history_add(struct history *history, const struct track_entry *entry)
{
	history->ring[history->next] = *entry;
	history->next = history->next + 1 < history->limit ? history->next + 1 : 0;
	history->added++;
	/* Nobody reads it, so it is never at hand when its turn comes. */
	__builtin_prefetch(&history->ring[history->next], 1);
}

struct history_stats history_stats(const struct history *history)
{
	struct history_stats stats = { 0 };

	if (!history)
		return stats;
	stats.limit = history->limit;
	stats.entries = MIN(history->added, history->limit);
	stats.overwritten = history->added - stats.entries;
	return stats;
}

/* Entry n, counted from the oldest that is left. */
static const struct track_entry *entry_at(const struct history *history, uint64_t n)
{
	uint64_t oldest = history->added - MIN(history->added, history->limit);

	return &history->ring[(oldest + n) % history->limit];
}

static bool has_key(const struct track_entry *entry)
{
	return entry->kind == ENTRY_BEGAN || entry->kind == ENTRY_ENDED;
}

/* By their beginnings, which may be gone: lives are numbered in that order, modulo 2^32. */
static int by_number(const void *left, const void *right)
{
	const struct history_life *a = left, *b = right;
	int32_t difference = (int32_t)(a->life - b->life);

	return (difference > 0) - (difference < 0);
}

static struct history_life *find_sorted(struct history_answer *answer, uint32_t life)
{
	const struct history_life wanted = { .life = life };

	return bsearch(&wanted, answer->lives, answer->nr_lives, sizeof(wanted), by_number);
}

/* Of lives that are not sorted yet. */
static struct history_life *find_life(struct history_answer *answer, uint32_t life)
{
	for (size_t i = 0; i < answer->nr_lives; i++)
		if (answer->lives[i].life == life)
			return &answer->lives[i];
	return NULL;
}

/* A life not met before, while there is room. */
static struct history_life *add_life(struct history_answer *answer, size_t max,
				     const struct conn_key *key, uint32_t number, uint8_t role)
{
	struct history_life *life;

	if (answer->nr_lives == max) {
		answer->has_more = true;
		return NULL;
	}
	life = &answer->lives[answer->nr_lives++];
	*life = (struct history_life){ .key = *key, .life = number, .role = role };
	return life;
}

/* Newest to oldest: so an end is met before its beginning. */
static void collect_lives(const struct history *history, const struct tuple *tuple, size_t max,
			  struct history_answer *answer)
{
	for (uint64_t n = history_stats(history).entries; n-- > 0 && !answer->has_more;) {
		const struct track_entry *entry = entry_at(history, n);
		struct history_life *life = NULL;

		if (!has_key(entry) || !tuple_matches(tuple, &entry->key))
			continue;
		if (entry->kind == ENTRY_BEGAN)
			life = find_life(answer, entry->life);
		if (!life)
			life = add_life(answer, max, &entry->key, entry->life, entry->role);
		if (!life)
			return;
		if (entry->kind == ENTRY_BEGAN) {
			life->has_begin = true;
		} else {
			life->has_ended = true;
			life->end = entry->end;
		}
	}
}

static void measure(const struct history *history, struct history_answer *answer)
{
	uint64_t entries = history_stats(history).entries;

	for (uint64_t n = 0; n < entries; n++) {
		const struct track_entry *entry = entry_at(history, n);
		struct history_life *life = find_sorted(answer, entry->life);

		if (!life)
			continue;
		if (!life->count++)
			life->first_ns = entry->ts_ns;
		life->last_ns = entry->ts_ns;
		if (entry->role != ROLE_UNKNOWN)
			life->role = entry->role;
	}
}

/* Where each life's entries go; of more than `max`, the newest stay. */
static int make_room(struct history_answer *answer, size_t max)
{
	for (size_t i = 0; i < answer->nr_lives; i++) {
		struct history_life *life = &answer->lives[i];

		if (life->count > max) {
			life->has_begin = false;
			life->count = max;
		}
		life->first = answer->nr_entries;
		answer->nr_entries += life->count;
	}
	answer->entries = calloc(answer->nr_entries + 1, sizeof(*answer->entries));
	return answer->entries ? 0 : -ENOMEM;
}

/* Newest to oldest, each life from its end. */
static void copy_entries(const struct history *history, struct history_answer *answer,
			 size_t *missing)
{
	for (size_t i = 0; i < answer->nr_lives; i++)
		missing[i] = answer->lives[i].count;
	for (uint64_t n = history_stats(history).entries; n-- > 0;) {
		const struct track_entry *entry = entry_at(history, n);
		struct history_life *life = find_sorted(answer, entry->life);
		size_t *left = life ? &missing[life - answer->lives] : NULL;

		if (!life || !*left)
			continue;
		answer->entries[life->first + --*left] = *entry;
		life->first_ns = entry->ts_ns;
	}
}

int history_ask(const struct history *history, const struct tuple *tuple,
		const struct history_limits *limits, const struct history_open *open,
		size_t nr_open, struct history_answer *ret)
{
	struct history_answer answer = { 0 };
	size_t *missing = NULL;
	int err = -ENOMEM;

	answer.lives = calloc(limits->lives + nr_open, sizeof(*answer.lives));
	if (!answer.lives)
		goto out;
	if (history)
		collect_lives(history, tuple, limits->lives, &answer);
	for (size_t i = 0; i < nr_open; i++)
		if (!find_life(&answer, open[i].life))
			add_life(&answer, limits->lives + nr_open, &open[i].key, open[i].life,
				 open[i].role);
	qsort(answer.lives, answer.nr_lives, sizeof(*answer.lives), by_number);
	err = 0;
	if (!history)
		goto out;
	measure(history, &answer);
	for (size_t i = 0; tuple->is_half && i < answer.nr_lives; i++)
		answer.lives[i].count = 0;
	missing = calloc(answer.nr_lives + 1, sizeof(*missing));
	err = missing ? make_room(&answer, limits->entries) : -ENOMEM;
	if (!err)
		copy_entries(history, &answer, missing);
out:
	free(missing);
	if (err) {
		history_answer_free(&answer);
		answer = (struct history_answer){ 0 };
	}
	*ret = answer;
	return err;
}

void history_answer_free(struct history_answer *answer)
{
	free(answer->lives);
	free(answer->entries);
}
