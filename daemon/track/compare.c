/* SPDX-License-Identifier: GPL-2.0-only */
/* Two views of one connection to one verdict: see compare.h. */
#include "track/compare.h"

#include <errno.h>
#include <string.h>

#include "util.h"

#define W(state) (1u << FSM_##state)
#define K(state) (1u << KS_##state)

#define W_SYNCHRONIZED                                                                             \
	(W(ESTABLISHED) | W(CLOSE_WAIT) | W(FIN_WAIT_1) | W(CLOSING) | W(LAST_ACK) | W(FIN_WAIT_2))
#define K_GONE (K(NONE) | K(CLOSE) | K(LISTEN))
#define K_REQUEST (K(NEW_SYN_RECV))
#define K_ANY 0xffffffffu
#define W_ANY 0xffffffffu

/* A rule's predicate: true when it holds, with the kind's detail in *ret_reason. */
typedef bool (*rule_holds)(const struct conn *conn, const struct rec_snapshot *look,
			   const char *drop_reason, const char **ret_reason);

static bool filtered(const struct conn *conn, const struct rec_snapshot *look,
		     const char *drop_reason, const char **ret_reason)
{
	(void)look;
	*ret_reason = drop_reason;
	return conn->evidence & EVIDENCE_FILTERED && drop_reason;
}

static bool syn_refused(const struct conn *conn, const struct rec_snapshot *look,
			const char *drop_reason, const char **ret_reason)
{
	(void)look;
	(void)drop_reason;
	if (!dialogue_syn_unanswered(&conn->talk))
		return false;
	if (conn->evidence & EVIDENCE_ACCEPT_FULL_AT_SYN)
		*ret_reason = "accept_queue_full";
	else if (conn->evidence & EVIDENCE_SYN_QUEUE_FULL)
		*ret_reason = "syn_queue_full";
	else
		*ret_reason = "unknown";
	/* With no queue to blame, one silence may be the tap's; two are not. */
	return conn->evidence &
	       (EVIDENCE_ACCEPT_FULL_AT_SYN | EVIDENCE_SYN_QUEUE_FULL | EVIDENCE_SYN_AGAIN);
}

static bool accept_queue_full(const struct conn *conn, const struct rec_snapshot *look,
			      const char *drop_reason, const char **ret_reason)
{
	(void)drop_reason;
	*ret_reason = "accept_queue_full";
	if (conn->evidence & EVIDENCE_ACCEPT_FULL_AT_ACK)
		return true;
	return look->bits & SNAP_ACKED && look->bits & SNAP_QUEUES &&
	       look->queues.accept_length > look->queues.accept_limit;
}

static bool deferred(const struct conn *conn, const struct rec_snapshot *look,
		     const char *drop_reason, const char **ret_reason)
{
	(void)conn;
	(void)drop_reason;
	*ret_reason = NULL;
	return look->bits & SNAP_ACKED && look->bits & SNAP_DEFER;
}

static bool gave_up(const struct conn *conn, const struct rec_snapshot *look,
		    const char *drop_reason, const char **ret_reason)
{
	(void)look;
	(void)drop_reason;
	switch (conn->kernel.error) {
	case ETIMEDOUT:
		*ret_reason = "timeout";
		return true;
	case EHOSTUNREACH:
	case ENETUNREACH:
	case ECONNREFUSED: /* ICMP, kept as a soft error until the timer fired */
	case ENOPROTOOPT:
	case ENETDOWN:
		*ret_reason = "unreachable";
		return true;
	default:
		return false;
	}
}

/* First match wins; the more certain evidence stands first. */
static const struct {
	uint32_t wire, kernel; /* bit per state */
	rule_holds holds;
	enum divergence_kind kind;
} rules[] = {
	/* KERNEL.md §6 rows 3, 13: the wire is ahead because the segment died before TCP. */
	{ W(LISTEN) | W_SYNCHRONIZED | W(SYN_RECEIVED), K_ANY & ~(K(CLOSE)), filtered,
	  DIVERGENCE_SEGMENT_FILTERED },
	/* row 6 */
	{ W(LISTEN), K_GONE, syn_refused, DIVERGENCE_SYN_DROPPED },
	/* rows 1, 5: a final ACK, and what the peer sent after it, on a full accept queue */
	{ W(ESTABLISHED) | W(CLOSE_WAIT), K_REQUEST | K(LISTEN) | K(NONE), accept_queue_full,
	  DIVERGENCE_ACCEPT_QUEUE_OVERFLOW },
	/* row 2 */
	{ W(ESTABLISHED) | W(CLOSE_WAIT), K_REQUEST, deferred, DIVERGENCE_DEFERRED_ACCEPT },
	/* row 21 */
	{ W_SYNCHRONIZED, K_GONE, gave_up, DIVERGENCE_SILENT_CLOSE },
};

bool compare_agree(const struct conn *conn)
{
	enum fsm_state wire = conn_local_state(conn);

	if (dialogue_syn_unanswered(&conn->talk) || conn->held_flags)
		return false;
	/* A cookie's handshake has no socket: the listener stands for it. */
	if (wire == FSM_SYN_RECEIVED && conn->evidence & EVIDENCE_COOKIE &&
	    (conn->kernel.state == KS_LISTEN || conn->kernel.state == KS_NONE))
		return true;
	return kview_may_stand_beside(wire, conn->kernel.state, conn->kernel.substate);
}

struct verdict compare_explain(const struct conn *conn, const struct rec_snapshot *look,
			       const char *drop_reason)
{
	uint32_t wire = 1u << conn_local_state(conn), kernel = 1u << conn->kernel.state;
	struct verdict verdict = { .divergent = false };

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		if (!(rules[i].wire & wire) || !(rules[i].kernel & kernel) ||
		    !rules[i].holds(conn, look, drop_reason, &verdict.reason))
			continue;
		verdict.divergent = true;
		verdict.kind = rules[i].kind;
		return verdict;
	}
	verdict.reason = NULL;
	return verdict;
}

bool compare_drop_is_before_tcp(const char *reason)
{
	/* linux include/net/dropreason-core.h: what happens between the driver and tcp_v4_rcv's
	 * socket lookup, and to segments of ours before the device. */
	static const char *const reasons[] = {
		"NETFILTER_DROP",
		"TCP_CSUM",
		"IP_CSUM",
		"IP_INHDR",
		"IP_RPFILTER",
		"XFRM_POLICY",
		"SOCKET_FILTER",
		"OTHERHOST",
		"UNICAST_IN_L2_MULTICAST",
		"IP_OUTNOROUTES",
		"BPF_CGROUP_EGRESS",
		"TC_INGRESS",
		"TC_EGRESS",
		"XDP",
		"CPU_BACKLOG",
		"QDISC_DROP",
		"DEV_HDR",
		"FULL_RING",
		"TCP_MD5NOTFOUND",
		"TCP_MD5UNEXPECTED",
		"TCP_MD5FAILURE",
	};

	for (size_t i = 0; reason && i < ARRAY_SIZE(reasons); i++)
		if (!strcmp(reason, reasons[i]))
			return true;
	return false;
}
