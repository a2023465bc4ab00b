/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Why a socket closed, as data: →CLOSE classified by the state before it, sk_err, SOCK_DONE,
 * SOCK_DEAD, linger2 and the shutdown bits, as KERNEL.md §1.3 measured it. No kernel stack is
 * needed: what these leave open the wire and the listeners tell. Pure.
 */
#ifndef TCPWITNESS_CLOSES_H
#define TCPWITNESS_CLOSES_H

#include <stdint.h>

#include "record.h"
#include "track/verdicts.h"

/* What is known beside the event itself. */
enum close_context {
	CLOSE_RESET_SEEN = 0x01,      /* the peer's RST was seen, or nobody could have seen it */
	CLOSE_LISTENER_CLOSED = 0x02, /* its listener, right before */
};

/* `change` is one to KS_CLOSE; `context`: enum close_context. */
enum close_cause close_classify(const struct rec_state *change, uint8_t context);

/* What a cause amounts to by itself: END_UNKNOWN where the wire must tell. */
enum connection_end close_end(enum close_cause cause, uint8_t old_state);

#endif
