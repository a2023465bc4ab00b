/* SPDX-License-Identifier: GPL-2.0-only */
/* The table against figure 5 of RFC 9293, written down a second time, and its own rules. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "tcp/fsm.h"
#include "unit/invariants.h"

static void moves_are_those_of_figure_5(void **state)
{
	enum fsm_state from;
	enum fsm_event event;

	(void)state;
	for (from = 0; from < FSM_NR_STATES; from++) {
		for (event = 0; event < EV_NR; event++) {
			struct fsm_step step = fsm_step(from, event);

			if (step.verdict != V_NEVER && step.to == figure_5(from, event))
				continue;
			/* impossible: nothing moves, it is marked, and the figure has no such arrow */
			if (step.verdict == V_NEVER && step.to == from &&
			    step.anomaly == AN_IMPOSSIBLE &&
			    (figure_5(from, event) == from || event == EV_SEND_RST))
				continue;
			fail_msg("%s %s leads to %s", fsm_state_name(from), fsm_event_name(event),
				 fsm_state_name(step.to));
		}
	}
}

/* What is dropped moves nothing; only what is taken in, or emitted, does. */
static void only_ok_moves(void **state)
{
	enum fsm_state from;
	enum fsm_event event;

	(void)state;
	for (from = 0; from < FSM_NR_STATES; from++) {
		for (event = 0; event < EV_NR; event++) {
			struct fsm_step step = fsm_step(from, event);

			assert_int_equal(step.from, from);
			assert_int_equal(step.event, event);
			if (step.verdict != V_OK)
				assert_int_equal(step.to, from);
		}
	}
}

/* An impossible cell is empty and says why; no other cell has such a reason. */
static void what_never_happens_has_a_reason(void **state)
{
	const struct fsm_cell empty = { 0 };
	int from, event;

	(void)state;
	for (from = 0; from < FSM_NR_STATES; from++) {
		for (event = 0; event < EV_NR; event++) {
			const struct fsm_cell *cell = &fsm_table[from][event];
			bool never = cell->verdict == V_NEVER;

			if (never != !!fsm_never(from, event))
				fail_msg("%s in %s", fsm_event_name(event), fsm_state_name(from));
			if (never)
				assert_memory_equal(cell, &empty, sizeof(empty));
		}
	}
}

static void names_are_the_rfcs(void **state)
{
	(void)state;
	assert_string_equal(fsm_state_name(FSM_CLOSED), "CLOSED");
	assert_string_equal(fsm_state_name(FSM_SYN_RECEIVED), "SYN_RECEIVED");
	assert_string_equal(fsm_state_name(FSM_TIME_WAIT), "TIME_WAIT");
	assert_string_equal(fsm_event_name(EV_RCV_ACK_OF_FIN), "RCV_ACK_OF_FIN");
	assert_string_equal(fsm_verdict_label(V_CHALLENGE), "challenge");
	assert_string_equal(fsm_anomaly_label(AN_NONE), "none");
	assert_string_equal(fsm_anomaly_label(AN_SYN_IN_WINDOW), "syn_in_window");
}

static void anomaly_labels_differ(void **state)
{
	int a, b;

	(void)state;
	for (a = 0; a < AN_NR; a++) {
		for (b = 0; b < a; b++)
			assert_string_not_equal(fsm_anomaly_label(a), fsm_anomaly_label(b));
	}
}

/* Each anomaly can be met: a label that no cell gives would be a series that is always 0. */
static void every_anomaly_is_in_the_table(void **state)
{
	bool met[AN_NR] = { [AN_NONE] = true, [AN_IMPOSSIBLE] = true };
	int from, event, anomaly;

	(void)state;
	for (from = 0; from < FSM_NR_STATES; from++) {
		for (event = 0; event < EV_NR; event++)
			met[fsm_table[from][event].anomaly] = true;
	}
	for (anomaly = 0; anomaly < AN_NR; anomaly++) {
		if (!met[anomaly])
			fail_msg("no cell gives %s", fsm_anomaly_label(anomaly));
	}
}

static void ranges_mean_what_they_say(void **state)
{
	(void)state;
	assert_false(fsm_is_synchronized(FSM_SYN_RECEIVED));
	assert_true(fsm_is_synchronized(FSM_ESTABLISHED));
	assert_false(fsm_has_sent_fin(FSM_CLOSE_WAIT));
	assert_true(fsm_has_sent_fin(FSM_FIN_WAIT_1));
	assert_true(fsm_has_sent_fin(FSM_TIME_WAIT));
	assert_true(fsm_has_received_fin(FSM_CLOSE_WAIT));
	assert_true(fsm_has_received_fin(FSM_CLOSING));
	assert_false(fsm_has_received_fin(FSM_FIN_WAIT_2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(moves_are_those_of_figure_5),
		cmocka_unit_test(only_ok_moves),
		cmocka_unit_test(what_never_happens_has_a_reason),
		cmocka_unit_test(names_are_the_rfcs),
		cmocka_unit_test(anomaly_labels_differ),
		cmocka_unit_test(every_anomaly_is_in_the_table),
		cmocka_unit_test(ranges_mean_what_they_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
