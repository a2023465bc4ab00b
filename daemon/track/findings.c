/* SPDX-License-Identifier: GPL-2.0-only */
/* A growing slab: see findings.h. */
#include "track/findings.h"

#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#define FIRST_ROOM 256u

struct findings {
	struct finding *at; /* index 0 is never used */
	uint32_t max, room, used, free;
};

struct findings *findings_new(uint32_t max)
{
	struct findings *findings = calloc(1, sizeof(*findings));

	if (!findings)
		return NULL;
	findings->max = max;
	findings->used = 1;
	return findings;
}

void findings_free(struct findings *findings)
{
	if (!findings)
		return;
	free(findings->at);
	free(findings);
}

static bool grow(struct findings *findings)
{
	uint32_t room = MIN(MAX(2 * findings->room, FIRST_ROOM), findings->max + 1);
	struct finding *at;

	if (room <= findings->room)
		return false;
	at = realloc(findings->at, room * sizeof(*at));
	if (!at)
		return false;
	findings->at = at;
	findings->room = room;
	return true;
}

uint32_t findings_take(struct findings *findings)
{
	uint32_t index = findings->free;

	if (index) {
		findings->free = findings->at[index].next_free;
	} else {
		if (findings->used >= findings->room && !grow(findings))
			return FINDING_NONE;
		index = findings->used++;
	}
	memset(&findings->at[index], 0, sizeof(findings->at[index]));
	findings->at[index].in_use = true;
	return index;
}

void findings_give(struct findings *findings, uint32_t index)
{
	if (index == FINDING_NONE)
		return;
	findings->at[index].in_use = false;
	findings->at[index].next_free = findings->free;
	findings->free = index;
}

struct finding *findings_at(const struct findings *findings, uint32_t index)
{
	return index == FINDING_NONE ? NULL : &findings->at[index];
}
