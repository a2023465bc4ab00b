/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a segment means to the end that sends it and to the end it reaches (RFC 9293 §3.10.7).
 *
 * There is no clock here: a timestamp that is older than 24 days is still compared with (RFC 7323
 * §5.5). URG is no event: it moves nothing (RFC 9293 §3.8.5).
 *
 * Two ways of knowing. In a capture (no EP_LIVE) RCV.NXT and SND.NXT are exact. Live, data is not
 * seen: they are lower bounds, and the true one lies within a window ahead. A variable that is
 * not known at all accepts every segment, as if it came where it was expected.
 */
#include "tcp/classify.h"

static void say(struct event_list *list, enum fsm_event event)
{
	list->at[list->count++] = event;
}

static bool knows(const struct tcp_endpoint *end, uint8_t what)
{
	return (end->known & what) == what;
}

static bool is_live(const struct tcp_endpoint *end)
{
	return end->flags & EP_LIVE;
}

/* Is a RST that this end sends its ABORT, or the answer to a segment that was not acceptable? */
static bool refuses(const struct tcp_endpoint *end, const struct tcp_segment *seg)
{
	switch (end->state) {
	case FSM_CLOSED:
		return true;
	case FSM_LISTEN:
		/* <SEQ=0><ACK=SEG.SEQ+SEG.LEN> refuses a SYN; <SEQ=SEG.ACK> a stray ACK. */
		return !(end->flags & EP_SYN_PENDING) || !(seg->flags & TCPF_ACK) ||
		       seq_lt(seg->ack, end->irs + 1);
	case FSM_SYN_SENT:
	case FSM_SYN_RECEIVED:
		/* §3.10.7.3, §3.10.7.4 (5th): <SEQ=SEG.ACK><CTL=RST>, of an ACK not of our SYN. */
		return !(seg->flags & TCPF_ACK) && knows(end, KNOWN_ISS | KNOWN_SND_NXT) &&
		       (seq_le(seg->seq, end->iss) || seq_gt(seg->seq, end->snd_nxt));
	default:
		return false;
	}
}

static enum fsm_event sent_syn(const struct tcp_endpoint *end, const struct tcp_segment *seg)
{
	bool same = !knows(end, KNOWN_ISS) || seg->seq == end->iss;

	if (end->state <= FSM_LISTEN)
		return seg->flags & TCPF_ACK ? EV_SEND_SYNACK : EV_SEND_SYN;
	if (fsm_is_synchronized(end->state) && (!knows(end, KNOWN_ISS) || seg->seq != end->iss))
		return EV_SEND_SYN; /* a synchronized end has no other reason to send a SYN */
	if (seg->flags & TCPF_ACK)
		return EV_SEND_SYNACK; /* a cookie may change the ISS between two SYN-ACKs */
	return same ? EV_SEND_SYN_AGAIN : EV_SEND_SYN;
}

void classify_sent(const struct tcp_endpoint *end, const struct tcp_segment *seg,
		   struct event_list *ret)
{
	bool fin = seg->flags & TCPF_FIN, fin_sent = end->flags & EP_FIN_SENT;
	bool crossed = end->state == FSM_CLOSE_WAIT && (end->flags & EP_FIN_RECEIVED) &&
		       (seg->flags & TCPF_ACK) && seq_le(seg->ack, end->rcv_fin);

	ret->count = 0;
	if (seg->flags & TCPF_RST) {
		say(ret, refuses(end, seg) ? EV_SEND_REFUSAL : EV_SEND_RST);
		return;
	}
	if (seg->flags & TCPF_SYN) {
		say(ret, sent_syn(end, seg));
		if (fin && ret->at[0] != EV_SEND_SYN_AGAIN && !fin_sent &&
		    end->state <= FSM_SYN_RECEIVED)
			say(ret, EV_SEND_FIN);
		return;
	}
	if (end->state == FSM_SYN_SENT && (seg->flags & TCPF_ACK) &&
	    (!knows(end, KNOWN_ISS) || seq_gt(seg->seq, end->iss))) {
		say(ret, EV_SEND_ACK_OF_SYN);
		if (!fin)
			return;
	}
	if (fin_sent && (fin || seg->len) && seq_gt(segment_fin(seg), end->snd_fin))
		say(ret, EV_SEND_PAST_FIN);
	else if (fin && (fin_sent || fsm_has_sent_fin(end->state)))
		say(ret, EV_SEND_FIN_AGAIN);
	else if (fin)
		say(ret, crossed ? EV_SEND_FIN_CROSSED : EV_SEND_FIN);
	else
		say(ret, EV_SEND_ACK);
}

