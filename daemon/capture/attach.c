/* SPDX-License-Identifier: GPL-2.0-only */
/* Climbs down the ladder of hooks until one takes the program. */
#include "capture/attach.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <limits.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture/clsact.h"
#include "log.h"

/* linux include/uapi/linux/bpf.h of 6.6, newer than the headers of Debian 12. */
#define ATTACH_TYPE_TCX_INGRESS 46
#define ATTACH_TYPE_TCX_EGRESS 47
#ifndef BPF_F_BEFORE
#define BPF_F_BEFORE (1u << 3)
#endif

#define RUNGS_MAX 4

/* The name of a namespace in front of an interface's. */
#define PREFIX_BYTES 80

/* Hooks in the order they are tried, by what --capture.mode asks. MODE_NONE ends the list. */
static const enum hook_mode ingress_ladder[CAPTURE_NR][RUNGS_MAX] = {
	[CAPTURE_AUTO] = { MODE_XDP_NATIVE, MODE_TCX, MODE_CLSACT },
	[CAPTURE_XDP] = { MODE_XDP_NATIVE, MODE_TCX, MODE_CLSACT },
	[CAPTURE_XDP_GENERIC] = { MODE_XDP_GENERIC, MODE_TCX, MODE_CLSACT },
	[CAPTURE_TCX] = { MODE_TCX, MODE_CLSACT },
	[CAPTURE_CLSACT] = { MODE_CLSACT },
};

/* A bare XDP_PASS takes more than half of a veth's bulk throughput, for GRO is lost (DESIGN §3);
 * the other virtual devices have no native XDP, or a lower device that saw the segment already. */
static const enum hook_mode virtual_ladder[RUNGS_MAX] = { MODE_TCX, MODE_CLSACT };

static const enum hook_mode egress_ladder[CAPTURE_NR][RUNGS_MAX] = {
	[CAPTURE_AUTO] = { MODE_TCX, MODE_CLSACT },
	[CAPTURE_XDP] = { MODE_TCX, MODE_CLSACT },
	[CAPTURE_XDP_GENERIC] = { MODE_TCX, MODE_CLSACT },
	[CAPTURE_TCX] = { MODE_TCX, MODE_CLSACT },
	[CAPTURE_CLSACT] = { MODE_CLSACT },
};

struct attacher {
	struct attach_programs programs;
	enum capture_mode mode;
	int clsact_lock; /* -1 until clsact is used */
};

const char *hook_mode_name(enum hook_mode mode)
{
	static const char *const names[] = {
#define X(name, label) [MODE_##name] = label,
		HOOK_MODES(X)
#undef X
	};

	return names[mode];
}

struct attacher *attacher_new(const struct attach_programs *programs, enum capture_mode mode)
{
	struct attacher *attacher = calloc(1, sizeof(*attacher));

	if (!attacher)
		return NULL;
	attacher->programs = *programs;
	attacher->mode = mode;
	attacher->clsact_lock = -1;
	return attacher;
}

void attacher_free(struct attacher *attacher)
{
	if (!attacher)
		return;
	if (attacher->clsact_lock >= 0)
		close(attacher->clsact_lock);
	free(attacher);
}

static bool has_ethernet_header(uint16_t arphrd)
{
	return arphrd == ARPHRD_ETHER || arphrd == ARPHRD_LOOPBACK;
}

static bool is_bare_ip(uint16_t arphrd)
{
	switch (arphrd) {
	case ARPHRD_NONE: /* tun, wireguard */
	case ARPHRD_RAWIP:
	case ARPHRD_PPP:
	case ARPHRD_TUNNEL:
	case ARPHRD_TUNNEL6:
	case ARPHRD_SIT:
	case ARPHRD_IPGRE:
	case ARPHRD_IP6GRE:
		return true;
	default:
		return false;
	}
}

