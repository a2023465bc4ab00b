/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's view of one socket: see kview.h. */
#include "track/kview.h"

#include "track/closes.h"
#include "util.h"

void kview_after_change(const struct rec_state *change, uint8_t *ret_state, uint8_t *ret_substate)
{
	*ret_state = change->new_state;
	*ret_substate = 0;
	if (change->new_state != KS_CLOSE)
		return;
	/* linux net/ipv4/tcp_minisocks.c:tcp_time_wait leaves a minisocket, then tcp_done(). */
	switch (close_classify(change, 0)) {
	case CLOSED_BY_TIME_WAIT:
		*ret_state = KS_TIME_WAIT;
		*ret_substate = KS_TIME_WAIT;
		break;
	case CLOSED_BY_FIN_WAIT_2:
		*ret_state = KS_TIME_WAIT;
		*ret_substate = KS_FIN_WAIT2;
		break;
	default:
		break;
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
 * What may stand beside what. After the equal names, each row is a place where Linux's
 * representation differs from RFC 9293's without anything being wrong.
 */
static const struct kview_pair pairs[] = {
	{ FSM_CLOSED, FSM_CLOSED, "no socket, or one that is closed" },
	{ FSM_LISTEN, FSM_LISTEN, "the listener, found by a lookup: it answers for the handshake" },
	{ FSM_SYN_SENT, FSM_SYN_SENT, "the same" },
	{ FSM_SYN_RECEIVED, FSM_SYN_RECEIVED,
	  "a request socket (NEW_SYN_RECV); of crossed SYNs and TFO a full one (SYN_RECV)" },
	{ FSM_ESTABLISHED, FSM_ESTABLISHED, "the same" },
	{ FSM_CLOSE_WAIT, FSM_CLOSE_WAIT, "the same" },
	{ FSM_FIN_WAIT_1, FSM_FIN_WAIT_1, "the same, once the FIN is on the wire" },
	{ FSM_CLOSING, FSM_CLOSING, "the same" },
	{ FSM_LAST_ACK, FSM_LAST_ACK, "the same, once the FIN is on the wire" },
	{ FSM_FIN_WAIT_2, FSM_FIN_WAIT_2,
	  "a full socket; of an orphan a TIME_WAIT minisocket with substate FIN_WAIT2" },
	{ FSM_TIME_WAIT, FSM_TIME_WAIT, "CLOSE, and a minisocket" },
	{ FSM_CLOSED, FSM_LISTEN, "a lookup after the end finds the listener" },
	{ FSM_LISTEN, FSM_CLOSED, "the listener is another socket than the connection's" },
	{ FSM_CLOSED, FSM_TIME_WAIT,
	  "minisockets last 60 to 64 s, and more if re-armed; the reference waits 60" },
	{ FSM_LISTEN, FSM_TIME_WAIT, "a SYN over TIME_WAIT, not answered yet" },
};

const struct kview_pair *kview_pair_at(size_t index)
{
	return index < ARRAY_SIZE(pairs) ? &pairs[index] : NULL;
}

bool kview_may_stand_beside(enum fsm_state wire, uint8_t state, uint8_t substate)
{
	enum fsm_state kernel = kview_as_fsm(state, substate);

	if (wire == kernel)
		return true;
	for (size_t i = FSM_NR_STATES; i < ARRAY_SIZE(pairs); i++)
		if (pairs[i].wire == wire && pairs[i].kernel == kernel)
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
