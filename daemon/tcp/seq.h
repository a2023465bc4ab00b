/* SPDX-License-Identifier: GPL-2.0-only */
/* Sequence numbers: arithmetic modulo 2^32 (RFC 9293 §3.4). */
#ifndef TCPWITNESS_SEQ_H
#define TCPWITNESS_SEQ_H

#include <stdbool.h>
#include <stdint.h>

typedef uint32_t seq_t;

static inline bool seq_lt(seq_t a, seq_t b)
{
	return (int32_t)(a - b) < 0;
}

static inline bool seq_le(seq_t a, seq_t b)
{
	return (int32_t)(a - b) <= 0;
}

static inline bool seq_gt(seq_t a, seq_t b)
{
	return seq_lt(b, a);
}

static inline bool seq_ge(seq_t a, seq_t b)
{
	return seq_le(b, a);
}

/* start <= s < start + length; false for every s when length is 0. */
static inline bool seq_in_window(seq_t s, seq_t start, uint32_t length)
{
	return s - start < length;
}

#endif
