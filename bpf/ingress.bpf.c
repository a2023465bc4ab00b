// SPDX-License-Identifier: GPL-2.0-only
/*
 * DOC: Segments that arrive.
 *
 * The same judgement behind three hooks: XDP (before the stack, one wire segment a frame) and tc
 * ingress with or without a link layer (after GRO). All of them let every packet pass.
 *
 * Which segments become records is asked of the kernel, not remembered here. The socket is looked
 * up, the way the stack will do it a moment later, and its state decides: SYN, FIN and RST always;
 * a plain segment only where the socket waits for one that completes something - a handshake
 * (LISTEN, NEW_SYN_RECV, SYN_RECV), or the acknowledgment of our FIN (FIN_WAIT1, CLOSING, LAST_ACK
 * with everything acknowledged) - or is a TIME_WAIT minisock, which no tracepoint shows. All
 * others are counted by kind and go on.
 *
 * Each record carries what the kernel believed at that instant. XDP runs ahead of the stack by a
 * NAPI batch, so this is evidence, not verdict.
 *
 * Where there is no socket, the local routing table (map local_prefixes) tells our own addresses
 * from transit; transit is counted and left alone.
 *
 * Listeners are counted here as well, in a per-CPU map and by the kernel's own predicates, because
 * a dropped SYN is visible nowhere else: it ends in consume_skb() on every kernel.
 */
#include "segment.h"

static __always_inline struct listener_counters *listener_counters(__u64 cookie)
{
	struct listener_counters *counters = bpf_map_lookup_elem(&listeners, &cookie);
	struct listener_counters zero = {};

	if (counters)
		return counters;
	bpf_map_update_elem(&listeners, &cookie, &zero, BPF_NOEXIST);
	return bpf_map_lookup_elem(&listeners, &cookie);
}

/*
 * A SYN meets a listener whose queues are in the snapshot. linux net/ipv4/tcp_input.c:
 * tcp_conn_request: a full SYN queue answers with a cookie or drops, a full accept queue drops. A
 * SYN over TIME_WAIT is exempt from the SYN queue's limit.
 */
static __always_inline void listener_syn(struct bpf_sock *sk, struct rec_snapshot *snap)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct listener_counters *counters;
	const struct netns_ipv4 *ipv4;
	__s32 room;

	if (!tp)
		return;
	ipv4 = &tp->inet_conn.icsk_inet.sk.__sk_common.skc_net.net->ipv4;
	room = ipv4->sysctl_max_syn_backlog - (__s32)snap->queues.syn_length;
	if (!ipv4->sysctl_tcp_syncookies && room < ipv4->sysctl_max_syn_backlog >> 2)
		snap->syn_bits |= SNAP_SYN_LAST_QUARTER;
	counters = listener_counters(tp->inet_conn.icsk_inet.sk.__sk_common.skc_cookie.counter);
	if (!counters)
		return;
	counters->syns++;
	if (snap->queues.accept_length > snap->queues.accept_limit)
		counters->drops[LISTENER_DROP_ACCEPT_QUEUE_FULL]++;
	else if (snap->state == KS_LISTEN && snap->queues.syn_length > snap->queues.accept_limit &&
		 !ipv4->sysctl_tcp_syncookies)
		counters->drops[LISTENER_DROP_SYN_QUEUE_FULL]++;
}

/*
 * The handshake's last ACK meets a request whose listener has no room. linux
 * net/ipv4/tcp_minisocks.c:tcp_check_req: the request remembers it (acked) and stays. A bare ACK
 * under TCP_DEFER_ACCEPT is put off before the queue is looked at.
 */
static __always_inline void listener_final_ack(struct bpf_sock *sk, const struct sighting *seen)
{
	const struct rec_snapshot *snap = &seen->snapshot;
	const struct parsed_segment *segment = &seen->segment;
	struct listener_counters *counters;
	struct tcp_request_sock *req;

	if (!(snap->bits & SNAP_QUEUES) || snap->bits & SNAP_ACKED ||
	    snap->queues.accept_length <= snap->queues.accept_limit)
		return;
	if (snap->bits & SNAP_DEFER && !segment->payload_bytes)
		return;
	req = bpf_skc_to_tcp_request_sock(sk);
	if (!req || segment->ack != req->snt_isn + 1 || segment->seq != req->rcv_nxt)
		return;
	counters = listener_counters(BPF_CORE_READ(
		snapshot_listener(req), inet_conn.icsk_inet.sk.__sk_common.skc_cookie.counter));
	if (counters)
		counters->drops[LISTENER_DROP_FINAL_ACK_REFUSED]++;
}

