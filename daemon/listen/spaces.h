/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the watched network namespaces say of their listeners themselves, beside what we counted:
 * for each its knobs, and how much of its counters is left unexplained.
 */
#ifndef TCPWITNESS_LISTEN_SPACES_H
#define TCPWITNESS_LISTEN_SPACES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "listen/namespace.h"

struct listen_space {
	uint32_t netns;
	uint64_t read_ns;	  /* when it was last read; 0 = not yet */
	bool counts;		  /* its counters can be read */
	struct listen_mibs first; /* when it was found */
	struct listen_sysctls sysctls;
	int64_t unexplained[LISTEN_MIB_NR]; /* its counters since then, less ours */
};

struct listen_spaces {
	struct listen_space at[NAMESPACES_MAX];
	size_t count;
};

/* The thread is inside the namespace: reads it for the first time. NULL: there are too many. */
struct listen_space *listen_spaces_add(struct listen_spaces *spaces, uint32_t netns);
struct listen_space *listen_spaces_find(struct listen_spaces *spaces, uint32_t netns);
void listen_spaces_remove(struct listen_spaces *spaces, uint32_t netns);

/* The thread is inside: reads it again. `sum`: what all its listeners have counted, taken before,
 * so that what happens in between is unexplained for a moment, and never less than 0. */
void listen_space_read(struct listen_space *space, const struct listener_counters *sum,
		       uint64_t now_ns);

#endif
