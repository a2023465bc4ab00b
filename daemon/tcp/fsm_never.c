/* SPDX-License-Identifier: GPL-2.0-only */
/* Why each impossible cell of the table is impossible: what the classifier never says, and where. */
#include "tcp/fsm.h"

#define IN(state) (1u << FSM_##state)

/* States by what they are; the sets of fsm.h's predicates, as bits. */
#define UNOPENED (IN(CLOSED) | IN(LISTEN))
#define OPENING (IN(SYN_SENT) | IN(SYN_RECEIVED))
#define OPEN_HERE (IN(ESTABLISHED) | IN(CLOSE_WAIT))	       /* our FIN is not out */
#define AWAITING (IN(FIN_WAIT_1) | IN(CLOSING) | IN(LAST_ACK)) /* our FIN is out, not acked */
#define ACKNOWLEDGED (IN(FIN_WAIT_2) | IN(TIME_WAIT))
#define FIN_OUT (AWAITING | ACKNOWLEDGED)
#define SYNCHRONIZED (OPEN_HERE | FIN_OUT)
#define FIN_IN (IN(CLOSE_WAIT) | IN(CLOSING) | IN(LAST_ACK) | IN(TIME_WAIT))

static const struct {
	uint8_t event;
	uint16_t states;
	const char *reason;
} reasons[] = {
	{ EV_SEND_SYN_AGAIN, UNOPENED, "no SYN of this life was sent: it is the first" },
	{ EV_SEND_ACK_OF_SYN, UNOPENED | IN(SYN_RECEIVED) | SYNCHRONIZED,
	  "it tells of a SYN-ACK only where one is waited for" },
	{ EV_SEND_FIN, FIN_OUT, "our FIN is out: this is it again, or lies beyond it" },
	{ EV_SEND_FIN_CROSSED, UNOPENED | OPENING | (SYNCHRONIZED & ~IN(CLOSE_WAIT)),
	  "no FIN was taken in, or CLOSE came before it: only CLOSE_WAIT can be mistaken" },
	{ EV_SEND_FIN_AGAIN, IN(LISTEN) | OPENING | OPEN_HERE, "our FIN is not out yet" },
	{ EV_SEND_PAST_FIN, IN(LISTEN) | OPENING | OPEN_HERE, "our FIN is not out yet" },
	{ EV_SEND_RST, IN(CLOSED), "there is nothing to abort: it refuses (§3.10.7.1)" },
	{ EV_SEND_REFUSAL, SYNCHRONIZED,
	  "a synchronized end answers what is unacceptable by an ACK (§3.5.2): it aborts" },
	{ EV_RCV_RST_IN_WINDOW, UNOPENED | IN(SYN_SENT), "no window yet (§3.10.7.1-3)" },
	{ EV_RCV_RST_OUTSIDE, UNOPENED, "no window yet: any RST is ignored (§3.10.7.1-2)" },
	{ EV_RCV_SYN, IN(SYN_RECEIVED) | SYNCHRONIZED,
	  "a SYN has come before: this is that one again, or a challenge (§3.10.7.4, 4th)" },
	{ EV_RCV_SYN_AGAIN, IN(CLOSED) | IN(SYN_SENT), "no SYN has come before" },
	{ EV_RCV_SYN_NEW, IN(CLOSED) | IN(SYN_SENT), "no SYN has come before" },
	{ EV_RCV_SYN_NEW, IN(SYN_RECEIVED) | (SYNCHRONIZED & ~IN(TIME_WAIT)),
	  "a SYN replaces no connection but one in TIME_WAIT (RFC 5961 §4, §3.6.1)" },
	{ EV_RCV_SYN_IN_WINDOW, UNOPENED | IN(SYN_SENT), "no window yet (§3.10.7.1-3)" },
	{ EV_RCV_SYN_GIVES_UP, UNOPENED | IN(SYN_SENT), "no window yet (§3.10.7.1-3)" },
	{ EV_RCV_SYN_GIVES_UP, SYNCHRONIZED,
	  "only a passive handshake falls back to LISTEN (§3.10.7.4, 4th)" },
	{ EV_RCV_SYNACK, UNOPENED, "an ACK is refused before the SYN is looked at (§3.10.7.1-2)" },
	{ EV_RCV_SYNACK, IN(SYN_RECEIVED) | SYNCHRONIZED,
	  "a SYN has come before: this is that one again, or a challenge (§3.10.7.4, 4th)" },
	{ EV_RCV_OLD_TIMESTAMP, UNOPENED | IN(SYN_SENT), "no timestamp to compare with yet" },
	{ EV_RCV_OLD, UNOPENED | IN(SYN_SENT), "no RCV.NXT yet" },
	{ EV_RCV_OUTSIDE, UNOPENED | IN(SYN_SENT), "no window yet" },
	{ EV_RCV_BAD_ACK, SYNCHRONIZED,
	  "our SYN is acknowledged: a wrong ACK is of what was never sent, or stale (5th)" },
	{ EV_RCV_ACK_UNSENT, UNOPENED | OPENING, "the ACK is of our SYN or it is bad" },
	{ EV_RCV_ACK_STALE, UNOPENED | OPENING, "the ACK is of our SYN or it is bad" },
	{ EV_RCV_ACK, UNOPENED, "there is nothing to acknowledge: it is refused" },
	{ EV_RCV_ACK, IN(SYN_RECEIVED), "the ACK is of our SYN or it is bad (5th)" },
	{ EV_RCV_ACK_OF_SYN, UNOPENED, "there is nothing to acknowledge: it is refused" },
	{ EV_RCV_ACK_OF_SYN, IN(SYN_SENT),
	  "with a SYN it is a SYN-ACK, without one nothing (5th)" },
	{ EV_RCV_ACK_OF_SYN, SYNCHRONIZED, "our SYN is acknowledged" },
	{ EV_RCV_ACK_OF_FIN, UNOPENED | OPENING | OPEN_HERE, "our FIN is not out yet" },
	{ EV_RCV_ACK_OF_FIN, ACKNOWLEDGED, "our FIN is acknowledged: this says so again" },
	{ EV_RCV_TEXT, UNOPENED | OPENING,
	  "text is taken in by a synchronized end: the ACK before it has made it one" },
	{ EV_RCV_FIN, UNOPENED, "a FIN is not looked at (8th)" },
	{ EV_RCV_FIN, IN(SYN_SENT), "the SYN before it leads on, or it is dropped (8th)" },
	{ EV_RCV_FIN, FIN_IN, "the peer's FIN was taken in: this is it again, or lies beyond it" },
	{ EV_RCV_FIN_EARLY, IN(CLOSED), "a FIN is not looked at (8th)" },
	{ EV_RCV_FIN_EARLY, IN(SYN_SENT), "the SYN before it leads on, or it is dropped (8th)" },
	{ EV_RCV_FIN_EARLY, FIN_IN, "the peer's FIN was taken in: nothing before it is missing" },
	{ EV_RCV_FIN_AGAIN, UNOPENED | OPENING | (SYNCHRONIZED & ~FIN_IN),
	  "no FIN of the peer was taken in" },
};

const char *fsm_never(enum fsm_state state, enum fsm_event event)
{
	size_t i;

	if (fsm_table[state][event].verdict != V_NEVER)
		return NULL;
	for (i = 0; i < sizeof(reasons) / sizeof(*reasons); i++) {
		if (reasons[i].event == event && (reasons[i].states & 1u << state))
			return reasons[i].reason;
	}
	return NULL;
}