/* §3.10.7.1: CLOSED */
static void received_closed(const struct tcp_segment *seg, struct event_list *ret)
{
	if (seg->flags & TCPF_RST)
		say(ret, EV_RCV_RST);
	else if (seg->flags & TCPF_ACK)
		say(ret, EV_RCV_BAD_ACK);
	else
		say(ret, seg->flags & TCPF_SYN ? EV_RCV_SYN : EV_RCV_NO_ACK);
}

/* §3.10.7.2: LISTEN */
static void received_listen(const struct tcp_endpoint *end, const struct tcp_segment *seg,
			    struct event_list *ret)
{
	if (seg->flags & TCPF_RST) {
		say(ret, EV_RCV_RST);
	} else if (seg->flags & TCPF_ACK) {
		say(ret, EV_RCV_BAD_ACK);
	} else if (!(seg->flags & TCPF_SYN)) {
		say(ret, EV_RCV_NO_ACK);
	} else if (!(end->flags & EP_SYN_PENDING)) {
		say(ret, EV_RCV_SYN);
		if (seg->flags & TCPF_FIN)
			say(ret, EV_RCV_FIN_EARLY);
	} else {
		say(ret, seg->seq == end->irs ? EV_RCV_SYN_AGAIN : EV_RCV_SYN_NEW);
	}
}

/* Not synchronized: ISS < SEG.ACK =< SND.NXT. (SND.NXT is exact here: a SYN is always seen.) */
static bool acks_syn(const struct tcp_endpoint *end, const struct tcp_segment *seg)
{
	return !knows(end, KNOWN_ISS | KNOWN_SND_NXT) ||
	       (seq_gt(seg->ack, end->iss) && seq_le(seg->ack, end->snd_nxt));
}

/* §3.10.7.3: SYN-SENT */
static void received_syn_sent(const struct tcp_endpoint *end, const struct tcp_segment *seg,
			      struct event_list *ret)
{
	bool ack = seg->flags & TCPF_ACK, fin = seg->flags & TCPF_FIN;

	if (seg->flags & TCPF_RST) {
		say(ret, ack && acks_syn(end, seg) ? EV_RCV_RST : EV_RCV_RST_OUTSIDE);
	} else if (ack && !acks_syn(end, seg)) {
		say(ret, EV_RCV_BAD_ACK);
	} else if (!(seg->flags & TCPF_SYN)) {
		say(ret, ack ? EV_RCV_ACK : EV_RCV_NO_ACK);
	} else if (!ack) {
		say(ret, EV_RCV_SYN);
		if (fin)
			say(ret, EV_RCV_FIN_EARLY);
	} else {
		say(ret, EV_RCV_SYNACK);
		if (seg->len)
			say(ret, EV_RCV_TEXT);
		if (fin)
			say(ret, EV_RCV_FIN);
	}
}

/* The octets from RCV.NXT to the right edge that was announced last. */
static uint32_t announced(const struct tcp_endpoint *end)
{
	return seq_gt(end->rcv_edge, end->rcv_nxt) ? end->rcv_edge - end->rcv_nxt : 0;
}

/* RCV.WND; the widest there is where it is not known. */
static uint32_t window(const struct tcp_endpoint *end)
{
	if (is_live(end) || !knows(end, KNOWN_RCV_EDGE) || !knows(end, KNOWN_RCV_NXT))
		return WINDOW_MAX;
	return announced(end);
}

seq_t window_edge(const struct tcp_endpoint *end)
{
	return end->rcv_nxt + window(end);
}

/*
 * A request: what a listener answered with a SYN-ACK. Nothing came but the SYN and nothing was
 * announced but in the SYN-ACK, so its RCV.NXT and window are exact, live too.
 */
static bool is_request(const struct tcp_endpoint *end)
{
	return end->state == FSM_SYN_RECEIVED && (end->flags & EP_PASSIVE) &&
	       knows(end, KNOWN_RCV_NXT | KNOWN_RCV_EDGE);
}

