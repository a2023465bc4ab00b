/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ledger's rows for whoever asks: one JSON object, a table for people, or the lines that the
 * event log has of them. Pure.
 */
#ifndef TCPWITNESS_DIVERGENCE_LIST_H
#define TCPWITNESS_DIVERGENCE_LIST_H

#include "export/divergence_query.h"
#include "export/text.h"

/* What the ledger answered. Rendering puts the rows in order. */
struct divergence_list {
	struct divergence_row *rows;
	size_t count;
	struct ledger_counts counts;
	uint64_t mono_ns;	 /* of the answer */
	uint64_t wall_offset_ns; /* CLOCK_REALTIME - CLOCK_MONOTONIC */
};

/*
 * DIVERGENCES_LINES: what changed since question->query.since, in order, then one line
 * {"event":"last","schema":1,"last":N}. The table's last line says how many there are, and
 * `since=N` for the next question.
 */
void divergence_list_render(const struct divergence_question *question,
			    struct divergence_list *list, struct text *out);

#endif
