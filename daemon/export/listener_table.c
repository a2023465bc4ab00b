/* SPDX-License-Identifier: GPL-2.0-only */
/* Listeners as a table for people. */
#include "export/listener_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include "util.h"

#define COLUMNS(X)                                                                                 \
	X(LISTENER, "listener")                                                                    \
	X(SYN, "syn/limit")                                                                        \
	X(SYN_MAX, "max")                                                                          \
	X(SYN_BY, "limited by")                                                                    \
	X(ACCEPT, "accept/limit")                                                                  \
	X(ACCEPT_MAX, "max")                                                                       \
	X(ACCEPT_BY, "limited by")                                                                 \
	X(FILL, "full")                                                                            \
	X(SYNS, "syns")                                                                            \
	X(HANDSHAKES, "handshakes")                                                                \
	X(COOKIES, "cookies")                                                                      \
	X(SOURCES, "sources")                                                                      \
	X(DROPS, "drops")                                                                          \
	X(REASON, "mostly")                                                                        \
	X(FOLLOWED, "followed")                                                                    \
	X(FLOOD, "flood")                                                                          \
	X(OWNER, "owner")

enum column {
#define X(name, heading) COLUMN_##name,
	COLUMNS(X)
#undef X
	COLUMN_NR
};

static const char *const headings[] = {
#define X(name, heading) heading,
	COLUMNS(X)
#undef X
};

static const char *const drop_labels[] = {
#define X(name, label) label,
	LISTENER_DROPS(X)
#undef X
};

static const char *const order_labels[] = {
#define X(name, label) label,
	LISTENER_ORDERS(X)
#undef X
};

#define CELL_MAX 96
#define GAP 2

const char *listener_order_label(enum listener_order order)
{
	return order_labels[order];
}

bool listener_order_parse(const char *label, enum listener_order *ret)
{
	*ret = LISTENERS_BY_SYNS;
	if (!label)
		return true;
	for (int order = 0; order < LISTENERS_BY_NR; order++)
		if (!strcmp(label, order_labels[order])) {
			*ret = (enum listener_order)order;
			return true;
		}
	return false;
}

/* A row, with what sorting and printing need of it. */
struct line {
	const struct listener_row *row;
	const char *name; /* NULL: all others */
	struct limits_facts facts;
	uint64_t drops, key;
	uint32_t percent; /* of the fuller queue */
	int worst;	  /* the reason for most drops, -1 without */
};

/* How much of what it holds, its limit and one, is there. */
static uint32_t percent_of(uint32_t length, uint32_t limit)
{
	return (uint32_t)((uint64_t)length * 100 / ((uint64_t)limit + 1));
}

static struct line line_of(const struct export_view *view, const struct listener_row *row,
			   const char *name)
{
	struct line line = { .row = row, .name = name, .worst = -1 };

	line.facts = view_limits_facts(view, row);
	for (int reason = 0; reason < LISTENER_DROP_NR; reason++) {
		const __u64 *drops = row->counters.drops;

		line.drops += drops[reason];
		if (drops[reason] && (line.worst < 0 || drops[reason] > drops[line.worst]))
			line.worst = reason;
	}
	line.percent = MAX(percent_of(row->syn_length, limits_of(&line.facts, QUEUE_SYN).limit),
			   percent_of(row->accept_length, row->accept_limit));
	return line;
}

static uint64_t sort_key(const struct line *line, enum listener_order order)
{
	switch (order) {
	case LISTENERS_BY_DROPS:
		return line->drops;
	case LISTENERS_BY_FILL:
		return line->percent;
	case LISTENERS_BY_SYN:
		return line->row->syn_length;
	case LISTENERS_BY_ACCEPT:
		return line->row->accept_length;
	case LISTENERS_BY_SYNS:
		return line->row->counters.syns;
	case LISTENERS_BY_LISTENER:
	case LISTENERS_BY_NR:
		break;
	}
	return 0; /* by address alone */
}