/*
 * §3.10.7.4 (2nd), RFC 5961 §3.2. Linux also resets at the right edge of a SACK block that it
 * announced (net/ipv4/tcp_input.c:tcp_validate_incoming); the RFC does not, and what is announced
 * in SACK blocks no record carries: such a RST is challenged here.
 */
static enum fsm_event received_rst(const struct tcp_endpoint *end, const struct tcp_segment *seg)
{
	bool exact = !is_live(end) || (end->flags & EP_FRESH);
	int32_t ahead = seg->seq - end->rcv_nxt;

	if (!knows(end, KNOWN_RCV_NXT) || ahead == 0)
		return EV_RCV_RST;
	/* How much of what is on its way the far end has taken in, nobody here can tell. */
	if ((end->flags & EP_IMPLIED) && (uint32_t)ahead + WINDOW_MAX < 2 * WINDOW_MAX)
		return EV_RCV_RST;
	/*
	 * A peer that has sent its FIN may abort with a sequence number before it (linux
	 * net/ipv4/tcp_input.c:tcp_reset_check).
	 */
	if (ahead == -1 && fsm_has_received_fin(end->state) && end->state != FSM_TIME_WAIT)
		return EV_RCV_RST;
	if (ahead < 0 || (uint32_t)ahead >= (is_request(end) ? announced(end) : window(end)))
		return EV_RCV_RST_OUTSIDE;
	return exact ? EV_RCV_RST_IN_WINDOW : EV_RCV_RST;
}

/*
 * §3.10.7.4 (4th), RFC 5961 §4.2: no SYN moves a connection, wherever it lies; but a handshake
 * that a listener answered falls back to LISTEN (linux net/ipv4/tcp_minisocks.c:tcp_check_req
 * drops the request and sends a RST).
 */
static enum fsm_event received_syn(const struct tcp_endpoint *end, const struct tcp_segment *seg)
{
	bool newer = !knows(end, KNOWN_RCV_NXT) || seq_gt(seg->seq, end->rcv_nxt);

	/* RFC 6191 §2, linux net/ipv4/tcp_minisocks.c:tcp_timewait_state_process */
	if ((seg->options & TCPO_TIMESTAMP) && knows(end, KNOWN_TS_RECENT))
		newer = newer || seq_gt(seg->tsval, end->ts_recent);
	else if ((seg->options & TCPO_TIMESTAMP) && !knows(end, KNOWN_IRS))
		newer = true; /* picked up in mid-life: whether timestamps are in use is not known */
	if (knows(end, KNOWN_IRS) && seg->seq == end->irs)
		return EV_RCV_SYN_AGAIN;
	if (end->state == FSM_TIME_WAIT && !(seg->flags & TCPF_ACK) && newer)
		return EV_RCV_SYN_NEW;
	if (is_request(end) && seq_in_window(seg->seq, end->rcv_nxt, announced(end)))
		return EV_RCV_SYN_GIVES_UP;
	return EV_RCV_SYN_IN_WINDOW;
}

/*
 * §3.10.7.4 (1st). A segment that ends exactly at RCV.NXT has nothing new in it and the RFC calls
 * it unacceptable, but Linux goes on to its ACK (net/ipv4/tcp_input.c:tcp_sequence): a
 * retransmitted FIN that acknowledges ours must count, and figure 7 needs it for the SYN-ACK.
 * So does a bare ACK at the very edge of the window, which a peer sends that has filled it: "special
 * allowance should be made to accept valid ACKs".
 */
static enum fsm_event received_where(const struct tcp_endpoint *end, const struct tcp_segment *seg)
{
	seq_t edge = window_edge(end);

	if ((seg->options & TCPO_TIMESTAMP) && knows(end, KNOWN_TS_RECENT) &&
	    seq_lt(seg->tsval, end->ts_recent))
		return EV_RCV_OLD_TIMESTAMP;
	if (!knows(end, KNOWN_RCV_NXT))
		return EV_RCV_ACK;
	if (seq_lt(segment_end(seg), end->rcv_nxt))
		return EV_RCV_OLD;
	if (seq_gt(seg->seq, edge))
		return EV_RCV_OUTSIDE;
	if (seg->seq == edge && edge != end->rcv_nxt && segment_end(seg) != seg->seq)
		return EV_RCV_OUTSIDE;
	return EV_RCV_ACK;
}

