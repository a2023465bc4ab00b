/* SPDX-License-Identifier: GPL-2.0-only */
/* Netlink dumps. */
#include "capture/netlink.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

/* As the kernel fills a dump's skb: linux net/netlink/af_netlink.c:netlink_dump caps at 32 KB. */
#define DUMP_BYTES 32768

int netlink_open_family(int family, int *ret_fd)
{
	const struct sockaddr_nl any = { .nl_family = AF_NETLINK };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, family);

	if (fd < 0)
		return -errno;
	/* Unbound, it has the kernel's own port id, and is sent no notifications. */
	if (bind(fd, (const struct sockaddr *)&any, sizeof(any))) {
		int err = -errno;

		close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}

int netlink_open(int *ret_fd)
{
	int on = 1, err = netlink_open_family(NETLINK_ROUTE, ret_fd);

	/* Before 4.20 the kernel does not filter; every caller checks what it gets all the same. */
	if (!err)
		setsockopt(*ret_fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	return err;
}

/* Walks one datagram. 1 when the dump is complete, 0 to go on, or -errno. */
static int dump_part(const struct nlmsghdr *message, size_t left, bool *interrupted,
		     netlink_each each, void *context)
{
	for (; NLMSG_OK(message, left); message = NLMSG_NEXT(message, left)) {
		if (message->nlmsg_flags & NLM_F_DUMP_INTR)
			*interrupted = true;
		if (message->nlmsg_type == NLMSG_DONE)
			return *interrupted ? -EINTR : 1;
		if (message->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *answer = NLMSG_DATA(message);

			return answer->error ? answer->error : 1;
		}
		each(context, message);
	}
	return 0;
}

int netlink_dump(int fd, struct nlmsghdr *request, netlink_each each, void *context)
{
	_Alignas(struct nlmsghdr) char buffer[DUMP_BYTES];
	bool interrupted = false;
	int done;

	request->nlmsg_flags |= NLM_F_REQUEST | NLM_F_DUMP;
	if (send(fd, request, request->nlmsg_len, 0) < 0)
		return -errno;
	do {
		ssize_t size = recv(fd, buffer, sizeof(buffer), 0);

		if (size < 0 && errno == EINTR)
			done = 0;
		else if (size < 0)
			return -errno;
		else
			done = dump_part((const struct nlmsghdr *)buffer, (size_t)size,
					 &interrupted, each, context);
	} while (done == 0);
	return done < 0 ? done : 0;
}

static void attributes_walk(const struct rtattr *attribute, size_t left,
			    const struct rtattr **table, size_t max)
{
	memset(table, 0, (max + 1) * sizeof(table[0]));
	for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
		size_t type = attribute->rta_type & NLA_TYPE_MASK;

		if (type <= max)
			table[type] = attribute;
	}
}

void netlink_attributes(const struct nlmsghdr *message, size_t fixed, const struct rtattr **table,
			size_t max)
{
	const char *first = (const char *)NLMSG_DATA(message) + NLMSG_ALIGN(fixed);

	attributes_walk((const struct rtattr *)first,
			message->nlmsg_len - NLMSG_LENGTH(NLMSG_ALIGN(fixed)), table, max);
}

void netlink_nested(const struct rtattr *nest, const struct rtattr **table, size_t max)
{
	attributes_walk(RTA_DATA(nest), RTA_PAYLOAD(nest), table, max);
}
