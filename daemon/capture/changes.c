/* SPDX-License-Identifier: GPL-2.0-only */
/* One rtnetlink socket that hears of many namespaces. */
#include "capture/changes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/net_namespace.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "capture/netlink.h"
#include "util.h"

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

/* Notifications of a bridge with a hundred ports do not fit the default. */
#define RECEIVE_BYTES (1 << 20)

/* A router changes its routes all day; the kernel passes on only those of type local. */
static int routes_filter(int fd)
{
	struct sock_filter insns[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWROUTE), 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_DELROUTE), 1, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, NLMSG_HDRLEN + offsetof(struct rtmsg, rtm_type)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, RTN_LOCAL, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct sock_fprog program = { ARRAY_SIZE(insns), insns };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) ? -errno : 0;
}

int changes_open(bool everywhere, int *ret_fd)
{
	static const int groups[] = { RTNLGRP_LINK,	  RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
				      RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,  RTNLGRP_NSID };
	const int on = 1, bytes = RECEIVE_BYTES;
	int fd, err;

	err = netlink_open(&fd);
	if (err)
		return err;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	err = routes_filter(fd);
	if (!err && everywhere &&
	    setsockopt(fd, SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, &on, sizeof(on)))
		err = -errno;
	for (size_t i = 0; !err && i < ARRAY_SIZE(groups); i++)
		if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i],
			       sizeof(groups[i])))
			err = -errno;
	if (err) {
		close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}

/* linux net/core/net_namespace.c:rtnl_net_fill */
static int32_t nsid_of(const struct nlmsghdr *message)
{
	const struct rtattr *attributes[NETNSA_NSID + 1];
	int32_t nsid = NSID_OWN;

	netlink_attributes(message, sizeof(struct rtgenmsg), attributes, NETNSA_NSID);
	if (attributes[NETNSA_NSID] && RTA_PAYLOAD(attributes[NETNSA_NSID]) >= sizeof(nsid))
		memcpy(&nsid, RTA_DATA(attributes[NETNSA_NSID]), sizeof(nsid));
	return nsid;
}

/* Where a datagram comes from: linux net/netlink/af_netlink.c:netlink_cmsg_listen_all_nsid. */
static int32_t nsid_from(struct msghdr *header)
{
	int32_t nsid = NSID_OWN;

	for (struct cmsghdr *part = CMSG_FIRSTHDR(header); part; part = CMSG_NXTHDR(header, part))
		if (part->cmsg_level == SOL_NETLINK && part->cmsg_type == NETLINK_LISTEN_ALL_NSID)
			memcpy(&nsid, CMSG_DATA(part), sizeof(nsid));
	return nsid;
}

static void datagram_take(const struct changes_ops *ops, const struct nlmsghdr *message,
			  size_t left, int32_t from)
{
	for (; NLMSG_OK(message, left); message = NLMSG_NEXT(message, left)) {
		if (message->nlmsg_type != RTM_DELNSID && message->nlmsg_type != RTM_NEWNSID)
			ops->changed(ops->context, from);
		else if (message->nlmsg_type == RTM_DELNSID && from == NSID_OWN)
			ops->ended(ops->context, nsid_of(message));
	}
}

int changes_read(int fd, const struct changes_ops *ops)
{
	_Alignas(struct nlmsghdr) char buffer[16384]; /* cut off: the head says what it is about */
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int32_t))];

	for (;;) {
		struct iovec part = { buffer, sizeof(buffer) };
		struct msghdr header = { .msg_iov = &part,
					 .msg_iovlen = 1,
					 .msg_control = control,
					 .msg_controllen = sizeof(control) };
		ssize_t size = recvmsg(fd, &header, MSG_DONTWAIT);

		if (size >= 0)
			datagram_take(ops, (const struct nlmsghdr *)buffer, (size_t)size,
				      nsid_from(&header));
		else if (errno == EAGAIN)
			return 0;
		else if (errno == ENOBUFS)
			ops->overrun(ops->context);
		else if (errno != EINTR)
			return -errno;
	}
}

struct nsid_request {
	struct nlmsghdr head;
	struct rtgenmsg info;
	_Alignas(NLMSG_ALIGNTO) struct {
		struct rtattr head;
		uint32_t value;
	} fd, nsid;
};

/* Sends the request; its answer is an id, or an acknowledgment: *ret_nsid is then left alone. */
static int nsid_ask(int netlink, struct nsid_request *request, int32_t *ret_nsid)
{
	_Alignas(struct nlmsghdr) char buffer[4096];
	const struct nlmsghdr *answer = (const struct nlmsghdr *)buffer;
	ssize_t size;

	if (send(netlink, request, request->head.nlmsg_len, 0) < 0)
		return -errno;
	do
		size = recv(netlink, buffer, sizeof(buffer), 0);
	while (size < 0 && errno == EINTR);
	if (size < 0)
		return -errno;
	if (!NLMSG_OK(answer, (size_t)size))
		return -EPROTO;
	if (answer->nlmsg_type == NLMSG_ERROR)
		return ((const struct nlmsgerr *)NLMSG_DATA(answer))->error;
	*ret_nsid = nsid_of(answer);
	return 0;
}

int changes_nsid(int netns_fd, int32_t *ret_nsid)
{
	struct nsid_request request = {
		.head = { .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK },
		.fd = { { sizeof(request.fd), NETNSA_FD }, (uint32_t)netns_fd },
		.nsid = { { sizeof(request.nsid), NETNSA_NSID }, UINT32_MAX }, /* any */
	};
	int32_t nsid = NSID_OWN;
	int netlink, err;

	err = netlink_open(&netlink);
	if (err)
		return err;
	request.head.nlmsg_len = sizeof(request);
	request.head.nlmsg_type = RTM_NEWNSID;
	err = nsid_ask(netlink, &request, &nsid);
	if (!err || err == -EEXIST) {
		request.head.nlmsg_len = offsetof(struct nsid_request, nsid);
		request.head.nlmsg_type = RTM_GETNSID;
		request.head.nlmsg_flags = NLM_F_REQUEST;
		err = nsid_ask(netlink, &request, &nsid);
	}
	close(netlink);
	if (!err && nsid == NSID_OWN)
		err = -ENODEV;
	if (!err)
		*ret_nsid = nsid;
	return err;
}
