/* SPDX-License-Identifier: GPL-2.0-only */
/* Opens and closes the taps on interfaces, and counts by interface. */
#include "capture/taps.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "capture/attach.h"
#include "capture/changes.h"
#include "log.h"
#include "util.h"

#define SLOT_WORDS (SEGMENT_COUNTERS_MAX / 64)

struct tap {
	const struct space *space;
	struct interface interface;
	struct attachment attachment;
	bool attached; /* false: it waits for its turn */
	uint32_t slot;
	struct segment_counters base; /* what the slot had counted for others before */
};

struct taps {
	const struct loader *loader;
	struct attacher *attacher;
	struct tap *at[INTERFACES_MAX];
	uint32_t count, waiting;
	uint64_t taken[SLOT_WORDS]; /* slots in use now */
	uint64_t used[SLOT_WORDS];  /* slots that may hold something */
	int last_error;
	bool too_many; /* said so */
};

struct taps *taps_new(const struct loader *loader, enum capture_mode mode)
{
	struct taps *taps = calloc(1, sizeof(*taps));
	struct attach_programs programs;

	if (!taps)
		return NULL;
	loader_hooks(loader, &programs);
	taps->loader = loader;
	taps->attacher = attacher_new(&programs, mode);
	if (!taps->attacher) {
		free(taps);
		return NULL;
	}
	taps->used[SEGMENT_SLOT_SHARED / 64] |= 1ull << (SEGMENT_SLOT_SHARED % 64);
	return taps;
}

void taps_free(struct taps *taps)
{
	if (!taps)
		return;
	attacher_free(taps->attacher);
	free(taps);
}

/* ---- slots ----------------------------------------------------------------------------------- */

static bool is_direct(const struct taps *taps, uint32_t ifindex)
{
	return !loader_several(taps->loader) && ifindex < SEGMENT_SLOTS_DIRECT;
}

static void slot_take(struct taps *taps, struct tap *tap)
{
	uint32_t netns = tap->space->netns, ifindex = tap->interface.ifindex;
	uint32_t slot = ifindex, first = loader_several(taps->loader) ? 0 : SEGMENT_SLOTS_DIRECT;

	if (!is_direct(taps, ifindex)) {
		slot = first;
		while (slot < SEGMENT_SLOT_SHARED && taps->taken[slot / 64] >> (slot % 64) & 1)
			slot++;
	}
	tap->slot = slot;
	taps->taken[slot / 64] |= 1ull << (slot % 64);
	taps->used[slot / 64] |= 1ull << (slot % 64);
	if (loader_segments(taps->loader, slot, &tap->base))
		memset(&tap->base, 0, sizeof(tap->base));
	if (!is_direct(taps, ifindex) && slot != SEGMENT_SLOT_SHARED &&
	    loader_slot(taps->loader, netns, ifindex, &slot))
		tap->slot = SEGMENT_SLOT_SHARED;
}

static void slot_give(struct taps *taps, const struct tap *tap)
{
	if (!is_direct(taps, tap->interface.ifindex) && tap->slot != SEGMENT_SLOT_SHARED)
		loader_slot(taps->loader, tap->space->netns, tap->interface.ifindex, NULL);
	taps->taken[tap->slot / 64] &= ~(1ull << (tap->slot % 64));
}

/* ---- opening and closing --------------------------------------------------------------------- */

static uint32_t tap_find(const struct taps *taps, const struct space *space, uint32_t ifindex)
{
	uint32_t i = 0;

	while (i < taps->count &&
	       (taps->at[i]->space != space || taps->at[i]->interface.ifindex != ifindex))
		i++;
	return i;
}

static const char *where(const struct tap *tap)
{
	return tap->space->nsid == NSID_OWN ? "" : tap->space->name;
}

static int tap_attach(struct taps *taps, struct tap *tap)
{
	int err;

	/* The slot first: from the first segment on, it is the interface's. */
	slot_take(taps, tap);
	err = attacher_attach(taps->attacher, &tap->interface, where(tap), &tap->attachment);
	if (err) {
		slot_give(taps, tap);
		taps->last_error = err;
		return err;
	}
	tap->attached = true;
	taps->waiting--;
	return 0;
}

void taps_open(struct taps *taps, const struct space *space, const struct interface *interface)
{
	struct tap *tap;

	if (taps->count == INTERFACES_MAX) {
		if (!taps->too_many)
			log_warn("%s: not watched: more than %d interfaces", interface->name,
				 INTERFACES_MAX);
		taps->too_many = true;
		taps->last_error = -E2BIG;
		return;
	}
	tap = calloc(1, sizeof(*tap));
	if (!tap) {
		taps->last_error = -ENOMEM;
		return;
	}
	tap->space = space;
	tap->interface = *interface;
	taps->at[taps->count++] = tap;
	taps->waiting++;
}

static void tap_remove(struct taps *taps, uint32_t i)
{
	struct tap *tap = taps->at[i];

	if (tap->attached) {
		attacher_detach(&tap->attachment);
		slot_give(taps, tap);
	} else {
		taps->waiting--;
	}
	free(tap);
	taps->at[i] = taps->at[--taps->count];
}

