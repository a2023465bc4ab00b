// SPDX-License-Identifier: GPL-2.0-only
/*
 * DOC: What the kernel says by itself.
 *
 * Raw tracepoints with BTF. inet_sock_set_state feeds the kernel ring, and nothing else does: its
 * events cost a handshake or a socket of ours each, so no stranger can multiply them. Drops,
 * retransmissions and resets go to the segment rings.
 *
 * Tracepoints see the whole host. Events of other network namespaces leave first and cheaply: once
 * a socket has shown the address of our namespace's struct net, one comparison does; where several
 * are watched, one look into a small map.
 *
 * Traps, each measured (they are why the code reads what it reads):
 * - CLOSE->SYN_SENT fires before the source port is chosen: STATE_NO_TUPLE, join by cookie;
 * - at ->CLOSE skc_num is gone already; inet_sport is not;
 * - up to 6.12 the first event of a child, LISTEN->SYN_RECV, carries the listener's tuple and
 *   cookie; it says nothing that SYN_RECV->ESTABLISHED does not, so it is left out everywhere;
 * - MPTCP's own sockets use the same tracepoint with another protocol number;
 * - from 6.10 tcp_send_reset may have no socket, and some kernels let the verifier believe that it
 *   always has one: read sk and skb by KERNEL_READ only, never directly;
 * - what TIME_WAIT consumes is a "drop" to kfree_skb, a perfectly normal FIN too.
 *
 * Two tracepoints changed their prototype; the loader picks the variant by BTF.
 */
#include "emit.h"
#include "listener_told.h"
#include "maps.h"
#include "origin.h"
#include "quiet.h"
#include "sample_told.h"

static __always_inline __u8 state_bits(const struct tcp_sock *tp)
{
	unsigned long flags = tp->inet_conn.icsk_inet.sk.__sk_common.skc_flags;
	__u8 bits = 0;

	if (flags & SOCK_FLAG_DONE)
		bits |= STATE_DONE;
	if (flags & SOCK_FLAG_DEAD)
		bits |= STATE_DEAD;
	if (tp->linger2 < 0)
		bits |= STATE_LINGER2_NEG;
	if (BPF_CORE_READ_BITFIELD(tp, repair))
		bits |= STATE_REPAIR;
	if ((__s32)(tp->snd_nxt - tp->write_seq) < 0)
		bits |= STATE_FIN_QUEUED;
	if (bpf_core_field_exists(tp->is_mptcp) && tp->is_mptcp)
		bits |= STATE_MPTCP;
	return bits;
}

static __always_inline void state_write(const struct tcp_sock *tp, __u64 cookie, __u8 old_state,
					__u8 new_state, const struct tuple *tuple, __u16 flags,
					bool ipv6)
{
	const struct sock *sk = &tp->inet_conn.icsk_inet.sk;
	struct emission emission;
	struct rec_state *record;

	emission = emit_reserve(&kernel_rings, RING_KERNEL,
				ipv6 ? REC_SIZE_V6(rec_state) : REC_SIZE_V4(rec_state), REC_STATE,
				flags | (ipv6 ? REC_F_IPV6 : 0), tuple->netns);
	record = emission.record;
	if (!record)
		return;
	record->cookie = cookie;
	record->rcv_nxt = tp->rcv_nxt;
	record->snd_una = tp->snd_una;
	record->snd_nxt = tp->snd_nxt;
	record->write_seq = tp->write_seq;
	record->local_port = tuple->local_port;
	record->remote_port = tuple->remote_port;
	record->sk_err = (__u16)sk->sk_err;
	record->old_state = old_state;
	record->new_state = new_state;
	record->shutdown = sk->sk_shutdown;
	record->bits = state_bits(tp);
	if (new_state == KS_SYN_SENT && !tuple->local_port)
		record->bits |= STATE_NO_TUPLE;
	__builtin_memset(record->reserved, 0, sizeof(record->reserved));
	emit_addresses(record->addresses, tuple->local, tuple->remote, ipv6);
	emit_submit(&emission);
}

