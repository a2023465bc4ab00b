/* SPDX-License-Identifier: GPL-2.0-only */
/* Captures to segments: link layers, cut packets, what is not TCP, damaged files, both formats. */
#include "capture_file.h"

#include <errno.h>

#include "capture/pcap.h"

/* What the reader made of a capture. */
struct reading {
	int end; /* 0, or -errno */
	size_t count;
	struct observation seen[64];
	struct rec_segment records[64];
	struct pcapfile_counts counts;
};

static void read_path(const char *path, struct reading *ret)
{
	FILE *file = fopen(path, "r");
	struct observation observation;
	struct pcapfile *reader;
	int more;

	memset(ret, 0, sizeof(*ret));
	assert_non_null(file);
	ret->end = pcapfile_open(file, path, false, &reader);
	if (ret->end)
		return;
	while ((more = pcapfile_next(reader, &observation)) == 1) {
		assert_true(ret->count < 64);
		ret->seen[ret->count] = observation;
		ret->records[ret->count] = *observation.segment;
		ret->seen[ret->count].segment = &ret->records[ret->count];
		ret->count++;
	}
	ret->end = more;
	ret->counts = *pcapfile_counts(reader);
	pcapfile_free(reader);
}

static void read_and_remove(struct capture_file *file, struct reading *ret)
{
	capture_close(file);
	read_path(file->path, ret);
	capture_remove(file);
}

static void assert_counts(const struct reading *reading, enum parse_result result, uint64_t amount)
{
	for (int i = PARSE_TCP; i <= PARSE_MALFORMED; i++)
		assert_int_equal(reading->counts.results[i], i == (int)result ? amount : 0);
	assert_int_equal(reading->counts.packets, amount);
}

/* Of two captures of the same segments; an interface's index only SLL2 tells. */
static void assert_same(const struct reading *a, const struct reading *b)
{
	assert_int_equal(a->end, b->end);
	assert_int_equal(a->count, b->count);
	for (size_t i = 0; i < a->count; i++) {
		struct rec_segment left = a->records[i], right = b->records[i];

		assert_memory_equal(&a->seen[i].key, &b->seen[i].key, sizeof(struct conn_key));
		assert_int_equal(a->seen[i].ts_ns, b->seen[i].ts_ns);
		assert_int_equal(a->seen[i].sent, b->seen[i].sent);
		left.ifindex = right.ifindex = 0;
		assert_memory_equal(&left, &right, sizeof(left));
	}
}

static void assert_is_life(const struct reading *reading, bool ipv6)
{
	const struct rec_segment *syn = &reading->records[0], *data = &reading->records[5];
	char local[ENDPOINT_TEXT_MAX];

	assert_int_equal(reading->end, 0);
	assert_int_equal(reading->count, 10);
	assert_counts(reading, PARSE_TCP, 10);
	assert_int_equal(reading->seen[0].type, REC_SEGMENT);
	assert_int_equal(reading->seen[0].ts_ns, CAPTURE_START_NS + 10000);
	assert_true(reading->seen[0].sent);
	assert_string_equal(endpoint_format(reading->seen[0].key.local_address,
					    reading->seen[0].key.local_port, local),
			    ipv6 ? "[fd00::1]:50000" : "10.0.0.1:50000");
	assert_string_equal(endpoint_format(reading->seen[1].key.local_address,
					    reading->seen[1].key.local_port, local),
			    ipv6 ? "[fd00::2]:443" : "10.0.0.2:443");
	assert_int_equal(syn->tcp_flags, TCPF_SYN);
	assert_int_equal(syn->seq, 100);
	assert_int_equal(syn->mss, 1460);
	assert_int_equal(syn->wscale, 7);
	assert_int_equal(syn->window, 64240);
	assert_int_equal(syn->options, TCPO_MSS | TCPO_WSCALE);
	assert_int_equal(syn->ip_id, ipv6 ? 0 : 0x1234);
	assert_int_equal(syn->snapshot.state, 0);
	assert_int_equal(data->payload_bytes, 1000);
	assert_int_equal(data->seq, 501);
	assert_int_equal(data->ack, 401);
}

