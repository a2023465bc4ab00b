/* SPDX-License-Identifier: GPL-2.0-only */
/* Any command line, one argument a line: parsed or refused with a reason, never a crash. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "settings.h"

#define ARGS_MAX 128

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char name[] = "run", *argv[ARGS_MAX + 2] = { name };
	char why[SETTINGS_WHY_BYTES] = "";
	char *text = malloc(size + 1), *rest = text, *word;
	struct settings settings;
	int argc = 1;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	while (argc <= ARGS_MAX && (word = strsep(&rest, "\n")))
		argv[argc++] = word;

	switch (settings_parse(argc, argv, &settings, why)) {
	case SETTINGS_OK:
		if (settings.web_listen_addresses.count == 0 || settings.flows_max == 0)
			abort();
		break;
	case SETTINGS_BAD:
		if (why[0] == '\0' || !memchr(why, '\0', sizeof(why)))
			abort();
		break;
	case SETTINGS_HELP:
		break;
	}
	free(text);
	return 0;
}
