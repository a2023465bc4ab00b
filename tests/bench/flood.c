/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Floods a host with TCP segments from spoofed sources, as fast as one core can, and counts what
 * the device took.
 *
 * Frames go to a packet socket without a qdisc between it and the device, and are built here, so
 * no socket and no route of this host is involved. No two segments of a run have the same source
 * until all addresses and ports of the prefixes were used. With --answer it hears and counts what comes
 * back, and with --answer=ack is a client without memory as well: all that a final ACK needs is in the
 * SYN-ACK that it answers.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/param.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/frame.h"

#define ENDS_MAX 4   /* targets, and prefixes of sources */
#define BATCH 64     /* frames a system call */
#define FRAME_MAX 96 /* Ethernet, IPv6, TCP and one option */
#define PORT_BITS 15 /* of a source port: 32768 to 65535 */
#define NS_PER_S 1000000000ull

enum kind {
	KIND_SYN,
	KIND_ACK,
	KIND_RST,
	KIND_FIN,
	KIND_NR
};

static const struct {
	const char *name;
	uint8_t flags;
} kinds[KIND_NR] = {
	[KIND_SYN] = { "syn", FRAME_SYN },
	[KIND_ACK] = { "ack", FRAME_ACK },
	[KIND_RST] = { "rst", FRAME_RST },
	[KIND_FIN] = { "fin", FRAME_FIN | FRAME_ACK },
};

/* What becomes of a SYN-ACK: it is not heard, only counted, or answered. */
enum reply {
	REPLY_DEAF,
	REPLY_NONE,
	REPLY_ACK,
	REPLY_ACK_RST
};

struct address {
	uint8_t at[16]; /* network order; IPv4: the first four */
	bool ipv6;
	uint32_t prefix; /* bits; of a target all */
};

struct options {
	const char *device;
	uint8_t mac[ETH_ALEN];
	struct address targets[ENDS_MAX], sources[ENDS_MAX];
	uint32_t nr_targets, nr_sources;
	uint16_t first_port, nr_ports;
	enum kind turns[KIND_NR]; /* kinds, one after another */
	uint32_t nr_turns;
	enum reply reply;
	uint64_t count, rate, seed; /* rate: a second, 0 = as fast as it goes */
	double seconds, linger;	    /* linger: until so long nothing came back, at the end */
	int cpu;		    /* -1: any */
};

struct frame {
	uint8_t bytes[FRAME_MAX];
	size_t size;
	uint8_t counts_as; /* enum kind; KIND_NR: an answer */
};

struct flood {
	struct options options;
	uint8_t own_mac[ETH_ALEN];
	int fd;
	uint64_t made; /* segments of kinds, so far */
	uint64_t sent[KIND_NR], refused;
	uint64_t synacks, answers, resets, missed; /* resets: RSTs that came */
	uint64_t heard_ns;			   /* the last SYN-ACK */
	struct frame queue[BATCH];
	uint32_t queued;
};

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
	(void)number;
	stop = 1;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* ---- what is sent ---- */

/* A permutation of 64 bits (the finalizer of MurmurHash3). */
static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 33) * 0xff51afd7ed558ccdull;
	x = (x ^ x >> 33) * 0xc4ceb9fe1a85ec53ull;
	return x ^ x >> 33;
}

/* A permutation of `bits` bits: each number comes once before any comes again. */
static uint64_t scatter(uint64_t number, uint32_t bits, uint64_t seed)
{
	uint64_t mask = bits < 64 ? (1ull << bits) - 1 : ~0ull;

	number = (number * 0x9e3779b97f4a7c15ull + seed) & mask;
	number ^= number >> (bits / 2 + 1);
	return number * 0xd1342543de82ef95ull & mask;
}