static int program_of(const struct attacher *attacher, enum attach_direction direction,
		      bool bare_ip)
{
	const struct attach_programs *programs = &attacher->programs;

	if (direction == ATTACH_INGRESS)
		return bare_ip ? programs->tc_ingress_ip : programs->tc_ingress_eth;
	return bare_ip ? programs->tc_egress_ip : programs->tc_egress_eth;
}

/* The fd of the link, or -errno. */
static int link_xdp(const struct attacher *attacher, uint32_t ifindex, uint32_t flags)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = flags);
	int fd = bpf_link_create(attacher->programs.xdp_ingress, (int)ifindex, BPF_XDP, &opts);

	return fd < 0 ? -errno : fd;
}

static int link_tcx(int program, uint32_t ifindex, enum attach_direction direction)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = BPF_F_BEFORE);
	unsigned int type = direction == ATTACH_INGRESS ? ATTACH_TYPE_TCX_INGRESS :
							  ATTACH_TYPE_TCX_EGRESS;
	int fd = bpf_link_create(program, (int)ifindex, (enum bpf_attach_type)type, &opts);

	return fd < 0 ? -errno : fd;
}

static int use_clsact(struct attacher *attacher, struct attachment *attachment,
		      enum attach_direction direction, int program)
{
	int lock, err = 0;

	if (attachment->is_elsewhere) {
		err = clsact_lock(&lock);
		if (!err)
			close(lock);
	} else if (attacher->clsact_lock < 0) {
		err = clsact_lock(&attacher->clsact_lock);
	}
	if (err)
		return err;
	return clsact_attach(attachment->ifindex, direction == ATTACH_EGRESS, program,
			     &attachment->owns_qdisc);
}

static int rung_try(struct attacher *attacher, struct attachment *attachment,
		    enum attach_direction direction, enum hook_mode mode)
{
	int program = program_of(attacher, direction, attachment->bare_ip);
	int ret = -EOPNOTSUPP;

	if (mode == MODE_CLSACT)
		ret = use_clsact(attacher, attachment, direction, program);
	else if (mode == MODE_TCX)
		ret = link_tcx(program, attachment->ifindex, direction);
	else if (!attachment->bare_ip) /* the XDP program wants an Ethernet header */
		ret = link_xdp(attacher, attachment->ifindex,
			       mode == MODE_XDP_NATIVE ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE);
	if (ret < 0)
		return ret;
	attachment->hooks[direction].mode = mode;
	attachment->hooks[direction].link_fd = mode == MODE_CLSACT ? -1 : ret;
	return 0;
}

static const char *why(enum hook_mode mode, int err)
{
	if (mode == MODE_CLSACT && err == -EBUSY)
		return "another tcpwitness uses clsact in this network namespace";
	switch (-err) {
	case EBUSY:
	case EEXIST:
		return "another program is attached there, and stays";
	case EPERM:
		return "not permitted: need CAP_NET_ADMIN and CAP_BPF";
	case EOPNOTSUPP:
	case EINVAL:
		return "not supported by this device or kernel";
	default:
		return strerror(-err);
	}
}

static int climb(struct attacher *attacher, const struct interface *interface, const char *where,
		 struct attachment *attachment, enum attach_direction direction)
{
	const char *side = direction == ATTACH_INGRESS ? "ingress" : "egress";
	const enum hook_mode *ladder = direction == ATTACH_INGRESS ?
					       ingress_ladder[attacher->mode] :
					       egress_ladder[attacher->mode];
	/* What was asked for and refused is a warning; what was merely tried is news. */
	enum log_level level = attacher->mode == CAPTURE_AUTO ? LOG_LEVEL_INFO : LOG_LEVEL_WARN;
	int err = -EOPNOTSUPP;

	if (direction == ATTACH_INGRESS && attacher->mode == CAPTURE_AUTO && interface->is_virtual)
		ladder = virtual_ladder;
	for (int rung = 0; rung < RUNGS_MAX && ladder[rung] != MODE_NONE; rung++) {
		err = rung_try(attacher, attachment, direction, ladder[rung]);
		if (!err || err == -ENODEV)
			return err;
		log_write(level, "%s%s: %s not by %s: %s", where, interface->name, side,
			  hook_mode_name(ladder[rung]), why(ladder[rung], err));
	}
	return err;
}

