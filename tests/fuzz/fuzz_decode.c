/* SPDX-License-Identifier: GPL-2.0-only */
/* Any bytes: decode takes them or refuses them, reads nothing beyond, and indexes no table wrong. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "capture/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum reject_reason reason = REJECT_NR;
	char text[ENDPOINT_TEXT_MAX];
	struct observation obs;
	/* A copy of the exact size: aligned as the contract says, and watched by the sanitizer. */
	uint8_t *bytes = malloc(size ? size : 1);

	if (!bytes)
		return 0;
	memcpy(bytes, data, size);
	if (decode(bytes, size, &obs, &reason)) {
		if (reason >= REJECT_NR)
			abort();
	} else {
		if (obs.type == REC_NONE || obs.type >= REC_NR || obs.hdr->type != obs.type)
			abort();
		if (!strchr(endpoint_format(obs.key.local_address, obs.key.local_port, text), ':'))
			abort();
		if (obs.type == REC_STATE && obs.state->new_state >= KS_NR)
			abort();
	}
	free(bytes);
	return 0;
}
