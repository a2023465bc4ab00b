/* SPDX-License-Identifier: GPL-2.0-only */
/* The vocabulary of the comparison: one list each, so that no label drifts (DESIGN §6, §9). */
#ifndef TCPWITNESS_VERDICTS_H
#define TCPWITNESS_VERDICTS_H

#include "track/kinds.h"

enum divergence_kind {
#define X(name, label, class, severity, text, look_at) DIVERGENCE_##name,
	DIVERGENCE_KINDS(X)
#undef X
	DIVERGENCE_NR
};

#define DIVERGENCE_CLASSES(X)                                                                      \
	X(PROBLEM, "problem")                                                                      \
	X(EXPECTED, "expected")

enum divergence_class {
#define X(name, label) CLASS_##name,
	DIVERGENCE_CLASSES(X)
#undef X
	CLASS_NR
};

#define DIVERGENCE_SEVERITIES(X)                                                                   \
	X(INFO, "info")                                                                            \
	X(WARNING, "warning")                                                                      \
	X(CRITICAL, "critical")

enum divergence_severity {
#define X(name, label) SEVERITY_##name,
	DIVERGENCE_SEVERITIES(X)
#undef X
	SEVERITY_NR
};

/* Why a connection could not be judged: X(NAME, label, text). */
#define UNOBSERVABLE_REASONS(X)                                                                    \
	X(UNTAPPED, "untapped", "the kernel moved, no tapped interface saw it")                    \
	X(LOSS, "loss", "records were lost while it lived")                                        \
	X(ADOPTED, "adopted", "seen first in mid-life")                                            \
	X(FIN_PENDING, "fin_pending", "a FIN waits for data the tap does not record")              \
	X(SAMPLED, "sampled", "its flow was not recorded whole")                                   \
	X(EVICTED, "evicted", "the flow table was full")                                           \
	X(NOT_LOCAL, "not_local", "no socket of this host (NAT, forwarded, other netns)")          \
	X(REPAIR, "repair", "TCP_REPAIR moved the socket without packets")                         \
	X(NETNS_GONE, "netns_gone", "its network namespace ended before it did")                   \
	X(UNEXPLAINED, "unexplained", "the views differ and no rule names the cause")

enum unobservable_reason {
#define X(name, label, text) UNOBSERVABLE_##name,
	UNOBSERVABLE_REASONS(X)
#undef X
	UNOBSERVABLE_NR
};

/*
 * Why the views of a connection parted and came together again before anybody called it a
 * divergence: by themselves, as they must (DESIGN §6). X(NAME, label, text).
 */
#define TRANSIENTS(X)                                                                              \
	X(IN_FLIGHT, "in_flight", "the tap ran ahead of the stack: settled before a look")         \
	X(FIN_QUEUED_BRIEFLY, "fin_queued_briefly", "close() came, the FIN a moment later")        \
	X(RESET_BEFORE_EVENT, "reset_before_event", "our RST left before the socket closed")       \
	X(FIN_WAITED, "fin_waited", "a FIN waited for the data before it")                         \
	X(OWNER_BUSY, "owner_busy", "the owner held the socket's lock")                            \
	X(REQUEST_OUTLIVES_LISTENER, "request_outlives_listener",                                  \
	  "a request outlived its closed listener, until the next packet")                         \
	X(SETTLED_LATE, "settled_late", "later than the settle time, and nothing says why")

enum transient {
#define X(name, label, text) TRANSIENT_##name,
	TRANSIENTS(X)
#undef X
	TRANSIENT_NR
};

/* What both views agree on, and is worth a look all the same: X(NAME, label, text, look at). */
#define CONDITIONS(X)                                                                              \
	X(CLOSE_WAIT_LEAK, "close_wait_leak",                                                      \
	  "the peer has closed long ago and the application does not",                             \
	  "the process that holds the socket: it does not read, or forgot to close")               \
	X(NO_PROGRESS, "no_progress",                                                              \
	  "an open connection retransmits and nothing is acknowledged",                            \
	  "the path to the peer, or the peer itself; ss -ti shows the retransmissions")

enum condition {
#define X(name, label, text, look_at) CONDITION_##name,
	CONDITIONS(X)
#undef X
	CONDITION_NR
};

/* What the kernel's last state change of a socket was, →CLOSE (KERNEL.md §1.3). */
#define CLOSE_CAUSES(X)                                                                            \
	X(TIME_WAIT, "time_wait")		/* a TIME_WAIT minisocket took over */             \
	X(FIN_WAIT_2, "fin_wait_2_minisocket")	/* the same for an orphan in FIN_WAIT_2 */         \
	X(LINGER2, "linger2")			/* TCP_LINGER2 < 0: no FIN_WAIT_2 for orphans */   \
	X(GRACEFUL, "graceful")			/* the last ACK came */                            \
	X(RESET_RECEIVED, "reset_received")	/* the peer's RST was taken */                     \
	X(DATA_AFTER_CLOSE, "data_after_close") /* data came to a socket that was closed */        \
	X(REFUSED, "refused")			/* the connect() was, by RST or ICMP */            \
	X(TIMEOUT, "timeout")			/* retransmissions, keep-alive, user timeout */    \
	X(UNREACHABLE, "unreachable")		/* ICMP, no route, the namespace's end */          \
	X(KILLED, "killed")			/* ss -K, tcp_abort */                             \
	X(MEMORY, "memory")			/* too many orphans, or no memory for them */      \
	X(LOCAL_ABORT, "local_abort")		/* unread data, SO_LINGER 0 */                     \
	X(NEVER_ACCEPTED, "never_accepted")	/* its listener closed before accept() */          \
	X(DISCONNECTED, "disconnected")		/* connect(AF_UNSPEC) */                           \
	X(CONNECT_CLOSED, "connect_closed")	/* close() before the connection was open */       \
	X(CHILD_FAILED, "child_failed")		/* a child that lost a race, or its RST */         \
	X(REPAIR, "repair")			/* TCP_REPAIR */                                   \
	X(OTHER, "other")

