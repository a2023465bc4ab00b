/* SPDX-License-Identifier: GPL-2.0-only */
/* Why a socket closed: every row of KERNEL.md §1.3, and what lies next to it. */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "tcp_defs.h"
#include "track/closes.h"
#include "util.h"

#define DONE STATE_DONE
#define DEAD STATE_DEAD
#define LINGER2 STATE_LINGER2_NEG
#define SHUT_BOTH 3
#define ALL_ACKED .snd_una = 7, .snd_nxt = 7, .write_seq = 7
#define UNACKED .snd_una = 6, .snd_nxt = 7, .write_seq = 7
#define LISTENER CLOSE_LISTENER_CLOSED
#define RESET CLOSE_RESET_SEEN

#define CLOSE(from, ...)                                                                           \
	{                                                                                          \
		.old_state = KS_##from, .new_state = KS_CLOSE, __VA_ARGS__                         \
	}

static const struct {
	struct rec_state change;
	uint8_t context, expected;
} cases[] = {
	/* peer's FIN was processed */
	{ CLOSE(FIN_WAIT2, .bits = DONE | DEAD, ALL_ACKED), 0, CLOSED_BY_TIME_WAIT },
	{ CLOSE(FIN_WAIT2, .bits = DONE, ALL_ACKED), 0, CLOSED_BY_TIME_WAIT },
	{ CLOSE(CLOSING, .bits = DONE, ALL_ACKED), 0, CLOSED_BY_TIME_WAIT },
	{ CLOSE(FIN_WAIT2, .bits = DONE | DEAD | LINGER2, ALL_ACKED), 0, CLOSED_BY_TIME_WAIT },
	/* it was not */
	{ CLOSE(FIN_WAIT2, .bits = DEAD, .shutdown = SHUT_BOTH, ALL_ACKED), 0,
	  CLOSED_BY_FIN_WAIT_2 },
	{ CLOSE(FIN_WAIT2, .bits = DEAD | LINGER2, .shutdown = SHUT_BOTH, ALL_ACKED), 0,
	  CLOSED_BY_LINGER2 },
	/* not an orphan: close() with SO_LINGER 0 or unread data after shutdown() */
	{ CLOSE(FIN_WAIT2, .shutdown = SHUT_BOTH, ALL_ACKED), 0, CLOSED_BY_LOCAL_ABORT },
	{ CLOSE(FIN_WAIT1, .shutdown = SHUT_BOTH, UNACKED), 0, CLOSED_BY_LOCAL_ABORT },
	/* LAST_ACK */
	{ CLOSE(LAST_ACK, .bits = DONE | DEAD, ALL_ACKED), 0, CLOSED_BY_GRACEFUL },
	{ CLOSE(LAST_ACK, .bits = DONE | DEAD, UNACKED), 0, CLOSED_BY_MEMORY },
	{ CLOSE(LAST_ACK, .bits = DONE, .shutdown = SHUT_BOTH, UNACKED), 0, CLOSED_BY_LOCAL_ABORT },
	{ CLOSE(FIN_WAIT1, .bits = DEAD, .shutdown = SHUT_BOTH, UNACKED), 0, CLOSED_BY_MEMORY },
	{ CLOSE(FIN_WAIT1, .bits = DEAD | STATE_MPTCP, .shutdown = SHUT_BOTH, UNACKED), 0,
	  CLOSED_BY_LOCAL_ABORT },
	/* RST */
	{ CLOSE(ESTABLISHED, .sk_err = ECONNRESET), RESET, CLOSED_BY_RESET_RECEIVED },
	{ CLOSE(CLOSE_WAIT, .sk_err = EPIPE, .bits = DONE), RESET, CLOSED_BY_RESET_RECEIVED },
	{ CLOSE(FIN_WAIT1, .sk_err = ECONNRESET, .bits = DEAD, .shutdown = SHUT_BOTH), RESET,
	  CLOSED_BY_RESET_RECEIVED },
	/* no RST came: data did, after close() */
	{ CLOSE(FIN_WAIT1, .sk_err = ECONNRESET, .bits = DEAD, .shutdown = SHUT_BOTH), 0,
	  CLOSED_BY_DATA_AFTER_CLOSE },
	{ CLOSE(FIN_WAIT2, .sk_err = ECONNRESET, .shutdown = SHUT_BOTH), 0,
	  CLOSED_BY_DATA_AFTER_CLOSE },
	/* shutdown(SHUT_WR) alone goes on receiving: then it was a RST that no tap saw */
	{ CLOSE(FIN_WAIT2, .sk_err = ECONNRESET, .shutdown = 2), 0, CLOSED_BY_RESET_RECEIVED },
	{ CLOSE(ESTABLISHED, .sk_err = ECONNRESET), 0, CLOSED_BY_RESET_RECEIVED },
	/* timers and ICMP */
	{ CLOSE(ESTABLISHED, .sk_err = ETIMEDOUT), 0, CLOSED_BY_TIMEOUT },
	{ CLOSE(LAST_ACK, .sk_err = ETIMEDOUT, .bits = DONE | DEAD), 0, CLOSED_BY_TIMEOUT },
	{ CLOSE(SYN_SENT, .sk_err = ETIMEDOUT), 0, CLOSED_BY_TIMEOUT },
	{ CLOSE(ESTABLISHED, .sk_err = EHOSTUNREACH), 0, CLOSED_BY_UNREACHABLE },
	{ CLOSE(FIN_WAIT1, .sk_err = ENETUNREACH, .bits = DEAD), 0, CLOSED_BY_UNREACHABLE },
	{ CLOSE(SYN_SENT, .sk_err = EHOSTUNREACH), 0, CLOSED_BY_UNREACHABLE },
	/* ICMP's port unreachable, kept until the timer fired */
	{ CLOSE(ESTABLISHED, .sk_err = ECONNREFUSED), 0, CLOSED_BY_UNREACHABLE },
	/* connect() */
	{ CLOSE(SYN_SENT, .sk_err = ECONNREFUSED), 0, CLOSED_BY_REFUSED },
	{ CLOSE(SYN_SENT, .shutdown = SHUT_BOTH), 0, CLOSED_BY_CONNECT_CLOSED },
	{ CLOSE(SYN_SENT), 0, CLOSED_BY_CONNECT_CLOSED },
	/* tcp_abort() */
	{ CLOSE(ESTABLISHED, .sk_err = ECONNABORTED), 0, CLOSED_BY_KILLED },
	{ CLOSE(SYN_SENT, .sk_err = ECONNABORTED), 0, CLOSED_BY_KILLED },
	{ CLOSE(FIN_WAIT2, .sk_err = ECONNABORTED, .bits = DEAD), 0, CLOSED_BY_KILLED },
	/* the application's doing */
	{ CLOSE(ESTABLISHED, .shutdown = SHUT_BOTH), 0, CLOSED_BY_LOCAL_ABORT },
	{ CLOSE(ESTABLISHED, .shutdown = SHUT_BOTH), LISTENER, CLOSED_BY_LOCAL_ABORT },
	{ CLOSE(CLOSE_WAIT, .shutdown = SHUT_BOTH, .bits = DONE), 0, CLOSED_BY_LOCAL_ABORT },
	{ CLOSE(ESTABLISHED), 0, CLOSED_BY_DISCONNECTED },
	{ CLOSE(ESTABLISHED), LISTENER, CLOSED_BY_NEVER_ACCEPTED },
	{ CLOSE(CLOSE_WAIT, .shutdown = 1, .bits = DONE), LISTENER, CLOSED_BY_NEVER_ACCEPTED },
	{ CLOSE(SYN_RECV), LISTENER, CLOSED_BY_NEVER_ACCEPTED },
	/* children */
	{ CLOSE(SYN_RECV), 0, CLOSED_BY_CHILD_FAILED },
	{ CLOSE(SYN_RECV, .sk_err = ECONNRESET), RESET, CLOSED_BY_CHILD_FAILED },
	/* repair beats all */
	{ CLOSE(ESTABLISHED, .bits = STATE_REPAIR, .sk_err = ECONNABORTED), 0, CLOSED_BY_REPAIR },
	{ CLOSE(ESTABLISHED, .sk_err = ENOMEM), 0, CLOSED_BY_OTHER },
};

