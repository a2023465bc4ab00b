/* SPDX-License-Identifier: GPL-2.0-only */
/* Any text of /proc/PID/cgroup: what is read of it fits, and a container has its whole id. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "listen/place.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_place(const struct place *place)
{
	size_t digits = strlen(place->container), pod = strlen(place->pod);

	if (!place->known || place->runtime >= RUNTIME_NR ||
	    strlen(place->unit) >= sizeof(place->unit) ||
	    digits != (place->runtime ? CONTAINER_ID_DIGITS : 0) || (pod && pod != POD_UID_CHARS))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct place place;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (place_of_text(text, &place))
		check_place(&place);
	place_of_path(text, &place);
	check_place(&place);
	free(text);
	return 0;
}
