/* SPDX-License-Identifier: GPL-2.0-only */
/* The taxonomy of divergences: see taxonomy.h. */
#include "track/taxonomy.h"

#include "util.h"

#define BIT(kind) (1u << DIVERGENCE_##kind)

static const struct taxonomy_row rows[] = {
	{ 1, HOME_KIND, DIVERGENCE_ACCEPT_QUEUE_OVERFLOW, 0,
	  "the final ACK met a full accept queue, and the request stays", NULL },
	{ 2, HOME_KIND, DIVERGENCE_DEFERRED_ACCEPT, 0,
	  "the final ACK came, and TCP_DEFER_ACCEPT waits for data", NULL },
	{ 3, HOME_KIND, DIVERGENCE_SEGMENT_FILTERED, 0, "the final ACK was dropped before TCP",
	  NULL },
	{ 4, HOME_KIND, DIVERGENCE_COOKIE_STATELESS, 0, "a SYN cookie: no request socket", NULL },
	{ 5, HOME_KIND, DIVERGENCE_ACCEPT_QUEUE_OVERFLOW, 0,
	  "the ACK of a cookie met a full accept queue", NULL },
	{ 6, HOME_KIND, DIVERGENCE_SYN_DROPPED, 0, "a SYN reached a listener and got no answer",
	  NULL },
	{ 7, HOME_KIND, DIVERGENCE_REQUEST_EXPIRED, 0, "a request went before its handshake ended",
	  NULL },
	{ 8, HOME_TRANSIENT, TRANSIENT_REQUEST_OUTLIVES_LISTENER, 0,
	  "a request outlives its closed listener", NULL },
	{ 9, HOME_KIND, DIVERGENCE_FAST_OPEN, 0, "TFO: a child before the final ACK", NULL },
	{ 10, HOME_KIND, DIVERGENCE_NEVER_ACCEPTED, 0,
	  "the listener was closed with children in its accept queue", NULL },
	{ 11, HOME_TRANSIENT, TRANSIENT_IN_FLIGHT, 0, "the tap is ahead of the stack by a batch",
	  NULL },
	{ 12, HOME_TRANSIENT, TRANSIENT_OWNER_BUSY, BIT(STUCK_OWNER),
	  "the socket is owned: segments wait in its backlog", NULL },
	{ 13, HOME_KIND, DIVERGENCE_FIN_UNPROCESSED, BIT(SEGMENT_FILTERED),
	  "a FIN arrived and is not taken in", NULL },
	{ 14, HOME_KIND, DIVERGENCE_RESET_IGNORED, BIT(FORGED_RESET),
	  "a RST that is not exact was challenged or ignored", NULL },
	{ 15, HOME_KIND, DIVERGENCE_DATA_AFTER_CLOSE, 0, "data came after close()", NULL },
	{ 16, HOME_KIND, DIVERGENCE_FIN_QUEUED, BIT(FIN_STALLED),
	  "the socket is closed and its FIN has not left", NULL },
	{ 17, HOME_MAPPING, 0, 0, "an orphan in FIN_WAIT_2 is a TIME_WAIT minisocket",
	  "FIN_WAIT_2 beside a minisocket with substate FIN_WAIT2" },
	{ 18, HOME_KIND, DIVERGENCE_FIN_WAIT_2_TIMEOUT, 0, "an orphan's minisocket ran out", NULL },
	{ 19, HOME_KIND, DIVERGENCE_TIME_WAIT_MISSING,
	  BIT(TIME_WAIT_ASSASSINATED) | BIT(TIME_WAIT_REUSED),
	  "TIME_WAIT ended early, or never began", NULL },
	{ 20, HOME_KIND, DIVERGENCE_FIN_WAIT_2_TIMEOUT, BIT(ORPHAN_ABORTED),
	  "TCP_LINGER2 < 0, or no memory for an orphan: RST instead of FIN_WAIT_2", NULL },
	{ 21, HOME_KIND, DIVERGENCE_SILENT_CLOSE, BIT(PEER_UNAWARE),
	  "a timer or ICMP closed the socket, and no segment said so", NULL },
	{ 22, HOME_KIND, DIVERGENCE_KILLED, BIT(PEER_UNAWARE),
	  "the kernel closed the socket with a RST of its own", NULL },
	{ 23, HOME_TRANSIENT, TRANSIENT_RESET_BEFORE_EVENT, 0,
	  "our RST leaves before the socket closes", NULL },
	{ 24, HOME_KIND, DIVERGENCE_SYN_UNSENT, 0, "connect() waits, and no SYN left", NULL },
	{ 25, HOME_UNOBSERVABLE, UNOBSERVABLE_REPAIR, 0, "TCP_REPAIR moves a socket by itself",
	  NULL },
	{ 26, HOME_KIND, DIVERGENCE_SYNACK_REFUSED, 0,
	  "a SYN-ACK of another SYN was answered by RST, and the connect() goes on", NULL },
	{ 27, HOME_MAPPING, 0, 0, "crossed SYNs: a full socket in SYN_RECV",
	  "SYN_RECEIVED beside SYN_RECV" },
	{ 28, HOME_UNOBSERVABLE, UNOBSERVABLE_NOT_LOCAL, 0,
	  "a flow without a socket of ours: NAT, forwarded, elsewhere", NULL },
	{ 29, HOME_UNOBSERVABLE, UNOBSERVABLE_UNTAPPED, 0, "a socket whose segments no tap sees",
	  NULL },
	{ 30, HOME_CAPTURE, 0, 0, "events of MPTCP's own sockets, and of a child that lost a race",
	  "other protocols are left out; children that lost are counted (duplicate_children)" },
	{ 31, HOME_CAPTURE, 0, 0, "events without their tuple, or with the listener's",
	  "the child's first event is left out, SYN_SENT is joined by its SYN" },
	{ 32, HOME_UNOBSERVABLE, UNOBSERVABLE_ADOPTED, 0, "seen first in mid-life", NULL },
	{ 33, HOME_REFERENCE, 0, 0, "retransmissions, keep-alive and window probes",
	  "what ends before RCV.NXT, or goes again, moves nothing" },
	{ 34, HOME_REFERENCE, 0, 0, "what left the tap and was lost behind it",
	  "the far end moves by what it acknowledges" },
	{ 35, HOME_CONDITION, CONDITION_CLOSE_WAIT_LEAK, 0, "CLOSE_WAIT for long", NULL },
	{ 36, HOME_CONDITION, CONDITION_NO_PROGRESS, 0,
	  "ESTABLISHED at both ends, and nothing is acknowledged", NULL },
};

static const char *const homes[] = {
#define X(name, label) [HOME_##name] = label,
	TAXONOMY_HOMES(X)
#undef X
};

const struct taxonomy_row *taxonomy_row_at(size_t index)
{
	return index < ARRAY_SIZE(rows) ? &rows[index] : NULL;
}

const char *taxonomy_home_label(enum taxonomy_home home)
{
	return homes[home];
}

const char *taxonomy_label(const struct taxonomy_row *row)
{
	switch ((enum taxonomy_home)row->home) {
	case HOME_KIND:
		return divergence_label(row->which);
	case HOME_TRANSIENT:
		return transient_label(row->which);
	case HOME_CONDITION:
		return condition_label(row->which);
	case HOME_UNOBSERVABLE:
		return unobservable_label(row->which);
	default:
		return row->how;
	}
}
