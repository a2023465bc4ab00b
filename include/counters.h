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

/* Why a listener refused: the kernel's own predicates, evaluated when the segment arrived. */
#define LISTENER_DROPS(X)                                                                          \
	X(ACCEPT_QUEUE_FULL, "accept_queue_full")	    /* at the SYN */                       \
	X(FINAL_ACK_REFUSED, "final_ack_accept_queue_full") /* at the handshake's last ACK */      \
	X(SYN_QUEUE_FULL, "syn_queue_full")

enum listener_drop {
#define X(name, label) LISTENER_DROP_##name,
	LISTENER_DROPS(X)
#undef X
	LISTENER_DROP_NR
};

/* One value per listening socket: map `listeners`, per-CPU hash, key = its cookie.
 * BPF adds at CLOSE->LISTEN and at the first SYN, the daemon deletes after LISTEN->CLOSE. */
struct listener_counters {
	__u64 syns;
	__u64 drops[LISTENER_DROP_NR];
};

#endif
