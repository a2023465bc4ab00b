/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: which knob binds
 *
 * A listening socket has two queues. The accept queue holds complete connections; its limit is
 * what listen() asked for, cut to net.core.somaxconn when it was called. The SYN queue holds
 * requests; its limit is the same number, and where tcp_syncookies is 0 also three quarters of
 * tcp_max_syn_backlog (linux net/ipv4/tcp_input.c:tcp_conn_request). Each holds one more than its
 * limit (but see outcome.h for the SYN queue).
 *
 * When one overflows, one change helps most, and much of what textbooks list does not: the advice
 * says which is which, from what this listener counted, with the reason.
 *
 * Pure: no clock, no I/O.
 */
#ifndef TCPWITNESS_LIMITS_H
#define TCPWITNESS_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "counters.h"
#include "listen/namespace.h"

#define LISTEN_KNOBS(X)                                                                            \
	X(LISTEN_ARGUMENT, "listen_backlog") /* the second argument of listen() */                 \
	X(SOMAXCONN, "somaxconn")                                                                  \
	X(MAX_SYN_BACKLOG, "tcp_max_syn_backlog")                                                  \
	X(SYNCOOKIES, "tcp_syncookies")                                                            \
	X(SYNACK_RETRIES, "tcp_synack_retries")                                                    \
	X(ABORT_ON_OVERFLOW, "tcp_abort_on_overflow")                                              \
	X(DEFER_ACCEPT, "TCP_DEFER_ACCEPT")                                                        \
	X(APPLICATION, "application") /* how fast it calls accept() */

enum listen_knob {
#define X(name, label) KNOB_##name,
	LISTEN_KNOBS(X)
#undef X
	KNOB_NR
};

#define LISTEN_QUEUES(X)                                                                           \
	X(SYN, "syn")                                                                              \
	X(ACCEPT, "accept")

enum listen_queue {
#define X(name, label) QUEUE_##name,
	LISTEN_QUEUES(X)
#undef X
	QUEUE_NR
};

const char *listen_knob_label(enum listen_knob knob);
const char *listen_queue_label(enum listen_queue queue);

/* What is known of a listener. */
struct limits_facts {
	uint32_t backlog; /* sk_max_ack_backlog */
	bool defers;	  /* TCP_DEFER_ACCEPT */
	struct listen_sysctls sysctls;
	const struct listener_counters *counters;
};

struct listen_limit {
	uint32_t limit;
	enum listen_knob by; /* what set it */
};

struct listen_limit limits_of(const struct limits_facts *facts, enum listen_queue queue);

/* Did the queue ever turn anything away, as far as we counted? */
bool limits_overflowed(const struct limits_facts *facts, enum listen_queue queue);

enum listen_verdict {
	VERDICT_CHANGE, /* the one change that would help most */
	VERDICT_HELPS,	/* helps too */
	VERDICT_NO,	/* would not help, or would hide it */
};

struct listen_advice {
	struct {
		enum listen_knob knob;
		enum listen_verdict verdict;
		const char *why; /* static */
	} rows[KNOB_NR];
	size_t count; /* the first is the change */
};

/* For a queue that overflowed (or would). */
void limits_advise(const struct limits_facts *facts, enum listen_queue queue,
		   struct listen_advice *ret);

#endif
