/* SPDX-License-Identifier: GPL-2.0-only */
/* `tcpwitness version`. */
#include <bpf/libbpf.h>
#include <stdio.h>

#include "build_info.h"
#include "cli/cli.h"

int cli_version(int argc, char **argv)
{
	switch (cli_parse(argc, argv, NULL, 0, "tcpwitness version", "Prints the version.", 0,
			  NULL)) {
	case CLI_HELP_SHOWN:
		return CLI_OK;
	case CLI_BAD_FLAG:
		return CLI_USAGE;
	case CLI_PARSED:
		break;
	}
	printf("tcpwitness, version %s (revision: %s)\n"
	       "  built with: %s, %s\n"
	       "  libbpf:     %s\n",
	       BUILD_VERSION, BUILD_REVISION, BUILD_CC, BUILD_CLANG, libbpf_version_string() + 1);
	return CLI_OK;
}
