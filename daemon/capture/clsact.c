/* SPDX-License-Identifier: GPL-2.0-only */
/* Filters on the clsact qdisc, found again by their handles and program names. */
#include "capture/clsact.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "capture/netlink.h"

/* The handle says whose the filter is, and whether the qdisc came with it: a crash forgets. */
#define HANDLE_GUEST 0x74770001u
#define HANDLE_OWNER 0x74770003u
/* Before other filters: one that drops or redirects ends the walk. */
#define PRIORITY 1

#define LOCK_NAME "\0tcpwitness-clsact"

/* All our tc programs begin so, in the 15 characters the kernel keeps. */
static const char *const program_names[] = { "tc_ingress_", "tc_egress_" };

struct filter {
	uint32_t handle, priority;
	bool ours;
};

/* A walk over the filters of one direction. */
struct walk {
	uint32_t ifindex;
	struct filter found[16]; /* our own: at most one, but a crash may have left others */
	unsigned int nr_ours, nr_foreign;
};

static bool is_our_program(const struct rtattr *name)
{
	for (size_t i = 0; name && i < sizeof(program_names) / sizeof(program_names[0]); i++)
		if (RTA_PAYLOAD(name) > strlen(program_names[i]) &&
		    !strncmp(RTA_DATA(name), program_names[i], strlen(program_names[i])))
			return true;
	return false;
}

static void filter_add(void *context, const struct nlmsghdr *message)
{
	const struct tcmsg *info = NLMSG_DATA(message);
	const struct rtattr *attributes[TCA_OPTIONS + 1], *options[TCA_BPF_NAME + 1];
	struct walk *walk = context;
	bool ours;

	/* Without a handle it is the priority's head, not a filter. */
	if (message->nlmsg_type != RTM_NEWTFILTER || info->tcm_handle == 0 ||
	    (uint32_t)info->tcm_ifindex != walk->ifindex)
		return;
	netlink_attributes(message, sizeof(*info), attributes, TCA_OPTIONS);
	ours = (info->tcm_handle == HANDLE_GUEST || info->tcm_handle == HANDLE_OWNER) &&
	       attributes[TCA_KIND] && !strcmp(RTA_DATA(attributes[TCA_KIND]), "bpf") &&
	       attributes[TCA_OPTIONS];
	if (ours) {
		netlink_nested(attributes[TCA_OPTIONS], options, TCA_BPF_NAME);
		ours = is_our_program(options[TCA_BPF_NAME]);
	}
	if (!ours) {
		walk->nr_foreign++;
	} else if (walk->nr_ours < sizeof(walk->found) / sizeof(walk->found[0])) {
		walk->found[walk->nr_ours].handle = info->tcm_handle;
		walk->found[walk->nr_ours++].priority = info->tcm_info >> 16;
	}
}

static int walk_filters(uint32_t ifindex, bool egress, struct walk *walk)
{
	struct {
		struct nlmsghdr head;
		struct tcmsg info;
	} request = {
		.head = { .nlmsg_len = sizeof(request), .nlmsg_type = RTM_GETTFILTER },
		.info = { .tcm_ifindex = (int)ifindex,
			  .tcm_parent = TC_H_MAKE(TC_H_CLSACT,
						  egress ? TC_H_MIN_EGRESS : TC_H_MIN_INGRESS) },
	};
	int fd, err;

	memset(walk, 0, sizeof(*walk));
	walk->ifindex = ifindex;
	err = netlink_open(&fd);
	if (err)
		return err;
	err = netlink_dump(fd, &request.head, filter_add, walk);
	close(fd);
	return err;
}

int clsact_attach(uint32_t ifindex, bool egress, int program_fd, bool *owns_qdisc)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex,
		    .attach_point = egress ? BPF_TC_EGRESS : BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = program_fd, .priority = PRIORITY);
	int err = bpf_tc_hook_create(&hook);

	if (err && err != -EEXIST)
		return err;
	if (!err)
		*owns_qdisc = true;
	opts.handle = *owns_qdisc ? HANDLE_OWNER : HANDLE_GUEST;
	err = bpf_tc_attach(&hook, &opts);
	if (!err || err == -EEXIST)
		return err;
	/* A filter of another kind sits at that priority: let the kernel choose one. */
	opts.priority = 0;
	opts.prog_id = 0;
	return bpf_tc_attach(&hook, &opts);
}

