/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One end of a connection as RFC 9293 would run it, driven by the segments it sends (which
 * reveal the user's calls, §3.10.1-5) and the segments that reach it (§3.10.7). Pure: no clock,
 * no allocation. A sequence variable that is not known is not wrong: tests on it are
 * three-valued, and "unknown" accepts.
 */
#ifndef TCPWITNESS_ENDPOINT_H
#define TCPWITNESS_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "tcp/fsm.h"
#include "tcp/seq.h"

/* A segment as the reference needs it; the same from a ring, a capture or a script. */
struct tcp_segment {
	seq_t seq, ack;
	uint32_t len; /* payload octets; SYN and FIN are not counted here */
	uint16_t window;
	uint16_t mss;
	uint8_t flags;	 /* enum tcp_flag */
	uint8_t options; /* enum tcp_option_bit */
	uint8_t wscale;
	uint32_t tsval, tsecr;
};

enum endpoint_known {
	KNOWN_ISS = 0x01,
	KNOWN_SND_NXT = 0x02,
	KNOWN_SND_UNA = 0x04,
	KNOWN_IRS = 0x08,
	KNOWN_RCV_NXT = 0x10,
	KNOWN_RCV_EDGE = 0x20,
	KNOWN_TS_RECENT = 0x40,
};

enum endpoint_flag {
	EP_LIVE = 0x01, /* data segments are not seen: variables are lower bounds (DESIGN §5) */
	EP_FIN_SENT = 0x02,	/* snd_fin holds our FIN's sequence number */
	EP_FIN_PENDING = 0x04,	/* rcv_fin holds a FIN beyond RCV.NXT that waits */
	EP_FIN_RECEIVED = 0x08, /* the peer's FIN was taken in: rcv_fin holds it */
	EP_IMPLIED = 0x10,	/* the far end: its variables are deduced, none is exact */
	EP_SYN_PENDING = 0x20,	/* a SYN came and neither SYN-ACK nor RST has answered it */
	EP_FRESH = 0x40,   /* RCV.NXT was learnt for the segment that comes next: it is exact */
	EP_PASSIVE = 0x80, /* SYN_RECEIVED was entered from LISTEN, by a SYN-ACK that was seen */
};

/* Values of tcp_endpoint.rcv_wscale beside a shift. */
#define WSCALE_REFUSED 0xfe /* one of the SYNs had no such option: windows are not scaled */
#define WSCALE_UNKNOWN 0xff /* the SYNs were not seen */

struct tcp_endpoint {
	uint8_t state;	    /* enum fsm_state */
	uint8_t known;	    /* enum endpoint_known */
	uint8_t flags;	    /* enum endpoint_flag */
	uint8_t rcv_wscale; /* of the windows this end announces */
	seq_t iss, snd_una, snd_nxt, snd_fin;
	seq_t irs, rcv_nxt, rcv_fin;
	seq_t rcv_edge;	    /* RCV.NXT + RCV.WND as last announced; moves forward only */
	uint32_t ts_recent; /* RFC 7323 §4.3 */
};

/* Facts about an end's variables from outside the wire (a kernel snapshot, an adopted socket). */
struct endpoint_facts {
	uint8_t known; /* KNOWN_SND_NXT, KNOWN_SND_UNA, KNOWN_RCV_NXT */
	seq_t snd_una, snd_nxt, rcv_nxt;
	bool lagging; /* the socket may be behind the wire (owned, backlog, XDP): nothing is exact */
};

/*
 * At most this many steps come from one segment at one end: for the far end of a dialogue, our
 * SYN-ACK and our FIN arrive (ACK, FIN), a FIN that waited is taken in, and it sends a FIN.
 */
#define ENDPOINT_STEPS_MAX 8

struct endpoint_steps {
	uint8_t count;
	struct fsm_step at[ENDPOINT_STEPS_MAX];
};

/*
 * An end of which nothing is known but its state: CLOSED, or LISTEN (§3.10.1, a passive OPEN); for
 * any other see endpoint_adopt. live: data segments will not be seen (EP_LIVE). Cannot fail.
 */
void endpoint_init(struct tcp_endpoint *end, enum fsm_state state, bool live);

/*
 * This end, in any state, emitted the segment: OPEN, SEND, CLOSE or ABORT, or TCP's own answer
 * (§3.10.1-5). What is sent is true: SND.NXT, RCV.NXT and the window follow it (§3.3.1). Steps, one
 * at least, are appended to *steps, which the caller zeroed. A step with V_RESTART means that
 * nothing was changed: the segment belongs to a new endpoint. No errors: what should not have been
 * sent is a step with an anomaly. len is in octets, window in the units of the window scale.
 */
void endpoint_send(struct tcp_endpoint *end, const struct tcp_segment *seg,
		   struct endpoint_steps *steps);

/*
 * The segment reached this end, in any state (§3.10.7). What is unacceptable changes no variable
 * and, but for an exact RST, no state. Steps, V_RESTART, units as above. No errors: what is refused
 * is a step with its verdict, and an anomaly where it is odd.
 */
void endpoint_receive(struct tcp_endpoint *end, const struct tcp_segment *seg,
		      struct endpoint_steps *steps);

/*
 * Facts, in any state, move the variables of §3.3.1 forward, never back, and never the state by
 * themselves. But a pending FIN that they show as taken in (rcv_nxt beyond it) is processed now
 * (§3.10.7.4, 8th): that may append steps. RCV.NXT counts as exact for the one segment that is
 * received next, unless the facts lag. Facts that are older than what is known change nothing.
 */
void endpoint_learn(struct tcp_endpoint *end, const struct endpoint_facts *facts,
		    struct endpoint_steps *steps);

/*
 * The 2 MSL timer of TIME_WAIT ran out, or the user timeout in any other state (§3.10.8): CLOSED.
 * When that is, the caller knows: there is no clock here. Appends one step; from CLOSED it stays.
 */
void endpoint_expire(struct tcp_endpoint *end, struct endpoint_steps *steps);

/*
 * The end, which endpoint_init made, is known to be in `state` by other means: picked up in
 * mid-life, in any state of §3.3.2. snd_nxt of a state that has sent its FIN counts that FIN (Linux:
 * write_seq); rcv_nxt likewise counts the peer's. What facts->known leaves out stays unknown, and
 * tests on it pass. No steps, no errors.
 */
void endpoint_adopt(struct tcp_endpoint *end, enum fsm_state state,
		    const struct endpoint_facts *facts);

#endif