static void every_link_layer(void **state)
{
	static const struct wrapping wrappings[] = {
		{ .link = DLT_EN10MB },
		{ .link = DLT_EN10MB, .vlan_tags = 1 },
		{ .link = DLT_EN10MB, .vlan_tags = 2 },
		{ .link = DLT_LINUX_SLL },
		{ .link = DLT_LINUX_SLL, .vlan_tags = 1 },
		{ .link = DLT_LINUX_SLL2 },
		{ .link = DLT_LINUX_SLL2, .vlan_tags = 2 },
		{ .link = DLT_RAW },
		{ .link = DLT_NULL },
		{ .link = DLT_NULL, .family_swapped = true },
		{ .link = DLT_LOOP },
		{ .link = DLT_PPP },
		{ .link = DLT_PPP, .ppp_form = 1 },
		{ .link = DLT_PPP, .ppp_form = 2 },
		{ .link = DLT_PPP_SERIAL },
	};
	struct reading first, other;
	struct capture_file file;

	(void)state;
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		for (size_t i = 0; i < ARRAY_SIZE(wrappings); i++) {
			struct wrapping wrapping = wrappings[i];

			wrapping.ipv6 = ipv6;
			capture_open(&file, wrapping, 65535);
			capture_life(&file, 0, false);
			read_and_remove(&file, i ? &other : &first);
			assert_is_life(i ? &other : &first, ipv6);
			if (i)
				assert_same(&other, &first);
			if (wrapping.link == DLT_LINUX_SLL2)
				assert_int_equal(other.records[0].ifindex, 7);
		}
		capture_open(&file,
			     (struct wrapping){ .link = ipv6 ? DLT_IPV6 : DLT_IPV4, .ipv6 = ipv6 },
			     65535);
		capture_life(&file, 0, false);
		read_and_remove(&file, &other);
		assert_same(&other, &first);
	}
}

static void unknown_link_layers_are_refused(void **state)
{
	struct capture_file file;
	struct reading reading;

	(void)state;
	capture_open(&file, (struct wrapping){ .link = DLT_IEEE802_11 }, 65535);
	capture_life(&file, 0, false);
	read_and_remove(&file, &reading);
	assert_int_equal(reading.end, -EPROTONOSUPPORT);
}

/* Behind a link layer that does not say IP nothing is looked for, whatever it looks like. */
static void other_protocols_are_other(void **state)
{
	struct capture_file file;
	struct reading reading;
	struct bytes frame = { .size = 0 };
	struct talk talk = { .flags = TCPF_SYN };

	(void)state;
	capture_open(&file, (struct wrapping){ .link = DLT_EN10MB }, 65535);
	add_zeroes(&frame, 12);
	add_u16(&frame, 0x8847); /* MPLS */
	add_ip(&frame, &file.wrapping, false, 6, 28);
	add_tcp(&frame, &talk);
	capture_put(&file, &frame);
	frame.size = 0;
	add_zeroes(&frame, 12);
	add_vlan_tags(&frame, 2, 0x8100); /* a third tag */
	add_u16(&frame, 1);
	add_u16(&frame, 0x0800);
	add_ip(&frame, &file.wrapping, false, 6, 28);
	add_tcp(&frame, &talk);
	capture_put(&file, &frame);
	frame.size = 0; /* and a packet of no bytes */
	capture_put(&file, &frame);
	read_and_remove(&file, &reading);
	assert_int_equal(reading.end, 0);
	assert_counts(&reading, PARSE_OTHER, 3);

	capture_open(&file, (struct wrapping){ .link = DLT_NULL }, 65535);
	frame.size = 0;
	add_u32(&frame, 7); /* AF_ISO, or whatever 7 is there */
	add_ip(&frame, &file.wrapping, false, 6, 28);
	add_tcp(&frame, &talk);
	capture_put(&file, &frame);
	read_and_remove(&file, &reading);
	assert_counts(&reading, PARSE_OTHER, 1);

	capture_open(&file, (struct wrapping){ .link = DLT_PPP }, 65535);
	frame.size = 0;
	add_u32(&frame, 0xff03c021); /* LCP */
	add_ip(&frame, &file.wrapping, false, 6, 28);
	add_tcp(&frame, &talk);
	capture_put(&file, &frame);
	read_and_remove(&file, &reading);
	assert_counts(&reading, PARSE_OTHER, 1);
}

