/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The watched interfaces of all namespaces: what hangs on each, and its slot of counters. A slot is
 * never set to zero; who gets one that was used before counts from where it stood, so that sums
 * over all slots never go back.
 */
#ifndef TCPWITNESS_TAPS_H
#define TCPWITNESS_TAPS_H

#include "capture/capture_stats.h"
#include "capture/loader.h"
#include "capture/namespaces.h"

struct taps;

/* The loader must outlive them. NULL: no memory. */
struct taps *taps_new(const struct loader *loader, enum capture_mode mode);
/* Each namespace's taps must have been closed, or the namespace be gone. */
void taps_free(struct taps *taps);

/*
 * The kernel takes 10 to 16 ms to attach one program (linux kernel/bpf/tcx.c waits for a grace
 * period), and while it does nobody reads the rings. So an interface is only noted here, and
 * attached when its turn comes: one at each call, from outside. True: more wait.
 */
bool taps_attach_next(struct taps *taps);

/* The thread is inside of `space` for all of these, but for taps_drop. */
void taps_open(struct taps *taps, const struct space *space, const struct interface *interface);
void taps_rename(struct taps *taps, const struct space *space, const struct interface *interface);
void taps_close(struct taps *taps, const struct space *space, const struct interface *interface);
/* Attaches again what somebody or something has detached. */
void taps_check(struct taps *taps, const struct space *space);
void taps_close_all(struct taps *taps, const struct space *space);
/* The namespace has ended, and what hung there with it. */
void taps_drop(struct taps *taps, const struct space *space);

uint32_t taps_count(const struct taps *taps);
int taps_last_error(const struct taps *taps); /* of an interface that could not be attached */

/* Rows and sums; *stats has room for INTERFACES_MAX interfaces. 0 or -errno. */
int taps_stats(const struct taps *taps, struct capture_stats *stats);

#endif