int attacher_attach(struct attacher *attacher, const struct interface *interface, const char *where,
		    struct attachment *ret_attachment)
{
	struct attachment attachment = { .ifindex = interface->ifindex, .is_elsewhere = where[0] };
	char prefix[PREFIX_BYTES];
	int err;

	snprintf(prefix, sizeof(prefix), "%s%s", where, where[0] ? " " : "");
	attachment.bare_ip = is_bare_ip(interface->arphrd);
	if (!attachment.bare_ip && !has_ethernet_header(interface->arphrd)) {
		log_warn("%s%s: not watched: link type %u carries neither Ethernet nor bare IP",
			 prefix, interface->name, interface->arphrd);
		return -EOPNOTSUPP;
	}
	err = climb(attacher, interface, prefix, &attachment, ATTACH_INGRESS);
	if (!err)
		err = climb(attacher, interface, prefix, &attachment, ATTACH_EGRESS);
	if (err) {
		if (err != -ENODEV)
			log_err("%s%s: not watched: no hook takes the programs", prefix,
				interface->name);
		attacher_detach(&attachment);
		return err;
	}
	log_info("%s%s: ingress by %s, egress by %s", prefix, interface->name,
		 hook_mode_name(attachment.hooks[ATTACH_INGRESS].mode),
		 hook_mode_name(attachment.hooks[ATTACH_EGRESS].mode));
	*ret_attachment = attachment;
	return 0;
}

static bool link_is_live(int fd, uint32_t ifindex)
{
	/* xdp.ifindex and tcx.ifindex lie in the same place; 0 once the device has gone. */
	struct bpf_link_info info = { 0 };
	__u32 size = sizeof(info);

	return !bpf_obj_get_info_by_fd(fd, &info, &size) && info.xdp.ifindex == ifindex;
}

bool attachment_is_live(const struct attachment *attachment)
{
	for (int direction = 0; direction < ATTACH_DIRECTIONS; direction++) {
		enum hook_mode mode = attachment->hooks[direction].mode;

		if (mode == MODE_CLSACT &&
		    !clsact_is_attached(attachment->ifindex, direction == ATTACH_EGRESS))
			return false;
		if (mode != MODE_NONE && mode != MODE_CLSACT &&
		    !link_is_live(attachment->hooks[direction].link_fd, attachment->ifindex))
			return false;
	}
	return true;
}

void attachment_abandon(struct attachment *attachment)
{
	for (int direction = 0; direction < ATTACH_DIRECTIONS; direction++)
		if (attachment->hooks[direction].mode == MODE_CLSACT)
			attachment->hooks[direction].mode = MODE_NONE;
	attachment->owns_qdisc = false;
}

void attacher_detach(struct attachment *attachment)
{
	for (int direction = 0; direction < ATTACH_DIRECTIONS; direction++) {
		enum hook_mode mode = attachment->hooks[direction].mode;

		if (mode == MODE_CLSACT)
			clsact_detach(attachment->ifindex, direction == ATTACH_EGRESS);
		else if (mode != MODE_NONE)
			close(attachment->hooks[direction].link_fd);
		attachment->hooks[direction].mode = MODE_NONE;
	}
	if (attachment->owns_qdisc)
		clsact_qdisc_remove(attachment->ifindex);
	attachment->owns_qdisc = false;
}

int attach_cleanup(unsigned int *ret_removed)
{
	int lock, err;

	err = clsact_lock(&lock);
	if (err)
		return err;
	err = clsact_sweep(ret_removed);
	close(lock);
	return err;
}

bool attach_has_tcx(int tc_program_fd)
{
	int fd = link_tcx(tc_program_fd, INT_MAX, ATTACH_INGRESS);

	if (fd >= 0)
		close(fd);
	return fd != -EINVAL; /* ENODEV: the type is known, the interface is not */
}
