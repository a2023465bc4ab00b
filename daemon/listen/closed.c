/* SPDX-License-Identifier: GPL-2.0-only */
/* Listeners that closed: who they were, for what they leave behind, and what they counted. */
#include <stdlib.h>
#include <string.h>

#include "listen/listeners_parts.h"

struct listener_owner listener_owner_of(const struct listener *listener)
{
	struct listener_owner owner = {
		.key = listener->key,
		.cgroup_id = listener->cgroup_id,
		.pid = listener->pid,
	};

	memcpy(owner.comm, listener->comm, sizeof(owner.comm));
	return owner;
}

static struct closed_sum *sum_find(const struct listeners *listeners, uint32_t netns)
{
	for (size_t i = 0; i < listeners->nr_closed_sums; i++)
		if (listeners->closed_sums[i].netns == netns)
			return &listeners->closed_sums[i];
	return NULL;
}

/* NULL without memory. */
static struct closed_sum *sum_provide(struct listeners *listeners, uint32_t netns)
{
	struct closed_sum *sum = sum_find(listeners, netns), *all;

	if (sum)
		return sum;
	all = realloc(listeners->closed_sums, (listeners->nr_closed_sums + 1) * sizeof(*all));
	if (!all)
		return NULL;
	listeners->closed_sums = all;
	sum = &all[listeners->nr_closed_sums++];
	*sum = (struct closed_sum){ .netns = netns };
	return sum;
}

void closed_remember(struct listeners *listeners, const struct listener *listener,
		     const struct listener_counters *counters)
{
	struct closed_sum *sum = sum_provide(listeners, listener->key.netns);

	listeners->closed[listeners->nr_closed++ % CLOSED_MAX] = listener_owner_of(listener);
	if (sum)
		counters_add(&sum->counters, counters);
}

bool closed_find(const struct listeners *listeners, const struct conn_key *key,
		 struct listener_owner *ret)
{
	size_t ever = listeners->nr_closed;

	for (size_t i = 0; i < ever && i < CLOSED_MAX; i++) {
		const struct listener_owner *closed =
			&listeners->closed[(ever - 1 - i) % CLOSED_MAX];

		if (!same_address(&closed->key, key))
			continue;
		*ret = *closed;
		return true;
	}
	return false;
}

const struct listener_counters *closed_sum_of(const struct listeners *listeners, uint32_t netns)
{
	const struct closed_sum *sum = sum_find(listeners, netns);

	return sum ? &sum->counters : NULL;
}

void closed_forget_space(struct listeners *listeners, uint32_t netns)
{
	struct closed_sum *sum = sum_find(listeners, netns);

	if (sum)
		*sum = listeners->closed_sums[--listeners->nr_closed_sums];
}
