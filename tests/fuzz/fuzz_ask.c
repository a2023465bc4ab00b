/* SPDX-License-Identifier: GPL-2.0-only */
/* Any answer to a command: taken apart and printed, or refused. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/ask.h"
#include "cli/outline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static FILE *nowhere;
	char *text = malloc(size + 1), *body;
	int status;

	if (!nowhere)
		nowhere = fopen("/dev/null", "w");
	if (!text || !nowhere)
		abort();
	memcpy(text, data, size);
	text[size] = '\0';
	if (ask_parse_response(text, &status, &body) == 0) {
		if (status < 100 || body < text || body > text + size)
			abort();
		outline_print(body, true, nowhere);
	}
	outline_print(text, false, nowhere);
	free(text);
	return 0;
}
