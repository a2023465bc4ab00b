/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Counters that live in per-CPU maps and pass through no ring: exact whatever is lost.
 * One list gives the BPF index, the metric's label value and its help.
 */
#ifndef TCPWITNESS_COUNTERS_H
#define TCPWITNESS_COUNTERS_H

#include <linux/types.h>

#include "record.h"

/* Every local TCP segment is exactly one of these, tested in this order: RST, SYN, FIN, payload. */
#define SEGMENT_KINDS(X)                                                                           \
	X(SYN, "syn")                                                                              \
	X(SYNACK, "synack")                                                                        \
	X(ACK, "ack")                                                                              \
	X(FIN, "fin")                                                                              \
	X(RST, "rst")                                                                              \
	X(DATA, "data")

enum segment_kind {
#define X(name, label) SEGMENT_##name,
	SEGMENT_KINDS(X)
#undef X
	SEGMENT_NR
};

/* Why a TCP packet was seen but not judged. */
#define IGNORED_REASONS(X)                                                                         \
	X(FRAGMENT, "fragment")	  /* not the whole datagram: ports or flags may be elsewhere */    \
	X(TRUNCATED, "truncated") /* headers end beyond the packet's linear data */                \
	X(MALFORMED, "malformed") /* lengths contradict each other */                              \
	X(TRANSIT, "transit")	  /* neither end is on this host */

enum ignored_reason {
#define X(name, label) IGNORED_##name,
	IGNORED_REASONS(X)
#undef X
	IGNORED_NR
};

/*
 * One value per interface: map `segments`, a per-CPU array. Where one namespace is watched, an
 * ifindex below SEGMENT_SLOTS_DIRECT is its own slot; all others have one by the map
 * `interface_slots`, and those that found none left share the last.
 */
#define SEGMENT_COUNTERS_MAX 1024
#define SEGMENT_SLOTS_DIRECT 512
#define SEGMENT_SLOT_SHARED (SEGMENT_COUNTERS_MAX - 1)
struct segment_counters {
	__u64 received[SEGMENT_NR]; /* skbs, as InSegs counts */
	__u64 sent[SEGMENT_NR];	    /* gso_segs, as OutSegs counts */
	__u64 ignored[IGNORED_NR];
};

#define RETRANSMIT_KINDS(X)                                                                        \
	X(SYN, "syn")                                                                              \
	X(SYNACK, "synack")                                                                        \
	X(FIN, "fin")                                                                              \
	X(DATA, "data")

enum retransmit_counter {
#define X(name, label) RETRANSMITTED_##name,
	RETRANSMIT_KINDS(X)
#undef X
	RETRANSMITTED_NR
};

#define DROP_REASONS_MAX 256 /* enum skb_drop_reason core range; beyond: the last slot */

/* One value: map `totals`, per-CPU array of one. */
struct total_counters {
	__u64 attempted[RING_NR]; /* reserves tried, by ring */
	__u64 lost[RING_NR];	  /* of those, refused: the ring was full */
	__u64 retransmitted[RETRANSMITTED_NR];
	__u64 resets_sent, resets_received; /* tcp_send_reset, tcp_receive_reset */
	__u64 dropped[DROP_REASONS_MAX];    /* kfree_skb of TCP, by reason */
};

/*
 * Why a listener refused: the kernel's own predicates, evaluated when the segment arrived. Which
 * of the kernel's counters moves with each is in daemon/listen/namespace.c.
 */
#define LISTENER_DROPS(X)                                                                          \
	X(ACCEPT_QUEUE_FULL, "accept_queue_full")	    /* at the SYN */                       \
	X(FINAL_ACK_REFUSED, "final_ack_accept_queue_full") /* at the handshake's last ACK */      \
	X(COOKIE_REFUSED, "cookie_ack_accept_queue_full")   /* the same, of a cookie */            \
	X(SYN_QUEUE_FULL, "syn_queue_full")		    /* and tcp_syncookies is 0 */          \
	X(LAST_QUARTER, "last_quarter")	    /* kept for peers known: tcp_max_syn_backlog */        \
	X(COOKIE_INVALID, "cookie_invalid") /* an ACK that answers no cookie of ours */            \
	X(FILTERED, "filtered")		    /* a SYN that was dropped before TCP */                \
	X(OTHER, "other") /* a SYN that had no answer, and nothing above says why */

