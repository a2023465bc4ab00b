/* SPDX-License-Identifier: GPL-2.0-only */
/* Reads captures: link layers by table, the rest by parse.h, the result as a segment record. */
#include "capture/pcap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include <pcap/pcap.h>

#include "capture/tunnel.h"
#include "log.h"
#include "util.h"

/* Bytes of a packet that was cut off within its TCP options which are looked at again. */
#define CUT_MAX 512

struct pcapfile {
	pcap_t *pcap;
	const char *name;
	const struct link_layer *link;
	bool into_tunnels;
	uint64_t now_ns;
	struct pcapfile_counts counts;
	union {
		struct rec_segment record;
		uint8_t bytes[REC_SIZE_V6(rec_segment)];
	};
};

static bool is_ip(uint16_t ethertype)
{
	return ethertype == PARSE_ETHERTYPE_IPV4 || ethertype == PARSE_ETHERTYPE_IPV6;
}

static enum parse_result skip_ethernet(struct cursor *cursor, uint32_t *ret_ifindex)
{
	uint16_t ethertype;

	(void)ret_ifindex;
	if (parse_ethernet(cursor, &ethertype) != PARSE_TCP || !is_ip(ethertype))
		return PARSE_OTHER;
	return PARSE_TCP;
}

/* Linux "cooked": 16 bytes, the ethertype in the last two, as in Ethernet's 14. */
static enum parse_result skip_sll(struct cursor *cursor, uint32_t *ret_ifindex)
{
	cursor->position = (uint8_t *)cursor->position + 2;
	return skip_ethernet(cursor, ret_ifindex);
}

/* Version 2: ethertype first, the interface's index at 4, 20 bytes. */
static enum parse_result skip_sll2(struct cursor *cursor, uint32_t *ret_ifindex)
{
	uint8_t *bytes = cursor->position;
	uint16_t ethertype;

	if ((void *)(bytes + 20) > cursor->end)
		return PARSE_OTHER;
	*ret_ifindex = parse_u32(bytes + 4);
	if (parse_vlan_tags(cursor, bytes + 20, parse_u16(bytes), &ethertype) != PARSE_TCP ||
	    !is_ip(ethertype))
		return PARSE_OTHER;
	return PARSE_TCP;
}

static enum parse_result skip_nothing(struct cursor *cursor, uint32_t *ret_ifindex)
{
	(void)cursor;
	(void)ret_ifindex;
	return PARSE_TCP;
}

/* BSD loopback: an address family in four bytes, of the byte order of whoever wrote them. */
static enum parse_result skip_family(struct cursor *cursor, uint32_t *ret_ifindex)
{
	uint8_t *bytes = cursor->position;
	uint32_t family;

	(void)ret_ifindex;
	if ((void *)(bytes + 4) > cursor->end)
		return PARSE_OTHER;
	family = parse_u32(bytes);
	if (family > UINT16_MAX)
		family = __builtin_bswap32(family);
	cursor->position = bytes + 4;
	switch (family) {
	case 2:	 /* AF_INET everywhere */
	case 10: /* AF_INET6: Linux, NetBSD and OpenBSD, FreeBSD, Darwin */
	case 24:
	case 28:
	case 30:
		return PARSE_TCP;
	default:
		return PARSE_OTHER;
	}
}

/* RFC 1662 §3.1: address and control may be left out; RFC 1661 §6.5: so may a byte of protocol. */
static enum parse_result skip_ppp(struct cursor *cursor, uint32_t *ret_ifindex)
{
	uint8_t *bytes = cursor->position;
	uint16_t protocol;

	(void)ret_ifindex;
	if ((void *)(bytes + 4) > cursor->end)
		return PARSE_OTHER;
	if (bytes[0] == 0xff && bytes[1] == 0x03)
		bytes += 2;
	protocol = bytes[0];
	bytes++;
	if (!(protocol & 1)) {
		protocol = (uint16_t)(protocol << 8 | bytes[0]);
		bytes++;
	}
	cursor->position = bytes;
	return protocol == 0x21 || protocol == 0x57 ? PARSE_TCP : PARSE_OTHER; /* IPv4, IPv6 */
}

