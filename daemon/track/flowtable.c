/* SPDX-License-Identifier: GPL-2.0-only */
/* Key to connection: see flowtable.h. */
#include "track/flowtable.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* A chunk is a huge page: with a million connections each miss of a small one costs a walk. */
#define CHUNK_BYTES (2u << 20)
#define CHUNK_CONNS (CHUNK_BYTES / (uint32_t)sizeof(struct conn))
#define SLOTS_MIN 1024u
#define CACHE_LINE 64u

struct slot {
	uint32_t tag;	 /* the key's hash */
	uint32_t handle; /* FLOW_NONE = empty */
};

struct flowtable {
	struct slot *slots;
	uint32_t mask; /* slots - 1 */
	uint32_t count, max;
	uint32_t span;	    /* handles ever used */
	uint32_t free_list; /* linked through struct conn.next_free */
	uint64_t seed;
	struct conn **chunks; /* max / CHUNK_CONNS of them, filled as needed */
};

/* Five words, multiply and fold: as good as the key is random, and keyed by the seed. */
static uint32_t hash_key(const struct flowtable *table, const struct conn_key *key)
{
	uint64_t words[sizeof(*key) / 8], hash = table->seed;

	memcpy(words, key, sizeof(*key));
	for (size_t i = 0; i < sizeof(*key) / 8; i++) {
		unsigned __int128 product =
			(unsigned __int128)(hash ^ words[i]) * 0x9e3779b97f4a7c15ull;

		hash = (uint64_t)product ^ (uint64_t)(product >> 64);
	}
	return (uint32_t)(hash ^ (hash >> 32));
}

/* `bytes`: a multiple of CHUNK_BYTES, or less than it. Not zeroed. */
static void *allocate(size_t bytes)
{
	void *memory = bytes < CHUNK_BYTES ? malloc(bytes) : aligned_alloc(CHUNK_BYTES, bytes);

	if (memory && bytes >= CHUNK_BYTES)
		madvise(memory, bytes, MADV_HUGEPAGE);
	return memory;
}

static struct slot *slots_new(uint32_t count)
{
	struct slot *slots = allocate(count * sizeof(*slots));

	for (uint32_t i = 0; slots && i < count; i++)
		slots[i].handle = FLOW_NONE;
	return slots;
}

struct flowtable *flowtable_new(uint32_t max, uint64_t seed)
{
	struct flowtable *table;

	if (!max || max > UINT32_MAX / 4) {
		errno = EINVAL;
		return NULL;
	}
	table = calloc(1, sizeof(*table));
	if (!table)
		return NULL;
	table->max = max;
	table->seed = seed;
	table->free_list = FLOW_NONE;
	table->mask = SLOTS_MIN - 1;
	table->slots = slots_new(SLOTS_MIN);
	table->chunks = calloc(max / CHUNK_CONNS + 1, sizeof(struct conn *));
	if (!table->slots || !table->chunks) {
		flowtable_free(table);
		errno = ENOMEM;
		return NULL;
	}
	return table;
}

void flowtable_free(struct flowtable *table)
{
	if (!table)
		return;
	for (uint32_t i = 0; table->chunks && i <= table->max / CHUNK_CONNS; i++)
		free(table->chunks[i]);
	free(table->chunks);
	free(table->slots);
	free(table);
}

struct conn *flowtable_at(const struct flowtable *table, uint32_t handle)
{
	return &table->chunks[handle / CHUNK_CONNS][handle % CHUNK_CONNS];
}

uint32_t flowtable_count(const struct flowtable *table)
{
	return table->count;
}

uint32_t flowtable_span(const struct flowtable *table)
{
	return table->span;
}

static bool is_at(const struct flowtable *table, uint32_t handle, const struct conn_key *key)
{
	const struct conn *conn = flowtable_at(table, handle);

	return conn->in_use && !memcmp(&conn->key, key, sizeof(*key));
}

static uint32_t find(const struct flowtable *table, const struct conn_key *key, uint32_t tag)
{
	for (uint32_t i = tag & table->mask;; i = (i + 1) & table->mask) {
		const struct slot *slot = &table->slots[i];

		if (slot->handle == FLOW_NONE)
			return FLOW_NONE;
		if (slot->tag == tag && is_at(table, slot->handle, key))
			return slot->handle;
	}
}

uint32_t flowtable_find(const struct flowtable *table, const struct conn_key *key)
{
	return find(table, key, hash_key(table, key));
}

