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
 * others are counted by kind and go on; of a flow in mid-life without asking (quiet.h).
 *
 * Each record carries what the kernel believed at that instant. XDP runs ahead of the stack by a
 * NAPI batch, so this is evidence, not verdict.
 *
 * Where there is no socket, the local routing table (map local_prefixes) tells our own addresses
 * from transit; transit is counted and left alone.
 *
 * Listeners are counted here as well (listener.h), because a dropped SYN is visible nowhere else:
 * it ends in consume_skb() on every kernel.
 */
#include "listener.h"
#include "quiet.h"
#include "segment.h"
#include "sources.h"

static __always_inline bool ingress_opens(const struct parsed_segment *segment)
{
	return (segment->tcp_flags & (TCPF_SYN | TCPF_ACK | TCPF_RST)) == TCPF_SYN;
}

/*
 * Does TIME_WAIT give way to this SYN? linux net/ipv4/tcp_minisocks.c:tcp_timewait_state_process:
 * a newer sequence number or a newer timestamp, and no older one (RFC 7323 §5.3, RFC 6191).
 */
static __always_inline bool ingress_recycles(const struct tcp_timewait_sock *tw,
					     const struct sighting *seen)
{
	__s32 newer;

	if (tw->tw_sk.tw_substate != KS_TIME_WAIT)
		return false;
	newer = (__s32)(seen->segment.seq - tw->tw_sk.__tw_common.skc_tw_rcv_nxt);
	if (!tw->tw_ts_recent_stamp || !(seen->options.present & TCPO_TIMESTAMP))
		return newer > 0;
	if (seen->options.tsval == tw->tw_ts_recent)
		return newer > 0;
	return (__s32)(seen->options.tsval - tw->tw_ts_recent) > 0;
}

static __always_inline void ingress_note_syn(const struct listener_sight *at,
					     struct rec_snapshot *snap)
{
	if (listener_quarter(at, at->syn_length))
		snap->syn_bits |= SNAP_SYN_LAST_QUARTER;
}

static __always_inline void ingress_count_syn(const struct listener_sight *at,
					      const struct parsed_segment *segment)
{
	listener_count_syn(at);
	sources_count(at->cookie, segment);
}

/* A SYN over TIME_WAIT goes to the listener, if there is one: report that one's queues. */
static __always_inline void ingress_listener_behind(struct sighting *seen, bool recycles)
{
	const struct parsed_segment *segment = &seen->segment;
	struct listener_sight at = { .time_wait = 1 };
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
		listener_see(tp, &at);
		ingress_note_syn(&at, &seen->snapshot);
		if (recycles)
			ingress_count_syn(&at, segment);
	}
	bpf_sk_release(sk);
}

static __always_inline void ingress_syn(struct bpf_sock *sk, struct sighting *seen)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct listener_sight at = {};

	if (!tp)
		return;
	listener_see(tp, &at);
	ingress_note_syn(&at, &seen->snapshot);
	ingress_count_syn(&at, &seen->segment);
}

/* linux net/ipv4/tcp_minisocks.c:tcp_in_window, of a request. */
static __always_inline bool ingress_in_window(const struct tcp_request_sock *req,
					      const struct parsed_segment *segment)
{
	__u32 end = segment->seq + segment->payload_bytes + !!(segment->tcp_flags & TCPF_FIN);
	__u32 limit = req->rcv_nxt + req->req.req.__req_common.skc_rcv_wnd;

	if (segment->seq == req->rcv_nxt)
		return true;
	return (__s32)(end - req->rcv_nxt) > 0 && (__s32)(segment->seq - limit) < 0;
}

static __always_inline void ingress_listener_reset(struct bpf_sock *sk)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	if (tp)
		listener_count_reset(tp->inet_conn.icsk_inet.sk.__sk_common.skc_cookie.counter, 0);
}

/*
 * A RST meets a request. linux net/ipv4/tcp_minisocks.c:tcp_check_req: in the window, and with an
 * ACK only of our SYN-ACK, it ends the request.
 */
static __always_inline void ingress_request_reset(const struct tcp_request_sock *req,
						  const struct request_listener *listener,
						  const struct parsed_segment *segment)
{
	if (!ingress_in_window(req, segment) ||
	    (segment->tcp_flags & TCPF_ACK && segment->ack != req->snt_isn + 1))
		return;
	listener_count_reset(listener->cookie, 1);
}

/* How long the request has waited; 0 while its child will tell (tcp_synack_rtt_meas). */
static __always_inline __u64 ingress_waited_ns(const struct tcp_request_sock *req)
{
	if (!req->req.req.num_retrans || !req->snt_synack)
		return 0;
	return bpf_ktime_get_ns() - req->snt_synack * 1000;
}

/*
 * An ACK meets a request. linux net/ipv4/tcp_minisocks.c:tcp_check_req: where the listener has no
 * room, the request remembers it (acked) and stays. A bare ACK under TCP_DEFER_ACCEPT is put off
 * before the queue is looked at, until that many SYN-ACKs timed out.
 */
