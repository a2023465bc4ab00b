// SPDX-License-Identifier: GPL-2.0-only
/*
 * DOC: Segments that leave.
 *
 * At tc egress the packet still carries its socket, so nothing is looked up: skb->sk says what the
 * kernel believes, and the kernel changes a socket's state before the segment that announces it
 * leaves. SYN, FIN and RST are recorded always; a plain segment where its socket's state says that
 * it completes something:
 *
 *   ESTABLISHED   the client's handshake ACK, bare or with data: nothing received yet, the SYN
 *                 acknowledged, and this the second segment ever sent
 *   FIN_WAIT1, FIN_WAIT2, CLOSING   with SOCK_DONE: the ACK of the peer's FIN (tcp_fin() sets the
 *                 flag before that ACK leaves)
 *   CLOSE_WAIT, LAST_ACK   without payload, for the same ACK
 *   NEW_SYN_RECV, SYN_RECV, TIME_WAIT, LISTEN   always
 *
 * Two kinds of segment come without a socket worth reading. A reply the kernel makes in nobody's
 * name (a RST, and up to 6.12 an ACK of TIME_WAIT) belongs to a per-CPU control socket, or under
 * IPv6 to none: then the tuple, turned round, is looked up. A SYN-ACK without a socket is a SYN
 * cookie: there is nothing to look up, and that is what its record says. Forwarded packets have no
 * socket either; they came in by another device, and whatever address NAT gave them is not theirs.
 * A packet that is bridged or leaves by macvlan still has its socket, another namespace's.
 *
 * Where NAT changed the packet behind the socket's back, the record has the socket's tuple.
 */
#include "listener.h"
#include "quiet.h"
#include "segment.h"

/* linux net/ipv4/tcp_output.c:tcp_make_synack stamps a request with its first SYN-ACK. */
#define EGRESS_FRESH_NS (10 * 1000000ll)

/* What skb->sk turned out to be. */
enum owner {
	OWNER_NONE,    /* no socket, or none of TCP */
	OWNER_CONTROL, /* the per-CPU control socket: nothing in it is about this segment */
	OWNER_SOCKET,
	OWNER_FOREIGN, /* a socket of another network namespace */
};

static __always_inline bool egress_handshake_ack(const struct tcp_sock *tp, __u16 gso_segs)
{
	return !tp->bytes_received && tp->bytes_acked &&
	       tp->segs_out - tp->total_retrans - gso_segs == 1;
}

/* Is a plain segment of this socket worth a record? From the snapshot alone but for ESTABLISHED. */
static __always_inline bool egress_completes(const struct rec_snapshot *snap, __u32 payload_bytes)
{
	switch (snap->state) {
	case KS_FIN_WAIT1:
	case KS_FIN_WAIT2:
	case KS_CLOSING:
		return snap->bits & SNAP_DONE;
	case KS_CLOSE_WAIT:
	case KS_LAST_ACK:
		return !payload_bytes;
	case KS_NEW_SYN_RECV:
	case KS_SYN_RECV:
	case KS_TIME_WAIT:
	case KS_LISTEN:
		return true;
	}
	return false;
}

static __always_inline bool egress_same(const __u32 a[4], const __u32 b[4], bool ipv6)
{
	if (a[0] != b[0])
		return false;
	return !ipv6 || (a[1] == b[1] && a[2] == b[2] && a[3] == b[3]);
}

/* Volatile: merged loads would need arithmetic on the socket pointer, which is not allowed. */
#define EGRESS_READ_ADDRESS(to, from)                                                              \
	do {                                                                                       \
		(to)[0] = *(volatile const __u32 *)&(from)[0];                                     \
		(to)[1] = *(volatile const __u32 *)&(from)[1];                                     \
		(to)[2] = *(volatile const __u32 *)&(from)[2];                                     \
		(to)[3] = *(volatile const __u32 *)&(from)[3];                                     \
	} while (0)

/*
 * If the packet's tuple is not the socket's, take the socket's. `local_port` is the caller's: a
 * closed socket has lost skc_num and keeps inet_sport only.
 */
static __always_inline void egress_untranslate(const struct bpf_sock *sk, __u16 local_port,
					       struct sighting *seen)
{
	struct parsed_segment *segment = &seen->segment;
	__u16 remote_port = bpf_ntohs(sk->dst_port);
	__u32 local[4] = {}, remote[4] = {};
	bool ipv6 = segment->ipv6;

	if (!local_port || !remote_port)
		return;
	if (ipv6) {
		EGRESS_READ_ADDRESS(local, sk->src_ip6);
		EGRESS_READ_ADDRESS(remote, sk->dst_ip6);
	} else {
		local[0] = *(volatile const __u32 *)&sk->src_ip4;
		remote[0] = *(volatile const __u32 *)&sk->dst_ip4;
	}
	if (local_port == segment->source_port && remote_port == segment->destination_port &&
	    egress_same(local, segment->source, ipv6) &&
	    egress_same(remote, segment->destination, ipv6))
		return;
	__builtin_memcpy(segment->source, local, sizeof(local));
	__builtin_memcpy(segment->destination, remote, sizeof(remote));
	segment->source_port = local_port;
	segment->destination_port = remote_port;
	seen->translated = 1;
}

