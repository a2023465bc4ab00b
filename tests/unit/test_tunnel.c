/* SPDX-License-Identifier: GPL-2.0-only */
/* The inside of tunnels: as if there were none where it is asked for, and nothing where it is not. */
#include "capture_file.h"

#include "capture/pcap.h"
#include "capture/tunnel.h"

/* What stands between the outer IP header and the inner packet. */
struct tunnel {
	const char *name;
	uint8_t protocol; /* 0: 4 or 41, by what is inside */
	uint8_t bytes[40];
	size_t size;
	size_t ethertype_at; /* where the inner packet's stands; 0: nowhere, or in an Ethernet header */
	bool ethernet;
};

#define VXLAN(port) 0xd4, 0x31, (port) >> 8, (port)&0xff, 0, 0, 0, 0
#define GENEVE 0xd4, 0x31, 6081 >> 8, 6081 & 0xff, 0, 0, 0, 0

static const struct tunnel tunnels[] = {
	{ .name = "IP in IP" },
	{ .name = "GRE", .protocol = 47, .size = 4, .ethertype_at = 2 },
	{ .name = "GRE, key", .protocol = 47, .bytes = { 0x20 }, .size = 8, .ethertype_at = 2 },
	{ .name = "GRE, all", .protocol = 47, .bytes = { 0xb0 }, .size = 16, .ethertype_at = 2 },
	{ .name = "GRE, Ethernet",
	  .protocol = 47,
	  .bytes = { 0, 0, 0x65, 0x58 },
	  .size = 4,
	  .ethernet = true },
	{ .name = "VXLAN",
	  .protocol = 17,
	  .bytes = { VXLAN(4789), 0x08, 0, 0, 0, 0, 0, 5 },
	  .size = 16,
	  .ethernet = true },
	{ .name = "VXLAN, Linux's port",
	  .protocol = 17,
	  .bytes = { VXLAN(8472), 0x08, 0, 0, 0, 0, 0, 5 },
	  .size = 16,
	  .ethernet = true },
	{ .name = "Geneve",
	  .protocol = 17,
	  .bytes = { GENEVE, 0, 0, 0x65, 0x58, 0, 0, 5 },
	  .size = 16,
	  .ethernet = true },
	{ .name = "Geneve, options, IP",
	  .protocol = 17,
	  .bytes = { GENEVE, 0x02 },
	  .size = 16 + 8,
	  .ethertype_at = 10 },
};

/* Tunnels of which nothing can be said. */
static const struct tunnel foreign[] = {
	{ .name = "GRE, routes", .protocol = 47, .bytes = { 0x40 }, .size = 8, .ethertype_at = 2 },
	{ .name = "GRE of PPTP",
	  .protocol = 47,
	  .bytes = { 0x20, 1 },
	  .size = 8,
	  .ethertype_at = 2 },
	{ .name = "GRE of ARP", .protocol = 47, .bytes = { 0, 0, 0x08, 0x06 }, .size = 4 },
	{ .name = "GRE of ARP by Ethernet",
	  .protocol = 47,
	  .bytes = { 0, 0, 0x65, 0x58, [16] = 0x08, 0x06 },
	  .size = 18 },
	{ .name = "VXLAN without VNI",
	  .protocol = 17,
	  .bytes = { VXLAN(4789) },
	  .size = 16,
	  .ethernet = true },
	{ .name = "Geneve of version 1",
	  .protocol = 17,
	  .bytes = { GENEVE, 0x40, 0, 0x65, 0x58 },
	  .size = 16,
	  .ethernet = true },
	{ .name = "UDP",
	  .protocol = 17,
	  .bytes = { VXLAN(53), 0x08 },
	  .size = 16,
	  .ethernet = true },
	{ .name = "ESP", .protocol = 50, .size = 8 },
};

