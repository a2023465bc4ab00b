/* SPDX-License-Identifier: GPL-2.0-only */
/* Stories as tables for people: see story.h. */
#include "export/story.h"

#include <stdio.h>
#include <string.h>

#include "export/evidence.h"
#include "export/names.h"
#include "export/story_lines.h"
#include "tcp_defs.h"
#include "track/kview.h"
#include "track/verdicts.h"
#include "util.h"

/* Columns; what remains of 120 are the remarks. */
#define TIME_WIDTH 11
#define STATE_WIDTH 12
#define MIDDLE_WIDTH 38
#define REMARK_WIDTH 27
#define REMARK_COLUMN (TIME_WIDTH + 2 + STATE_WIDTH + 1 + MIDDLE_WIDTH + 1 + 2 * (STATE_WIDTH + 2))

/* Below a divergence, from where the segments stand. */
#define NOTE_COLUMN (TIME_WIDTH + 2 + STATE_WIDTH + 1)
#define NOTE_LABEL_WIDTH 10
#define NOTE_WIDTH (120 - NOTE_COLUMN - NOTE_LABEL_WIDTH)

/* A run of ordinary segments this long is drawn as its first, a count, and its last. */
#define RUN_MIN 6

enum style {
	PLAIN,
	DIM,
	BOLD,
	RED,
	YELLOW,
	CYAN
};

static const char *const escapes[] = { "",	     "\033[2m",	 "\033[1m",
				       "\033[1;31m", "\033[33m", "\033[36m" };

struct table {
	struct text *out;
	bool colour;
	const struct history_life *life;
	const struct track_entry *entries;
	bool local_left;
	bool roles_known;
	const char *first[2]; /* states of local and remote before the first segment */
	struct story_thread thread;
	size_t pending; /* spaces owed: none is written at the end of a line */
};

/* One line, cell by cell. */
struct row {
	char time[24], middle[160];
	const char *left, *right, *kernel, *remark;
	enum style left_style, right_style, kernel_style, middle_style, remark_style;
};

/* Columns that UTF-8 text takes; ours is narrow. */
static size_t width_of(const char *string, size_t bytes)
{
	size_t width = 0;

	for (size_t i = 0; i < bytes; i++)
		width += ((unsigned char)string[i] & 0xC0) != 0x80;
	return width;
}

static void cell_bytes(struct table *table, const char *string, size_t bytes, size_t width,
		       enum style style)
{
	size_t used = width_of(string, bytes);
	bool styled = table->colour && style != PLAIN && bytes;

	if (bytes) {
		for (; table->pending; table->pending--)
			text_char(table->out, ' ');
		text_string(table->out, styled ? escapes[style] : "");
		text_bytes(table->out, string, bytes);
		text_string(table->out, styled ? "\033[0m" : "");
	}
	if (width)
		table->pending += used < width ? width - used : 1;
}

static void cell(struct table *table, const char *string, size_t width, enum style style)
{
	cell_bytes(table, string, strlen(string), width, style);
}

static void end_line(struct table *table)
{
	table->pending = 0;
	text_char(table->out, '\n');
}

/* Bytes of the first line when `text` is broken at spaces to so many columns. */
static size_t break_at(const char *text, size_t width)
{
	size_t end = strcspn(text, " ");

	while (text[end]) {
		size_t next = end + 1 + strcspn(text + end + 1, " ");

		if (width_of(text, next) > width)
			break;
		end = next;
	}
	return end;
}

static void put_remark(struct table *table, const char *remark, enum style style)
{
	while (*remark) {
		size_t bytes = break_at(remark, REMARK_WIDTH);

		cell_bytes(table, remark, bytes, 0, style);
		remark += bytes;
		remark += *remark == ' ';
		if (*remark) {
			end_line(table);
			table->pending = REMARK_COLUMN;
		}
	}
}

static void put_row(struct table *table, const struct row *row)
{
	char time[TIME_WIDTH + 24];

	snprintf(time, sizeof(time), "%*s", TIME_WIDTH, row->time);
	cell(table, row->time[0] ? time : "", TIME_WIDTH + 2, DIM);
	cell(table, row->left, STATE_WIDTH + 1, row->left_style);
	cell(table, row->middle, MIDDLE_WIDTH + 1, row->middle_style);
	cell(table, row->right, STATE_WIDTH + 2, row->right_style);
	cell(table, row->kernel, STATE_WIDTH + 2, row->kernel_style);
	put_remark(table, row->remark, row->remark_style);
	end_line(table);
}

