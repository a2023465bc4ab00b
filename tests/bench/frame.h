/* SPDX-License-Identifier: GPL-2.0-only */
/* TCP segments in Ethernet frames, as the flood generator builds and reads them. */
#ifndef TCPWITNESS_FRAME_H
#define TCPWITNESS_FRAME_H

#include <errno.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define FRAME_MAX 96 /* Ethernet, IPv6, TCP and one option */
#define FRAME_TCP_BYTES 20

#define FRAME_FIN 0x01
#define FRAME_SYN 0x02
#define FRAME_RST 0x04
#define FRAME_ACK 0x10

/* One segment, host order. */
struct frame_segment {
	const uint8_t *source, *target; /* addresses */
	bool ipv6;
	uint16_t source_port, target_port;
	uint32_t seq, ack;
	uint8_t flags;
};

static inline void frame_put16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static inline void frame_put32(uint8_t *at, uint32_t value)
{
	frame_put16(at, (uint16_t)(value >> 16));
	frame_put16(at + 2, (uint16_t)value);
}

static inline uint16_t frame_get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t frame_get32(const uint8_t *at)
{
	return (uint32_t)frame_get16(at) << 16 | frame_get16(at + 2);
}

static inline uint32_t frame_sum16(const uint8_t *bytes, size_t size, uint32_t sum)
{
	for (size_t i = 0; i + 1 < size; i += 2)
		sum += frame_get16(bytes + i);
	return sum;
}

static inline uint16_t frame_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* Returns its length. A SYN tells its MSS. */
static inline size_t frame_build_tcp(const struct frame_segment *segment, uint8_t *at)
{
	size_t address = segment->ipv6 ? 16 : 4, size = FRAME_TCP_BYTES;
	uint32_t sum = IPPROTO_TCP;

	memset(at, 0, FRAME_TCP_BYTES);
	frame_put16(at, segment->source_port);
	frame_put16(at + 2, segment->target_port);
	frame_put32(at + 4, segment->seq);
	frame_put32(at + 8, segment->ack);
	at[13] = segment->flags;
	frame_put16(at + 14, 64240);
	if (segment->flags & FRAME_SYN) {
		frame_put32(at + size, 0x020405b4);
		size += 4;
	}
	at[12] = (uint8_t)(size / 4 << 4);
	sum = frame_sum16(segment->source, address, sum + (uint32_t)size);
	sum = frame_sum16(segment->target, address, sum);
	frame_put16(at + 16, frame_fold(frame_sum16(at, size, sum)));
	return size;
}

static inline void frame_build_ipv4(const struct frame_segment *segment, size_t payload,
				    uint8_t *at)
{
	memset(at, 0, 20);
	at[0] = 0x45;
	frame_put16(at + 2, (uint16_t)(20 + payload));
	frame_put16(at + 4, (uint16_t)segment->seq);
	at[8] = 64;
	at[9] = IPPROTO_TCP;
	memcpy(at + 12, segment->source, 4);
	memcpy(at + 16, segment->target, 4);
	frame_put16(at + 10, frame_fold(frame_sum16(at, 20, 0)));
}

static inline void frame_build_ipv6(const struct frame_segment *segment, size_t payload,
				    uint8_t *at)
{
	memset(at, 0, 8);
	at[0] = 0x60;
	frame_put16(at + 4, (uint16_t)payload);
	at[6] = IPPROTO_TCP;
	at[7] = 64;
	memcpy(at + 8, segment->source, 16);
	memcpy(at + 24, segment->target, 16);
}

/* Frames are of FRAME_MAX octets at most. Returns the length. */
static inline size_t frame_build(const struct frame_segment *segment, const uint8_t to[ETH_ALEN],
				 const uint8_t from[ETH_ALEN], uint8_t *ret)
{
	size_t header = segment->ipv6 ? 40 : 20, payload;
	uint8_t *ip = ret + ETH_HLEN;

	memcpy(ret, to, ETH_ALEN);
	memcpy(ret + ETH_ALEN, from, ETH_ALEN);
	frame_put16(ret + 2 * ETH_ALEN, segment->ipv6 ? ETHERTYPE_IPV6 : ETHERTYPE_IP);
	payload = frame_build_tcp(segment, ip + header);
	(segment->ipv6 ? frame_build_ipv6 : frame_build_ipv4)(segment, payload, ip);
	return ETH_HLEN + header + payload;
}

/* 0 or -EPROTO: no frame of TCP. The addresses are in the frame. */
static inline int frame_parse(const uint8_t *bytes, size_t size, struct frame_segment *ret)
{
	const uint8_t *ip = bytes + ETH_HLEN, *tcp;
	bool ipv6 = frame_get16(bytes + 2 * ETH_ALEN) == ETHERTYPE_IPV6;
	size_t header = ipv6 ? 40 : 20;

	if (size < ETH_HLEN + header + FRAME_TCP_BYTES || (ipv6 ? ip[6] : ip[9]) != IPPROTO_TCP)
		return -EPROTO;
	tcp = ip + header;
	*ret = (struct frame_segment){
		.source = ip + (ipv6 ? 8 : 12),
		.target = ip + (ipv6 ? 24 : 16),
		.ipv6 = ipv6,
		.source_port = frame_get16(tcp),
		.target_port = frame_get16(tcp + 2),
		.seq = frame_get32(tcp + 4),
		.ack = frame_get32(tcp + 8),
		.flags = tcp[13],
	};
	return 0;
}

#endif