/* `inner` is an IP packet of that version. */
static void add_tunnel(struct bytes *frame, const struct tunnel *tunnel, bool outer_ipv6,
		       const struct bytes *inner)
{
	bool ipv6 = inner->at[0] >> 4 == 6;
	const struct wrapping outer = { .ipv6 = outer_ipv6 };
	uint8_t protocol = tunnel->protocol ? tunnel->protocol : ipv6 ? 41 : 4;
	struct bytes body = { .size = 0 };

	add(&body, tunnel->bytes, tunnel->size);
	if (tunnel->ethertype_at) {
		body.at[tunnel->ethertype_at] = ipv6 ? 0x86 : 0x08;
		body.at[tunnel->ethertype_at + 1] = ipv6 ? 0xdd : 0x00;
	}
	if (tunnel->ethernet)
		add_link(&body, &(struct wrapping){ .link = DLT_EN10MB, .ipv6 = ipv6 });
	add(&body, inner->at, inner->size);
	add_ip(frame, &outer, true, protocol, body.size);
	add(frame, body.at, body.size);
}

/* A copy of a capture of raw IP in which every packet is wrapped, `depth` times. */
static void wrap(const struct capture_file *plain, const struct tunnel *tunnel, bool outer_ipv6,
		 int depth, uint32_t snaplen, struct capture_file *ret)
{
	char why[PCAP_ERRBUF_SIZE];
	pcap_t *from = pcap_open_offline(plain->path, why);
	struct pcap_pkthdr *header;
	const u_char *bytes;

	assert_non_null(from);
	capture_open(ret, (struct wrapping){ .link = DLT_RAW }, snaplen);
	while (pcap_next_ex(from, &header, &bytes) == 1) {
		struct bytes frame = { .size = 0 };

		add(&frame, bytes, header->caplen);
		for (int i = 0; i < depth; i++) {
			struct bytes outer = { .size = 0 };

			add_tunnel(&outer, tunnel, outer_ipv6, &frame);
			frame = outer;
		}
		capture_put(ret, &frame);
	}
	capture_close(ret);
	pcap_close(from);
}

static struct pcapfile *reader_of(const struct capture_file *file, bool into_tunnels)
{
	FILE *input = fopen(file->path, "r");
	struct pcapfile *reader;

	assert_non_null(input);
	assert_int_equal(pcapfile_open(input, file->path, into_tunnels, &reader), 0);
	return reader;
}

static void plain_life(bool ipv6, struct capture_file *ret)
{
	capture_open(ret, (struct wrapping){ .link = DLT_RAW, .ipv6 = ipv6 }, 65535);
	capture_life(ret, 0, true);
	capture_close(ret);
}

static void assert_same(const struct capture_file *plain, const struct capture_file *wrapped,
			const char *name)
{
	struct pcapfile *left = reader_of(plain, false), *right = reader_of(wrapped, true);
	struct observation want, have;
	struct rec_segment record;

	while (pcapfile_next(left, &want) == 1) {
		record = *want.segment;
		if (pcapfile_next(right, &have) != 1)
			fail_msg("%s: a packet is missing", name);
		assert_memory_equal(&have.key, &want.key, sizeof(want.key));
		assert_memory_equal(have.segment, &record, sizeof(record));
	}
	assert_int_equal(pcapfile_next(right, &have), 0);
	assert_int_equal(pcapfile_counts(right)->results[PARSE_TCP], 10);
	pcapfile_free(left);
	pcapfile_free(right);
}

/* Every packet of it is something other than TCP. */
static void assert_other(const struct capture_file *file, bool into_tunnels, const char *name)
{
	struct pcapfile *reader = reader_of(file, into_tunnels);
	struct observation none;

	if (pcapfile_next(reader, &none) != 0)
		fail_msg("%s was looked into", name);
	assert_int_equal(pcapfile_counts(reader)->results[PARSE_OTHER], file->packets);
	pcapfile_free(reader);
}