/* The last bits of a prefix' addresses become `host`. */
static void host_set(const struct address *prefix, uint64_t host, uint8_t ret[16])
{
	uint32_t size = prefix->ipv6 ? 16 : 4, bits = 8 * size - prefix->prefix;

	memcpy(ret, prefix->at, 16);
	for (uint32_t i = size; i-- > 0 && bits > 0; host >>= 8) {
		uint8_t mask = bits >= 8 ? 0xff : (uint8_t)((1u << bits) - 1);

		ret[i] = (uint8_t)((ret[i] & ~mask) | ((uint8_t)host & mask));
		bits -= MIN(bits, 8u);
	}
}

static const struct address *source_of(const struct options *options, bool ipv6)
{
	for (uint32_t i = 0; i < options->nr_sources; i++)
		if (options->sources[i].ipv6 == ipv6)
			return &options->sources[i];
	return NULL;
}

static void make_segment(struct flood *flood, struct frame *ret)
{
	const struct options *options = &flood->options;
	uint64_t round = flood->made / options->nr_turns / options->nr_targets;
	const struct address *target = &options->targets[flood->made % options->nr_targets];
	enum kind kind = options->turns[flood->made / options->nr_targets % options->nr_turns];
	const struct address *prefix = source_of(options, target->ipv6);
	uint32_t host_bits = MIN((prefix->ipv6 ? 128 : 32) - prefix->prefix, 32u);
	uint64_t number, noise = mix(flood->made + options->seed);
	uint8_t source[16];
	struct frame_segment segment = {
		.source = source,
		.target = target->at,
		.ipv6 = target->ipv6,
		.seq = (uint32_t)noise,
		.flags = kinds[kind].flags,
	};

	number = scatter(round, host_bits + PORT_BITS, options->seed);
	host_set(prefix, number >> PORT_BITS, source);
	segment.source_port = (uint16_t)(1u << PORT_BITS | (number & ((1u << PORT_BITS) - 1)));
	segment.target_port = (uint16_t)(options->first_port + round % options->nr_ports);
	if (segment.flags & FRAME_ACK)
		segment.ack = (uint32_t)(noise >> 32);
	ret->size = frame_build(&segment, options->mac, flood->own_mac, ret->bytes);
	ret->counts_as = (uint8_t)kind;
	flood->made++;
}

