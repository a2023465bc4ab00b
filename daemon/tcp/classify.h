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

/* *ret is written whole and holds one event at least. */
void classify_sent(const struct tcp_endpoint *end, const struct tcp_segment *seg,
		   struct event_list *ret);
void classify_received(const struct tcp_endpoint *end, const struct tcp_segment *seg,
		       struct event_list *ret);

/* RCV.NXT + RCV.WND: the window as last announced, the widest there is where it is not known. */
seq_t window_edge(const struct tcp_endpoint *end);

/* Sequence number of the first octet of text, of the FIN, and of what follows the segment. */
static inline seq_t segment_text(const struct tcp_segment *seg)
{
	return seg->seq + (seg->flags & TCPF_SYN ? 1 : 0);
}

static inline seq_t segment_fin(const struct tcp_segment *seg)
{
	return segment_text(seg) + seg->len;
}

static inline seq_t segment_end(const struct tcp_segment *seg)
{
	return segment_fin(seg) + (seg->flags & TCPF_FIN ? 1 : 0);
}

#endif
