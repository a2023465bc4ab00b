/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Notifications that something of a network namespace's links, addresses or local routes changed,
 * from one socket for many namespaces: the kernel passes on those of every namespace to which ours
 * has given an id (an nsid, rtnetlink(7)), and tells when such a namespace ends. A socket inside of
 * each would keep them alive.
 */
#ifndef TCPWITNESS_CHANGES_H
#define TCPWITNESS_CHANGES_H

#include <stdbool.h>
#include <stdint.h>

#define NSID_OWN (-1) /* the namespace the daemon runs in; bpf's BPF_F_CURRENT_NETNS, too */

struct changes_ops {
	void *context;
	void (*changed)(void *context, int32_t nsid);
	void (*ended)(void *context, int32_t nsid); /* the namespace, not only its name */
	void (*overrun)(void *context);		    /* anything may have happened anywhere */
};

/* `everywhere`: of all namespaces that have an id, else of our own. 0 or -errno. */
int changes_open(bool everywhere, int *ret_fd);

/* Takes what has come, and never waits. 0 or -errno. */
int changes_read(int fd, const struct changes_ops *ops);

/* The id of the namespace that `netns_fd` is open on, made if it has none. 0 or -errno. */
int changes_nsid(int netns_fd, int32_t *ret_nsid);

#endif
