/* SPDX-License-Identifier: GPL-2.0-only */
/* A growing buffer and number formats: integers only, so that no value is ever rounded. */
#include "export/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

#include "util.h"

#define FIRST_CAPACITY 4096

void text_free(struct text *text)
{
	free(text->data);
	*text = (struct text){ 0 };
}

void text_consume(struct text *text, size_t bytes)
{
	text->length -= bytes;
	if (text->length)
		memmove(text->data, text->data + bytes, text->length);
}

static bool reserve(struct text *text, size_t size)
{
	size_t capacity = text->capacity ? text->capacity : FIRST_CAPACITY;
	char *data;

	if (text->failed)
		return false;
	if (size <= text->capacity - text->length)
		return true;
	while (capacity - text->length < size)
		capacity *= 2;
	data = realloc(text->data, capacity);
	if (!data) {
		text->failed = true;
		return false;
	}
	text->data = data;
	text->capacity = capacity;
	return true;
}

void text_bytes(struct text *text, const char *bytes, size_t size)
{
	if (!size || !reserve(text, size))
		return;
	memcpy(text->data + text->length, bytes, size);
	text->length += size;
}

void text_string(struct text *text, const char *string)
{
	text_bytes(text, string, strlen(string));
}

void text_char(struct text *text, char character)
{
	text_bytes(text, &character, 1);
}

void text_u64(struct text *text, uint64_t value)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	text_bytes(text, digits + at, sizeof(digits) - at);
}

/* Appends "." and `fraction` (of 10^width) without trailing zeros; nothing for zero. */
static void append_fraction(struct text *text, uint64_t fraction, unsigned int width)
{
	char digits[1 + 20] = ".";
	size_t length = 1 + width;

	if (!fraction)
		return;
	for (size_t at = width; at > 0; at--) {
		digits[at] = (char)('0' + fraction % 10);
		fraction /= 10;
	}
	while (digits[length - 1] == '0')
		length--;
	text_bytes(text, digits, length);
}

void text_seconds(struct text *text, uint64_t ns)
{
	text_u64(text, ns / NS_PER_SEC);
	append_fraction(text, ns % NS_PER_SEC, 9);
}

/*
 * OpenMetrics 1.0, "Considerations: Canonical Numbers": Go's %g, with ".0" where neither point
 * nor exponent shows. %g turns to exponents below 1e-4 and from 1e6 on (shortest digits).
 */
void text_canonical_seconds(struct text *text, uint64_t ns)
{
	uint64_t power = 1;
	int exponent = -9;
	unsigned int width = 0;
	char suffix[16];

	if (ns == 0 || (ns >= 100000 && ns < 1000000 * NS_PER_SEC)) {
		text_seconds(text, ns);
		if (ns % NS_PER_SEC == 0)
			text_string(text, ".0");
		return;
	}
	while (ns / power >= 10) {
		power *= 10;
		exponent++;
		width++;
	}
	text_u64(text, ns / power);
	append_fraction(text, ns % power, width);
	snprintf(suffix, sizeof(suffix), "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
	text_string(text, suffix);
}

/* `width` digits with leading zeros, then `after`. */
static void append_padded(struct text *text, uint64_t value, unsigned int width, char after)
{
	char digits[12];

	for (unsigned int at = width; at > 0; at--) {
		digits[at - 1] = (char)('0' + value % 10);
		value /= 10;
	}
	digits[width] = after;
	text_bytes(text, digits, width + 1);
}

void text_rfc3339(struct text *text, uint64_t wall_ns)
{
	time_t seconds = (time_t)(wall_ns / NS_PER_SEC);
	struct tm tm;

	gmtime_r(&seconds, &tm);
	append_padded(text, (uint64_t)tm.tm_year + 1900, 4, '-');
	append_padded(text, (uint64_t)tm.tm_mon + 1, 2, '-');
	append_padded(text, (uint64_t)tm.tm_mday, 2, 'T');
	append_padded(text, (uint64_t)tm.tm_hour, 2, ':');
	append_padded(text, (uint64_t)tm.tm_min, 2, ':');
	append_padded(text, (uint64_t)tm.tm_sec, 2, '.');
	append_padded(text, wall_ns % NS_PER_SEC, 9, 'Z');
}

size_t plain_run(const char *string)
{
	size_t length = 0;

	while (string[length] >= ' ' && string[length] <= '~' && string[length] != '"' &&
	       string[length] != '\\')
		length++;
	return length;
}

static bool is_continuation(unsigned char byte)
{
	return (byte & 0xC0) == 0x80;
}

size_t utf8_sequence(const char *string)
{
	const unsigned char *s = (const unsigned char *)string;

	if (s[0] < 0x80)
		return s[0] != 0;
	if (s[0] >= 0xC2 && s[0] <= 0xDF)
		return is_continuation(s[1]) ? 2 : 0;
	if (s[0] >= 0xE0 && s[0] <= 0xEF) {
		/* no overlong forms (E0), no surrogates (ED) */
		if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F))
			return 0;
		return is_continuation(s[1]) && is_continuation(s[2]) ? 3 : 0;
	}
	if (s[0] >= 0xF0 && s[0] <= 0xF4) {
		/* no overlong forms (F0), nothing beyond U+10FFFF (F4) */
		if ((s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F))
			return 0;
		return is_continuation(s[1]) && is_continuation(s[2]) && is_continuation(s[3]) ? 4 :
												 0;
	}
	return 0;
}

#define GZIP_WINDOW_BITS (15 + 16) /* zlib: 16 more asks for the gzip wrapper */
#define GZIP_LEVEL 1
#define GZIP_MEMORY_LEVEL 8

int text_gzip(const struct text *plain, struct text *ret_packed)
{
	z_stream stream = { 0 };
	size_t bound;
	char *data;

	if (deflateInit2(&stream, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW_BITS, GZIP_MEMORY_LEVEL,
			 Z_DEFAULT_STRATEGY) != Z_OK)
		return -ENOMEM;
	bound = deflateBound(&stream, plain->length);
	data = malloc(bound);
	if (!data) {
		deflateEnd(&stream);
		return -ENOMEM;
	}
	stream.next_in = (unsigned char *)plain->data;
	stream.avail_in = (unsigned int)plain->length;
	stream.next_out = (unsigned char *)data;
	stream.avail_out = (unsigned int)bound;
	/* deflateBound promises that one call is enough. */
	if (deflate(&stream, Z_FINISH) != Z_STREAM_END) {
		free(data);
		deflateEnd(&stream);
		return -ENOMEM;
	}
	*ret_packed = (struct text){ .data = data, .length = stream.total_out, .capacity = bound };
	deflateEnd(&stream);
	return 0;
}