enum close_cause {
#define X(name, label) CLOSED_BY_##name,
	CLOSE_CAUSES(X)
#undef X
	CLOSE_CAUSE_NR
};

/* What a sweep of the sockets put right in the kernel view. Only the last is in the course of
 * things: requests and minisockets end without a word. */
#define SWEEP_CORRECTIONS(X)                                                                       \
	X(MISSING, "missing") /* a socket that the view had has gone, untimely or untold */        \
	X(EXTRA, "extra")     /* one that it did not have is there */                              \
	X(STATE, "state")     /* it is in another state */                                         \
	X(EXPIRED, "expired") /* a request, an orphan in FIN_WAIT_2 or TIME_WAIT ran out */

enum sweep_correction {
#define X(name, label) CORRECTION_##name,
	SWEEP_CORRECTIONS(X)
#undef X
	CORRECTION_NR
};

#define CONNECTION_ROLES(X)                                                                        \
	X(CLIENT, "client")                                                                        \
	X(SERVER, "server")                                                                        \
	X(UNKNOWN, "unknown")

enum connection_role {
#define X(name, label) ROLE_##name,
	CONNECTION_ROLES(X)
#undef X
	ROLE_NR
};

/* How a connection ended. */
#define CONNECTION_ENDS(X)                                                                         \
	X(LOCAL_CLOSE, "local_close")                                                              \
	X(REMOTE_CLOSE, "remote_close")                                                            \
	X(SIMULTANEOUS_CLOSE, "simultaneous_close")                                                \
	X(LOCAL_RESET, "local_reset")                                                              \
	X(REMOTE_RESET, "remote_reset")                                                            \
	X(REFUSED, "refused")                                                                      \
	X(HANDSHAKE_TIMEOUT, "handshake_timeout")                                                  \
	X(TIMEOUT, "timeout")                                                                      \
	X(KILLED, "killed")                                                                        \
	X(UNKNOWN, "unknown")

enum connection_end {
#define X(name, label) END_##name,
	CONNECTION_ENDS(X)
#undef X
	END_NR
};

#define CONNECT_FAILURES(X)                                                                        \
	X(REFUSED, "refused")                                                                      \
	X(TIMEOUT, "timeout")                                                                      \
	X(UNREACHABLE, "unreachable")

enum connect_failure {
#define X(name, label) CONNECT_##name,
	CONNECT_FAILURES(X)
#undef X
	CONNECT_NR
};

/*
 * Kinds of segments that are seen of a connection, in either direction; one may be of several.
 * In the order of tshark's tcp.completeness, so that the two can be held against each other.
 */
#define SEEN_KINDS(X)                                                                              \
	X(SYN, "syn")                                                                              \
	X(SYNACK, "synack")                                                                        \
	X(ACK, "ack")	/* of captures: live most are not recorded */                              \
	X(DATA, "data") /* the same */                                                             \
	X(FIN, "fin")                                                                              \
	X(RST, "rst")

enum seen_kind {
#define X(name, label) SEEN_##name,
	SEEN_KINDS(X)
#undef X
	SEEN_NR
};

enum connection_view {
	VIEW_WIRE = 0,
	VIEW_KERNEL = 1,
	VIEW_NR
};

/* Labels of the enums above, e.g. divergence_label(DIVERGENCE_SYN_DROPPED) = "syn_dropped". */
const char *divergence_label(enum divergence_kind kind);
enum divergence_class divergence_class(enum divergence_kind kind);
enum divergence_severity divergence_severity(enum divergence_kind kind);
const char *divergence_text(enum divergence_kind kind);	   /* what it means: one sentence */
const char *divergence_look_at(enum divergence_kind kind); /* what to look at */
const char *divergence_class_label(enum divergence_class class);
const char *divergence_severity_label(enum divergence_severity severity);
const char *unobservable_label(enum unobservable_reason reason);
const char *unobservable_text(enum unobservable_reason reason);
const char *transient_label(enum transient transient);
const char *transient_text(enum transient transient);
const char *condition_label(enum condition condition);
const char *condition_text(enum condition condition);
const char *condition_look_at(enum condition condition);
const char *close_cause_label(enum close_cause cause);
const char *role_label(enum connection_role role);
const char *end_label(enum connection_end end);
const char *seen_label(enum seen_kind kind);
const char *connect_failure_label(enum connect_failure failure);
const char *sweep_correction_label(enum sweep_correction correction);
const char *view_label(enum connection_view view);

#endif