/* Most probably the connection: all that is known of it is its tag. */
static uint32_t guess(const struct flowtable *table, uint32_t tag)
{
	uint32_t i = tag & table->mask;

	while (table->slots[i].handle != FLOW_NONE && table->slots[i].tag != tag)
		i = (i + 1) & table->mask;
	return table->slots[i].handle;
}

static void fetch(const struct flowtable *table, uint32_t handle)
{
	const char *conn = (const char *)flowtable_at(table, handle);

	for (size_t at = 0; at < sizeof(struct conn); at += CACHE_LINE)
		__builtin_prefetch(conn + at, 1);
}

void flowtable_look_ahead(const struct flowtable *table, struct observation *next, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		next[i].ahead.tag = hash_key(table, &next[i].key);
		next[i].ahead.known = true;
		__builtin_prefetch(&table->slots[next[i].ahead.tag & table->mask]);
	}
	for (size_t i = 0; i < count; i++) {
		next[i].ahead.handle = guess(table, next[i].ahead.tag);
		if (next[i].ahead.handle != FLOW_NONE)
			fetch(table, next[i].ahead.handle);
	}
}

uint32_t flowtable_find_ahead(const struct flowtable *table, const struct observation *seen)
{
	const struct lookahead *ahead = &seen->ahead;

	if (!ahead->known)
		return flowtable_find(table, &seen->key);
	if (ahead->handle != FLOW_NONE && is_at(table, ahead->handle, &seen->key))
		return ahead->handle;
	return find(table, &seen->key, ahead->tag);
}

static void place(struct slot *slots, uint32_t mask, struct slot what)
{
	uint32_t i = what.tag & mask;

	while (slots[i].handle != FLOW_NONE)
		i = (i + 1) & mask;
	slots[i] = what;
}

/* Doubles the slots; a refusal of memory is felt only when the old ones are full. */
static void grow(struct flowtable *table)
{
	uint32_t count = (table->mask + 1) * 2;
	struct slot *slots = slots_new(count);

	if (!slots)
		return;
	for (uint32_t i = 0; i <= table->mask; i++)
		if (table->slots[i].handle != FLOW_NONE)
			place(slots, count - 1, table->slots[i]);
	free(table->slots);
	table->slots = slots;
	table->mask = count - 1;
}

static uint32_t take_handle(struct flowtable *table)
{
	uint32_t handle = table->free_list;
	struct conn **chunk;

	if (handle != FLOW_NONE) {
		table->free_list = flowtable_at(table, handle)->next_free;
		return handle;
	}
	chunk = &table->chunks[table->span / CHUNK_CONNS];
	/* The first lies on small pages: a host with few connections pays for those alone. */
	if (!*chunk)
		*chunk = chunk == table->chunks ? malloc(CHUNK_BYTES) : allocate(CHUNK_BYTES);
	return *chunk ? table->span++ : FLOW_NONE;
}

uint32_t flowtable_add(struct flowtable *table, const struct conn_key *key)
{
	uint32_t handle;
	struct conn *conn;

	if (table->count >= table->max)
		return FLOW_NONE;
	if (table->count >= (table->mask + 1) / 4 * 3)
		grow(table);
	if (table->count >= table->mask)
		return FLOW_NONE;
	handle = take_handle(table);
	if (handle == FLOW_NONE)
		return FLOW_NONE;
	conn = flowtable_at(table, handle);
	memset(conn, 0, sizeof(*conn));
	conn->key = *key;
	conn->in_use = true;
	place(table->slots, table->mask, (struct slot){ hash_key(table, key), handle });
	table->count++;
	return handle;
}

void flowtable_remove(struct flowtable *table, uint32_t handle)
{
	struct conn *conn = flowtable_at(table, handle);
	uint32_t hole = hash_key(table, &conn->key) & table->mask, i;

	while (table->slots[hole].handle != handle)
		hole = (hole + 1) & table->mask;
	/* Backward shift: close the hole with what probed past it, so no tombstones build up. */
	for (i = (hole + 1) & table->mask; table->slots[i].handle != FLOW_NONE;
	     i = (i + 1) & table->mask) {
		uint32_t home = table->slots[i].tag & table->mask;

		if (((i - home) & table->mask) >= ((i - hole) & table->mask)) {
			table->slots[hole] = table->slots[i];
			hole = i;
		}
	}
	table->slots[hole].handle = FLOW_NONE;
	conn->in_use = false;
	conn->next_free = table->free_list;
	table->free_list = handle;
	table->count--;
}
