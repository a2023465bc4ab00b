/* SPDX-License-Identifier: GPL-2.0-only */
/* Reads one run of the socket iterator, a slice at a time, so that a big table stalls nobody. */
#ifndef TCPWITNESS_SWEEP_H
#define TCPWITNESS_SWEEP_H

#include <stddef.h>

#include "record.h"

/* Bytes of one read: what the kernel gathers at most, linux kernel/bpf/bpf_iter.c:bpf_seq_read. */
#define SWEEP_READ_BYTES 32768
#define SWEEP_READ_RECORDS (SWEEP_READ_BYTES / sizeof(struct rec_socket))

typedef void (*sweep_each)(void *context, const struct rec_socket *socket);

/* One read of the iterator's fd. 1: there may be more; 0: the end; -errno. */
int sweep_read(int fd, sweep_each each, void *context);

#endif
