/* SPDX-License-Identifier: GPL-2.0-only */
/* `tcpwitness detach`: removes what a killed daemon left on the interfaces. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "capture/attach.h"
#include "cli/cli.h"

int cli_detach(int argc, char **argv)
{
	unsigned int removed = 0;
	int err;

	switch (cli_parse(argc, argv, NULL, 0, "tcpwitness detach",
			  "Removes the clsact filters a killed daemon left in this network "
			  "namespace.\nXDP and tcx programs vanish with the daemon by themselves.",
			  0, NULL)) {
	case CLI_HELP_SHOWN:
		return CLI_OK;
	case CLI_BAD_FLAG:
		return CLI_USAGE;
	case CLI_PARSED:
		break;
	}
	err = attach_cleanup(&removed);
	if (err == -EBUSY) {
		fprintf(stderr, "tcpwitness: a running daemon uses these filters; stop it first\n");
		return CLI_FAILED;
	}
	if (err) {
		fprintf(stderr, "tcpwitness: cannot remove filters: %s\n", strerror(-err));
		return CLI_FAILED;
	}
	printf("%u filter%s removed\n", removed, removed == 1 ? "" : "s");
	return CLI_OK;
}
