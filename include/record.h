/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The record formats: what BPF writes into the rings, what the iterator and the look program
 * answer, and what the record log stores. Every record starts with struct rec_hdr; its type
 * names the struct. All integers are in host byte order, ports too; addresses are in network
 * byte order. Every tuple is oriented local first (egress: source; ingress: destination).
 *
 * Addresses close a record: two of 4 bytes, or, with REC_F_IPV6, two of 16 (local, then remote).
 * REC_SIZE_V4/V6 give the only two legal sizes of each kind that has them.
 */
#ifndef TCPWITNESS_RECORD_H
#define TCPWITNESS_RECORD_H

#include <linux/types.h>

#define RECORD_VERSION 1

enum rec_type {
	REC_NONE = 0,
	/* segment rings: what a stranger can multiply, under the budget */
	REC_SEGMENT = 1,    /* struct rec_segment */
	REC_DROP = 2,	    /* struct rec_drop */
	REC_RETRANSMIT = 3, /* struct rec_retransmit */
	REC_RESET = 4,	    /* struct rec_reset */
	/* kernel rings */
	REC_STATE = 5,	/* struct rec_state */
	REC_LISTEN = 6, /* struct rec_listen */
	/* iterator and look program */
	REC_SOCKET = 7, /* struct rec_socket: one socket of a sweep */
	REC_LOOK = 8,	/* struct rec_socket: the answer to one fresh look */
	/* made by the daemon, so that a record log replays bit for bit */
	REC_TICK = 9,	/* struct rec_hdr alone: time has come to ts_ns */
	REC_LOSS = 10,	/* struct rec_loss */
	REC_SWEEP = 11, /* struct rec_sweep */
	REC_NETNS = 12, /* struct rec_netns */
	/* kernel rings */
	REC_SAMPLING = 13, /* struct rec_sampling */
	REC_NR
};

/* In the low byte of rec_hdr.flags. Above it: the sampling shift of the record's site then. */
#define REC_FLAG_SHIFT_AT 8
#define REC_SHIFT(flags) ((flags) >> REC_FLAG_SHIFT_AT)

enum rec_flag {
	REC_F_IPV6 = 0x0001,
	REC_F_SENT = 0x0002, /* left this host (egress); clear: arrived */
	REC_F_TRANSLATED =
		0x0004, /* the tuple is the socket's own; the packet's was another (NAT) */
};

struct rec_hdr {
	__u8 type; /* enum rec_type */
	__u8 version;
	__u16 flags; /* enum rec_flag, and REC_SHIFT() */
	__u32 netns; /* inode number of the network namespace */
	__u64 ts_ns; /* bpf_ktime_get_ns: CLOCK_MONOTONIC */
};

/* Where a segment was seen. */
enum rec_hook {
	HOOK_XDP_NATIVE = 1,
	HOOK_XDP_GENERIC = 2,
	HOOK_TC_INGRESS = 3,
	HOOK_TC_EGRESS = 4,
};

/* The kernel's view of a socket at one instant: evidence, not verdict (DESIGN §3). */
enum snap_bit {
	SNAP_OWNED = 0x01,  /* sk_lock.owned: the stack may lag behind the wire */
	SNAP_ACKED = 0x02,  /* request sock: the final ACK came (inet_rsk(req)->acked) */
	SNAP_QUEUES = 0x04, /* the union holds the listener's queues, not sequence variables */
	SNAP_DEFER = 0x08,  /* listener has TCP_DEFER_ACCEPT */
	SNAP_DONE = 0x10,   /* SOCK_DONE: tcp_fin() ran */
	SNAP_REPAIR = 0x20, /* tp->repair */
	SNAP_LOOKED = 0x40, /* a lookup was made: state 0 then means "no socket", not "not asked" */
	SNAP_CTL_SK = 0x80, /* skb->sk was the per-CPU control socket (KERNEL.md §0.9) */
};

enum snap_syn_bit {
	/* tcp_syncookies is 0 and the last quarter of tcp_max_syn_backlog is kept for peers that
	 * are proven to be alive (linux net/ipv4/tcp_input.c:tcp_conn_request) */
	SNAP_SYN_LAST_QUARTER = 0x01,
};