/* If it is not, its namespace is the segment's. `net`: of the device, where there are several. */
static __always_inline bool egress_is_foreign(const struct sock_common *sk, const struct net *net,
					      struct sighting *seen)
{
	if (!config.netns && (__u64)sk->skc_net.net != (__u64)net)
		return true;
	seen->netns = sk->skc_net.net->ns.inum;
	return config.netns && seen->netns != config.netns;
}

/* A full socket of TCP; *ret_wanted says whether its plain segment is worth a record. */
static __always_inline enum owner egress_full(struct bpf_sock *sk, __u8 state,
					      const struct net *net, bool control,
					      struct sighting *seen, bool *ret_wanted)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	if (!tp)
		return OWNER_NONE;
	if (tp->inet_conn.icsk_inet.sk.sk_type != SOCK_STREAM)
		return OWNER_CONTROL;
	if (egress_is_foreign(&tp->inet_conn.icsk_inet.sk.__sk_common, net, seen))
		return OWNER_FOREIGN;
	if (!control && state == KS_ESTABLISHED) {
		*ret_wanted = egress_handshake_ack(tp, seen->gso_segs);
		if (!*ret_wanted)
			return OWNER_SOCKET;
	}
	seen->snapshot.state = state;
	seen->snapshot.bits |= SNAP_LOOKED;
	snapshot_full(tp, &seen->snapshot);
	if (!control && state != KS_ESTABLISHED)
		*ret_wanted = egress_completes(&seen->snapshot, seen->segment.payload_bytes);
	if (*ret_wanted && state != KS_LISTEN)
		egress_untranslate(sk, bpf_ntohs(tp->inet_conn.icsk_inet.inet_sport), seen);
	return OWNER_SOCKET;
}

/* A SYN-ACK without a request: a cookie's, a Fast Open child's, or that of MPTCP's, which hides. */
static __always_inline void egress_bare_synack(const struct sighting *seen, bool cookie)
{
	const struct parsed_segment *segment = &seen->segment;
	const __u32 any[4] = {};
	struct tcp_sock *tp;
	struct bpf_sock *sk;

	sk = segment_socket(seen->ctx, cookie ? segment->destination : any,
			    cookie ? segment->destination_port : 0, segment->source,
			    segment->source_port, segment->ipv6);
	if (!sk)
		return;
	tp = bpf_skc_to_tcp_sock(sk);
	if (tp && sk->state == KS_LISTEN)
		listener_count_bare_synack(
			tp->inet_conn.icsk_inet.sk.__sk_common.skc_cookie.counter, cookie);
	bpf_sk_release(sk);
}

/* The SYN-ACK of a request: its listener's. */
static __always_inline void egress_request_synack(const struct tcp_request_sock *req,
						  const struct request_listener *listener)
{
	struct listener_sight at = {};

	listener_see_request(req, listener, &at);
	/* by the clock of the last tick, which may be before the SYN-ACK's; the next one is far */
	at.first = (__s64)(bpf_ktime_get_coarse_ns() - req->snt_synack * 1000) < EGRESS_FRESH_NS;
	listener_count_synack(&at);
}

/* A SYN-ACK whose request could not be asked. */
static __always_inline void egress_synack(struct bpf_sock *sk, const struct sighting *seen)
{
	__u8 state = seen->snapshot.state;

	if (!sk)
		egress_bare_synack(seen, true);
	else if (state == KS_NEW_SYN_RECV || state == KS_SYN_RECV)
		egress_bare_synack(seen, false);
}

static __always_inline bool egress_is_synack(const struct sighting *seen)
{
	return (seen->segment.tcp_flags & (TCPF_SYN | TCPF_ACK)) == (TCPF_SYN | TCPF_ACK);
}

/* One of MPTCP cannot be converted, and counts as ours. */
static __always_inline enum owner egress_request(struct bpf_sock *sk, const struct net *net,
						 struct sighting *seen)
{
	struct tcp_request_sock *req = bpf_skc_to_tcp_request_sock(sk);
	struct request_listener listener = {};
	bool known;

	if (req && egress_is_foreign(&req->req.req.__req_common, net, seen))
		return OWNER_FOREIGN;
	seen->snapshot.state = KS_NEW_SYN_RECV;
	seen->snapshot.bits |= SNAP_LOOKED;
	known = req && snapshot_listener(sk, req, &listener);
	if (req)
		snapshot_request(req, known, &listener, &seen->snapshot);
	if (known && egress_is_synack(seen)) {
		egress_request_synack(req, &listener);
		seen->synack_counted = 1;
	}
	return OWNER_SOCKET;
}

static __always_inline enum owner egress_timewait(struct bpf_sock *sk, const struct net *net,
						  struct sighting *seen)
{
	struct tcp_timewait_sock *tw = bpf_skc_to_tcp_timewait_sock(sk);

