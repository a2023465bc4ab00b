/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: `tcpwitness listeners`
 *
 * The listening sockets as the running daemon sees them: both queues, their limits and what set
 * them, what was turned away and why. The daemon renders the table (/api/v1/listeners); --watch
 * asks for it again and again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/ask.h"
#include "cli/cli.h"
#include "export/listener_table.h"
#include "settings.h"
#include "util.h"

#define WATCH_SECONDS 2u
#define CLEAR_SCREEN "\033[H\033[2J"

static int show(const char *socket_path, const char *path, bool clear)
{
	char *body;
	int code;

	if (ask_daemon(socket_path, path, &body))
		return CLI_FAILED;
	code = clear ? cli_print(CLEAR_SCREEN, strlen(CLEAR_SCREEN)) : CLI_OK;
	if (code == CLI_OK)
		code = cli_print(body, strlen(body));
	free(body);
	return code;
}

int cli_listeners(int argc, char **argv)
{
	const char *socket_path = DEFAULT_API_SOCKET, *sort = NULL, *json = NULL, *watch = NULL,
		   *details = NULL;
	const struct cli_flag flags[] = {
		{ "sort", "KEY", &sort, "syns (default), drops, fill, syn, accept, listener" },
		{ "long", NULL, &details,
		  "the owner's unit and container; where a queue overflowed, what would help" },
		{ "watch", NULL, &watch, "go on: print the table again every two seconds" },
		{ "json", NULL, &json, "everything that is known of each" },
		{ "api.socket", "PATH", &socket_path,
		  "the daemon's Unix socket (default: " DEFAULT_API_SOCKET ")" },
	};
	enum listener_order order;
	char path[128];
	int code;

	switch (cli_parse(argc, argv, flags, ARRAY_SIZE(flags), "tcpwitness listeners [flags]",
			  "Lists the listening sockets, as the running daemon sees them.", 0,
			  NULL)) {
	case CLI_HELP_SHOWN:
		return CLI_OK;
	case CLI_BAD_FLAG:
		return CLI_USAGE;
	case CLI_PARSED:
		break;
	}
	if (!listener_order_parse(sort, &order))
		return cli_usage_error("--sort: '%s' is none of syns, drops, fill, syn, accept, "
				       "listener",
				       sort);
	snprintf(path, sizeof(path), "/api/v1/listeners?limit=10000&format=%s&sort=%s&details=%d",
		 json ? "json" : "table", listener_order_label(order), details != NULL);
	do
		code = show(socket_path, path, watch && !json && isatty(STDOUT_FILENO));
	while (watch && code == CLI_OK && !sleep(WATCH_SECONDS));
	return code;
}
