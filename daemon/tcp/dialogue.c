/* SPDX-License-Identifier: GPL-2.0-only */
/* Who hears what, when: two endpoints and the segments of ours that are on their way. */
#include <string.h>

#include "tcp/classify.h"
#include "tcp/dialogue.h"

void dialogue_init(struct tcp_dialogue *talk, enum fsm_state local, enum fsm_state remote,
		   bool live)
{
	memset(talk, 0, sizeof(*talk));
	endpoint_init(&talk->local, local, live);
	endpoint_init(&talk->remote, remote, live);
	talk->remote.flags |= EP_IMPLIED;
}

/* Where the far end of a connection is most likely to be, and what of ours it has not confirmed. */
static const struct {
	uint8_t remote, in_flight;
} far_end[FSM_NR_STATES] = {
	[FSM_CLOSED] = { FSM_CLOSED, 0 },
	[FSM_LISTEN] = { FSM_CLOSED, 0 },
	[FSM_SYN_SENT] = { FSM_LISTEN, TCPF_SYN },
	[FSM_SYN_RECEIVED] = { FSM_SYN_SENT, TCPF_SYN | TCPF_ACK },
	[FSM_ESTABLISHED] = { FSM_ESTABLISHED, 0 },
	[FSM_CLOSE_WAIT] = { FSM_FIN_WAIT_2, 0 },
	[FSM_FIN_WAIT_1] = { FSM_ESTABLISHED, TCPF_FIN },
	[FSM_CLOSING] = { FSM_FIN_WAIT_1, TCPF_FIN },
	[FSM_LAST_ACK] = { FSM_FIN_WAIT_2, TCPF_FIN },
	[FSM_FIN_WAIT_2] = { FSM_CLOSE_WAIT, 0 },
	[FSM_TIME_WAIT] = { FSM_CLOSED, 0 },
};

void dialogue_adopt(struct tcp_dialogue *talk, enum fsm_state local,
		    const struct endpoint_facts *facts, bool live)
{
	struct endpoint_facts mirrored = { 0 };

	dialogue_init(talk, local, far_end[local].remote, live);
	endpoint_adopt(&talk->local, local, facts);
	if (facts->known & KNOWN_RCV_NXT) {
		mirrored.known |= KNOWN_SND_NXT | KNOWN_SND_UNA;
		mirrored.snd_nxt = mirrored.snd_una = facts->rcv_nxt;
	}
	/* It waits for our SYN-ACK: what it had acknowledged before that is nothing. */
	if (talk->remote.state == FSM_SYN_SENT) {
		mirrored.known &= ~KNOWN_SND_UNA;
	} else if (facts->known & KNOWN_SND_UNA) {
		mirrored.known |= KNOWN_RCV_NXT;
		mirrored.rcv_nxt = facts->snd_una;
	}
	endpoint_adopt(&talk->remote, talk->remote.state, &mirrored);
	talk->in_flight = far_end[local].in_flight;
}

/* Those beyond the count are nobody's: they are not worth a memset. */
static void no_steps(struct dialogue_steps *steps)
{
	steps->local.count = 0;
	steps->remote.count = 0;
}

bool dialogue_restarts(const struct dialogue_steps *steps)
{
	uint8_t i;

	for (i = 0; i < steps->local.count; i++) {
		if (steps->local.at[i].verdict == V_RESTART)
			return true;
	}
	return false;
}

bool dialogue_syn_unanswered(const struct tcp_dialogue *talk)
{
	/* Who reset what it asked for waits for nothing, although LISTEN ignores the RST. */
	return talk->local.flags & EP_SYN_PENDING && talk->remote.state != FSM_CLOSED;
}

bool dialogue_fin_pending(const struct tcp_dialogue *talk)
{
	return talk->local.flags & EP_FIN_PENDING;
}

static bool has_taken_fin(const struct tcp_endpoint *end)
{
	return end->flags & EP_FIN_RECEIVED;
}

