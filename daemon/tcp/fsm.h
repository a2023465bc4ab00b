/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The reference state machine of one end of a connection (RFC 9293 §3.3.2, §3.10): states,
 * events, and the const table that says what each event does in each state. Pure.
 */
#ifndef TCPWITNESS_FSM_H
#define TCPWITNESS_FSM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Ordered so that ranges mean something: up to SYN_RECEIVED not synchronized; from ESTABLISHED on
 * synchronized; FIN_WAIT_1..LAST_ACK await the ACK of our FIN; from FIN_WAIT_2 on it has come.
 */
#define FSM_STATES(X)                                                                              \
	X(CLOSED)                                                                                  \
	X(LISTEN)                                                                                  \
	X(SYN_SENT)                                                                                \
	X(SYN_RECEIVED)                                                                            \
	X(ESTABLISHED)                                                                             \
	X(CLOSE_WAIT)                                                                              \
	X(FIN_WAIT_1)                                                                              \
	X(CLOSING)                                                                                 \
	X(LAST_ACK)                                                                                \
	X(FIN_WAIT_2)                                                                              \
	X(TIME_WAIT)

enum fsm_state {
#define X(name) FSM_##name,
	FSM_STATES(X)
#undef X
	FSM_NR_STATES
};

/*
 * What can happen to an end. The first group is what it emits, which reveals the user's calls
 * (§3.10.1-5); the second is what reaches it, in the order in which §3.10.7 looks for it.
 */
#define FSM_EVENTS(X)                                                                              \
	X(SEND_SYN)	     /* active OPEN: a SYN, or any SYN that begins another life */         \
	X(SEND_SYN_AGAIN)    /* a SYN with our ISS: retransmission */                              \
	X(SEND_SYNACK)	     /* the passive OPEN's answer */                                       \
	X(SEND_ACK)	     /* an ACK, with or without text */                                    \
	X(SEND_ACK_OF_SYN)   /* SYN_SENT: of a SYN-ACK that was not seen here */                   \
	X(SEND_FIN)	     /* CLOSE */                                                           \
	X(SEND_FIN_CROSSED)  /* CLOSE, called before the FIN that is here was taken in */          \
	X(SEND_FIN_AGAIN)    /* retransmission of our FIN */                                       \
	X(SEND_PAST_FIN)     /* text, or another FIN, beyond our FIN */                            \
	X(SEND_RST)	     /* ABORT */                                                           \
	X(SEND_REFUSAL)	     /* RST that answers an unacceptable segment and closes nothing */     \
	X(RCV_RST)	     /* RST that is acceptable and exact (RFC 5961 §3) */                 \
	X(RCV_RST_IN_WINDOW) /* in the window, but not at RCV.NXT */                               \
	X(RCV_RST_OUTSIDE)   /* outside the window; SYN_SENT: not an answer to our SYN */          \
	X(RCV_SYN)	     /* SYN without ACK, where one may come */                             \
	X(RCV_SYN_AGAIN)     /* the peer's SYN or SYN-ACK once more: seq = IRS */                  \
	X(RCV_SYN_NEW)	     /* acceptable SYN that begins another life */                         \
	X(RCV_SYN_IN_WINDOW) /* any other SYN on a connection (RFC 5961 §4) */                    \
	X(RCV_SYN_GIVES_UP)  /* in the window of a passive handshake: back to LISTEN */            \
	X(RCV_SYNACK)	     /* SYN_SENT: SYN and acceptable ACK */                                \
	X(RCV_OLD_TIMESTAMP) /* RFC 7323 §5: PAWS */                                              \
	X(RCV_OLD)	     /* unacceptable: ends before RCV.NXT (duplicate, keep-alive) */       \
	X(RCV_OUTSIDE)	     /* unacceptable: begins beyond the window */                          \
	X(RCV_NO_ACK)	     /* neither ACK nor anything else that counts here */                  \
	X(RCV_BAD_ACK)	     /* not synchronized, and the ACK is not of our SYN */                 \
	X(RCV_ACK_UNSENT)    /* of what was never sent */                                          \
	X(RCV_ACK_STALE)     /* older than any window allows (RFC 5961 §5) */                     \
	X(RCV_ACK)	     /* acceptable, moves no state by itself */                            \
	X(RCV_ACK_OF_SYN)    /* SYN_RECEIVED: of our SYN */                                        \
	X(RCV_ACK_OF_FIN)    /* the first of our FIN */                                            \
	X(RCV_TEXT)	     /* new text */                                                        \
	X(RCV_FIN)	     /* FIN, and nothing before it is missing */                           \
	X(RCV_FIN_EARLY)     /* FIN, but something before it is missing */                         \
	X(RCV_FIN_AGAIN)     /* retransmission of a FIN already taken in */                        \
	X(TIMEOUT)	     /* 2 MSL in TIME_WAIT, the user timeout elsewhere (§3.10.8) */

enum fsm_event {
#define X(name) EV_##name,
	FSM_EVENTS(X)
#undef X
	EV_NR
};

/* What the reference does about an event. */
#define FSM_VERDICTS(X)                                                                            \
	X(NEVER, "never")	  /* cannot happen by construction of the classifier */            \
	X(OK, "ok")		  /* taken in, or emitted as it should be */                       \
	X(IGNORE, "ignore")	  /* dropped in silence */                                         \
	X(ACK, "ack")		  /* dropped, answered by an ACK */                                \
	X(CHALLENGE, "challenge") /* dropped, answered by a challenge ACK (RFC 5961) */            \
	X(REFUSE, "refuse")	  /* dropped, answered by a RST */                                 \
	X(WAIT, "wait")		  /* kept until what is missing has come */                        \
	X(REARM, "rearm")	  /* acknowledged, 2 MSL starts again */                           \
	X(RESTART, "restart")	  /* a new life of this tuple begins: state and variables kept */

