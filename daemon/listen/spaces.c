/* SPDX-License-Identifier: GPL-2.0-only */
/* The namespaces' own word on their listeners: see spaces.h. */
#include "listen/spaces.h"

#include "log.h"

struct listen_space *listen_spaces_find(struct listen_spaces *spaces, uint32_t netns)
{
	for (size_t i = 0; i < spaces->count; i++)
		if (spaces->at[i].netns == netns)
			return &spaces->at[i];
	return NULL;
}

struct listen_space *listen_spaces_add(struct listen_spaces *spaces, uint32_t netns)
{
	struct listen_space *space;

	if (spaces->count == NAMESPACES_MAX)
		return NULL;
	space = &spaces->at[spaces->count++];
	*space = (struct listen_space){ .netns = netns };
	space->counts = !listen_mibs_read(&space->first);
	listen_sysctls_read(&space->sysctls);
	if (!space->counts)
		log_warn("/proc/net/netstat of network namespace %u cannot be read: its listeners' "
			 "drops go unverified",
			 netns);
	return space;
}

void listen_spaces_remove(struct listen_spaces *spaces, uint32_t netns)
{
	struct listen_space *space = listen_spaces_find(spaces, netns);

	if (space)
		*space = spaces->at[--spaces->count];
}

void listen_space_read(struct listen_space *space, const struct listener_counters *sum,
		       uint64_t now_ns)
{
	struct listen_mibs explained = listen_mibs_of(sum), mibs;

	space->read_ns = now_ns;
	listen_sysctls_read(&space->sysctls);
	if (!space->counts || listen_mibs_read(&mibs))
		return;
	for (int mib = 0; mib < LISTEN_MIB_NR; mib++)
		space->unexplained[mib] =
			(int64_t)(mibs.at[mib] - space->first.at[mib] - explained.at[mib]);
}
