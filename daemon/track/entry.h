/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One line of a connection's story: what was observed or concluded, what it did to the reference,
 * and where both views stood afterwards. 64 bytes, so that many can be kept; only the lines that
 * begin and end a life carry the tuple, the others its number. Reasons live as long as the names
 * that tracker_ops.drop_reason gives.
 */
#ifndef TCPWITNESS_ENTRY_H
#define TCPWITNESS_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "capture/decode.h"

#define TRACK_ENTRY_KINDS(X)                                                                       \
	X(BEGAN, "began")		      /* the tracker knows the connection from here on */  \
	X(SEGMENT, "segment")		      /* on the wire */                                    \
	X(KERNEL, "kernel")		      /* the socket changed its state (tracepoint) */      \
	X(LOOK, "look")			      /* a lookup or a sweep found another state */        \
	X(DROP, "drop")			      /* the kernel dropped a segment */                   \
	X(TIMER, "timer")		      /* the reference's own: 2 MSL is over */             \
	X(DIVERGENCE_OPEN, "divergence_open") /* the views differ, and why */                      \
	X(DIVERGENCE_CLOSE, "divergence_close")                                                    \
	X(EVIDENCE, "evidence") /* what the divergence that opened before it rests on */           \
	X(GAVE_UP, "gave_up")	/* unobservable: the kernel's word is taken */                     \
	X(ENDED, "ended")	/* the tracker forgets the connection */

enum track_entry_kind {
#define X(name, label) ENTRY_##name,
	TRACK_ENTRY_KINDS(X)
#undef X
	ENTRY_NR
};

enum track_entry_flag {
	ENTRY_SENT = 0x01, /* the segment left this host */
	ENTRY_WIRE = 0x02, /* segments were seen: local_state and remote_state mean something */
	ENTRY_UNOBSERVABLE = 0x04, /* `why` holds */
};

/* fsm_step(from, event) gives the rest. */
struct track_step {
	uint8_t event; /* enum fsm_event */
	uint8_t from;  /* enum fsm_state */
};

#define TRACK_ENTRY_STEPS 12

struct track_entry {
	uint64_t ts_ns;	      /* CLOCK_MONOTONIC */
	uint32_t life;	      /* numbers connections, not tuples; never 0 */
	uint8_t kind;	      /* enum track_entry_kind */
	uint8_t flags;	      /* enum track_entry_flag */
	uint8_t local_state;  /* these four: afterwards */
	uint8_t remote_state; /* enum fsm_state */
	uint8_t kernel_state; /* enum kernel_state; 0 = nothing known */
	uint8_t kernel_substate;
	uint8_t role;		     /* enum connection_role, as far as known */
	uint8_t end;		     /* ENDED: enum connection_end */
	uint8_t why;		     /* enum unobservable_reason */
	uint8_t nr_local, nr_remote; /* steps of either end, the local one's first; 0 without */
	uint8_t reserved;
	union {
		struct conn_key key; /* BEGAN, ENDED */
		struct {
			const char *reason; /* the tracker's, or NULL */
			uint64_t since_ns, id;
			const char *drop_reason; /* OPEN: as in the evidence */
			uint8_t kind;		 /* enum divergence_kind */
			uint8_t explained_as;	 /* CLOSE: the same; DIVERGENCE_NR: it is over */
		} divergence;
		struct {
			struct rec_snapshot look; /* that confirmed it; state 0: found nothing */
			uint32_t repeats;	  /* as in struct divergence_evidence */
			bool has_look;
		} evidence;
		struct { /* all others: what happened, and what it did */
			union {
				struct {
					uint32_t seq, ack, len;
					uint16_t window;
					uint8_t tcp_flags;
				} segment;
				struct {
					const char *reason; /* the tracker's, or NULL */
					uint32_t seq;
					uint8_t tcp_flags;
				} drop;
				struct {
					uint16_t error;	  /* sk_err */
					uint8_t from, to; /* enum kernel_state */
					uint8_t bits;	  /* enum state_bit */
				} change;
			};
			struct track_step steps[TRACK_ENTRY_STEPS];
		};
	};
};

_Static_assert(sizeof(struct track_entry) == 64, "many are kept");

#endif
