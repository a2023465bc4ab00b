/* SPDX-License-Identifier: GPL-2.0-only */
/* A connection's name as a person writes it: see tuple.h. */
#include "track/tuple.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int parse_port(const char *text, uint16_t *ret)
{
	unsigned long port;
	char *end;

	/* strtoul takes "-1" and " 1" */
	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	port = strtoul(text, &end, 10);
	if (*end || !port || port > UINT16_MAX)
		return -EINVAL;
	*ret = (uint16_t)port;
	return 0;
}

/* One side; the text is cut into its parts. */
static int parse_side(char *text, uint8_t address[16], uint16_t *ret_port)
{
	static const uint8_t v4_mapped[12] = { [10] = 0xff, 0xff };
	size_t length = strlen(text);
	char *colon = strrchr(text, ':');

	if (!colon || parse_port(colon + 1, ret_port))
		return -EINVAL;
	*colon = '\0';
	length = (size_t)(colon - text);
	if (length >= 2 && text[0] == '[' && text[length - 1] == ']') {
		text[length - 1] = '\0';
		return inet_pton(AF_INET6, text + 1, address) == 1 ? 0 : -EINVAL;
	}
	memcpy(address, v4_mapped, sizeof(v4_mapped));
	return inet_pton(AF_INET, text, address + sizeof(v4_mapped)) == 1 ? 0 : -EINVAL;
}

static bool is_v4(const uint8_t address[16])
{
	return IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)(const void *)address);
}

int tuple_parse(const char *text, struct tuple *ret)
{
	struct tuple tuple = { 0 };
	char copy[TUPLE_TEXT_MAX], *dash;

	if (strlen(text) >= sizeof(copy))
		return -EINVAL;
	strcpy(copy, text);
	/* No address and no port has one. */
	dash = strchr(copy, '-');
	if (dash)
		*dash = '\0';
	if (parse_side(copy, tuple.addresses[0], &tuple.ports[0]))
		return -EINVAL;
	tuple.is_half = !dash;
	if (dash && (parse_side(dash + 1, tuple.addresses[1], &tuple.ports[1]) ||
		     is_v4(tuple.addresses[0]) != is_v4(tuple.addresses[1])))
		return -EINVAL;
	*ret = tuple;
	return 0;
}

const char *tuple_format(const struct tuple *tuple, char buffer[TUPLE_TEXT_MAX])
{
	char side[ENDPOINT_TEXT_MAX];
	int used = snprintf(buffer, TUPLE_TEXT_MAX, "%s",
			    endpoint_format(tuple->addresses[0], tuple->ports[0], side));

	if (!tuple->is_half)
		snprintf(buffer + used, TUPLE_TEXT_MAX - (size_t)used, "-%s",
			 endpoint_format(tuple->addresses[1], tuple->ports[1], side));
	return buffer;
}

static bool is_side(const struct tuple *tuple, int side, const uint8_t address[16], uint16_t port)
{
	return tuple->ports[side] == port && !memcmp(tuple->addresses[side], address, 16);
}

bool tuple_matches(const struct tuple *tuple, const struct conn_key *key)
{
	bool local[2], remote[2];

	for (int side = 0; side < 2; side++) {
		local[side] = is_side(tuple, side, key->local_address, key->local_port);
		remote[side] = is_side(tuple, side, key->remote_address, key->remote_port);
	}
	if (tuple->is_half)
		return local[0] || remote[0];
	return (local[0] && remote[1]) || (local[1] && remote[0]);
}

struct conn_key tuple_key(const struct tuple *tuple, uint32_t netns, bool turned)
{
	struct conn_key key = {
		.local_port = tuple->ports[turned],
		.remote_port = tuple->ports[!turned],
		.netns = netns,
	};

	memcpy(key.local_address, tuple->addresses[turned], 16);
	memcpy(key.remote_address, tuple->addresses[!turned], 16);
	return key;
}