int clsact_detach(uint32_t ifindex, bool egress)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex,
		    .attach_point = egress ? BPF_TC_EGRESS : BPF_TC_INGRESS);
	struct walk walk;
	int err = walk_filters(ifindex, egress, &walk);

	for (unsigned int i = 0; !err && i < walk.nr_ours; i++) {
		LIBBPF_OPTS(bpf_tc_opts, opts, .handle = walk.found[i].handle,
			    .priority = walk.found[i].priority);

		err = bpf_tc_detach(&hook, &opts);
	}
	return err ? err : (int)walk.nr_ours;
}

bool clsact_is_attached(uint32_t ifindex, bool egress)
{
	struct walk walk;

	return !walk_filters(ifindex, egress, &walk) && walk.nr_ours > 0;
}

void clsact_qdisc_remove(uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex,
		    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	struct walk ingress, egress;

	if (walk_filters(ifindex, false, &ingress) || walk_filters(ifindex, true, &egress))
		return;
	if (!ingress.nr_foreign && !egress.nr_foreign && !ingress.nr_ours && !egress.nr_ours)
		bpf_tc_hook_destroy(&hook);
}

struct qdiscs {
	uint32_t *ifindexes;
	size_t count;
	int err;
};

static void qdisc_add(void *context, const struct nlmsghdr *message)
{
	const struct tcmsg *info = NLMSG_DATA(message);
	const struct rtattr *attributes[TCA_KIND + 1];
	struct qdiscs *qdiscs = context;
	uint32_t *grown;

	if (message->nlmsg_type != RTM_NEWQDISC)
		return;
	netlink_attributes(message, sizeof(*info), attributes, TCA_KIND);
	if (!attributes[TCA_KIND] || strcmp(RTA_DATA(attributes[TCA_KIND]), "clsact"))
		return;
	grown = reallocarray(qdiscs->ifindexes, qdiscs->count + 1, sizeof(*grown));
	if (!grown) {
		qdiscs->err = -ENOMEM;
		return;
	}
	qdiscs->ifindexes = grown;
	grown[qdiscs->count++] = (uint32_t)info->tcm_ifindex;
}

static int qdiscs_find(struct qdiscs *qdiscs)
{
	struct {
		struct nlmsghdr head;
		struct tcmsg info;
	} request = {
		.head = { .nlmsg_len = sizeof(request), .nlmsg_type = RTM_GETQDISC },
	};
	int fd;
	int err = netlink_open(&fd);

	if (err)
		return err;
	err = netlink_dump(fd, &request.head, qdisc_add, qdiscs);
	close(fd);
	return err ? err : qdiscs->err;
}

static bool says_owner(const struct walk *walk)
{
	for (unsigned int i = 0; i < walk->nr_ours; i++)
		if (walk->found[i].handle == HANDLE_OWNER)
			return true;
	return false;
}

static int interface_sweep(uint32_t ifindex, unsigned int *removed)
{
	bool owner = false;

	for (int egress = 0; egress <= 1; egress++) {
		struct walk walk;
		int err = walk_filters(ifindex, egress, &walk);

		if (!err)
			err = clsact_detach(ifindex, egress);
		if (err < 0)
			return err;
		owner = owner || says_owner(&walk);
		*removed += walk.nr_ours;
	}
	if (owner)
		clsact_qdisc_remove(ifindex);
	return 0;
}

int clsact_sweep(unsigned int *ret_removed)
{
	struct qdiscs qdiscs = { 0 };
	unsigned int removed = 0;
	int err = qdiscs_find(&qdiscs);

	for (size_t i = 0; !err && i < qdiscs.count; i++)
		err = interface_sweep(qdiscs.ifindexes[i], &removed);
	free(qdiscs.ifindexes);
	if (!err)
		*ret_removed = removed;
	return err;
}

int clsact_lock(int *ret_fd)
{
	/* Abstract names are per network namespace and die with their socket: unix(7). */
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = LOCK_NAME };
	socklen_t size =
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + sizeof(LOCK_NAME) - 1);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&address, size)) {
		err = errno == EADDRINUSE ? -EBUSY : -errno;
		close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}
