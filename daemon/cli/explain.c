/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: `tcpwitness explain TUPLE`
 *
 * The story of a connection, from one of three sources: the running daemon's history (which
 * renders it itself: /api/v1/explain), a record log, or a capture. A file is replayed, and of its
 * entries those of the tuple are kept in a history of our own, so that file and daemon are asked
 * the same question and give the same table.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/replay_capture.h"
#include "cli/replay_log.h"
#include "export/story.h"
#include "log.h"
#include "settings.h"
#include "track/history.h"
#include "util.h"

/* A file's entries that are kept: one connection's, so this is a long one. */
#define KEPT_MAX (1u << 22)
#define LIVES_MAX 1024

struct explain {
	struct tuple tuple;
	const char *format; /* of the API: json, table, color */
	struct settings settings;
	const char *path; /* of the file, in messages too */
	struct history *history;
	uint64_t last_ns;
	int code; /* of the file's answer */
};

static void keep(void *context, const struct conn_key *key, const struct track_entry *entry)
{
	struct explain *explain = context;

	explain->last_ns = entry->ts_ns;
	if (tuple_matches(&explain->tuple, key))
		history_add(explain->history, entry);
}

static int render(const struct explain *explain, const struct history_answer *answer,
		  uint64_t wall_offset_ns)
{
	const struct explanation explanation = {
		.tuple = &explain->tuple,
		.answer = answer,
		.kept = history_stats(explain->history),
		.wall_ns = explain->last_ns + wall_offset_ns,
		.wall_offset_ns = wall_offset_ns,
	};
	struct text out = { 0 };
	int code;

	if (!strcmp(explain->format, "json"))
		explain_json(&explanation, &out);
	else
		explain_table(&explanation, !strcmp(explain->format, "color"), &out);
	if (out.failed)
		log_err("out of memory");
	code = out.failed ? CLI_FAILED : cli_print(out.data, out.length);
	text_free(&out);
	return code;
}

/* The file was replayed, all of it or up to a damage: what is in the history now is asked for. */
static void answer_from_file(void *context, uint64_t wall_offset_ns)
{
	const struct history_limits limits = { .lives = LIVES_MAX, .entries = KEPT_MAX };
	struct explain *explain = context;
	struct history_answer answer;
	char text[TUPLE_TEXT_MAX];

	if (history_ask(explain->history, &explain->tuple, &limits, NULL, 0, &answer))
		log_err("out of memory");
	else if (!answer.nr_lives)
		fprintf(stderr, "tcpwitness: %s: no connection %s\n", explain->path,
			tuple_format(&explain->tuple, text));
	else
		explain->code = render(explain, &answer, wall_offset_ns);
	history_answer_free(&answer);
}

static int replay(struct explain *explain, FILE *file, bool is_capture,
		  struct capture_options *options)
{
	const struct settings *settings = &explain->settings;
	const struct replay_listener listener = {
		.context = explain,
		.told = keep,
		.done = answer_from_file,
	};
	int err;

	if (!is_capture)
		return replay_log(file, explain->path, settings->flows_max, settings->settle_ms,
				  &listener);
	options->flows_max = (uint32_t)settings->flows_max;
	options->told = keep;
	options->told_context = explain;
	err = replay_capture(file, explain->path, options);
	/* A capture's clock is the wall's already; one that is none has said so. */
	if (!err || history_stats(explain->history).entries)
		answer_from_file(explain, 0);
	return err;
}

static int explain_file(struct explain *explain, bool is_capture, struct capture_options *options)
{
	FILE *file = strcmp(explain->path, "-") ? fopen(explain->path, "re") : stdin;
	int err;

	if (!file) {
		log_err("cannot open %s: %m", explain->path);
		return CLI_FAILED;
	}
	explain->history = history_new(KEPT_MAX);
	if (!explain->history) {
		fclose(file);
		log_err("history: %m");
		return CLI_FAILED;
	}
	explain->code = CLI_FAILED;
	err = replay(explain, file, is_capture, options);
	history_free(explain->history);
	return err ? CLI_FAILED : explain->code;
}

static int explain_daemon(const struct explain *explain, const char *socket_path)
{
	char path[64 + 3 * TUPLE_TEXT_MAX], tuple[TUPLE_TEXT_MAX], *body;
	int code, used;

	used = snprintf(path, sizeof(path), "/api/v1/explain?format=%s&tuple=", explain->format);
	/* RFC 3986 §3.4: no brackets in a query. */
	for (const char *c = tuple_format(&explain->tuple, tuple); *c; c++)
		used += snprintf(path + used, sizeof(path) - (size_t)used,
				 *c == '[' || *c == ']' ? "%%%02X" : "%c", *c);
	if (ask_daemon(socket_path, path, &body))
		return CLI_FAILED;
	code = cli_print(body, strlen(body));
	free(body);
	return code;
}

int cli_explain(int argc, char **argv)
{
	const char *record = NULL, *capture = NULL, *json = NULL, *flows_max = NULL, *settle = NULL;
	const char *tunnels = NULL;
	const char *local[CLI_REPEATS_MAX + 1] = { NULL }, *socket_path = DEFAULT_API_SOCKET;
	const struct cli_flag flags[] = {
		{ "record", "FILE", &record, "from a record log (`tcpwitness run --record=FILE`)" },
		{ "capture", "FILE", &capture, "from a capture (pcap, pcapng)" },
		{ "json", NULL, &json, "all there is to say, as the API says it" },
		{ "api.socket", "PATH", &socket_path,
		  "the daemon's Unix socket (default: " DEFAULT_API_SOCKET ")" },
		{ "flows.max", "N", &flows_max,
		  "connections at a time; log: as it was when it was recorded" },
		{ "settle", "MS", &settle, "log: as it was when it was recorded" },
		{ "local", "ADDR...", local,
		  "capture: this address is ours (else: whoever sends the SYN)" },
		{ "tunnels", NULL, &tunnels,
		  "capture: look inside IP in IP, GRE, VXLAN and Geneve" },
	};
	struct capture_options options = { 0 };
	struct explain explain = { 0 };
	char **operands;

	switch (cli_parse(argc, argv, flags, ARRAY_SIZE(flags), "tcpwitness explain [flags] TUPLE",
			  "Tells the story of a connection, from the running daemon or from a "
			  "file.\nTUPLE is ADDR:PORT-ADDR:PORT in either order; ADDR:PORT lists the "
			  "connections of\none end. IPv6 addresses stand in brackets.",
			  1, &operands)) {
	case CLI_HELP_SHOWN:
		return CLI_OK;
	case CLI_BAD_FLAG:
		return CLI_USAGE;
	case CLI_PARSED:
		break;
	}
	if (tuple_parse(operands[0], &explain.tuple))
		return cli_usage_error("'%.100s' is not " TUPLE_WANTED, operands[0]);
	if (record && capture)
		return cli_usage_error("--record or --capture, not both");
	if (replay_flags("explain", flows_max, settle, &explain.settings))
		return CLI_USAGE;
	for (size_t i = 0; local[i]; i++)
		if (!capture_options_add_local(&options, local[i]))
			return cli_usage_error("--local: '%s' is no IP address", local[i]);
	options.into_tunnels = tunnels;
	explain.format = json ? "json" : cli_wants_colour() ? "color" : "table";
	explain.path = record ? record : capture;
	if (explain.path)
		return explain_file(&explain, !record, &options);
	return explain_daemon(&explain, socket_path);
}
