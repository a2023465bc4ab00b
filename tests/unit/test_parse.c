/* SPDX-License-Identifier: GPL-2.0-only */
/* The frame parser in user space: every fixture, and every prefix of each. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/fixtures.h"

static unsigned int usual; /* fixtures that were taken at one look */

static void check_segment(const struct fixture *fixture, const struct parsed_segment *segment)
{
	static const uint8_t v4[2][4] = { { 10, 0, 0, 1 }, { 10, 0, 0, 2 } };
	static const uint8_t v6[2][16] = { { NET6(1) }, { NET6(2) } };

	assert_int_equal(segment->tcp_flags, fixture->tcp_flags);
	assert_int_equal(segment->ipv6, fixture->ipv6);
	assert_int_equal(segment->payload_bytes, fixture->payload_bytes);
	assert_int_equal(segment->source_port, FIXTURE_SOURCE_PORT);
	assert_int_equal(segment->destination_port, FIXTURE_DESTINATION_PORT);
	assert_int_equal(segment->seq, FIXTURE_SEQ);
	assert_int_equal(segment->ack, FIXTURE_ACK);
	assert_int_equal(segment->window, FIXTURE_WINDOW);
	assert_int_equal(segment->ip_id, fixture->ipv6 ? 0 : FIXTURE_IP_ID);
	if (fixture->ipv6) {
		assert_memory_equal(segment->source, v6[0], 16);
		assert_memory_equal(segment->destination, v6[1], 16);
	} else {
		assert_memory_equal(segment->source, v4[0], 4);
		assert_memory_equal(segment->destination, v4[1], 4);
	}
}

/* The look at what is usual says the same, or nothing. */
static void check_usual(const struct fixture *fixture, const struct parsed_segment *whole)
{
	struct cursor cursor = { (void *)(uintptr_t)fixture->bytes,
				 (void *)(uintptr_t)(fixture->bytes + fixture->size) };
	struct parsed_segment segment = { 0 };
	enum parse_result result;

	if (!fixture->has_link_layer ||
	    !parse_frame_usual(&cursor, (uint32_t)fixture->size, &segment, &result))
		return;
	assert_int_equal(result, fixture->result);
	if (result == PARSE_TCP)
		assert_memory_equal(&segment, whole, sizeof(segment));
	usual += result == PARSE_TCP;
}

static void fixtures_parse(void **state)
{
	(void)state;
	for (size_t i = 0; i < NR_FIXTURES; i++) {
		const struct fixture *fixture = &fixtures[i];
		struct parsed_segment segment;
		struct tcp_options options;
		enum parse_result result = fixture_parse(fixture, &segment, &options);

		print_message("  %s\n", fixture->name);
		assert_int_equal(result, fixture->result);
		check_usual(fixture, &segment);
		if (result != PARSE_TCP)
			continue;
		check_segment(fixture, &segment);
		assert_int_equal(options.present, fixture->options.present);
		assert_int_equal(options.mss, fixture->options.mss);
		assert_int_equal(options.wscale, fixture->options.wscale);
		assert_int_equal(options.tsval, fixture->options.tsval);
		assert_int_equal(options.tsecr, fixture->options.tsecr);
	}
	assert_true(usual >= 5);
}

/* A frame cut anywhere is read no further than it goes (the sanitizers watch), and not taken for whole. */
static void prefixes_are_not_overread(void **state)
{
	(void)state;
	for (size_t i = 0; i < NR_FIXTURES; i++) {
		struct parsed_segment whole;
		struct tcp_options none;
		enum parse_result expected = fixture_parse(&fixtures[i], &whole, &none);
		size_t headers = whole.option_offset + whole.option_bytes;

		for (size_t size = 0; size < fixtures[i].size; size++) {
			struct fixture cut = fixtures[i];
			uint8_t *bytes = malloc(size ? size : 1);
			struct parsed_segment segment;
			struct tcp_options options;
			enum parse_result result;

			assert_non_null(bytes);
			memcpy(bytes, fixtures[i].bytes, size);
			cut.bytes = bytes;
			cut.size = size;
			result = fixture_parse(&cut, &segment, &options);
			if (expected != PARSE_TCP || size < headers)
				assert_int_not_equal(result, PARSE_TCP);
			free(bytes);
		}
	}
}

/* Headers in the linear part, payload beyond: the length is the packet's own. */
static void linear_part_ends_behind_headers(void **state)
{
	const uint8_t frame[] = { ETHERNET(0x0800), IP4(1040), TCP(5, ACK) };
	struct cursor cursor = { (void *)(uintptr_t)frame,
				 (void *)(uintptr_t)(frame + sizeof(frame)) };
	struct parsed_segment segment = { 0 };

	(void)state;
	assert_int_equal(parse_frame(&cursor, 14 + 1040, 1, &segment), PARSE_TCP);
	assert_int_equal(segment.payload_bytes, 1000);
	cursor.position = (void *)(uintptr_t)frame;
	cursor.end = (void *)(uintptr_t)(frame + sizeof(frame) - 1);
	assert_int_equal(parse_frame(&cursor, 14 + 1040, 1, &segment), PARSE_TRUNCATED);
}

static void kinds_in_order(void **state)
{
	(void)state;
	assert_int_equal(parse_kind(RST | SYN | FIN, 9), SEGMENT_RST);
	assert_int_equal(parse_kind(SYN | FIN, 9), SEGMENT_SYN);
	assert_int_equal(parse_kind(SYN | ACK, 9), SEGMENT_SYNACK);
	assert_int_equal(parse_kind(FIN | ACK, 9), SEGMENT_FIN);
	assert_int_equal(parse_kind(ACK, 9), SEGMENT_DATA);
	assert_int_equal(parse_kind(ACK, 0), SEGMENT_ACK);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(fixtures_parse),
		cmocka_unit_test(prefixes_are_not_overread),
		cmocka_unit_test(linear_part_ends_behind_headers),
		cmocka_unit_test(kinds_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