/* What leaves the cursor at the IP header. */
static const struct link_layer {
	int type;
	enum parse_result (*skip)(struct cursor *cursor, uint32_t *ret_ifindex);
} link_layers[] = {
	{ DLT_EN10MB, skip_ethernet }, { DLT_LINUX_SLL, skip_sll }, { DLT_LINUX_SLL2, skip_sll2 },
	{ DLT_RAW, skip_nothing },     { DLT_IPV4, skip_nothing },  { DLT_IPV6, skip_nothing },
	{ DLT_NULL, skip_family },     { DLT_LOOP, skip_family },   { DLT_PPP, skip_ppp },
	{ DLT_PPP_SERIAL, skip_ppp },
};

static const struct link_layer *link_layer_of(pcap_t *pcap, const char *name)
{
	int type = pcap_datalink(pcap);
	const char *called = pcap_datalink_val_to_name(type);

	for (size_t i = 0; i < ARRAY_SIZE(link_layers); i++)
		if (link_layers[i].type == type)
			return &link_layers[i];
	log_err("%s has link type %s (%d); Ethernet, Linux SLL and SLL2, raw IP, null, loop and "
		"PPP can be read",
		name, called ? called : "unknown", type);
	return NULL;
}

int pcapfile_open(FILE *file, const char *name, bool into_tunnels, struct pcapfile **ret_reader)
{
	struct pcapfile *reader = calloc(1, sizeof(*reader));
	char why[PCAP_ERRBUF_SIZE] = "";
	int err = -ENOMEM;

	if (!reader) {
		fclose(file);
		return log_err_ret(err, "%s", name);
	}
	reader->name = name;
	reader->into_tunnels = into_tunnels;
	reader->pcap =
		pcap_fopen_offline_with_tstamp_precision(file, PCAP_TSTAMP_PRECISION_NANO, why);
	if (!reader->pcap) {
		log_err("cannot read %s as a capture: %s", name, why);
		fclose(file);
		err = -EBADMSG;
		goto fail;
	}
	reader->link = link_layer_of(reader->pcap, name);
	err = -EPROTONOSUPPORT;
	if (!reader->link)
		goto fail;
	*ret_reader = reader;
	return 0;
fail:
	pcapfile_free(reader);
	return err;
}

void pcapfile_free(struct pcapfile *reader)
{
	if (!reader)
		return;
	if (reader->pcap)
		pcap_close(reader->pcap);
	free(reader);
}

const struct pcapfile_counts *pcapfile_counts(const struct pcapfile *reader)
{
	return &reader->counts;
}

static void fill_record(struct pcapfile *reader, const struct parsed_segment *parsed,
			const struct cursor *cursor, uint32_t ifindex)
{
	struct rec_segment *record = &reader->record;
	struct tcp_options options = { 0 };
	size_t address_bytes = parsed->ipv6 ? 16 : 4;
	struct option_scratch scratch;

	if (parsed->option_bytes)
		parse_options(cursor, parsed->option_bytes, &scratch, &options);
	*record = (struct rec_segment){
		.hdr = { .type = REC_SEGMENT,
			 .version = RECORD_VERSION,
			 .flags = REC_F_SENT | (parsed->ipv6 ? REC_F_IPV6 : 0),
			 .ts_ns = reader->now_ns },
		.ifindex = ifindex,
		.local_port = parsed->source_port,
		.remote_port = parsed->destination_port,
		.seq = parsed->seq,
		.ack = parsed->ack,
		.payload_bytes = parsed->payload_bytes,
		.tsval = options.tsval,
		.tsecr = options.tsecr,
		.window = parsed->window,
		.ip_id = parsed->ip_id,
		.gso_segs = 1,
		.mss = options.mss,
		.tcp_flags = parsed->tcp_flags,
		.options = options.present,
		.wscale = options.wscale,
		.hook = HOOK_TC_EGRESS,
	};
	memcpy(record->addresses, parsed->source, address_bytes);
	memcpy(record->addresses + address_bytes, parsed->destination, address_bytes);
}

