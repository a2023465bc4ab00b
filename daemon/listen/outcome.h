/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: what BPF's predicates cannot tell when the segment arrives, and the outcome does.
 *
 * A predicate foresees what the stack will do a moment later. It errs where the application calls
 * accept() in between, where a batch stands before the segment (XDP), and where it cannot know:
 *
 *  - a SYN queue of exactly its limit is full on some kernels and has room for one on others, of
 *    the same minor version even (`>=` and `>`, linux include/net/inet_connection_sock.h:
 *    inet_csk_reqsk_queue_is_full). Observed: where the queue has room, a request stands beyond
 *    the limit sooner or later; where SYNs met it and none ever did, it was full;
 *  - the last quarter of tcp_max_syn_backlog is open to peers whom tcp_metrics knows;
 *  - a SYN may be dropped for want of memory or a route, or by a policy.
 *
 * But what went in and what came of it is counted exactly: a SYN without a SYN-ACK was dropped, an
 * ACK without a child refused. So the amounts are the outcome's, and predicates split them by
 * reason; a SYN without answer and without reason is `other`.
 *
 * (Kernels since 6.15 say themselves that they refused an ACK. SYNs die in silence on all.)
 *
 * What is under way when the counters are read is not yet answered. So of two readings, a second
 * apart, the lesser difference holds for the earlier one; and what was told is not taken back.
 * Hence one to two seconds of delay, and exact amounts once traffic rests.
 *
 * Pure: no clock, no I/O.
 */
#ifndef TCPWITNESS_OUTCOME_H
#define TCPWITNESS_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

#include "counters.h"

/* When a SYN queue is full. Not knowing, the newer kernels' rule is taken. */
#define SYN_QUEUE_TESTS(X)                                                                         \
	X(UNKNOWN, "not_observed")                                                                 \
	X(BEYOND, "beyond_limit") /* length > limit */                                             \
	X(AT, "at_limit")	  /* length >= limit */

enum syn_queue_test {
#define X(name, label) SYN_QUEUE_FULL_##name,
	SYN_QUEUE_TESTS(X)
#undef X
	SYN_QUEUE_TEST_NR
};

const char *syn_queue_test_label(enum syn_queue_test test);

/* What is known of one listening socket so far. All zero at first. */
struct listener_outcome {
	struct listener_counters aged, older; /* as they were a while ago, and a while before */
	uint64_t dropped, refused;	      /* SYNs; ACKs: settled so far */
	uint64_t drops[LISTENER_DROP_NR];     /* the same by reason */
};

/*
 * `now`: raw, from BPF; at least a second after the last time. Ages them. `alone`: children are
 * counted by address, so among members of a SO_REUSEPORT group only predicates tell who refused.
 */
void outcome_settle(struct listener_outcome *outcome, enum syn_queue_test test, bool alone,
		    const struct listener_counters *now);

/*
 * SYN-ACKs, cookies included, but for those sent again: of these the kernel does not tell the ones
 * that the device refused, and the request's age not the ones that follow a repeated SYN at once.
 */
uint64_t outcome_first_synacks(const struct listener_counters *at);

/* What this listener shows of the test. */
enum syn_queue_test outcome_test(const struct listener_outcome *outcome,
				 const struct listener_counters *now);

/* Turns raw counters into what is told. `told`: kfree_skb says of each ACK that it was refused. */
void outcome_apply(const struct listener_outcome *outcome, enum syn_queue_test test, bool told,
		   struct listener_counters *counters);

#endif
