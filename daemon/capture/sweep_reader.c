/* SPDX-License-Identifier: GPL-2.0-only */
/* Two processes and a SOCK_SEQPACKET pair: descriptors go one way, records the other. */
#include "capture/sweep_reader.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util.h"

/* One message to the daemon: this, and the records of one read. */
struct report {
	int32_t outcome; /* 1: records follow; 0: the end; -errno */
	uint32_t reserved;
	uint64_t cpu_ns; /* of the read */
};

struct message {
	struct report report;
	_Alignas(8) uint8_t records[SWEEP_READ_BYTES];
};

/* ---- over there: system calls only, for the daemon may have had threads when it forked */

/* The iterator to read next; -1 when the daemon has gone. */
static int receive_fd(int pair)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
	struct iovec part = { &byte, 1 };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	int fd;

	if (recvmsg(pair, &message, MSG_CMSG_CLOEXEC) <= 0 || !CMSG_FIRSTHDR(&message))
		return -1;
	memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
	return fd;
}

static void read_once(int iterator, struct message *message, ssize_t *ret_size)
{
	uint64_t cpu_ns = clock_read(CLOCK_THREAD_CPUTIME_ID);
	ssize_t size = read(iterator, message->records, sizeof(message->records));

	*ret_size = size > 0 ? size : 0;
	/* EAGAIN: a million sockets of other namespaces were passed over, and there are more. */
	if (size < 0)
		message->report.outcome = errno == EAGAIN || errno == EINTR ? 1 : -errno;
	else
		message->report.outcome = size > 0;
	message->report.cpu_ns = clock_read(CLOCK_THREAD_CPUTIME_ID) - cpu_ns;
}

static void read_iterators(int pair)
{
	static struct message message;
	ssize_t size;
	int iterator;

	while ((iterator = receive_fd(pair)) >= 0) {
		do {
			read_once(iterator, &message, &size);
			if (send(pair, &message, sizeof(message.report) + (size_t)size,
				 MSG_NOSIGNAL) < 0)
				return;
		} while (message.report.outcome > 0);
		close(iterator);
	}
}

static void live(int pair, pid_t daemon)
{
	prctl(PR_SET_NAME, "tcpwitness-sweep");
	/* The daemon says when to end, by closing its end of the pair, whoever signals the group. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != daemon || dup2(pair, 0) != 0)
		return;
	close_range(1, ~0u, 0);
	if (send(0, "", 1, MSG_NOSIGNAL) == 1)
		read_iterators(0);
}

/* ---- over here */

/* Until then it holds the daemon's descriptors, too: links that would outlive their close(). */
static int await_its_own(int pair)
{
	char byte;

	return recv(pair, &byte, 1, 0) == 1 ? 0 : -ECHILD;
}

static int start(struct sweep_reader *reader)
{
	pid_t daemon = getpid();
	int pair[2], err;

	/* One that fini() left behind: the daemon has no other children. */
	waitpid(-1, NULL, WNOHANG);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	reader->pid = fork();
	if (reader->pid == 0) {
		live(pair[1], daemon);
		_exit(0);
	}
	err = reader->pid < 0 ? -errno : 0;
	close(pair[1]);
	if (!err)
		err = await_its_own(pair[0]);
	if (err)
		close(pair[0]);
	else
		reader->fd = pair[0];
	return err;
}

void sweep_reader_init(struct sweep_reader *reader)
{
	reader->fd = -1;
	reader->pid = -1;
}

void sweep_reader_fini(struct sweep_reader *reader)
{
	if (reader->fd < 0)
		return;
	close(reader->fd);
	kill(reader->pid, SIGKILL);
	waitpid(reader->pid, NULL, WNOHANG);
	sweep_reader_init(reader);
}

int sweep_reader_give(struct sweep_reader *reader, int iterator_fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .header = { .cmsg_len = CMSG_LEN(sizeof(int)),
				  .cmsg_level = SOL_SOCKET,
				  .cmsg_type = SCM_RIGHTS } };
	char byte = 0;
	struct iovec part = { &byte, 1 };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	int err;

	if (reader->fd < 0) {
		err = start(reader);
		if (err)
			return err;
	}
	memcpy(CMSG_DATA(&control.header), &iterator_fd, sizeof(iterator_fd));
	if (sendmsg(reader->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
		err = -errno;
		sweep_reader_fini(reader);
		return err;
	}
	return 0;
}

int sweep_reader_take(struct sweep_reader *reader, sweep_each each, void *context, uint64_t *cpu_ns)
{
	struct message message;
	ssize_t size = recv(reader->fd, &message, sizeof(message), MSG_DONTWAIT);
	size_t bytes;

	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return -EAGAIN;
	/* 0: it has died */
	if (size <= 0 || (size_t)size < sizeof(message.report)) {
		int err = size < 0 ? -errno : -ECHILD;

		sweep_reader_fini(reader);
		return err;
	}
	*cpu_ns += message.report.cpu_ns;
	bytes = (size_t)size - sizeof(message.report);
	if (bytes % sizeof(struct rec_socket))
		return -EPROTO;
	for (size_t at = 0; at < bytes; at += sizeof(struct rec_socket))
		each(context, (const struct rec_socket *)(const void *)(message.records + at));
	return message.report.outcome;
}