static __always_inline void listen_write(const struct tcp_sock *tp, __u64 cookie,
					 const struct tuple *tuple, bool ipv6)
{
	const __u32 any[4] = {};
	struct emission emission;
	struct rec_listen *record;

	emission = emit_reserve(&kernel_rings, RING_KERNEL,
				ipv6 ? REC_SIZE_V6(rec_listen) : REC_SIZE_V4(rec_listen),
				REC_LISTEN, ipv6 ? REC_F_IPV6 : 0, tuple->netns);
	record = emission.record;
	if (!record)
		return;
	record->cookie = cookie;
	record->cgroup_id = bpf_get_current_cgroup_id();
	record->pid = bpf_get_current_pid_tgid() >> 32;
	record->accept_limit = tp->inet_conn.icsk_inet.sk.sk_max_ack_backlog;
	record->local_port = tuple->local_port;
	__builtin_memset(record->reserved, 0, sizeof(record->reserved));
	bpf_get_current_comm(record->comm, sizeof(record->comm));
	emit_addresses(record->addresses, tuple->local, any, ipv6);
	emit_submit(&emission);
}

static __always_inline void listener_begins(const struct tcp_sock *tp, __u64 cookie,
					    const struct tuple *tuple)
{
	struct listening_key key = {
		.netns = tuple->netns,
		.port = tuple->local_port,
	};

	listener_cell(cookie);
	tuple_local(tuple, (__u32 *)key.address);
	bpf_map_update_elem(&listening, &key, &cookie, BPF_ANY);
	if (tuple->ipv6)
		listen_write(tp, cookie, tuple, true);
	else
		listen_write(tp, cookie, tuple, false);
}

/* The watched namespace it happened in; 0: none, or it says nothing. */
static __always_inline __u32 state_netns(const struct sock *sk, int old_state, int new_state)
{
	__u32 netns = origin_netns(sk->__sk_common.skc_net.net);

	if (!netns || sk->sk_protocol != IPPROTO_TCP)
		return 0;
	return old_state != KS_LISTEN || new_state != KS_SYN_RECV ? netns : 0;
}

static __always_inline void state_wakes(const struct tuple *tuple)
{
	struct quiet quiet = quiet_at(tuple->netns, tuple->local, tuple->local_port, tuple->remote,
				      tuple->remote_port, tuple->ipv6);

	quiet_end(&quiet);
}

static __always_inline void state_changed(struct sock *sk, int old_state, int new_state,
					  __u32 netns)
{
	struct tuple tuple = { .netns = netns };
	struct tcp_sock *tp;
	__u16 shift = 0;
	__u64 cookie;

	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return;
	cookie = bpf_get_socket_cookie(sk);
	tuple_of(&sk->__sk_common, &tuple);
	tuple.local_port = bpf_ntohs(tp->inet_conn.icsk_inet.inet_sport);
	if (!tuple.local_port) /* CLOSE->LISTEN comes before inet_sport is set */
		tuple.local_port = sk->__sk_common.skc_num;
	if (old_state == KS_ESTABLISHED || new_state == KS_CLOSE)
		state_wakes(&tuple);
	if (!sample_change(&tuple, old_state, new_state, &shift))
		;
	else if (tuple.ipv6)
		state_write(tp, cookie, old_state, new_state, &tuple, shift, true);
	else
		state_write(tp, cookie, old_state, new_state, &tuple, shift, false);
	if (new_state == KS_LISTEN)
		listener_begins(tp, cookie, &tuple);
	else if (old_state == KS_SYN_RECV && new_state == KS_ESTABLISHED)
		listener_child(tp, &tuple);
}

static __always_inline void state_event_set(struct state_event *event, const struct sock *sk,
					    int old_state, int new_state)
{
	event->sk = (__u64)sk;
	event->old_state = old_state;
	event->new_state = new_state;
}

static __always_inline bool state_event_take(struct state_event *event, const struct sock *sk,
					     int old_state, int new_state)
{
	if (event->sk != (__u64)sk || event->old_state != old_state ||
	    event->new_state != new_state)
		return false;
	event->sk = 0;
	return true;
}

static __always_inline struct state_events *state_events_here(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&state_events, &zero);
}

