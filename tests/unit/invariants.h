/* SPDX-License-Identifier: GPL-2.0-only */
/* What must hold of the reference whatever it meets: for random walks, scripts and the fuzzer. */
#ifndef TCPWITNESS_TESTS_INVARIANTS_H
#define TCPWITNESS_TESTS_INVARIANTS_H

#include "tcp/dialogue.h"

/*
 * Where figure 5 of RFC 9293 leads: `from` where it has no such arrow. It is written down here a
 * second time, it is not read out of the table.
 */
enum fsm_state figure_5(enum fsm_state from, enum fsm_event event);

/*
 * *before became *after by *steps. NULL when every invariant holds, else the one that does not.
 * ordered: no sequence number was further than 2^30 from the one it is compared with, so that
 * "before" and "after" mean something; without it their order is not looked at.
 */
const char *broken_invariant(const struct tcp_dialogue *before, const struct tcp_dialogue *after,
			     const struct dialogue_steps *steps, bool ordered);

#endif