enum listener_drop {
#define X(name, label) LISTENER_DROP_##name,
	LISTENER_DROPS(X)
#undef X
	LISTENER_DROP_NR
};

/*
 * How full a queue was, in per cent of its limit: 0, up to 10, 25, 50, 75, 90, 100, and more. A
 * queue holds one more than its limit: only "more" is full.
 */
#define FILL_PERCENT                                                                               \
	{                                                                                          \
		0, 10, 25, 50, 75, 90, 100                                                         \
	}
#define FILL_BUCKETS 8
#define FILL_PARTS 1000000000u /* parts of the limit in which the sum counts */

struct fill_histogram {
	__u64 buckets[FILL_BUCKETS]; /* not cumulative */
	__u64 sum;		     /* of length / limit, in FILL_PARTS */
};

#define LISTENER_LATENCY_BUCKETS 24
#define LISTENER_LATENCY_NS(b) (16000ull << (b)) /* upper bound of bucket b; the last has none */

/*
 * One value per listening socket: map `listeners`, per-CPU hash, key = its cookie. BPF adds at
 * CLOSE->LISTEN and at the first SYN, the daemon deletes after LISTEN->CLOSE. Nothing but __u64:
 * the daemon adds them up as an array.
 */
struct listener_counters {
	__u64 syns;	     /* for LISTEN, or for a TIME_WAIT minisock that gives way to it */
	__u64 synacks;	     /* sent: retransmitted ones and cookies too */
	__u64 synacks_again; /* of these, not the first of their request, by its age */
	__u64 synacks_retransmitted; /* the same as the kernel tells: none that a device refused */
	__u64 handshakes;	     /* children born */
	__u64 cookies_sent, cookies_accepted;
	__u64 cookies_wanted; /* SYNs that asked for one: the SYN queue was full, or it is the rule */
	/*
	 * ACKs that complete a handshake, if there is room; those that XDP saw by themselves, as it
	 * takes what comes in one batch behind such an ACK for another.
	 */
	__u64 attempts, attempts_early;
	/* ACKs refused, as kfree_skb tells where the kernel has the reason (6.15): by anyone. */
	__u64 told_acks, told_cookies;
	__u64 deferred; /* bare ACKs put off by TCP_DEFER_ACCEPT */
	/* RSTs that ended a request; those that met the listener itself, as a cookie's would. */
	__u64 requests_reset, resets;
	__u64 drops[LISTENER_DROP_NR];
	/*
	 * Where the predicates need the outcome. Whether a SYN queue of exactly its limit is full
	 * differs between kernels, and the last quarter is open to peers of whom a round-trip time
	 * is remembered: how many SYNs met such a queue, and how many requests came of it.
	 */
	__u64 at_limit, at_limit_cookies, at_limit_time_wait, beyond_limit;
	__u64 quarter_time_wait, quarter_admitted;
	struct fill_histogram syn_fill, accept_fill; /* at each SYN */
	__u64 latency[LISTENER_LATENCY_BUCKETS];     /* first SYN-ACK to the child */
	__u64 latency_ns;			     /* sum */
};

/* Longest queues of a window of 2^LISTENER_WINDOW_SHIFT ns, about 69 s. */
#define LISTENER_WINDOW_SHIFT 36

struct listener_peak {
	__u64 window; /* its number: the time >> LISTENER_WINDOW_SHIFT */
	__u32 syn_length, accept_length;
};

/* What the map holds: the counters, and the peaks of the last even and odd window. */
struct listener_cell {
	struct listener_counters counters;
	struct listener_peak peaks[2];
};

/* Who listens where: map `listening`, -> cookie; of SO_REUSEPORT members any. */
struct listening_key {
	__u32 netns;
	__u16 port;
	__u16 reserved;
	__u8 address[16]; /* v4-mapped for IPv4 */
};

#endif
