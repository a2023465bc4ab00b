/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Both ends of one connection, seen from a tap beside the local one. What the local end sends is
 * not yet at the remote: its SYN and FIN are delivered to the remote end when the remote
 * acknowledges them, before what it then sends is applied, so that crossing SYNs and FINs
 * (simultaneous open and close) come out as RFC 9293 figures 8 and 13 draw them. Bare ACKs and
 * RSTs are delivered at once: nothing would ever acknowledge them. Pure.
 */
#ifndef TCPWITNESS_DIALOGUE_H
#define TCPWITNESS_DIALOGUE_H

#include "tcp/endpoint.h"

struct tcp_dialogue {
	struct tcp_endpoint local, remote;
	uint8_t in_flight; /* enum tcp_flag of local's SYN, FIN not yet known to have arrived */
	struct tcp_segment flight[2]; /* the SYN, the FIN: owner may shrink or drop this */
};

struct dialogue_steps {
	struct endpoint_steps local, remote;
};

/* local_state: LISTEN when a listener is there or a SYN-ACK answers, CLOSED otherwise. */
void dialogue_init(struct tcp_dialogue *talk, enum fsm_state local, enum fsm_state remote,
		   bool live);

/* The local end sent / received the segment. *steps is written whole. */
void dialogue_sent(struct tcp_dialogue *talk, const struct tcp_segment *seg,
		   struct dialogue_steps *steps);
void dialogue_received(struct tcp_dialogue *talk, const struct tcp_segment *seg,
		       struct dialogue_steps *steps);

/* Facts about the local end's variables: see endpoint_learn. */
void dialogue_learn(struct tcp_dialogue *talk, const struct endpoint_facts *facts,
		    struct dialogue_steps *steps);

/* The local end's 2 MSL or user timeout; the remote end is closed with it when it waits too. */
void dialogue_expire(struct tcp_dialogue *talk, struct dialogue_steps *steps);

#endif