/* ---- the cells ---- */

static void put_time(const struct table *table, const struct track_entry *entry, struct row *row)
{
	uint64_t ns = entry->ts_ns - table->life->first_ns;
	uint64_t seconds = ns / NS_PER_SEC, fraction = ns % NS_PER_SEC;

	/* What is older than three hours needs no microseconds. */
	if (seconds < 10000)
		snprintf(row->time, sizeof(row->time), "%llu.%06llu", (unsigned long long)seconds,
			 (unsigned long long)fraction / 1000);
	else
		snprintf(row->time, sizeof(row->time), "%llu.%03llu", (unsigned long long)seconds,
			 (unsigned long long)fraction / 1000000);
}

static void centre(struct row *row, const char *text)
{
	size_t width = strlen(text);

	snprintf(row->middle, sizeof(row->middle), "%*s%s",
		 width < MIDDLE_WIDTH ? (int)(MIDDLE_WIDTH - width) / 2 : 0, "", text);
}

/* "---- TEXT --------->" across the middle, or "<--------- TEXT ----". */
static void put_arrow(const char *text, bool rightward, struct row *row)
{
	static const char dashes[] = "----------------------------------------";
	int room = MIDDLE_WIDTH - (int)strlen(text) - 8; /* four dashes, two spaces, > and a dash */
	int tail = room > 0 ? room + 1 : 1, head = room > 0 ? 4 : 1;

	if (rightward)
		snprintf(row->middle, sizeof(row->middle), "%.*s %s %.*s>", head, dashes, text,
			 tail, dashes);
	else
		snprintf(row->middle, sizeof(row->middle), "<%.*s %s %.*s", tail, dashes, text,
			 head, dashes);
}

static void put_segment(const struct table *table, const struct track_entry *entry, struct row *row)
{
	char flags[TCP_FLAGS_TEXT_MAX], text[80];
	int used;

	used = snprintf(text, sizeof(text), "%s seq=%u",
			tcp_flags_text(entry->segment.tcp_flags, flags),
			story_seq(&table->thread, entry));
	if (entry->segment.tcp_flags & TCPF_ACK)
		used += snprintf(text + used, sizeof(text) - (size_t)used, " ack=%u",
				 story_ack(&table->thread, entry));
	if (entry->segment.len)
		snprintf(text + used, sizeof(text) - (size_t)used, " len=%u", entry->segment.len);
	put_arrow(text, !(entry->flags & ENTRY_SENT) != table->local_left, row);
	row->middle_style = entry->segment.tcp_flags & TCPF_RST ? RED : PLAIN;
}

static void put_change(const struct track_entry *entry, struct row *row)
{
	char text[80];

	snprintf(text, sizeof(text), "%s: %s to %s",
		 entry->kind == ENTRY_KERNEL ? "kernel" : "seen",
		 kernel_state_name(entry->change.from), kernel_state_name(entry->change.to));
	centre(row, text);
	row->middle_style = CYAN;
}

static void put_divergence(const struct track_entry *entry, struct row *row)
{
	enum divergence_kind kind = (enum divergence_kind)entry->divergence.kind;
	bool opens = entry->kind == ENTRY_DIVERGENCE_OPEN;
	char text[80];

	snprintf(text, sizeof(text),
		 opens						? "** %s **" :
		 entry->divergence.explained_as < DIVERGENCE_NR ? "%s is explained" :
								  "%s is over",
		 divergence_label(kind));
	centre(row, text);
	if (opens)
		row->middle_style = divergence_class(kind) == CLASS_PROBLEM ? RED : YELLOW;
	row->remark_style = row->middle_style;
}

