/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's view of one socket, and which kernel states may stand beside which state of the
 * reference. Tracepoints tell full sockets' states; request sockets and TIME_WAIT minisockets
 * have none and are learnt from snapshots (KERNEL.md §1.1, §1.3). Pure.
 */
#ifndef TCPWITNESS_KVIEW_H
#define TCPWITNESS_KVIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "record.h"
#include "tcp/fsm.h"
#include "tcp_defs.h"

struct kview {
	uint64_t cookie;  /* of the socket; 0 = not known yet */
	uint8_t state;	  /* enum kernel_state; KS_NONE = nothing known, KS_CLOSE = gone */
	uint8_t substate; /* of TIME_WAIT: KS_FIN_WAIT2 or KS_TIME_WAIT */
	uint8_t cause;	  /* enum close_cause, once the socket closed */
	uint16_t error;	  /* sk_err then */
};

/*
 * State and substate after a tracepoint, →CLOSE classified: FIN_WAIT2 or CLOSING → CLOSE without
 * an error leaves a TIME_WAIT minisocket behind (KERNEL.md §1.3).
 */
void kview_after_change(const struct rec_state *change, uint8_t *ret_state, uint8_t *ret_substate);

/* The reference's name for a kernel state; CLOSED for "gone" and "nothing known". */
enum fsm_state kview_as_fsm(uint8_t state, uint8_t substate);

/* Which kernel state may stand beside which of the reference's, and why, as a table shows it. */
struct kview_pair {
	enum fsm_state wire, kernel; /* the kernel's by kview_as_fsm */
	const char *why;
};

/* NULL beyond the last one. Equal names stand first; why: how Linux represents the state. */
const struct kview_pair *kview_pair_at(size_t index);

/* May the kernel be in this state while the reference is in `wire`, for as long as it likes? */
bool kview_may_stand_beside(enum fsm_state wire, uint8_t state, uint8_t substate);

/* No socket of the connection's own: nothing known, closed, or only the listener there. */
bool kview_is_gone(uint8_t state);

/* How far a socket's life has come; it never goes back. 0 = gone. */
int kview_rank(uint8_t state);

const char *kernel_state_name(uint8_t state); /* "NEW_SYN_RECV"; "NONE" for 0 */

#endif