/*
 * The headers end beyond what was captured. If only TCP options are missing, the segment can do
 * without them: behind the cut lie zeroes, which end a list of options.
 */
static enum parse_result parse_cut(struct pcapfile *reader, const struct cursor *from,
				   uint32_t packet_bytes, uint32_t ifindex)
{
	size_t captured = MIN((size_t)((uint8_t *)from->end - (uint8_t *)from->position), CUT_MAX);
	uint8_t bytes[CUT_MAX + PARSE_OPTION_BYTES_MAX] = { 0 };
	struct cursor cursor = { bytes, bytes + captured + PARSE_OPTION_BYTES_MAX };
	struct parsed_segment parsed = { 0 };

	memcpy(bytes, from->position, captured);
	if (parse_frame(&cursor, packet_bytes, 0, &parsed) != PARSE_TCP ||
	    parsed.option_offset > captured)
		return PARSE_TRUNCATED;
	fill_record(reader, &parsed, &cursor, ifindex);
	return PARSE_TCP;
}

static enum parse_result take_packet(struct pcapfile *reader, const struct pcap_pkthdr *header,
				     const u_char *bytes)
{
	/* parse.h's cursor is not const: XDP's packet pointers are not */
	struct cursor cursor = { (void *)(uintptr_t)bytes,
				 (void *)(uintptr_t)(bytes + header->caplen) };
	struct parsed_segment parsed = { 0 };
	struct cursor ip;
	enum parse_result result;
	uint32_t ifindex = 0, packet_bytes;

	result = reader->link->skip(&cursor, &ifindex);
	if (result != PARSE_TCP)
		return result;
	packet_bytes =
		MAX(header->len, header->caplen) - (uint32_t)((uint8_t *)cursor.position - bytes);
	for (int depth = 0; reader->into_tunnels && depth < TUNNELS_MAX; depth++)
		if (!tunnel_enter(&cursor, &packet_bytes))
			break;
	ip = cursor;
	result = parse_frame(&cursor, packet_bytes, 0, &parsed);
	if (result == PARSE_TRUNCATED)
		return parse_cut(reader, &ip, packet_bytes, ifindex);
	if (result == PARSE_TCP)
		fill_record(reader, &parsed, &cursor, ifindex);
	return result;
}

static void take_time(struct pcapfile *reader, const struct pcap_pkthdr *header)
{
	/* with this precision tv_usec holds nanoseconds; a damaged time must not overflow */
	uint64_t seconds = MIN((uint64_t)MAX(header->ts.tv_sec, 0), INT64_MAX / NS_PER_SEC - 1);
	uint64_t ns = MIN((uint64_t)MAX(header->ts.tv_usec, 0), NS_PER_SEC - 1);

	reader->now_ns = MAX(reader->now_ns, seconds * NS_PER_SEC + ns);
}

static void make_observation(const struct pcapfile *reader, struct observation *ret)
{
	size_t size = reader->record.hdr.flags & REC_F_IPV6 ? REC_SIZE_V6(rec_segment) :
							      REC_SIZE_V4(rec_segment);
	enum reject_reason reason;

	/* Nothing there can be wrong: the record was just made. */
	decode(&reader->record, size, ret, &reason);
}

int pcapfile_next(struct pcapfile *reader, struct observation *ret)
{
	struct pcap_pkthdr *header;
	const u_char *bytes;
	enum parse_result result;
	int more;

	while ((more = pcap_next_ex(reader->pcap, &header, &bytes)) == 1) {
		reader->counts.packets++;
		take_time(reader, header);
		result = take_packet(reader, header, bytes);
		reader->counts.results[result]++;
		if (result != PARSE_TCP)
			continue;
		make_observation(reader, ret);
		return 1;
	}
	if (more == PCAP_ERROR_BREAK)
		return 0;
	log_err("%s after %llu packets: %s", reader->name,
		(unsigned long long)reader->counts.packets, pcap_geterr(reader->pcap));
	return -EBADMSG;
}
