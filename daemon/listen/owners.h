/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: whose socket is it
 *
 * Who calls listen() while we watch is told by the event itself. Of a socket that was there before,
 * only its inode number is to be had (capture/diag.h), and a process that holds it is found by
 * reading the links in /proc/PID/fd, one after the other. That may be millions, on a host with as
 * many connections: the search goes a few links at a time, between other work, takes all sockets it
 * is asked for in one go, and reads the low numbers of every process, where servers have what they
 * listen on, before it reads the others. Of several processes that hold a socket the first in
 * /proc's order is taken, which is the one that was there first, but where numbers have wrapped.
 */
#ifndef TCPWITNESS_OWNERS_H
#define TCPWITNESS_OWNERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capture/diag.h"
#include "listen/place.h"
#include "record.h"

/* Where a process belongs. ret->known is false where /proc does not say. */
void owner_place(uint32_t pid, struct place *ret);

struct owner_found {
	struct diag_socket socket;
	uint32_t netns;
	uint32_t pid;
	char comm[REC_COMM_BYTES]; /* terminated */
};

struct owner_search;

struct owner_search *owner_search_new(void);
void owner_search_free(struct owner_search *search);

/* Adds a socket to those that the next search is for; not while one goes on. 0 or -ENOMEM. */
int owner_search_want(struct owner_search *search, const struct diag_socket *socket,
		      uint32_t netns);

/* Is there still something to do? */
bool owner_search_busy(const struct owner_search *search);

/* Reads at most `links` of them, and calls `found` for each socket that is wanted. The search is
 * over when all are found or all of /proc is read. */
void owner_search_step(struct owner_search *search, size_t links,
		       void (*found)(void *context, const struct owner_found *owner),
		       void *context);

#endif