static void put_middle(const struct table *table, const struct track_entry *entry, struct row *row)
{
	char text[80], flags[TCP_FLAGS_TEXT_MAX];

	switch (entry->kind) {
	case ENTRY_SEGMENT:
		put_segment(table, entry, row);
		break;
	case ENTRY_KERNEL:
	case ENTRY_LOOK:
		put_change(entry, row);
		break;
	case ENTRY_DROP:
		snprintf(text, sizeof(text), "kernel drops %s seq=%u",
			 tcp_flags_text(entry->drop.tcp_flags, flags),
			 story_seq(&table->thread, entry));
		centre(row, text);
		row->middle_style = RED;
		break;
	case ENTRY_TIMER:
		centre(row, "timer");
		break;
	case ENTRY_DIVERGENCE_OPEN:
	case ENTRY_DIVERGENCE_CLOSE:
		put_divergence(entry, row);
		break;
	case ENTRY_GAVE_UP:
		centre(row, "not observable");
		row->middle_style = YELLOW;
		break;
	default:
		snprintf(text, sizeof(text), "ended: %s",
			 end_label((enum connection_end)entry->end));
		centre(row, text);
		row->middle_style = BOLD;
		break;
	}
}

static const char *kernel_cell(const struct track_entry *entry)
{
	if (entry->kernel_state == KS_NONE)
		return "";
	/* An orphan's minisocket, which stands for FIN_WAIT_2. */
	if (entry->kernel_state == KS_TIME_WAIT && entry->kernel_substate == KS_FIN_WAIT2)
		return "TW:FIN_WAIT2";
	return kernel_state_name(entry->kernel_state);
}

static const char *state_cell(const struct table *table, const struct track_entry *entry,
			      bool local)
{
	if (!(entry->flags & ENTRY_WIRE))
		return table->first[!local];
	return fsm_state_name((enum fsm_state)(local ? entry->local_state : entry->remote_state));
}

static enum style changed(const char *before, const char *now)
{
	return strcmp(before, now) ? BOLD : PLAIN;
}

/* ---- the lines ---- */

/* Where both ends stood before the first segment, if that is where the wire's story begins. */
static void find_beginning(struct table *table)
{
	const struct track_entry *first = table->entries;

	table->first[0] = table->first[1] = "?";
	for (size_t i = 0; i < table->life->count && !(first->flags & ENTRY_WIRE); i++)
		first++;
	if (!table->life->has_begin || first == table->entries + table->life->count ||
	    first->kind != ENTRY_SEGMENT || !(first->segment.tcp_flags & TCPF_SYN))
		return;
	table->first[0] = fsm_state_name(
		(enum fsm_state)(first->nr_local ? first->steps[0].from : first->local_state));
	table->first[1] = fsm_state_name((enum fsm_state)(
		first->nr_remote ? first->steps[first->nr_local].from : first->remote_state));
}

static void put_beginning(struct table *table)
{
	struct row row = { .left = table->first[!table->local_left],
			   .right = table->first[table->local_left],
			   .kernel = "",
			   .remark = "" };

	if (row.left[0] != '?')
		put_row(table, &row);
}

/* Text below the segments, broken at spaces to what is left of 120 columns. */
static void put_note(struct table *table, const char *label, const char *text)
{
	cell(table, "", NOTE_COLUMN, PLAIN);
	cell(table, label, NOTE_LABEL_WIDTH, DIM);
	while (*text) {
		size_t bytes = break_at(text, NOTE_WIDTH);

		cell_bytes(table, text, bytes, 0, PLAIN);
		text += bytes;
		text += *text == ' ';
		end_line(table);
		if (*text)
			table->pending = NOTE_COLUMN + NOTE_LABEL_WIDTH;
	}
}

/* What it rests on, but for the segments and changes, which have lines of their own. */
static void put_evidence(struct table *table, const struct track_entry *entry)
{
	const struct divergence_evidence evidence = story_evidence(
		table->entries, table->life->count, (size_t)(entry - table->entries));
	uint64_t since_ns = entry->divergence.since_ns, first_ns = table->life->first_ns;
	char text[2 * EVIDENCE_TEXT_MAX], look[EVIDENCE_TEXT_MAX];
	int used = 0;

	if (entry->divergence.reason)
		used += snprintf(text, sizeof(text), "; %s", entry->divergence.reason);
	if (since_ns >= first_ns && since_ns < entry->ts_ns)
		used += snprintf(text + used, sizeof(text) - (size_t)used,
				 "; the views parted at %.6f",
				 (double)(since_ns - first_ns) / NS_PER_SEC);
	if (evidence.look.ts_ns)
		used += snprintf(text + used, sizeof(text) - (size_t)used, "; the socket: %s",
				 evidence_look_text(&evidence.look.snapshot, look));
	if (evidence.drop_reason)
		used += snprintf(text + used, sizeof(text) - (size_t)used, "; dropped: %s",
				 evidence.drop_reason);
	if (evidence.repeats > 1)
		used += snprintf(text + used, sizeof(text) - (size_t)used, "; seen %u times",
				 evidence.repeats);
	if (used)
		put_note(table, "evidence", text + strlen("; "));
}