/* Our SYN or SYN-ACK arrives. Its text need not have been taken in: the remote's ACK tells. */
static void deliver_syn(struct tcp_dialogue *talk, struct dialogue_steps *steps)
{
	const struct tcp_endpoint *local = &talk->local;
	struct tcp_segment seg = {
		.seq = local->iss,
		.ack = local->irs + 1,
		.flags = talk->in_flight & (TCPF_SYN | TCPF_ACK),
		.options = local->rcv_wscale == WSCALE_REFUSED ? 0 : TCPO_WSCALE,
	};

	if (!(talk->in_flight & TCPF_SYN))
		return;
	talk->in_flight &= ~(TCPF_SYN | TCPF_ACK);
	if (local->known & KNOWN_ISS)
		endpoint_receive(&talk->remote, &seg, &steps->remote);
}

/* Our FIN arrives, and with it everything before it. Its ACK was delivered when it left. */
static void deliver_fin(struct tcp_dialogue *talk, struct dialogue_steps *steps)
{
	const struct endpoint_facts all = { .known = KNOWN_RCV_NXT,
					    .rcv_nxt = talk->local.snd_fin };
	struct tcp_segment seg = {
		.seq = talk->local.snd_fin,
		.ack = talk->remote.snd_una,
		.flags = TCPF_FIN | TCPF_ACK,
	};

	if (!(talk->in_flight & TCPF_FIN) || !(talk->local.flags & EP_FIN_SENT))
		return;
	talk->in_flight &= ~TCPF_FIN;
	if (has_taken_fin(&talk->remote))
		return;
	endpoint_learn(&talk->remote, &all, &steps->remote);
	endpoint_receive(&talk->remote, &seg, &steps->remote);
}

/* The segment is the first to acknowledge the remote's SYN, or its FIN, while ours may be away. */
static bool acks_remote(const struct tcp_endpoint *remote, const struct tcp_segment *seg)
{
	if (!(seg->flags & TCPF_ACK))
		return false;
	if (remote->state == FSM_SYN_SENT)
		return true;
	return remote->state == FSM_FIN_WAIT_1 &&
	       (!(remote->flags & EP_FIN_SENT) || seg->ack == remote->snd_fin + 1);
}

/* A SYN or SYN-ACK of the remote was not seen: what came after it tells that it was sent. */
static void imply_syn(struct tcp_dialogue *talk, const struct tcp_segment *syn,
		      struct dialogue_steps *steps)
{
	endpoint_send(&talk->remote, syn, &steps->remote);
	talk->remote.known &= ~KNOWN_RCV_EDGE;
	if (talk->remote.rcv_wscale != WSCALE_REFUSED)
		talk->remote.rcv_wscale = WSCALE_UNKNOWN;
}

/* We acknowledge a SYN-ACK that was not seen: ours had arrived, and that was its answer. */
static void imply_synack(struct tcp_dialogue *talk, const struct tcp_segment *seg,
			 struct dialogue_steps *steps)
{
	struct tcp_segment synack = { .seq = seg->ack - 1,
				      .ack = talk->local.iss + 1,
				      .flags = TCPF_SYN | TCPF_ACK,
				      .options = TCPO_WSCALE };

	deliver_syn(talk, steps);
	if (talk->remote.state <= FSM_LISTEN)
		imply_syn(talk, &synack, steps);
}

static void launch_syn(struct tcp_dialogue *talk, const struct tcp_segment *seg,
		       struct dialogue_steps *steps)
{
	struct tcp_endpoint *remote = &talk->remote;
	struct tcp_segment syn = { .seq = seg->ack - 1, .flags = TCPF_SYN, .options = TCPO_WSCALE };

	/* A SYN-ACK tells that a SYN came, if none was seen. */
	if ((seg->flags & TCPF_ACK) && remote->state <= FSM_LISTEN)
		imply_syn(talk, &syn, steps);
	/* The SYNs crossed: ours gets there before the SYN-ACK that answers the other. */
	if (acks_remote(remote, seg) && !(talk->in_flight & TCPF_ACK))
		deliver_syn(talk, steps);
	if (!(talk->local.known & KNOWN_SND_UNA) || !seq_gt(talk->local.snd_una, talk->local.iss))
		talk->in_flight |= seg->flags & (TCPF_SYN | TCPF_ACK);
}

