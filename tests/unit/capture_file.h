/* SPDX-License-Identifier: GPL-2.0-only */
/* Captures for tests: TCP over any link layer, written by libpcap. */
#ifndef CAPTURE_FILE_H
#define CAPTURE_FILE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <pcap/pcap.h>

#include "tcp_defs.h"
#include "util.h"

#define CAPTURE_START_NS (1700000000ull * NS_PER_SEC)
#define FRAME_MAX 4096

struct bytes {
	uint8_t at[FRAME_MAX];
	size_t size;
};

/* How packets are wrapped; all zero but `link` is the plain case. */
struct wrapping {
	int link; /* DLT_* */
	bool ipv6;
	int vlan_tags;
	int ppp_form;	     /* 0: address, control, protocol; 1: without; 2: short protocol */
	bool family_swapped; /* null: the other byte order */
	const uint8_t *extensions; /* IPv6 extension headers, the last one's next is TCP */
	size_t extension_bytes;
	uint8_t first_extension;
};

struct capture_file {
	char path[64];
	pcap_t *dead;
	pcap_dumper_t *dumper;
	struct wrapping wrapping;
	uint32_t snaplen;
	uint64_t now_ns;
	uint64_t packets;
};

/* One segment of the conversation 10.0.0.1:client_port - 10.0.0.2:443 (fd00::1, fd00::2). */
struct talk {
	bool from_server;
	uint8_t flags;
	uint32_t seq, ack, len;
	uint16_t client_port; /* 0: 50000 */
	uint16_t window;      /* 0: 64240 */
	bool timestamps;
};

static inline void add(struct bytes *bytes, const void *from, size_t size)
{
	assert_true(bytes->size + size <= sizeof(bytes->at));
	memcpy(bytes->at + bytes->size, from, size);
	bytes->size += size;
}

static inline void add_u8(struct bytes *bytes, uint8_t value)
{
	add(bytes, &value, 1);
}

static inline void add_u16(struct bytes *bytes, uint16_t value)
{
	add(bytes, (uint8_t[]){ (uint8_t)(value >> 8), (uint8_t)value }, 2);
}

static inline void add_u32(struct bytes *bytes, uint32_t value)
{
	add_u16(bytes, (uint16_t)(value >> 16));
	add_u16(bytes, (uint16_t)value);
}

static inline void add_zeroes(struct bytes *bytes, size_t size)
{
	static const uint8_t zeroes[FRAME_MAX];

	add(bytes, zeroes, size);
}

static inline void add_vlan_tags(struct bytes *frame, int tags, uint16_t ethertype)
{
	for (int i = 0; i < tags; i++) {
		add_u16(frame, i == 0 && tags == 2 ? 0x88a8 : 0x8100);
		add_u16(frame, (uint16_t)(100 + i));
	}
	add_u16(frame, ethertype);
}

static inline void add_ppp(struct bytes *frame, const struct wrapping *how)
{
	uint16_t protocol = how->ipv6 ? 0x57 : 0x21;

	if (how->ppp_form == 0)
		add_u16(frame, 0xff03);
	if (how->ppp_form == 2)
		add_u8(frame, (uint8_t)protocol);
	else
		add_u16(frame, protocol);
}

static inline void add_link(struct bytes *frame, const struct wrapping *how)
{
	uint16_t ethertype = how->ipv6 ? 0x86dd : 0x0800;
	struct bytes tags = { .size = 0 };
	uint32_t family = how->ipv6 ? 10 : 2;

	add_vlan_tags(&tags, how->vlan_tags, ethertype);
	switch (how->link) {
	case DLT_EN10MB:
		add_zeroes(frame, 12);
		add(frame, tags.at, tags.size);
		break;
	case DLT_LINUX_SLL:
		add_zeroes(frame, 14);
		add(frame, tags.at, tags.size);
		break;
	case DLT_LINUX_SLL2:
		add(frame, tags.at, 2);
		add_u16(frame, 0);
		add_u32(frame, 7); /* interface */
		add_zeroes(frame, 12);
		add(frame, tags.at + 2, tags.size - 2);
		break;
	case DLT_NULL:
		add_u32(frame, how->family_swapped ? __builtin_bswap32(family) : family);
		break;
	case DLT_LOOP:
		add_u32(frame, family);
		break;
	case DLT_PPP:
	case DLT_PPP_SERIAL:
		add_ppp(frame, how);
		break;
	default:
		break;
	}
}

static inline void add_ip(struct bytes *frame, const struct wrapping *how, bool from_server,
			  uint8_t protocol, size_t payload)
{
	static const uint8_t hosts[2][16] = {
		{ 0xfd, [15] = 1 },
		{ 0xfd, [15] = 2 },
	};
	const uint8_t *source = hosts[from_server], *destination = hosts[!from_server];

	if (how->ipv6) {
		add_u32(frame, 0x60000000);
		add_u16(frame, (uint16_t)(how->extension_bytes + payload));
		add_u8(frame, how->extensions ? how->first_extension : protocol);
		add_u8(frame, 64);
		add(frame, source, 16);
		add(frame, destination, 16);
		if (how->extensions)
			add(frame, how->extensions, how->extension_bytes);
		return;
	}
	add_u16(frame, 0x4500);
	add_u16(frame, (uint16_t)(20 + payload));
	add_u32(frame, 0x12344000); /* id, DF */
	add_u8(frame, 64);
	add_u8(frame, protocol);
	add_u16(frame, 0xdead); /* checksum: as wrong as offload leaves it */
	add(frame, (uint8_t[]){ 10, 0, 0, from_server ? 2 : 1 }, 4);
	add(frame, (uint8_t[]){ 10, 0, 0, from_server ? 1 : 2 }, 4);
}

