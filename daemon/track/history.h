/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The last entries of all connections' stories, in one ring of a fixed size: the newest overwrites
 * the oldest. Adding costs a copy of 64 bytes; questions scan the ring, newest to oldest, and are
 * asked by people. One thread owns it.
 */
#ifndef TCPWITNESS_HISTORY_H
#define TCPWITNESS_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "track/entry.h"
#include "track/tuple.h"

struct history;

struct history_stats {
	uint64_t entries, limit; /* held, at most; 64 bytes each */
	uint64_t overwritten;
};

/* NULL and errno (EINVAL: 0 entries, ENOMEM). Memory is taken as it fills. */
struct history *history_new(uint32_t limit);
void history_free(struct history *history);

void history_add(struct history *history, const struct track_entry *entry);

/* All zero for NULL: nothing is kept. */
struct history_stats history_stats(const struct history *history);

/* What is left of one connection's story. */
struct history_life {
	struct conn_key key;
	uint32_t life;
	uint8_t role;	/* enum connection_role */
	uint8_t end;	/* enum connection_end, when it has ended */
	bool has_begin; /* nothing of it was overwritten */
	bool has_ended;
	uint64_t first_ns, last_ns; /* of its entries that are left */
	size_t first, count;	    /* in history_answer.entries */
};

/* Oldest first; owns what it points at. */
struct history_answer {
	struct history_life *lives;
	size_t nr_lives;
	bool has_more;		     /* older ones, for which there was no room */
	struct track_entry *entries; /* of one life after the other */
	size_t nr_entries;
};

/* What the tracker knows of a connection that is open: its beginning may be overwritten. */
struct history_open {
	struct conn_key key;
	uint32_t life;
	uint8_t role; /* enum connection_role */
};

struct history_limits {
	size_t lives;
	size_t entries; /* of one life: the newest */
};

/*
 * The connections whose tuple matches and, unless it is a half one, their entries. `history` may
 * be NULL. 0 or -ENOMEM, and then *ret is empty.
 */
int history_ask(const struct history *history, const struct tuple *tuple,
		const struct history_limits *limits, const struct history_open *open,
		size_t nr_open, struct history_answer *ret);
void history_answer_free(struct history_answer *answer);

#endif