	if (tw && egress_is_foreign(&tw->tw_sk.__tw_common, net, seen))
		return OWNER_FOREIGN;
	seen->snapshot.state = KS_TIME_WAIT;
	seen->snapshot.bits |= SNAP_LOOKED;
	if (tw)
		snapshot_timewait(tw, &seen->snapshot);
	return OWNER_SOCKET;
}

static __always_inline enum owner egress_owner(struct bpf_sock *sk, const struct net *net,
					       bool control, struct sighting *seen,
					       bool *ret_wanted)
{
	__u8 state = sk->state;
	enum owner owner;

	if (sk->family != AF_INET && sk->family != AF_INET6)
		return OWNER_NONE; /* a packet socket's own making */
	if (state != KS_NEW_SYN_RECV && state != KS_TIME_WAIT)
		return egress_full(sk, state, net, control, seen, ret_wanted);
	if (state == KS_NEW_SYN_RECV)
		owner = egress_request(sk, net, seen);
	else
		owner = egress_timewait(sk, net, seen);
	if (owner == OWNER_SOCKET) {
		egress_untranslate(sk, sk->src_port, seen);
		*ret_wanted = true;
	}
	return owner;
}

/* Nobody's segment: ask for the socket that its answer would meet. */
static __always_inline bool egress_look(struct sighting *seen, bool control)
{
	const struct parsed_segment *segment = &seen->segment;
	struct bpf_sock *sk;

	seen->snapshot.bits |= SNAP_LOOKED;
	if (egress_is_synack(seen))
		return true;
	if (!control && segment->payload_bytes)
		return false;
	sk = segment_socket(seen->ctx, segment->destination, segment->destination_port,
			    segment->source, segment->source_port, segment->ipv6);
	if (!sk)
		return control;
	snapshot_socket(sk, sk->state, &seen->snapshot);
	bpf_sk_release(sk);
	return control || egress_completes(&seen->snapshot, segment->payload_bytes);
}

/* Not of a socket of ours: is it nobody's of this namespace? */
static __always_inline bool egress_is_transit(struct __sk_buff *skb, const struct sighting *seen,
					      enum owner owner)
{
	if (owner == OWNER_FOREIGN || skb->ingress_ifindex)
		return true;
	return owner == OWNER_NONE &&
	       !segment_address_is_local(seen->netns, seen->segment.source, seen->segment.ipv6);
}

/* What comes back may matter. By the packet's tuple, as what comes back has it. */
static __always_inline void egress_wakes(const struct parsed_segment *segment,
					 const struct net *net)
{
	struct quiet quiet = {};

	if (quiet_possible())
		quiet = quiet_at(config.netns ?: segment_net_number(net), segment->source,
				 segment->source_port, segment->destination,
				 segment->destination_port, segment->ipv6);
	quiet_end(&quiet);
}

static __always_inline void egress(struct __sk_buff *skb, struct sighting *seen)
{
	const struct parsed_segment *segment = &seen->segment;
	bool control = segment->tcp_flags & SEGMENT_CONTROL;
	enum owner owner = OWNER_NONE;
	const struct net *net = config.netns ? NULL : segment_net(skb, false);
	struct bpf_sock *sk = skb->sk;
	bool wanted = control;

	if (control)
		egress_wakes(segment, net);
	if (sk)
		owner = egress_owner(sk, net, control, seen, &wanted);
	if (config.netns)
		seen->netns = config.netns;
	else if (owner != OWNER_SOCKET || !seen->netns)
		seen->netns = segment_net_number(net);
	if (owner != OWNER_SOCKET && egress_is_transit(skb, seen, owner)) {
		segment_ignore(seen, IGNORED_TRANSIT);
		return;
	}
	segment_count(seen);
	if (owner == OWNER_CONTROL)
		seen->snapshot.bits |= SNAP_CTL_SK;
	if (owner != OWNER_SOCKET)
		wanted = egress_look(seen, control);
	if (egress_is_synack(seen) && !seen->synack_counted)
		egress_synack(sk, seen);
	if (!wanted)
		return;
	/* From here on the cookie exists, and every later look at this connection reads it. */
	if (owner == OWNER_SOCKET && segment->tcp_flags & TCPF_SYN)
		seen->snapshot.cookie = bpf_get_socket_cookie(skb);
	segment_record(seen, false);
}

static __always_inline int tc_egress(struct __sk_buff *skb, int has_link_layer)
{
	struct sighting seen = {
		.ctx = skb,
		.ifindex = skb->ifindex,
		.gso_segs = skb->gso_segs ?: 1,
		.hook = HOOK_TC_EGRESS,
		.sent = 1,
	};
	enum parse_result result;

	result = segment_parse_tc(skb, has_link_layer, &seen.segment);
	if (result == PARSE_TCP) {
		egress(skb, &seen);
	} else if (result != PARSE_OTHER) {
		seen.netns = segment_netns(skb, false);
		segment_ignore(&seen, parse_ignored_reason(result));
	}
	return TCX_NEXT;
}

SEC("tc")
int tc_egress_eth(struct __sk_buff *skb)
{
	return tc_egress(skb, 1);
}

SEC("tc")
int tc_egress_ip(struct __sk_buff *skb)
{
	return tc_egress(skb, 0);
}
