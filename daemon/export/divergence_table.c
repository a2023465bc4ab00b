/* SPDX-License-Identifier: GPL-2.0-only */
/* Divergences as a table for people. */
#include "export/divergence_table.h"

#include <stdio.h>
#include <string.h>

#include "capture/namespaces.h"
#include "export/evidence.h"
#include "export/names.h"
#include "track/kview.h"
#include "util.h"

#define COLUMNS(X)                                                                                 \
	X(ID, "id", 4)                                                                             \
	X(SINCE, "since", 24)                                                                      \
	X(STATE, "state", 5)                                                                       \
	X(LASTED, "lasted", 8)                                                                     \
	X(KIND, "kind", 21)                                                                        \
	X(CLASS, "class/severity", 16)                                                             \
	X(LOCAL, "local", 18)                                                                      \
	X(REMOTE, "remote", 18)                                                                    \
	X(STATES, "wire|kernel", 24)                                                               \
	X(REASON, "reason", 17)                                                                    \
	X(LISTENER, "listener", 0)

enum column {
#define X(name, heading, width) COLUMN_##name,
	COLUMNS(X)
#undef X
	COLUMN_NR
};

static const char *const headings[] = {
#define X(name, heading, width) heading,
	COLUMNS(X)
#undef X
};

/* At least so wide, so that what is printed bit by bit stands in columns too. */
static const size_t widths_min[] = {
#define X(name, heading, width) width,
	COLUMNS(X)
#undef X
};

#define CELL_MAX 128
#define GAP 2
#define INDENT 6
#define LABEL_WIDTH 10

static const char *const colours[SEVERITY_NR] = {
	[SEVERITY_INFO] = "",
	[SEVERITY_WARNING] = "\033[33m",
	[SEVERITY_CRITICAL] = "\033[1;31m",
};

struct table {
	const struct divergence_list *list;
	struct text *out;
	bool colour;
	size_t widths[COLUMN_NR];
};

static void since_cell(const struct divergence_row *row, uint64_t wall_offset_ns,
		       char cell[CELL_MAX])
{
	struct text time = { 0 };

	/* Milliseconds will do: what follows "…:24.582" goes. */
	text_rfc3339(&time, row->since_ns + wall_offset_ns);
	snprintf(cell, CELL_MAX, "%.23sZ", time.failed ? "" : time.data);
	text_free(&time);
}

/* What could steer a terminal does not pass: processes and namespaces are named by anybody. */
static void disarm(char cell[CELL_MAX])
{
	for (char *c = cell; *c; c++)
		if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
			*c = '?';
}

/* "10.0.0.1:80"; "blue/10.0.0.1:80" in another namespace than the daemon's. */
static void local_cell(const struct connection_report *report, char cell[CELL_MAX])
{
	const char *space = report->netns_name;
	char endpoint[ENDPOINT_TEXT_MAX];

	endpoint_format(report->key.local_address, report->key.local_port, endpoint);
	if (*space && strcmp(space, SPACE_HOST))
		snprintf(cell, CELL_MAX, "%.*s/%s", NETNS_NAME_BYTES, space, endpoint);
	else
		strcpy(cell, endpoint);
	disarm(cell);
}

static void listener_cell(const struct divergence_row *row, char cell[CELL_MAX])
{
	char endpoint[ENDPOINT_TEXT_MAX];

	if (!row->has_listener)
		return;
	endpoint_format(row->listener.key.local_address, row->listener.key.local_port, endpoint);
	if (row->listener.pid)
		snprintf(cell, CELL_MAX, "%s %.16s[%u]", endpoint, row->listener.comm,
			 row->listener.pid);
	else
		snprintf(cell, CELL_MAX, "%s", endpoint);
	disarm(cell);
}

static void write_cell(const struct table *table, const struct divergence_row *row,
		       enum column column, char cell[CELL_MAX])
{
	const struct connection_report *report = &row->opened.connection;
	const struct conn_key *key = &report->key;
	bool is_over = row->closed.change != 0;

	cell[0] = '\0';
	switch (column) {
	case COLUMN_ID:
		snprintf(cell, CELL_MAX, "%llu", (unsigned long long)row->id);
		break;
	case COLUMN_SINCE:
		since_cell(row, table->list->wall_offset_ns, cell);
		break;
	case COLUMN_STATE:
		strcpy(cell, is_over ? "over" : "open");
		break;
	case COLUMN_LASTED:
		duration_text(ledger_lasted_ns(row, table->list->mono_ns), cell);
		break;
	case COLUMN_KIND:
		strcpy(cell, divergence_label(row->kind));
		break;
	case COLUMN_CLASS:
		snprintf(cell, CELL_MAX, "%s/%s",
			 divergence_class_label(divergence_class(row->kind)),
			 divergence_severity_label(divergence_severity(row->kind)));
		break;
	case COLUMN_LOCAL:
		local_cell(report, cell);
		break;
	case COLUMN_REMOTE:
		endpoint_format(key->remote_address, key->remote_port, cell);
		break;
	case COLUMN_STATES:
		snprintf(cell, CELL_MAX, "%s|%s", fsm_state_name(report->local_state),
			 kernel_state_name(report->kernel_state));
		break;
	case COLUMN_REASON:
		snprintf(cell, CELL_MAX, "%s", row->reason ? row->reason : "-");
		break;
	case COLUMN_LISTENER:
	case COLUMN_NR:
		listener_cell(row, cell);
		break;
	}
}

static void pad(struct text *out, size_t spaces)
{
	while (spaces--)
		text_char(out, ' ');
}

