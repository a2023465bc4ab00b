/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which interfaces to watch, and which addresses are this host's. Follows rtnetlink: an interface
 * is wanted while it carries a local address, or is named by --device; never when it is excluded.
 * A notification only says "look again": the tables are read whole and compared with what was
 * known, so a lost one (ENOBUFS) costs nothing but time.
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

/* A key of the map `local_prefixes`: a BPF LPM trie key. IPv4 is v4-mapped: 96 bits more. */
struct local_prefix {
	uint32_t bits;
	uint8_t address[16];
};

struct interfaces_ops {
	void *context;
	void (*appeared)(void *context, const struct interface *interface);
	void (*gone)(void *context, const struct interface *interface);
	void (*prefix)(void *context, const struct local_prefix *prefix, bool added);
};

struct interfaces;

/* The lists are not copied, *ops is. No callback yet. 0 or -errno, logged. */
int interfaces_new(const struct settings_list *only, const struct settings_list *excluded,
		   const struct interfaces_ops *ops, struct interfaces **ret_interfaces);
void interfaces_free(struct interfaces *interfaces);

/* Reports what is there. -ENODEV, logged, when a device named in `only` is not. */
int interfaces_start(struct interfaces *interfaces);

/* Readable when interfaces_handle has something to do. */
int interfaces_fd(const struct interfaces *interfaces);
int interfaces_handle(struct interfaces *interfaces);

#endif
