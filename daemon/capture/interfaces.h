/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which interfaces of a network namespace to watch, and which addresses are its own. An interface
 * is wanted while it carries a local address, or is named by --device; never when it is excluded.
 * A notification (changes.h) only says "look again": the tables are read whole and compared with
 * what was known, so a lost one costs nothing but time.
 */
#ifndef TCPWITNESS_INTERFACES_H
#define TCPWITNESS_INTERFACES_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "settings.h"

struct interface {
	uint32_t ifindex;
	char name[IF_NAMESIZE];
	uint16_t arphrd; /* ARPHRD_*: is there an Ethernet header? */
	bool is_virtual; /* made by a driver of the kernel's (IFLA_INFO_KIND), or loopback */
};

/* IPv4 is v4-mapped: 96 bits more. */
struct local_prefix {
	uint32_t bits;
	uint8_t address[16];
};

struct interfaces_ops {
	void *context;
	void (*appeared)(void *context, const struct interface *interface);
	void (*gone)(void *context, const struct interface *interface);
	void (*renamed)(void *context, const struct interface *interface); /* to its present name */
	void (*prefix)(void *context, const struct local_prefix *prefix, bool added);
};

struct interfaces;

/* The lists are not copied, *ops is. No callback yet. 0 or -errno, logged. */
int interfaces_new(const struct settings_list *only, const struct settings_list *excluded,
		   const struct interfaces_ops *ops, struct interfaces **ret_interfaces);
void interfaces_free(struct interfaces *interfaces);

/*
 * Reads what is there, in the network namespace that the calling thread is in, and reports what is
 * different from before. Keeps nothing open there. 0 or -errno, logged; interfaces_start, the first
 * reading: -ENODEV when a device named in `only` is not there.
 */
int interfaces_start(struct interfaces *interfaces);
int interfaces_refresh(struct interfaces *interfaces);

/* Reports all of it as gone. */
void interfaces_forget(struct interfaces *interfaces);

#endif
