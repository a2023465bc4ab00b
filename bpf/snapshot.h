/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's view of one socket at this instant: fields read without its lock, so evidence and
 * not verdict. Works on what bpf_skc_lookup_tcp finds, on skb->sk at egress and on the iterator's
 * sockets; the caller holds the reference.
 */
#ifndef TCPWITNESS_BPF_SNAPSHOT_H
#define TCPWITNESS_BPF_SNAPSHOT_H

#include <stdbool.h>

#include "kernel.h"
#include "maps.h"

#include "record.h"
#include "tcp_defs.h"

static __always_inline void snapshot_queues(const struct tcp_sock *tp, struct rec_snapshot *snap)
{
	const struct sock *sk = &tp->inet_conn.icsk_inet.sk;

	snap->queues.accept_length = sk->sk_ack_backlog;
	snap->queues.accept_limit = sk->sk_max_ack_backlog;
	snap->queues.syn_length = tp->inet_conn.icsk_accept_queue.qlen.counter;
	snap->queues.drops = sk->sk_drops.counter;
	snap->bits |= SNAP_QUEUES;
	if (tp->inet_conn.icsk_accept_queue.rskq_defer_accept)
		snap->bits |= SNAP_DEFER;
}

static __always_inline void snapshot_full(const struct tcp_sock *tp, struct rec_snapshot *snap)
{
	const struct sock *sk = &tp->inet_conn.icsk_inet.sk;

	snap->cookie = sk->__sk_common.skc_cookie.counter;
	snap->backlog_bytes = sk->sk_backlog.len;
	if (sk->sk_lock.owned)
		snap->bits |= SNAP_OWNED;
	if (sk->__sk_common.skc_flags & SOCK_FLAG_DONE)
		snap->bits |= SNAP_DONE;
	if (snap->state == KS_LISTEN) {
		snapshot_queues(tp, snap);
		return;
	}
	if (BPF_CORE_READ_BITFIELD(tp, repair))
		snap->bits |= SNAP_REPAIR;
	snap->retransmits = tp->inet_conn.icsk_retransmits ?: tp->inet_conn.icsk_probes_out;
	snap->vars.rcv_nxt = tp->rcv_nxt;
	snap->vars.snd_una = tp->snd_una;
	snap->vars.snd_nxt = tp->snd_nxt;
	snap->vars.write_seq = tp->write_seq;
}

/* What the listener of a request says, read once: reaching it costs. */
struct request_listener {
	__u64 cookie;
	__u32 accept_length, accept_limit, syn_length, drops;
	__u8 defer_accept; /* TCP_DEFER_ACCEPT: bare ACKs are put off for so many SYN-ACKs */
};

static __always_inline void snapshot_listener_read(const struct tcp_sock *tp,
						   struct request_listener *ret)
{
	const struct sock *sk = &tp->inet_conn.icsk_inet.sk;

	ret->cookie = sk->__sk_common.skc_cookie.counter;
	ret->accept_length = sk->sk_ack_backlog;
	ret->accept_limit = sk->sk_max_ack_backlog;
	ret->syn_length = tp->inet_conn.icsk_accept_queue.qlen.counter;
	ret->drops = sk->sk_drops.counter;
	ret->defer_accept = tp->inet_conn.icsk_accept_queue.rskq_defer_accept;
}

/*
 * Its address is only a number: skc_listener shares its word with skc_flags, and BTF knows that
 * reading only. So it is cast, or what lies behind it is probed. False: it has none.
 */
static __always_inline bool snapshot_listener_at(const struct tcp_request_sock *req,
						 struct request_listener *ret)
{
	const struct tcp_sock *tp = (const struct tcp_sock *)req->req.req.__req_common.skc_flags;
	const struct sock *sk = &tp->inet_conn.icsk_inet.sk;