/* The rule, in the words of its table. */
static void put_notes(struct table *table, const struct track_entry *entry)
{
	enum divergence_kind kind = (enum divergence_kind)entry->divergence.kind;

	put_note(table, "means", divergence_text(kind));
	put_evidence(table, entry);
	put_note(table, "look at", divergence_look_at(kind));
}

static void put_entry(struct table *table, const struct track_entry *entry,
		      const struct track_entry *before)
{
	struct row row = { .remark_style = YELLOW };
	char remark[STORY_REMARK_MAX];

	put_time(table, entry, &row);
	row.left = state_cell(table, entry, table->local_left);
	row.right = state_cell(table, entry, !table->local_left);
	row.kernel = kernel_cell(entry);
	if (before) {
		row.left_style = changed(state_cell(table, before, table->local_left), row.left);
		row.right_style = changed(state_cell(table, before, !table->local_left), row.right);
		row.kernel_style = changed(kernel_cell(before), row.kernel);
	}
	put_middle(table, entry, &row);
	row.remark = story_remark(&table->thread, entry, remark);
	put_row(table, &row);
	if (entry->kind == ENTRY_DIVERGENCE_OPEN)
		put_notes(table, entry);
}

/* A segment as there are thousands: it moves nothing, and nothing is to be said about it. */
static bool is_ordinary(const struct story_thread *thread, const struct track_entry *entry,
			const struct track_entry *before)
{
	struct story_thread now = *thread;
	char remark[STORY_REMARK_MAX];

	return entry->kind == ENTRY_SEGMENT &&
	       !(entry->segment.tcp_flags & (TCPF_SYN | TCPF_FIN | TCPF_RST)) &&
	       entry->local_state == before->local_state &&
	       entry->remote_state == before->remote_state &&
	       entry->kernel_state == before->kernel_state && entry->flags & ENTRY_WIRE &&
	       before->flags & ENTRY_WIRE && !story_remark(&now, entry, remark)[0];
}

static size_t run_length(const struct table *table, size_t from)
{
	size_t i = from;

	while (i < table->life->count &&
	       is_ordinary(&table->thread, &table->entries[i], &table->entries[i - 1]))
		i++;
	return i - from;
}

static void put_run(struct table *table, size_t from, size_t count)
{
	uint64_t octets[2] = { 0 }; /* leftward, rightward */
	struct row row = {
		.left = "", .right = "", .kernel = "", .remark_style = DIM, .middle_style = DIM
	};
	char text[80], remark[96];

	for (size_t i = from; i < from + count; i++) {
		const struct track_entry *entry = &table->entries[i];

		octets[!(entry->flags & ENTRY_SENT) != table->local_left] += entry->segment.len;
	}
	snprintf(text, sizeof(text), "... %zu ordinary segments ...", count);
	centre(&row, text);
	snprintf(remark, sizeof(remark), "-> %llu, <- %llu octets", (unsigned long long)octets[1],
		 (unsigned long long)octets[0]);
	row.remark = remark;
	put_row(table, &row);
}

