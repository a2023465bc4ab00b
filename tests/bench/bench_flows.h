/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sockets in every state that a segment can meet, in a network namespace of our own: the server's
 * end is the kernel's, the peer is us behind a tun device. Everything asserts: it is for
 * benchmarks, where nothing may go wrong.
 */
#ifndef TCPWITNESS_TESTS_BENCH_FLOWS_H
#define TCPWITNESS_TESTS_BENCH_FLOWS_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "parse.h"

#define FLOWS_PORT 443
#define FLOWS_PEER_ISN 1000u
#define FLOWS_PATIENCE_MS 5000

/* We are 10.0.0.2 and fd00::2, the peer is 10.0.0.1 and fd00::1. */
struct segment {
	bool ipv6, elsewhere; /* to neither of our addresses */
	uint8_t protocol;     /* 0: TCP */
	uint16_t ethertype;   /* 0: that of the family */
	uint32_t peer;	      /* added to the peer's IPv4 address */
	uint16_t peer_port, port;
	uint8_t flags;
	uint32_t seq, ack;
	uint16_t payload_bytes;
};

struct frame {
	size_t size;
	uint8_t bytes[256];
};

/* One connection of the peer's: what its next segment carries. */
struct flow {
	bool ipv6;
	uint16_t peer_port;
	uint32_t seq, ack;
	int fd; /* the server's end */
};

static struct {
	int tun, listener[2];
} flows_at;

static inline void flows_put(uint8_t *bytes, uint32_t value, size_t size)
{
	while (size--) {
		bytes[size] = (uint8_t)value;
		value >>= 8;
	}
}

static inline uint32_t flows_sum(const uint8_t *bytes, size_t size)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < size; i++)
		sum += i & 1 ? bytes[i] : (uint32_t)bytes[i] << 8;
	return sum;
}

static inline uint16_t flows_fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* A SYN's options are those of every Linux; other segments have timestamps, as most do. */
static inline size_t flows_options(uint8_t *to, uint8_t flags)
{
	static const uint8_t syn[] = {
		2, 4, 5, 180, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7
	};
	static const uint8_t plain[] = { 1, 1, 8, 10, 1, 2, 3, 5, 0, 0, 0, 0 };

	if (flags & TCPF_SYN) {
		memcpy(to, syn, sizeof(syn));
		return sizeof(syn);
	}
	memcpy(to, plain, sizeof(plain));
	return sizeof(plain);
}

static inline size_t flows_tcp(uint8_t *tcp, const struct segment *segment)
{
	size_t header = 20 + flows_options(tcp + 20, segment->flags);

	flows_put(tcp, segment->peer_port, 2);
	flows_put(tcp + 2, segment->port, 2);
	flows_put(tcp + 4, segment->seq, 4);
	flows_put(tcp + 8, segment->ack, 4);
	tcp[12] = (uint8_t)(header / 4 << 4);
	tcp[13] = segment->flags;
	flows_put(tcp + 14, 64000, 2);
	return header + segment->payload_bytes;
}

/* An Ethernet frame; what is behind its header can be written to the tun device. */
static inline struct frame flows_frame(const struct segment *segment)
{
	struct frame frame = { 0 };
	uint8_t *ip = frame.bytes + PARSE_ETHERNET_BYTES, *tcp = ip + (segment->ipv6 ? 40 : 20);
	uint8_t protocol = segment->protocol ?: IPPROTO_TCP;
	uint16_t type = segment->ipv6 ? PARSE_ETHERTYPE_IPV6 : PARSE_ETHERTYPE_IPV4;
	size_t bytes = flows_tcp(tcp, segment);
	uint32_t pseudo = protocol + (uint32_t)bytes;

	flows_put(frame.bytes + 12, segment->ethertype ?: type, 2);
	if (segment->ipv6) {
		ip[0] = 0x60;
		flows_put(ip + 4, (uint32_t)bytes, 2);
		ip[6] = protocol;
		ip[7] = 64;
		flows_put(ip + 8, 0xfd000000u, 4);
		ip[23] = 1;
		flows_put(ip + 24, 0xfd000000u, 4);
		ip[39] = segment->elsewhere ? 77 : 2;
		pseudo += flows_sum(ip + 8, 32);
	} else {
		ip[0] = 0x45;
		flows_put(ip + 2, (uint32_t)bytes + 20, 2);
		flows_put(ip + 6, 0x4000, 2);
		ip[8] = 64;
		ip[9] = protocol;
		flows_put(ip + 12, 0x0a000001u + segment->peer, 4);
		flows_put(ip + 16, segment->elsewhere ? 0x0a000063u : 0x0a000002u, 4);
		flows_put(ip + 10, flows_fold(flows_sum(ip, 20)), 2);
		pseudo += flows_sum(ip + 12, 8);
	}
	flows_put(tcp + 16, flows_fold(pseudo + flows_sum(tcp, bytes)), 2);
	frame.size = (size_t)(tcp - frame.bytes) + bytes;
	return frame;
}

/* Ours, v4-mapped. */
static inline void flows_local(int ipv6, uint8_t ret[16])
{
	static const uint8_t v4[16] = { [10] = 0xff, 0xff, 10, 0, 0, 2 },
			     v6[16] = { 0xfd, [15] = 2 };

	memcpy(ret, ipv6 ? v6 : v4, 16);
}

static inline int flows_listen(bool ipv6)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(FLOWS_PORT) };
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(FLOWS_PORT) };
	int fd = socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0), one = 1;
	uint8_t local[16];

	assert_true(fd >= 0);
	flows_local(ipv6, local);
	memcpy(&v6.sin6_addr, local, 16);
	memcpy(&v4.sin_addr, local + 12, 4);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	assert_int_equal(bind(fd, ipv6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4,
			      ipv6 ? sizeof(v6) : sizeof(v4)),
			 0);
	assert_int_equal(listen(fd, 128), 0);
	return fd;
}

