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

/*
 * Two ends of which nothing was seen yet, each CLOSED or LISTEN (§3.10.1): LISTEN where a listener
 * is there or a SYN-ACK answers, CLOSED otherwise; CLOSED twice may become a simultaneous open
 * (figure 7). live: data segments will not be seen. Cannot fail.
 */
void dialogue_init(struct tcp_dialogue *talk, enum fsm_state local, enum fsm_state remote,
		   bool live);

/*
 * Instead of dialogue_init: local is picked up in mid-life, in any state of §3.3.2, see
 * endpoint_adopt. The remote end is taken to be where figures 6, 12 and 13 have it beside that
 * state, with the facts mirrored. No steps, no errors.
 */
void dialogue_adopt(struct tcp_dialogue *talk, enum fsm_state local,
		    const struct endpoint_facts *facts, bool live);

/*
 * The local end sent / received the segment, in any state of either end (§3.10.1-5, §3.10.7); see
 * endpoint_send and endpoint_receive for units, and for verdicts and anomalies in place of errors.
 * *steps is written whole: of the local end one at least, of the remote end those that are implied,
 * which may be none.
 */
void dialogue_sent(struct tcp_dialogue *talk, const struct tcp_segment *seg,
		   struct dialogue_steps *steps);
void dialogue_received(struct tcp_dialogue *talk, const struct tcp_segment *seg,
		       struct dialogue_steps *steps);

/*
 * The segment whose steps these are begins a new life of the tuple: a SYN in LISTEN, SYN_SENT or
 * beyond by whoever opens, one that TIME_WAIT lets in (§3.6.1, RFC 6191). *talk is then as it was
 * before; the caller ends it and gives the same segment to a new dialogue.
 */
bool dialogue_restarts(const struct dialogue_steps *steps);

/*
 * CLOSED or LISTEN: a SYN came and was not answered yet, neither by a SYN-ACK nor by a RST
 * (§3.10.7.1-2), nor taken back by a RST of the remote end.
 */
bool dialogue_syn_unanswered(const struct tcp_dialogue *talk);

/*
 * LISTEN to FIN_WAIT_2: a FIN came and waits for what is missing before it (§3.10.7.4, 8th: a FIN is
 * processed in its turn). The reference cannot be compared now.
 */
bool dialogue_fin_pending(const struct tcp_dialogue *talk);

/* Facts about the local end's variables (§3.3.1): see endpoint_learn. *steps is written whole. */
void dialogue_learn(struct tcp_dialogue *talk, const struct endpoint_facts *facts,
		    struct dialogue_steps *steps);

/*
 * The local end's 2 MSL or user timeout (§3.10.8), in any state, as in endpoint_expire. A remote end
 * in TIME_WAIT is closed with it. *steps is written whole.
 */
void dialogue_expire(struct tcp_dialogue *talk, struct dialogue_steps *steps);

#endif
