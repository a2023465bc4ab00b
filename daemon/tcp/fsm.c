/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: the reference, as a table
 *
 * One row per state of RFC 9293 §3.3.2, one cell per event that can meet it: where it leads, what
 * the reference does with the segment, and what is odd about it. A cell that is not written
 * (V_NEVER) cannot happen: the classifier (classify.c) never says that event in that state, for the
 * reason in fsm_never.c, and the tests fail if it does.
 *
 * An end here is one connection, not a port: LISTEN is the listener's share in one handshake. It
 * stays LISTEN when the SYN comes and becomes SYN_RECEIVED when the SYN-ACK leaves, because a
 * stack that never answers is one of the things this program must be able to tell (§3.10.7.2 has
 * both in one action). For the same reason a RST on a passive SYN_RECEIVED leads to CLOSED and not
 * back to LISTEN: the listener goes on, this connection does not.
 *
 * Not here: the arithmetic that decides which event a segment is (classify.c), the sequence
 * variables (endpoint.c), who hears what (dialogue.c), and time (the caller's).
 */
#include "tcp/fsm.h"

/* clang-format off */

/*
 * What every synchronized state does alike. RFC 5961 §3, §4 and §5 are taken up in RFC 9293
 * §3.10.7.4 (2nd: RST, 4th: SYN, 5th: ACK).
 */
#define ALIKE(STATE)                                                                               \
	[EV_SEND_SYN_AGAIN]    = { STATE,      V_OK },                                             \
	/* the peer's final ACK was seen here, but the stack asks for it again: it was dropped */  \
	[EV_SEND_SYNACK]       = { STATE,      V_OK,        AN_SYNACK_AGAIN },                     \
	[EV_SEND_ACK]          = { STATE,      V_OK },                                             \
	[EV_SEND_RST]          = { FSM_CLOSED, V_OK },                                             \
	[EV_RCV_RST_OUTSIDE]   = { STATE,      V_IGNORE,    AN_RST_OUT_OF_WINDOW },                \
	[EV_RCV_RST_IN_WINDOW] = { STATE,      V_CHALLENGE, AN_RST_IN_WINDOW },                    \
	/* our ACK of its SYN-ACK was lost: it is told again, §3.10.7.4 (1st) */                   \
	[EV_RCV_SYN_AGAIN]     = { STATE,      V_ACK },                                            \
	[EV_RCV_SYN_IN_WINDOW] = { STATE,      V_CHALLENGE, AN_SYN_IN_WINDOW },                    \
	[EV_RCV_OLD_TIMESTAMP] = { STATE,      V_ACK,       AN_OLD_TIMESTAMP },                    \
	[EV_RCV_OLD]           = { STATE,      V_ACK },                                            \
	[EV_RCV_OUTSIDE]       = { STATE,      V_ACK,       AN_OUT_OF_WINDOW },                    \
	[EV_RCV_NO_ACK]        = { STATE,      V_IGNORE,    AN_NO_ACK },                           \
	[EV_RCV_ACK_UNSENT]    = { STATE,      V_ACK,       AN_ACK_OF_UNSENT },                    \
	[EV_RCV_ACK_STALE]     = { STATE,      V_CHALLENGE, AN_ACK_TOO_OLD },                      \
	[EV_RCV_ACK]           = { STATE,      V_OK },                                             \
	[EV_TIMEOUT]           = { FSM_CLOSED, V_OK }

const struct fsm_cell fsm_table[FSM_NR_STATES][EV_NR] = {

[FSM_CLOSED] = {						/* §3.10.1, §3.10.7.1 */
	[EV_SEND_SYN]          = { FSM_SYN_SENT,     V_OK },
	[EV_SEND_SYNACK]       = { FSM_SYN_RECEIVED, V_OK },	/* there was a listener after all */
	[EV_SEND_ACK]          = { FSM_CLOSED,       V_IGNORE,    AN_SENT_CLOSED },
	[EV_SEND_FIN]          = { FSM_CLOSED,       V_IGNORE,    AN_SENT_CLOSED },
	[EV_SEND_FIN_AGAIN]    = { FSM_CLOSED,       V_IGNORE,    AN_SENT_CLOSED },
	[EV_SEND_PAST_FIN]     = { FSM_CLOSED,       V_IGNORE,    AN_SENT_CLOSED },
	[EV_SEND_REFUSAL]      = { FSM_CLOSED,       V_OK },
	[EV_RCV_RST]           = { FSM_CLOSED,       V_IGNORE },
	[EV_RCV_SYN]           = { FSM_CLOSED,       V_REFUSE },
	[EV_RCV_NO_ACK]        = { FSM_CLOSED,       V_REFUSE,    AN_RECEIVED_CLOSED },
	[EV_RCV_BAD_ACK]       = { FSM_CLOSED,       V_REFUSE,    AN_RECEIVED_CLOSED },
	[EV_TIMEOUT]           = { FSM_CLOSED,       V_OK },
},

[FSM_LISTEN] = {						/* §3.10.7.2 */
	[EV_SEND_SYN]          = { FSM_SYN_SENT,     V_OK },	/* §3.10.2: SEND on a passive OPEN */
	[EV_SEND_SYNACK]       = { FSM_SYN_RECEIVED, V_OK },
	[EV_SEND_ACK]          = { FSM_LISTEN,       V_IGNORE,    AN_SENT_UNOPENED },
	[EV_SEND_FIN]          = { FSM_LISTEN,       V_IGNORE,    AN_SENT_UNOPENED },
	[EV_SEND_RST]          = { FSM_CLOSED,       V_OK },	/* refuses the SYN that waits */
	[EV_SEND_REFUSAL]      = { FSM_LISTEN,       V_OK },
	[EV_RCV_RST]           = { FSM_LISTEN,       V_IGNORE },
	[EV_RCV_SYN]           = { FSM_LISTEN,       V_OK },	/* the SYN-ACK moves it */
	[EV_RCV_SYN_AGAIN]     = { FSM_LISTEN,       V_OK },
	[EV_RCV_SYN_NEW]       = { FSM_LISTEN,       V_RESTART },	/* the first was given up */
	[EV_RCV_NO_ACK]        = { FSM_LISTEN,       V_IGNORE,    AN_NO_ACK },
	[EV_RCV_BAD_ACK]       = { FSM_LISTEN,       V_REFUSE,    AN_BAD_HANDSHAKE_ACK },
	/* "other controls or text will be queued" until the connection is established */
	[EV_RCV_FIN_EARLY]     = { FSM_LISTEN,       V_WAIT,      AN_SYN_WITH_FIN },
	[EV_TIMEOUT]           = { FSM_CLOSED,       V_OK },
},

[FSM_SYN_SENT] = {						/* §3.10.7.3 */
	[EV_SEND_SYN]          = { FSM_SYN_SENT,     V_RESTART },	/* another attempt, another ISS */
	[EV_SEND_SYN_AGAIN]    = { FSM_SYN_SENT,     V_OK },
	[EV_SEND_SYNACK]       = { FSM_SYN_RECEIVED, V_OK },	/* a SYN came that was not seen */
	[EV_SEND_ACK]          = { FSM_SYN_SENT,     V_IGNORE,    AN_SENT_UNOPENED },
	/* "rcv SYN,ACK / snd ACK": who sends the one has received the other, seen or not */
	[EV_SEND_ACK_OF_SYN]   = { FSM_ESTABLISHED,  V_OK,        AN_SENT_UNOPENED },
	[EV_SEND_FIN]          = { FSM_SYN_SENT,     V_IGNORE,    AN_SENT_UNOPENED },
	[EV_SEND_RST]          = { FSM_CLOSED,       V_OK },
	[EV_SEND_REFUSAL]      = { FSM_SYN_SENT,     V_OK },	/* of a SYN-ACK to another SYN */
	[EV_RCV_RST]           = { FSM_CLOSED,       V_OK },	/* connection refused */
	[EV_RCV_RST_OUTSIDE]   = { FSM_SYN_SENT,     V_IGNORE,    AN_RST_OUT_OF_WINDOW },
	[EV_RCV_SYN]           = { FSM_SYN_RECEIVED, V_OK },	/* simultaneous open, figure 7 */
	[EV_RCV_SYNACK]        = { FSM_ESTABLISHED,  V_OK },
	[EV_RCV_NO_ACK]        = { FSM_SYN_SENT,     V_IGNORE,    AN_NO_ACK },
	[EV_RCV_BAD_ACK]       = { FSM_SYN_SENT,     V_REFUSE,    AN_BAD_HANDSHAKE_ACK },
	[EV_RCV_ACK]           = { FSM_SYN_SENT,     V_IGNORE },	/* 5th: neither SYN nor RST */
	[EV_TIMEOUT]           = { FSM_CLOSED,       V_OK },
},

[FSM_SYN_RECEIVED] = {						/* §3.10.7.4 from here on */
	[EV_SEND_SYN]          = { FSM_SYN_RECEIVED, V_RESTART,   AN_NEW_LIFE },
	[EV_SEND_SYN_AGAIN]    = { FSM_SYN_RECEIVED, V_OK },
	[EV_SEND_SYNACK]       = { FSM_SYN_RECEIVED, V_OK },
	[EV_SEND_ACK]          = { FSM_SYN_RECEIVED, V_OK },	/* RFC 7413: data before the ACK */
	[EV_SEND_FIN]          = { FSM_FIN_WAIT_1,   V_OK },	/* §3.10.4 */
	[EV_SEND_RST]          = { FSM_CLOSED,       V_OK },
	[EV_SEND_REFUSAL]      = { FSM_SYN_RECEIVED, V_OK },	/* of an ACK that is not of our SYN */
	[EV_RCV_RST]           = { FSM_CLOSED,       V_OK },
	/* Linux drops a request by any RST in its window (net/ipv4/tcp_minisocks.c:tcp_check_req) */
	[EV_RCV_RST_IN_WINDOW] = { FSM_SYN_RECEIVED, V_CHALLENGE, AN_RST_IN_WINDOW },
	[EV_RCV_RST_OUTSIDE]   = { FSM_SYN_RECEIVED, V_IGNORE,    AN_RST_OUT_OF_WINDOW },
	[EV_RCV_SYN_AGAIN]     = { FSM_SYN_RECEIVED, V_ACK },	/* the SYN-ACK is the answer */
	[EV_RCV_SYN_IN_WINDOW] = { FSM_SYN_RECEIVED, V_CHALLENGE, AN_SYN_IN_WINDOW },
	/* 4th: "return this connection to the LISTEN state": the listener goes on, this one ends */
	[EV_RCV_SYN_GIVES_UP]  = { FSM_CLOSED,       V_OK,        AN_SYN_IN_WINDOW },
	[EV_RCV_OLD_TIMESTAMP] = { FSM_SYN_RECEIVED, V_ACK,       AN_OLD_TIMESTAMP },
	[EV_RCV_OLD]           = { FSM_SYN_RECEIVED, V_ACK },
	[EV_RCV_OUTSIDE]       = { FSM_SYN_RECEIVED, V_ACK,       AN_OUT_OF_WINDOW },
	[EV_RCV_NO_ACK]        = { FSM_SYN_RECEIVED, V_IGNORE,    AN_NO_ACK },
	[EV_RCV_BAD_ACK]       = { FSM_SYN_RECEIVED, V_REFUSE,    AN_BAD_HANDSHAKE_ACK },
	[EV_RCV_ACK_OF_SYN]    = { FSM_ESTABLISHED,  V_OK },
	/* a SYN with text and FIN, and our SYN-ACK took in all of it */
	[EV_RCV_FIN]           = { FSM_CLOSE_WAIT,   V_OK },
	[EV_RCV_FIN_EARLY]     = { FSM_SYN_RECEIVED, V_WAIT,      AN_SYN_WITH_FIN },
	[EV_TIMEOUT]           = { FSM_CLOSED,       V_OK },
},

[FSM_ESTABLISHED] = {
	ALIKE(FSM_ESTABLISHED),
	[EV_SEND_SYN]          = { FSM_ESTABLISHED,  V_RESTART,   AN_NEW_LIFE },
	[EV_SEND_FIN]          = { FSM_FIN_WAIT_1,   V_OK },
	[EV_RCV_RST]           = { FSM_CLOSED,       V_OK },
	[EV_RCV_TEXT]          = { FSM_ESTABLISHED,  V_OK },
	[EV_RCV_FIN]           = { FSM_CLOSE_WAIT,   V_OK },
	[EV_RCV_FIN_EARLY]     = { FSM_ESTABLISHED,  V_WAIT },
},

[FSM_CLOSE_WAIT] = {
	ALIKE(FSM_CLOSE_WAIT),
	[EV_SEND_SYN]          = { FSM_CLOSE_WAIT,   V_RESTART,   AN_NEW_LIFE },
	[EV_SEND_FIN]          = { FSM_LAST_ACK,     V_OK },
	/*
	 * Our FIN does not acknowledge theirs, so it left first: FIN_WAIT_1, and the FIN that the
	 * tap saw before it came in later. A tap runs ahead of the stack.
	 */
	[EV_SEND_FIN_CROSSED]  = { FSM_CLOSING,      V_OK },
	[EV_RCV_RST]           = { FSM_CLOSED,       V_OK },
	[EV_RCV_TEXT]          = { FSM_CLOSE_WAIT,   V_IGNORE,    AN_RECEIVED_PAST_FIN },
	[EV_RCV_FIN_AGAIN]     = { FSM_CLOSE_WAIT,   V_ACK },
},

[FSM_FIN_WAIT_1] = {
	ALIKE(FSM_FIN_WAIT_1),
	[EV_SEND_SYN]          = { FSM_FIN_WAIT_1,   V_RESTART,   AN_NEW_LIFE },
	[EV_SEND_FIN_AGAIN]    = { FSM_FIN_WAIT_1,   V_OK },
	[EV_SEND_PAST_FIN]     = { FSM_FIN_WAIT_1,   V_IGNORE,    AN_SENT_PAST_FIN },
	[EV_RCV_RST]           = { FSM_CLOSED,       V_OK },
	[EV_RCV_ACK_OF_FIN]    = { FSM_FIN_WAIT_2,   V_OK },
	[EV_RCV_TEXT]          = { FSM_FIN_WAIT_1,   V_OK },
	[EV_RCV_FIN]           = { FSM_CLOSING,      V_OK },	/* it crossed ours, figure 13 */
	[EV_RCV_FIN_EARLY]     = { FSM_FIN_WAIT_1,   V_WAIT },
},

[FSM_CLOSING] = {
	ALIKE(FSM_CLOSING),
	[EV_SEND_SYN]          = { FSM_CLOSING,      V_RESTART,   AN_NEW_LIFE },
	[EV_SEND_FIN_AGAIN]    = { FSM_CLOSING,      V_OK },
	[EV_SEND_PAST_FIN]     = { FSM_CLOSING,      V_IGNORE,    AN_SENT_PAST_FIN },
	[EV_RCV_RST]           = { FSM_CLOSED,       V_OK },
	[EV_RCV_ACK_OF_FIN]    = { FSM_TIME_WAIT,    V_OK },
	[EV_RCV_TEXT]          = { FSM_CLOSING,      V_IGNORE,    AN_RECEIVED_PAST_FIN },
	[EV_RCV_FIN_AGAIN]     = { FSM_CLOSING,      V_ACK },
},

[FSM_LAST_ACK] = {
	ALIKE(FSM_LAST_ACK),
	[EV_SEND_SYN]          = { FSM_LAST_ACK,     V_RESTART,   AN_NEW_LIFE },
	[EV_SEND_FIN_AGAIN]    = { FSM_LAST_ACK,     V_OK },
	[EV_SEND_PAST_FIN]     = { FSM_LAST_ACK,     V_IGNORE,    AN_SENT_PAST_FIN },
	[EV_RCV_RST]           = { FSM_CLOSED,       V_OK },
	[EV_RCV_ACK_OF_FIN]    = { FSM_CLOSED,       V_OK },
	[EV_RCV_TEXT]          = { FSM_LAST_ACK,     V_IGNORE,    AN_RECEIVED_PAST_FIN },
	[EV_RCV_FIN_AGAIN]     = { FSM_LAST_ACK,     V_ACK },
},

[FSM_FIN_WAIT_2] = {
	ALIKE(FSM_FIN_WAIT_2),
	[EV_SEND_SYN]          = { FSM_FIN_WAIT_2,   V_RESTART,   AN_NEW_LIFE },
	[EV_SEND_FIN_AGAIN]    = { FSM_FIN_WAIT_2,   V_OK },	/* it left before the ACK came */
	[EV_SEND_PAST_FIN]     = { FSM_FIN_WAIT_2,   V_IGNORE,    AN_SENT_PAST_FIN },
	[EV_RCV_RST]           = { FSM_CLOSED,       V_OK },
	[EV_RCV_TEXT]          = { FSM_FIN_WAIT_2,   V_OK },	/* half-close, §3.6 */
	[EV_RCV_FIN]           = { FSM_TIME_WAIT,    V_OK },
	[EV_RCV_FIN_EARLY]     = { FSM_FIN_WAIT_2,   V_WAIT },
},

[FSM_TIME_WAIT] = {
	ALIKE(FSM_TIME_WAIT),
	[EV_SEND_SYN]          = { FSM_TIME_WAIT,    V_RESTART,   AN_TIME_WAIT_REUSED },
	[EV_SEND_FIN_AGAIN]    = { FSM_TIME_WAIT,    V_OK },
	[EV_SEND_PAST_FIN]     = { FSM_TIME_WAIT,    V_IGNORE,    AN_SENT_PAST_FIN },
	/* RFC 1337: the hazard Linux takes unless net.ipv4.tcp_rfc1337 is set */
	[EV_RCV_RST]           = { FSM_CLOSED,       V_OK,        AN_TIME_WAIT_ASSASSINATED },
	[EV_RCV_SYN_NEW]       = { FSM_TIME_WAIT,    V_RESTART,   AN_TIME_WAIT_REUSED },	/* §3.6.1 */
	[EV_RCV_TEXT]          = { FSM_TIME_WAIT,    V_IGNORE,    AN_RECEIVED_PAST_FIN },
	/*
	 * 8th: restart the 2 MSL timer. Nothing else does; Linux's starts again by any bare ACK at
	 * RCV.NXT and by what it answers (net/ipv4/tcp_minisocks.c:tcp_timewait_state_process).
	 */
	[EV_RCV_FIN_AGAIN]     = { FSM_TIME_WAIT,    V_REARM },
},

};

/* clang-format on */

struct fsm_step fsm_step(enum fsm_state state, enum fsm_event event)
{
	const struct fsm_cell *cell = &fsm_table[state][event];
	struct fsm_step step = {
		.event = event,
		.from = state,
		.to = cell->next,
		.verdict = cell->verdict,
		.anomaly = cell->anomaly,
	};

	if (cell->verdict == V_NEVER) {
		step.to = state;
		step.anomaly = AN_IMPOSSIBLE;
	}
	return step;
}

const char *fsm_state_name(enum fsm_state state)
{
	static const char *const names[] = {
#define X(name) [FSM_##name] = #name,
		FSM_STATES(X)
#undef X
	};

	return names[state];
}

const char *fsm_event_name(enum fsm_event event)
{
	static const char *const names[] = {
#define X(name) [EV_##name] = #name,
		FSM_EVENTS(X)
#undef X
	};

	return names[event];
}

const char *fsm_verdict_label(enum fsm_verdict verdict)
{
	static const char *const labels[] = {
#define X(name, label) [V_##name] = label,
		FSM_VERDICTS(X)
#undef X
	};

	return labels[verdict];
}

const char *fsm_anomaly_label(enum fsm_anomaly name)
{
	static const char *const labels[] = { [AN_NONE] = "none",
#define X(name, label) [AN_##name] = label,
					      FSM_ANOMALIES(X)
#undef X
	};

	return labels[name];
}