/* Counts what was taken; what the device had no room for is tried again. 0 or -errno. */
static int send_queue(struct flood *flood)
{
	struct iovec parts[BATCH];
	struct mmsghdr messages[BATCH];
	uint32_t done = 0;

	memset(messages, 0, flood->queued * sizeof(messages[0]));
	for (uint32_t i = 0; i < flood->queued; i++) {
		parts[i] = (struct iovec){ flood->queue[i].bytes, flood->queue[i].size };
		messages[i].msg_hdr.msg_iov = &parts[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	while (done < flood->queued && !stop) {
		int count = sendmmsg(flood->fd, messages + done, flood->queued - done, 0);

		if (count < 0 && errno != ENOBUFS && errno != EAGAIN && errno != EINTR)
			return -errno;
		/* it stops at the first that is refused */
		flood->refused += count < (int)(flood->queued - done);
		for (; count > 0; count--, done++) {
			if (flood->queue[done].counts_as < KIND_NR)
				flood->sent[flood->queue[done].counts_as]++;
			else
				flood->answers++;
		}
	}
	flood->queued = 0;
	return 0;
}

static int queue_segment(struct flood *flood, const struct frame_segment *segment)
{
	struct frame *frame = &flood->queue[flood->queued++];

	frame->size = frame_build(segment, flood->options.mac, flood->own_mac, frame->bytes);
	frame->counts_as = KIND_NR;
	return flood->queued == BATCH ? send_queue(flood) : 0;
}

/* ---- what comes back ---- */

static int answer_synack(struct flood *flood, const struct frame_segment *got)
{
	struct frame_segment segment = {
		.source = got->target,
		.target = got->source,
		.ipv6 = got->ipv6,
		.source_port = got->target_port,
		.target_port = got->source_port,
		.seq = got->ack,
		.ack = got->seq + 1,
		.flags = FRAME_ACK,
	};
	int err = queue_segment(flood, &segment);

	if (err || flood->options.reply != REPLY_ACK_RST)
		return err;
	segment.flags = FRAME_RST;
	return queue_segment(flood, &segment);
}

static int take_frame(struct flood *flood, const uint8_t *bytes, size_t size)
{
	struct frame_segment got;

	if (frame_parse(bytes, size, &got))
		return 0;
	/* what is not for a spoofed port is somebody else's on this device */
	if (got.target_port < 1u << PORT_BITS)
		return 0;
	if (got.flags & FRAME_RST)
		flood->resets++;
	if ((got.flags & (FRAME_SYN | FRAME_ACK)) != (FRAME_SYN | FRAME_ACK))
		return 0;
	flood->synacks++;
	flood->heard_ns = now_ns();
	return flood->options.reply < REPLY_ACK ? 0 : answer_synack(flood, &got);
}

/* All that is there, and the answers to it. */
static int listen_back(struct flood *flood)
{
	uint8_t bytes[2048];
	int err = 0;

	while (!err) {
		ssize_t size = recv(flood->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

		if (size < 0)
			break;
		err = take_frame(flood, bytes, (size_t)size);
	}
	return err ? err : send_queue(flood);
}

/* ---- the run ---- */

/* It hears nothing if nothing is to be answered. */
static int open_socket(struct flood *flood)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	const int one = 1, room = 64 << 20;
	struct ifreq request = {};

	flood->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (flood->fd < 0)
		return -errno;
	at.sll_ifindex = (int)if_nametoindex(flood->options.device);
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", flood->options.device);
	if (!at.sll_ifindex || ioctl(flood->fd, SIOCGIFHWADDR, &request))
		return -errno;
	memcpy(flood->own_mac, request.ifr_hwaddr.sa_data, ETH_ALEN);
	if (flood->options.reply == REPLY_DEAF)
		at.sll_protocol = 0;
	if (setsockopt(flood->fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)) ||
	    setsockopt(flood->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) ||
	    setsockopt(flood->fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) ||
	    setsockopt(flood->fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)) ||
	    bind(flood->fd, (struct sockaddr *)&at, sizeof(at)))
		return -errno;
	return 0;
}

/* Until the next batch is due; what comes back meanwhile is heard. */
static int keep_rate(struct flood *flood, uint64_t start)
{
	uint64_t due = start + (uint64_t)((double)flood->made / (double)flood->options.rate * 1e9);
	const struct timespec pause = { 0, 200000 };
	int err = 0;

	while (!err && !stop && now_ns() < due) {
		nanosleep(&pause, NULL);
		if (flood->options.reply != REPLY_DEAF)
			err = listen_back(flood);
	}
	return err;
}

static int run(struct flood *flood, uint64_t start)
{
	const struct options *options = &flood->options;
	uint64_t end = start + (uint64_t)(options->seconds * 1e9);
	int err = 0;

	while (!err && !stop && flood->made < options->count && now_ns() < end) {
		uint64_t batch = MIN((uint64_t)BATCH, options->count - flood->made);

		if (options->rate)
			batch = MIN(batch, options->rate / 1000 + 1);
		while (flood->queued < batch)
			make_segment(flood, &flood->queue[flood->queued++]);
		err = send_queue(flood);
		if (!err && options->reply != REPLY_DEAF)
			err = listen_back(flood);
		if (!err && options->rate)
			err = keep_rate(flood, start);
	}
	return err;
}

static int linger(struct flood *flood)
{
	const uint64_t silence = (uint64_t)(flood->options.linger * 1e9);
	const struct timespec pause = { 0, 1000000 };
	int err = 0;

	flood->heard_ns = now_ns();
	while (!err && !stop && now_ns() - flood->heard_ns < silence) {
		nanosleep(&pause, NULL);
		err = listen_back(flood);
	}
	return err;
}