static __always_inline void ingress_final_ack(const struct tcp_request_sock *req,
					      const struct request_listener *listener,
					      const struct sighting *seen, bool xdp)
{
	const struct parsed_segment *segment = &seen->segment;
	struct listener_sight at = { .early = xdp };

	if (!ingress_in_window(req, segment))
		return;
	listener_see_request(req, listener, &at);
	if (!segment->payload_bytes &&
	    BPF_CORE_READ_BITFIELD(&req->req.req, num_timeout) < listener->defer_accept) {
		listener_count_deferred(at.cookie);
		return;
	}
	listener_count_final_ack(&at, LISTENER_DROP_FINAL_ACK_REFUSED, ingress_waited_ns(req));
}

/*
 * Did the SYN queue overflow of late, so that this may be a cookie's? linux
 * include/net/tcp.h:tcp_synq_no_recent_overflow: 32-bit jiffies, two minutes, a second's tolerance.
 */
static __always_inline bool ingress_cookies_due(const struct tcp_sock *tp)
{
	const struct sock_reuseport *group = tp->inet_conn.icsk_inet.sk.sk_reuseport_cb;
	__u32 last = (__u32)tp->rx_opt.ts_recent_stamp;

	if (group)
		last = BPF_CORE_READ(group, synq_overflow_ts);
	return (__u32)bpf_jiffies64() - (last - config.hz) <= 121 * config.hz;
}

/* The headers of a segment again, as far as a cookie is made of them. */
struct cookie_headers {
	__u8 ip[PARSE_IPV6_BYTES];
	__u8 tcp[PARSE_TCP_BYTES];
};

static __always_inline void ingress_rebuild(const struct parsed_segment *segment,
					    struct cookie_headers *ret)
{
	__u32 *words = (__u32 *)ret->tcp;
	__u16 *ports = (__u16 *)ret->tcp;

	if (segment->ipv6) {
		ret->ip[0] = 0x60;
		__builtin_memcpy(ret->ip + 8, segment->source, 16);
		__builtin_memcpy(ret->ip + 24, segment->destination, 16);
	} else {
		ret->ip[0] = 0x45;
		__builtin_memcpy(ret->ip + 12, segment->source, 4);
		__builtin_memcpy(ret->ip + 16, segment->destination, 4);
	}
	ports[0] = bpf_htons(segment->source_port);
	ports[1] = bpf_htons(segment->destination_port);
	words[1] = bpf_htonl(segment->seq);
	words[2] = bpf_htonl(segment->ack);
	ret->tcp[12] = PARSE_TCP_BYTES / 4 << 4;
	ret->tcp[13] = TCPF_ACK;
}

/*
 * An ACK meets the listener itself: a SYN cookie's answer, or nothing we know. The kernel's own
 * check says which (linux net/ipv4/syncookies.c:cookie_v4_check).
 */
static __always_inline void ingress_cookie_ack(struct bpf_sock *sk, const struct sighting *seen,
					       bool xdp)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct listener_sight at = { .early = xdp };
	struct cookie_headers headers = {};
	bool valid;

	if (!tp)
		return;
	listener_see(tp, &at);
	if (!at.syncookies || !ingress_cookies_due(tp))
		return;
	ingress_rebuild(&seen->segment, &headers);
	valid = !bpf_tcp_check_syncookie(sk, headers.ip, sizeof(headers.ip),
					 (struct tcphdr *)headers.tcp, sizeof(headers.tcp));
	listener_count_cookie_ack(at.cookie, valid);
	if (valid)
		listener_count_final_ack(&at, LISTENER_DROP_COOKIE_REFUSED, 0);
}

/* One that does not answer the request's SYN-ACK is handed to the listener (tcp_check_req). */
static __always_inline void ingress_other_ack(const struct sighting *seen, bool xdp)
{
	const struct parsed_segment *segment = &seen->segment;
	const __u32 any[4] = {};
	struct bpf_sock *listener;

	listener = segment_socket(seen->ctx, any, 0, segment->destination,
				  segment->destination_port, segment->ipv6);
	if (!listener)
		return;
	if (listener->state == KS_LISTEN)
		ingress_cookie_ack(listener, seen, xdp);
	bpf_sk_release(listener);
}

