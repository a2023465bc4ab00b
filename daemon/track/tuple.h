/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A connection's name as a person writes it, or half of one: "10.0.0.1:443-10.0.0.9:51234",
 * "[fd00::1]:443-[fd00::9]:51234", "10.0.0.1:443". Either side may be the local one. Pure.
 */
#ifndef TCPWITNESS_TUPLE_H
#define TCPWITNESS_TUPLE_H

#include <stdbool.h>
#include <stdint.h>

#include "capture/decode.h"

struct tuple {
	uint8_t addresses[2][16]; /* network order, v4 as v4-mapped v6 */
	uint16_t ports[2];	  /* host order */
	bool is_half;		  /* only the first side is given: it may be either end */
};

#define TUPLE_TEXT_MAX (2 * ENDPOINT_TEXT_MAX)

/* In the words of an error message. */
#define TUPLE_WANTED "ADDR:PORT-ADDR:PORT, or ADDR:PORT for a list; [ADDR]:PORT for IPv6"

/* 0, or -EINVAL: an address or port that is none, two families, text behind it. */
int tuple_parse(const char *text, struct tuple *ret);

/* As tuple_parse reads it, v4-mapped addresses as IPv4. Returns `buffer`. */
const char *tuple_format(const struct tuple *tuple, char buffer[TUPLE_TEXT_MAX]);

/* In any network namespace, in either direction. */
bool tuple_matches(const struct tuple *tuple, const struct conn_key *key);

/* The key of a whole tuple with the first side local, or, `turned`, the second. */
struct conn_key tuple_key(const struct tuple *tuple, uint32_t netns, bool turned);

#endif
