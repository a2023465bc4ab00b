/* SPDX-License-Identifier: GPL-2.0-only */
/* What a divergence rests on, as JSON and as words: the same for event log, API and story. Pure. */
#ifndef TCPWITNESS_EXPORT_EVIDENCE_H
#define TCPWITNESS_EXPORT_EVIDENCE_H

#include "export/json.h"
#include "track/evidence.h"

/*
 * An object, members as events.h documents them; parts that were never seen are null. Numbers are
 * those on the wire. The wall clock is CLOCK_MONOTONIC + wall_offset_ns.
 */
void evidence_json(struct json *json, const char *key, const struct divergence_evidence *evidence,
		   uint64_t wall_offset_ns);

#define EVIDENCE_TEXT_MAX 256

/* Each writes its part into `buffer` and returns it; "" where there is nothing to say. */

/* "received FIN,ACK, seq 17, ack 4711, 12 octets" */
const char *evidence_segment_text(const struct divergence_evidence *evidence,
				  char buffer[EVIDENCE_TEXT_MAX]);
/* "ESTABLISHED to CLOSE, ETIMEDOUT, orphan" */
const char *evidence_change_text(const struct divergence_evidence *evidence,
				 char buffer[EVIDENCE_TEXT_MAX]);
/* "NEW_SYN_RECV, accept queue 3 of 2, SYN queue 1", "ESTABLISHED, owned, backlog 99 octets" */
const char *evidence_look_text(const struct rec_snapshot *look, char buffer[EVIDENCE_TEXT_MAX]);

#endif
