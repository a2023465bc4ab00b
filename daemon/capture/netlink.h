/* SPDX-License-Identifier: GPL-2.0-only */
/* Just enough netlink: open, dump, walk attributes. */
#ifndef TCPWITNESS_NETLINK_H
#define TCPWITNESS_NETLINK_H

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stddef.h>

typedef void (*netlink_each)(void *context, const struct nlmsghdr *message);

/* A NETLINK_ROUTE socket that filters dumps by what the request says. 0 or -errno. */
int netlink_open(int *ret_fd);

/* One of another family, NETLINK_SOCK_DIAG. 0 or -errno. */
int netlink_open_family(int family, int *ret_fd);

/* Sends `request` (NLM_F_REQUEST | NLM_F_DUMP are set here) and calls `each` for every message of
 * the answer. 0 or -errno; -EINTR: the tables changed meanwhile, ask again. */
int netlink_dump(int fd, struct nlmsghdr *request, netlink_each each, void *context);

/* Fills table[0..max] with the attributes behind a family header of `fixed` bytes, NULL where
 * absent. */
void netlink_attributes(const struct nlmsghdr *message, size_t fixed, const struct rtattr **table,
			size_t max);
void netlink_nested(const struct rtattr *nest, const struct rtattr **table, size_t max);

#endif
