/* SPDX-License-Identifier: GPL-2.0-only */
/* What table and JSON of a story have in common: relative numbers, flags, remarks. Pure. */
#ifndef TCPWITNESS_STORY_LINES_H
#define TCPWITNESS_STORY_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tcp/fsm.h"
#include "tcp/seq.h"
#include "track/entry.h"
#include "track/evidence.h"

/* What is carried from line to line. */
struct story_thread {
	seq_t base[2]; /* of the local end's numbers, of the remote's: the SYN's, where one was seen */
	bool has_base[2];
	bool synack_sent; /* another one is a retransmission */
	bool told_unobservable;
};

/* Reads the whole story: numbers may be known only from a later line. */
void story_begin(struct story_thread *thread, const struct track_entry *entries, size_t count);

/* Sequence numbers as told: relative; the 0 of a RST that answers a segment without ACK stays. */
uint32_t story_seq(const struct story_thread *thread, const struct track_entry *entry);
uint32_t story_ack(const struct story_thread *thread, const struct track_entry *entry);

/* What is out of the ordinary about the entry, "" for nothing. In order, each entry once. */
#define STORY_REMARK_MAX 512
const char *story_remark(struct story_thread *thread, const struct track_entry *entry,
			 char buffer[STORY_REMARK_MAX]);

/*
 * What the divergence that opens at entries[at] rests on, as far as the story has it: the lines
 * before it, and the one behind it. Times are the entries'.
 */
struct divergence_evidence story_evidence(const struct track_entry *entries, size_t count,
					  size_t at);

struct fsm_step story_step(const struct track_step *step);

#endif
