/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Cursor parser of frames down to TCP. Pure: no maps, no helpers, no allocation; the same text is
 * compiled by clang-bpf (packet pointers, checked against `end` before each access, as the
 * verifier wants it) and by the C compiler (captures, tests).
 *
 * Every parse_* that consumes returns an enum parse_result: PARSE_TCP means "go on" on the way
 * down and "a whole TCP header" at the end. The cursor stands behind what was consumed; after any
 * other result its position is unspecified.
 */
#ifndef TCPWITNESS_PARSE_H
#define TCPWITNESS_PARSE_H

#include <linux/types.h>

#include "counters.h"
#include "tcp_defs.h"

enum parse_result {
	PARSE_TCP = 0,
	PARSE_OTHER, /* not TCP over IP: none of our business, not counted */
	PARSE_FRAGMENT,
	PARSE_TRUNCATED,
	PARSE_MALFORMED,
};

struct cursor {
	void *position;
	void *end; /* one behind the last readable byte: XDP and tc give the linear part only */
};

struct tcp_options {
	__u32 tsval, tsecr;
	__u16 mss;
	__u8 wscale;
	__u8 present; /* enum tcp_option_bit */
};

/* A TCP segment as the packet has it. Addresses in network order, everything else in host order. */
struct parsed_segment {
	__u32 source[4], destination[4]; /* IPv4: only [0] */
	__u16 source_port, destination_port;
	__u32 seq, ack;
	__u32 payload_bytes;
	__u16 window;
	__u16 ip_id; /* 0 for IPv6 */
	__u8 tcp_flags;
	__u8 ipv6;
	__u8 option_bytes;   /* 0..40, at the cursor */
	__u16 option_offset; /* of the first option, from the start of the frame */
};

#define PARSE_VLAN_TAGS_MAX 2	 /* 802.1Q within 802.1ad */
#define PARSE_IPV6_HEADERS_MAX 8 /* extension headers walked; a longer chain is malformed */
#define PARSE_OPTION_BYTES_MAX 40

#define PARSE_ETHERTYPE_IPV4 0x0800
#define PARSE_ETHERTYPE_IPV6 0x86dd
#define PARSE_ETHERTYPE_VLAN 0x8100
#define PARSE_ETHERTYPE_QINQ 0x88a8
#define PARSE_PROTOCOL_TCP 6
#define PARSE_ETHERNET_BYTES 14
#define PARSE_VLAN_BYTES 4
#define PARSE_IPV4_BYTES 20
#define PARSE_IPV6_BYTES 40
#define PARSE_TCP_BYTES 20

/* Numbers in a packet are not aligned. BPF may load them all the same, in one instruction; its
 * compiler would take them apart. */
#ifdef __bpf__
static inline __u16 parse_u16(const volatile __u8 *bytes)
{
	return __builtin_bswap16(*(const volatile __u16 *)bytes);
}

static inline __u32 parse_u32(const volatile __u8 *bytes)
{
	return __builtin_bswap32(*(const volatile __u32 *)bytes);
}
#else
static inline __u16 parse_u16(const volatile __u8 *bytes)
{
	return (__u16)(bytes[0] << 8 | bytes[1]);
}

static inline __u32 parse_u32(const volatile __u8 *bytes)
{
	return (__u32)bytes[0] << 24 | (__u32)bytes[1] << 16 | (__u32)bytes[2] << 8 | bytes[3];
}
#endif

/* In network order, as they are. */
static inline void parse_address(const __u8 *bytes, __u32 *ret, int words)
{
#ifdef __bpf__
	for (int i = 0; i < words; i++)
		ret[i] = *(const volatile __u32 *)(bytes + 4 * i);
#else
	__builtin_memcpy(ret, bytes, 4u * (__u32)words);
#endif
}

/* Which counter a result other than PARSE_TCP and PARSE_OTHER belongs to. */
static inline enum ignored_reason parse_ignored_reason(enum parse_result result)
{
	if (result == PARSE_FRAGMENT)
		return IGNORED_FRAGMENT;
	return result == PARSE_TRUNCATED ? IGNORED_TRUNCATED : IGNORED_MALFORMED;
}

