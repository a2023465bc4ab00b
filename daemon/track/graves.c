/* SPDX-License-Identifier: GPL-2.0-only */
/* Connections that a RST of ours ended: see graves.h. */
#include "track/graves.h"

#include <string.h>

#include "util.h"

/* What is on its way when the RST leaves comes within a second, and so does each answer's. */
#define GRAVE_STEP_NS (1 * NS_PER_SEC)
#define GRAVE_LATE 3u

static uint32_t hash(const struct conn_key *key)
{
	const uint8_t *bytes = (const uint8_t *)key;
	uint32_t sum = 2166136261u; /* FNV-1a */

	for (size_t i = 0; i < sizeof(*key); i++)
		sum = (sum ^ bytes[i]) * 16777619u;
	return sum ^ sum >> 16;
}

struct grave *graves_place(struct graves *graves, const struct conn_key *key)
{
	return &graves->at[hash(key) % GRAVES_NR];
}

struct grave *graves_find(struct graves *graves, const struct conn_key *key)
{
	struct grave *grave = graves_place(graves, key);

	return grave->ended_ns && !memcmp(&grave->key, key, sizeof(*key)) ? grave : NULL;
}

bool grave_hears(struct grave *grave, uint64_t now_ns)
{
	uint64_t since_ns = grave->heard_ns ? grave->heard_ns : grave->ended_ns;

	if (now_ns < since_ns + GRAVE_STEP_NS)
		return false;
	grave->heard_ns = now_ns;
	return ++grave->heard == GRAVE_LATE;
}
