/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Key to connection: open addressing over 8-byte slots {tag, handle}, connections in a slab of
 * chunks, so that pointers and handles stay valid until the connection is removed. Bounded: the
 * caller says how many connections there may be, and what to give up when that is reached.
 */
#ifndef TCPWITNESS_FLOWTABLE_H
#define TCPWITNESS_FLOWTABLE_H

#include <stddef.h>
#include <stdint.h>

#include "capture/decode.h"
#include "track/conn.h"

#define FLOW_NONE UINT32_MAX

struct flowtable;

/* NULL and errno (EINVAL: max is 0, ENOMEM). `seed` keys the hash against chosen collisions. */
struct flowtable *flowtable_new(uint32_t max, uint64_t seed);
void flowtable_free(struct flowtable *table);

/* FLOW_NONE when it is not there. */
uint32_t flowtable_find(const struct flowtable *table, const struct conn_key *key);

/* Looks `count` keys up without waiting for memory: their slots are asked for, then, when they have
 * come, the connections. */
void flowtable_look_ahead(const struct flowtable *table, struct observation *next, size_t count);

/* As flowtable_find; what was found out ahead spares most of it. */
uint32_t flowtable_find_ahead(const struct flowtable *table, const struct observation *seen);

/* A zeroed connection with its key set; the key must not be there yet. FLOW_NONE when the table
 * is full or memory is refused. */
uint32_t flowtable_add(struct flowtable *table, const struct conn_key *key);

void flowtable_remove(struct flowtable *table, uint32_t handle);

struct conn *flowtable_at(const struct flowtable *table, uint32_t handle);

uint32_t flowtable_count(const struct flowtable *table);

/* Handles ever used: live ones are below it; a free one has `in_use` clear. For walks. */
uint32_t flowtable_span(const struct flowtable *table);

#endif
