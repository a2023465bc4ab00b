/* SPDX-License-Identifier: GPL-2.0-only */
/* Which flows were left out: see sampled.h. */
#include "track/sampled.h"

#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

void sampled_free(struct sampled *sampled)
{
	free(sampled->slots);
	free(sampled->places);
	memset(sampled, 0, sizeof(*sampled));
}

/* NULL without memory. */
static struct sampled_slot *provide(struct sampled *sampled, uint32_t number)
{
	struct sampled_slot *slots;

	if (!sampled->places)
		sampled->places = calloc(SAMPLING_SLOTS, sizeof(*sampled->places));
	if (!sampled->places)
		return NULL;
	if (sampled->places[number])
		return &sampled->slots[sampled->places[number] - 1];
	if (sampled->count == sampled->room) {
		uint32_t room = sampled->room ? 2 * sampled->room : 16;

		slots = realloc(sampled->slots, room * sizeof(*slots));
		if (!slots)
			return NULL;
		sampled->slots = slots;
		sampled->room = room;
	}
	if (number >= SAMPLING_PORTS)
		sampled->strays[sampled->nr_strays++] = sampled->count;
	slots = &sampled->slots[sampled->count++];
	memset(slots, 0, sizeof(*slots));
	slots->number = number;
	sampled->places[number] = sampled->count;
	return slots;
}

void sampled_take(struct sampled *sampled, const struct rec_sampling *change)
{
	struct sampled_slot *slot = provide(sampled, change->slot);

	if (!slot) {
		sampled->blind = true;
		return;
	}
	sampled->seed = change->seed;
	for (uint32_t shift = 1; shift <= SAMPLING_SHIFT_MAX; shift++)
		if (shift <= change->to)
			slot->until_ns[shift] = SAMPLED_NOW;
		else if (slot->until_ns[shift] == SAMPLED_NOW)
			slot->until_ns[shift] = change->hdr.ts_ns;
}

/* The least shift that leaves the flow out; 0: none does. */
static uint32_t excluding_shift(const struct sampled *sampled, const struct conn_key *key)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	bool ipv6 = memcmp(key->local_address, mapped, sizeof(mapped)) ||
		    memcmp(key->remote_address, mapped, sizeof(mapped));
	uint32_t local[4], remote[4], hash;

	memcpy(local, key->local_address, sizeof(local));
	memcpy(remote, key->remote_address, sizeof(remote));
	hash = sampling_hash(ipv6 ? local : local + 3, key->local_port, ipv6 ? remote : remote + 3,
			     key->remote_port, ipv6, sampled->seed);
	if (sampling_takes(hash, SAMPLING_SHIFT_MAX))
		return 0;
	return (uint32_t)__builtin_ctz(hash) + 1;
}

uint64_t sampled_until(const struct sampled *sampled, const struct conn_key *key)
{
	const struct sampling_site site = { .netns = key->netns, .port = key->local_port };
	uint32_t place;

	if (sampled->blind)
		return SAMPLED_NOW;
	place = sampled->places ? sampled->places[sampling_slot_of(&site)] : 0;
	return place ? sampled->slots[place - 1].until_ns[excluding_shift(sampled, key)] : 0;
}

uint64_t sampled_strays_until(const struct sampled *sampled, const struct conn_key *key)
{
	uint64_t until_ns = sampled->blind ? SAMPLED_NOW : 0;
	uint32_t shift;

	if (!sampled->nr_strays)
		return until_ns;
	shift = excluding_shift(sampled, key);
	for (uint32_t i = 0; i < sampled->nr_strays; i++)
		until_ns = MAX(until_ns, sampled->slots[sampled->strays[i]].until_ns[shift]);
	return until_ns;
}
