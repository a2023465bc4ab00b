/* SPDX-License-Identifier: GPL-2.0-only */
/* Runs one end: events through the table, and the sequence variables of RFC 9293 §3.3.1. */
#include <string.h>

#include "tcp/classify.h"

static void advance(struct tcp_endpoint *end, uint8_t what, seq_t *variable, seq_t value)
{
	if (!(end->known & what) || seq_gt(value, *variable))
		*variable = value;
	end->known |= what;
}

/* What is acknowledged was sent: the first thing that is seen of us may be a retransmission. */
static void advance_snd_nxt(struct tcp_endpoint *end, seq_t value)
{
	advance(end, KNOWN_SND_NXT, &end->snd_nxt, value);
	if ((end->known & KNOWN_SND_UNA) && seq_gt(end->snd_una, end->snd_nxt))
		end->snd_nxt = end->snd_una;
}

/* Runs one event; false when nothing after it counts. */
static bool run(struct tcp_endpoint *end, enum fsm_event event, struct endpoint_steps *steps)
{
	struct fsm_step step = fsm_step(end->state, event);

	if (steps->count < ENDPOINT_STEPS_MAX)
		steps->at[steps->count++] = step;
	end->state = step.to;
	return step.verdict == V_OK || step.verdict == V_WAIT || step.verdict == V_REARM;
}

static void take_fin(struct tcp_endpoint *end, seq_t fin)
{
	end->rcv_fin = fin;
	end->flags = (end->flags & ~EP_FIN_PENDING) | EP_FIN_RECEIVED;
	advance(end, KNOWN_RCV_NXT, &end->rcv_nxt, fin + 1);
}

/*
 * A FIN that waited is taken in when all before it has come. Before the connection is
 * synchronized it waits for that too, unless our SYN-ACK has acknowledged the FIN itself.
 */
static void run_pending_fin(struct tcp_endpoint *end, struct endpoint_steps *steps)
{
	seq_t needed = end->rcv_fin + (fsm_is_synchronized(end->state) ? 0 : 1);

	if (!(end->flags & EP_FIN_PENDING) || end->state < FSM_SYN_RECEIVED)
		return;
	if (fsm_has_received_fin(end->state) || seq_lt(end->rcv_nxt, needed))
		return;
	run(end, EV_RCV_FIN, steps);
	take_fin(end, end->rcv_fin);
}

/* RFC 7323 §2.2: both SYNs must carry the option. */
static void hear_wscale(struct tcp_endpoint *end, const struct tcp_segment *seg)
{
	if (!(seg->options & TCPO_WSCALE))
		end->rcv_wscale = WSCALE_REFUSED;
}

static void take_syn(struct tcp_endpoint *end, const struct tcp_segment *seg)
{
	end->irs = seg->seq;
	end->rcv_nxt = seg->seq + 1;
	end->known = (end->known & ~KNOWN_TS_RECENT) | KNOWN_IRS | KNOWN_RCV_NXT;
	end->flags &= ~(EP_FIN_PENDING | EP_FIN_RECEIVED);
	hear_wscale(end, seg);
	if (end->state <= FSM_LISTEN)
		end->flags |= EP_SYN_PENDING;
}

static void take_ack(struct tcp_endpoint *end, const struct tcp_segment *seg)
{
	advance(end, KNOWN_SND_UNA, &end->snd_una, seg->ack);
	/* An ACK says what was sent at least; only what is sent says where that ends. */
	if (end->known & KNOWN_SND_NXT)
		advance_snd_nxt(end, seg->ack);
}

/* What lies behind a gap is not kept: the end's own next ACK tells what was filled. */
static void take_text(struct tcp_endpoint *end, const struct tcp_segment *seg)
{
	seq_t edge;

	if (fsm_has_received_fin(end->state))
		return;
	if (!(end->known & KNOWN_RCV_NXT)) {
		advance(end, KNOWN_RCV_NXT, &end->rcv_nxt, segment_fin(seg));
	} else if (seq_le(segment_text(seg), end->rcv_nxt)) {
		/* What lies beyond the window is trimmed off (§3.10.7.4, 1st). */
		edge = window_edge(end);
		advance(end, KNOWN_RCV_NXT, &end->rcv_nxt,
			seq_gt(segment_fin(seg), edge) ? edge : segment_fin(seg));
	}
}

