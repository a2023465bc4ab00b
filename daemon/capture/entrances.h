/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ways into network namespaces: names under /run/netns, other paths, and processes. Reads them
 * again when inotify tells of a new name, and at intervals, for a process says nothing.
 */
#ifndef TCPWITNESS_ENTRANCES_H
#define TCPWITNESS_ENTRANCES_H

#include <stdbool.h>
#include <stdint.h>

#include "settings.h"

#define ENTRANCE_NAME_MAX 64
#define ENTRANCE_PATH_MAX 128

struct entrance {
	uint32_t netns;		      /* inode number of what is behind it */
	char name[ENTRANCE_NAME_MAX]; /* "": it has none */
	char path[ENTRANCE_PATH_MAX]; /* "": our own namespace, which needs no entrance */
};

/* 0, or -errno: that is the end of it. */
typedef int (*entrance_each)(void *context, const struct entrance *entrance);

struct entrances;

/* `wanted`: what --netns says, valid as long as the entrances are. 0 or -errno. */
int entrances_new(const struct settings_list *wanted, struct entrances **ret_entrances);
void entrances_free(struct entrances *entrances);

/* The namespace that is ours, which `each` is never called for. */
void entrances_own(struct entrances *entrances, uint32_t netns);
bool entrances_wants_own(const struct entrances *entrances);

/* inotify's; -1: nothing to wait for. */
int entrances_fd(const struct entrances *entrances);

/* Reads what is due at now_ns, and calls `each` for all that are wanted, new or not. 0 or -errno. */
int entrances_turn(struct entrances *entrances, uint64_t now_ns, entrance_each each, void *context);

/* Has a name just changed, so that they are read at each turn? */
bool entrances_is_busy(const struct entrances *entrances, uint64_t now_ns);

/* Any entrance to this namespace: a path of ENTRANCE_PATH_MAX bytes. 0 or -ENOENT. */
int entrances_find(struct entrances *entrances, uint32_t netns, char ret_path[ENTRANCE_PATH_MAX]);

#endif
