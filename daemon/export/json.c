/* SPDX-License-Identifier: GPL-2.0-only */
/* A streaming JSON writer (RFC 8259). */
#include "export/json.h"

#include <stddef.h>

void json_init(struct json *json, struct text *out)
{
	*json = (struct json){ .out = out };
}

static void append_quoted(struct text *out, const char *string)
{
	static const char hex[] = "0123456789abcdef";

	text_char(out, '"');
	for (;;) {
		size_t length = plain_run(string);
		unsigned char byte = (unsigned char)string[length];

		text_bytes(out, string, length);
		string += length;
		if (!byte)
			break;
		length = utf8_sequence(string);
		if (byte == '"' || byte == '\\') {
			text_char(out, '\\');
			text_char(out, *string);
		} else if (byte < 0x20) {
			text_string(out, "\\u00");
			text_char(out, hex[byte >> 4]);
			text_char(out, hex[byte & 15]);
		} else if (length) {
			text_bytes(out, string, length);
		} else {
			text_string(out, UTF8_REPLACEMENT);
		}
		string += length ? length : 1;
	}
	text_char(out, '"');
}

/* What precedes any value: a comma after a sibling, then the key. */
static void begin_value(struct json *json, const char *key)
{
	if (json->filled & (1ull << json->depth))
		text_char(json->out, ',');
	json->filled |= 1ull << json->depth;
	if (key) {
		append_quoted(json->out, key);
		text_char(json->out, ':');
	}
}

static void nest(struct json *json, const char *key, char bracket)
{
	begin_value(json, key);
	text_char(json->out, bracket);
	json->depth++;
	json->filled &= ~(1ull << json->depth);
}

static void unnest(struct json *json, char bracket)
{
	json->depth--;
	text_char(json->out, bracket);
}

void json_object_begin(struct json *json, const char *key)
{
	nest(json, key, '{');
}

void json_object_end(struct json *json)
{
	unnest(json, '}');
}

void json_array_begin(struct json *json, const char *key)
{
	nest(json, key, '[');
}

void json_array_end(struct json *json)
{
	unnest(json, ']');
}

void json_string(struct json *json, const char *key, const char *value)
{
	if (!value) {
		json_null(json, key);
		return;
	}
	begin_value(json, key);
	append_quoted(json->out, value);
}

void json_u64(struct json *json, const char *key, uint64_t value)
{
	begin_value(json, key);
	text_u64(json->out, value);
}

void json_i64(struct json *json, const char *key, int64_t value)
{
	begin_value(json, key);
	if (value < 0)
		text_char(json->out, '-');
	text_u64(json->out, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void json_bool(struct json *json, const char *key, bool value)
{
	begin_value(json, key);
	text_string(json->out, value ? "true" : "false");
}

void json_null(struct json *json, const char *key)
{
	begin_value(json, key);
	text_string(json->out, "null");
}

void json_seconds(struct json *json, const char *key, uint64_t ns)
{
	begin_value(json, key);
	text_seconds(json->out, ns);
}

void json_time(struct json *json, const char *key, uint64_t wall_ns)
{
	begin_value(json, key);
	text_char(json->out, '"');
	text_rfc3339(json->out, wall_ns);
	text_char(json->out, '"');
}
