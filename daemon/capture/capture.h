/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: capture, the stage's face
 *
 * Everything between the kernel and the tracker: the BPF programs are loaded and hooked to the
 * interfaces that carry local addresses (loader.h, attach.h, interfaces.h), the per-CPU rings and
 * the iterator's seeds are merged into one order of time (merge.h), and each raw record is handed
 * to a sink. The order of use:
 *
 *	capture_new	opens and loads; nothing is attached yet
 *	capture_start	attaches, then asks for the first sweep (attach first, iterate after:
 *			so no socket falls between the two)
 *	capture_drain	whenever capture_fd() is readable, and every 20..100 ms while records come
 *	capture_free	detaches everything
 *
 * Records come out with the time of the kernel's clock (CLOCK_MONOTONIC), oldest first, up to
 * now - slack; the rest waits in the rings for the next drain. Losses, sweeps and the sockets
 * found by them are records in the same stream. One thread owns all of it.
 */
#ifndef TCPWITNESS_CAPTURE_H
#define TCPWITNESS_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capture/capture_stats.h"
#include "capture/decode.h"
#include "capture/kernel_facts.h"
#include "capture/listener_maps.h"
#include "capture/merge.h"
#include "settings.h"

/* Where a record came from: enum rec_ring, or this for those that passed through no ring. */
#define CAPTURE_RING_NONE RING_NR

/*
 * Takes 1 to MERGE_BATCH records, oldest first, which are gone when it returns. Of each it says 0
 * when it was decoded, else 1 + enum reject_reason: that is what capture_stats counts.
 */
typedef void (*capture_sink)(void *context, const struct merged_record *records, size_t count,
			     uint8_t *ret_verdicts);

struct capture;

/* 0 or -errno; the reason was logged in one line. *settings must outlive the capture. */
int capture_new(const struct settings *settings, struct capture **ret_capture);
int capture_start(struct capture *capture);
void capture_free(struct capture *capture);

/* Readable when a ring passed its mark, the record that was waited for came, or an interface
 * changed. Watch for EPOLLIN. */
int capture_fd(const struct capture *capture);

/* Before a sleep: shall the next record make capture_fd() readable, however empty the rings? False
 * where it was to, and one is there already. One that comes in the same instant may be missed. */
bool capture_want_wake(const struct capture *capture, bool wanted);

/*
 * Hands over what is older than now_ns - slack; with `flush` everything that has been recorded.
 * Also follows interface changes, notices losses and continues a sweep. 0 or -errno.
 */
int capture_drain(struct capture *capture, uint64_t now_ns, bool flush, capture_sink sink,
		  void *context);

/* How full the fullest ring was at the last drain, in parts of RING_FULL (ring.h). */
unsigned int capture_fill(const struct capture *capture);

/* Is something under way that goes on at each drain: a sweep, a flood, new namespaces? */
bool capture_is_busy(const struct capture *capture, uint64_t now_ns);

/*
 * A fresh look at key's socket: a REC_LOOK, state 0 = no socket. `ifindex`: where its segments
 * arrive, 0 = anywhere; a socket that is bound to an interface is found there only. 0 or -errno.
 */
int capture_look(struct capture *capture, const struct conn_key *key, uint32_t ifindex,
		 struct rec_socket *ret_look);

/* Asks for a sweep of the socket tables, begun at the next drain. One at a time. */
void capture_sweep(struct capture *capture);

/* Fills *stats whole; reads the per-CPU counters. 0 or -errno. */
int capture_stats(struct capture *capture, struct capture_stats *stats);

/* Counters of the listening sockets; the maps stay the capture's. */
const struct listener_maps *capture_listeners(const struct capture *capture);

/* The inode numbers of the watched namespaces. Returns how many were written. */
size_t capture_spaces(const struct capture *capture, uint32_t *ret_netns, size_t max);

/* Calls `visit` with the thread inside a watched namespace. 0 or -errno: it may have ended. */
int capture_inside(const struct capture *capture, uint32_t netns, void (*visit)(void *context),
		   void *context);

/* The sampling shift of the flows of a listening address, now. */
uint32_t capture_sampling_shift(const struct capture *capture, const struct conn_key *listener);

/* Records of one family lost so far, as told in the stream. */
uint64_t capture_lost(const struct capture *capture, enum rec_ring family);

/* How many sites are sampled now (sampling.h). */
uint32_t capture_sampled(const struct capture *capture);

/* Inode number of the watched network namespace. */
uint32_t capture_netns(const struct capture *capture);

/* Names of the running kernel's drop reasons, owned by the capture. */
const struct drop_reasons *capture_drop_reasons(const struct capture *capture);

#endif
