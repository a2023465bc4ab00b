/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Both ends of one connection, seen from a tap beside the local one. What the local end sends is
 * not yet at the remote: its SYN and FIN are delivered to the remote end when the remote
 * acknowledges them, before what it then sends is applied, so that crossing SYNs and FINs
 * (simultaneous open and close) come out as RFC 9293 figures 7 and 13 draw them. Everything else
 * is delivered at once: nothing would ever acknowledge a bare ACK or a RST. A segment that the
 * local end finds unacceptable says nothing about the remote: it may be forged. Pure.
 */
#ifndef TCPWITNESS_DIALOGUE_H
#define TCPWITNESS_DIALOGUE_H

#include "tcp/endpoint.h"

struct tcp_dialogue {
	struct tcp_endpoint local, remote;
	uint8_t in_flight; /* TCPF_SYN (with TCPF_ACK: a SYN-ACK), TCPF_FIN of local's on the way */
};

struct dialogue_steps {
	struct endpoint_steps local, remote;
};

/* local_state: LISTEN when a listener is there or a SYN-ACK answers, CLOSED otherwise. */
void dialogue_init(struct tcp_dialogue *talk, enum fsm_state local, enum fsm_state remote,
		   bool live);

/* Instead of dialogue_init: local is picked up in mid-life, see endpoint_adopt. */
void dialogue_adopt(struct tcp_dialogue *talk, enum fsm_state local,
		    const struct endpoint_facts *facts, bool live);

/* The local end sent / received the segment. *steps is written whole. */
void dialogue_sent(struct tcp_dialogue *talk, const struct tcp_segment *seg,
		   struct dialogue_steps *steps);
void dialogue_received(struct tcp_dialogue *talk, const struct tcp_segment *seg,
		       struct dialogue_steps *steps);

/*
 * The segment begins a new life of the tuple. *talk is then as it was before; the caller ends it
 * and gives the same segment to a new dialogue.
 */
bool dialogue_restarts(const struct dialogue_steps *steps);

/* A SYN came and was not answered yet, neither by a SYN-ACK nor by a RST. */
bool dialogue_syn_unanswered(const struct tcp_dialogue *talk);

/* A FIN came and waits for data before it: the reference cannot be compared now. */
bool dialogue_fin_pending(const struct tcp_dialogue *talk);

/* Facts about the local end's variables: see endpoint_learn. *steps is written whole. */
void dialogue_learn(struct tcp_dialogue *talk, const struct endpoint_facts *facts,
		    struct dialogue_steps *steps);

/* The local end's 2 MSL or user timeout; the remote end is closed with it when it waits too. */
void dialogue_expire(struct tcp_dialogue *talk, struct dialogue_steps *steps);

#endif
