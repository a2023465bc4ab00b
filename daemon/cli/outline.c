/* SPDX-License-Identifier: GPL-2.0-only */
/* A reader of JSON (RFC 8259) that prints as it goes: nothing is built up. */
#include "cli/outline.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define DEPTH_MAX 16
#define VALUE_COLUMN 32
#define STRING_SHOWN 256

struct outline {
	const char *at;
	FILE *out;
	int depth;
};

static int print_value(struct outline *o, const char *label);

static char peek(struct outline *o)
{
	while (*o->at && strchr(" \t\r\n", *o->at))
		o->at++;
	return *o->at;
}

static bool take(struct outline *o, char c)
{
	if (peek(o) != c)
		return false;
	o->at++;
	return true;
}

/* Copies a string as it should be shown: only the escapes of printable characters are undone. */
static int read_string(struct outline *o, char shown[STRING_SHOWN])
{
	size_t used = 0;

	if (!take(o, '"'))
		return -EBADMSG;
	while (*o->at != '"') {
		if ((unsigned char)*o->at < 0x20)
			return -EBADMSG;
		if (*o->at == '\\' && o->at[1] && strchr("\"\\/", o->at[1]))
			o->at++;
		if (used < STRING_SHOWN - 1)
			shown[used++] = *o->at == 0x7f ? '?' : *o->at;
		o->at++;
	}
	o->at++;
	shown[used] = '\0';
	return 0;
}

static void print_label(struct outline *o, const char *label, bool has_value)
{
	int indent = 2 * (o->depth - 1);

	if (indent < 0)
		indent = 0;
	if (has_value)
		fprintf(o->out, "%*s%-*s ", indent, "", VALUE_COLUMN - indent, label);
	else
		fprintf(o->out, "%*s%s\n", indent, "", label);
}

static int print_members(struct outline *o, bool is_object)
{
	const char end = is_object ? '}' : ']';
	char key[STRING_SHOWN] = "-";

	o->at++;
	if (++o->depth > DEPTH_MAX)
		return -EBADMSG;
	if (!take(o, end)) {
		do {
			if (is_object && (read_string(o, key) || !take(o, ':')))
				return -EBADMSG;
			if (print_value(o, key))
				return -EBADMSG;
		} while (take(o, ','));
		if (!take(o, end))
			return -EBADMSG;
	}
	o->depth--;
	return 0;
}

/* A label is printed by whoever knows what follows it. */
static int print_value(struct outline *o, const char *label)
{
	char first = peek(o), shown[STRING_SHOWN];

	if (first == '{' || first == '[') {
		if (o->depth > 0)
			print_label(o, label, false);
		return print_members(o, first == '{');
	}
	if (first == '"') {
		if (read_string(o, shown))
			return -EBADMSG;
	} else {
		size_t length = strspn(o->at, "+-.0123456789abcdefghijklmnopqrstuvwxyzE");

		if (length == 0 || length >= sizeof(shown))
			return -EBADMSG;
		memcpy(shown, o->at, length);
		shown[length] = '\0';
		o->at += length;
	}
	print_label(o, label, true);
	fprintf(o->out, "%s\n", shown);
	return 0;
}

int outline_print(const char *json, FILE *out)
{
	struct outline o = { .at = json, .out = out };

	if (print_value(&o, "") || peek(&o) != '\0')
		return -EBADMSG;
	return 0;
}
