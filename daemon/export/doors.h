/* SPDX-License-Identifier: GPL-2.0-only */
/* The sockets the daemon listens on: TCP addresses for everybody, a Unix socket for its users. */
#ifndef TCPWITNESS_DOORS_H
#define TCPWITNESS_DOORS_H

#include <stdint.h>
#include <sys/types.h>

/* A listening Unix socket and what identifies its file, so that only our own is removed. */
struct unix_door {
	int fd;
	const char *path; /* the caller's */
	dev_t device;
	ino_t inode;
};

/* "address:port" as settings_parse_address has it; "[::]" and "" take IPv4 too. The port in force
 * is in *ret_port. A file descriptor, or -errno. */
int door_open_tcp(const char *address, uint16_t *ret_port);

/* Mode 0660. A socket file that nobody answers on is replaced; -EADDRINUSE when somebody does,
 * -EEXIST when the path is something else. Makes the last folder of the path if need be. */
int door_open_unix(const char *path, struct unix_door *ret_door);

/* Removes the file, if it is still ours; the descriptor is whoever's that took it. */
void door_remove_unix(const struct unix_door *door);

#endif
