/* SPDX-License-Identifier: GPL-2.0-only */
/* A reader of JSON (RFC 8259) that prints as it goes: nothing is built up. */
#include "cli/outline.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#define DEPTH_MAX 16
#define VALUE_COLUMN 32
#define STRING_SHOWN 256

struct outline {
	const char *at;
	FILE *out;
	bool brief;
	bool silent; /* within what is left out: read, not printed */
	bool in_row; /* within an object of an array: one line, "- a 1, b 2" */
	bool row_begun;
	int depth;			     /* of the value being read; the whole text has 0 */
	int printed;			     /* headings[1..printed] are on the page */
	const char *headings[DEPTH_MAX + 1]; /* by depth; each in a frame of print_members */
};

static int print_value(struct outline *o, const char *label);
static int print_members(struct outline *o, const char *label);

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

static void put(struct outline *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put(struct outline *o, const char *fmt, ...)
{
	va_list args;

	if (o->silent)
		return;
	va_start(args, fmt);
	vfprintf(o->out, fmt, args);
	va_end(args);
}

static void print_headings(struct outline *o, int last)
{
	for (int depth = o->printed + 1; depth <= last; depth++)
		put(o, "%*s%s\n", 2 * (depth - 1), "", o->headings[depth]);
	if (o->printed < last && !o->silent)
		o->printed = last;
}

static void print_leaf(struct outline *o, const char *label, const char *value)
{
	int indent = 2 * (o->depth - 1);

	if (o->brief && (!strcmp(value, "null") || (!strcmp(value, "0") && !o->in_row)))
		return;
	if (o->in_row) {
		put(o, "%s%s %s", o->row_begun ? ", " : "", label, value);
		o->row_begun = true;
		return;
	}
	if (indent < 0)
		indent = 0;
	print_headings(o, o->depth - 1);
	put(o, "%*s%-*s %s\n", indent, "", VALUE_COLUMN - indent, label, value);
}

/* An object or array that holds numbers, all of them 0, and no true: nothing has happened there. */
static bool is_idle(const char *at)
{
	bool in_string = false, has_number = false;
	int depth = 0;

	for (; *at; at++) {
		if (*at == '\\' && at[1])
			at++;
		else if (*at == '"')
			in_string = !in_string;
		else if (in_string)
			continue;
		else if (*at == '{' || *at == '[')
			depth++;
		else if ((*at == '}' || *at == ']') && --depth == 0)
			break;
		else if (isdigit((unsigned char)*at) && *at != '0')
			return false;
		else if (*at == '0')
			has_number = true;
		else if (*at == 't') /* of true: no other word has one */
			return false;
	}
	return has_number;
}

static int print_row(struct outline *o)
{
	int err;

	print_headings(o, o->depth - 1);
	put(o, "%*s- ", 2 * (o->depth - 1), "");
	o->in_row = true;
	o->row_begun = false;
	err = print_members(o, "");
	o->in_row = false;
	put(o, "\n");
	return err;
}

/* An object or an array, whose name is `label`. */
static int print_members(struct outline *o, const char *label)
{
	const bool is_object = *o->at++ == '{';
	const char end = is_object ? '}' : ']';
	char key[STRING_SHOWN] = "-";

	if (o->depth == DEPTH_MAX)
		return -EBADMSG;
	o->headings[o->depth++] = label;
	if (!take(o, end)) {
		do {
			if (is_object && (read_string(o, key) || !take(o, ':')))
				return -EBADMSG;
			if (!is_object && !o->in_row && peek(o) == '{') {
				if (print_row(o))
					return -EBADMSG;
			} else if (print_value(o, key)) {
				return -EBADMSG;
			}
		} while (take(o, ','));
		if (!take(o, end))
			return -EBADMSG;
	}
	o->depth--;
	if (o->printed >= o->depth)
		o->printed = o->depth - 1;
	return 0;
}

static int print_value(struct outline *o, const char *label)
{
	char first = peek(o), shown[STRING_SHOWN];

	if (first == '{' || first == '[') {
		const bool was_silent = o->silent;
		int err;

		o->silent = was_silent || (o->brief && !o->in_row && o->depth && is_idle(o->at));
		err = print_members(o, label);
		o->silent = was_silent;
		return err;
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
	print_leaf(o, label, shown);
	return 0;
}

int outline_print(const char *json, bool brief, FILE *out)
{
	struct outline o = { .at = json, .brief = brief, .out = out };

	if (print_value(&o, "") || peek(&o) != '\0')
		return -EBADMSG;
	return 0;
}
