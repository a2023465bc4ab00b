/* SPDX-License-Identifier: GPL-2.0-only */
/* A growing buffer and the few number formats every output of the daemon is made of. */
#ifndef TCPWITNESS_TEXT_H
#define TCPWITNESS_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Start as { 0 }. The data is not NUL-terminated. After a failed allocation `failed` stays set
 * and appending does nothing, so that writers check once, at the end. */
struct text {
	char *data;
	size_t length, capacity;
	bool failed;
};

void text_free(struct text *text);

/* Drops the first `bytes` of the content. */
void text_consume(struct text *text, size_t bytes);

void text_bytes(struct text *text, const char *bytes, size_t size);
void text_string(struct text *text, const char *string);
void text_char(struct text *text, char character);
void text_u64(struct text *text, uint64_t value);

/* Exact decimal seconds without trailing zeros: 1500000000 -> "1.5", 2000000000 -> "2". */
void text_seconds(struct text *text, uint64_t ns);

/* Seconds as OpenMetrics writes canonical floats: "1.6e-05", "0.001024", "1.0", "67.108864". */
void text_canonical_seconds(struct text *text, uint64_t ns);

/* "2026-01-31T23:59:59.123456789Z" */
void text_rfc3339(struct text *text, uint64_t wall_ns);

/* Bytes at the start of `string` that need no second look in any format: printable ASCII without
 * quotes and backslashes. */
size_t plain_run(const char *string);

/* Bytes of the well-formed UTF-8 sequence `string` starts with (RFC 3629), 0 if it is none. */
size_t utf8_sequence(const char *string);

#define UTF8_REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

/* Compresses `plain` at zlib's level 1, where a megabyte costs 3 ms. 0, or -ENOMEM. */
int text_gzip(const struct text *plain, struct text *ret_packed);

#endif
