/* SPDX-License-Identifier: GPL-2.0-only */
/* A streaming JSON writer (RFC 8259): commas and escapes are its business, nothing else is. */
#ifndef TCPWITNESS_JSON_H
#define TCPWITNESS_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "export/text.h"

struct json {
	struct text *out;
	uint32_t depth;
	uint64_t filled; /* bit per depth: that object or array has a member already */
};

void json_init(struct json *json, struct text *out);

/* In an object every value has a key; in an array, and at the top, the key is NULL. Nesting
 * beyond 63 levels is not supported. */
void json_object_begin(struct json *json, const char *key);
void json_object_end(struct json *json);
void json_array_begin(struct json *json, const char *key);
void json_array_end(struct json *json);

/* Bytes that are not UTF-8 become U+FFFD; a NULL value becomes null. */
void json_string(struct json *json, const char *key, const char *value);
void json_u64(struct json *json, const char *key, uint64_t value);
void json_i64(struct json *json, const char *key, int64_t value);
void json_bool(struct json *json, const char *key, bool value);
void json_null(struct json *json, const char *key);
void json_seconds(struct json *json, const char *key, uint64_t ns);   /* number */
void json_time(struct json *json, const char *key, uint64_t wall_ns); /* RFC 3339 string */

#endif
