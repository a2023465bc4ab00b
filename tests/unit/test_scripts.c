/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every script of tests/scripts (unit/script.h has their language), with initial sequence numbers
 * on both sides of 0 and of 2^31: as written; mirrored, where it has "==>"; once for each of its
 * segments with that one duplicated: the same states; and once for each of its lines with that one
 * lost: whatever comes of it, every step is one of figure 5 and every invariant holds. A grid's
 * script that begins with the handshake of a passive OPEN is played with that of an active one too:
 * what a synchronized state does with a segment depends on neither (§3.10.7.4).
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <glob.h>
#include <stdio.h>
#include <string.h>

#include "tcp_defs.h"
#include "unit/script.h"

#define FILE_MAX (1u << 20)
#define NO_LINE SCRIPT_LINES_MAX

static const struct {
	seq_t local, remote;
} isn_pairs[] = {
	{ 1000, 500000 },	    { 0, 0 },
	{ 0xffffffff, 0xffffffff }, { 0xfffffffe, 0x7ffffffe },
	{ 0x7fffffff, 0xffffff9c }, { 0xffffffce, 0x80000000 },
};

struct tally {
	size_t scripts, active, lines, plays;
};

static bool cells_met[FSM_NR_STATES][EV_NR];

/*
 * What a grid tries in every state, and at how many places: from below the window to above it, or,
 * in SYN_SENT, which has none, from below ISS to above SND.NXT for what has an ACK.
 */
static const uint8_t grid_flags[] = {
	TCPF_SYN, TCPF_SYN | TCPF_ACK, TCPF_ACK, TCPF_FIN, TCPF_FIN | TCPF_ACK,
	TCPF_RST, TCPF_RST | TCPF_ACK,
};

#define GRID_PLACES 5

/* The places that were tried, by bits of a hash that keeps them apart; of captures, and live. */
static uint64_t grid_places[2][FSM_NR_STATES][sizeof(grid_flags)];

static void play(const char *path, const struct script *script, const struct script_play *how,
		 struct tally *tally)
{
	char error[SCRIPT_ERROR_MAX];
	/* A dropped line may lead anywhere: only what a script means counts as covered. */
	bool means = how->dropped == NO_LINE;

	if (!script_play(script, how, means ? cells_met : NULL, error))
		fail_msg("%s:%s", path, error);
	tally->plays++;
}

static void play_all(const char *path, const struct script *script, struct tally *tally)
{
	bool settles = false;
	size_t pair, i;

	for (i = 0; i < script->count; i++)
		settles |= script->lines[i].settled;
	for (pair = 0; pair < sizeof(isn_pairs) / sizeof(*isn_pairs); pair++) {
		struct script_play how = { isn_pairs[pair].local, isn_pairs[pair].remote, false,
					   NO_LINE, NO_LINE };

		play(path, script, &how, tally);
		for (i = 0; i < script->count; i++) {
			how.doubled = i;
			play(path, script, &how, tally);
			how.doubled = NO_LINE;
			how.dropped = i;
			if (!script->lines[i].tried)
				play(path, script, &how, tally);
			how.dropped = NO_LINE;
		}
		how.mirrored = true;
		if (settles)
			play(path, script, &how, tally);
	}
	tally->scripts++;
	tally->lines += script->count;
}

#define HANDSHAKE_LINES 3

/* The same handshake seen from the end that began it. False: the script begins otherwise. */
static bool open_actively(const struct script *script, struct script *ret)
{
	static const struct {
		enum script_verb verb;
		uint8_t flags;
		enum fsm_state local; /* of the end that opens actively */
	} handshake[HANDSHAKE_LINES] = {
		{ VERB_RECEIVED, TCPF_SYN, FSM_SYN_SENT },
		{ VERB_SENT, TCPF_SYN | TCPF_ACK, FSM_ESTABLISHED },
		{ VERB_RECEIVED, TCPF_ACK, FSM_ESTABLISHED },
	};

	if (strncmp(script->title, "grid", 4) || script->local != FSM_LISTEN || script->adopted ||
	    script->count < HANDSHAKE_LINES)
		return false;
	*ret = *script;
	ret->local = FSM_CLOSED;
	ret->remote = FSM_LISTEN;
	for (size_t i = 0; i < HANDSHAKE_LINES; i++) {
		struct script_line *line = &ret->lines[i];

		if (line->tried || line->verb != handshake[i].verb ||
		    line->seg.flags != handshake[i].flags)
			return false;
		line->verb = line->verb == VERB_SENT ? VERB_RECEIVED : VERB_SENT;
		line->local = handshake[i].local;
		line->words[0][0] = '\0';
		line->settled = false;
	}
	snprintf(ret->title + strlen(ret->title), sizeof(ret->title) - strlen(ret->title),
		 ", opened actively");
	return true;
}