static void put_heading(struct table *table, uint64_t wall_offset_ns)
{
	const struct conn_key *key = &table->life->key;
	char local[ENDPOINT_TEXT_MAX], remote[ENDPOINT_TEXT_MAX], line[256];
	const char *left = table->roles_known ? "client" : "local";
	const char *right = table->roles_known ? "server" : "remote";
	struct row row = { .left = left,
			   .right = right,
			   .kernel = "kernel",
			   .remark = "remark",
			   .time = "seconds",
			   .left_style = BOLD,
			   .right_style = BOLD,
			   .kernel_style = BOLD,
			   .remark_style = BOLD,
			   .middle_style = BOLD };
	bool here = false;

	for (size_t i = 0; i < table->life->count; i++)
		here |= table->entries[i].kernel_state != KS_NONE;
	endpoint_format(key->local_address, key->local_port, local);
	endpoint_format(key->remote_address, key->remote_port, remote);
	snprintf(line, sizeof(line), "%s %s%s, %s %s%s, %s ", left,
		 table->local_left ? local : remote, here && table->local_left ? " (here)" : "",
		 right, table->local_left ? remote : local,
		 here && !table->local_left ? " (here)" : "",
		 table->life->has_begin ? "from" : "the beginning is missing, from");
	cell(table, line, 0, PLAIN);
	text_rfc3339(table->out, table->life->first_ns + wall_offset_ns);
	text_string(table->out, "\n\n");
	centre(&row, "segment");
	put_row(table, &row);
}

/* The close of what was over as it happened: the line of its opening says it all. */
static bool ends_at_once(const struct table *table, size_t i)
{
	const struct track_entry *close = &table->entries[i], *open = close;

	if (close->kind != ENTRY_DIVERGENCE_CLOSE || close->ts_ns != close->divergence.since_ns)
		return false;
	while (open > table->entries && (--open)->kind == ENTRY_EVIDENCE)
		;
	return open->kind == ENTRY_DIVERGENCE_OPEN && open->divergence.id == close->divergence.id;
}

static void put_life(const struct explanation *explanation, const struct history_life *life,
		     bool colour, struct text *out)
{
	struct table table = {
		.out = out,
		.colour = colour,
		.life = life,
		.entries = explanation->answer->entries + life->first,
		.local_left = life->role != ROLE_SERVER,
		.roles_known = life->role != ROLE_UNKNOWN,
	};

	story_begin(&table.thread, table.entries, life->count);
	find_beginning(&table);
	put_heading(&table, explanation->wall_offset_ns);
	put_beginning(&table);
	for (size_t i = 0; i < life->count; i++) {
		size_t run = i ? run_length(&table, i) : 0;

		if (table.entries[i].kind == ENTRY_BEGAN ||
		    table.entries[i].kind == ENTRY_EVIDENCE || ends_at_once(&table, i))
			continue;
		put_entry(&table, &table.entries[i], i ? &table.entries[i - 1] : NULL);
		if (run >= RUN_MIN) {
			put_run(&table, i + 1, run - 2);
			i += run - 2;
		}
	}
	if (!life->count)
		text_string(out, "  nothing of it is left: it is open, but older than the "
				 "history (--history.events)\n");
}

static void put_listed(const struct history_life *life, uint64_t wall_offset_ns, struct text *out)
{
	char local[ENDPOINT_TEXT_MAX], remote[ENDPOINT_TEXT_MAX], line[256];

	snprintf(line, sizeof(line), "%s-%s  %s  ",
		 endpoint_format(life->key.local_address, life->key.local_port, local),
		 endpoint_format(life->key.remote_address, life->key.remote_port, remote),
		 role_label((enum connection_role)life->role));
	text_string(out, line);
	if (life->has_begin) {
		text_string(out, "from ");
		text_rfc3339(out, life->first_ns + wall_offset_ns);
	} else {
		text_string(out, "to ");
		text_rfc3339(out, life->last_ns + wall_offset_ns);
	}
	text_string(out, "  ");
	text_string(out, life->has_ended ? end_label((enum connection_end)life->end) : "open");
	text_char(out, '\n');
}

void explain_table(const struct explanation *explanation, bool colour, struct text *out)
{
	const struct history_answer *answer = explanation->answer;

	for (size_t i = 0; i < answer->nr_lives; i++) {
		if (explanation->tuple->is_half) {
			put_listed(&answer->lives[i], explanation->wall_offset_ns, out);
			continue;
		}
		text_string(out, i ? "\n" : "");
		put_life(explanation, &answer->lives[i], colour, out);
	}
	if (answer->has_more)
		text_string(out, "There are older ones.\n");
	if (explanation->tuple->is_half)
		text_string(out, "`tcpwitness explain ADDR:PORT-ADDR:PORT` tells the story of one "
				 "of them.\n");
}
