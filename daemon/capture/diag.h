/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The listening sockets of the calling thread's network namespace, as sock_diag(7) has them: what
 * no iterator and no tracepoint tells is under which inode number a process holds one.
 */
#ifndef TCPWITNESS_DIAG_H
#define TCPWITNESS_DIAG_H

#include <stdint.h>

struct diag_socket {
	uint64_t cookie;
	uint64_t cgroup_id; /* of who made it; 0 = this kernel does not say */
	uint32_t inode;	    /* /proc/PID/fd: socket:[inode] */
	uint32_t accept_limit;
	uint16_t local_port;
	uint8_t local_address[16]; /* network order, v4 as v4-mapped v6 */
};

/* 0 or -errno: a kernel without tcp_diag. */
int diag_listening(void (*each)(void *context, const struct diag_socket *socket), void *context);

#endif
