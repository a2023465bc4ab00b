/* SPDX-License-Identifier: GPL-2.0-only */
/* Steps in words: an anomaly's rule first, then the event's, both in the order of tcp/fsm.h. */
#include "export/rules.h"

static const char *const anomalies[AN_NR] = {
	[AN_IMPOSSIBLE] = "cannot happen: a defect of tcpwitness",
	[AN_SYN_IN_WINDOW] = "SYN on a connection: challenge ACK (RFC 5961 §4)",
	[AN_SYN_WITH_FIN] = "FIN before the handshake: waits (§3.10.7.2)",
	[AN_NEW_LIFE] = "own SYN over a live connection (§3.10.1)",
	[AN_SYNACK_AGAIN] = "SYN-ACK after the final ACK: the stack did not take it (§3.5)",
	[AN_TIME_WAIT_REUSED] = "SYN over TIME_WAIT: a new life (§3.6.1, RFC 6191)",
	[AN_TIME_WAIT_ASSASSINATED] = "RST ends TIME_WAIT early (RFC 1337)",
	[AN_RST_IN_WINDOW] = "RST not at RCV.NXT: challenge ACK (RFC 5961 §3)",
	[AN_RST_OUT_OF_WINDOW] = "RST outside the window: ignored (§3.10.7.4, 2nd)",
	[AN_BAD_HANDSHAKE_ACK] = "ACK of another SYN: RST (§3.5.2, group 2)",
	[AN_ACK_OF_UNSENT] = "ACK of what was never sent: ACK (§3.10.7.4, 5th)",
	[AN_ACK_TOO_OLD] = "ACK too old: challenge ACK (RFC 5961 §5)",
	[AN_NO_ACK] = "no ACK bit: dropped (§3.10.7.4, 5th)",
	[AN_OUT_OF_WINDOW] = "beyond the window: ACK (§3.10.7.4, 1st)",
	[AN_OLD_TIMESTAMP] = "timestamp too old: ACK (RFC 7323 §5.3)",
	[AN_RECEIVED_PAST_FIN] = "text after their FIN: ignored (§3.10.7.4, 7th)",
	[AN_SENT_PAST_FIN] = "text after the own FIN (§3.10.2)",
	[AN_SENT_UNOPENED] = "sent before the handshake (§3.10.2)",
	[AN_SENT_CLOSED] = "sent when closed (§3.10.2)",
	[AN_RECEIVED_CLOSED] = "no connection here: RST (§3.10.7.1)",
};

static const char *const events[EV_NR] = {
	[EV_SEND_SYN_AGAIN] = "SYN again: retransmission (§3.8.1)",
	[EV_SEND_FIN_CROSSED] = "left before the FIN came in: simultaneous close (figure 13)",
	[EV_SEND_FIN_AGAIN] = "FIN again: retransmission (§3.8.1)",
	[EV_SEND_RST] = "ABORT (§3.10.5)",
	[EV_SEND_REFUSAL] = "refuses an unacceptable segment (§3.5.2)",
	[EV_RCV_RST] = "reset by the peer (§3.5.3)",
	[EV_RCV_SYN_AGAIN] = "SYN again: retransmission (§3.10.7.4, 1st)",
	[EV_RCV_SYN_NEW] = "another SYN: the first was given up (§3.10.7.2)",
	[EV_RCV_OLD] = "seen before, or keep-alive: ACK (§3.10.7.4, 1st)",
	[EV_RCV_FIN_EARLY] = "FIN ahead of missing text: waits (§3.10.7.4, 8th)",
	[EV_RCV_FIN_AGAIN] = "FIN again: ACK (§3.10.7.4, 8th)",
};

/* Where the state makes the event another story. */
static const struct {
	uint8_t state, event;
	const char *rule;
} cells[] = {
	{ FSM_LISTEN, EV_SEND_SYN, "SEND on a passive OPEN (§3.10.2)" },
	{ FSM_LISTEN, EV_SEND_RST, "the SYN is refused (§3.5.2)" },
	{ FSM_LISTEN, EV_RCV_SYN_AGAIN, "SYN again: not answered so far (§3.8.1)" },
	{ FSM_CLOSED, EV_SEND_SYNACK, "there was a listener after all (§3.10.7.2)" },
	{ FSM_CLOSED, EV_RCV_SYN, "no listener: RST (§3.10.7.1)" },
	{ FSM_CLOSED, EV_RCV_RST, "no connection here: ignored (§3.10.7.1)" },
	{ FSM_LISTEN, EV_RCV_RST, "ignored (§3.10.7.2)" },
	{ FSM_SYN_SENT, EV_SEND_SYN, "another attempt, another ISS (§3.10.1)" },
	{ FSM_SYN_SENT, EV_RCV_RST, "connection refused (§3.10.7.3)" },
	{ FSM_SYN_SENT, EV_RCV_SYN, "SYNs crossed: simultaneous open (figure 7)" },
	{ FSM_SYN_SENT, EV_RCV_ACK, "neither SYN nor RST: ignored (§3.10.7.3)" },
	{ FSM_SYN_SENT, EV_SEND_ACK_OF_SYN, "ACK of a SYN-ACK that was not seen (§3.3.2)" },
	{ FSM_SYN_RECEIVED, EV_RCV_SYN_GIVES_UP,
	  "SYN in the window: back to LISTEN (§3.10.7.4, 4th)" },
	{ FSM_FIN_WAIT_1, EV_RCV_FIN, "FINs crossed: simultaneous close (figure 13)" },
	{ FSM_TIME_WAIT, EV_RCV_FIN_AGAIN, "FIN again: 2 MSL anew (§3.10.7.4, 8th)" },
	{ FSM_TIME_WAIT, EV_TIMEOUT, "2 MSL are over (§3.10.8)" },
};

const char *rule_of(const struct fsm_step *step)
{
	for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++)
		if (cells[i].state == step->from && cells[i].event == step->event)
			return cells[i].rule;
	if (step->anomaly != AN_NONE)
		return anomalies[step->anomaly] ? anomalies[step->anomaly] :
						  fsm_anomaly_label(step->anomaly);
	return events[step->event];
}
