/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's →CLOSE classified as KERNEL.md §1.3 measured it, and the mapping of states. */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "track/kview.h"
#include "util.h"

static void close_is_classified(void **state)
{
	static const struct {
		struct rec_state change;
		uint8_t expected, substate;
	} cases[] = {
		{ { .old_state = KS_FIN_WAIT2, .new_state = KS_CLOSE, .bits = STATE_DONE },
		  KS_TIME_WAIT,
		  KS_TIME_WAIT },
		{ { .old_state = KS_CLOSING, .new_state = KS_CLOSE, .bits = STATE_DONE },
		  KS_TIME_WAIT,
		  KS_TIME_WAIT },
		{ { .old_state = KS_FIN_WAIT2, .new_state = KS_CLOSE, .bits = STATE_DEAD },
		  KS_TIME_WAIT,
		  KS_FIN_WAIT2 },
		{ { .old_state = KS_FIN_WAIT2, .new_state = KS_CLOSE, .bits = STATE_LINGER2_NEG },
		  KS_CLOSE,
		  0 },
		{ { .old_state = KS_FIN_WAIT2, .new_state = KS_CLOSE, .sk_err = ECONNRESET },
		  KS_CLOSE,
		  0 },
		{ { .old_state = KS_LAST_ACK, .new_state = KS_CLOSE, .bits = STATE_DONE },
		  KS_CLOSE,
		  0 },
		{ { .old_state = KS_ESTABLISHED, .new_state = KS_CLOSE }, KS_CLOSE, 0 },
		{ { .old_state = KS_SYN_RECV, .new_state = KS_ESTABLISHED }, KS_ESTABLISHED, 0 },
	};
	uint8_t got, substate;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		kview_after_change(&cases[i].change, &got, &substate);
		assert_int_equal(got, cases[i].expected);
		assert_int_equal(substate, cases[i].substate);
	}
}

static void orphan_minisocket_is_fin_wait_2(void **state)
{
	(void)state;
	assert_int_equal(kview_as_fsm(KS_TIME_WAIT, KS_FIN_WAIT2), FSM_FIN_WAIT_2);
	assert_int_equal(kview_as_fsm(KS_TIME_WAIT, KS_TIME_WAIT), FSM_TIME_WAIT);
	assert_int_equal(kview_as_fsm(KS_NEW_SYN_RECV, 0), FSM_SYN_RECEIVED);
	assert_int_equal(kview_as_fsm(KS_SYN_RECV, 0), FSM_SYN_RECEIVED);
}

/* Every kernel state may stand beside the state it is called by, and few beside any other. */
static void mapping_is_narrow(void **state)
{
	unsigned int allowed = 0;

	(void)state;
	for (uint8_t kernel = KS_NONE; kernel < KS_NR; kernel++) {
		assert_true(kview_may_stand_beside(kview_as_fsm(kernel, 0), kernel, 0));
		for (int wire = 0; wire < FSM_NR_STATES; wire++)
			allowed += kview_may_stand_beside(wire, kernel, 0);
	}
	assert_false(kview_may_stand_beside(FSM_ESTABLISHED, KS_NEW_SYN_RECV, 0));
	assert_false(kview_may_stand_beside(FSM_ESTABLISHED, KS_CLOSE, 0));
	assert_false(kview_may_stand_beside(FSM_CLOSED, KS_ESTABLISHED, 0));
	assert_false(kview_may_stand_beside(FSM_CLOSE_WAIT, KS_ESTABLISHED, 0));
	/* the FIN is queued, not sent (KERNEL.md §6 row 16): a divergence, if an expected one */
	assert_false(kview_may_stand_beside(FSM_ESTABLISHED, KS_FIN_WAIT1, 0));
	assert_int_equal(allowed, 18);
}

static void names_are_the_kernels(void **state)
{
	(void)state;
	assert_string_equal(kernel_state_name(KS_NEW_SYN_RECV), "NEW_SYN_RECV");
	assert_string_equal(kernel_state_name(KS_NONE), "NONE");
	assert_string_equal(kernel_state_name(200), "UNKNOWN");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(close_is_classified),
		cmocka_unit_test(orphan_minisocket_is_fin_wait_2),
		cmocka_unit_test(mapping_is_narrow),
		cmocka_unit_test(names_are_the_kernels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
