/* SPDX-License-Identifier: GPL-2.0-only */
/* The table of subcommands. */
#include <string.h>

#include "cli/cli.h"
#include "util.h"

static int help(int argc, char **argv);

static const struct cli_command commands[] = {
	{ "run", cli_run, "watch this host's TCP connections and serve what is seen" },
	{ "replay", cli_replay,
	  "run a raw record log through the same judgement, print its events" },
	{ "explain", cli_explain, "tell the story of a connection, line by line, with the rules" },
	{ "divergences", cli_divergences, "list what wire and kernel disagree on" },
	{ "listeners", cli_listeners, "list listening sockets: queues, limits, drops, owners" },
	{ "status", cli_status, "ask the running daemon how it is" },
	{ "doctor", cli_doctor, "what this kernel and these interfaces allow, and what is lost" },
	{ "fsm", cli_fsm, "print the reference state machine that this program runs" },
	{ "detach", cli_detach, "remove what a killed daemon left on the interfaces" },
	{ "version", cli_version, "print the version" },
	{ "help", help, "this list, or the flags of one command: help COMMAND" },
};

static int help(int argc, char **argv)
{
	return cli_help(commands, ARRAY_SIZE(commands), argc, argv);
}

int main(int argc, char **argv)
{
	const char *name;

	if (argc < 2) {
		help(0, argv);
		return CLI_USAGE;
	}
	name = argv[1];
	/* what people type before they know */
	if (!strcmp(name, "--help") || !strcmp(name, "-h"))
		name = "help";
	if (!strcmp(name, "--version"))
		name = "version";
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(name, commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	return cli_usage_error("no command '%s'; `tcpwitness help` lists them", name);
}
