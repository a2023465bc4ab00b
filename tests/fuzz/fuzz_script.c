/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Any text as a trace script: it is read, or refused with a place and a reason; what was read can
 * be played, and whatever it says no invariant breaks (a wrong expectation is no defect here).
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "unit/script.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct script_play how = { 1000, 0xfffffff0, false, SCRIPT_LINES_MAX,
					 SCRIPT_LINES_MAX };
	static struct script script;
	struct script_source source;
	char error[SCRIPT_ERROR_MAX];
	int err;

	script_source_init(&source, "fuzz", (const char *)data, size);
	while ((err = script_read(&source, &script)) > 0) {
		if (script.count == 0 || script.count > SCRIPT_LINES_MAX)
			abort();
		error[0] = '\0';
		if (!script_play(&script, &how, NULL, error) && !error[0])
			abort();
	}
	if (err && (err != -EINVAL || !strstr(source.error, "fuzz:")))
		abort();
	return 0;
}