static __always_inline void ingress_request(struct bpf_sock *sk, struct sighting *seen, bool xdp)
{
	const struct parsed_segment *segment = &seen->segment;
	bool acks = (segment->tcp_flags & (TCPF_SYN | TCPF_ACK | TCPF_RST)) == TCPF_ACK;
	bool resets = segment->tcp_flags & TCPF_RST;
	struct tcp_request_sock *req = bpf_skc_to_tcp_request_sock(sk);
	struct request_listener listener = {};
	bool known;

	seen->snapshot.state = KS_NEW_SYN_RECV;
	if (!req) /* one of MPTCP */
		return;
	known = xdp ? snapshot_listener_at(req, &listener) : snapshot_listener(sk, req, &listener);
	snapshot_request(req, known, &listener, &seen->snapshot);
	if (acks && segment->ack != req->snt_isn + 1)
		ingress_other_ack(seen, xdp);
	else if (acks && known)
		ingress_final_ack(req, &listener, seen, xdp);
	else if (resets && known)
		ingress_request_reset(req, &listener, segment);
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

static __always_inline bool ingress_time_wait(struct bpf_sock *sk, struct sighting *seen, bool xdp)
{
	struct tcp_timewait_sock *tw = bpf_skc_to_tcp_timewait_sock(sk);

	if (!tw)
		return false;
	segment_options(seen, xdp);
	return ingress_recycles(tw, seen);
}

/* The socket was found and is worth a look; says whether the segment is worth a record. */
static __always_inline bool ingress_judge(struct bpf_sock *sk, __u8 state, struct sighting *seen,
					  bool xdp, bool *ret_recycles)
{
	const struct parsed_segment *segment = &seen->segment;
	bool acks = (segment->tcp_flags & (TCPF_SYN | TCPF_ACK | TCPF_RST)) == TCPF_ACK;

	if (state == KS_NEW_SYN_RECV) {
		ingress_request(sk, seen, xdp);
		return true;
	}
	snapshot_socket(sk, state, &seen->snapshot);
	if (state == KS_LISTEN && ingress_opens(segment))
		ingress_syn(sk, seen);
	else if (state == KS_LISTEN && acks)
		ingress_cookie_ack(sk, seen, xdp);
	else if (state == KS_LISTEN && segment->tcp_flags & TCPF_RST)
		ingress_listener_reset(sk);
	else if (state == KS_TIME_WAIT && ingress_opens(segment))
		*ret_recycles = ingress_time_wait(sk, seen, xdp);
	if (segment->tcp_flags & SEGMENT_CONTROL)
		return true;
	if (state == KS_FIN_WAIT1 || state == KS_CLOSING || state == KS_LAST_ACK)
		return segment->ack == seen->snapshot.vars.write_seq;
	return true;
}

/* A socket was looked up in the namespace of the device, and is at hand. */
static __always_inline __u32 ingress_netns(struct bpf_sock *sk, const struct sighting *seen,
					   bool xdp)
{
	struct tcp_sock *tp;

	if (quiet_possible())
		return seen->netns;
	tp = sk ? bpf_skc_to_tcp_sock(sk) : NULL;
	if (tp)
		return tp->inet_conn.icsk_inet.sk.__sk_common.skc_net.net->ns.inum;
	return segment_netns(seen->ctx, xdp);
}

static __always_inline void ingress(struct sighting *seen, bool xdp)
{
	const struct parsed_segment *segment = &seen->segment;
	bool control = segment->tcp_flags & SEGMENT_CONTROL;
	bool wanted = control, recycles = false;
	struct bpf_sock *sk;
	struct quiet quiet;
	__u8 state = KS_NONE;

	if (quiet_possible())
		seen->netns = segment_netns(seen->ctx, xdp);
	quiet = quiet_at(seen->netns, segment->destination, segment->destination_port,
			 segment->source, segment->source_port, segment->ipv6);
	if (control) {
		quiet_end(&quiet);
	} else if (quiet_is(&quiet)) {
		segment_count(seen);
		return;
	}
	sk = segment_socket(seen->ctx, segment->source, segment->source_port, segment->destination,
			    segment->destination_port, segment->ipv6);
	seen->netns = ingress_netns(sk, seen, xdp);
	if (sk) {
		state = sk->state;
		if (control || ingress_state_waits(state))
			wanted = ingress_judge(sk, state, seen, xdp, &recycles);
		else if (state == KS_ESTABLISHED)
			quiet_begin(&quiet, sk);
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
		ingress_listener_behind(seen, recycles);
	segment_record(seen, xdp);
}

static __always_inline void ingress_parsed(struct sighting *seen, enum parse_result result,
					   bool xdp)
{
	if (result == PARSE_TCP) {
		ingress(seen, xdp);
	} else if (result != PARSE_OTHER) {
		seen->netns = segment_netns(seen->ctx, xdp);
		segment_ignore(seen, parse_ignored_reason(result));
	}
}

/* The hook cannot tell native from generic: the daemon knows what it attached to the interface. */
SEC("xdp.frags")
int xdp_ingress(struct xdp_md *ctx)
{
	struct sighting seen = {
		.ctx = ctx,
		.ifindex = ctx->ingress_ifindex,
		.gso_segs = 1,
		.hook = HOOK_XDP_NATIVE,
	};
	struct cursor cursor = { (void *)(long)ctx->data, (void *)(long)ctx->data_end };
	enum parse_result result;

	if (!parse_frame_usual(&cursor, ctx->data_end - ctx->data, &seen.segment, &result))
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
		.ifindex = skb->ifindex,
		.gso_segs = skb->gso_segs ?: 1,
		.hook = HOOK_TC_INGRESS,
	};

	ingress_parsed(&seen, segment_parse_tc(skb, has_link_layer, &seen.segment), false);
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