/* An inner TCP is not this wire's: GRE, IP in IP, IPv6 in IP, VXLAN. */
static void tunnels_are_not_looked_into(void **state)
{
	static const uint8_t protocols[] = { 47, 4, 41, 17 };
	struct talk talk = { .flags = TCPF_SYN };
	struct capture_file file;
	struct reading reading;

	(void)state;
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		capture_open(&file, (struct wrapping){ .link = DLT_EN10MB, .ipv6 = ipv6 }, 65535);
		for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
			struct wrapping inside = { .ipv6 = protocols[i] == 41 };
			struct bytes frame = { .size = 0 }, inner = { .size = 0 };

			if (protocols[i] == 47)
				add_u32(&inner, 0x00000800);
			if (protocols[i] == 17) {
				add_u32(&inner, 0x12b512b5); /* ports 4789 */
				add_zeroes(&inner, 4 + 8 + 12);
				add_u16(&inner, 0x0800);
			}
			add_ip(&inner, &inside, false, 6, 28);
			add_tcp(&inner, &talk);
			add_link(&frame, &file.wrapping);
			add_ip(&frame, &file.wrapping, false, protocols[i], inner.size);
			add(&frame, inner.at, inner.size);
			capture_put(&file, &frame);
		}
		read_and_remove(&file, &reading);
		assert_counts(&reading, PARSE_OTHER, ARRAY_SIZE(protocols));
	}
}

/* What was cut off is not needed: lengths are those of the IP header. */
static void cut_packets(void **state)
{
	struct reading whole, cut;
	struct capture_file file;

	(void)state;
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		uint32_t headers = 14 + (ipv6 ? 40 : 20) + 20;
		struct wrapping wrapping = { .link = DLT_EN10MB, .ipv6 = ipv6 };

		capture_open(&file, wrapping, 65535);
		capture_life(&file, 0, true);
		read_and_remove(&file, &whole);

		/* the options are cut too: 12 bytes of timestamps, behind 8 in a SYN */
		for (uint32_t snaplen = headers; snaplen <= headers + 20; snaplen++) {
			capture_open(&file, wrapping, snaplen);
			capture_life(&file, 0, true);
			read_and_remove(&file, &cut);
			assert_int_equal(cut.end, 0);
			assert_counts(&cut, PARSE_TCP, 10);
			for (size_t i = 0; i < 10; i++) {
				const struct rec_segment *a = &cut.records[i];
				const struct rec_segment *b = &whole.records[i];

				assert_int_equal(a->payload_bytes, b->payload_bytes);
				assert_int_equal(a->seq, b->seq);
				assert_int_equal(a->ack, b->ack);
				assert_int_equal(a->window, b->window);
				assert_int_equal(a->tcp_flags, b->tcp_flags);
				assert_int_equal(a->options & ~b->options, 0);
			}
			assert_true(snaplen < headers + 20 ||
				    cut.records[0].tsval == whole.records[0].tsval);
		}
		assert_same(&cut, &whole);

		capture_open(&file, wrapping, headers - 1);
		capture_life(&file, 0, true);
		read_and_remove(&file, &cut);
		assert_int_equal(cut.end, 0);
		assert_counts(&cut, PARSE_TRUNCATED, 10);
	}
}

