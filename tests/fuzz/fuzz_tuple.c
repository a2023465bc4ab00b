/* SPDX-License-Identifier: GPL-2.0-only */
/* Any tuple: refused, or read such that what is printed reads the same and matches its own keys. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "track/tuple.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), printed[TUPLE_TEXT_MAX];
	struct tuple tuple, again;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (!tuple_parse(text, &tuple)) {
		struct conn_key key = tuple_key(&tuple, 1, false);
		struct conn_key turned = tuple_key(&tuple, 1, true);

		if (tuple_parse(tuple_format(&tuple, printed), &again) ||
		    memcmp(&tuple, &again, sizeof(tuple)))
			abort();
		if (!tuple_matches(&tuple, &key) || !tuple_matches(&tuple, &turned))
			abort();
	}
	free(text);
	return 0;
}
