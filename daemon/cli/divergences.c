/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: `tcpwitness divergences`
 *
 * What the running daemon has found: the divergences that are open, and with --all those that
 * closed lately. The daemon renders the table (/api/v1/divergences); --follow asks again and
 * again for what has changed since, by the number that ends each answer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/vocabulary.h"
#include "log.h"
#include "settings.h"
#include "track/verdicts.h"
#include "util.h"

/* Shorter than anybody's patience, and longer than the daemon's turns. */
#define POLL_US 500000u

struct divergences {
	const char *socket_path, *kind, *class;
	const char *format; /* of the API: table, color, lines */
	bool all, details, follow;
};

/* Cuts the last line off `body`: the number behind `mark` is `since` of the next question. */
static int cut_last(char *body, const char *mark, unsigned long long *ret)
{
	size_t length = strlen(body);
	char *line, *number;

	if (length && body[length - 1] == '\n')
		body[--length] = '\0';
	line = strrchr(body, '\n');
	line = line ? line + 1 : body;
	number = strstr(line, mark);
	if (!number || sscanf(number + strlen(mark), "%llu", ret) != 1)
		return -1;
	*line = '\0';
	return 0;
}

/* since NULL: what there is, not what has changed. */
static int ask(const struct divergences *ask, const unsigned long long *since, char **ret_body)
{
	char path[512];
	int used = snprintf(path, sizeof(path),
			    "/api/v1/divergences?format=%s&state=%s&limit=10000", ask->format,
			    ask->all || since ? "all" : "open");

	if (since)
		used += snprintf(path + used, sizeof(path) - (size_t)used, "&since=%llu", *since);
	if (ask->kind)
		used += snprintf(path + used, sizeof(path) - (size_t)used, "&kind=%s", ask->kind);
	if (ask->class)
		used += snprintf(path + used, sizeof(path) - (size_t)used, "&class=%s", ask->class);
	if (ask->details || ask->follow)
		snprintf(path + used, sizeof(path) - (size_t)used, "&details=%d", ask->details);
	return ask_daemon(ask->socket_path, path, ret_body);
}

static int run(const struct divergences *divergences)
{
	const bool lines = !strcmp(divergences->format, "lines");
	unsigned long long last, *since = NULL;
	int code = CLI_OK;

	do {
		char *body;

		if (ask(divergences, since, &body))
			return CLI_FAILED;
		since = &last;
		if ((lines || divergences->follow) &&
		    cut_last(body, lines ? "\"last\":" : "since=", since)) {
			log_err("the daemon's answer is not what was asked for");
			code = CLI_FAILED;
		} else {
			code = cli_print(body, strlen(body));
		}
		free(body);
	} while (divergences->follow && code == CLI_OK && !usleep(POLL_US));
	return code;
}

static bool is_label(const char *wanted, int count, const char *(*label)(int index))
{
	for (int i = 0; i < count; i++)
		if (!strcmp(wanted, label(i)))
			return true;
	return false;
}

static const char *kind_label(int index)
{
	return divergence_label((enum divergence_kind)index);
}

static const char *class_label(int index)
{
	return divergence_class_label((enum divergence_class)index);
}

int cli_divergences(int argc, char **argv)
{
	const char *follow = NULL, *json = NULL, *all = NULL, *details = NULL, *kinds = NULL;
	struct divergences divergences = { .socket_path = DEFAULT_API_SOCKET };
	const struct cli_flag flags[] = {
		{ "all", NULL, &all, "those that closed lately too" },
		{ "follow", NULL, &follow, "go on: print what opens and what closes" },
		{ "kind", "KIND", &divergences.kind, "of this kind only" },
		{ "class", "CLASS", &divergences.class, "problem or expected only" },
		{ "long", NULL, &details, "what each means and rests on, and where to look" },
		{ "json", NULL, &json, "as the event log has them: JSON lines" },
		{ "kinds", NULL, &kinds, "explain the words: kinds, conditions, reasons" },
		{ "api.socket", "PATH", &divergences.socket_path,
		  "the daemon's Unix socket (default: " DEFAULT_API_SOCKET ")" },
	};

	switch (cli_parse(argc, argv, flags, ARRAY_SIZE(flags), "tcpwitness divergences [flags]",
			  "Lists what wire and kernel disagree on, as the running daemon sees it.",
			  0, NULL)) {
	case CLI_HELP_SHOWN:
		return CLI_OK;
	case CLI_BAD_FLAG:
		return CLI_USAGE;
	case CLI_PARSED:
		break;
	}
	if (divergences.kind && !is_label(divergences.kind, DIVERGENCE_NR, kind_label))
		return cli_usage_error("--kind: '%s' is none; `tcpwitness divergences --kinds` "
				       "lists them",
				       divergences.kind);
	if (divergences.class && !is_label(divergences.class, CLASS_NR, class_label))
		return cli_usage_error("--class: '%s' is not problem or expected",
				       divergences.class);
	if (kinds)
		return vocabulary_print(stdout);
	divergences.all = all;
	divergences.follow = follow;
	divergences.details = details;
	divergences.format = json ? "lines" : cli_wants_colour() ? "color" : "table";
	return run(&divergences);
}
