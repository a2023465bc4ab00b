/* SPDX-License-Identifier: GPL-2.0-only */
/* What a client's headers ask for (RFC 9110 §12). */
#include "export/negotiate.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "util.h"

/* A piece of a header, not NUL-terminated. */
struct span {
	const char *at;
	size_t length;
};

static struct span trimmed(const char *at, size_t length)
{
	while (length && (*at == ' ' || *at == '\t')) {
		at++;
		length--;
	}
	while (length && (at[length - 1] == ' ' || at[length - 1] == '\t'))
		length--;
	return (struct span){ at, length };
}

/* Cuts the piece before `separator` off *rest; false at the end. */
static bool next_piece(struct span *rest, char separator, struct span *ret)
{
	const char *end;
	size_t length;

	if (!rest->length)
		return false;
	end = memchr(rest->at, separator, rest->length);
	length = end ? (size_t)(end - rest->at) : rest->length;
	*ret = trimmed(rest->at, length);
	rest->at += length + (end != NULL);
	rest->length -= length + (end != NULL);
	return true;
}

static bool equals(struct span span, const char *string)
{
	return span.length == strlen(string) && !strncasecmp(span.at, string, span.length);
}

/* "0.75" in thousandths (RFC 9110 §12.4.2); what is not a weight is 0. */
static unsigned int parse_weight(struct span span)
{
	unsigned int weight = 0, scale = 1000;

	if (!span.length || (span.at[0] != '0' && span.at[0] != '1'))
		return 0;
	weight = (unsigned int)(span.at[0] - '0') * 1000;
	if (span.length > 1 && span.at[1] != '.')
		return 0;
	for (size_t i = 2; i < span.length && i < 5; i++) {
		if (span.at[i] < '0' || span.at[i] > '9')
			return 0;
		scale /= 10;
		weight += (unsigned int)(span.at[i] - '0') * scale;
	}
	return weight > 1000 ? 1000 : weight;
}

/* One element of an Accept-like header: its name, its weight, its version where it has one. */
struct choice {
	struct span name, version;
	unsigned int weight;
};

static struct choice parse_choice(struct span element)
{
	struct choice choice = { .weight = 1000 };
	struct span parameter;

	next_piece(&element, ';', &choice.name);
	while (next_piece(&element, ';', &parameter)) {
		struct span name, value = { 0 };

		if (!next_piece(&parameter, '=', &name))
			continue;
		value = trimmed(parameter.at, parameter.length);
		if (value.length >= 2 && value.at[0] == '"')
			value = (struct span){ value.at + 1, value.length - 2 };
		if (equals(name, "q"))
			choice.weight = parse_weight(value);
		else if (equals(name, "version"))
			choice.version = value;
	}
	return choice;
}

/* EXPOSE_NR: neither of ours. */
static enum expose_format format_of(const struct choice *choice)
{
	bool any_version = !choice->version.length;

	if (equals(choice->name, "application/openmetrics-text"))
		return any_version || equals(choice->version, "1.0.0") ? EXPOSE_OPENMETRICS :
									 EXPOSE_NR;
	if (equals(choice->name, "text/plain"))
		return any_version || equals(choice->version, "0.0.4") ? EXPOSE_TEXT : EXPOSE_NR;
	if (equals(choice->name, "text/*") || equals(choice->name, "*/*"))
		return EXPOSE_TEXT;
	return EXPOSE_NR;
}

enum expose_format negotiate_format(const char *accept)
{
	struct span rest = { accept, accept ? strlen(accept) : 0 };
	enum expose_format best = EXPOSE_TEXT;
	unsigned int best_weight = 0;
	struct span element;

	while (next_piece(&rest, ',', &element)) {
		struct choice choice = parse_choice(element);
		enum expose_format format = format_of(&choice);

		if (format == EXPOSE_NR || choice.weight <= best_weight)
			continue;
		best = format;
		best_weight = choice.weight;
	}
	return best;
}

bool negotiate_gzip(const char *accept_encoding)
{
	struct span rest = { accept_encoding, accept_encoding ? strlen(accept_encoding) : 0 };
	struct span element;

	while (next_piece(&rest, ',', &element)) {
		struct choice choice = parse_choice(element);

		if (equals(choice.name, "gzip") || equals(choice.name, "x-gzip"))
			return choice.weight > 0;
	}
	return false;
}

bool negotiate_is_local_host(const char *host, uint16_t port)
{
	static const char *const names[] = { "localhost", "127.0.0.1", "[::1]" };
	char expected[32];

	if (!host)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(expected, sizeof(expected), "%s:%u", names[i], port);
		if (!strcasecmp(host, expected))
			return true;
		/* RFC 9110 §4.2.1: http's own port is left out. */
		if (port == 80 && !strcasecmp(host, names[i]))
			return true;
	}
	return false;
}

int negotiate_number(const char *argument, uint64_t max, uint64_t *ret)
{
	uint64_t value = 0;

	if (!argument)
		return 0;
	if (!*argument)
		return -EINVAL;
	for (; *argument; argument++) {
		uint64_t digit = (uint64_t)(*argument - '0');

		if (digit > 9 || value > (UINT64_MAX - digit) / 10)
			return -EINVAL;
		value = value * 10 + digit;
	}
	if (value > max)
		return -EINVAL;
	*ret = value;
	return 0;
}
