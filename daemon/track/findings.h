/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is known of the few connections whose views differ, or that something odd happened to:
 * evidence, and what their divergence is about. Most connections have no finding most of the
 * time, so it lies beside them in a bounded slab, which grows as it is needed.
 */
#ifndef TCPWITNESS_FINDINGS_H
#define TCPWITNESS_FINDINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "record.h"

#define FINDING_NONE 0u

struct finding {
	uint64_t divergence_id; /* the open one's, as the next two */
	uint64_t since_ns;
	const char *reason; /* static text, or NULL */
	uint64_t look_ns;   /* of the newest fresh look since the views parted; 0 = none */
	struct rec_snapshot look;
	uint64_t owned_since_ns;   /* looks found the socket owned or backlogged since then */
	uint64_t progress_ns;	   /* when the peer last acknowledged something new */
	uint64_t stalled_since_ns; /* sweeps see retransmissions and no progress since then */
	uint64_t reset_ns;	   /* of the newest RST that was not taken */
	uint64_t syn_gap_ns;	   /* between the last two unanswered SYNs; 0 = one came */
	uint32_t stalled_una;	   /* SND.UNA at stalled_since_ns */
	uint32_t progress_una;	   /* SND.UNA at progress_ns */
	uint32_t refused_fin;	   /* the newest FIN that the reference refused, and how many */
	uint32_t fins_refused;
	uint32_t fins;		   /* FINs that arrived since the views parted */
	uint32_t syns;		   /* unanswered SYNs */
	uint32_t syn_drops;	   /* sk_drops of the listener when the first of them came */
	uint32_t resets;	   /* RSTs that the kernel was seen to ignore */
	uint32_t resets_unsettled; /* those that it may yet have taken */
	uint32_t held_seq;	   /* a RST that waits for the stack's word, see resets.c */
	uint32_t held_ack;
	uint32_t next_free;
	uint8_t held_flags;
	uint8_t owned_looks;
	uint8_t riddles;       /* looks in a row that no rule had a name for */
	uint8_t parted_wire;   /* enum fsm_state when the views parted */
	uint8_t parted_kernel; /* enum kernel_state */
	bool fin_waited;       /* a FIN waited then for the data before it */
	bool was_owned;	       /* a look found the socket so since then */
	bool in_use;
};

struct findings;

/* NULL and errno. */
struct findings *findings_new(uint32_t max);
void findings_free(struct findings *findings);

/* A zeroed one; FINDING_NONE when there is no room. Moves the others: pointers do not last. */
uint32_t findings_take(struct findings *findings);
void findings_give(struct findings *findings, uint32_t index);

/* NULL for FINDING_NONE. */
struct finding *findings_at(const struct findings *findings, uint32_t index);

#endif