/* Every local segment is exactly one kind: RST, SYN, FIN, payload, bare ACK, in this order. */
static inline enum segment_kind parse_kind(__u8 tcp_flags, __u32 payload_bytes)
{
	if (tcp_flags & TCPF_RST)
		return SEGMENT_RST;
	if (tcp_flags & TCPF_SYN)
		return tcp_flags & TCPF_ACK ? SEGMENT_SYNACK : SEGMENT_SYN;
	if (tcp_flags & TCPF_FIN)
		return SEGMENT_FIN;
	return payload_bytes ? SEGMENT_DATA : SEGMENT_ACK;
}

/* What follows a link layer that named this ethertype, at `bytes`: up to two VLAN tags. */
static inline enum parse_result parse_vlan_tags(struct cursor *cursor, __u8 *bytes, __u16 ethertype,
						__u16 *ret_ethertype)
{
	for (int i = 0; i < PARSE_VLAN_TAGS_MAX; i++) {
		if (ethertype != PARSE_ETHERTYPE_VLAN && ethertype != PARSE_ETHERTYPE_QINQ)
			break;
		if ((void *)(bytes + PARSE_VLAN_BYTES) > cursor->end)
			return PARSE_OTHER;
		ethertype = parse_u16(bytes + 2);
		bytes += PARSE_VLAN_BYTES;
	}
	cursor->position = bytes;
	*ret_ethertype = ethertype;
	return PARSE_TCP;
}

/* Ethernet and up to two VLAN tags. */
static inline enum parse_result parse_ethernet(struct cursor *cursor, __u16 *ret_ethertype)
{
	__u8 *bytes = cursor->position;

	if ((void *)(bytes + PARSE_ETHERNET_BYTES) > cursor->end)
		return PARSE_OTHER;
	return parse_vlan_tags(cursor, bytes + PARSE_ETHERNET_BYTES, parse_u16(bytes + 12),
			       ret_ethertype);
}

/* A device without a link layer: the version nibble says which IP it is. */
static inline enum parse_result parse_bare_ip(struct cursor *cursor, __u16 *ret_ethertype)
{
	__u8 *bytes = cursor->position;

	if ((void *)(bytes + 1) > cursor->end)
		return PARSE_OTHER;
	if (bytes[0] >> 4 == 4)
		*ret_ethertype = PARSE_ETHERTYPE_IPV4;
	else if (bytes[0] >> 4 == 6)
		*ret_ethertype = PARSE_ETHERTYPE_IPV6;
	else
		return PARSE_OTHER;
	return PARSE_TCP;
}

/*
 * *ret_bytes: what is left of the datagram behind this header, by its own length field.
 * packet_bytes: from the cursor to the end of the packet, beyond the linear part too.
 */
static inline enum parse_result parse_ipv4(struct cursor *cursor, __u32 packet_bytes,
					   struct parsed_segment *segment, __u32 *ret_bytes)
{
	__u8 *bytes = cursor->position;
	__u32 header_bytes, total_bytes;

	if ((void *)(bytes + PARSE_IPV4_BYTES) > cursor->end)
		return PARSE_OTHER;
	if (bytes[0] >> 4 != 4 || bytes[9] != PARSE_PROTOCOL_TCP)
		return PARSE_OTHER;
	header_bytes = (bytes[0] & 0x0f) * 4u;
	total_bytes = parse_u16(bytes + 2);
	if (!total_bytes) /* BIG TCP: longer than the field can say (linux iph_totlen) */
		total_bytes = packet_bytes;
	if (header_bytes < PARSE_IPV4_BYTES || total_bytes < header_bytes)
		return PARSE_MALFORMED;
	if (parse_u16(bytes + 6) & 0x3fff) /* MF, or an offset */
		return PARSE_FRAGMENT;
	if (total_bytes > packet_bytes || (void *)(bytes + header_bytes) > cursor->end)
		return PARSE_TRUNCATED;
	segment->ipv6 = 0;
	segment->ip_id = parse_u16(bytes + 4);
	parse_address(bytes + 12, segment->source, 1);
	parse_address(bytes + 16, segment->destination, 1);
	cursor->position = bytes + header_bytes;
	*ret_bytes = total_bytes - header_bytes;
	return PARSE_TCP;
}