/* §3.10.7.4 (5th) */
static enum fsm_event received_ack(const struct tcp_endpoint *end, const struct tcp_segment *seg)
{
	bool fin_sent = end->flags & EP_FIN_SENT;
	/*
	 * Live, SND.NXT lags behind data that is not seen; and what the end beside the tap
	 * acknowledges the far one has sent, seen or not. But nothing comes after our FIN.
	 */
	bool lags = is_live(end) || (end->flags & EP_IMPLIED);
	uint32_t unseen = lags && !fin_sent ? WINDOW_MAX : 0;

	if (!(seg->flags & TCPF_ACK))
		return EV_RCV_NO_ACK;
	if (end->state == FSM_SYN_RECEIVED)
		return acks_syn(end, seg) ? EV_RCV_ACK_OF_SYN : EV_RCV_BAD_ACK;
	if (knows(end, KNOWN_SND_NXT) && seq_gt(seg->ack, end->snd_nxt + unseen))
		return EV_RCV_ACK_UNSENT;
	if (knows(end, KNOWN_SND_UNA) && seq_lt(seg->ack, end->snd_una - WINDOW_MAX))
		return EV_RCV_ACK_STALE;
	if (end->state != FSM_FIN_WAIT_1 && end->state != FSM_CLOSING && end->state != FSM_LAST_ACK)
		return EV_RCV_ACK;
	/* Picked up with its FIN out, and where is not known: then this is the ACK it waits for. */
	return !fin_sent || seg->ack == end->snd_fin + 1 ? EV_RCV_ACK_OF_FIN : EV_RCV_ACK;
}

/* §3.10.7.4 (7th, 8th) */
static void received_text_and_fin(const struct tcp_endpoint *end, const struct tcp_segment *seg,
				  struct event_list *ret)
{
	bool known = knows(end, KNOWN_RCV_NXT);
	seq_t fin = segment_fin(seg), edge = window_edge(end);
	/* Something before the FIN is not here, or does not fit: a window probe has one octet. */
	bool early = known &&
		     (seq_gt(segment_text(seg), end->rcv_nxt) || (seg->len && seq_gt(fin, edge)));

	if (fsm_has_received_fin(end->state)) {
		bool anything = seg->len || (seg->flags & TCPF_FIN);

		if (anything && known && seq_gt(segment_end(seg), end->rcv_nxt))
			say(ret, EV_RCV_TEXT);
		else if (seg->flags & TCPF_FIN)
			say(ret, EV_RCV_FIN_AGAIN);
		return;
	}
	if (seg->len && (!known || (seq_gt(fin, end->rcv_nxt) && edge != end->rcv_nxt)))
		say(ret, EV_RCV_TEXT);
	if (seg->flags & TCPF_FIN)
		say(ret, early ? EV_RCV_FIN_EARLY : EV_RCV_FIN);
}

void classify_received(const struct tcp_endpoint *end, const struct tcp_segment *seg,
		       struct event_list *ret)
{
	enum fsm_event event;

	ret->count = 0;
	switch (end->state) {
	case FSM_CLOSED:
		received_closed(seg, ret);
		return;
	case FSM_LISTEN:
		received_listen(end, seg, ret);
		return;
	case FSM_SYN_SENT:
		received_syn_sent(end, seg, ret);
		return;
	default:
		break;
	}

	if (seg->flags & TCPF_RST) {
		say(ret, received_rst(end, seg));
		return;
	}
	if (seg->flags & TCPF_SYN) {
		event = received_syn(end, seg);
		/* Simultaneous open: the SYN-ACK brings the ACK of our SYN, figure 7 line 6. */
		if (event != EV_RCV_SYN_AGAIN || end->state != FSM_SYN_RECEIVED ||
		    !(seg->flags & TCPF_ACK)) {
			say(ret, event);
			return;
		}
	}
	event = received_where(end, seg);
	if (event == EV_RCV_ACK)
		event = received_ack(end, seg);
	say(ret, event);
	if (event == EV_RCV_ACK || event == EV_RCV_ACK_OF_SYN || event == EV_RCV_ACK_OF_FIN)
		received_text_and_fin(end, seg, ret);
}
