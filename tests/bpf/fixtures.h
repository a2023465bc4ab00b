/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Frames and what they are: fed to include/parse.h in user space (tests/unit/test_parse.c) and to
 * the same text in the kernel (tests/bpf/test_fixtures.c).
 */
#ifndef TCPWITNESS_TESTS_FIXTURES_H
#define TCPWITNESS_TESTS_FIXTURES_H

#include <stddef.h>
#include <stdint.h>

#include "parse.h"

/* Every fixture goes from 10.0.0.1 or fd00::1, port 40000, to 10.0.0.2 or fd00::2, port 443. */
#define FIXTURE_SEQ 0x01020304u
#define FIXTURE_ACK 0x0a0b0c0du
#define FIXTURE_SOURCE_PORT 40000
#define FIXTURE_DESTINATION_PORT 443
#define FIXTURE_WINDOW 1024
#define FIXTURE_IP_ID 0x1234

struct fixture {
	const char *name;
	int has_link_layer;
	const uint8_t *bytes;
	size_t size;
	enum parse_result result;
	/* if it is PARSE_TCP: */
	uint8_t tcp_flags, ipv6;
	uint32_t payload_bytes;
	struct tcp_options options;
};

#define B16(n) ((n) >> 8) & 0xff, (n)&0xff
#define B32(n) B16((n) >> 16), B16(n)
#define ETHERNET(type) 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, B16(type)
#define TAG(id, type) B16(id), B16(type)
#define IP4_LONG(words, total, fragment, protocol)                                                 \
	0x40 | (words), 0, B16(total), B16(FIXTURE_IP_ID), B16(fragment), 64, protocol, 0, 0, 10,  \
		0, 0, 1, 10, 0, 0, 2
#define IP4(total) IP4_LONG(5, total, 0x4000, 6)
#define NET6(host) 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host
#define IP6(payload, next) 0x60, 0, 0, 0, B16(payload), next, 64, NET6(1), NET6(2)
#define EXTENSION(next) next, 0, 1, 4, 0, 0, 0, 0
#define FRAGMENT6(next, where) next, 0, B16(where), 0, 0, 0, 9
#define TCP(words, flags)                                                                          \
	B16(FIXTURE_SOURCE_PORT), B16(FIXTURE_DESTINATION_PORT), B32(FIXTURE_SEQ),                 \
		B32(FIXTURE_ACK), (words) << 4, flags, B16(FIXTURE_WINDOW), 0, 0, 0, 0
#define MSS 2, 4, B16(1460)
#define SACK_OK 4, 2
#define TIMESTAMP 8, 10, B32(0x11223344), B32(0x55667788)
#define WSCALE 3, 3, 7
#define NOP4 1, 1, 1, 1
#define BYTES(...)                                                                                 \
	.bytes = (const uint8_t[]){ __VA_ARGS__ }, .size = sizeof((const uint8_t[]){ __VA_ARGS__ })
#define SYN TCPF_SYN
#define ACK TCPF_ACK
#define FIN TCPF_FIN
#define RST TCPF_RST
#define PSH TCPF_PSH