static void ipv6_extension_headers(void **state)
{
	/* hop by hop; destination options (16 bytes); atomic fragment; authentication (16 bytes) */
	static const uint8_t chain[] = {
		60, 0, 1, 4, 0,	       0,	0, 0, /* hop by hop */
		44, 1, 1, 4, 0,	       0,	0, 0, 1, 4, 0, 0,
		0,  0, 0, 0, 51,       0,	0, 0, 9, 9, 9, 9, /* fragment */
		6,  2, 0, 0, [36] = 1, [47] = 0
	};
	static const uint8_t fragment[] = { 6, 0, 0, 1, 9, 9, 9, 9 };
	struct wrapping wrapping = { .link = DLT_EN10MB,
				     .ipv6 = true,
				     .extensions = chain,
				     .extension_bytes = sizeof(chain),
				     .first_extension = 0 };
	struct capture_file file;
	struct reading reading;

	(void)state;
	capture_open(&file, wrapping, 65535);
	capture_life(&file, 0, false);
	read_and_remove(&file, &reading);
	assert_is_life(&reading, true);

	wrapping.extensions = fragment;
	wrapping.extension_bytes = sizeof(fragment);
	wrapping.first_extension = 44;
	capture_open(&file, wrapping, 65535);
	capture_life(&file, 0, false);
	read_and_remove(&file, &reading);
	assert_counts(&reading, PARSE_FRAGMENT, 10);
}

static void fragments_and_nonsense_are_counted(void **state)
{
	struct talk talk = { .flags = TCPF_ACK };
	struct capture_file file;
	struct reading reading;

	(void)state;
	capture_open(&file, (struct wrapping){ .link = DLT_RAW }, 65535);
	for (int i = 0; i < 3; i++) {
		struct bytes frame = { .size = 0 };

		add_ip(&frame, &file.wrapping, false, 6, 20);
		add_tcp(&frame, &talk);
		if (i == 0)
			frame.at[6] |= 0x20; /* more fragments */
		else if (i == 1)
			frame.at[0] = 0x44; /* a header of 16 bytes */
		else
			frame.at[20 + 12] = 0xf0; /* a TCP header longer than the datagram */
		capture_put(&file, &frame);
	}
	read_and_remove(&file, &reading);
	assert_int_equal(reading.end, 0);
	assert_int_equal(reading.count, 0);
	assert_int_equal(reading.counts.results[PARSE_FRAGMENT], 1);
	assert_int_equal(reading.counts.results[PARSE_MALFORMED], 2);
}

/* Time may stand still, but never goes back. */
static void time_does_not_go_back(void **state)
{
	struct capture_file *file = &(struct capture_file){ 0 };
	struct reading reading;

	(void)state;
	capture_open(file, (struct wrapping){ .link = DLT_RAW }, 65535);
	CLIENT(.flags = TCPF_SYN, .seq = 1);
	file->now_ns -= 5 * NS_PER_SEC;
	CLIENT(.flags = TCPF_SYN, .seq = 1);
	file->now_ns += 9 * NS_PER_SEC;
	CLIENT(.flags = TCPF_SYN, .seq = 1);
	read_and_remove(file, &reading);
	assert_int_equal(reading.count, 3);
	assert_int_equal(reading.seen[1].ts_ns, reading.seen[0].ts_ns);
	assert_int_equal(reading.seen[2].ts_ns, file->now_ns);
}

static void write_file(const char *path, const void *bytes, size_t size)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
}

static size_t slurp(const char *path, struct bytes *ret)
{
	FILE *file = fopen(path, "r");

	assert_non_null(file);
	ret->size = fread(ret->at, 1, sizeof(ret->at), file);
	assert_true(ret->size < sizeof(ret->at));
	fclose(file);
	return ret->size;
}

