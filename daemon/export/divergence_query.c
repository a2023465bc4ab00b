/* SPDX-License-Identifier: GPL-2.0-only */
/* What a question about divergences asks for. */
#include "export/divergence_query.h"

#include <string.h>

#include "export/negotiate.h"
#include "util.h"

static const char *const formats[] = {
	[DIVERGENCES_JSON] = "json",
	[DIVERGENCES_TABLE] = "table",
	[DIVERGENCES_COLOUR] = "color",
	[DIVERGENCES_LINES] = "lines",
};

static bool parse_state(const char *state, struct ledger_query *query)
{
	bool all = state && !strcmp(state, "all");

	query->open = all || !state || !strcmp(state, "open");
	query->closed = all || (state && !strcmp(state, "closed"));
	return query->open || query->closed;
}

static bool parse_kind(const char *kind, uint32_t *kinds)
{
	if (!kind)
		return true;
	for (int i = 0; i < DIVERGENCE_NR; i++) {
		if (strcmp(kind, divergence_label(i)))
			continue;
		*kinds &= 1u << i;
		return true;
	}
	return false;
}

static bool parse_class(const char *class, uint32_t *kinds)
{
	bool known = !class;

	for (int i = 0; class && i < CLASS_NR; i++)
		known |= !strcmp(class, divergence_class_label(i));
	for (int i = 0; class && i < DIVERGENCE_NR; i++)
		if (strcmp(class, divergence_class_label(divergence_class(i))))
			*kinds &= ~(1u << i);
	return known;
}

static bool parse_format(const char *format, enum divergence_format *ret)
{
	for (size_t i = 0; format && i < ARRAY_SIZE(formats); i++) {
		if (strcmp(format, formats[i]))
			continue;
		*ret = (enum divergence_format)i;
		return true;
	}
	return !format;
}

const char *divergence_question_parse(const struct divergence_arguments *arguments,
				      struct divergence_question *ret)
{
	struct divergence_question question = { .query.kinds = UINT32_MAX,
						.limit = DIVERGENCES_LIMIT_DEFAULT };
	uint64_t details = 0;

	if (!parse_state(arguments->state, &question.query))
		return "state: open, closed or all";
	if (!parse_class(arguments->class, &question.query.kinds))
		return "class: problem or expected";
	if (!parse_kind(arguments->kind, &question.query.kinds))
		return "kind: no such kind of divergence; `tcpwitness divergences --kinds` lists "
		       "them";
	if (negotiate_number(arguments->since, UINT64_MAX, &question.query.since))
		return "since: the `last` of an earlier answer";
	if (negotiate_number(arguments->limit, DIVERGENCES_LIMIT_MAX, &question.limit) ||
	    !question.limit)
		return "limit: a number from 1 to 10000";
	if (!parse_format(arguments->format, &question.format))
		return "format: json, table, color or lines";
	if (negotiate_number(arguments->details, 1, &details))
		return "details: 0 or 1";
	question.details = details;
	question.no_details = arguments->details && !details;
	*ret = question;
	return NULL;
}