enum fsm_verdict {
#define X(name, label) V_##name,
	FSM_VERDICTS(X)
#undef X
	V_NR
};

/* What should not be seen between two correct ends, or is worth a count. At most 31. */
#define FSM_ANOMALIES(X)                                                                           \
	X(IMPOSSIBLE, "impossible")		  /* V_NEVER: a defect of this program */          \
	X(SYN_IN_WINDOW, "syn_in_window")	  /* SYN on a live connection */                   \
	X(SYN_WITH_FIN, "syn_with_fin")		  /* FIN before any handshake */                   \
	X(NEW_LIFE, "new_life")			  /* own SYN over a live connection */             \
	X(SYNACK_AGAIN, "synack_after_handshake") /* the final ACK was not taken */                \
	X(TIME_WAIT_REUSED, "time_wait_reused")	  /* SYN over TIME_WAIT */                         \
	X(TIME_WAIT_ASSASSINATED, "time_wait_assassinated") /* RFC 1337 */                         \
	X(RST_IN_WINDOW, "rst_in_window")		    /* challenged */                       \
	X(RST_OUT_OF_WINDOW, "rst_out_of_window")	    /* ignored: stale or forged */         \
	X(BAD_HANDSHAKE_ACK, "bad_handshake_ack")	    /* refused */                          \
	X(ACK_OF_UNSENT, "ack_of_unsent")                                                          \
	X(ACK_TOO_OLD, "ack_too_old")                                                              \
	X(NO_ACK, "segment_without_ack")                                                           \
	X(OUT_OF_WINDOW, "out_of_window")                                                          \
	X(OLD_TIMESTAMP, "old_timestamp") /* PAWS */                                               \
	X(RECEIVED_PAST_FIN, "received_past_fin")                                                  \
	X(SENT_PAST_FIN, "sent_past_fin")                                                          \
	X(SENT_UNOPENED, "sent_before_handshake")  /* neither SYN, SYN-ACK nor RST */              \
	X(SENT_CLOSED, "sent_when_closed")	   /* the same, from CLOSED */                     \
	X(RECEIVED_CLOSED, "received_when_closed") /* an ACK to no connection */

enum fsm_anomaly {
	AN_NONE = 0,
#define X(name, label) AN_##name,
	FSM_ANOMALIES(X)
#undef X
	AN_NR
};

_Static_assert(AN_NR <= 32, "a connection's anomalies are a 32-bit set");

/* One cell of the table. */
struct fsm_cell {
	uint8_t next;	 /* enum fsm_state */
	uint8_t verdict; /* enum fsm_verdict */
	uint8_t anomaly; /* enum fsm_anomaly */
};

/* What one event did to one end. */
struct fsm_step {
	uint8_t event;	 /* enum fsm_event */
	uint8_t from;	 /* enum fsm_state */
	uint8_t to;	 /* enum fsm_state; may equal from */
	uint8_t verdict; /* enum fsm_verdict */
	uint8_t anomaly; /* enum fsm_anomaly */
};

/* What runs; fsm.c says what its rows mean (§3.3.2, figure 5). A cell of zeroes is impossible. */
extern const struct fsm_cell fsm_table[FSM_NR_STATES][EV_NR];

/*
 * The cell of any state and event (§3.3.2, §3.10), as a step. Changes nothing and cannot fail: a
 * cell that is impossible is a step that stays where it is, with V_NEVER and AN_IMPOSSIBLE, for the
 * caller to count. With V_RESTART the step stays too: the event belongs to a new life.
 */
struct fsm_step fsm_step(enum fsm_state state, enum fsm_event event);

/*
 * Why a V_NEVER cell of any state is impossible, in words that cite the section of RFC 9293 where
 * it has one (§3.10.7); NULL for every other cell. The text lives as long as the program.
 */
const char *fsm_never(enum fsm_state state, enum fsm_event event);

/*
 * Texts that live as long as the program, never NULL; the argument must be one of its enum (below
 * FSM_NR_STATES, EV_NR, V_NR, AN_NR), which is not checked. States have the RFC's names (§3.3.2).
 */
const char *fsm_state_name(enum fsm_state state);	 /* "SYN_RECEIVED" */
const char *fsm_event_name(enum fsm_event event);	 /* "RCV_ACK_OF_FIN" */
const char *fsm_verdict_label(enum fsm_verdict verdict); /* "challenge" */
const char *fsm_anomaly_label(enum fsm_anomaly name);	 /* "syn_in_window"; "none" for AN_NONE */

/* §3.3.2: both SYNs are acknowledged: ESTABLISHED to TIME_WAIT. */
static inline bool fsm_is_synchronized(enum fsm_state state)
{
	return state >= FSM_ESTABLISHED;
}

/* Our FIN is out (§3.10.4): FIN_WAIT_1, FIN_WAIT_2, CLOSING, LAST_ACK, TIME_WAIT. */
static inline bool fsm_has_sent_fin(enum fsm_state state)
{
	return state >= FSM_FIN_WAIT_1;
}

/* The peer's FIN was taken in (§3.10.7.4, 8th): CLOSE_WAIT, CLOSING, LAST_ACK, TIME_WAIT. */
static inline bool fsm_has_received_fin(enum fsm_state state)
{
	return state == FSM_CLOSE_WAIT || state == FSM_CLOSING || state == FSM_LAST_ACK ||
	       state == FSM_TIME_WAIT;
}

#endif