static void what_is_asked_for_is_found(void **state)
{
	struct capture_file plain, wrapped;

	(void)state;
	for (size_t i = 0; i < 4 * ARRAY_SIZE(tunnels); i++) {
		const struct tunnel *tunnel = &tunnels[i / 4];

		plain_life(i & 1, &plain);
		wrap(&plain, tunnel, i & 2, 1, 65535, &wrapped);
		assert_same(&plain, &wrapped, tunnel->name);
		assert_other(&wrapped, false, tunnel->name);
		capture_remove(&plain);
		capture_remove(&wrapped);
	}
}

static void what_is_no_tunnel_is_left_alone(void **state)
{
	struct capture_file plain, wrapped;

	(void)state;
	plain_life(false, &plain);
	assert_same(&plain, &plain, "no tunnel");
	for (size_t i = 0; i < ARRAY_SIZE(foreign); i++) {
		wrap(&plain, &foreign[i], false, 1, 65535, &wrapped);
		assert_other(&wrapped, true, foreign[i].name);
		capture_remove(&wrapped);
	}
	capture_remove(&plain);
}

static void tunnels_within_tunnels(void **state)
{
	struct capture_file plain, wrapped;

	(void)state;
	plain_life(false, &plain);
	for (size_t i = 0; i < ARRAY_SIZE(tunnels); i++) {
		wrap(&plain, &tunnels[i], false, TUNNELS_MAX, 65535, &wrapped);
		assert_same(&plain, &wrapped, tunnels[i].name);
		capture_remove(&wrapped);
		wrap(&plain, &tunnels[i], false, TUNNELS_MAX + 1, 65535, &wrapped);
		assert_other(&wrapped, true, tunnels[i].name);
		capture_remove(&wrapped);
	}
	capture_remove(&plain);
}

/* Cut off anywhere: a segment if the TCP header is there, and no byte behind the cut is read. */
static void cut_anywhere(void **state)
{
	struct capture_file plain, wrapped;

	(void)state;
	plain_life(false, &plain);
	for (size_t i = 0; i < ARRAY_SIZE(tunnels); i++) {
		const struct tunnel *tunnel = &tunnels[i];
		uint32_t outer = (uint32_t)(20 + tunnel->size + (tunnel->ethernet ? 14 : 0));

		for (uint32_t snaplen = 1; snaplen <= outer + 60; snaplen++) {
			struct observation seen;
			struct pcapfile *reader;
			uint64_t segments = 0;

			wrap(&plain, tunnel, false, 1, snaplen, &wrapped);
			reader = reader_of(&wrapped, true);
			while (pcapfile_next(reader, &seen) == 1)
				segments++;
			assert_int_equal(segments, snaplen < outer + 40 ? 0 : 10);
			assert_int_equal(pcapfile_counts(reader)->packets, 10);
			pcapfile_free(reader);
			capture_remove(&wrapped);
		}
	}
	capture_remove(&plain);
}

/* A tunnel's fragment has its inner header in it, or it does not: it is left out. */
static void fragments_are_not_entered(void **state)
{
	uint8_t packet[40] = { 0x45, [3] = 40, [6] = 0x20, [9] = 4, [20] = 0x45 };
	struct cursor cursor = { packet, packet + sizeof(packet) };
	uint32_t bytes = sizeof(packet);

	(void)state;
	assert_false(tunnel_enter(&cursor, &bytes));
	assert_ptr_equal(cursor.position, packet);
	assert_int_equal(bytes, sizeof(packet));
	packet[6] = 0;
	assert_true(tunnel_enter(&cursor, &bytes));
	assert_ptr_equal(cursor.position, packet + 20);
	assert_int_equal(bytes, 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_asked_for_is_found),
		cmocka_unit_test(what_is_no_tunnel_is_left_alone),
		cmocka_unit_test(tunnels_within_tunnels),
		cmocka_unit_test(cut_anywhere),
		cmocka_unit_test(fragments_are_not_entered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
