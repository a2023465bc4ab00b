/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Any frame, with or without a link layer: the parser reads nothing beyond its end and gives one of
 * its results; a segment it lets through has lengths that fit into the frame. The first byte says
 * which kind of device it came from, and how much of the packet is not linear.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_segment(const struct parsed_segment *segment, uint32_t packet_bytes,
			  const uint8_t *frame, size_t linear)
{
	struct cursor cursor = { (void *)(uintptr_t)(frame + segment->option_offset),
				 (void *)(uintptr_t)(frame + linear) };
	struct tcp_options options = { 0 };
	struct option_scratch scratch;

	if (segment->option_bytes > PARSE_OPTION_BYTES_MAX ||
	    segment->option_offset + (size_t)segment->option_bytes > linear ||
	    segment->option_offset + segment->option_bytes + segment->payload_bytes >
		    packet_bytes ||
	    parse_kind(segment->tcp_flags, segment->payload_bytes) >= SEGMENT_NR)
		abort();
	parse_options(&cursor, segment->option_bytes, &scratch, &options);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct parsed_segment segment = { 0 };
	enum parse_result result;
	struct cursor cursor;
	uint32_t packet_bytes;
	uint8_t *frame;

	if (size < 1)
		return 0;
	/* A copy of the exact size, so that the sanitizer sees a step beyond it. */
	frame = malloc(size);
	if (!frame)
		return 0;
	memcpy(frame, data + 1, size - 1);
	packet_bytes = (uint32_t)(size - 1) + (data[0] >> 1) * 16u;
	cursor = (struct cursor){ frame, frame + size - 1 };
	result = parse_frame(&cursor, packet_bytes, data[0] & 1, &segment);
	if (result > PARSE_MALFORMED)
		abort();
	if (result == PARSE_TCP)
		check_segment(&segment, packet_bytes, frame, size - 1);
	else if (result != PARSE_OTHER && parse_ignored_reason(result) >= IGNORED_NR)
		abort();
	free(frame);
	return 0;
}