static void note_try(const struct script_line *line, enum fsm_state state, bool live)
{
	bool by_ack = state == FSM_SYN_SENT && line->seg.flags & TCPF_ACK;
	seq_t place = by_ack ? line->seg.ack : line->seg.seq;

	for (size_t k = 0; k < sizeof(grid_flags); k++)
		if (line->verb == VERB_RECEIVED && line->seg.flags == grid_flags[k])
			grid_places[live][state][k] |= 1ull << place * 0x9e3779b1u % 61;
}

static void note_grid(const struct script *script)
{
	enum fsm_state state = script->local;

	if (strncmp(script->title, "grid", 4))
		return;
	for (size_t i = 0; i < script->count; i++) {
		if (script->lines[i].tried)
			note_try(&script->lines[i], state, script->live);
		else
			state = script->lines[i].local;
	}
}

static void play_file(const char *path, struct tally *tally)
{
	static char text[FILE_MAX];
	static struct script script, active;
	struct script_source source;
	FILE *file = fopen(path, "r");
	size_t size;
	int err;

	assert_non_null(file);
	size = fread(text, 1, sizeof(text), file);
	assert_true(size < sizeof(text));
	fclose(file);
	script_source_init(&source, path, text, size);
	while ((err = script_read(&source, &script)) > 0) {
		play_all(path, &script, tally);
		note_grid(&script);
		if (!open_actively(&script, &active))
			continue;
		play_all(path, &active, tally);
		tally->active++;
	}
	if (err)
		fail_msg("%s", source.error);
}

static void scripts_hold(void **state)
{
	struct tally tally = { 0 };
	glob_t files;
	size_t i;

	(void)state;
	assert_int_equal(glob("tests/scripts/*.tcp", 0, NULL, &files), 0);
	for (i = 0; i < files.gl_pathc; i++)
		play_file(files.gl_pathv[i], &tally);
	print_message("%zu scripts (%zu of them grids opened actively) of %zu lines in %zu files, "
		      "played %zu times\n",
		      tally.scripts, tally.active, tally.lines, files.gl_pathc, tally.plays);
	globfree(&files);
	assert_true(tally.active > 0);
}

/* After the scripts: each cell of the table that is not impossible was met in one of them. */
static void scripts_cover_table(void **state)
{
	size_t missed = 0, cells = 0;
	int from, event;

	(void)state;
	for (from = 0; from < FSM_NR_STATES; from++) {
		for (event = 0; event < EV_NR; event++) {
			if (fsm_table[from][event].verdict == V_NEVER) {
				assert_false(cells_met[from][event]);
				continue;
			}
			cells++;
			if (cells_met[from][event])
				continue;
			missed++;
			print_error("no script meets %s in %s\n", fsm_event_name(event),
				    fsm_state_name(from));
		}
	}
	print_message("%zu of %zu cells\n", cells - missed, cells);
	assert_int_equal(missed, 0);
}

/* After the scripts: every state met each of the seven kinds of segments at five places. */
static void grids_are_whole(void **state)
{
	(void)state;
	for (int live = 0; live < 2; live++)
		for (int from = 0; from < FSM_NR_STATES; from++)
			for (size_t k = 0; k < sizeof(grid_flags); k++)
				if (__builtin_popcountll(grid_places[live][from][k]) < GRID_PLACES)
					fail_msg("%s: flags %#x are not tried at %d places%s",
						 fsm_state_name(from), grid_flags[k], GRID_PLACES,
						 live ? ", live" : "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scripts_hold),
		cmocka_unit_test(scripts_cover_table),
		cmocka_unit_test(grids_are_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
