/* SPDX-License-Identifier: GPL-2.0-only */
/* The site of a segment, and whether it is recorded. */
#ifndef TCPWITNESS_BPF_SAMPLE_SEGMENT_H
#define TCPWITNESS_BPF_SAMPLE_SEGMENT_H

#include "sample.h"

#include "parse.h"

/*
 * `state`: of the socket that was found, KS_NONE: none. A SYN-ACK that leaves without one is a
 * cookie's: its listener's.
 */
static __always_inline bool sample_segment(const struct parsed_segment *segment, __u32 netns,
					   __u32 ifindex, __u8 state, bool sent, __u16 *ret_flags)
{
	const __u8 opening = TCPF_SYN | TCPF_ACK;
	struct sampling_site site = { .netns = netns };

	if (state || (sent && (segment->tcp_flags & opening) == opening))
		site.port = sent ? segment->source_port : segment->destination_port;
	else
		site.ifindex = ifindex;
	return sample_takes(&site, segment->source, segment->source_port, segment->destination,
			    segment->destination_port, segment->ipv6, SAMPLING_SEGMENT, ret_flags);
}

#endif