/* The namespace, the tun device, and who listens. */
static inline void flows_world(void)
{
	struct ifreq request = { .ifr_name = "tun0", .ifr_flags = IFF_TUN | IFF_NO_PI };

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	flows_at.tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
	assert_true(flows_at.tun >= 0);
	assert_int_equal(ioctl(flows_at.tun, TUNSETIFF, &request), 0);
	assert_int_equal(system("ip link set lo up && ip addr add 10.0.0.2/8 dev tun0 && "
				"ip addr add fd00::2/64 dev tun0 nodad && ip link set tun0 up"),
			 0);
	flows_at.listener[0] = flows_listen(false);
	flows_at.listener[1] = flows_listen(true);
}

static inline void flows_send(const struct flow *flow, uint8_t flags)
{
	struct segment segment = {
		.ipv6 = flow->ipv6,
		.peer_port = flow->peer_port,
		.port = FLOWS_PORT,
		.flags = flags,
		.seq = flow->seq,
		.ack = flow->ack,
	};
	struct frame frame = flows_frame(&segment);
	ssize_t bytes = (ssize_t)frame.size - PARSE_ETHERNET_BYTES;

	assert_int_equal(write(flows_at.tun, frame.bytes + PARSE_ETHERNET_BYTES, (size_t)bytes),
			 bytes);
}

/* The kernel's next segment to this peer; waits for it. */
static inline struct parsed_segment flows_answer(const struct flow *flow, uint8_t flags)
{
	struct pollfd ready = { .fd = flows_at.tun, .events = POLLIN };
	struct parsed_segment segment;
	uint8_t bytes[2048];

	while (poll(&ready, 1, FLOWS_PATIENCE_MS) == 1) {
		ssize_t size = read(flows_at.tun, bytes, sizeof(bytes));
		struct cursor cursor = { bytes, bytes + size };

		assert_true(size > 0);
		memset(&segment, 0, sizeof(segment));
		if (parse_frame(&cursor, (uint32_t)size, 0, &segment) == PARSE_TCP &&
		    segment.destination_port == flow->peer_port && segment.ipv6 == flow->ipv6 &&
		    segment.tcp_flags == flags)
			return segment;
	}
	fail_msg("no segment with flags %#x to port %u", flags, flow->peer_port);
	return segment;
}

/* SYN and SYN-ACK: a request sock is there. */
static inline void flows_request(struct flow *flow)
{
	flow->seq = FLOWS_PEER_ISN;
	flow->ack = 0;
	flows_send(flow, TCPF_SYN);
	flow->ack = flows_answer(flow, TCPF_SYN | TCPF_ACK).seq + 1;
	flow->seq++;
}

static inline void flows_establish(struct flow *flow)
{
	struct pollfd ready = { .fd = flows_at.listener[flow->ipv6], .events = POLLIN };

	flows_request(flow);
	flows_send(flow, TCPF_ACK);
	assert_int_equal(poll(&ready, 1, FLOWS_PATIENCE_MS), 1);
	flow->fd = accept(flows_at.listener[flow->ipv6], NULL, NULL);
	assert_true(flow->fd >= 0);
}

/* Our side's FIN, which the peer does not acknowledge. */
static inline void flows_close(struct flow *flow)
{
	assert_int_equal(shutdown(flow->fd, SHUT_WR), 0);
	flows_answer(flow, TCPF_FIN | TCPF_ACK);
}

static inline void flows_peer_fin(struct flow *flow, bool acknowledge)
{
	flow->ack += acknowledge;
	flows_send(flow, TCPF_FIN | TCPF_ACK);
	flow->seq++;
	flows_answer(flow, TCPF_ACK);
}

/* ---- very many ------------------------------------------------------------------------------- */

#define FLOWS_COLD_PORT 444
#define FLOWS_COLD_PORTS 100 /* of each peer address */

static inline struct segment flows_cold_segment(uint32_t i)
{
	return (struct segment){
		.peer = 256 + i / FLOWS_COLD_PORTS,
		.peer_port = (uint16_t)(20000 + i % FLOWS_COLD_PORTS),
		.port = FLOWS_COLD_PORT,
	};
}

static inline struct frame flows_cold_frame(uint32_t i, uint8_t flags)
{
	struct segment segment = flows_cold_segment(i);

	segment.flags = flags;
	segment.payload_bytes = 100;
	return flows_frame(&segment);
}

/* An established connection without a handshake (TCP_REPAIR). */
static inline void flows_cold_one(uint32_t i)
{
	struct segment segment = flows_cold_segment(i);
	struct sockaddr_in local = { .sin_family = AF_INET, .sin_port = htons(segment.port) },
			   peer = { .sin_family = AF_INET, .sin_port = htons(segment.peer_port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	assert_true(fd >= 0);
	local.sin_addr.s_addr = htonl(0x0a000002u);
	peer.sin_addr.s_addr = htonl(0x0a000001u + segment.peer);
	assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &one, sizeof(one)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&local, sizeof(local)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&peer, sizeof(peer)), 0);
}

/* A part of them, as many as one process may hold; they end with the bench. */
static inline void flows_cold_part(uint32_t first, uint32_t count)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (uint32_t i = 0; i < count; i++)
			flows_cold_one(first + i);
		if (write(ready[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
}

static inline void flows_cold_open(uint32_t count)
{
	struct rlimit limit;
	uint32_t part;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	for (uint32_t first = 0; first < count; first += part) {
		part = (uint32_t)limit.rlim_max - 256;
		if (part > count - first)
			part = count - first;
		flows_cold_part(first, part);
	}
}

#endif