/* A SYN over TIME_WAIT goes to the listener, if there is one: report that one's queues. */
static __always_inline void ingress_listener_behind(struct sighting *seen)
{
	const struct parsed_segment *segment = &seen->segment;
	const __u32 any[4] = {};
	struct tcp_sock *tp;
	struct bpf_sock *sk;

	sk = segment_socket(seen->ctx, any, 0, segment->destination, segment->destination_port,
			    segment->ipv6);
	if (!sk)
		return;
	tp = bpf_skc_to_tcp_sock(sk);
	if (tp && sk->state == KS_LISTEN) {
		snapshot_queues(tp, &seen->snapshot);
		listener_syn(sk, &seen->snapshot);
	}
	bpf_sk_release(sk);
}

/* Does a plain segment on a socket in this state complete something? (Looked at before a snapshot.) */
static __always_inline bool ingress_state_waits(__u8 state)
{
	switch (state) {
	case KS_NEW_SYN_RECV:
	case KS_SYN_RECV:
	case KS_TIME_WAIT:
	case KS_LISTEN:
	case KS_FIN_WAIT1:
	case KS_CLOSING:
	case KS_LAST_ACK:
		return true;
	}
	return false;
}

/* The socket was found and is worth a look; says whether the segment is worth a record. */
static __always_inline bool ingress_judge(struct bpf_sock *sk, __u8 state, struct sighting *seen)
{
	const struct parsed_segment *segment = &seen->segment;
	bool opens = (segment->tcp_flags & (TCPF_SYN | TCPF_ACK | TCPF_RST)) == TCPF_SYN;

	snapshot_socket(sk, state, &seen->snapshot);
	if (opens && state == KS_LISTEN)
		listener_syn(sk, &seen->snapshot);
	else if (state == KS_NEW_SYN_RECV &&
		 (segment->tcp_flags & (TCPF_SYN | TCPF_ACK | TCPF_RST)) == TCPF_ACK)
		listener_final_ack(sk, seen);
	if (segment->tcp_flags & SEGMENT_CONTROL)
		return true;
	if (state == KS_FIN_WAIT1 || state == KS_CLOSING || state == KS_LAST_ACK)
		return segment->ack == seen->snapshot.vars.write_seq;
	return true;
}

static __always_inline void ingress(struct sighting *seen, bool xdp)
{
	const struct parsed_segment *segment = &seen->segment;
	bool control = segment->tcp_flags & SEGMENT_CONTROL;
	bool wanted = control;
	struct bpf_sock *sk;
	__u8 state = KS_NONE;

	sk = segment_socket(seen->ctx, segment->source, segment->source_port, segment->destination,
			    segment->destination_port, segment->ipv6);
	if (sk) {
		state = sk->state;
		if (control || ingress_state_waits(state))
			wanted = ingress_judge(sk, state, seen);
		bpf_sk_release(sk);
	} else if (!segment_address_is_local(seen->netns, segment->destination, segment->ipv6)) {
		segment_ignore(seen, IGNORED_TRANSIT);
		return;
	}
	segment_count(seen);
	if (!wanted)
		return;
	seen->snapshot.bits |= SNAP_LOOKED;
	if (state == KS_TIME_WAIT && segment->tcp_flags & TCPF_SYN)
		ingress_listener_behind(seen);
	segment_record(seen, xdp);
}

static __always_inline void ingress_parsed(struct sighting *seen, enum parse_result result,
					   bool xdp)
{
	if (result == PARSE_TCP)
		ingress(seen, xdp);
	else if (result != PARSE_OTHER)
		segment_ignore(seen, parse_ignored_reason(result));
}

/* The hook cannot tell native from generic: the daemon knows what it attached to the interface. */
SEC("xdp.frags")
int xdp_ingress(struct xdp_md *ctx)
{
	struct sighting seen = {
		.ctx = ctx,
		.netns = segment_netns_xdp(ctx),
		.ifindex = ctx->ingress_ifindex,
		.gso_segs = 1,
		.hook = HOOK_XDP_NATIVE,
	};
	enum parse_result result;

	result = segment_parse_xdp(ctx, ctx->data_end - ctx->data, &seen.segment);
	if (result == PARSE_TRUNCATED) /* perhaps the rest is in fragments, which few frames have */
		result = segment_parse_xdp(ctx, bpf_xdp_get_buff_len(ctx), &seen.segment);
	ingress_parsed(&seen, result, true);
	return XDP_PASS;
}

static __always_inline int tc_ingress(struct __sk_buff *skb, int has_link_layer)
{
	struct sighting seen = {
		.ctx = skb,
		.netns = segment_netns_skb(skb),
		.ifindex = skb->ifindex,
		.gso_segs = skb->gso_segs ?: 1,
		.hook = HOOK_TC_INGRESS,
	};

	ingress_parsed(&seen, segment_parse_skb(skb, has_link_layer, &seen.segment), false);
	return TCX_NEXT;
}

SEC("tc")
int tc_ingress_eth(struct __sk_buff *skb)
{
	return tc_ingress(skb, 1);
}

SEC("tc")
int tc_ingress_ip(struct __sk_buff *skb)
{
	return tc_ingress(skb, 0);
}

char LICENSE[] SEC("license") __weak = "GPL";
