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

/* Why a connection could not be judged. */
#define UNOBSERVABLE_REASONS(X)                                                                    \
	X(UNTAPPED, "untapped")	      /* the kernel moved, no tapped interface saw it */           \
	X(LOSS, "loss")		      /* records were lost while it lived */                       \
	X(ADOPTED, "adopted")	      /* seen first in mid-life */                                 \
	X(FIN_PENDING, "fin_pending") /* a FIN waits for data the tap does not record */           \
	X(SAMPLED, "sampled")	      /* its flow was not recorded whole */                        \
	X(EVICTED, "evicted")	      /* the flow table was full */                                \
	X(NOT_LOCAL, "not_local")     /* no socket of this host (NAT, forwarded, other netns) */   \
	X(REPAIR, "repair")	      /* TCP_REPAIR moved the socket without packets */            \
	X(UNEXPLAINED, "unexplained") /* the views differ and no rule names the cause */

enum unobservable_reason {
#define X(name, label) UNOBSERVABLE_##name,
	UNOBSERVABLE_REASONS(X)
#undef X
	UNOBSERVABLE_NR
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
const char *role_label(enum connection_role role);
const char *end_label(enum connection_end end);
const char *connect_failure_label(enum connect_failure failure);
const char *view_label(enum connection_view view);

#endif
