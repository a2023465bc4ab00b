/* SPDX-License-Identifier: GPL-2.0-only */
/* The ledger's rows for whoever asks: order, JSON, lines; divergence_table.c has the table. */
#include "export/divergence_list.h"

#include <stdlib.h>

#include "export/api.h"
#include "export/divergence_table.h"
#include "export/events.h"
#include "export/evidence.h"
#include "export/report.h"

static uint64_t newest_change(const struct divergence_row *row)
{
	return row->closed.change ? row->closed.change : row->opened.change;
}

static int by_change(const void *left, const void *right)
{
	uint64_t a = newest_change(left), b = newest_change(right);

	return (a > b) - (a < b);
}

/* ---- one JSON object ---- */

static void counts_json(struct json *json, const struct ledger_counts *counts)
{
	uint64_t total = 0;

	json_object_begin(json, "open");
	for (int i = SEVERITY_NR - 1; i >= 0; i--) {
		json_u64(json, divergence_severity_label(i), counts->open[i]);
		total += counts->open[i];
	}
	json_object_end(json);
	json_u64(json, "total", total);
	json_u64(json, "open_not_kept", counts->open_not_kept);
	json_u64(json, "closed_kept", counts->closed_kept);
	json_u64(json, "closed_forgotten", counts->closed_forgotten);
	json_u64(json, "last", counts->last_change);
}

static void row_json(struct json *json, const struct divergence_list *list,
		     const struct divergence_row *row)
{
	bool is_over = row->closed.change != 0;

	json_object_begin(json, NULL);
	json_u64(json, "id", row->id);
	report_kind(json, row->kind, row->reason);
	report_tuple(json, &row->opened.connection);
	json_time(json, "since", row->since_ns + list->wall_offset_ns);
	json_seconds(json, "duration_seconds", ledger_lasted_ns(row, list->mono_ns));
	json_time(json, "opened", row->opened.ts_ns + list->wall_offset_ns);
	if (is_over)
		json_time(json, "closed", row->closed.ts_ns + list->wall_offset_ns);
	else
		json_null(json, "closed");
	report_states(json, &row->opened.connection);
	evidence_json(json, "evidence", &row->opened.evidence, list->wall_offset_ns);
	report_listener(json, row->has_listener ? &row->listener : NULL);
	if (row->explains)
		json_u64(json, "explains", row->explains);
	else
		json_null(json, "explains");
	json_string(json, "explained_as",
		    is_over && row->explained_as < DIVERGENCE_NR ?
			    divergence_label(row->explained_as) :
			    NULL);
	json_object_end(json);
}

static void render_json(const struct divergence_list *list, size_t first, struct text *out)
{
	struct json json;

	json_init(&json, out);
	json_object_begin(&json, NULL);
	json_u64(&json, "schema", API_SCHEMA);
	json_time(&json, "time", list->mono_ns + list->wall_offset_ns);
	counts_json(&json, &list->counts);
	json_u64(&json, "left_off", first);
	json_array_begin(&json, "divergences");
	for (size_t i = first; i < list->count; i++)
		row_json(&json, list, &list->rows[i]);
	json_array_end(&json);
	json_object_end(&json);
	text_char(out, '\n');
}

/* ---- lines of the event log ---- */

struct line {
	uint64_t change;
	const struct divergence_row *row;
	bool closing;
};

static int by_line(const void *left, const void *right)
{
	const struct line *a = left, *b = right;

	return (a->change > b->change) - (a->change < b->change);
}

static size_t find_lines(const struct divergence_list *list, size_t first, uint64_t since,
			 struct line *lines)
{
	size_t count = 0;

	for (size_t i = first; i < list->count; i++) {
		const struct divergence_row *row = &list->rows[i];

		if (row->opened.change > since)
			lines[count++] = (struct line){ row->opened.change, row, false };
		if (row->closed.change > since)
			lines[count++] = (struct line){ row->closed.change, row, true };
	}
	qsort(lines, count, sizeof(*lines), by_line);
	return count;
}

static void render_lines(const struct divergence_list *list, size_t first, uint64_t since,
			 struct text *out)
{
	struct line *lines = calloc(2 * list->count + 1, sizeof(*lines));
	size_t count = lines ? find_lines(list, first, since, lines) : 0;
	struct json json;

	out->failed |= !lines;
	for (size_t i = 0; i < count; i++) {
		const struct divergence_row *row = lines[i].row;
		const struct track_event event = ledger_event(row, lines[i].closing);

		events_render(&event, row->has_listener ? &row->listener : NULL,
			      list->wall_offset_ns, out);
	}
	free(lines);
	json_init(&json, out);
	json_object_begin(&json, NULL);
	json_string(&json, "event", "last");
	json_u64(&json, "schema", EVENTS_SCHEMA);
	json_u64(&json, "last", list->counts.last_change);
	json_object_end(&json);
	text_char(out, '\n');
}

void divergence_list_render(const struct divergence_question *question,
			    struct divergence_list *list, struct text *out)
{
	size_t first;

	qsort(list->rows, list->count, sizeof(*list->rows), by_change);
	/* The newest, except for who follows: what is left off now would never be seen. */
	first = list->count > question->limit && !question->query.since ?
			list->count - question->limit :
			0;
	switch (question->format) {
	case DIVERGENCES_JSON:
		render_json(list, first, out);
		break;
	case DIVERGENCES_LINES:
		render_lines(list, first,
			     ledger_since(question->query.since, list->counts.last_change), out);
		break;
	case DIVERGENCES_TABLE:
	case DIVERGENCES_COLOUR:
		divergence_table(question, list, first, out);
		break;
	}
}
