/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel fields we read, and no others: hand-declared, found at load time by CO-RE. The build
 * needs no BTF of any host, and this file is the list of what we depend on. Names are Linux's.
 */
#ifndef TCPWITNESS_BPF_KERNEL_H
#define TCPWITNESS_BPF_KERNEL_H

#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

/* linux/socket.h, linux/in.h, linux/if_ether.h: ABI numbers, not found by CO-RE. */
#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86dd
#define SOCK_STREAM 1

/* include/net/sock.h:enum sock_flags; the first two have not moved since 2.6. */
#define SOCK_FLAG_DEAD (1u << 0)
#define SOCK_FLAG_DONE (1u << 1)

#define TCX_NEXT (-1) /* TC_ACT_UNSPEC has the same number, so clsact goes on too */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	__s64 counter;
} atomic64_t;

struct in6_addr {
	union {
		__u32 u6_addr32[4];
	} in6_u;
};

struct ns_common {
	unsigned int inum;
};

struct netns_ipv4 {
	__u8 sysctl_tcp_syncookies;
	int sysctl_max_syn_backlog;
};

struct net {
	struct ns_common ns;
	struct netns_ipv4 ipv4;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct net_device {
	int ifindex;
	possible_net_t nd_net;
};

struct xdp_rxq_info {
	struct net_device *dev;
};

struct xdp_buff {
	struct xdp_rxq_info *rxq;
};

struct sock_common {
	__u32 skc_daddr;
	__u32 skc_rcv_saddr;
	__u16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	int skc_bound_dev_if;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	atomic64_t skc_cookie;
	/* one word, three readings: flags of a full socket; a request's listener */
	unsigned long skc_flags;
	__u32 skc_tw_rcv_nxt;
	__u32 skc_rcv_wnd; /* the same word, of a request */
	__u32 skc_tw_snd_nxt;
};

typedef struct {
	int owned;
} socket_lock_t;

struct sock_reuseport {
	unsigned int synq_overflow_ts;
};

struct sock {
	struct sock_common __sk_common;
	struct sock_reuseport *sk_reuseport_cb;
	atomic_t sk_drops;
	struct {
		int len;
	} sk_backlog;
	int sk_err;
	socket_lock_t sk_lock;
	__u16 sk_protocol;
	__u16 sk_type;
	__u8 sk_shutdown;
	__u32 sk_ack_backlog;
	__u32 sk_max_ack_backlog;
};

struct inet_sock {
	struct sock sk;
	__u16 inet_sport;
};

struct request_sock_queue {
	__u8 rskq_defer_accept;
	atomic_t qlen;
};

struct inet_connection_sock {
	struct inet_sock icsk_inet;
	struct request_sock_queue icsk_accept_queue;
	__u8 icsk_retransmits;
	__u8 icsk_probes_out;
};

struct tcp_options_received {
	int ts_recent_stamp; /* of a listener: when its SYN queue last was full, in jiffies */
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	struct tcp_options_received rx_opt;
	__u32 srtt_us;
	__u32 segs_out;
	__u32 total_retrans;
	__u32 rcv_nxt;
	__u32 snd_una;
	__u32 snd_nxt;
	__u32 write_seq;
	__u64 bytes_received;
	__u64 bytes_acked;
	int linger2;
	__u8 repair : 1;
	bool is_mptcp; /* with CONFIG_MPTCP */
};

struct request_sock {
	struct sock_common __req_common;
	__u8 num_retrans;
	__u8 num_timeout : 7;
};

struct inet_request_sock {
	struct request_sock req;
	__u16 acked : 1;
};

struct tcp_request_sock {
	struct inet_request_sock req;
	__u64 snt_synack; /* the first one, in us of the monotonic clock; a cookie's: 0 */
	__u32 snt_isn;
	__u32 rcv_nxt;
};

struct inet_timewait_sock {
	struct sock_common __tw_common;
	volatile unsigned char tw_substate;
};

struct tcp_timewait_sock {
	struct inet_timewait_sock tw_sk;
	__u32 tw_ts_recent;
	int tw_ts_recent_stamp; /* 0: timestamps are not in use */
};

struct sk_buff {
	struct net_device *dev;
	struct sock *sk;
	char cb[48];
	int skb_iif;
	__u16 protocol;
	__u16 transport_header;
	__u16 network_header;
	unsigned char *head;
};

struct tcp_skb_cb {
	__u16 tcp_flags; /* one byte before 6.15: read with its own size */
};

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
};

#pragma clang attribute pop

/*
 * An address that is only a number, or of doubtful origin, as the structure that it is of: what lies
 * there is loaded, and is 0 where nothing is. Only where config.casts.
 */
extern void *bpf_rdonly_cast(const void *object, __u32 type) __ksym __weak;

#define KERNEL_CAST(type, address)                                                                 \
	((const type *)bpf_rdonly_cast((const void *)(address), bpf_core_type_id_kernel(type)))

/* A field of such a one; probed where there is no cast, which takes some 28 ns. */
#define KERNEL_READ(type, address, field)                                                          \
	(config.casts ? KERNEL_CAST(type, address)->field :                                        \
			BPF_CORE_READ((const type *)(address), field))

/* Reasons we leave out; their numbers differ between kernels. */
enum skb_drop_reason {
	SKB_CONSUMED = 1,
	SKB_DROP_REASON_NOT_SPECIFIED = 2,
	SKB_DROP_REASON_QUEUE_PURGE = 3,
	SKB_DROP_REASON_NO_SOCKET = 4,
	SKB_DROP_REASON_TCP_LISTEN_OVERFLOW = 5,
};

#endif