struct rec_snapshot {
	__u64 cookie;  /* of the socket found; 0 = none, or none generated yet */
	__u8 state;    /* enum kernel_state; 0 = no socket */
	__u8 substate; /* TIME_WAIT: KS_FIN_WAIT2 or KS_TIME_WAIT */
	__u8 bits;     /* enum snap_bit */
	union {
		__u8 retransmits; /* of a full socket, not answered: data, or probes of its window */
		__u8 syn_bits;	  /* of a listener under a SYN: enum snap_syn_bit */
	};
	__u32 backlog_bytes; /* sk_backlog.len */
	union {
		struct {
			__u32 rcv_nxt, snd_una, snd_nxt, write_seq;
		} vars; /* TIME_WAIT: rcv_nxt and snd_nxt only (snd_una = write_seq = snd_nxt) */
		struct {
			__u32 accept_length, accept_limit; /* sk_ack_backlog, sk_max_ack_backlog */
			__u32 syn_length;		   /* icsk_accept_queue.qlen */
			__u32 drops;			   /* sk_drops */
		} queues; /* LISTEN, NEW_SYN_RECV, and TIME_WAIT under a SYN (SNAP_QUEUES) */
	};
};

/* REC_SEGMENT: a SYN, FIN, RST, or one of the few plain segments that complete something. */
struct rec_segment {
	struct rec_hdr hdr;
	struct rec_snapshot snapshot;
	__u32 ifindex;
	__u16 local_port, remote_port;
	__u32 seq, ack;
	__u32 payload_bytes;
	__u32 tsval, tsecr; /* TCPO_TIMESTAMP */
	__u16 window;	    /* as in the header, unscaled */
	__u16 ip_id;	    /* 0 for IPv6 */
	__u16 gso_segs;	    /* 1 for an ordinary segment */
	__u16 mss;	    /* TCPO_MSS */
	__u8 tcp_flags;	    /* enum tcp_flag */
	__u8 options;	    /* enum tcp_option_bit */
	__u8 wscale;	    /* TCPO_WSCALE */
	__u8 hook;	    /* enum rec_hook */
	__u8 reserved[8];
	__u8 addresses[];
};

/* REC_DROP: tp_btf/kfree_skb of a TCP segment. */
struct rec_drop {
	struct rec_hdr hdr;
	__u32 ifindex;
	__u32 reason; /* enum skb_drop_reason of the running kernel; names come from its BTF */
	__u16 local_port, remote_port;
	__u32 seq, ack;
	__u32 payload_bytes;
	__u8 tcp_flags;
	__u8 rx_state; /* state of rx_sk where the kernel gives it (6.11+), else 0 */
	__u8 reserved[6];
	__u8 addresses[];
};

enum retransmit_kind {
	RETRANSMIT_SYNACK = 1, /* tp_btf/tcp_retransmit_synack */
	RETRANSMIT_SKB = 2, /* tp_btf/tcp_retransmit_skb of a SYN or FIN (data is only counted) */
};

struct rec_retransmit {
	struct rec_hdr hdr;
	__u64 cookie;
	__u16 local_port, remote_port;
	__u8 kind; /* enum retransmit_kind */
	__u8 state;
	__u8 tcp_flags;
	__u8 reserved;
	__u8 addresses[];
};

/* REC_RESET: tcp_send_reset (REC_F_SENT) or tcp_receive_reset, which means "tcp_reset() ran". */
struct rec_reset {
	struct rec_hdr hdr;
	__u64 cookie;
	__u32 reason; /* enum sk_rst_reason where the kernel has it (6.10+), else 0 */
	__u16 local_port, remote_port;
	__u8 state;
	__u8 reserved[7];
	__u8 addresses[];
};

enum state_bit {
	STATE_DONE = 0x01,	  /* SOCK_DONE */
	STATE_DEAD = 0x02,	  /* SOCK_DEAD: orphan */
	STATE_LINGER2_NEG = 0x04, /* tp->linger2 < 0 */
	STATE_REPAIR = 0x08,	  /* tp->repair */
	STATE_NO_TUPLE = 0x10,	  /* CLOSE->SYN_SENT before the port is chosen: join by cookie */
	STATE_FIN_QUEUED = 0x20,  /* snd_nxt < write_seq */
	STATE_MPTCP = 0x40,	  /* tp->is_mptcp: a subflow */
};

