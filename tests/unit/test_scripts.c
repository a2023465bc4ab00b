/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every script of tests/scripts (unit/script.h has their language), with initial sequence numbers
 * on both sides of 0 and of 2^31: as written; mirrored, where it has "==>"; once for each of its
 * segments with that one duplicated: the same states; and once for each of its lines with that one
 * lost: whatever comes of it, every step is one of figure 5 and every invariant holds.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <glob.h>
#include <stdio.h>
#include <string.h>

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
	size_t scripts, lines, plays;
};

static bool cells_met[FSM_NR_STATES][EV_NR];

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

static void play_file(const char *path, struct tally *tally)
{
	static char text[FILE_MAX];
	static struct script script;
	struct script_source source;
	FILE *file = fopen(path, "r");
	size_t size;
	int err;

	assert_non_null(file);
	size = fread(text, 1, sizeof(text), file);
	assert_true(size < sizeof(text));
	fclose(file);
	script_source_init(&source, path, text, size);
	while ((err = script_read(&source, &script)) > 0)
		play_all(path, &script, tally);
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
	print_message("%zu scripts of %zu lines in %zu files, played %zu times\n", tally.scripts,
		      tally.lines, files.gl_pathc, tally.plays);
	globfree(&files);
	assert_true(tally.scripts > 0);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scripts_hold),
		cmocka_unit_test(scripts_cover_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
