/* SPDX-License-Identifier: GPL-2.0-only */
/* Reads the socket iterator. */
#include "capture/sweep.h"

#include <errno.h>
#include <stdint.h>
#include <unistd.h>

int sweep_read(int fd, sweep_each each, void *context)
{
	_Alignas(8) uint8_t buffer[SWEEP_READ_BYTES];
	ssize_t size = read(fd, buffer, sizeof(buffer));

	/* EAGAIN: a million sockets of other namespaces were passed over, and there are more. */
	if (size < 0)
		return errno == EAGAIN || errno == EINTR ? 1 : -errno;
	if (size == 0)
		return 0;
	if ((size_t)size % sizeof(struct rec_socket))
		return -EPROTO;
	for (ssize_t at = 0; at < size; at += (ssize_t)sizeof(struct rec_socket))
		each(context, (const struct rec_socket *)(buffer + at));
	return 1;
}