/* The variables after an event that was taken in. */
static void take(struct tcp_endpoint *end, const struct tcp_segment *seg, enum fsm_event event)
{
	switch (event) {
	case EV_RCV_SYN:
		take_syn(end, seg);
		break;
	case EV_RCV_SYNACK:
		take_syn(end, seg);
		take_ack(end, seg);
		break;
	case EV_RCV_ACK_OF_FIN:
		end->snd_fin = seg->ack - 1;
		end->flags |= EP_FIN_SENT; /* known by now, if it was picked up without it */
		take_ack(end, seg);
		break;
	case EV_RCV_ACK:
	case EV_RCV_ACK_OF_SYN:
		take_ack(end, seg);
		break;
	case EV_RCV_TEXT:
		take_text(end, seg);
		break;
	case EV_RCV_FIN:
		take_fin(end, segment_fin(seg));
		break;
	case EV_RCV_FIN_EARLY:
		end->rcv_fin = segment_fin(seg);
		end->flags |= EP_FIN_PENDING;
		break;
	default:
		return;
	}
	/* RFC 7323 §4.3 (2): only of what does not lie beyond RCV.NXT, and never back. */
	if ((seg->options & TCPO_TIMESTAMP) && seq_le(seg->seq, end->rcv_nxt))
		advance(end, KNOWN_TS_RECENT, &end->ts_recent, seg->tsval);
}

void endpoint_receive(struct tcp_endpoint *end, const struct tcp_segment *seg,
		      struct endpoint_steps *steps)
{
	struct event_list events;
	uint8_t i;

	classify_received(end, seg, &events);
	for (i = 0; i < events.count; i++) {
		/* A SYN to CLOSED is kept in mind: if a SYN-ACK answers, somebody listens. */
		if (!run(end, events.at[i], steps) && events.at[i] != EV_RCV_SYN)
			break;
		take(end, seg, events.at[i]);
		if (end->state == FSM_CLOSED)
			break;
	}
	run_pending_fin(end, steps);
	end->flags &= ~EP_FRESH;
}

/* What is sent is true: it moves SND.NXT, and its ACK and window tell what came in. */
static void emit_ack(struct tcp_endpoint *end, const struct tcp_segment *seg)
{
	uint8_t shift = end->rcv_wscale;

	if (!(seg->flags & TCPF_ACK))
		return;
	advance(end, KNOWN_RCV_NXT, &end->rcv_nxt, seg->ack);
	if (shift == WSCALE_REFUSED || (seg->flags & TCPF_SYN))
		shift = 0; /* RFC 7323 §2.2: the window of a SYN is never scaled */
	if (shift <= 14)
		advance(end, KNOWN_RCV_EDGE, &end->rcv_edge,
			seg->ack + ((uint32_t)seg->window << shift));
}

static void emit_syn(struct tcp_endpoint *end, const struct tcp_segment *seg)
{
	if ((end->known & KNOWN_ISS) && end->iss != seg->seq) /* a cookie: another ISS each time */
		end->known &= ~(KNOWN_ISS | KNOWN_SND_UNA | KNOWN_SND_NXT);
	if (!(end->known & KNOWN_ISS)) {
		end->iss = seg->seq;
		end->known |= KNOWN_ISS;
		advance(end, KNOWN_SND_UNA, &end->snd_una, seg->seq);
		advance_snd_nxt(end, segment_end(seg));
	}
	if (!(seg->options & TCPO_WSCALE))
		end->rcv_wscale = WSCALE_REFUSED;
	else if (end->rcv_wscale != WSCALE_REFUSED)
		end->rcv_wscale = seg->wscale <= 14 ? seg->wscale : 14; /* RFC 7323 §2.3 */
	if (!(seg->flags & TCPF_ACK))
		return;
	end->flags &= ~EP_SYN_PENDING;
	if (!(end->known & KNOWN_IRS)) {
		end->irs = seg->ack - 1;
		end->known |= KNOWN_IRS;
	}
}

/* Whatever an earlier life left, but for the SYN that a SYN-ACK answers. */
static void forget(struct tcp_endpoint *end, bool answers)
{
	uint8_t known = 0, flags = EP_LIVE | EP_IMPLIED;

	if (answers) {
		known = KNOWN_IRS | KNOWN_RCV_NXT | KNOWN_TS_RECENT;
		flags |= EP_SYN_PENDING | EP_FIN_PENDING;
	} else {
		end->rcv_wscale = WSCALE_UNKNOWN;
	}
	end->known &= known;
	end->flags &= flags;
}

