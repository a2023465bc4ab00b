/* SPDX-License-Identifier: GPL-2.0-only */
/* Connections that a RST of ours ended: see graves.h. */
#include "track/graves.h"

#include <string.h>

#include "util.h"

/* What was on its way when the RST left has come by then, however long the path. */
#define GRAVE_SETTLED_NS (2 * NS_PER_SEC)
/* The peer is heard of so often, at such distances, and each time another RST answers. */
#define GRAVE_STEP_NS (250 * NS_PER_MS)
#define GRAVE_HEARD 3u
/* A peer that is silent for longer than this has noticed, or gone. */
#define GRAVE_KEPT_NS (5 * NS_PER_SEC)

/* Asked of every connection that begins: a word at a time. */
static uint32_t hash(const struct conn_key *key)
{
	uint64_t words[sizeof(*key) / sizeof(uint64_t)], sum = 0;

	memcpy(words, key, sizeof(words));
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		sum = (sum ^ words[i] ^ sum >> 29) * 0x9e3779b97f4a7c15ull;
	return (uint32_t)(sum >> 32);
}

_Static_assert(sizeof(struct conn_key) % sizeof(uint64_t) == 0, "hashed in words");

static uint32_t place_of(const struct conn_key *key)
{
	return hash(key) % GRAVES_NR;
}

struct grave *graves_dig(struct graves *graves, const struct conn_key *key, uint64_t now_ns)
{
	uint32_t place = place_of(key);
	struct grave *grave = &graves->at[place];

	if (grave->ended_ns && grave->heard_ns && now_ns < grave->heard_ns + GRAVE_KEPT_NS &&
	    memcmp(&grave->key, key, sizeof(*key)) != 0)
		return NULL;
	*grave = (struct grave){ .key = *key, .ended_ns = now_ns, .counted_ns = now_ns };
	graves->used[place / 64] |= 1ull << place % 64;
	return grave;
}

struct grave *graves_find(struct graves *graves, const struct conn_key *key)
{
	uint32_t place = place_of(key);
	struct grave *grave = &graves->at[place];

	if (!(graves->used[place / 64] & 1ull << place % 64))
		return NULL;
	return grave->ended_ns && !memcmp(&grave->key, key, sizeof(*key)) ? grave : NULL;
}

bool grave_hears(struct grave *grave, uint64_t now_ns)
{
	grave->heard_ns = now_ns;
	if (grave->heard >= GRAVE_HEARD || now_ns < grave->counted_ns + GRAVE_STEP_NS)
		return false;
	/* One that is too early to be the last counts all the same. */
	if (grave->heard + 1 == GRAVE_HEARD && now_ns < grave->ended_ns + GRAVE_SETTLED_NS)
		return false;
	grave->counted_ns = now_ns;
	return ++grave->heard == GRAVE_HEARD;
}