/*
 * The kernel lets no tracing program interrupt itself: an event in a softirq that interrupted this
 * program on the same CPU passes it by (linux kernel/trace/bpf_trace.c:__bpf_trace_run; 58 of 1.2 M
 * events under load here). So each event is told to two programs, and the second takes what the
 * first did not get. It must be attached second, and so it is defined second.
 *
 * `inner` is for an event that interrupts between the two. It may be left behind when it
 * interrupts the second; the next one overwrites it.
 */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_set_state, struct sock *sk, int old_state, int new_state)
{
	__u32 netns = state_netns(sk, old_state, new_state);
	struct state_events *events;

	if (!netns)
		return 0;
	events = state_events_here();
	if (!events)
		return 0;
	if (!events->outer.sk)
		state_event_set(&events->outer, sk, old_state, new_state);
	else
		state_event_set(&events->inner, sk, old_state, new_state);
	state_changed(sk, old_state, new_state, netns);
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_set_state_nested, struct sock *sk, int old_state, int new_state)
{
	struct state_events *events = state_events_here();
	__u32 netns;

	if (!events || state_event_take(&events->outer, sk, old_state, new_state) ||
	    state_event_take(&events->inner, sk, old_state, new_state))
		return 0;
	netns = state_netns(sk, old_state, new_state);
	if (netns)
		state_changed(sk, old_state, new_state, netns);
	return 0;
}

static __always_inline void retransmit_write(__u64 cookie, enum retransmit_kind kind, __u8 state,
					     __u8 tcp_flags, const struct tuple *tuple, __u16 flags,
					     bool ipv6)
{
	struct emission emission;
	struct rec_retransmit *record;

	emission = emit_reserve(&segment_rings, RING_SEGMENT,
				ipv6 ? REC_SIZE_V6(rec_retransmit) : REC_SIZE_V4(rec_retransmit),
				REC_RETRANSMIT, flags | REC_F_SENT | (ipv6 ? REC_F_IPV6 : 0),
				tuple->netns);
	record = emission.record;
	if (!record)
		return;
	record->cookie = cookie;
	record->local_port = tuple->local_port;
	record->remote_port = tuple->remote_port;
	record->kind = kind;
	record->state = state;
	record->tcp_flags = tcp_flags;
	record->reserved = 0;
	emit_addresses(record->addresses, tuple->local, tuple->remote, ipv6);
	emit_submit(&emission);
}

static __always_inline void retransmit(const struct sock_common *sk, __u32 netns,
				       enum retransmit_kind kind, __u8 tcp_flags)
{
	__u64 cookie = sk->skc_cookie.counter;
	__u8 state = sk->skc_state;
	struct tuple tuple = { .netns = netns };
	struct sampling_site site;
	__u16 shift = 0;

	tuple_of(sk, &tuple);
	tuple.local_port = sk->skc_num;
	site = sample_site(&tuple, false, 0);
	if (!sample_tuple(&site, &tuple, SAMPLING_RETRANSMIT, &shift))
		return;
	if (tuple.ipv6)
		retransmit_write(cookie, kind, state, tcp_flags, &tuple, shift, true);
	else
		retransmit_write(cookie, kind, state, tcp_flags, &tuple, shift, false);
}

static __always_inline void retransmit_count(enum retransmit_counter which)
{
	struct total_counters *total = emit_totals();

	if (total)
		emit_count(&total->retransmitted[which]);
}

SEC("tp_btf/tcp_retransmit_synack")
int BPF_PROG(on_retransmit_synack, struct sock *sk, struct request_sock *req)
{
	__u32 netns = origin_netns(sk->__sk_common.skc_net.net);
	struct listener_cell *cell;

	if (!netns)
		return 0;
	cell = listener_cell(sk->__sk_common.skc_cookie.counter);
	if (cell)
		emit_count(&cell->counters.synacks_retransmitted);
	retransmit_count(RETRANSMITTED_SYNACK);
	retransmit(&req->__req_common, netns, RETRANSMIT_SYNACK, TCPF_SYN | TCPF_ACK);
	return 0;
}

