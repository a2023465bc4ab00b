/* SPDX-License-Identifier: GPL-2.0-only */
/* `tcpwitness status`: how the running daemon is. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/outline.h"
#include "settings.h"
#include "util.h"

int cli_status(int argc, char **argv)
{
	const char *socket_path = DEFAULT_API_SOCKET, *json = NULL, *full = NULL;
	const struct cli_flag flags[] = {
		{ "api.socket", "PATH", &socket_path,
		  "the daemon's Unix socket (default: " DEFAULT_API_SOCKET ")" },
		{ "full", NULL, &full, "what is 0 or empty too" },
		{ "json", NULL, &json, "print the answer as it came" },
	};
	int code = CLI_OK;
	char *body;

	switch (cli_parse(argc, argv, flags, ARRAY_SIZE(flags), "tcpwitness status [flags]",
			  "Asks the running daemon how it is.", 0, NULL)) {
	case CLI_HELP_SHOWN:
		return CLI_OK;
	case CLI_BAD_FLAG:
		return CLI_USAGE;
	case CLI_PARSED:
		break;
	}
	if (ask_daemon(socket_path, "/api/v1/status", &body))
		return CLI_FAILED;
	if (json) {
		fputs(body, stdout);
	} else if (outline_print(body, full == NULL, stdout)) {
		fprintf(stderr, "tcpwitness: the daemon's answer is not JSON\n");
		code = CLI_FAILED;
	}
	free(body);
	return code;
}