void dialogue_sent(struct tcp_dialogue *talk, const struct tcp_segment *seg,
		   struct dialogue_steps *steps)
{
	struct tcp_segment now = *seg;

	no_steps(steps);
	endpoint_send(&talk->local, seg, &steps->local);
	if (dialogue_restarts(steps))
		return;
	if (seg->flags & TCPF_RST) {
		if (talk->local.state == FSM_CLOSED)
			talk->in_flight = 0;
		endpoint_receive(&talk->remote, seg, &steps->remote);
		return;
	}
	if (seg->flags & TCPF_SYN)
		launch_syn(talk, seg, steps);
	else if (steps->local.at[0].event == EV_SEND_ACK_OF_SYN)
		imply_synack(talk, seg, steps);
	/* Nothing gets anywhere before our SYN. */
	if (!(seg->flags & TCPF_SYN) && !(talk->in_flight & TCPF_SYN)) {
		/* The FINs crossed: ours gets there before the ACK of the other. */
		if (acks_remote(&talk->remote, seg))
			deliver_fin(talk, steps);
		if (!has_taken_fin(&talk->remote))
			now.flags &= ~TCPF_FIN; /* it waits for the remote's ACK */
		endpoint_receive(&talk->remote, &now, &steps->remote);
	}
	/* From FIN_WAIT_2 on it has arrived, whatever comes after it. */
	if ((talk->local.flags & EP_FIN_SENT) && (seg->flags & TCPF_FIN) &&
	    talk->local.state < FSM_FIN_WAIT_2 && !has_taken_fin(&talk->remote))
		talk->in_flight |= TCPF_FIN;
}

/* Did the local end find the segment such that the remote may not have sent it at all? */
static bool is_doubtful(const struct endpoint_steps *steps)
{
	const uint32_t doubtful = 1u << AN_SYN_IN_WINDOW | 1u << AN_RST_IN_WINDOW |
				  1u << AN_RST_OUT_OF_WINDOW | 1u << AN_BAD_HANDSHAKE_ACK |
				  1u << AN_ACK_OF_UNSENT | 1u << AN_ACK_TOO_OLD | 1u << AN_NO_ACK |
				  1u << AN_OUT_OF_WINDOW | 1u << AN_OLD_TIMESTAMP;
	uint8_t i;

	for (i = 0; i < steps->count; i++) {
		if (doubtful & 1u << steps->at[i].anomaly)
			return true;
	}
	return false;
}

void dialogue_received(struct tcp_dialogue *talk, const struct tcp_segment *seg,
		       struct dialogue_steps *steps)
{
	const struct tcp_endpoint *local = &talk->local;
	bool ack = seg->flags & TCPF_ACK;
	bool acks_syn, acks_fin, crossed;

	no_steps(steps);
	endpoint_receive(&talk->local, seg, &steps->local);
	if (dialogue_restarts(steps) || is_doubtful(&steps->local))
		return;

	acks_syn = ack && seq_gt(seg->ack, local->iss);
	acks_fin = ack && (local->flags & EP_FIN_SENT) && seg->ack == local->snd_fin + 1;
	/* Figure 7: the remote's SYN-ACK left before ours reached it. */
	crossed = (seg->flags & TCPF_SYN) && talk->remote.state == FSM_SYN_RECEIVED;
	if (acks_syn && !crossed)
		deliver_syn(talk, steps);
	if (acks_fin)
		deliver_fin(talk, steps);
	endpoint_send(&talk->remote, seg, &steps->remote);
	if (acks_syn)
		deliver_syn(talk, steps);
}

void dialogue_learn(struct tcp_dialogue *talk, const struct endpoint_facts *facts,
		    struct dialogue_steps *steps)
{
	no_steps(steps);
	endpoint_learn(&talk->local, facts, &steps->local);
}

void dialogue_expire(struct tcp_dialogue *talk, struct dialogue_steps *steps)
{
	no_steps(steps);
	endpoint_expire(&talk->local, &steps->local);
	if (talk->remote.state == FSM_TIME_WAIT)
		endpoint_expire(&talk->remote, &steps->remote);
}
