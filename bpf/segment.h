/* SPDX-License-Identifier: GPL-2.0-only */
/* What ingress and egress share: counting a segment, asking for its socket, recording it. */
#ifndef TCPWITNESS_BPF_SEGMENT_H
#define TCPWITNESS_BPF_SEGMENT_H

#include "emit.h"
#include "maps.h"
#include "sample_segment.h"
#include "snapshot.h"

#include "parse.h"

#define SEGMENT_CONTROL (TCPF_SYN | TCPF_FIN | TCPF_RST)
#define V4_MAPPED bpf_htonl(0xffff)

/* A segment where we met it. */
struct sighting {
	void *ctx; /* of the program: xdp_md or __sk_buff */
	struct parsed_segment segment;
	struct tcp_options options;
	struct rec_snapshot snapshot;
	__u32 netns, ifindex;
	__u16 gso_segs;
	__u8 hook; /* enum rec_hook */
	__u8 sent;
	__u8 translated;
	__u8 synack_counted; /* by its request's listener */
};

/*
 * Parsing, in global functions: the verifier walks each once by itself, and not again for each
 * path that leads there and beyond (more than 1 M instructions otherwise). Such a function may
 * take the context but no packet pointer, hence one for each kind of context.
 */
#define SEGMENT_GLOBAL __weak __attribute__((noinline))
#define SEGMENT_OFFSET_MAX 4096

static __always_inline int segment_options_at(void *data, void *data_end,
					      const struct parsed_segment *segment,
					      struct option_scratch *scratch,
					      struct tcp_options *ret)
{
	struct cursor cursor = { data, data_end };
	__u32 offset;

	if (!segment || !scratch || !ret)
		return 0;
	offset = segment->option_offset;
	if (offset > SEGMENT_OFFSET_MAX)
		return 0;
	cursor.position += offset;
	parse_options(&cursor, segment->option_bytes, scratch, ret);
	return 0;
}

SEGMENT_GLOBAL int segment_parse_xdp(struct xdp_md *ctx, __u32 packet_bytes,
				     struct parsed_segment *ret)
{
	struct cursor cursor = { (void *)(long)ctx->data, (void *)(long)ctx->data_end };

	return ret ? parse_frame(&cursor, packet_bytes, 1, ret) : PARSE_OTHER;
}

SEGMENT_GLOBAL int segment_parse_skb(struct __sk_buff *skb, int has_link_layer,
				     struct parsed_segment *ret)
{
	struct cursor cursor = { (void *)(long)skb->data, (void *)(long)skb->data_end };

	return ret ? parse_frame(&cursor, skb->len, has_link_layer, ret) : PARSE_OTHER;
}

SEGMENT_GLOBAL int segment_options_xdp(struct xdp_md *ctx, const struct parsed_segment *segment,
				       struct option_scratch *scratch, struct tcp_options *ret)
{
	return segment_options_at((void *)(long)ctx->data, (void *)(long)ctx->data_end, segment,
				  scratch, ret);
}

SEGMENT_GLOBAL int segment_options_skb(struct __sk_buff *skb, const struct parsed_segment *segment,
				       struct option_scratch *scratch, struct tcp_options *ret)
{
	return segment_options_at((void *)(long)skb->data, (void *)(long)skb->data_end, segment,
				  scratch, ret);
}

static __always_inline enum parse_result segment_parse_tc(struct __sk_buff *skb, int has_link_layer,
							  struct parsed_segment *ret)
{
	struct cursor cursor = { (void *)(long)skb->data, (void *)(long)skb->data_end };
	enum parse_result result;

	if (has_link_layer && parse_frame_usual(&cursor, skb->len, ret, &result))
		return result;
	return segment_parse_skb(skb, has_link_layer, ret);
}