static const struct fixture fixtures[] = {
	{ "syn with the usual options", 1,
	  BYTES(ETHERNET(0x0800), IP4(60), TCP(10, SYN), MSS, SACK_OK, TIMESTAMP, 1, WSCALE),
	  .tcp_flags = SYN,
	  .options = { .mss = 1460,
		       .wscale = 7,
		       .tsval = 0x11223344,
		       .tsecr = 0x55667788,
		       .present = TCPO_MSS | TCPO_WSCALE | TCPO_SACK_PERMITTED | TCPO_TIMESTAMP } },
	{ "syn-ack without options", 1, BYTES(ETHERNET(0x0800), IP4(40), TCP(5, SYN | ACK)),
	  .tcp_flags = SYN | ACK },
	{ "bare ack, padded to the shortest frame", 1,
	  BYTES(ETHERNET(0x0800), IP4(40), TCP(5, ACK), 0, 0, 0, 0, 0, 0), .tcp_flags = ACK },
	{ "data", 1, BYTES(ETHERNET(0x0800), IP4(45), TCP(5, PSH | ACK), 1, 2, 3, 4, 5),
	  .tcp_flags = PSH | ACK, .payload_bytes = 5 },
	{ "fin with data", 1, BYTES(ETHERNET(0x0800), IP4(42), TCP(5, FIN | ACK), 1, 2),
	  .tcp_flags = FIN | ACK, .payload_bytes = 2 },
	{ "ip options", 1, BYTES(ETHERNET(0x0800), IP4_LONG(6, 44, 0, 6), 1, 1, 1, 0, TCP(5, RST)),
	  .tcp_flags = RST },
	{ "big tcp: no total length", 1, BYTES(ETHERNET(0x0800), IP4(0), TCP(5, FIN), 1, 2, 3),
	  .tcp_flags = FIN, .payload_bytes = 3 },
	{ "one tag", 1, BYTES(ETHERNET(0x8100), TAG(5, 0x0800), IP4(40), TCP(5, SYN)),
	  .tcp_flags = SYN },
	{ "two tags", 1,
	  BYTES(ETHERNET(0x88a8), TAG(5, 0x8100), TAG(6, 0x86dd), IP6(20, 6), TCP(5, RST | ACK)),
	  .tcp_flags = RST | ACK, .ipv6 = 1 },
	{ "three tags", 1,
	  BYTES(ETHERNET(0x88a8), TAG(5, 0x8100), TAG(6, 0x8100), TAG(7, 0x0800), IP4(40),
		TCP(5, SYN)),
	  .result = PARSE_OTHER },
	{ "ipv6", 1, BYTES(ETHERNET(0x86dd), IP6(24, 6), TCP(6, SYN), MSS), .tcp_flags = SYN,
	  .ipv6 = 1, .options = { .mss = 1460, .present = TCPO_MSS } },
	{ "ipv6 with two extension headers", 1,
	  BYTES(ETHERNET(0x86dd), IP6(37, 0), EXTENSION(60), EXTENSION(6), TCP(5, FIN), 9),
	  .tcp_flags = FIN, .ipv6 = 1, .payload_bytes = 1 },
	{ "ipv6 with an authentication header", 1,
	  BYTES(ETHERNET(0x86dd), IP6(32, 51), 6, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, TCP(5, SYN)),
	  .tcp_flags = SYN, .ipv6 = 1 },
	{ "ipv6 atomic fragment", 1,
	  BYTES(ETHERNET(0x86dd), IP6(28, 44), FRAGMENT6(6, 0), TCP(5, SYN)), .tcp_flags = SYN,
	  .ipv6 = 1 },
	{ "ipv6 jumbogram", 1, BYTES(ETHERNET(0x86dd), IP6(0, 6), TCP(5, FIN), 1, 2),
	  .tcp_flags = FIN, .ipv6 = 1, .payload_bytes = 2 },
	{ "bare ipv4", 0, BYTES(IP4(40), TCP(5, SYN)), .tcp_flags = SYN },
	{ "bare ipv6", 0, BYTES(IP6(20, 6), TCP(5, SYN | ACK)), .tcp_flags = SYN | ACK, .ipv6 = 1 },
	{ "bare neither", 0, BYTES(0x50, 0, 0, 40, IP4(40), TCP(5, SYN)), .result = PARSE_OTHER },

	{ "arp", 1, BYTES(ETHERNET(0x0806), IP4(40), TCP(5, SYN)), .result = PARSE_OTHER },
	{ "udp", 1, BYTES(ETHERNET(0x0800), IP4_LONG(5, 40, 0, 17), TCP(5, SYN)),
	  .result = PARSE_OTHER },
	{ "udp over ipv6", 1, BYTES(ETHERNET(0x86dd), IP6(20, 17), TCP(5, SYN)),
	  .result = PARSE_OTHER },
	{ "version 6 in an ipv4 frame", 1, BYTES(ETHERNET(0x0800), IP6(20, 6), TCP(5, SYN)),
	  .result = PARSE_OTHER },
	{ "first fragment", 1, BYTES(ETHERNET(0x0800), IP4_LONG(5, 40, 0x2000, 6), TCP(5, SYN)),
	  .result = PARSE_FRAGMENT },
	{ "later fragment", 1, BYTES(ETHERNET(0x0800), IP4_LONG(5, 40, 7, 6), TCP(5, SYN)),
	  .result = PARSE_FRAGMENT },
	{ "fragment of udp", 1, BYTES(ETHERNET(0x0800), IP4_LONG(5, 40, 7, 17), TCP(5, SYN)),
	  .result = PARSE_OTHER },
	{ "ipv6 fragment", 1, BYTES(ETHERNET(0x86dd), IP6(28, 44), FRAGMENT6(6, 1), TCP(5, SYN)),
	  .result = PARSE_FRAGMENT },
	{ "ipv6 fragment of udp", 1,
	  BYTES(ETHERNET(0x86dd), IP6(28, 44), FRAGMENT6(17, 1), TCP(5, SYN)),
	  .result = PARSE_OTHER },
	{ "total length beyond the frame", 1, BYTES(ETHERNET(0x0800), IP4(41), TCP(5, SYN)),
	  .result = PARSE_TRUNCATED },
	{ "ipv6 payload beyond the frame", 1, BYTES(ETHERNET(0x86dd), IP6(21, 6), TCP(5, SYN)),
	  .result = PARSE_TRUNCATED },
	{ "ipv6 ends in an extension header", 1, BYTES(ETHERNET(0x86dd), IP6(4, 60), 6, 0, 0, 0),
	  .result = PARSE_TRUNCATED },
	{ "ip header too short", 1, BYTES(ETHERNET(0x0800), IP4_LONG(4, 40, 0, 6), TCP(5, SYN)),
	  .result = PARSE_MALFORMED },
	{ "total length within the ip header", 1, BYTES(ETHERNET(0x0800), IP4(19), TCP(5, SYN)),
	  .result = PARSE_MALFORMED },
	{ "no room for tcp", 1, BYTES(ETHERNET(0x0800), IP4(39), TCP(5, SYN)),
	  .result = PARSE_MALFORMED },
	{ "tcp header too short", 1, BYTES(ETHERNET(0x0800), IP4(40), TCP(4, SYN)),
	  .result = PARSE_MALFORMED },
	{ "tcp header beyond the datagram", 1, BYTES(ETHERNET(0x0800), IP4(40), TCP(6, SYN), NOP4),
	  .result = PARSE_MALFORMED },
	{ "ipv6 extension beyond the datagram", 1,
	  BYTES(ETHERNET(0x86dd), IP6(8, 60), 6, 1, 1, 12, NOP4, NOP4, NOP4, TCP(5, SYN)),
	  .result = PARSE_MALFORMED },
	{ "ipv6 with too many extension headers", 1,
	  BYTES(ETHERNET(0x86dd), IP6(92, 60), EXTENSION(60), EXTENSION(60), EXTENSION(60),
		EXTENSION(60), EXTENSION(60), EXTENSION(60), EXTENSION(60), EXTENSION(60),
		EXTENSION(6), TCP(5, SYN)),
	  .result = PARSE_MALFORMED },

	{ "forty nops", 1,
	  BYTES(ETHERNET(0x0800), IP4(80), TCP(15, SYN), NOP4, NOP4, NOP4, NOP4, NOP4, NOP4, NOP4,
		NOP4, NOP4, NOP4),
	  .tcp_flags = SYN },
	{ "the last possible option", 1,
	  BYTES(ETHERNET(0x0800), IP4(80), TCP(15, SYN), NOP4, NOP4, NOP4, NOP4, NOP4, NOP4, NOP4,
		1, 1, TIMESTAMP),
	  .tcp_flags = SYN,
	  .options = { .tsval = 0x11223344, .tsecr = 0x55667788, .present = TCPO_TIMESTAMP } },
	{ "end of options", 1, BYTES(ETHERNET(0x0800), IP4(48), TCP(7, SYN), 0, 1, 1, 1, MSS),
	  .tcp_flags = SYN },
	{ "option of length zero", 1,
	  BYTES(ETHERNET(0x0800), IP4(52), TCP(8, SYN), MSS, 5, 0, 1, 1, WSCALE, 1),
	  .tcp_flags = SYN, .options = { .mss = 1460, .present = TCPO_MSS } },
	{ "option beyond the header", 1,
	  BYTES(ETHERNET(0x0800), IP4(54), TCP(8, SYN), MSS, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8),
	  .tcp_flags = SYN, .payload_bytes = 2, .options = { .mss = 1460, .present = TCPO_MSS } },
	{ "mss of the wrong size", 1,
	  BYTES(ETHERNET(0x0800), IP4(48), TCP(7, SYN), 2, 3, 9, 1, SACK_OK, 1, 1),
	  .tcp_flags = SYN, .options = { .present = TCPO_SACK_PERMITTED } },
	{ "fast open", 1,
	  BYTES(ETHERNET(0x0800), IP4(52), TCP(8, SYN), 34, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1),
	  .tcp_flags = SYN, .options = { .present = TCPO_FASTOPEN } },
};

#define NR_FIXTURES (sizeof(fixtures) / sizeof(fixtures[0]))

/* The fixture through the user-space build of the parser. */
static inline enum parse_result fixture_parse(const struct fixture *fixture,
					      struct parsed_segment *segment,
					      struct tcp_options *options)
{
	struct cursor cursor = { (void *)(uintptr_t)fixture->bytes,
				 (void *)(uintptr_t)(fixture->bytes + fixture->size) };
	struct option_scratch scratch;
	enum parse_result result;

	__builtin_memset(segment, 0, sizeof(*segment));
	__builtin_memset(options, 0, sizeof(*options));
	result = parse_frame(&cursor, (__u32)fixture->size, fixture->has_link_layer, segment);
	if (result == PARSE_TCP)
		parse_options(&cursor, segment->option_bytes, &scratch, options);
	return result;
}

#endif