	if (!tp)
		return false;
	if (config.casts) {
		snapshot_listener_read(KERNEL_CAST(struct tcp_sock, tp), ret);
		return true;
	}
	ret->cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	ret->accept_length = BPF_CORE_READ(sk, sk_ack_backlog);
	ret->accept_limit = BPF_CORE_READ(sk, sk_max_ack_backlog);
	ret->syn_length = BPF_CORE_READ(tp, inet_conn.icsk_accept_queue.qlen.counter);
	ret->drops = BPF_CORE_READ(sk, sk_drops.counter);
	ret->defer_accept = BPF_CORE_READ(tp, inet_conn.icsk_accept_queue.rskq_defer_accept);
	return true;
}

/*
 * At tc, where there is no cast, a helper turns a request into its listener, if that still listens.
 * (Up to 6.12 it must not be asked where there is none.)
 */
static __always_inline bool snapshot_listener(struct bpf_sock *sk,
					      const struct tcp_request_sock *req,
					      struct request_listener *ret)
{
	const struct tcp_sock *tp;
	struct bpf_sock *listener;

	if (config.casts)
		return snapshot_listener_at(req, ret);
	listener = req->req.req.__req_common.skc_flags ? bpf_get_listener_sock(sk) : NULL;
	tp = listener ? bpf_skc_to_tcp_sock(listener) : NULL;
	if (!tp)
		return snapshot_listener_at(req, ret);
	snapshot_listener_read(tp, ret);
	return true;
}

/* `listener`: filled in if `known`. (A pointer or NULL would be a select, which 6.1 refuses.) */
static __always_inline void snapshot_request(const struct tcp_request_sock *req, bool known,
					     const struct request_listener *listener,
					     struct rec_snapshot *snap)
{
	snap->state = KS_NEW_SYN_RECV;
	snap->bits |= SNAP_LOOKED;
	snap->cookie = req->req.req.__req_common.skc_cookie.counter;
	if (BPF_CORE_READ_BITFIELD(&req->req, acked))
		snap->bits |= SNAP_ACKED;
	if (!known)
		return;
	snap->queues.accept_length = listener->accept_length;
	snap->queues.accept_limit = listener->accept_limit;
	snap->queues.syn_length = listener->syn_length;
	snap->queues.drops = listener->drops;
	snap->bits |= SNAP_QUEUES;
	if (listener->defer_accept)
		snap->bits |= SNAP_DEFER;
}

static __always_inline void snapshot_timewait(const struct tcp_timewait_sock *tw,
					      struct rec_snapshot *snap)
{
	const struct sock_common *common = &tw->tw_sk.__tw_common;

	snap->cookie = common->skc_cookie.counter;
	snap->substate = tw->tw_sk.tw_substate;
	snap->vars.rcv_nxt = common->skc_tw_rcv_nxt;
	snap->vars.snd_nxt = common->skc_tw_snd_nxt;
	snap->vars.snd_una = common->skc_tw_snd_nxt;
	snap->vars.write_seq = common->skc_tw_snd_nxt;
}

/*
 * `sk`: anything the verifier takes for a struct sock_common; `state`: its state, read by the
 * caller. MPTCP overrides the sk_prot by which the kernel tells request and TIME_WAIT socks apart,
 * so for those the conversion fails and the state is all we know.
 */
static __always_inline void snapshot_socket(void *sk, __u8 state, struct rec_snapshot *snap)
{
	snap->state = state;
	snap->bits |= SNAP_LOOKED;
	if (state == KS_NEW_SYN_RECV) {
		struct tcp_request_sock *req = bpf_skc_to_tcp_request_sock(sk);
		struct request_listener listener = {};
		bool known = req && snapshot_listener_at(req, &listener);

		if (req)
			snapshot_request(req, known, &listener, snap);
	} else if (state == KS_TIME_WAIT) {
		struct tcp_timewait_sock *tw = bpf_skc_to_tcp_timewait_sock(sk);

		if (tw)
			snapshot_timewait(tw, snap);
	} else {
		struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

		if (tp)
			snapshot_full(tp, snap);
	}
}

#endif
