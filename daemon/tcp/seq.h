/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sequence numbers: arithmetic modulo 2^32 (RFC 9293 §3.4). Units are octets, SYN and FIN counting
 * as one each. No function here can fail. The order of two numbers that are 2^31 apart is
 * not defined by the RFC: here each is then less than the other.
 */
#ifndef TCPWITNESS_SEQ_H
#define TCPWITNESS_SEQ_H

#include <stdbool.h>
#include <stdint.h>

typedef uint32_t seq_t;

/* a < b: b lies at most 2^31 ahead of a (§3.4). */
static inline bool seq_lt(seq_t a, seq_t b)
{
	return (int32_t)(a - b) < 0;
}

/* a =< b, as §3.4 writes it. */
static inline bool seq_le(seq_t a, seq_t b)
{
	return (int32_t)(a - b) <= 0;
}

/* a > b: seq_lt the other way round (§3.4). */
static inline bool seq_gt(seq_t a, seq_t b)
{
	return seq_lt(b, a);
}

/* a >= b (§3.4). */
static inline bool seq_ge(seq_t a, seq_t b)
{
	return seq_le(b, a);
}

/*
 * start =< s < start + length, the acceptability test of one octet (§3.10.7.4, 1st). length is in
 * octets, up to 2^32 - 1; with 0 nothing lies within (a zero window).
 */
static inline bool seq_in_window(seq_t s, seq_t start, uint32_t length)
{
	return s - start < length;
}

#endif
