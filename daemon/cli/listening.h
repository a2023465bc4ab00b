/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the running daemon asks the host about listening sockets, beside what the programs tell: the
 * counters and knobs of each watched namespace, and who owns the sockets that were there before us.
 *
 * Both are asked a little at each turn of the loop, so that neither many namespaces nor many
 * processes hold up the rings. What is found of an owner enters the pipeline as the record that
 * listen() would have made (REC_LISTEN).
 */
#ifndef TCPWITNESS_LISTENING_H
#define TCPWITNESS_LISTENING_H

#include <stdbool.h>
#include <stdint.h>

#include "capture/capture.h"
#include "cli/pipeline.h"
#include "export/view.h"

struct listening;

/* Both outlive it. NULL without memory. */
struct listening *listening_new(struct capture *capture, struct pipeline *pipeline);
void listening_free(struct listening *listening);

/* Before programs are attached: what our own namespace has counted so far is none of theirs. */
void listening_begin(struct listening *listening);

/* The first sweep is complete: all listeners that were there are known. */
void listening_seeded(struct listening *listening);

void listening_turn(struct listening *listening, uint64_t now_ns);

/* Is there more to do at the next turn? */
bool listening_is_busy(const struct listening *listening);

/* A namespace has ended. */
void listening_forget(struct listening *listening, uint32_t netns);

/* view->capture has been filled. As many namespaces as at a turn are read again. */
void listening_fill(struct listening *listening, struct export_view *view);

#endif