/*
 * One IPv6 extension header (RFC 8200 §4); PARSE_OTHER where `next` is none that can be skipped.
 * `size` is volatile and masked so that the verifier, walking a chain of them, need not keep apart
 * how each one's size came about.
 */
static inline enum parse_result parse_ipv6_extension(struct cursor *cursor, volatile __u8 *next)
{
	__u8 *bytes = cursor->position;
	volatile __u16 size;

	if ((void *)(bytes + 8) > cursor->end)
		return PARSE_TRUNCATED;
	switch (*next) {
	case 44: /* fragment; an atomic one is whole (RFC 6946) */
		if (parse_u16(bytes + 2) & 0xfff9)
			return bytes[0] == PARSE_PROTOCOL_TCP ? PARSE_FRAGMENT : PARSE_OTHER;
		size = 8;
		break;
	case 51: /* authentication: in words, minus two (RFC 4302 §2.2) */
		size = (__u16)((bytes[1] + 2) * 4);
		break;
	case 0:	  /* hop by hop */
	case 43:  /* routing */
	case 60:  /* destination options */
	case 135: /* mobility */
		size = (__u16)((bytes[1] + 1) * 8);
		break;
	default:
		return PARSE_OTHER;
	}
	*next = bytes[0];
	bytes += size & 0xfff;
	if ((void *)bytes > cursor->end)
		return PARSE_TRUNCATED;
	cursor->position = bytes;
	return PARSE_TCP;
}

static inline enum parse_result parse_ipv6(struct cursor *cursor, __u32 packet_bytes,
					   struct parsed_segment *segment, __u32 *ret_bytes)
{
	__u8 *bytes = cursor->position;
	enum parse_result result;
	__u32 left, extension_bytes;
	volatile __u8 next;

	if ((void *)(bytes + PARSE_IPV6_BYTES) > cursor->end || bytes[0] >> 4 != 6)
		return PARSE_OTHER;
	next = bytes[6];
	left = parse_u16(bytes + 4);
	if (!left) /* a jumbogram, or BIG TCP */
		left = packet_bytes - PARSE_IPV6_BYTES;
	parse_address(bytes + 8, segment->source, 4);
	parse_address(bytes + 24, segment->destination, 4);
	segment->ipv6 = 1;
	segment->ip_id = 0;
	cursor->position = bytes + PARSE_IPV6_BYTES;
	for (int i = 0; i < PARSE_IPV6_HEADERS_MAX && next != PARSE_PROTOCOL_TCP; i++) {
		result = parse_ipv6_extension(cursor, &next);
		if (result != PARSE_TCP)
			return result;
	}
	extension_bytes = (__u32)((__u8 *)cursor->position - bytes) - PARSE_IPV6_BYTES;
	if (next != PARSE_PROTOCOL_TCP || left < extension_bytes)
		return PARSE_MALFORMED;
	if (left > packet_bytes - PARSE_IPV6_BYTES)
		return PARSE_TRUNCATED;
	*ret_bytes = left - extension_bytes;
	return PARSE_TCP;
}

static inline void parse_tcp_fields(const __u8 *bytes, __u32 ip_bytes, __u32 header_bytes,
				    struct parsed_segment *segment)
{
	segment->source_port = parse_u16(bytes);
	segment->destination_port = parse_u16(bytes + 2);
	segment->seq = parse_u32(bytes + 4);
	segment->ack = parse_u32(bytes + 8);
	segment->tcp_flags = bytes[13];
	segment->window = parse_u16(bytes + 14);
	segment->payload_bytes = ip_bytes - header_bytes;
	segment->option_bytes = (__u8)(header_bytes - PARSE_TCP_BYTES);
}

/* ip_bytes: TCP header and payload together. The cursor ends at the first option. */
static inline enum parse_result parse_tcp(struct cursor *cursor, __u32 ip_bytes,
					  struct parsed_segment *segment)
{
	__u8 *bytes = cursor->position;
	__u32 header_bytes;