/* include/net/tcp.h:TCP_SKB_CB(skb)->tcp_flags: a byte, and since 6.15 two. */
static __always_inline __u8 skb_tcp_flags(const struct sk_buff *skb)
{
	const char *flags = skb->cb + bpf_core_field_offset(struct tcp_skb_cb, tcp_flags);
	__u16 wide = 0;
	__u8 narrow = 0;

	if (bpf_core_field_size(struct tcp_skb_cb, tcp_flags) == sizeof(wide)) {
		bpf_probe_read_kernel(&wide, sizeof(wide), flags);
		return (__u8)wide;
	}
	bpf_probe_read_kernel(&narrow, sizeof(narrow), flags);
	return narrow;
}

SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(on_retransmit_skb, struct sock *sk, struct sk_buff *skb)
{
	__u32 netns = origin_netns(sk->__sk_common.skc_net.net);
	__u8 tcp_flags;

	if (!netns)
		return 0;
	tcp_flags = skb_tcp_flags(skb);
	if (tcp_flags & TCPF_SYN)
		retransmit_count(tcp_flags & TCPF_ACK ? RETRANSMITTED_SYNACK : RETRANSMITTED_SYN);
	else
		retransmit_count(tcp_flags & TCPF_FIN ? RETRANSMITTED_FIN : RETRANSMITTED_DATA);
	if (tcp_flags & (TCPF_SYN | TCPF_FIN))
		retransmit(&sk->__sk_common, netns, RETRANSMIT_SKB, tcp_flags);
	return 0;
}

static __always_inline void reset_write(__u64 cookie, __u32 reason, __u8 state, __u16 flags,
					const struct tuple *tuple, bool ipv6)
{
	struct emission emission;
	struct rec_reset *record;

	emission = emit_reserve(&segment_rings, RING_SEGMENT,
				ipv6 ? REC_SIZE_V6(rec_reset) : REC_SIZE_V4(rec_reset), REC_RESET,
				flags | (ipv6 ? REC_F_IPV6 : 0), tuple->netns);
	record = emission.record;
	if (!record)
		return;
	record->cookie = cookie;
	record->reason = reason;
	record->local_port = tuple->local_port;
	record->remote_port = tuple->remote_port;
	record->state = state;
	__builtin_memset(record->reserved, 0, sizeof(record->reserved));
	emit_addresses(record->addresses, tuple->local, tuple->remote, ipv6);
	emit_submit(&emission);
}

static __always_inline void reset_record(__u64 cookie, __u32 reason, __u8 state, __u16 flags,
					 const struct tuple *tuple,
					 const struct sampling_site *site)
{
	__u16 shift = 0;

	if (!sample_tuple(site, tuple, SAMPLING_RESET, &shift))
		return;
	flags |= shift;
	if (tuple->ipv6)
		reset_write(cookie, reason, state, flags, tuple, true);
	else
		reset_write(cookie, reason, state, flags, tuple, false);
}

/* Anything may be NULL, and sk may be a minisock or a listener: only sock_common, only probed. */
static __always_inline void reset_sent(const struct sock *sk, const struct sk_buff *skb,
				       __u32 reason)
{
	struct parsed_segment segment = {};
	const struct net_device *dev;
	struct total_counters *total;
	const struct net *net = NULL;
	struct sampling_site site;
	struct tuple tuple = {};
	__u32 ifindex = 0;
	__u8 state = KS_NONE;
	__u64 cookie = 0;

	if (sk) {
		net = KERNEL_READ(struct sock, sk, __sk_common.skc_net.net);
		cookie = KERNEL_READ(struct sock, sk, __sk_common.skc_cookie.counter);
		state = KERNEL_READ(struct sock, sk, __sk_common.skc_state);
	} else if (skb) {
		dev = KERNEL_READ(struct sk_buff, skb, dev);
		net = KERNEL_READ(struct net_device, dev, nd_net.net);
	}
	tuple.netns = origin_netns_untrusted(net);
	if (!tuple.netns)
		return;
	total = emit_totals();
	if (total)
		emit_count(&total->resets_sent);
	if (skb) { /* what provoked it: an arrived segment */
		if (!skb_segment(skb, &segment))
			return;
		ifindex = KERNEL_READ(struct sk_buff, skb, skb_iif);
		tuple_from(&segment, false, &tuple);
	} else if (sk) {
		tuple_of_untrusted(&sk->__sk_common, &tuple);
		tuple.local_port =
			bpf_ntohs(BPF_CORE_READ((const struct inet_sock *)sk, inet_sport));
	}
	site = sample_site(&tuple, !sk, ifindex);
	reset_record(cookie, reason, state, REC_F_SENT, &tuple, &site);
}