/* REC_STATE: tp_btf/inet_sock_set_state of a TCP socket. LISTEN->SYN_RECV is only counted. */
struct rec_state {
	struct rec_hdr hdr;
	__u64 cookie;
	__u32 rcv_nxt, snd_una, snd_nxt, write_seq;
	__u16 local_port, remote_port;
	__u16 sk_err;
	__u8 old_state, new_state; /* enum kernel_state */
	__u8 shutdown;		   /* sk_shutdown: 1 receive, 2 send */
	__u8 bits;		   /* enum state_bit */
	__u8 reserved[6];
	__u8 addresses[];
};

#define REC_COMM_BYTES 16

/* REC_LISTEN: CLOSE->LISTEN, which runs in the owner's context. Beside its REC_STATE. */
struct rec_listen {
	struct rec_hdr hdr;
	__u64 cookie;
	__u64 cgroup_id;
	__u32 pid;
	__u32 accept_limit;
	__u16 local_port;
	__u16 reserved[3];
	char comm[REC_COMM_BYTES];
	__u8 addresses[]; /* local, then an all-zero remote */
};

/* REC_SOCKET, REC_LOOK: fixed size, addresses always as IPv6 (v4-mapped for IPv4). */
struct rec_socket {
	struct rec_hdr hdr; /* ts_ns: when this socket was read */
	struct rec_snapshot snapshot;
	__u32 ifindex; /* sk_bound_dev_if */
	__u16 local_port, remote_port;
	__u8 local_address[16], remote_address[16];
};

enum rec_ring {
	RING_SEGMENT = 0,
	RING_KERNEL = 1,
	RING_NR
};

/* REC_LOSS: reserves failed on a ring since the last REC_LOSS of it. */
struct rec_loss {
	struct rec_hdr hdr;
	__u64 lost;
	__u32 ring; /* enum rec_ring */
	__u32 reserved;
};

enum sweep_phase {
	SWEEP_BEGIN = 1,
	SWEEP_END = 2,
};

/* REC_SWEEP: brackets the REC_SOCKETs of one run of the iterator. */
struct rec_sweep {
	struct rec_hdr hdr;
	__u32 phase; /* enum sweep_phase */
	__u32 reserved;
};

enum netns_phase {
	NETNS_BEGIN = 1, /* it is watched from now on */
	NETNS_END = 2,	 /* it has ended, and every socket in it */
};

#define NETNS_NAME_BYTES 64

/* REC_NETNS: the namespace of the header, and what it is called. */
struct rec_netns {
	struct rec_hdr hdr;
	__u32 phase; /* enum netns_phase */
	__u32 reserved;
	char name[NETNS_NAME_BYTES]; /* ends with a zero */
};

/* REC_SAMPLING: from now on one flow in 2^to is recorded at a site, see sampling.h. */
struct rec_sampling {
	struct rec_hdr hdr; /* netns: the site's */
	__u64 seed;	    /* of the hash */
	__u32 slot;	    /* sampling_slot_of() the site */
	__u32 ifindex;	    /* the site's, as the next */
	__u16 port;
	__u8 from, to; /* shifts */
	__u32 offered; /* records of one window that made it so */
};

#define REC_SIZE_V4(type) (sizeof(struct type) + 8)
#define REC_SIZE_V6(type) (sizeof(struct type) + 32)

_Static_assert(sizeof(struct rec_hdr) == 16, "layout");
_Static_assert(sizeof(struct rec_snapshot) == 32, "layout");
_Static_assert(sizeof(struct rec_segment) == 96, "layout");
_Static_assert(sizeof(struct rec_drop) == 48, "layout");
_Static_assert(sizeof(struct rec_retransmit) == 32, "layout");
_Static_assert(sizeof(struct rec_reset) == 40, "layout");
_Static_assert(sizeof(struct rec_state) == 56, "layout");
_Static_assert(sizeof(struct rec_listen) == 64, "layout");
_Static_assert(sizeof(struct rec_socket) == 88, "layout");
_Static_assert(sizeof(struct rec_loss) == 32, "layout");
_Static_assert(sizeof(struct rec_sweep) == 24, "layout");
_Static_assert(sizeof(struct rec_netns) == 88, "layout");
_Static_assert(sizeof(struct rec_sampling) == 40, "layout");

#endif