static void measure(struct table *table, size_t first)
{
	char cell[CELL_MAX];

	memcpy(table->widths, widths_min, sizeof(table->widths));
	for (size_t i = first; i < table->list->count; i++)
		for (int column = 0; column < COLUMN_NR; column++) {
			write_cell(table, &table->list->rows[i], (enum column)column, cell);
			if (strlen(cell) > table->widths[column])
				table->widths[column] = strlen(cell);
		}
}

static void put_cells(struct table *table, const char *(*cell)(void *context, enum column column),
		      void *context)
{
	size_t owed = 0;

	for (int column = 0; column < COLUMN_NR; column++) {
		const char *text = cell(context, (enum column)column);

		if (*text)
			pad(table->out, owed);
		text_string(table->out, text);
		owed = (*text ? 0 : owed) + table->widths[column] - strlen(text) + GAP;
	}
}

static const char *heading(void *context, enum column column)
{
	(void)context;
	return headings[column];
}

struct row_cells {
	const struct table *table;
	const struct divergence_row *row;
	char cell[CELL_MAX];
};

static const char *row_cell(void *context, enum column column)
{
	struct row_cells *cells = context;

	write_cell(cells->table, cells->row, column, cells->cell);
	return cells->cell;
}

static void put_row(struct table *table, const struct divergence_row *row)
{
	struct row_cells cells = { .table = table, .row = row };
	const char *colour = colours[divergence_severity(row->kind)];
	bool coloured = table->colour && *colour && !row->closed.change;

	text_string(table->out, coloured ? colour : "");
	put_cells(table, row_cell, &cells);
	text_string(table->out, coloured ? "\033[0m" : "");
	text_char(table->out, '\n');
}

/* ---- details ---- */

static void put_label(struct text *out, const char *label)
{
	pad(out, INDENT);
	text_string(out, label);
	pad(out, LABEL_WIDTH - strlen(label));
}

static void put_detail(struct text *out, const char *label, const char *text)
{
	if (!*text)
		return;
	put_label(out, label);
	text_string(out, text);
	text_char(out, '\n');
}

/* With the time, counted from when the views parted. */
static void put_timed(struct text *out, const char *label, const char *text, uint64_t ts_ns,
		      uint64_t since_ns)
{
	bool before = ts_ns < since_ns;
	char duration[DURATION_TEXT_MAX];

	if (!*text)
		return;
	put_label(out, label);
	text_string(out, text);
	text_string(out, " (");
	text_string(out, duration_text(before ? since_ns - ts_ns : ts_ns - since_ns, duration));
	text_string(out, before ? " before)\n" : " after)\n");
}

static void put_details(struct text *out, const struct divergence_row *row)
{
	const struct divergence_evidence *evidence = &row->opened.evidence;
	char text[EVIDENCE_TEXT_MAX];

	put_detail(out, "means", divergence_text(row->kind));
	put_detail(out, "look at", divergence_look_at(row->kind));
	put_timed(out, "segment", evidence_segment_text(evidence, text), evidence->segment.ts_ns,
		  row->since_ns);
	put_timed(out, "change", evidence_change_text(evidence, text), evidence->change.ts_ns,
		  row->since_ns);
	if (evidence->look.ts_ns)
		put_timed(out, "socket", evidence_look_text(&evidence->look.snapshot, text),
			  evidence->look.ts_ns, row->since_ns);
	put_detail(out, "dropped", evidence->drop_reason ? evidence->drop_reason : "");
	snprintf(text, sizeof(text), "%u times", evidence->repeats);
	put_detail(out, "seen", evidence->repeats > 1 ? text : "");
	snprintf(text, sizeof(text), "%llu", (unsigned long long)row->explains);
	put_detail(out, "explains", row->explains ? text : "");
	if (row->closed.change && row->explained_as < DIVERGENCE_NR)
		put_detail(out, "became", divergence_label(row->explained_as));
}

static void put_counts(const struct divergence_list *list, size_t first, struct text *out)
{
	const struct ledger_counts *counts = &list->counts;
	char line[320];
	int used = snprintf(line, sizeof(line), "open now: %llu critical, %llu warning, %llu info",
			    (unsigned long long)counts->open[SEVERITY_CRITICAL],
			    (unsigned long long)counts->open[SEVERITY_WARNING],
			    (unsigned long long)counts->open[SEVERITY_INFO]);

	if (counts->open_not_kept)
		used += snprintf(line + used, sizeof(line) - (size_t)used, " (no room for %llu)",
				 (unsigned long long)counts->open_not_kept);
	used += snprintf(line + used, sizeof(line) - (size_t)used,
			 "; over: %llu kept, %llu forgotten",
			 (unsigned long long)counts->closed_kept,
			 (unsigned long long)counts->closed_forgotten);
	if (first)
		used += snprintf(line + used, sizeof(line) - (size_t)used, "; %zu left off", first);
	snprintf(line + used, sizeof(line) - (size_t)used, "; since=%llu\n",
		 (unsigned long long)counts->last_change);
	text_string(out, line);
}

void divergence_table(const struct divergence_question *question,
		      const struct divergence_list *list, size_t first, struct text *out)
{
	struct table table = { .list = list,
			       .out = out,
			       .colour = question->format == DIVERGENCES_COLOUR };
	size_t shown = list->count - first;
	bool details = question->details || (shown == 1 && !question->no_details);

	measure(&table, first);
	if (shown && !question->query.since) {
		text_string(out, table.colour ? "\033[1m" : "");
		put_cells(&table, heading, NULL);
		text_string(out, table.colour ? "\033[0m\n" : "\n");
	}
	for (size_t i = first; i < list->count; i++) {
		put_row(&table, &list->rows[i]);
		if (details)
			put_details(out, &list->rows[i]);
	}
	put_counts(list, first, out);
}