static void tell(struct flood *flood, double seconds)
{
	struct tpacket_stats stats = {};
	socklen_t size = sizeof(stats);
	uint64_t sent = 0;

	getsockopt(flood->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size);
	flood->missed = stats.tp_drops;
	printf("{\"sent\":{");
	for (int kind = 0; kind < KIND_NR; kind++) {
		printf("%s\"%s\":%llu", kind ? "," : "", kinds[kind].name,
		       (unsigned long long)flood->sent[kind]);
		sent += flood->sent[kind];
	}
	printf("},\"refused\":%llu,\"seconds\":%.6f,\"per_second\":%.0f,\"synacks\":%llu,"
	       "\"resets\":%llu,\"answers\":%llu,\"missed\":%llu}\n",
	       (unsigned long long)flood->refused, seconds, (double)sent / seconds,
	       (unsigned long long)flood->synacks, (unsigned long long)flood->resets,
	       (unsigned long long)flood->answers, (unsigned long long)flood->missed);
}

/* ---- the command line ---- */

static int parse_address(char *text, struct address *ret)
{
	char *slash = strchr(text, '/');

	memset(ret, 0, sizeof(*ret));
	if (slash)
		*slash = '\0';
	ret->ipv6 = strchr(text, ':');
	ret->prefix = slash ? (uint32_t)strtoul(slash + 1, NULL, 10) : ret->ipv6 ? 128 : 32;
	if (ret->prefix > (ret->ipv6 ? 128 : 32) ||
	    inet_pton(ret->ipv6 ? AF_INET6 : AF_INET, text, ret->at) != 1)
		return -EINVAL;
	return 0;
}

static int add_address(struct address *list, uint32_t *nr, char *text)
{
	return *nr < ENDS_MAX ? parse_address(text, &list[(*nr)++]) : -E2BIG;
}

static int parse_kinds(char *text, struct options *options)
{
	options->nr_turns = 0;
	for (char *word = strtok(text, ","); word; word = strtok(NULL, ",")) {
		int kind = 0;

		while (kind < KIND_NR && strcmp(word, kinds[kind].name))
			kind++;
		if (kind == KIND_NR || options->nr_turns == KIND_NR)
			return -EINVAL;
		options->turns[options->nr_turns++] = (enum kind)kind;
	}
	return options->nr_turns ? 0 : -EINVAL;
}

static int parse_ports(const char *text, struct options *options)
{
	unsigned int first, last;
	int count = sscanf(text, "%u-%u", &first, &last);

	if (count < 2)
		last = first;
	if (count < 1 || !first || last < first || last > UINT16_MAX)
		return -EINVAL;
	options->first_port = (uint16_t)first;
	options->nr_ports = (uint16_t)(last - first + 1);
	return 0;
}

static int parse_mac(const char *text, uint8_t ret[ETH_ALEN])
{
	return sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx", &ret[0], &ret[1], &ret[2],
		      &ret[3], &ret[4], &ret[5]) == ETH_ALEN ?
		       0 :
		       -EINVAL;
}

static int parse_reply(const char *text, enum reply *ret)
{
	if (!strcmp(text, "none"))
		*ret = REPLY_NONE;
	else if (!strcmp(text, "ack"))
		*ret = REPLY_ACK;
	else if (!strcmp(text, "ack-rst"))
		*ret = REPLY_ACK_RST;
	else
		return -EINVAL;
	return 0;
}

enum flag {
	DEVICE,
	MAC,
	TARGET,
	SOURCE,
	PORTS,
	KIND,
	ANSWER,
	COUNT,
	RATE,
	SEED,
	SECONDS,
	LINGER,
	CPU
};

