/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tuples of connections that our RST ended lately, to know a peer by that goes on as if it had
 * not come. A bounded table in which the newest displaces what lies in its place.
 */
#ifndef TCPWITNESS_GRAVES_H
#define TCPWITNESS_GRAVES_H

#include <stdbool.h>
#include <stdint.h>

#include "capture/decode.h"

#define GRAVES_NR 2048u

struct grave {
	struct conn_key key;
	uint64_t ended_ns; /* 0 = empty */
	uint64_t heard_ns; /* when the peer was last heard of, and counted */
	uint32_t heard;
	uint8_t role; /* enum connection_role */
};

struct graves {
	struct grave at[GRAVES_NR];
};

/* Where `key` lies or would lie; the caller compares. */
struct grave *graves_place(struct graves *graves, const struct conn_key *key);

/* NULL unless it lies there. */
struct grave *graves_find(struct graves *graves, const struct conn_key *key);

/*
 * The peer was heard of once more. True at the moment when it has not noticed for so long, and was
 * told by RST so often, that something keeps our RSTs from it.
 */
bool grave_hears(struct grave *grave, uint64_t now_ns);

#endif