SEC("tp_btf/tcp_send_reset")
int BPF_PROG(on_send_reset, struct sock *sk, struct sk_buff *skb, int reason)
{
	reset_sent(sk, skb, reason);
	return 0;
}

SEC("tp_btf/tcp_send_reset")
int BPF_PROG(on_send_reset_noreason, struct sock *sk, struct sk_buff *skb)
{
	reset_sent(sk, skb, 0);
	return 0;
}

SEC("tp_btf/tcp_receive_reset")
int BPF_PROG(on_receive_reset, struct sock *sk)
{
	struct total_counters *total;
	struct sampling_site site;
	struct tuple tuple = { .netns = origin_netns(sk->__sk_common.skc_net.net) };

	if (!tuple.netns)
		return 0;
	total = emit_totals();
	if (total)
		emit_count(&total->resets_received);
	tuple_of(&sk->__sk_common, &tuple);
	tuple.local_port = sk->__sk_common.skc_num;
	site = sample_site(&tuple, false, 0);
	reset_record(sk->__sk_common.skc_cookie.counter, 0, sk->__sk_common.skc_state, 0, &tuple,
		     &site);
	return 0;
}

/* Frees that are no loss: consumed after all, purged at a close, or taken in by TIME_WAIT. */
static __always_inline bool drop_is_noise(__u32 reason, __u8 rx_state)
{
	if (DROP_REASON_IS(reason, SKB_CONSUMED) ||
	    DROP_REASON_IS(reason, SKB_DROP_REASON_QUEUE_PURGE))
		return true;
	return rx_state == KS_TIME_WAIT && DROP_REASON_IS(reason, SKB_DROP_REASON_NOT_SPECIFIED);
}

static __always_inline void drop_write(const struct parsed_segment *segment, __u32 ifindex,
				       __u32 reason, __u8 rx_state, const struct tuple *tuple,
				       __u16 flags, bool ipv6)
{
	struct emission emission;
	struct rec_drop *record;

	emission = emit_reserve(&segment_rings, RING_SEGMENT,
				ipv6 ? REC_SIZE_V6(rec_drop) : REC_SIZE_V4(rec_drop), REC_DROP,
				flags | (ipv6 ? REC_F_IPV6 : 0), tuple->netns);
	record = emission.record;
	if (!record)
		return;
	record->ifindex = ifindex;
	record->reason = reason;
	record->local_port = tuple->local_port;
	record->remote_port = tuple->remote_port;
	record->seq = segment->seq;
	record->ack = segment->ack;
	record->payload_bytes = segment->payload_bytes;
	record->tcp_flags = segment->tcp_flags;
	record->rx_state = rx_state;
	__builtin_memset(record->reserved, 0, sizeof(record->reserved));
	emit_addresses(record->addresses, tuple->local, tuple->remote, ipv6);
	emit_submit(&emission);
}

static __always_inline bool drop_is_local(const struct tuple *tuple)
{
	struct local_prefix key = { .prefixlen = LOCAL_PREFIX_BITS, .netns = tuple->netns };
	__u32 mapped[4] = { 0, 0, bpf_htonl(0xffff), tuple->local[0] };

	__builtin_memcpy(key.address, tuple->ipv6 ? tuple->local : mapped, 16);
	return bpf_map_lookup_elem(&local_prefixes, &key) != NULL;
}