/* The options that nearly all segments have, without a call. `xdp`: a constant, the context's. */
static __always_inline bool segment_usual(struct sighting *seen, bool xdp)
{
	struct __sk_buff *skb = seen->ctx;
	struct xdp_md *frame = seen->ctx;
	struct cursor cursor = {
		(void *)(long)(xdp ? frame->data : skb->data),
		(void *)(long)(xdp ? frame->data_end : skb->data_end),
	};
	__u32 offset = seen->segment.option_offset;

	if (offset > SEGMENT_OFFSET_MAX)
		return false;
	cursor.position += offset;
	return parse_options_usual(&cursor, seen->segment.option_bytes, &seen->options);
}

static __always_inline void segment_options(struct sighting *seen, bool xdp)
{
	struct option_scratch scratch;

	if (!seen->segment.option_bytes || seen->options.present || segment_usual(seen, xdp))
		return; /* none, or parsed before */
	__builtin_memset(&scratch, 0, sizeof(scratch));
	if (xdp)
		segment_options_xdp(seen->ctx, &seen->segment, &scratch, &seen->options);
	else
		segment_options_skb(seen->ctx, &seen->segment, &scratch, &seen->options);
}

/*
 * The namespace of the device that a context is about. Where there are several, the kernel's own
 * structure behind the context says it: helpers for that are newer than the kernels we run on.
 * Where there is no cast, each step of the way is a probing read, and a socket at hand says it for
 * nothing.
 */
static __always_inline const struct net *segment_net(void *ctx, bool xdp)
{
	if (config.casts && xdp)
		return KERNEL_CAST(struct xdp_buff, ctx)->rxq->dev->nd_net.net;
	if (config.casts)
		return KERNEL_CAST(struct sk_buff, ctx)->dev->nd_net.net;
	if (xdp)
		return BPF_CORE_READ((const struct xdp_buff *)ctx, rxq, dev, nd_net.net);
	return BPF_CORE_READ((const struct sk_buff *)ctx, dev, nd_net.net);
}

static __always_inline __u32 segment_net_number(const struct net *net)
{
	return KERNEL_READ(struct net, net, ns.inum);
}

static __always_inline __u32 segment_netns(void *ctx, bool xdp)
{
	if (config.netns)
		return config.netns;
	return segment_net_number(segment_net(ctx, xdp));
}

static __always_inline struct segment_counters *segment_counters(const struct sighting *seen)
{
	struct interface_key key = { seen->netns, seen->ifindex };
	__u32 slot = seen->ifindex, *assigned;

	if (!config.netns || slot >= SEGMENT_SLOTS_DIRECT) {
		assigned = bpf_map_lookup_elem(&interface_slots, &key);
		slot = assigned ? *assigned : SEGMENT_SLOT_SHARED;
	}
	return bpf_map_lookup_elem(&segments, &slot);
}

static __always_inline void segment_ignore(const struct sighting *seen, enum ignored_reason reason)
{
	struct segment_counters *counters = segment_counters(seen);

	if (counters)
		counters->ignored[reason]++;
}

/* A super-packet's FIN is on its last segment only; the others carry data. */
static __always_inline void segment_count(const struct sighting *seen)
{
	struct segment_counters *counters = segment_counters(seen);
	enum segment_kind kind = parse_kind(seen->segment.tcp_flags, seen->segment.payload_bytes);

	if (!counters)
		return;
	if (!seen->sent) {
		counters->received[kind]++;
		return;
	}
	counters->sent[kind]++;
	counters->sent[SEGMENT_DATA] += seen->gso_segs - 1;
}

/* v4-mapped, as maps and fixed-size records want it. */
static __always_inline void segment_address(const __u32 from[4], bool ipv6, __u8 ret[16])
{
	__u32 mapped[4] = { 0, 0, V4_MAPPED, from[0] };

	__builtin_memcpy(ret, ipv6 ? from : mapped, 16);
}

/* Is this end's address one of ours? Only asked where no socket says so. */
static __always_inline bool segment_address_is_local(__u32 netns, const __u32 address[4], bool ipv6)
{
	struct local_prefix key = { .prefixlen = LOCAL_PREFIX_BITS, .netns = netns };

	segment_address(address, ipv6, key.address);
	return bpf_map_lookup_elem(&local_prefixes, &key) != NULL;
}

