/* SPDX-License-Identifier: GPL-2.0-only */
/* The connections that one listening socket of the HTTP server has, by client. */
#ifndef TCPWITNESS_GUESTS_H
#define TCPWITNESS_GUESTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* Without these a handful of idle clients locks everybody else out. */
#define GUESTS_MAX 64u
#define GUESTS_PER_CLIENT 16u

/* All zero at first. Clients of a Unix socket have no address, and are one as little as many. */
struct guests {
	struct guest {
		uint16_t family;
		uint8_t address[16];
	} all[GUESTS_MAX];
	size_t count;
};

/* Is there room for one more of this client? */
bool guests_has_room(const struct guests *guests, const struct sockaddr *client);

/* It is there; it has left. Without an address nothing changes. */
void guests_enter(struct guests *guests, const struct sockaddr *client);
void guests_leave(struct guests *guests, const struct sockaddr *client);

#endif