static void every_cause(void **state)
{
	uint32_t causes = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		enum close_cause cause = close_classify(&cases[i].change, cases[i].context);

		if (cause != cases[i].expected)
			fail_msg("case %zu: %s, expected %s", i, close_cause_label(cause),
				 close_cause_label(cases[i].expected));
		causes |= 1u << cause;
	}
	assert_int_equal(causes, (1u << CLOSE_CAUSE_NR) - 1);
}

/* Whatever the kernel may say, it is classified, and an orderly end never becomes a reset. */
static void every_input_has_an_answer(void **state)
{
	static const uint16_t errors[] = { 0, ECONNRESET, EPIPE, ETIMEDOUT, ECONNABORTED, ENOMEM };

	(void)state;
	for (uint8_t from = KS_ESTABLISHED; from < KS_NR; from++)
		for (unsigned int bits = 0; bits < 64; bits++)
			for (size_t e = 0; e < ARRAY_SIZE(errors); e++)
				for (uint8_t context = 0; context < 4; context++) {
					const struct rec_state change = {
						.old_state = from,
						.new_state = KS_CLOSE,
						.bits = (uint8_t)bits,
						.shutdown = (uint8_t)(bits & 3),
						.sk_err = errors[e],
					};
					enum close_cause cause = close_classify(&change, context);

					assert_true(cause < CLOSE_CAUSE_NR);
					assert_true(close_end(cause, from) < END_NR);
					if (errors[e])
						assert_true(cause != CLOSED_BY_GRACEFUL &&
							    cause != CLOSED_BY_TIME_WAIT &&
							    cause != CLOSED_BY_FIN_WAIT_2);
				}
}

static void ends(void **state)
{
	(void)state;
	assert_int_equal(close_end(CLOSED_BY_TIMEOUT, KS_SYN_SENT), END_HANDSHAKE_TIMEOUT);
	assert_int_equal(close_end(CLOSED_BY_TIMEOUT, KS_ESTABLISHED), END_TIMEOUT);
	assert_int_equal(close_end(CLOSED_BY_KILLED, KS_ESTABLISHED), END_KILLED);
	assert_int_equal(close_end(CLOSED_BY_GRACEFUL, KS_LAST_ACK), END_REMOTE_CLOSE);
	assert_int_equal(close_end(CLOSED_BY_FIN_WAIT_2, KS_FIN_WAIT2), END_LOCAL_CLOSE);
	assert_int_equal(close_end(CLOSED_BY_NEVER_ACCEPTED, KS_ESTABLISHED), END_LOCAL_RESET);
	assert_int_equal(close_end(CLOSED_BY_RESET_RECEIVED, KS_ESTABLISHED), END_REMOTE_RESET);
	assert_int_equal(close_end(CLOSED_BY_UNREACHABLE, KS_ESTABLISHED), END_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cause),
		cmocka_unit_test(every_input_has_an_answer),
		cmocka_unit_test(ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
