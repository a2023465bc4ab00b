/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's view of one socket: see kview.h. */
#include "track/kview.h"

void kview_after_change(const struct rec_state *change, uint8_t *ret_state, uint8_t *ret_substate)
{
	bool fin_taken = change->bits & STATE_DONE;

	*ret_state = change->new_state;
	*ret_substate = 0;
	if (change->new_state != KS_CLOSE || change->sk_err)
		return;
	/* linux net/ipv4/tcp_minisocks.c:tcp_time_wait leaves a minisocket, then tcp_done(). */
	if (fin_taken && (change->old_state == KS_FIN_WAIT2 || change->old_state == KS_CLOSING)) {
		*ret_state = KS_TIME_WAIT;
		*ret_substate = KS_TIME_WAIT;
	} else if (change->old_state == KS_FIN_WAIT2 && !(change->bits & STATE_LINGER2_NEG)) {
		*ret_state = KS_TIME_WAIT;
		*ret_substate = KS_FIN_WAIT2;
	}
}

enum fsm_state kview_as_fsm(uint8_t state, uint8_t substate)
{
	static const uint8_t names[KS_NR] = {
		[KS_NONE] = FSM_CLOSED,
		[KS_CLOSE] = FSM_CLOSED,
		[KS_LISTEN] = FSM_LISTEN,
		[KS_SYN_SENT] = FSM_SYN_SENT,
		[KS_NEW_SYN_RECV] = FSM_SYN_RECEIVED,
		[KS_SYN_RECV] = FSM_SYN_RECEIVED,
		[KS_ESTABLISHED] = FSM_ESTABLISHED,
		[KS_CLOSE_WAIT] = FSM_CLOSE_WAIT,
		[KS_LAST_ACK] = FSM_LAST_ACK,
		[KS_FIN_WAIT1] = FSM_FIN_WAIT_1,
		[KS_FIN_WAIT2] = FSM_FIN_WAIT_2,
		[KS_CLOSING] = FSM_CLOSING,
		[KS_TIME_WAIT] = FSM_TIME_WAIT,
	};

	/* An orphan in FIN_WAIT2 is represented by a minisocket (KERNEL.md §6 row 17). */
	if (state == KS_TIME_WAIT && substate == KS_FIN_WAIT2)
		return FSM_FIN_WAIT_2;
	return state < KS_NR ? names[state] : FSM_CLOSED;
}

/*
 * What may stand beside what, besides equal names. Each row is a place where Linux's
 * representation differs from RFC 9293's without anything being wrong.
 */
static const struct {
	uint8_t wire;	/* enum fsm_state */
	uint8_t kernel; /* enum fsm_state, by kview_as_fsm */
	const char *why;
} beside[] = {
	{ FSM_CLOSED, FSM_LISTEN, "a lookup after the end finds the listener" },
	{ FSM_LISTEN, FSM_CLOSED, "the listener is another socket than the connection's" },
	{ FSM_CLOSED, FSM_TIME_WAIT, "minisockets last 60 to 64 s, the reference 60 (DESIGN §5)" },
	{ FSM_ESTABLISHED, FSM_FIN_WAIT_1, "the FIN is queued, not sent (KERNEL.md §6 row 16)" },
	{ FSM_CLOSE_WAIT, FSM_LAST_ACK, "the same after the peer's FIN" },
	{ FSM_LISTEN, FSM_TIME_WAIT, "a SYN over TIME_WAIT, not answered yet" },
};

bool kview_may_stand_beside(enum fsm_state wire, uint8_t state, uint8_t substate)
{
	enum fsm_state kernel = kview_as_fsm(state, substate);

	if (wire == kernel)
		return true;
	for (size_t i = 0; i < sizeof(beside) / sizeof(beside[0]); i++)
		if (beside[i].wire == wire && beside[i].kernel == kernel)
			return true;
	return false;
}

bool kview_is_gone(uint8_t state)
{
	return state == KS_NONE || state == KS_CLOSE || state == KS_LISTEN;
}

int kview_rank(uint8_t state)
{
	static const uint8_t ranks[KS_NR] = {
		[KS_SYN_SENT] = 1,   [KS_NEW_SYN_RECV] = 1, [KS_SYN_RECV] = 1, [KS_ESTABLISHED] = 2,
		[KS_CLOSE_WAIT] = 3, [KS_FIN_WAIT1] = 3,    [KS_LAST_ACK] = 4, [KS_FIN_WAIT2] = 4,
		[KS_CLOSING] = 4,    [KS_TIME_WAIT] = 5,
	};

	return ranks[state];
}

const char *kernel_state_name(uint8_t state)
{
	static const char *const names[KS_NR] = { [KS_NONE] = "NONE",
#define X(name, number) [KS_##name] = #name,
						  KERNEL_STATES(X)
#undef X
	};

	return state < KS_NR ? names[state] : "UNKNOWN";
}
