/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tuples of connections that our RST ended lately, to know a peer by that goes on as if it had
 * not come. A bounded table of sets, in which the newest displaces the one of its set that there was
 * no sign of for the longest time, but none that goes on: a server that resets thousands a second
 * must not hide the one that matters, which may be silent for a retransmission timeout (RFC 6298:
 * 1 s) before it goes on.
 */
#ifndef TCPWITNESS_GRAVES_H
#define TCPWITNESS_GRAVES_H

#include <stdbool.h>
#include <stdint.h>

#include "capture/decode.h"

#define GRAVES_NR 32768u
#define GRAVES_WAYS 8u /* of a set */

struct grave {
	struct conn_key key;
	uint64_t ended_ns;   /* 0 = empty */
	uint64_t heard_ns;   /* when the peer was last heard of; 0 = never */
	uint64_t counted_ns; /* when it was, and counted; at first: when it ended */
	uint32_t heard;	     /* what counted */
	uint8_t role;	     /* enum connection_role */
};

struct graves {
	/* Every connection that begins asks: of its set's tags first, which are 16 bytes, and not of
	 * its graves. 0 = a place that was never used. */
	uint16_t tags[GRAVES_NR];
	struct grave at[GRAVES_NR];
};

/* An empty grave for `key`, which ended now. NULL: those of its set all go on and stay. */
struct grave *graves_dig(struct graves *graves, const struct conn_key *key, uint64_t now_ns);

/* NULL unless it lies there. */
struct grave *graves_find(struct graves *graves, const struct conn_key *key);

/*
 * The peer was heard of once more. True at the moment when it has not noticed for so long, and was
 * told by RST so often, that something keeps our RSTs from it.
 */
bool grave_hears(struct grave *grave, uint64_t now_ns);

#endif
