/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: `tcpwitness replay FILE`
 *
 * A raw record log goes through the same decode -> track -> compare as in the daemon (replay_log.c),
 * and the event lines are printed that it would have written. A capture goes the same way as far
 * as the wire alone can (replay_capture.c). Both are told apart by their first byte.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "capture/recordlog.h"
#include "cli/cli.h"
#include "cli/replay_capture.h"
#include "cli/replay_log.h"
#include "export/events.h"
#include "log.h"
#include "settings.h"
#include "util.h"

/* Where the lines of a log go. */
struct printer {
	bool connections;
	struct text line;
};

static int print_event(void *context, const struct track_event *event,
		       const struct listener_owner *owner, uint64_t wall_offset_ns)
{
	struct printer *printer = context;
	int err = 0;

	if (event->type == TRACK_CONNECTION && !printer->connections)
		return 0;
	events_render(event, owner, wall_offset_ns, &printer->line);
	if (printer->line.failed)
		err = -ENOMEM;
	else if (fwrite(printer->line.data, 1, printer->line.length, stdout) !=
		 printer->line.length)
		err = -errno;
	text_consume(&printer->line, printer->line.length);
	return err;
}

static int print_log(FILE *file, const char *path, const struct settings *settings,
		     bool connections)
{
	struct printer printer = { .connections = connections };
	const struct replay_listener listener = { .context = &printer, .event = print_event };
	int err = replay_log(file, path, settings->flows_max, settings->settle_ms, &listener);

	text_free(&printer.line);
	if (fflush(stdout) && !err)
		err = log_err_ret(-errno, "replay of %s", path);
	return err;
}

/* "-" is standard input. NULL after one logged line. */
static FILE *open_input(const char *path, int *ret_first)
{
	FILE *file = strcmp(path, "-") ? fopen(path, "re") : stdin;

	if (!file) {
		log_err("cannot open %s: %m", path);
		return NULL;
	}
	errno = 0;
	*ret_first = getc(file);
	if (*ret_first == EOF) {
		if (ferror(file))
			log_err("cannot read %s: %m", path);
		else
			log_err("%s is empty", path);
		fclose(file);
		return NULL;
	}
	ungetc(*ret_first, file);
	return file;
}

static int replay_file(const char *path, const struct settings *settings, bool connections,
		       const struct capture_options *options)
{
	int first;
	FILE *file = open_input(path, &first);

	if (!file)
		return CLI_FAILED;
	if (first != RECORDLOG_FIRST_BYTE)
		return replay_capture(file, path, options) ? CLI_FAILED : CLI_OK;
	if (options->nr_local) {
		fclose(file);
		return cli_usage_error("--local is for captures; a record log knows");
	}
	if (options->into_tunnels) {
		fclose(file);
		return cli_usage_error("--tunnels is for captures; a record log has no packets");
	}
	return print_log(file, path, settings, connections) ? CLI_FAILED : CLI_OK;
}

int cli_replay(int argc, char **argv)
{
	const char *connections = NULL, *flows_max = NULL, *settle = NULL, *json = NULL;
	const char *tunnels = NULL;
	const char *local[CLI_REPEATS_MAX + 1] = { NULL };
	const struct cli_flag flags[] = {
		{ "events.connections", NULL, &connections,
		  "log: print one event for each finished connection too" },
		{ "flows.max", "N", &flows_max,
		  "connections at a time; log: as it was when it was recorded" },
		{ "settle", "MS", &settle, "log: as it was when it was recorded" },
		{ "json", NULL, &json, "capture: print the events of the event log" },
		{ "local", "ADDR...", local,
		  "capture: this address is ours (else: whoever sends the SYN)" },
		{ "tunnels", NULL, &tunnels,
		  "capture: look inside IP in IP, GRE, VXLAN and Geneve" },
	};
	struct capture_options options = { 0 };
	struct settings settings;
	char **operands;

	switch (cli_parse(argc, argv, flags, ARRAY_SIZE(flags), "tcpwitness replay [flags] FILE",
			  "Judges a raw record log (`tcpwitness run --record=FILE`) again and "
			  "prints its events,\nor tells the connections of a capture (pcap, "
			  "pcapng), one a line, in the order of their ends:\n\n"
			  "  " REPLAY_CAPTURE_LINE "\n\n"
			  "LOCAL > REMOTE where the local end is the client, < where it is the "
			  "server, <> where\nthat is not known. FILE - is standard input.",
			  1, &operands)) {
	case CLI_HELP_SHOWN:
		return CLI_OK;
	case CLI_BAD_FLAG:
		return CLI_USAGE;
	case CLI_PARSED:
		break;
	}
	if (replay_flags("replay", flows_max, settle, &settings))
		return CLI_USAGE;
	options.json = json;
	options.into_tunnels = tunnels;
	options.flows_max = (uint32_t)settings.flows_max;
	for (size_t i = 0; local[i]; i++)
		if (!capture_options_add_local(&options, local[i]))
			return cli_usage_error("--local: '%s' is no IP address", local[i]);
	return replay_file(operands[0], &settings, connections, &options);
}
