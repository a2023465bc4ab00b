/* SPDX-License-Identifier: GPL-2.0-only */
/* Connections by client: see guests.h. */
#include "export/guests.h"

#include <netinet/in.h>
#include <string.h>

/* False: it has no address. */
static bool guest_of(const struct sockaddr *client, struct guest *ret)
{
	*ret = (struct guest){ .family = client->sa_family };
	if (client->sa_family == AF_INET)
		memcpy(ret->address, &((const struct sockaddr_in *)client)->sin_addr, 4);
	else if (client->sa_family == AF_INET6)
		memcpy(ret->address, &((const struct sockaddr_in6 *)client)->sin6_addr, 16);
	else
		return false;
	return true;
}

static bool is_same(const struct guest *a, const struct guest *b)
{
	return a->family == b->family && !memcmp(a->address, b->address, sizeof(a->address));
}

bool guests_has_room(const struct guests *guests, const struct sockaddr *client)
{
	struct guest guest;
	size_t has = 0;

	if (!guest_of(client, &guest))
		return true;
	for (size_t i = 0; i < guests->count; i++)
		has += is_same(&guests->all[i], &guest);
	return has < GUESTS_PER_CLIENT;
}

void guests_enter(struct guests *guests, const struct sockaddr *client)
{
	struct guest guest;

	if (guest_of(client, &guest) && guests->count < GUESTS_MAX)
		guests->all[guests->count++] = guest;
}

void guests_leave(struct guests *guests, const struct sockaddr *client)
{
	struct guest guest;

	if (!guest_of(client, &guest))
		return;
	for (size_t i = 0; i < guests->count; i++)
		if (is_same(&guests->all[i], &guest)) {
			guests->all[i] = guests->all[--guests->count];
			return;
		}
}
