/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Each cell of the table, flipped: another next state, another verdict, another anomaly, one at a
 * time. Some script must notice. Built with --wrap=fsm_step, so that the reference steps through
 * the function below: nothing in the daemon knows of it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <glob.h>
#include <stdio.h>
#include <string.h>

#include "unit/invariants.h"
#include "unit/script.h"

#define FILE_MAX (1u << 20)
#define SCRIPTS_MAX 400

static struct {
	bool on;
	enum fsm_state state;
	enum fsm_event event;
	struct fsm_cell cell;
} mutant;

struct fsm_step __real_fsm_step(enum fsm_state state, enum fsm_event event);
struct fsm_step __wrap_fsm_step(enum fsm_state state, enum fsm_event event);

struct fsm_step __wrap_fsm_step(enum fsm_state state, enum fsm_event event)
{
	struct fsm_step step = __real_fsm_step(state, event);

	if (mutant.on && mutant.state == state && mutant.event == event) {
		step.to = mutant.cell.next;
		step.verdict = mutant.cell.verdict;
		step.anomaly = mutant.cell.anomaly;
	}
	return step;
}

static struct script scripts[SCRIPTS_MAX];
static bool meets[SCRIPTS_MAX][FSM_NR_STATES][EV_NR];
static size_t script_count;

static bool script_holds(size_t i, bool met[FSM_NR_STATES][EV_NR])
{
	const struct script_play how = { 1000, 500000, false, SCRIPT_LINES_MAX, SCRIPT_LINES_MAX };
	char error[SCRIPT_ERROR_MAX];

	return script_play(&scripts[i], &how, met, error);
}

static void read_file(const char *path)
{
	static char text[FILE_MAX];
	struct script_source source;
	FILE *file = fopen(path, "r");
	size_t size;
	int err;

	assert_non_null(file);
	size = fread(text, 1, sizeof(text), file);
	fclose(file);
	script_source_init(&source, path, text, size);
	while ((err = script_read(&source, &scripts[script_count])) > 0) {
		assert_true(script_holds(script_count, meets[script_count]));
		assert_true(++script_count < SCRIPTS_MAX);
	}
	assert_int_equal(err, 0);
}

static int read_scripts(void **state)
{
	glob_t files;
	size_t i;

	(void)state;
	assert_int_equal(glob("tests/scripts/*.tcp", 0, NULL, &files), 0);
	for (i = 0; i < files.gl_pathc; i++)
		read_file(files.gl_pathv[i]);
	globfree(&files);
	return 0;
}

/* Some script that comes by the cell fails. */
static bool is_noticed(enum fsm_state state, enum fsm_event event, const struct fsm_cell *cell)
{
	bool noticed = false;
	size_t i;

	mutant.state = state;
	mutant.event = event;
	mutant.cell = *cell;
	mutant.on = true;
	for (i = 0; i < script_count && !noticed; i++)
		noticed = meets[i][state][event] && !script_holds(i, NULL);
	mutant.on = false;
	return noticed;
}

struct tally {
	size_t mutants, survivors;
};

static void try_mutant(enum fsm_state state, enum fsm_event event, const struct fsm_cell *cell,
		       struct tally *tally)
{
	if (memcmp(cell, &fsm_table[state][event], sizeof(*cell)) == 0)
		return;
	tally->mutants++;
	if (is_noticed(state, event, cell))
		return;
	tally->survivors++;
	print_error("survives: %s in %s: %s %s %s\n", fsm_event_name(event), fsm_state_name(state),
		    fsm_state_name(cell->next), fsm_verdict_label(cell->verdict),
		    fsm_anomaly_label(cell->anomaly));
}

static void try_cell(enum fsm_state state, enum fsm_event event, struct tally *tally)
{
	const struct fsm_cell cell = fsm_table[state][event];
	struct fsm_cell flipped;
	uint8_t value;

	for (value = 0; value < FSM_NR_STATES; value++) {
		flipped = cell;
		flipped.next = value;
		try_mutant(state, event, &flipped, tally);
	}
	for (value = 0; value < V_NR; value++) {
		flipped = cell;
		flipped.verdict = value;
		try_mutant(state, event, &flipped, tally);
	}
	for (value = 0; value < AN_NR; value++) {
		flipped = cell;
		flipped.anomaly = value;
		try_mutant(state, event, &flipped, tally);
	}
}

/* Impossible cells are held by test_fsm: they are empty, and each has its reason. */
static void every_flip_is_noticed(void **state)
{
	struct tally tally = { 0 };
	int from, event;

	(void)state;
	for (from = 0; from < FSM_NR_STATES; from++) {
		for (event = 0; event < EV_NR; event++) {
			if (fsm_table[from][event].verdict != V_NEVER)
				try_cell(from, event, &tally);
		}
	}
	print_message("%zu mutants, %zu survivors\n", tally.mutants, tally.survivors);
	assert_int_equal(tally.survivors, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_flip_is_noticed),
	};

	return cmocka_run_group_tests(tests, read_scripts, NULL);
}