static int by_key(const void *left, const void *right)
{
	const struct line *a = left, *b = right;

	if (a->key != b->key)
		return a->key < b->key ? 1 : -1;
	return memcmp(&a->row->key, &b->row->key, sizeof(a->row->key));
}

/* Processes and control groups are named by others: what could steer a terminal does not pass. */
static void make_printable(char *text)
{
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
			*c = '?';
}

static void owner_cell(const struct listener_row *row, char cell[CELL_MAX])
{
	if (!row->pid) {
		strcpy(cell, "-");
		return;
	}
	snprintf(cell, CELL_MAX, "%.16s[%u]", row->comm, row->pid);
	make_printable(cell);
}

static void number(char cell[CELL_MAX], uint64_t value)
{
	snprintf(cell, CELL_MAX, "%llu", (unsigned long long)value);
}

static void queue_cell(const struct line *line, enum listen_queue queue, char cell[CELL_MAX])
{
	snprintf(cell, CELL_MAX, "%u/%u",
		 queue == QUEUE_SYN ? line->row->syn_length : line->row->accept_length,
		 limits_of(&line->facts, queue).limit);
}

static void write_cell(const struct line *line, enum column column, char cell[CELL_MAX])
{
	const struct listener_row *row = line->row;

	switch (column) {
	case COLUMN_LISTENER:
		snprintf(cell, CELL_MAX, "%s", line->name);
		break;
	case COLUMN_SYN:
	case COLUMN_ACCEPT:
		queue_cell(line, column == COLUMN_SYN ? QUEUE_SYN : QUEUE_ACCEPT, cell);
		break;
	case COLUMN_SYN_BY:
	case COLUMN_ACCEPT_BY:
		strcpy(cell, listen_knob_label(limits_of(&line->facts, column == COLUMN_SYN_BY ?
									       QUEUE_SYN :
									       QUEUE_ACCEPT)
						       .by));
		break;
	case COLUMN_SYN_MAX:
	case COLUMN_ACCEPT_MAX:
		number(cell, column == COLUMN_SYN_MAX ? row->syn_peak : row->accept_peak);
		break;
	case COLUMN_FILL:
		snprintf(cell, CELL_MAX, "%u%%", line->percent);
		break;
	case COLUMN_SYNS:
		number(cell, row->counters.syns);
		break;
	case COLUMN_HANDSHAKES:
		number(cell, row->counters.handshakes);
		break;
	case COLUMN_COOKIES:
		number(cell, row->counters.cookies_sent);
		break;
	case COLUMN_SOURCES:
		number(cell, row->sources);
		break;
	case COLUMN_FLOOD:
		strcpy(cell, row->flooded ? "suspected" : "-");
		break;
	case COLUMN_DROPS:
		number(cell, line->drops);
		break;
	case COLUMN_REASON:
		strcpy(cell, line->worst < 0 ? "-" : drop_labels[line->worst]);
		break;
	case COLUMN_FOLLOWED:
		if (row->sampling_shift)
			snprintf(cell, CELL_MAX, "1/%u", 1u << row->sampling_shift);
		else
			strcpy(cell, "all");
		break;
	case COLUMN_OWNER:
	case COLUMN_NR:
		owner_cell(row, cell);
		break;
	}
}

static void put(struct text *out, const char *cell, size_t width, bool last)
{
	text_string(out, cell);
	for (size_t used = strlen(cell); !last && used < width + GAP; used++)
		text_char(out, ' ');
}

/* Where the owner belongs, as far as its control group says. */
static void put_place(const struct line *line, struct text *out)
{
	const struct place *place = &line->row->place;
	char text[PLACE_UNIT_MAX + CONTAINER_ID_DIGITS + POD_UID_CHARS + 64];
	int used = 0;

	if (!place->unit[0] && !place->runtime)
		return;
	if (place->unit[0])
		used += snprintf(text, sizeof(text), "  unit %s", place->unit);
	if (place->runtime)
		used += snprintf(text + used, sizeof(text) - (size_t)used, "  %s container %.*s",
				 container_runtime_label(place->runtime), CONTAINER_SHORT_DIGITS,
				 place->container);
	if (place->pod[0])
		snprintf(text + used, sizeof(text) - (size_t)used, "  pod %s", place->pod);
	make_printable(text);
	text_string(out, text);
	text_char(out, '\n');
}

