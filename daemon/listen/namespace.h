/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a network namespace says of listening itself: its counters, to hold ours against, and its
 * knobs. Read from /proc, in the namespace of the calling thread.
 */
#ifndef TCPWITNESS_LISTEN_NAMESPACE_H
#define TCPWITNESS_LISTEN_NAMESPACE_H

#include <stdbool.h>
#include <stdint.h>

#include "counters.h"

/* Counters of /proc/net/netstat, TcpExt. */
#define LISTEN_MIBS(X)                                                                             \
	X(OVERFLOWS, "ListenOverflows")                                                            \
	X(DROPS, "ListenDrops")                                                                    \
	X(REQUESTS_DROPPED, "TCPReqQFullDrop")                                                     \
	X(REQUESTS_COOKIES, "TCPReqQFullDoCookies")                                                \
	X(COOKIES_SENT, "SyncookiesSent")                                                          \
	X(COOKIES_RECEIVED, "SyncookiesRecv")                                                      \
	X(COOKIES_FAILED, "SyncookiesFailed")

enum listen_mib {
#define X(name, label) LISTEN_MIB_##name,
	LISTEN_MIBS(X)
#undef X
	LISTEN_MIB_NR
};

const char *listen_mib_label(enum listen_mib mib);

struct listen_mibs {
	uint64_t at[LISTEN_MIB_NR];
};

/* What the namespace should have counted for all that listeners did. */
struct listen_mibs listen_mibs_of(const struct listener_counters *sum);

/* The text of /proc/net/netstat; a counter that is not there stays 0. False: it is none. */
bool listen_mibs_parse(const char *text, struct listen_mibs *ret);

/* 0 or -errno. */
int listen_mibs_read(struct listen_mibs *ret);

/* Sysctls that have a say, by their names below /proc/sys/net. */
#define LISTEN_SYSCTLS(X)                                                                          \
	X(somaxconn, "core/somaxconn")                                                             \
	X(max_syn_backlog, "ipv4/tcp_max_syn_backlog")                                             \
	X(syncookies, "ipv4/tcp_syncookies")                                                       \
	X(synack_retries, "ipv4/tcp_synack_retries")                                               \
	X(abort_on_overflow, "ipv4/tcp_abort_on_overflow")

struct listen_sysctls {
#define X(field, name) uint32_t field;
	LISTEN_SYSCTLS(X)
#undef X
};

/* Those that cannot be read stay as they are. 0 or -errno of the last. */
int listen_sysctls_read(struct listen_sysctls *sysctls);

#endif