static inline size_t tcp_options_size(const struct talk *talk)
{
	return (talk->flags & TCPF_SYN ? 8 : 0) + (talk->timestamps ? 12 : 0);
}

static inline void add_tcp(struct bytes *frame, const struct talk *talk)
{
	uint16_t client = talk->client_port ? talk->client_port : 50000;
	size_t options = tcp_options_size(talk);

	add_u16(frame, talk->from_server ? 443 : client);
	add_u16(frame, talk->from_server ? client : 443);
	add_u32(frame, talk->seq);
	add_u32(frame, talk->ack);
	add_u8(frame, (uint8_t)((20 + options) / 4 << 4));
	add_u8(frame, talk->flags);
	add_u16(frame, talk->window ? talk->window : 64240);
	add_u32(frame, 0xbeef0000); /* checksum, urgent */
	if (talk->flags & TCPF_SYN) {
		add_u32(frame, 0x020405b4); /* MSS 1460 */
		add_u32(frame, 0x01030307); /* window scale 7 */
	}
	if (talk->timestamps) {
		add_u32(frame, 0x0101080a);
		add_u32(frame, 1000);
		add_u32(frame, 2000);
	}
	add_zeroes(frame, talk->len);
}

static inline void capture_open(struct capture_file *file, struct wrapping wrapping,
				uint32_t snaplen)
{
	int fd;

	memset(file, 0, sizeof(*file));
	strcpy(file->path, "/tmp/tcpwitness-pcap-XXXXXX");
	fd = mkstemp(file->path);
	assert_true(fd >= 0);
	close(fd);
	file->wrapping = wrapping;
	file->snaplen = snaplen;
	file->now_ns = CAPTURE_START_NS;
	file->dead = pcap_open_dead_with_tstamp_precision(wrapping.link, 65535,
							  PCAP_TSTAMP_PRECISION_NANO);
	assert_non_null(file->dead);
	file->dumper = pcap_dump_open(file->dead, file->path);
	assert_non_null(file->dumper);
}

/* Whole packets, whatever they hold. Time goes on by 10 us. */
static inline void capture_put(struct capture_file *file, const struct bytes *frame)
{
	struct pcap_pkthdr header = { 0 };

	file->now_ns += 10000;
	file->packets++;
	header.ts.tv_sec = (time_t)(file->now_ns / NS_PER_SEC);
	header.ts.tv_usec = (suseconds_t)(file->now_ns % NS_PER_SEC);
	header.len = (uint32_t)frame->size;
	header.caplen = header.len < file->snaplen ? header.len : file->snaplen;
	pcap_dump((u_char *)file->dumper, &header, frame->at);
}

static inline void capture_talk(struct capture_file *file, struct talk talk)
{
	struct bytes frame = { .size = 0 };

	add_link(&frame, &file->wrapping);
	add_ip(&frame, &file->wrapping, talk.from_server, 6,
	       20 + tcp_options_size(&talk) + talk.len);
	add_tcp(&frame, &talk);
	capture_put(file, &frame);
}

#define CLIENT(...) capture_talk(file, (struct talk){ .from_server = false, __VA_ARGS__ })
#define SERVER(...) capture_talk(file, (struct talk){ .from_server = true, __VA_ARGS__ })

/* Ends writing; the file stays until capture_remove. */
static inline void capture_close(struct capture_file *file)
{
	pcap_dump_close(file->dumper);
	pcap_close(file->dead);
}

static inline void capture_remove(struct capture_file *file)
{
	unlink(file->path);
}

/* A whole life: the client asks, the server answers and closes first (tables A and B). */
static inline void capture_life(struct capture_file *file, uint16_t port, bool timestamps)
{
	const uint8_t s = TCPF_SYN, a = TCPF_ACK, f = TCPF_FIN, p = TCPF_PSH;

	CLIENT(.flags = s, .seq = 100, .client_port = port, .timestamps = timestamps);
	SERVER(.flags = s | a, .seq = 500, .ack = 101, .client_port = port,
	       .timestamps = timestamps);
	CLIENT(.flags = a, .seq = 101, .ack = 501, .client_port = port, .timestamps = timestamps);
	CLIENT(.flags = a | p, .seq = 101, .ack = 501, .len = 300, .client_port = port,
	       .timestamps = timestamps);
	SERVER(.flags = a, .seq = 501, .ack = 401, .client_port = port, .timestamps = timestamps);
	SERVER(.flags = a | p, .seq = 501, .ack = 401, .len = 1000, .client_port = port,
	       .timestamps = timestamps);
	SERVER(.flags = a | f, .seq = 1501, .ack = 401, .client_port = port,
	       .timestamps = timestamps);
	CLIENT(.flags = a, .seq = 401, .ack = 1502, .client_port = port, .timestamps = timestamps);
	CLIENT(.flags = a | f, .seq = 401, .ack = 1502, .client_port = port,
	       .timestamps = timestamps);
	SERVER(.flags = a, .seq = 1502, .ack = 402, .client_port = port, .timestamps = timestamps);
}

#endif