static uint32_t tap_waiting(const struct taps *taps)
{
	uint32_t i = 0;

	while (i < taps->count && taps->at[i]->attached)
		i++;
	return i;
}

bool taps_attach_next(struct taps *taps)
{
	uint32_t i = taps->waiting ? tap_waiting(taps) : taps->count;
	struct tap *tap;
	int err;

	if (i == taps->count)
		return false;
	tap = taps->at[i];
	err = namespaces_enter(tap->space);
	if (!err) {
		err = tap_attach(taps, tap);
		namespaces_leave(tap->space);
	}
	if (err)
		tap_remove(taps, i);
	return taps->waiting > 0;
}

void taps_rename(struct taps *taps, const struct space *space, const struct interface *interface)
{
	uint32_t i = tap_find(taps, space, interface->ifindex);

	if (i == taps->count)
		return;
	log_info("%s: now called %s", taps->at[i]->interface.name, interface->name);
	memcpy(taps->at[i]->interface.name, interface->name, sizeof(interface->name));
}

void taps_close(struct taps *taps, const struct space *space, const struct interface *interface)
{
	uint32_t i = tap_find(taps, space, interface->ifindex);
	bool attached;

	if (i == taps->count)
		return;
	attached = taps->at[i]->attached;
	tap_remove(taps, i);
	if (!attached)
		return;
	log_info("%s%s%s: no longer watched", space->nsid == NSID_OWN ? "" : space->name,
		 space->nsid == NSID_OWN ? "" : " ", interface->name);
}

void taps_close_all(struct taps *taps, const struct space *space)
{
	for (uint32_t i = taps->count; i-- > 0;)
		if (taps->at[i]->space == space)
			tap_remove(taps, i);
}

void taps_drop(struct taps *taps, const struct space *space)
{
	for (uint32_t i = taps->count; i-- > 0;)
		if (taps->at[i]->space == space) {
			attachment_abandon(&taps->at[i]->attachment);
			tap_remove(taps, i);
		}
}

void taps_check(struct taps *taps, const struct space *space)
{
	for (uint32_t i = taps->count; i-- > 0;) {
		struct tap *tap = taps->at[i];

		if (tap->space != space || !tap->attached || attachment_is_live(&tap->attachment))
			continue;
		log_info("%s: was detached, or deleted and made again", tap->interface.name);
		attacher_detach(&tap->attachment);
		slot_give(taps, tap);
		tap->attached = false;
		taps->waiting++;
	}
}

/* ---- what is known of them ------------------------------------------------------------------- */

uint32_t taps_count(const struct taps *taps)
{
	return taps->count;
}

int taps_last_error(const struct taps *taps)
{
	return taps->last_error;
}

static const char *hook_program(const struct attachment *attachment, int direction)
{
	enum hook_mode mode = attachment->hooks[direction].mode;

	if (mode == MODE_XDP_NATIVE || mode == MODE_XDP_GENERIC)
		return "xdp_ingress";
	if (direction == ATTACH_INGRESS)
		return attachment->bare_ip ? "tc_ingress_ip" : "tc_ingress_eth";
	return attachment->bare_ip ? "tc_egress_ip" : "tc_egress_eth";
}

static void hook_list(const struct tap *tap, int direction, struct capture_stats *stats)
{
	struct interface_row *row = &stats->interfaces[stats->nr_interfaces++];
	struct program_row *program = &stats->programs[stats->nr_programs++];

	strcpy(row->interface, tap->interface.name);
	row->netns = tap->space->netns;
	row->ifindex = tap->interface.ifindex;
	strcpy(row->hook, direction == ATTACH_INGRESS ? "ingress" : "egress");
	strcpy(row->mode, hook_mode_name(tap->attachment.hooks[direction].mode));
	strcpy(program->program, hook_program(&tap->attachment, direction));
	strcpy(program->interface, tap->interface.name);
	program->netns = tap->space->netns;
	program->attached = 1;
}

static void counters_combine(struct segment_counters *to, const struct segment_counters *from,
			     bool add)
{
	__u64 *sum = (__u64 *)to;
	const __u64 *value = (const __u64 *)from;

	for (size_t i = 0; i < sizeof(*to) / sizeof(*sum); i++)
		sum[i] += add ? value[i] : -value[i];
}

int taps_stats(const struct taps *taps, struct capture_stats *stats)
{
	struct segment_counters counters;
	int err = 0;

	for (uint32_t slot = 0; slot < SEGMENT_COUNTERS_MAX && !err; slot++) {
		if (!(taps->used[slot / 64] >> (slot % 64) & 1))
			continue;
		err = loader_segments(taps->loader, slot, &counters);
		if (!err)
			counters_combine(&stats->segments, &counters, true);
	}
	for (uint32_t i = 0, row = 0; i < taps->count && !err; i++) {
		const struct tap *tap = taps->at[i];

		if (!tap->attached)
			continue;
		for (int direction = 0; direction < ATTACH_DIRECTIONS; direction++)
			hook_list(tap, direction, stats);
		err = loader_segments(taps->loader, tap->slot, &stats->by_interface[row]);
		if (!err)
			counters_combine(&stats->by_interface[row], &tap->base, false);
		row++;
	}
	return err;
}