/*
 * In whose namespace an skb is; 0: none that is watched. One that was received (skb_iif) may still
 * carry its sender's socket, of another namespace: a veth keeps it (linux
 * net/core/skbuff.c:skb_scrub_packet) until ip_rcv() lets it go. So its device says it, but where
 * tcp_v4_rcv() took that away.
 */
static __always_inline __u32 drop_netns(const struct sk_buff *skb, const struct sock *rx_sk)
{
	const struct net_device *dev = KERNEL_READ(struct sk_buff, skb, dev);
	const struct sock *sk = rx_sk;

	if (!sk && (!dev || !KERNEL_READ(struct sk_buff, skb, skb_iif)))
		sk = KERNEL_READ(struct sk_buff, skb, sk);
	if (sk)
		return origin_netns_untrusted(
			KERNEL_READ(struct sock, sk, __sk_common.skc_net.net));
	return origin_netns_untrusted(KERNEL_READ(struct net_device, dev, nd_net.net));
}

/*
 * An skb of ours that leaves has a socket and was never received. One that arrived counts if a
 * socket took it in or its local address is ours; the rest is somebody's transit.
 */
static __always_inline void dropped(const struct sk_buff *skb, __u32 reason,
				    const struct sock *rx_sk)
{
	__u16 protocol = KERNEL_READ(struct sk_buff, skb, protocol);
	__u8 rx_state = rx_sk ? KERNEL_READ(struct sock, rx_sk, __sk_common.skc_state) : KS_NONE;
	__u32 slot = reason < DROP_REASONS_MAX ? reason : DROP_REASONS_MAX - 1;
	struct parsed_segment segment = {};
	struct total_counters *total;
	struct sampling_site site;
	struct tuple tuple = {};
	bool sent, stray;
	__u16 flags = 0;
	__u32 ifindex;

	if (protocol != bpf_htons(ETH_P_IP) && protocol != bpf_htons(ETH_P_IPV6))
		return;
	if (drop_is_noise(reason, rx_state))
		return;
	tuple.netns = drop_netns(skb, rx_sk);
	if (!tuple.netns || !skb_segment(skb, &segment))
		return;
	sent = KERNEL_READ(struct sk_buff, skb, sk) && !KERNEL_READ(struct sk_buff, skb, skb_iif);
	tuple_from(&segment, sent, &tuple);
	if (!sent && !rx_sk && !drop_is_local(&tuple))
		return;
	total = emit_totals();
	asm volatile("" : "+r"(slot)); /* keep the mask: the verifier has lost the range */
	if (total)
		emit_count(&total->dropped[slot & (DROP_REASONS_MAX - 1)]);
	stray = !sent && !rx_sk;
	if (!sent && (segment.tcp_flags & (TCPF_SYN | TCPF_ACK | TCPF_RST)) == TCPF_SYN)
		stray &= !drop_filtered(reason, rx_sk, &tuple);
	else if (rx_state == KS_LISTEN && segment.tcp_flags & TCPF_ACK)
		drop_refused(reason, rx_sk);
	if (segment.payload_bytes && !(segment.tcp_flags & (TCPF_SYN | TCPF_FIN | TCPF_RST)))
		return;
	ifindex = KERNEL_READ(struct sk_buff, skb, skb_iif);
	site = sample_site(&tuple, stray, ifindex);
	if (!sample_tuple(&site, &tuple, SAMPLING_DROP, &flags))
		return;
	if (sent)
		flags |= REC_F_SENT;
	if (tuple.ipv6)
		drop_write(&segment, ifindex, reason, rx_state, &tuple, flags, true);
	else
		drop_write(&segment, ifindex, reason, rx_state, &tuple, flags, false);
}

/* 6.11 and later. */
SEC("tp_btf/kfree_skb")
int BPF_PROG(on_kfree_skb, struct sk_buff *skb, void *location, __u32 reason, struct sock *rx_sk)
{
	dropped(skb, reason, rx_sk);
	return 0;
}

/* 5.17 to 6.10: the receiving socket is not told. */
SEC("tp_btf/kfree_skb")
int BPF_PROG(on_kfree_skb_nosk, struct sk_buff *skb, void *location, __u32 reason)
{
	dropped(skb, reason, NULL);
	return 0;
}
