/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kinds of divergence, one table: what it is called, whether it is a problem or a deviation
 * that Linux is known for (counted, never alerted), how bad, what it means, and where to look.
 * The order is that of a connection's life.
 */
#ifndef TCPWITNESS_KINDS_H
#define TCPWITNESS_KINDS_H

/* X(NAME, label, class, severity, one sentence, what to look at) */
#define DIVERGENCE_KINDS(X)                                                                        \
	X(SYN_UNSENT, "syn_unsent", PROBLEM, WARNING,                                              \
	  "connect() waits, but no SYN of it left the host",                                       \
	  "output firewall, route, neighbour (ARP) of the destination")                            \
	X(SYN_DROPPED, "syn_dropped", PROBLEM, CRITICAL,                                           \
	  "a SYN reached a listener and got no answer",                                            \
	  "the listener's queues: backlog, somaxconn, tcp_max_syn_backlog, tcp_syncookies")        \
	X(SEGMENT_FILTERED, "segment_filtered", PROBLEM, WARNING,                                  \
	  "a segment arrived on the wire and was dropped before TCP saw it",                       \
	  "the drop reason: nft list ruleset, rp_filter, checksums, IPsec policy")                 \
	X(ACCEPT_QUEUE_OVERFLOW, "accept_queue_overflow", PROBLEM, CRITICAL,                       \
	  "the peer believes the connection is open; the accept queue had no room for it",         \
	  "why the application does not accept(); listen() backlog and somaxconn")                 \
	X(FIN_UNPROCESSED, "fin_unprocessed", PROBLEM, WARNING,                                    \
	  "the peer's FIN arrived, again and again, and TCP does not take it",                     \
	  "data missing before it, checksums, PAWS, MD5 or AO keys")                               \
	X(STUCK_OWNER, "stuck_owner", PROBLEM, WARNING,                                            \
	  "a process holds the socket's lock and the stack cannot process its segments",           \
	  "the owner's stack: /proc/PID/stack, page faults, a copy to slow memory")                \
	X(FIN_STALLED, "fin_stalled", PROBLEM, WARNING,                                            \
	  "the socket was closed long ago and its FIN cannot leave",                               \
	  "the peer's window: its application does not read; ss -ti shows unacked and notsent")    \
	X(PEER_UNAWARE, "peer_unaware", PROBLEM, WARNING,                                          \
	  "the connection is over here and the peer does not know, or cannot be told",             \
	  "the path to the peer: firewalls that forget connections, hosts that vanished")          \
	X(SILENT_CLOSE, "silent_close", PROBLEM, WARNING,                                          \
	  "the kernel gave the connection up without a FIN or RST on the wire",                    \
	  "the path to the peer; tcp_retries2, TCP_USER_TIMEOUT, keep-alive")                      \
	X(ORPHAN_ABORTED, "orphan_aborted", PROBLEM, WARNING,                                      \
	  "the kernel cut a closed connection short: too many such, or TCP's memory is used up",   \
	  "tcp_max_orphans, tcp_mem; TCPAbortOnMemory in nstat, /proc/net/sockstat")               \
	X(FORGED_RESET, "forged_reset", PROBLEM, WARNING,                                          \
	  "resets with wrong sequence numbers came repeatedly on a live connection",               \
	  "who sends them: a blind attack, a middlebox, or a peer that lost its state")            \
	X(TIME_WAIT_MISSING, "time_wait_missing", PROBLEM, WARNING,                                \
	  "a connection closed and no TIME_WAIT stands guard for it: the bucket table is full",    \
	  "tcp_max_tw_buckets; TCPTimeWaitOverflow in nstat")                                      \
	X(COOKIE_STATELESS, "cookie_stateless", EXPECTED, INFO,                                    \
	  "the SYN-ACK was a SYN cookie: no request socket stands behind the handshake",           \
	  "the listener's SYN queue: it is full, or tcp_syncookies is 2")                          \
	X(DEFERRED_ACCEPT, "deferred_accept", EXPECTED, INFO,                                      \
	  "TCP_DEFER_ACCEPT: the handshake is complete, the kernel waits for data",                \
	  "nothing, unless the peer expects the server to speak first")                            \
	X(FAST_OPEN, "fast_open", EXPECTED, INFO,                                                  \
	  "TCP Fast Open: the application has the connection before the handshake is complete",    \
	  "nothing; tcp_fastopen says who may")                                                    \
	X(REQUEST_EXPIRED, "request_expired", EXPECTED, INFO,                                      \
	  "a half-open connection was forgotten before its handshake was complete",                \
	  "nothing for a few; many: a SYN flood or scan, tcp_synack_retries")                      \
	X(SYNACK_REFUSED, "synack_refused", EXPECTED, INFO,                                        \
	  "a SYN-ACK that acknowledges nothing of ours was answered by RST; the connect goes on",  \
	  "an old connection on the peer's side of the same ports")                                \
	X(NEVER_ACCEPTED, "never_accepted", EXPECTED, INFO,                                        \
	  "the listener was closed with this connection in its accept queue",                      \
	  "how the service restarts: hand the listener over, or drain it first")                   \
	X(RESET_IGNORED, "reset_ignored", EXPECTED, INFO,                                          \
	  "a RST that is not exactly in sequence was challenged or ignored (RFC 5961)",            \
	  "nothing for one; repeated ones become forged_reset")                                    \
	X(DATA_AFTER_CLOSE, "data_after_close", EXPECTED, INFO,                                    \
	  "the peer sent data after the socket was closed: the kernel answered with RST",          \
	  "an application that closes before it has read everything")                              \
	X(FIN_QUEUED, "fin_queued", EXPECTED, INFO,                                                \
	  "the socket was closed and its FIN waits behind data",                                   \
	  "nothing, unless it lasts: then it becomes fin_stalled")                                 \
	X(FIN_WAIT_2_TIMEOUT, "fin_wait_2_timeout", EXPECTED, INFO,                                \
	  "the kernel forgot a closed connection whose peer never sent its FIN",                   \
	  "peers that leak CLOSE_WAIT; tcp_fin_timeout, TCP_LINGER2")                              \
	X(TIME_WAIT_ASSASSINATED, "time_wait_assassinated", EXPECTED, INFO,                        \
	  "a RST ended TIME_WAIT before 2 MSL were over (RFC 1337)", "tcp_rfc1337")                \
	X(TIME_WAIT_REUSED, "time_wait_reused", EXPECTED, INFO,                                    \
	  "a new connection took the ports of one in TIME_WAIT (RFC 6191)",                        \
	  "nothing; tcp_tw_reuse for the active side")                                             \
	X(KILLED, "killed", EXPECTED, INFO,                                                        \
	  "an administrator or a program destroyed the socket (ss -K, tcp_abort)",                 \
	  "who did: ss -K, a cgroup program, an orchestrator that moved the address")

#endif
