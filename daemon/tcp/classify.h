/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Segment + variables -> events: what a segment means to an end, asked in the order of RFC 9293
 * §3.10.7. Reads the endpoint, changes nothing. Pure.
 */
#ifndef TCPWITNESS_CLASSIFY_H
#define TCPWITNESS_CLASSIFY_H

#include "tcp/endpoint.h"
#include "tcp_defs.h"

/* The furthest that any window reaches: 65535 << 14 (RFC 7323 §2.3), rounded up. */
#define WINDOW_MAX (1u << 30)

/* The most that one segment means: ACK, text, FIN. */
#define EVENTS_MAX 3

/* Events to run in order; those after one that leads to CLOSED do not happen. */
struct event_list {
	uint8_t count;
	uint8_t at[EVENTS_MAX]; /* enum fsm_event */
};

/*
 * What a segment that this end emits reveals of its user's calls (§3.10.1-5), in any state. *ret is
 * written whole and holds one or two events, no impossible one. Cannot fail: every combination of
 * flags means something. seg is in host order, len in octets of text.
 */
void classify_sent(const struct tcp_endpoint *end, const struct tcp_segment *seg,
		   struct event_list *ret);

/*
 * What a segment that reaches this end means in its state: CLOSED (§3.10.7.1), LISTEN (§3.10.7.2),
 * SYN_SENT (§3.10.7.3), every other (§3.10.7.4: sequence number, RST, SYN, ACK, text, FIN, in this
 * order; RFC 5961, RFC 7323 §5). *ret is written whole and holds one to EVENTS_MAX events, no
 * impossible one. Cannot fail. A test on a variable that is not known passes.
 */
void classify_received(const struct tcp_endpoint *end, const struct tcp_segment *seg,
		       struct event_list *ret);

/*
 * RCV.NXT + RCV.WND (§3.3.1), the first number beyond the window, from SYN_RECEIVED on: as announced
 * last, scaled if both SYNs agreed (RFC 7323 §2); RCV.NXT + WINDOW_MAX where that is not known, and
 * live. RCV.NXT itself while the window is zero.
 */
seq_t window_edge(const struct tcp_endpoint *end);

/* The number of the first octet of text: behind the SYN, if there is one (§3.4). */
static inline seq_t segment_text(const struct tcp_segment *seg)
{
	return seg->seq + (seg->flags & TCPF_SYN ? 1 : 0);
}

/* The number that a FIN has, or would have: that of the first octet behind the text (§3.4). */
static inline seq_t segment_fin(const struct tcp_segment *seg)
{
	return segment_text(seg) + seg->len;
}

/* SEG.SEQ + SEG.LEN, SYN and FIN counted (§3.3.1): the next number after the segment. */
static inline seq_t segment_end(const struct tcp_segment *seg)
{
	return segment_fin(seg) + (seg->flags & TCPF_FIN ? 1 : 0);
}

#endif