static void emit(struct tcp_endpoint *end, const struct tcp_segment *seg, enum fsm_event event)
{
	switch (event) {
	case EV_SEND_SYN:
	case EV_SEND_SYN_AGAIN:
	case EV_SEND_SYNACK:
		emit_syn(end, seg);
		break;
	case EV_SEND_ACK_OF_SYN:
		advance(end, KNOWN_SND_UNA, &end->snd_una, end->iss + 1);
		if (end->rcv_wscale != WSCALE_REFUSED)
			end->rcv_wscale = WSCALE_UNKNOWN; /* whether the SYN-ACK had the option */
		break;
	case EV_SEND_RST:
	case EV_SEND_REFUSAL:
		if (end->state == FSM_CLOSED)
			end->flags &= ~EP_SYN_PENDING;
		return;
	case EV_SEND_FIN:
	case EV_SEND_FIN_CROSSED:
	case EV_SEND_FIN_AGAIN:
		end->snd_fin = segment_fin(seg);
		end->flags |= EP_FIN_SENT;
		break;
	default:
		break;
	}
	advance_snd_nxt(end, segment_end(seg));
}

void endpoint_send(struct tcp_endpoint *end, const struct tcp_segment *seg,
		   struct endpoint_steps *steps)
{
	bool opens = seg->flags & TCPF_SYN, aborts = seg->flags & TCPF_RST;
	struct event_list events;
	uint8_t i;

	/* Its ACK may show that a FIN was taken in before the user's call that this segment is. */
	if (!opens && !aborts && end->state > FSM_SYN_SENT) {
		emit_ack(end, seg);
		run_pending_fin(end, steps);
	}
	if (opens && !aborts && end->state <= FSM_LISTEN) {
		forget(end, (end->flags & EP_SYN_PENDING) && (seg->flags & TCPF_ACK));
		if (seg->flags & TCPF_ACK)
			end->flags |= EP_PASSIVE;
	}
	classify_sent(end, seg, &events);
	for (i = 0; i < events.count; i++) {
		if (!run(end, events.at[i], steps))
			break;
		emit(end, seg, events.at[i]);
		if (opens || events.at[i] == EV_SEND_ACK_OF_SYN)
			emit_ack(end, seg);
	}
	run_pending_fin(end, steps);
	end->flags &= ~EP_FRESH;
}

void endpoint_init(struct tcp_endpoint *end, enum fsm_state state, bool live)
{
	memset(end, 0, sizeof(*end));
	end->state = state;
	end->flags = live ? EP_LIVE : 0;
	end->rcv_wscale = WSCALE_UNKNOWN;
}

void endpoint_learn(struct tcp_endpoint *end, const struct endpoint_facts *facts,
		    struct endpoint_steps *steps)
{
	if (facts->known & KNOWN_SND_UNA)
		advance(end, KNOWN_SND_UNA, &end->snd_una, facts->snd_una);
	if (facts->known & KNOWN_SND_NXT)
		advance_snd_nxt(end, facts->snd_nxt);
	if (facts->known & KNOWN_RCV_NXT) {
		advance(end, KNOWN_RCV_NXT, &end->rcv_nxt, facts->rcv_nxt);
		end->flags = facts->lagging ? end->flags & ~EP_FRESH : end->flags | EP_FRESH;
	}
	run_pending_fin(end, steps);
}

void endpoint_expire(struct tcp_endpoint *end, struct endpoint_steps *steps)
{
	run(end, EV_TIMEOUT, steps);
}

void endpoint_adopt(struct tcp_endpoint *end, enum fsm_state state,
		    const struct endpoint_facts *facts)
{
	struct endpoint_steps none = { 0 };

	end->state = state;
	endpoint_learn(end, facts, &none);
	end->flags &= ~EP_FRESH;
	if (state == FSM_SYN_SENT && (end->known & KNOWN_SND_UNA)) {
		end->iss = end->snd_una;
		end->known |= KNOWN_ISS;
		advance_snd_nxt(end, end->iss + 1);
	}
	if (fsm_has_sent_fin(state) && (end->known & KNOWN_SND_NXT)) {
		end->snd_fin = end->snd_nxt - 1;
		end->flags |= EP_FIN_SENT;
	}
	if (fsm_has_received_fin(state) && (end->known & KNOWN_RCV_NXT)) {
		end->rcv_fin = end->rcv_nxt - 1;
		end->flags |= EP_FIN_RECEIVED;
	}
}
