/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The attach ladder: which hook of an interface a program goes to, and what to try next when that
 * is taken or not there. A foreign program is never replaced. XDP and tcx hooks are links owned by
 * this process and vanish with it. The clsact fallback is not: its filters carry a handle of our
 * own, and are removed on detach, by the next start, or by attach_cleanup. One network namespace
 * has at most one tcpwitness on clsact: it holds an abstract socket's name as long as it lives,
 * which tells its filters from leftovers. In a namespace other than its own it cannot, for a socket
 * would keep the namespace alive; there it only makes sure that nobody else holds the name.
 */
#ifndef TCPWITNESS_ATTACH_H
#define TCPWITNESS_ATTACH_H

#include <stdbool.h>
#include <stdint.h>

#include "capture/interfaces.h"
#include "settings.h"

#define HOOK_MODES(X)                                                                              \
	X(NONE, "none")                                                                            \
	X(XDP_NATIVE, "xdp_native")                                                                \
	X(XDP_GENERIC, "xdp_generic")                                                              \
	X(TCX, "tcx")                                                                              \
	X(CLSACT, "clsact")

enum hook_mode {
#define X(name, label) MODE_##name,
	HOOK_MODES(X)
#undef X
	MODE_NR
};

const char *hook_mode_name(enum hook_mode mode);

/* Program fds, the caller's. _eth: frames with an Ethernet header; _ip: bare IP packets. */
struct attach_programs {
	int xdp_ingress;
	int tc_ingress_eth, tc_ingress_ip;
	int tc_egress_eth, tc_egress_ip;
};

enum attach_direction {
	ATTACH_INGRESS,
	ATTACH_EGRESS,
	ATTACH_DIRECTIONS,
};

/* What hangs on one interface. Zero-initialise; detach before it goes. */
struct attachment {
	struct {
		enum hook_mode mode; /* MODE_NONE: nothing */
		int link_fd;
	} hooks[ATTACH_DIRECTIONS];
	bool bare_ip;	   /* the _ip programs hang there */
	bool owns_qdisc;   /* the clsact qdisc was made by us */
	bool is_elsewhere; /* not in our own network namespace */
	uint32_t ifindex;
};

struct attacher;

/* *programs is copied, the fds are not. NULL: no memory. */
struct attacher *attacher_new(const struct attach_programs *programs, enum capture_mode mode);
void attacher_free(struct attacher *attacher);

/* Both directions, of an interface in the network namespace that the thread is in; `where`: its
 * name for the log, "" for our own. 0, or -errno of the last rung tried, logged; then nothing is
 * attached. -ENODEV, not logged: it has gone in the meantime. */
int attacher_attach(struct attacher *attacher, const struct interface *interface, const char *where,
		    struct attachment *ret_attachment);
void attacher_detach(struct attachment *attachment);

/* False: somebody detached our programs, or the interface under them is another one by now. The
 * thread is in the interface's namespace. */
bool attachment_is_live(const struct attachment *attachment);

/* Its interface has gone with its namespace: nothing is left to be taken down there. */
void attachment_abandon(struct attachment *attachment);

/* Removes what a crashed tcpwitness left on clsact in this namespace; *ret_removed filters.
 * -EBUSY: a living one uses clsact, so nothing was touched. 0 or -errno. */
int attach_cleanup(unsigned int *ret_removed);

/* Does this kernel have tcx? Asked by linking a tc program to an interface that cannot be. */
bool attach_has_tcx(int tc_program_fd);

#endif
