/* SPDX-License-Identifier: GPL-2.0-only */
/* What a tracepoint's event is about: whose namespace it happened in, and which tuple. */
#ifndef TCPWITNESS_BPF_ORIGIN_H
#define TCPWITNESS_BPF_ORIGIN_H

#include <stdbool.h>

#include "maps.h"

#include "parse.h"

/* A tuple, local first, and the family to record it under. */
struct tuple {
	__u32 local[4], remote[4]; /* IPv4: only [0] */
	__u32 netns;
	__u16 local_port, remote_port;
	bool ipv6;
};

/* Where there is one watched namespace: the address of its struct net, once a socket showed it. */
static __u64 our_net;

/* One of several? Then `inum`, else 0. */
static __always_inline __u32 origin_watched(__u32 inum)
{
	return bpf_map_lookup_elem(&namespaces, &inum) ? inum : 0;
}

/* The watched namespace that `net`, of a socket the kernel vouches for, is; 0: not watched. */
static __always_inline __u32 origin_netns(const struct net *net)
{
	if (!config.netns)
		return origin_watched(net->ns.inum);
	if (our_net)
		return (__u64)net == our_net ? config.netns : 0;
	if (net->ns.inum != config.netns)
		return 0;
	our_net = (__u64)net;
	return config.netns;
}

/* The same of a `net` of doubtful origin: compared, never learned. */
static __always_inline __u32 origin_netns_untrusted(const struct net *net)
{
	__u32 inum;

	if (config.netns && our_net)
		return (__u64)net == our_net ? config.netns : 0;
	inum = net ? KERNEL_READ(struct net, net, ns.inum) : 0;
	if (!config.netns)
		return origin_watched(inum);
	return inum == config.netns ? inum : 0;
}

static __always_inline bool address_is_mapped(const __u32 address[4])
{
	return !address[0] && !address[1] && address[2] == bpf_htonl(0xffff);
}

/*
 * A socket that the kernel vouches for, of either family; IPv4 over an IPv6 socket is IPv4, as on
 * the wire. Ports are left. (Read as what it is: each probing read would take some 28 ns more.)
 */
static __always_inline void tuple_of(const struct sock_common *sk, struct tuple *ret)
{
	if (sk->skc_family == AF_INET6) {
		for (int i = 0; i < 4; i++) {
			ret->local[i] = sk->skc_v6_rcv_saddr.in6_u.u6_addr32[i];
			ret->remote[i] = sk->skc_v6_daddr.in6_u.u6_addr32[i];
		}
		ret->ipv6 = !address_is_mapped(ret->local) && !address_is_mapped(ret->remote);
	}
	if (!ret->ipv6) {
		ret->local[0] = sk->skc_rcv_saddr;
		ret->remote[0] = sk->skc_daddr;
	}
	ret->remote_port = bpf_ntohs(sk->skc_dport);
}

/* The same of one of doubtful origin. */
static __always_inline void tuple_of_untrusted(const struct sock_common *sk, struct tuple *ret)
{
	if (BPF_CORE_READ(sk, skc_family) == AF_INET6) {
		BPF_CORE_READ_INTO(&ret->local, sk, skc_v6_rcv_saddr.in6_u.u6_addr32);
		BPF_CORE_READ_INTO(&ret->remote, sk, skc_v6_daddr.in6_u.u6_addr32);
		ret->ipv6 = !address_is_mapped(ret->local) && !address_is_mapped(ret->remote);
	}
	if (!ret->ipv6) {
		ret->local[0] = BPF_CORE_READ(sk, skc_rcv_saddr);
		ret->remote[0] = BPF_CORE_READ(sk, skc_daddr);
	}
	ret->remote_port = bpf_ntohs(BPF_CORE_READ(sk, skc_dport));
}

/* Is it TCP that stands OFFSET octets behind an IPv6 header, which names NEXT? */
static __always_inline bool ipv6_leads_to_tcp(const unsigned char *header, __u8 next, __u32 offset)
{
	__u32 at = PARSE_IPV6_BYTES;

	for (int i = 0; i < PARSE_IPV6_HEADERS_MAX && at < offset; i++) {
		__u8 extension[2]; /* what comes next, and its own length (RFC 8200 §4) */

		if (bpf_probe_read_kernel(extension, sizeof(extension), header + at))
			return false;
		/* authentication is counted in words, minus two (RFC 4302 §2.2) */
		at += next == 51 ? (extension[1] + 2u) * 4 : (extension[1] + 1u) * 8;
		next = extension[0];
	}
	return at == offset && next == PARSE_PROTOCOL_TCP;
}

/*
 * The headers of an skb that the stack has in hand, by its own idea of where they are. Nothing
 * here is trusted: every read may fail, and then it is not a TCP segment. *ret has the packet's
 * source and destination.
 */
static __always_inline bool skb_segment(const struct sk_buff *skb, struct parsed_segment *ret)
{
	__u16 network = KERNEL_READ(struct sk_buff, skb, network_header);
	__u16 transport = KERNEL_READ(struct sk_buff, skb, transport_header);
	unsigned char *head = KERNEL_READ(struct sk_buff, skb, head);
	__u8 ip[PARSE_IPV6_BYTES], tcp[PARSE_TCP_BYTES];
	__u32 total_bytes, header_bytes;

	if (transport == 0xffff || transport < network + PARSE_IPV4_BYTES)
		return false;
	if (bpf_probe_read_kernel(ip, sizeof(ip), head + network) ||
	    bpf_probe_read_kernel(tcp, sizeof(tcp), head + transport))
		return false;
	if (ip[0] >> 4 == 4) {
		if (ip[9] != PARSE_PROTOCOL_TCP || parse_u16(ip + 6) & 0x1fff)
			return false;
		total_bytes = parse_u16(ip + 2);
		__builtin_memcpy(ret->source, ip + 12, 4);
		__builtin_memcpy(ret->destination, ip + 16, 4);
	} else {
		if (!ipv6_leads_to_tcp(head + network, ip[6], transport - network))
			return false;
		total_bytes = parse_u16(ip + 4) + PARSE_IPV6_BYTES;
		__builtin_memcpy(ret->source, ip + 8, 16);
		__builtin_memcpy(ret->destination, ip + 24, 16);
		ret->ipv6 = 1;
	}
	header_bytes = transport - network + (tcp[12] >> 4) * 4u;
	ret->payload_bytes = total_bytes > header_bytes ? total_bytes - header_bytes : 0;
	ret->source_port = parse_u16(tcp);
	ret->destination_port = parse_u16(tcp + 2);
	ret->seq = parse_u32(tcp + 4);
	ret->ack = parse_u32(tcp + 8);
	ret->tcp_flags = tcp[13];
	return true;
}

static __always_inline void tuple_from(const struct parsed_segment *segment, bool sent,
				       struct tuple *ret)
{
	__builtin_memcpy(ret->local, sent ? segment->source : segment->destination, 16);
	__builtin_memcpy(ret->remote, sent ? segment->destination : segment->source, 16);
	ret->local_port = sent ? segment->source_port : segment->destination_port;
	ret->remote_port = sent ? segment->destination_port : segment->source_port;
	ret->ipv6 = segment->ipv6;
}

#endif
