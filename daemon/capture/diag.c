/* SPDX-License-Identifier: GPL-2.0-only */
/* Listening sockets by sock_diag: see diag.h. */
#include "capture/diag.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "capture/netlink.h"
#include "tcp_defs.h"

/* A dump that was interrupted is asked for again, so often. */
#define DUMP_TRIES 3

struct dump {
	void (*each)(void *context, const struct diag_socket *socket);
	void *context;
};

static void take_address(const struct inet_diag_msg *message, uint8_t ret[16])
{
	if (message->idiag_family == AF_INET6) {
		memcpy(ret, message->id.idiag_src, 16);
		return;
	}
	memset(ret, 0, 10);
	memset(ret + 10, 0xff, 2);
	memcpy(ret + 12, message->id.idiag_src, 4);
}

static void take(void *context, const struct nlmsghdr *header)
{
	const struct dump *dump = context;
	const struct inet_diag_msg *message = NLMSG_DATA(header);
	const struct rtattr *attributes[INET_DIAG_CGROUP_ID + 1];
	struct diag_socket socket;

	if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
	    header->nlmsg_len < NLMSG_LENGTH(sizeof(*message)) || message->idiag_state != KS_LISTEN)
		return;
	netlink_attributes(header, sizeof(*message), attributes, INET_DIAG_CGROUP_ID);
	socket = (struct diag_socket){
		.cookie = (uint64_t)message->id.idiag_cookie[1] << 32 | message->id.idiag_cookie[0],
		.inode = message->idiag_inode,
		.accept_limit = message->idiag_wqueue,
		.local_port = ntohs(message->id.idiag_sport),
	};
	take_address(message, socket.local_address);
	if (attributes[INET_DIAG_CGROUP_ID] &&
	    RTA_PAYLOAD(attributes[INET_DIAG_CGROUP_ID]) == sizeof(socket.cgroup_id))
		memcpy(&socket.cgroup_id, RTA_DATA(attributes[INET_DIAG_CGROUP_ID]),
		       sizeof(socket.cgroup_id));
	dump->each(dump->context, &socket);
}

static int dump_family(int fd, uint8_t family, struct dump *dump)
{
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 diag;
	} request = {
		.header = { .nlmsg_len = sizeof(request), .nlmsg_type = SOCK_DIAG_BY_FAMILY },
		.diag = { .sdiag_family = family,
			  .sdiag_protocol = IPPROTO_TCP,
			  .idiag_states = 1u << KS_LISTEN },
	};
	int err = -EINTR;

	for (int tries = 0; err == -EINTR && tries < DUMP_TRIES; tries++)
		err = netlink_dump(fd, &request.header, take, dump);
	return err;
}

int diag_listening(void (*each)(void *context, const struct diag_socket *socket), void *context)
{
	struct dump dump = { each, context };
	int fd, err = netlink_open_family(NETLINK_SOCK_DIAG, &fd);

	if (err)
		return err;
	err = dump_family(fd, AF_INET, &dump);
	if (!err)
		err = dump_family(fd, AF_INET6, &dump);
	close(fd);
	return err == -ENOENT ? -EOPNOTSUPP : err;
}
