/* SPDX-License-Identifier: GPL-2.0-only */
/* What a divergence rests on: told with it, so that nobody has to believe it. */
#ifndef TCPWITNESS_EVIDENCE_H
#define TCPWITNESS_EVIDENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "record.h"

/* Parts that were never seen have ts_ns 0. Times are CLOCK_MONOTONIC. */
struct divergence_evidence {
	struct {
		uint64_t ts_ns;
		uint32_t seq, ack, payload_bytes;
		uint8_t tcp_flags;
		bool sent;
	} segment; /* the newest one of the connection */
	struct {
		uint64_t ts_ns;
		uint16_t error;	  /* sk_err */
		uint8_t from, to; /* enum kernel_state */
		uint8_t bits;	  /* enum state_bit */
	} change;		  /* the newest state change that a tracepoint told */
	struct {
		uint64_t ts_ns;
		struct rec_snapshot snapshot;
	} look;			 /* the fresh look that confirmed it */
	const char *drop_reason; /* of a segment the kernel dropped: static text, or NULL */
	uint32_t repeats;	 /* how often what makes it was seen: RSTs, SYNs, FINs; 0 = once */
};

#endif
