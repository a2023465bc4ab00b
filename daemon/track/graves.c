/* SPDX-License-Identifier: GPL-2.0-only */
/* Connections that a RST of ours ended: see graves.h. */
#include "track/graves.h"

#include <string.h>
#include <sys/param.h>

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

static uint32_t set_of(uint32_t hashed)
{
	return hashed % (GRAVES_NR / GRAVES_WAYS) * GRAVES_WAYS;
}

/* From bits that do not choose the set; never 0, which is an empty place's. */
static uint16_t tag_of(uint32_t hashed)
{
	return (uint16_t)(hashed >> 16 | 1);
}

static bool lies_here(const struct grave *grave, const struct conn_key *key)
{
	return grave->ended_ns && !memcmp(&grave->key, key, sizeof(*key));
}

static bool goes_on(const struct grave *grave, uint64_t now_ns)
{
	return grave->ended_ns && grave->heard && now_ns < grave->heard_ns + GRAVE_KEPT_NS;
}

static uint64_t last_sign_ns(const struct grave *grave)
{
	return grave->ended_ns ? MAX(grave->ended_ns, grave->heard_ns) : 0;
}

struct grave *graves_dig(struct graves *graves, const struct conn_key *key, uint64_t now_ns)
{
	uint32_t hashed = hash(key), set = set_of(hashed);
	struct grave *grave = NULL;

	for (uint32_t i = set; i < set + GRAVES_WAYS; i++) {
		struct grave *at = &graves->at[i];

		if (lies_here(at, key)) {
			grave = at;
			break;
		}
		if (!goes_on(at, now_ns) && (!grave || last_sign_ns(at) < last_sign_ns(grave)))
			grave = at;
	}
	if (!grave)
		return NULL;
	*grave = (struct grave){ .key = *key, .ended_ns = now_ns, .counted_ns = now_ns };
	graves->tags[grave - graves->at] = tag_of(hashed);
	return grave;
}

struct grave *graves_find(struct graves *graves, const struct conn_key *key)
{
	uint32_t hashed = hash(key), set = set_of(hashed);

	for (uint32_t i = set; i < set + GRAVES_WAYS; i++)
		if (graves->tags[i] == tag_of(hashed) && lies_here(&graves->at[i], key))
			return &graves->at[i];
	return NULL;
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
