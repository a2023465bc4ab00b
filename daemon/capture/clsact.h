/* SPDX-License-Identifier: GPL-2.0-only */
/* The clsact fallback: filters that outlive the process, and how ours are known again. */
#ifndef TCPWITNESS_CLSACT_H
#define TCPWITNESS_CLSACT_H

#include <stdbool.h>
#include <stdint.h>

/* Adds our filter; makes the qdisc where there is none and then sets *owns_qdisc, which is left
 * alone otherwise. 0 or -errno. */
int clsact_attach(uint32_t ifindex, bool egress, int program_fd, bool *owns_qdisc);

/* Removes our filters of one direction from an interface. Returns how many, or -errno. */
int clsact_detach(uint32_t ifindex, bool egress);

/* Does a filter of ours hang there? */
bool clsact_is_attached(uint32_t ifindex, bool egress);

/* Removes the qdisc, unless somebody else's filters live in it by now. */
void clsact_qdisc_remove(uint32_t ifindex);

/* Removes our filters from every interface, and the qdiscs they say we made. 0 or -errno. */
int clsact_sweep(unsigned int *ret_removed);

/* The name only one living process of a network namespace can hold. 0, -EBUSY or -errno. */
int clsact_lock(int *ret_fd);

#endif
