/* SPDX-License-Identifier: GPL-2.0-only */
/* The subcommands. Each gets argv[0] = its own name and returns the exit code. */
#ifndef TCPWITNESS_CLI_H
#define TCPWITNESS_CLI_H

#include <stdbool.h>
#include <stddef.h>

enum cli_exit {
	CLI_OK = 0,
	CLI_FAILED = 1,
	CLI_USAGE = 2,
};

struct cli_command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help; /* one line */
};

int cli_run(int argc, char **argv);
int cli_replay(int argc, char **argv);
int cli_explain(int argc, char **argv);
int cli_divergences(int argc, char **argv);
int cli_status(int argc, char **argv);
int cli_listeners(int argc, char **argv);
int cli_doctor(int argc, char **argv);
int cli_fsm(int argc, char **argv);
int cli_detach(int argc, char **argv);
int cli_version(int argc, char **argv);

/* Without an argument the list of commands; `help NAME` is `NAME --help`. */
int cli_help(const struct cli_command *commands, size_t count, int argc, char **argv);

/* Prints "tcpwitness: TEXT" to stderr and returns CLI_USAGE. */
int cli_usage_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Writes it to stdout, at once. CLI_FAILED after one line on stderr. */
int cli_print(const char *text, size_t length);

/* Is stdout a terminal, and nobody objects? (https://no-color.org) */
bool cli_wants_colour(void);

#define CLI_REPEATS_MAX 16

/* A subcommand's own flags (not those of `run`): one table parses them and prints the help. */
struct cli_flag {
	const char *name;
	/* Its name in the help; NULL: a switch; "ADDR...": may be given again and again. */
	const char *argument;
	/* Gets the argument, or the flag's name for a switch; an array of CLI_REPEATS_MAX and a
	 * final NULL if it may be given again. */
	const char **value;
	const char *help;
};

enum cli_outcome {
	CLI_PARSED,
	CLI_HELP_SHOWN, /* exit 0 */
	CLI_BAD_FLAG,	/* said so on stderr: exit CLI_USAGE */
};

/*
 * usage: "tcpwitness replay [flags] FILE", purpose: one sentence. Exactly `operands` plain
 * arguments must be there; *ret_operands points at the first.
 */
enum cli_outcome cli_parse(int argc, char **argv, const struct cli_flag *flags, size_t count,
			   const char *usage, const char *purpose, int operands,
			   char ***ret_operands);

#endif