	if (ip_bytes < PARSE_TCP_BYTES)
		return PARSE_MALFORMED;
	if ((void *)(bytes + PARSE_TCP_BYTES) > cursor->end)
		return PARSE_TRUNCATED;
	header_bytes = (bytes[12] >> 4) * 4u;
	if (header_bytes < PARSE_TCP_BYTES || header_bytes > ip_bytes)
		return PARSE_MALFORMED;
	if ((void *)(bytes + header_bytes) > cursor->end)
		return PARSE_TRUNCATED;
	parse_tcp_fields(bytes, ip_bytes, header_bytes, segment);
	cursor->position = bytes + PARSE_TCP_BYTES;
	return PARSE_TCP;
}

/*
 * A whole frame. packet_bytes: its length, beyond the linear part too. has_link_layer: Ethernet,
 * else bare IP. The caller zeroes *segment, which is half written unless the result is PARSE_TCP.
 */
static inline enum parse_result parse_frame(struct cursor *cursor, __u32 packet_bytes,
					    int has_link_layer, struct parsed_segment *segment)
{
	void *start = cursor->position;
	enum parse_result result;
	__u32 ip_bytes;
	__u16 ethertype;

	if (has_link_layer)
		result = parse_ethernet(cursor, &ethertype);
	else
		result = parse_bare_ip(cursor, &ethertype);
	if (result != PARSE_TCP)
		return result;
	packet_bytes -= (__u32)((__u8 *)cursor->position - (__u8 *)start);
	if (ethertype == PARSE_ETHERTYPE_IPV4)
		result = parse_ipv4(cursor, packet_bytes, segment, &ip_bytes);
	else if (ethertype == PARSE_ETHERTYPE_IPV6)
		result = parse_ipv6(cursor, packet_bytes, segment, &ip_bytes);
	else
		return PARSE_OTHER;
	if (result != PARSE_TCP)
		return result;
	result = parse_tcp(cursor, ip_bytes, segment);
	segment->option_offset = (__u16)((__u8 *)cursor->position - (__u8 *)start);
	return result;
}

/*
 * What nearly every frame is, in one look: TCP in IPv4 without options, on Ethernet without tags;
 * or no TCP at all. False: neither, or something about it is odd; then parse_frame has the say.
 */
static inline int parse_frame_usual(struct cursor *cursor, __u32 packet_bytes,
				    struct parsed_segment *segment, enum parse_result *ret_result)
{
	__u8 *ip = (__u8 *)cursor->position + PARSE_ETHERNET_BYTES, *tcp = ip + PARSE_IPV4_BYTES;
	__u32 total_bytes, header_bytes;
	__u16 ethertype;

	if ((void *)(tcp + PARSE_TCP_BYTES) > cursor->end)
		return 0;
	*ret_result = PARSE_OTHER;
	ethertype = parse_u16(ip - 2);
	if (ethertype != PARSE_ETHERTYPE_IPV4)
		return ethertype != PARSE_ETHERTYPE_IPV6 && ethertype != PARSE_ETHERTYPE_VLAN &&
		       ethertype != PARSE_ETHERTYPE_QINQ;
	if (ip[0] != 0x45)
		return 0;
	if (ip[9] != PARSE_PROTOCOL_TCP)
		return 1;
	total_bytes = parse_u16(ip + 2);
	header_bytes = (tcp[12] >> 4) * 4u;
	if (parse_u16(ip + 6) & 0x3fff || header_bytes < PARSE_TCP_BYTES ||
	    total_bytes < PARSE_IPV4_BYTES + header_bytes ||
	    total_bytes > packet_bytes - PARSE_ETHERNET_BYTES ||
	    (void *)(tcp + header_bytes) > cursor->end)
		return 0;
	segment->ip_id = parse_u16(ip + 4);
	parse_address(ip + 12, segment->source, 1);
	parse_address(ip + 16, segment->destination, 1);
	parse_tcp_fields(tcp, total_bytes - PARSE_IPV4_BYTES, header_bytes, segment);
	segment->option_offset = PARSE_ETHERNET_BYTES + PARSE_IPV4_BYTES + PARSE_TCP_BYTES;
	*ret_result = PARSE_TCP;
	return 1;
}