static int parse_flag(int flag, char *value, struct options *ret)
{
	switch (flag) {
	case DEVICE:
		ret->device = value;
		return 0;
	case MAC:
		return parse_mac(value, ret->mac);
	case TARGET:
		return add_address(ret->targets, &ret->nr_targets, value);
	case SOURCE:
		return add_address(ret->sources, &ret->nr_sources, value);
	case PORTS:
		return parse_ports(value, ret);
	case KIND:
		return parse_kinds(value, ret);
	case ANSWER:
		return parse_reply(value, &ret->reply);
	case COUNT:
		ret->count = strtoull(value, NULL, 10);
		return ret->count ? 0 : -EINVAL;
	case RATE:
		ret->rate = strtoull(value, NULL, 10);
		return ret->rate ? 0 : -EINVAL;
	case SEED:
		ret->seed = strtoull(value, NULL, 10);
		return 0;
	case SECONDS:
		ret->seconds = strtod(value, NULL);
		return ret->seconds > 0 ? 0 : -EINVAL;
	case LINGER:
		ret->linger = strtod(value, NULL);
		return 0;
	case CPU:
		ret->cpu = atoi(value);
		return 0;
	}
	return -EINVAL;
}

/* Can every target be reached from some prefix? */
static bool is_complete(const struct options *options)
{
	for (uint32_t i = 0; i < options->nr_targets; i++)
		if (!source_of(options, options->targets[i].ipv6))
			return false;
	return options->device && options->nr_targets && options->nr_ports;
}

static int parse_options(int argc, char **argv, struct options *ret)
{
	static const struct option flags[] = {
		{ "device", 1, NULL, DEVICE },	 { "mac", 1, NULL, MAC },
		{ "target", 1, NULL, TARGET },	 { "source", 1, NULL, SOURCE },
		{ "ports", 1, NULL, PORTS },	 { "kind", 1, NULL, KIND },
		{ "answer", 1, NULL, ANSWER },	 { "count", 1, NULL, COUNT },
		{ "rate", 1, NULL, RATE },	 { "seed", 1, NULL, SEED },
		{ "seconds", 1, NULL, SECONDS }, { "linger", 1, NULL, LINGER },
		{ "cpu", 1, NULL, CPU },	 { NULL, 0, NULL, 0 },
	};
	int flag;

	*ret = (struct options){
		.nr_turns = 1, .count = 100000, .seconds = 10, .linger = 0.3, .cpu = -1
	};
	while ((flag = getopt_long(argc, argv, "", flags, NULL)) >= 0)
		if (flag > CPU || parse_flag(flag, optarg, ret))
			return -EINVAL;
	return is_complete(ret) ? 0 : -EINVAL;
}

static int prepare(struct flood *flood)
{
	cpu_set_t cpus;

	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	CPU_ZERO(&cpus);
	if (flood->options.cpu >= 0)
		CPU_SET((size_t)flood->options.cpu, &cpus);
	if (flood->options.cpu >= 0 && sched_setaffinity(0, sizeof(cpus), &cpus))
		return -errno;
	return open_socket(flood);
}

int main(int argc, char **argv)
{
	static struct flood flood;
	uint64_t start;
	int err;

	if (parse_options(argc, argv, &flood.options)) {
		fprintf(stderr,
			"usage: flood --device DEV --mac MAC --target ADDR… --source PREFIX…\n"
			"             --ports A[-B] [--kind syn,ack,rst,fin] [--answer none|ack|ack-rst]\n"
			"             [--count N] [--seconds S] [--linger S] [--rate N] [--seed N] [--cpu N]\n");
		return 2;
	}
	err = prepare(&flood);
	start = now_ns();
	if (!err)
		err = run(&flood, start);
	if (err)
		fprintf(stderr, "flood: %s: %s\n", flood.options.device, strerror(-err));
	else {
		double seconds = (double)(now_ns() - start) / 1e9;

		err = flood.options.reply == REPLY_DEAF ? 0 : linger(&flood);
		tell(&flood, seconds);
	}
	return err ? 1 : 0;
}
