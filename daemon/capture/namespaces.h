/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: the network namespaces that are watched
 *
 * By default that is the one the daemon runs in. With --netns there may be others, by name
 * (/run/netns/NAME), by path, by a process (pid:N), or all that the host has: those with a name,
 * and those with a process in them, for containers bind no names. They come and go; each is found
 * again by inotify and by reading /proc, and its end is told by the kernel (changes.h).
 *
 * Nothing of ours keeps a namespace alive: no file and no socket stays open inside. Whatever must
 * be done there (reading its tables, attaching programs, opening the socket iterator) is done by
 * stepping inside, through a entrance that is opened for the purpose, and out again. A step costs
 * 7 us here. Looking at one socket needs no step: the namespace's id names it to the kernel.
 */
#ifndef TCPWITNESS_NAMESPACES_H
#define TCPWITNESS_NAMESPACES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capture/capture_stats.h"
#include "capture/interfaces.h"
#include "settings.h"

#define SPACE_ENTRANCE_MAX 128

#define SPACE_HOST "host"

struct space {
	uint32_t netns;		   /* inode number */
	int32_t nsid;		   /* NSID_OWN: the daemon's own */
	char name[SPACE_NAME_MAX]; /* "host", its name, or its inode number; of no other space */
	char entrance[SPACE_ENTRANCE_MAX]; /* a path that led there; "" for our own */
	bool changed;			   /* its tables are to be read again */
	struct interfaces *interfaces;
	struct namespaces *owner;
};

/* All are called with the thread inside `space`, but for `gone`, which has no inside any more. */
struct namespaces_ops {
	void *context;
	int (*appeared)(void *context, const struct space *space); /* before its interfaces */
	void (*gone)(void *context, const struct space *space);	   /* and all that was in it */
	void (*interface_appeared)(void *context, const struct space *space,
				   const struct interface *interface);
	void (*interface_gone)(void *context, const struct space *space,
			       const struct interface *interface);
	void (*interface_renamed)(void *context, const struct space *space,
				  const struct interface *interface);
	void (*prefix)(void *context, const struct space *space, const struct local_prefix *prefix,
		       bool added);
	void (*refreshed)(void *context, const struct space *space); /* its tables were read */
};

struct namespaces;

/* Is only our own watched, now and always? */
bool namespaces_is_own_only(const struct settings *settings);

/* *settings must outlive it, *ops is copied. 0 or -errno, logged. */
int namespaces_new(const struct settings *settings, const struct namespaces_ops *ops,
		   struct namespaces **ret_namespaces);
/* Calls `gone` for none: what hangs there is the caller's to take down before. */
void namespaces_free(struct namespaces *namespaces);

/* Finds what is there. 0 or -errno, logged: not permitted, or a device that is not there. */
int namespaces_start(struct namespaces *namespaces);

/* Readable when namespaces_turn has something to do; it is due at every turn all the same. */
int namespaces_fd(const struct namespaces *namespaces);
int namespaces_turn(struct namespaces *namespaces, uint64_t now_ns);
/* Is one likely to be found soon? */
bool namespaces_is_busy(const struct namespaces *namespaces, uint64_t now_ns);

/* NULL: not watched. */
const struct space *namespaces_find(const struct namespaces *namespaces, uint32_t netns);
size_t namespaces_count(const struct namespaces *namespaces);
const struct space *namespaces_at(const struct namespaces *namespaces, size_t index);

/* Steps inside and out. 0 or -errno: it may have ended. Every enter that succeeded needs a leave. */
int namespaces_enter(const struct space *space);
void namespaces_leave(const struct space *space);

#endif