/* One option; one of a wrong size is as good as absent. */
static inline void parse_option(const volatile __u8 *bytes, struct tcp_options *options)
{
	__u8 kind = bytes[0], size = bytes[1];

	if (kind == TCPK_MSS && size == 4) {
		options->mss = parse_u16(bytes + 2);
		options->present |= TCPO_MSS;
	} else if (kind == TCPK_WSCALE && size == 3) {
		options->wscale = bytes[2];
		options->present |= TCPO_WSCALE;
	} else if (kind == TCPK_SACK_PERMITTED && size == 2) {
		options->present |= TCPO_SACK_PERMITTED;
	} else if (kind == TCPK_TIMESTAMP && size == 10) {
		options->tsval = parse_u32(bytes + 2);
		options->tsecr = parse_u32(bytes + 6);
		options->present |= TCPO_TIMESTAMP;
	} else if (kind == TCPK_FASTOPEN) {
		options->present |= TCPO_FASTOPEN;
	}
}

/*
 * The two layouts that most stacks use, in one look each: of a SYN, MSS, SACK permitted,
 * timestamp, NOP, window scale; of any other segment, NOP, NOP, timestamp. False: another one, and
 * nothing is taken.
 */
static inline int parse_options_usual(const struct cursor *cursor, __u8 option_bytes,
				      struct tcp_options *options)
{
	const __u8 *bytes = cursor->position;

	if (option_bytes == 12) {
		if ((const void *)(bytes + 12) > cursor->end || parse_u32(bytes) != 0x0101080a)
			return 0;
		options->tsval = parse_u32(bytes + 4);
		options->tsecr = parse_u32(bytes + 8);
		options->present = TCPO_TIMESTAMP;
		return 1;
	}
	if (option_bytes != 20 || (const void *)(bytes + 20) > cursor->end ||
	    parse_u16(bytes) != 0x0204 || parse_u32(bytes + 4) != 0x0402080a ||
	    parse_u16(bytes + 16) != 0x0103 || bytes[18] != 3)
		return 0;
	options->mss = parse_u16(bytes + 2);
	options->tsval = parse_u32(bytes + 8);
	options->tsecr = parse_u32(bytes + 12);
	options->wscale = bytes[19];
	options->present = TCPO_MSS | TCPO_SACK_PERMITTED | TCPO_TIMESTAMP | TCPO_WSCALE;
	return 1;
}

/* Working space of parse_options. */
struct option_scratch {
	volatile __u8 bytes[PARSE_OPTION_BYTES_MAX + 16];
	volatile __u8 next; /* where the next option begins */
	volatile __u8 limit;
};

/*
 * The options at the cursor, where parse_frame left it. Stops at the first senseless length.
 *
 * Copies them and then steps by bytes, not from option to option: without packet pointers, with
 * constant positions, and with everything a branch teaches about a length kept in the caller's
 * memory and so forgotten (volatile), the verifier sees that two paths are the same. It needs some
 * thousand steps instead of more than a million. Behind the last option comes TCPK_EOL.
 */
static inline void parse_options(const struct cursor *cursor, __u8 option_bytes,
				 struct option_scratch *scratch, struct tcp_options *options)
{
	volatile __u8 *bytes = scratch->bytes;
	const __u8 *from = cursor->position;

	if (parse_options_usual(cursor, option_bytes, options))
		return;
	for (__u32 i = 0; i < sizeof(scratch->bytes); i++)
		bytes[i] = TCPK_EOL;
	for (__u32 i = 0; i < PARSE_OPTION_BYTES_MAX && i < option_bytes; i++) {
		if ((const void *)(from + i + 1) > cursor->end)
			return;
		bytes[i] = from[i];
	}
	scratch->next = 0;
	scratch->limit = option_bytes;
	for (__u32 i = 0; i < PARSE_OPTION_BYTES_MAX; i++) {
		if (i < scratch->next || bytes[i] == TCPK_NOP)
			continue;
		if (bytes[i] == TCPK_EOL || bytes[i + 1] < 2 || i + bytes[i + 1] > scratch->limit)
			return;
		parse_option(bytes + i, options);
		scratch->next = (__u8)(i + bytes[i + 1]);
	}
}

#endif