/* The socket that a segment from `remote` to `local` would meet; release it. `nsid`: the namespace's
 * id as the context's own one knows it, BPF_F_CURRENT_NETNS for that one itself. */
static __always_inline struct bpf_sock *segment_socket_in(__s64 nsid, void *ctx,
							  const __u32 remote[4], __u16 remote_port,
							  const __u32 local[4], __u16 local_port,
							  bool ipv6)
{
	struct bpf_sock_tuple tuple = {};

	if (ipv6) {
		__builtin_memcpy(tuple.ipv6.saddr, remote, 16);
		__builtin_memcpy(tuple.ipv6.daddr, local, 16);
		tuple.ipv6.sport = bpf_htons(remote_port);
		tuple.ipv6.dport = bpf_htons(local_port);
		return bpf_skc_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv6), nsid, 0);
	}
	tuple.ipv4.saddr = remote[0];
	tuple.ipv4.daddr = local[0];
	tuple.ipv4.sport = bpf_htons(remote_port);
	tuple.ipv4.dport = bpf_htons(local_port);
	return bpf_skc_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv4), nsid, 0);
}

static __always_inline struct bpf_sock *segment_socket(void *ctx, const __u32 remote[4],
						       __u16 remote_port, const __u32 local[4],
						       __u16 local_port, bool ipv6)
{
	return segment_socket_in(BPF_F_CURRENT_NETNS, ctx, remote, remote_port, local, local_port,
				 ipv6);
}

static __always_inline void segment_fill(struct rec_segment *record, const struct sighting *seen)
{
	const struct parsed_segment *segment = &seen->segment;
	const struct tcp_options *options = &seen->options;

	record->snapshot = seen->snapshot;
	record->ifindex = seen->ifindex;
	record->local_port = seen->sent ? segment->source_port : segment->destination_port;
	record->remote_port = seen->sent ? segment->destination_port : segment->source_port;
	record->seq = segment->seq;
	record->ack = segment->ack;
	record->payload_bytes = segment->payload_bytes;
	record->tsval = options->tsval;
	record->tsecr = options->tsecr;
	record->window = segment->window;
	record->ip_id = segment->ip_id;
	record->gso_segs = seen->gso_segs;
	record->mss = options->mss;
	record->tcp_flags = segment->tcp_flags;
	record->options = options->present;
	record->wscale = options->wscale;
	record->hook = seen->hook;
	__builtin_memset(record->reserved, 0, sizeof(record->reserved));
}

static __always_inline void segment_write(const struct sighting *seen, __u16 flags, bool ipv6)
{
	const struct parsed_segment *segment = &seen->segment;
	struct emission emission;

	if (seen->sent)
		flags |= REC_F_SENT;
	if (seen->translated)
		flags |= REC_F_TRANSLATED;
	emission = emit_reserve(&segment_rings, RING_SEGMENT,
				ipv6 ? REC_SIZE_V6(rec_segment) : REC_SIZE_V4(rec_segment),
				REC_SEGMENT, flags, seen->netns);
	if (!emission.record)
		return;
	segment_fill(emission.record, seen);
	if (seen->sent)
		emit_addresses(((struct rec_segment *)emission.record)->addresses, segment->source,
			       segment->destination, ipv6);
	else
		emit_addresses(((struct rec_segment *)emission.record)->addresses,
			       segment->destination, segment->source, ipv6);
	emit_submit(&emission);
}

static __always_inline void segment_record(struct sighting *seen, bool xdp)
{
	__u16 shift = 0;

	if (!sample_segment(&seen->segment, seen->netns, seen->ifindex, seen->snapshot.state,
			    seen->sent, &shift))
		return;
	segment_options(seen, xdp);
	if (seen->segment.ipv6)
		segment_write(seen, shift | REC_F_IPV6, true);
	else
		segment_write(seen, shift, false);
}

#endif