/* One source can be turned away, thousands are most likely forged. */
#define SOURCES_FEW 16

static void put_flood(const struct line *line, uint64_t now_ns, struct text *out)
{
	const struct listener_row *row = line->row;
	char text[256];

	if (!row->flooded || !row->flooded_ns)
		return;
	snprintf(
		text, sizeof(text),
		"  a SYN flood is suspected since %llu s: %u SYNs a second, %u%% answered, some %llu "
		"sources: %s\n",
		(unsigned long long)((now_ns - row->flooded_ns) / NS_PER_SEC), row->flood.rate,
		row->flood.answered, (unsigned long long)row->sources,
		row->sources <= SOURCES_FEW ?
			"few enough to drop before TCP, or their SYN-ACKs get lost" :
			"most likely forged; cookies keep the listener reachable");
	text_string(out, text);
}

static void put_advice(const struct line *line, struct text *out)
{
	static const char *const verdicts[] = {
		[VERDICT_CHANGE] = "change",
		[VERDICT_HELPS] = "helps too",
		[VERDICT_NO] = "no help",
	};
	struct listen_advice advice;
	char text[64];

	for (int queue = 0; queue < QUEUE_NR; queue++) {
		if (!limits_overflowed(&line->facts, queue))
			continue;
		limits_advise(&line->facts, queue, &advice);
		snprintf(text, sizeof(text), "  the %s queue overflowed:\n",
			 listen_queue_label(queue));
		text_string(out, text);
		for (size_t i = 0; i < advice.count; i++) {
			snprintf(text, sizeof(text), "    %-9s  %-21s  ",
				 verdicts[advice.rows[i].verdict],
				 listen_knob_label(advice.rows[i].knob));
			text_string(out, text);
			text_string(out, advice.rows[i].why);
			text_char(out, '\n');
		}
	}
}

static void put_lines(const struct line *lines, size_t count, bool details, uint64_t now_ns,
		      struct text *out)
{
	size_t widths[COLUMN_NR];
	char cell[CELL_MAX];

	for (int column = 0; column < COLUMN_NR; column++) {
		widths[column] = strlen(headings[column]);
		for (size_t i = 0; i < count; i++) {
			write_cell(&lines[i], (enum column)column, cell);
			widths[column] = MAX(widths[column], strlen(cell));
		}
	}
	for (int column = 0; column < COLUMN_NR; column++)
		put(out, headings[column], widths[column], column == COLUMN_NR - 1);
	text_char(out, '\n');
	for (size_t i = 0; i < count; i++) {
		for (int column = 0; column < COLUMN_NR; column++) {
			write_cell(&lines[i], (enum column)column, cell);
			put(out, cell, widths[column], column == COLUMN_NR - 1);
		}
		text_char(out, '\n');
		if (!details)
			continue;
		put_place(&lines[i], out);
		put_flood(&lines[i], now_ns, out);
		put_advice(&lines[i], out);
	}
}

void listener_table(const struct export_view *view, enum listener_order order, bool details,
		    struct text *out)
{
	struct line *lines = calloc(view->nr_listeners + 1, sizeof(*lines));
	size_t count = view->nr_listeners;

	if (!lines) {
		out->failed = true;
		return;
	}
	for (size_t i = 0; i < count; i++) {
		lines[i] = line_of(view, &view->listeners[i], view->names[i].listener);
		lines[i].key = sort_key(&lines[i], order);
	}
	qsort(lines, count, sizeof(*lines), by_key);
	if (view->other.members)
		lines[count++] = line_of(view, &view->other, "other");
	put_lines(lines, count, details, view->mono_ns, out);
	free(lines);
}
