/* SPDX-License-Identifier: GPL-2.0-only */
/* Open divergences and those that closed lately: see ledger.h. */
#include "export/ledger.h"

#include <stdlib.h>

_Static_assert(DIVERGENCE_NR <= 32, "a query has a bit for each kind");

/* Those of one class. */
struct shelf {
	size_t nr_open;
	uint64_t total_closed;
	uint64_t ids[LEDGER_OPEN_MAX]; /* of open[]: what is searched */
	struct divergence_row open[LEDGER_OPEN_MAX];
	struct divergence_row closed[LEDGER_CLOSED_MAX]; /* a ring */
	uint64_t nr_closed;				 /* ever put there */
};

struct ledger {
	uint64_t changes;
	uint64_t open[SEVERITY_NR];
	struct shelf shelves[CLASS_NR];
};

struct ledger *ledger_new(void)
{
	/* Megabytes that are touched only where they are used. */
	return calloc(1, sizeof(struct ledger));
}

void ledger_free(struct ledger *ledger)
{
	free(ledger);
}

static struct divergence_moment moment(struct ledger *ledger, const struct track_event *event)
{
	return (struct divergence_moment){
		.change = ++ledger->changes,
		.ts_ns = event->ts_ns,
		.connection = *event->connection,
		.evidence = *event->evidence,
	};
}

static void take_open(struct ledger *ledger, struct shelf *shelf, const struct track_event *event,
		      const struct listener_owner *listener)
{
	struct divergence_moment opened = moment(ledger, event);
	struct divergence_row *row;

	ledger->open[divergence_severity(event->kind)]++;
	if (shelf->nr_open == LEDGER_OPEN_MAX)
		return;
	shelf->ids[shelf->nr_open] = event->id;
	row = &shelf->open[shelf->nr_open++];
	*row = (struct divergence_row){
		.id = event->id,
		.explains = event->explains,
		.since_ns = event->since_ns,
		.kind = event->kind,
		.explained_as = DIVERGENCE_NR,
		.reason = event->reason,
		.has_listener = listener != NULL,
		.opened = opened,
	};
	if (listener)
		row->listener = *listener;
}

static void take_close(struct ledger *ledger, struct shelf *shelf, const struct track_event *event)
{
	uint64_t *open = &ledger->open[divergence_severity(event->kind)];
	struct divergence_moment closed = moment(ledger, event);
	struct divergence_row *row;
	size_t i = 0;

	*open -= *open > 0;
	shelf->total_closed++;
	while (i < shelf->nr_open && shelf->ids[i] != event->id)
		i++;
	if (i == shelf->nr_open)
		return;
	row = &shelf->closed[shelf->nr_closed++ % LEDGER_CLOSED_MAX];
	*row = shelf->open[i];
	row->explained_as = event->explained_as;
	row->closed = closed;
	shelf->open[i] = shelf->open[--shelf->nr_open];
	shelf->ids[i] = shelf->ids[shelf->nr_open];
}

void ledger_take(struct ledger *ledger, const struct track_event *event,
		 const struct listener_owner *listener)
{
	struct shelf *shelf = &ledger->shelves[divergence_class(event->kind)];

	if (event->type == TRACK_DIVERGENCE_OPEN)
		take_open(ledger, shelf, event, listener);
	else if (event->type == TRACK_DIVERGENCE_CLOSE)
		take_close(ledger, shelf, event);
}

static size_t kept_closed(const struct shelf *shelf)
{
	return shelf->nr_closed < LEDGER_CLOSED_MAX ? shelf->nr_closed : LEDGER_CLOSED_MAX;
}

static size_t copy_matching(const struct ledger_query *query, uint64_t since,
			    const struct divergence_row *from, size_t count,
			    struct divergence_row *rows, size_t max)
{
	size_t filled = 0;

	for (size_t i = 0; i < count && filled < max; i++)
		if (query->kinds & (1u << from[i].kind) &&
		    (from[i].opened.change > since || from[i].closed.change > since))
			rows[filled++] = from[i];
	return filled;
}

size_t ledger_list(const struct ledger *ledger, const struct ledger_query *query,
		   struct divergence_row *rows, size_t max)
{
	uint64_t since = ledger_since(query->since, ledger->changes);
	size_t filled = 0;

	for (int i = 0; i < CLASS_NR; i++) {
		const struct shelf *shelf = &ledger->shelves[i];

		if (query->open)
			filled += copy_matching(query, since, shelf->open, shelf->nr_open,
						rows + filled, max - filled);
		if (query->closed)
			filled += copy_matching(query, since, shelf->closed, kept_closed(shelf),
						rows + filled, max - filled);
	}
	return filled;
}

struct ledger_counts ledger_counts(const struct ledger *ledger)
{
	struct ledger_counts counts = { .last_change = ledger->changes };

	for (int severity = 0; severity < SEVERITY_NR; severity++) {
		counts.open[severity] = ledger->open[severity];
		counts.open_not_kept += ledger->open[severity];
	}
	for (int i = 0; i < CLASS_NR; i++) {
		const struct shelf *shelf = &ledger->shelves[i];

		counts.open_not_kept -= shelf->nr_open;
		counts.closed_kept += kept_closed(shelf);
		counts.closed_forgotten += shelf->total_closed - kept_closed(shelf);
	}
	return counts;
}

uint64_t ledger_lasted_ns(const struct divergence_row *row, uint64_t now_ns)
{
	uint64_t end_ns = row->closed.change ? row->closed.ts_ns : now_ns;

	return end_ns > row->since_ns ? end_ns - row->since_ns : 0;
}

struct track_event ledger_event(const struct divergence_row *row, bool closing)
{
	const struct divergence_moment *at = closing ? &row->closed : &row->opened;

	return (struct track_event){
		.type = closing ? TRACK_DIVERGENCE_CLOSE : TRACK_DIVERGENCE_OPEN,
		.ts_ns = at->ts_ns,
		.kind = row->kind,
		.id = row->id,
		.explains = row->explains,
		.explained_as = closing ? row->explained_as : DIVERGENCE_NR,
		.since_ns = row->since_ns,
		.reason = row->reason,
		.connection = &at->connection,
		.evidence = &at->evidence,
	};
}
