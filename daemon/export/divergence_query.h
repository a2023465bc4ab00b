/* SPDX-License-Identifier: GPL-2.0-only */
/* What a question about divergences asks for, from the arguments of its URL. Pure. */
#ifndef TCPWITNESS_DIVERGENCE_QUERY_H
#define TCPWITNESS_DIVERGENCE_QUERY_H

#include "export/ledger.h"

/* As they came; each may be NULL. */
struct divergence_arguments {
	const char *state;   /* open (default), closed, all */
	const char *kind;    /* a kind's name, or the class's: both must hold */
	const char *class;   /* problem, expected */
	const char *since;   /* `last` of an earlier answer: only what opened or closed since */
	const char *limit;   /* the newest so many */
	const char *format;  /* json (default), table, color, lines */
	const char *details; /* 1: all, 0: none; default: when it is about one only */
};

enum divergence_format {
	DIVERGENCES_JSON,
	DIVERGENCES_TABLE,
	DIVERGENCES_COLOUR,
	DIVERGENCES_LINES, /* of the event log */
};

struct divergence_question {
	struct ledger_query query;
	enum divergence_format format;
	uint64_t limit;
	bool details, no_details;
};

#define DIVERGENCES_LIMIT_DEFAULT 1000
#define DIVERGENCES_LIMIT_MAX 10000

/* NULL and *ret, or what is wrong: static text. */
const char *divergence_question_parse(const struct divergence_arguments *arguments,
				      struct divergence_question *ret);

#endif
