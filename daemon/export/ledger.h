/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The divergences that are open, and those that closed lately: what `tcpwitness divergences` lists.
 * Problems and expected ones are kept apart, so that a flood of the latter (a SYN flood's cookies)
 * leaves the former in place. What there was no room for is counted. One thread owns it.
 */
#ifndef TCPWITNESS_LEDGER_H
#define TCPWITNESS_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "listen/listeners.h"
#include "track/tracker.h"

/* Of each class: so many open ones, and so many closed ones, are kept. */
#define LEDGER_OPEN_MAX 1024
#define LEDGER_CLOSED_MAX 1024
#define LEDGER_ROWS_MAX ((size_t)CLASS_NR * (LEDGER_OPEN_MAX + LEDGER_CLOSED_MAX))

/* How things stood when it opened, or closed. */
struct divergence_moment {
	uint64_t change; /* numbers all openings and closings in order; 0 = did not happen */
	uint64_t ts_ns;	 /* CLOCK_MONOTONIC */
	struct connection_report connection;
	struct divergence_evidence evidence;
};

struct divergence_row {
	uint64_t id, explains, since_ns; /* as in struct track_event, like the next three */
	enum divergence_kind kind;
	enum divergence_kind explained_as;
	const char *reason; /* static text, or NULL */
	bool has_listener;
	struct listener_owner listener;
	struct divergence_moment opened, closed;
};

/* Which rows; all zero asks for none. */
struct ledger_query {
	bool open, closed;
	uint32_t kinds; /* bit per enum divergence_kind */
	uint64_t since; /* only what has changed since this change; see ledger_since() */
};

struct ledger_counts {
	uint64_t open[SEVERITY_NR]; /* now, those not kept included */
	uint64_t open_not_kept;	    /* of those: there was no room */
	uint64_t closed_kept;
	uint64_t closed_forgotten; /* made room for newer ones, or had none when they opened */
	uint64_t last_change;
};

struct ledger;

/* NULL and errno on failure. */
struct ledger *ledger_new(void);
void ledger_free(struct ledger *ledger);

/* Takes a divergence's opening or closing; `listener` may be NULL. Other events are no concern
 * of it. */
void ledger_take(struct ledger *ledger, const struct track_event *event,
		 const struct listener_owner *listener);

/* A number that was not given yet is of an earlier run: then everything is new. */
static inline uint64_t ledger_since(uint64_t since, uint64_t last_change)
{
	return since > last_change ? 0 : since;
}

/* Fills up to `max` rows, in no order (LEDGER_ROWS_MAX is always enough); returns how many. */
size_t ledger_list(const struct ledger *ledger, const struct ledger_query *query,
		   struct divergence_row *rows, size_t max);

struct ledger_counts ledger_counts(const struct ledger *ledger);

/* How long it lasted, or has lasted when CLOCK_MONOTONIC shows now_ns. */
uint64_t ledger_lasted_ns(const struct divergence_row *row, uint64_t now_ns);

/* The event a row was made from; it points into the row. `closing` needs closed.change. */
struct track_event ledger_event(const struct divergence_row *row, bool closing);

#endif
