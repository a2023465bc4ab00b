/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A process of its own that reads the socket iterator.
 *
 * The iterator takes the lock of every full socket (linux net/ipv4/tcp_ipv4.c:
 * bpf_iter_tcp_seq_show), and a socket whose owner sleeps while it holds the lock (a page fault in
 * recvmsg's copy: swap, NFS, FUSE) keeps it waiting for as long as the owner likes. What waits is
 * this process, which shares neither memory nor descriptors with the daemon and can therefore be
 * left behind: the daemon goes on, and ends when it should.
 */
#ifndef TCPWITNESS_SWEEP_READER_H
#define TCPWITNESS_SWEEP_READER_H

#include <stdint.h>
#include <sys/types.h>

#include "record.h"

/* Bytes of one read: what the kernel gathers at most, linux kernel/bpf/bpf_iter.c:bpf_seq_read. */
#define SWEEP_READ_BYTES 32768

typedef void (*sweep_each)(void *context, const struct rec_socket *socket);

struct sweep_reader {
	int fd; /* our end of the pair; -1: none runs */
	pid_t pid;
};

void sweep_reader_init(struct sweep_reader *reader);

/* Ends it. One that waits for a lock is left to end when it gets it. */
void sweep_reader_fini(struct sweep_reader *reader);

/* Hands an iterator over, which stays the caller's to close, and starts the process if none runs.
 * One at a time: the last one has been read to its end. 0 or -errno. */
int sweep_reader_give(struct sweep_reader *reader, int iterator_fd);

/* What one read brought, if it is there yet. 1: that, and there may be more; 0: the end of the
 * iterator; -EAGAIN: nothing so far; -errno. Adds the CPU time it took over there. */
int sweep_reader_take(struct sweep_reader *reader, sweep_each each, void *context,
		      uint64_t *cpu_ns);

#endif
