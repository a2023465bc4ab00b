/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tuples of connections that our RST ended lately, to know a peer by that goes on as if it had
 * not come. A bounded table in which the newest displaces what lies in its place, unless that has
 * just been heard of: a server that resets thousands a second must not hide the one that matters.
 */
#ifndef TCPWITNESS_GRAVES_H
#define TCPWITNESS_GRAVES_H

#include <stdbool.h>
#include <stdint.h>

#include "capture/decode.h"

#define GRAVES_NR 16384u

struct grave {
	struct conn_key key;
	uint64_t ended_ns;   /* 0 = empty */
	uint64_t heard_ns;   /* when the peer was last heard of; 0 = never */
	uint64_t counted_ns; /* when it was, and counted; at first: when it ended */
	uint32_t heard;	     /* what counted */
	uint8_t role;	     /* enum connection_role */
};

struct graves {
	/* Bit per place that was ever used: every connection that begins asks, and where no RSTs
	 * are sent it asks 2 KiB and not 1 MiB. */
	uint64_t used[GRAVES_NR / 64];
	struct grave at[GRAVES_NR];
};

/* An empty grave for `key`, which ended now. NULL: another lies there and must stay. */
struct grave *graves_dig(struct graves *graves, const struct conn_key *key, uint64_t now_ns);

/* NULL unless it lies there. */
struct grave *graves_find(struct graves *graves, const struct conn_key *key);

/*
 * The peer was heard of once more. True at the moment when it has not noticed for so long, and was
 * told by RST so often, that something keeps our RSTs from it.
 */
bool grave_hears(struct grave *grave, uint64_t now_ns);

#endif
