/* SPDX-License-Identifier: GPL-2.0-only */
/* `tcpwitness help`, and what the subcommands share: flag tables, one-line errors. */
#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

#define FLAGS_MAX 16

int cli_usage_error(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fputs("tcpwitness: ", stderr);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
	va_end(args);
	return CLI_USAGE;
}

int cli_print(const char *text, size_t length)
{
	if (fwrite(text, 1, length, stdout) == length && !fflush(stdout))
		return CLI_OK;
	fprintf(stderr, "tcpwitness: cannot write: %m\n");
	return CLI_FAILED;
}

bool cli_wants_colour(void)
{
	const char *no_colour = getenv("NO_COLOR");

	return isatty(STDOUT_FILENO) && !(no_colour && *no_colour);
}

static int list_commands(const struct cli_command *commands, size_t count)
{
	puts("tcpwitness compares what the wire says about TCP connections with what the kernel "
	     "says.\n\nusage: tcpwitness COMMAND [flags]\n");
	for (size_t i = 0; i < count; i++)
		printf("  %-11s %s\n", commands[i].name, commands[i].help);
	return CLI_OK;
}

int cli_help(const struct cli_command *commands, size_t count, int argc, char **argv)
{
	char flag[] = "--help";

	if (argc < 2 || argv[1][0] == '-')
		return list_commands(commands, count);
	for (size_t i = 0; i < count; i++) {
		char *args[] = { argv[1], flag, NULL };

		if (strcmp(argv[1], commands[i].name))
			continue;
		if (!strcmp(argv[1], "help"))
			return list_commands(commands, count);
		return commands[i].run(2, args);
	}
	return cli_usage_error("no command '%s'; `tcpwitness help` lists them", argv[1]);
}

static void print_flags(const struct cli_flag *flags, size_t count, const char *usage,
			const char *purpose)
{
	printf("usage: %s\n\n%s\n", usage, purpose);
	if (count)
		putchar('\n');
	for (size_t i = 0; i < count; i++) {
		char head[48];

		snprintf(head, sizeof(head), "--%s%s%s", flags[i].name,
			 flags[i].argument ? "=" : "", flags[i].argument ? flags[i].argument : "");
		printf("  %-22s %s\n", head, flags[i].help);
	}
}

/* False: it was given too often. */
static bool take_value(const struct cli_flag *flag, const char *value)
{
	size_t given = 0;

	if (flag->argument && strstr(flag->argument, "..."))
		while (flag->value[given])
			given++;
	if (given == CLI_REPEATS_MAX) {
		cli_usage_error("--%s: more than %d times", flag->name, CLI_REPEATS_MAX);
		return false;
	}
	flag->value[given] = value;
	return true;
}

enum cli_outcome cli_parse(int argc, char **argv, const struct cli_flag *flags, size_t count,
			   const char *usage, const char *purpose, int operands,
			   char ***ret_operands)
{
	struct option options[FLAGS_MAX + 2] = { { 0 } };
	int index = 0, c;

	if (count > FLAGS_MAX)
		count = FLAGS_MAX;
	for (size_t i = 0; i < count; i++) {
		options[i].name = flags[i].name;
		options[i].has_arg = flags[i].argument ? required_argument : no_argument;
	}
	options[count] = (struct option){ "help", no_argument, NULL, 'h' };

	optind = 0; /* glibc: start over, whoever used getopt before */
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":h", options, &index)) != -1) {
		if (c == 'h') {
			print_flags(flags, count, usage, purpose);
			return CLI_HELP_SHOWN;
		}
		if (c != 0) {
			cli_usage_error("%s: %s", argv[optind - 1],
					c == ':' ? "a value is missing" : "no such flag");
			return CLI_BAD_FLAG;
		}
		if (!take_value(&flags[index], flags[index].argument ? optarg : flags[index].name))
			return CLI_BAD_FLAG;
	}
	if (argc - optind != operands) {
		cli_usage_error("usage: %s", usage);
		return CLI_BAD_FLAG;
	}
	if (ret_operands)
		*ret_operands = argv + optind;
	return CLI_PARSED;
}