/* A file may end anywhere: what was whole is delivered, then there is an error. */
static void cut_and_foreign_files(void **state)
{
	static const char text[] = "This is a text and no capture, however one looks at it.\n";
	struct capture_file file;
	struct reading whole, cut;
	struct bytes bytes;

	(void)state;
	capture_open(&file, (struct wrapping){ .link = DLT_EN10MB }, 65535);
	capture_life(&file, 0, false);
	capture_close(&file);
	read_path(file.path, &whole);
	slurp(file.path, &bytes);
	for (size_t size = 0; size < bytes.size; size++) {
		write_file(file.path, bytes.at, size);
		read_path(file.path, &cut);
		if (size < 24) {
			assert_int_equal(cut.end, -EBADMSG);
			continue;
		}
		assert_true(cut.count < whole.count);
		assert_true(cut.end == -EBADMSG || cut.end == 0); /* 0: between two packets */
		cut.end = whole.end;
		whole.count = cut.count;
		assert_same(&cut, &whole);
		whole.count = 10;
	}
	write_file(file.path, text, sizeof(text));
	read_path(file.path, &cut);
	assert_int_equal(cut.end, -EBADMSG);
	capture_remove(&file);
}

static void swap_u32(uint8_t *bytes)
{
	uint32_t value;

	memcpy(&value, bytes, 4);
	value = __builtin_bswap32(value);
	memcpy(bytes, &value, 4);
}

/* Written on a machine of the other byte order. */
static void other_byte_order(void **state)
{
	struct capture_file file;
	struct reading ours, theirs;
	struct bytes bytes;
	uint32_t size;

	(void)state;
	capture_open(&file, (struct wrapping){ .link = DLT_EN10MB }, 65535);
	capture_life(&file, 0, false);
	capture_close(&file);
	read_path(file.path, &ours);
	slurp(file.path, &bytes);
	swap_u32(bytes.at);
	for (int i = 0; i < 2; i++) {
		uint8_t *version = bytes.at + 4 + 2 * i, low = version[0];

		version[0] = version[1];
		version[1] = low;
	}
	for (size_t at = 8; at < 24; at += 4)
		swap_u32(bytes.at + at);
	for (size_t at = 24; at < bytes.size; at += 16 + size) {
		memcpy(&size, bytes.at + at + 8, 4);
		for (size_t i = 0; i < 16; i += 4)
			swap_u32(bytes.at + at + i);
	}
	write_file(file.path, bytes.at, bytes.size);
	read_path(file.path, &theirs);
	capture_remove(&file);
	assert_is_life(&ours, false);
	assert_same(&theirs, &ours);
}

/* The same through a second program's pcapng, and a pcap of microseconds. */
static void pcapng(void **state)
{
	char command[256], path[80];
	struct capture_file file;
	struct reading pcap, other;

	(void)state;
	if (system("command -v editcap >/dev/null 2>&1")) {
		print_message("editcap is not installed\n");
		skip();
	}
	capture_open(&file, (struct wrapping){ .link = DLT_EN10MB }, 65535);
	capture_life(&file, 0, true);
	capture_close(&file);
	read_path(file.path, &pcap);
	snprintf(path, sizeof(path), "%s.other", file.path);
	for (int i = 0; i < 2; i++) {
		snprintf(command, sizeof(command), "editcap -F %s %s %s 2>/dev/null",
			 i ? "pcap" : "pcapng", file.path, path);
		assert_int_equal(system(command), 0);
		read_path(path, &other);
		assert_same(&other, &pcap);
	}
	unlink(path);
	capture_remove(&file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_link_layer),
		cmocka_unit_test(unknown_link_layers_are_refused),
		cmocka_unit_test(other_protocols_are_other),
		cmocka_unit_test(tunnels_are_not_looked_into),
		cmocka_unit_test(cut_packets),
		cmocka_unit_test(ipv6_extension_headers),
		cmocka_unit_test(fragments_and_nonsense_are_counted),
		cmocka_unit_test(time_does_not_go_back),
		cmocka_unit_test(cut_and_foreign_files),
		cmocka_unit_test(other_byte_order),
		cmocka_unit_test(pcapng),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
