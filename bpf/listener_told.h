/* SPDX-License-Identifier: GPL-2.0-only */
/* What tracepoints tell of a listener: its children, and what was dropped before or at it. */
#ifndef TCPWITNESS_BPF_LISTENER_TOLD_H
#define TCPWITNESS_BPF_LISTENER_TOLD_H

#include "listener.h"
#include "origin.h"

#define DROP_REASON_IS(reason, name)                                                               \
	(bpf_core_enum_value_exists(enum skb_drop_reason, name) &&                                 \
	 (reason) == bpf_core_enum_value(enum skb_drop_reason, name))

static __always_inline void tuple_local(const struct tuple *tuple, __u32 ret[4])
{
	__u32 mapped[4] = { 0, 0, bpf_htonl(0xffff), tuple->local[0] };

	__builtin_memcpy(ret, tuple->ipv6 ? tuple->local : mapped, 16);
}

/*
 * SYN_RECV->ESTABLISHED: a listener's child, unless both ends opened at once, and then nobody
 * listens there. srtt_us is eight times the time from its SYN-ACK to the ACK, and 0 where there
 * was more than one (linux net/ipv4/tcp_input.c:tcp_synack_rtt_meas).
 */
static __always_inline void listener_child(const struct tcp_sock *tp, const struct tuple *tuple)
{
	struct listener_cell *cell;
	__u32 address[4];
	__u64 *cookie;

	tuple_local(tuple, address);
	cookie = listening_for(tuple->netns, address, tuple->local_port);
	cell = cookie ? listener_cell(*cookie) : NULL;
	if (!cell)
		return;
	emit_count(&cell->counters.handshakes);
	if (tp->srtt_us)
		listener_latency(&cell->counters, (__u64)(tp->srtt_us >> 3) * 1000);
}

/*
 * A SYN that something before TCP took away: netfilter, a policy, a checksum. Of those that a
 * listener refuses none comes here, and a repeated one that meets its request is NOT_SPECIFIED.
 * True: it was a listener's.
 */
static __always_inline bool drop_filtered(__u32 reason, const struct sock *rx_sk,
					  const struct tuple *tuple)
{
	struct listener_cell *cell;
	__u32 address[4];
	__u64 *cookie;

	if (rx_sk || DROP_REASON_IS(reason, SKB_DROP_REASON_NOT_SPECIFIED) ||
	    DROP_REASON_IS(reason, SKB_DROP_REASON_NO_SOCKET))
		return false;
	tuple_local(tuple, address);
	cookie = listening_for(tuple->netns, address, tuple->local_port);
	cell = cookie ? listener_cell(*cookie) : NULL;
	if (cell)
		emit_count(&cell->counters.drops[LISTENER_DROP_FILTERED]);
	return cookie;
}

/*
 * An ACK that its listener had no room for. linux net/ipv4/tcp_ipv4.c:tcp_v4_rcv drops a request's
 * by TCP_LISTEN_OVERFLOW; one with a valid cookie ends in net/ipv4/syncookies.c:cookie_v4_check.
 */
static __always_inline void drop_refused(__u32 reason, const struct sock *rx_sk)
{
	struct listener_cell *cell;

	if (!DROP_REASON_IS(reason, SKB_DROP_REASON_TCP_LISTEN_OVERFLOW) &&
	    !DROP_REASON_IS(reason, SKB_DROP_REASON_NO_SOCKET))
		return;
	cell = listener_cell(KERNEL_READ(struct sock, rx_sk, __sk_common.skc_cookie.counter));
	if (!cell)
		return;
	if (DROP_REASON_IS(reason, SKB_DROP_REASON_NO_SOCKET))
		emit_count(&cell->counters.told_cookies);
	else
		emit_count(&cell->counters.told_acks);
}

#endif
