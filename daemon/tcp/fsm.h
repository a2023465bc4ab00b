/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The reference state machine of one end of a connection (RFC 9293 §3.3.2, §3.10): states,
 * events, and the const table that says what each event does in each state. Pure.
 */
#ifndef TCPWITNESS_FSM_H
#define TCPWITNESS_FSM_H

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

/* TO BE COMPLETED by the owner of daemon/tcp: enum fsm_event (EV_…), enum fsm_verdict (V_…),
 * enum fsm_anomaly (AN_NONE = 0, AN_…; X-macro FSM_ANOMALIES(X) X(NAME, "label")), the table. */
#define FSM_ANOMALIES(X) X(SYN_IN_WINDOW, "syn_in_window")

enum fsm_anomaly {
	AN_NONE = 0,
#define X(name, label) AN_##name,
	FSM_ANOMALIES(X)
#undef X
	AN_NR
};

/* What one event did to one end. */
struct fsm_step {
	uint8_t event;	 /* enum fsm_event */
	uint8_t from;	 /* enum fsm_state */
	uint8_t to;	 /* enum fsm_state; may equal from */
	uint8_t verdict; /* enum fsm_verdict */
	uint8_t anomaly; /* enum fsm_anomaly */
};

const char *fsm_state_name(enum fsm_state state);     /* "SYN_RECEIVED" */
const char *fsm_anomaly_label(enum fsm_anomaly name); /* "syn_in_window" */

#endif
