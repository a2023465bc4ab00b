/* SPDX-License-Identifier: GPL-2.0-only */
/* Two views of one connection to one verdict: see compare.h. */
#include "track/compare.h"

#include <string.h>

#include "util.h"

#define W(state) (1u << FSM_##state)
#define K(state) (1u << KS_##state)

#define W_FIN_UNACKED (W(FIN_WAIT_1) | W(CLOSING) | W(LAST_ACK))
#define W_SYNCHRONIZED (W(ESTABLISHED) | W(CLOSE_WAIT) | W_FIN_UNACKED | W(FIN_WAIT_2))
#define W_ANY ((1u << FSM_NR_STATES) - 1)
#define K_ANY ((1u << KS_NR) - 1)
#define K_GONE (K(NONE) | K(CLOSE) | K(LISTEN))
#define K_FIN_OUT (K(FIN_WAIT1) | K(CLOSING) | K(LAST_ACK))
#define K_FIN_AWAITED (K(ESTABLISHED) | K(FIN_WAIT1) | K(FIN_WAIT2))

/* A lock that is held for longer, and as often as it is looked at, is held by somebody stuck. */
#define STUCK_NS (2 * NS_PER_SEC)
#define STUCK_LOOKS 3
/* A FIN must have come twice at least, and this long ago: retransmissions fill most gaps. */
#define UNPROCESSED_NS (1 * NS_PER_SEC)
#define UNPROCESSED_FINS 2
/* A minisocket that is missed so soon after it began was never there. */
#define NEVER_THERE_NS (5 * NS_PER_SEC)

/* A rule's predicate: true when it holds, with the kind's detail in *ret_reason. */
typedef bool (*rule_holds)(const struct circumstances *at, const char **ret_reason);

static bool owner_is_stuck(const struct circumstances *at, const char **ret_reason)
{
	(void)ret_reason;
	return at->finding->owned_looks >= STUCK_LOOKS &&
	       at->now_ns - at->finding->owned_since_ns >= STUCK_NS;
}

static bool sent_was_dropped(const struct circumstances *at, const char **ret_reason)
{
	*ret_reason = at->drop_reason;
	return at->conn->evidence & EVIDENCE_SENT_DROPPED && at->drop_reason;
}

/* And connect() waits: a SYN that the neighbour's queue gives up after its time (6.1 keeps the
 * second one for three seconds more) may outlive its socket. */
static bool syn_was_dropped(const struct circumstances *at, const char **ret_reason)
{
	return !(at->conn->flags & CONN_WIRE_SEEN) && at->look->state == KS_SYN_SENT &&
	       sent_was_dropped(at, ret_reason);
}

static bool filtered(const struct circumstances *at, const char **ret_reason)
{
	*ret_reason = at->drop_reason;
	return at->conn->evidence & EVIDENCE_FILTERED &&
	       compare_drop_is_before_tcp(at->drop_reason);
}

static bool synack_dropped(const struct circumstances *at, const char **ret_reason)
{
	return dialogue_syn_unanswered(&at->conn->talk) && sent_was_dropped(at, ret_reason);
}

/*
 * Taps come before netfilter: a SYN that NAT takes past this listener (a published port) looks like
 * one that it left unanswered. But no path through linux net/ipv4/tcp_input.c:tcp_conn_request
 * drops a SYN without tcp_listendrop().
 */
static bool syn_refused(const struct circumstances *at, const char **ret_reason)
{
	const uint16_t evidence = at->conn->evidence;

	if (!dialogue_syn_unanswered(&at->conn->talk) ||
	    !compare_listener_dropped(at->finding, at->look))
		return false;
	if (evidence & EVIDENCE_ACCEPT_FULL_AT_SYN)
		*ret_reason = "accept_queue_full";
	else if (evidence & EVIDENCE_SYN_QUEUE_FULL)
		*ret_reason = "syn_queue_full";
	else if (evidence & EVIDENCE_LAST_QUARTER)
		*ret_reason = "last_quarter";
	else
		*ret_reason = "unknown";
	/* With no queue to blame, one silence may be the tap's; two are not. */
	return evidence & (EVIDENCE_ACCEPT_FULL_AT_SYN | EVIDENCE_SYN_QUEUE_FULL |
			   EVIDENCE_LAST_QUARTER | EVIDENCE_SYN_AGAIN);
}

static bool accept_queue_full(const struct circumstances *at, const char **ret_reason)
{
	const struct rec_snapshot *look = at->look;

	*ret_reason = "accept_queue_full";
	if (at->conn->evidence & EVIDENCE_ACCEPT_FULL_AT_ACK)
		return true;
	return look->bits & SNAP_ACKED && look->bits & SNAP_QUEUES &&
	       look->queues.accept_length > look->queues.accept_limit;
}

static bool deferred(const struct circumstances *at, const char **ret_reason)
{
	(void)ret_reason;
	return at->look->bits & SNAP_ACKED && at->look->bits & SNAP_DEFER;
}

/* The number of a FIN that arrived, and whether there is one that counts. */
static bool fin_that_came(const struct circumstances *at, seq_t *ret_fin)
{
	const struct tcp_endpoint *local = &at->conn->talk.local;

	if (local->flags & (EP_FIN_PENDING | EP_FIN_RECEIVED)) {
		*ret_fin = local->rcv_fin;
		return at->finding->fins >= UNPROCESSED_FINS;
	}
	*ret_fin = at->finding->refused_fin;
	return at->conn->evidence & EVIDENCE_FIN_REFUSED;
}

/* The look is at a full socket that has not come as far as the FIN that arrived. */
static bool fin_is_not_taken(const struct circumstances *at, const char **ret_reason)
{
	const struct endpoint_facts facts = conn_facts(at->look);
	seq_t fin;

	if (!fin_that_came(at, &fin) || !(facts.known & KNOWN_RCV_NXT) ||
	    seq_gt(facts.rcv_nxt, fin) || at->now_ns - at->parted_ns < UNPROCESSED_NS)
		return false;
	*ret_reason = at->drop_reason;
	if (!at->drop_reason && facts.rcv_nxt != fin)
		*ret_reason = "data_missing";
	return true;
}

static bool fin_is_queued(const struct circumstances *at, const char **ret_reason)
{
	const struct rec_snapshot *look = at->look;

	(void)ret_reason;
	return 1u << look->state & K_FIN_OUT && seq_lt(look->vars.snd_nxt, look->vars.write_seq);
}

static bool fin_is_stalled(const struct circumstances *at, const char **ret_reason)
{
	uint64_t since_ns = at->finding->progress_ns;

	return fin_is_queued(at, ret_reason) && since_ns &&
	       at->now_ns - since_ns >= COMPARE_STALLED_NS;
}

static bool gave_up(const struct circumstances *at, const char **ret_reason)
{
	switch (at->conn->kernel.cause) {
	case CLOSED_BY_TIMEOUT:
		*ret_reason = "timeout";
		return true;
	case CLOSED_BY_UNREACHABLE:
		*ret_reason = "unreachable";
		return true;
	default:
		return false;
	}
}

static bool was_never_there(const struct circumstances *at, const char **ret_reason)
{
	(void)ret_reason;
	return at->conn->kernel.cause == CLOSED_BY_TIME_WAIT &&
	       !(at->conn->flags & CONN_MINISOCKET_SEEN) &&
	       at->now_ns - at->conn->time_wait_ns < NEVER_THERE_NS;
}

/* First match wins; the more certain evidence stands first. Rows are those of KERNEL.md §6. */
static const struct {
	uint32_t wire, kernel;
	rule_holds holds;
	enum divergence_kind kind;
	bool owned, ends;
	const char *when;
} rules[] = {
	/* row 12 */
	{ W_ANY, K_ANY, owner_is_stuck, DIVERGENCE_STUCK_OWNER, true, false,
	  "three looks in a row, over two seconds, found the socket owned or backlogged" },
	/* row 24 */
	{ W(CLOSED), K(SYN_SENT), syn_was_dropped, DIVERGENCE_SYN_UNSENT, false, false,
	  "the kernel dropped the SYN on its way out" },
	/* rows 3, 13: the wire is ahead because the segment died before TCP */
	{ W(LISTEN) | W_SYNCHRONIZED | W(SYN_RECEIVED), K_ANY & ~K(CLOSE), filtered,
	  DIVERGENCE_SEGMENT_FILTERED, false, false,
	  "the kernel dropped a segment that arrived, for a reason that lies before TCP" },
	/* row 6 */
	{ W(LISTEN), K_GONE | K(NEW_SYN_RECV), synack_dropped, DIVERGENCE_SYN_DROPPED, false, false,
	  "the kernel dropped the SYN-ACK on its way out" },
	{ W(LISTEN), K_GONE, syn_refused, DIVERGENCE_SYN_DROPPED, false, false,
	  "the listener drops, and a queue was full when the SYN came; or it came twice" },
	/* rows 1, 5: a final ACK, and what the peer sent after it, on a full accept queue */
	{ W(ESTABLISHED) | W(CLOSE_WAIT), K(NEW_SYN_RECV) | K(LISTEN) | K(NONE), accept_queue_full,
	  DIVERGENCE_ACCEPT_QUEUE_OVERFLOW, false, false,
	  "the accept queue was full when the final ACK came, or the request waits for room" },
	/* row 2 */
	{ W(ESTABLISHED) | W(CLOSE_WAIT), K(NEW_SYN_RECV), deferred, DIVERGENCE_DEFERRED_ACCEPT,
	  false, false, "the request has its final ACK and waits for data" },
	/* row 13 */
	{ W_SYNCHRONIZED | W(TIME_WAIT), K_FIN_AWAITED, fin_is_not_taken,
	  DIVERGENCE_FIN_UNPROCESSED, false, false,
	  "the FIN came twice, a second ago, and RCV.NXT has not reached it" },
	/* row 16 */
	{ W(ESTABLISHED) | W(CLOSE_WAIT), K_FIN_OUT, fin_is_stalled, DIVERGENCE_FIN_STALLED, false,
	  false, "SND.NXT is before the FIN, and nothing was acknowledged for ten seconds" },
	{ W(ESTABLISHED) | W(CLOSE_WAIT), K_FIN_OUT, fin_is_queued, DIVERGENCE_FIN_QUEUED, false,
	  false, "SND.NXT is before the FIN" },
	/* Our FIN or RST died on its way out: the peer knows nothing of it. */
	{ W(ESTABLISHED) | W(CLOSE_WAIT), K_FIN_OUT, sent_was_dropped, DIVERGENCE_PEER_UNAWARE,
	  false, false, "the kernel dropped our FIN on its way out" },
	{ W_SYNCHRONIZED, K_GONE, sent_was_dropped, DIVERGENCE_PEER_UNAWARE, false, true,
	  "the kernel dropped our RST, or our last FIN, on its way out" },
	/* row 21: whether the peer could know is told by whether it acknowledged our FIN */
	{ W_FIN_UNACKED, K_GONE, gave_up, DIVERGENCE_PEER_UNAWARE, false, true,
	  "a timer or ICMP closed the socket, and our FIN was never acknowledged" },
	{ W_SYNCHRONIZED & ~W_FIN_UNACKED, K_GONE, gave_up, DIVERGENCE_SILENT_CLOSE, false, true,
	  "a timer or ICMP closed the socket, and no FIN or RST said so" },
	/* row 19 */
	{ W(TIME_WAIT), K_GONE, was_never_there, DIVERGENCE_TIME_WAIT_MISSING, false, true,
	  "a clean close, and two looks right after it found no minisocket" },
};

static const struct moment_rule moments[] = {
	/* row 26 */
	{ W(SYN_SENT), MOMENT_STEP, EV_SEND_REFUSAL, DIVERGENCE_SYNACK_REFUSED, NULL,
	  "a RST left that does not end the connect()" },
	/* row 14: of each only when the socket is seen to live on, see resets.c */
	{ W_SYNCHRONIZED, MOMENT_STEP, EV_RCV_RST_IN_WINDOW, DIVERGENCE_RESET_IGNORED, NULL,
	  "RST in the window, not at RCV.NXT; three are forged_reset" },
	{ W_SYNCHRONIZED, MOMENT_STEP, EV_RCV_RST_OUTSIDE, DIVERGENCE_RESET_IGNORED, NULL,
	  "RST outside the window; three are forged_reset" },
	/* row 15, from the minisocket */
	{ W(FIN_WAIT_2), MOMENT_STEP, EV_SEND_RST, DIVERGENCE_DATA_AFTER_CLOSE, NULL,
	  "a RST left for an orphan in FIN_WAIT_2" },
	/* row 19 */
	{ W(TIME_WAIT), MOMENT_STEP, EV_SEND_SYN, DIVERGENCE_TIME_WAIT_REUSED, "active",
	  "connect() took the ports" },
	{ W(TIME_WAIT), MOMENT_STEP, EV_RCV_SYN_NEW, DIVERGENCE_TIME_WAIT_REUSED, "passive",
	  "a newer SYN came" },
	/* row 22 */
	{ W_ANY, MOMENT_CLOSE, CLOSED_BY_KILLED, DIVERGENCE_KILLED, NULL, "sk_err ECONNABORTED" },
	/* row 15 */
	{ W_ANY, MOMENT_CLOSE, CLOSED_BY_DATA_AFTER_CLOSE, DIVERGENCE_DATA_AFTER_CLOSE, NULL,
	  "sk_err ECONNRESET after close(), and no RST came" },
	/* row 10 */
	{ W_ANY, MOMENT_CLOSE, CLOSED_BY_NEVER_ACCEPTED, DIVERGENCE_NEVER_ACCEPTED, NULL,
	  "closed without shutdown, right after its listener" },
	/* row 20 */
	{ W_ANY, MOMENT_CLOSE, CLOSED_BY_LINGER2, DIVERGENCE_FIN_WAIT_2_TIMEOUT, "linger2",
	  "TCP_LINGER2 < 0" },
	{ W_ANY, MOMENT_CLOSE, CLOSED_BY_MEMORY, DIVERGENCE_ORPHAN_ABORTED, NULL,
	  "an orphan closed without an error, and its FIN was not acknowledged" },
	/* row 7 */
	{ W(SYN_RECEIVED), MOMENT_VANISHED, KS_NEW_SYN_RECV, DIVERGENCE_REQUEST_EXPIRED, NULL,
	  "a look misses the request" },
	/* row 18 */
	{ W(FIN_WAIT_2), MOMENT_VANISHED, KS_FIN_WAIT2, DIVERGENCE_FIN_WAIT_2_TIMEOUT, NULL,
	  "a look misses the orphan's minisocket: it ran out, or ss -K" },
	/* row 19 */
	{ W(TIME_WAIT), MOMENT_VANISHED, KS_TIME_WAIT, DIVERGENCE_KILLED, "minisocket",
	  "looks miss a minisocket that was seen, and no RST or SYN came" },
	{ W(CLOSED), MOMENT_VANISHED, KS_TIME_WAIT, DIVERGENCE_TIME_WAIT_ASSASSINATED, NULL,
	  "a RST came in TIME_WAIT, and a look misses the minisocket" },
};

bool compare_agree(const struct conn *conn)
{
	enum fsm_state wire = conn_local_state(conn);

	if (!(conn->flags & CONN_WIRE_SEEN))
		/* The tap need not see everything; but a SYN that the kernel dropped is none. */
		return conn->kernel.state != KS_SYN_SENT ||
		       !(conn->evidence & EVIDENCE_SENT_DROPPED);
	if (dialogue_syn_unanswered(&conn->talk) || conn->flags & CONN_RESET_HELD ||
	    conn->evidence & EVIDENCE_FIN_REFUSED)
		return false;
	if (fsm_is_synchronized(wire) && dialogue_fin_pending(&conn->talk))
		return false;
	/* A cookie's handshake has no socket: the listener stands for it. */
	if (wire == FSM_SYN_RECEIVED && conn->evidence & EVIDENCE_COOKIE &&
	    (conn->kernel.state == KS_LISTEN || conn->kernel.state == KS_NONE))
		return true;
	return kview_may_stand_beside(wire, conn->kernel.state, conn->kernel.substate);
}

bool compare_listener_dropped(const struct finding *finding, const struct rec_snapshot *look)
{
	return look->state == KS_LISTEN && look->bits & SNAP_QUEUES &&
	       look->queues.drops != finding->syn_drops;
}

struct verdict compare_explain(const struct circumstances *at)
{
	uint32_t wire = 1u << conn_local_state(at->conn), kernel = 1u << at->conn->kernel.state;
	bool owned = at->look->bits & SNAP_OWNED || at->look->backlog_bytes;

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		struct verdict verdict = { .divergent = true,
					   .ends = rules[i].ends,
					   .kind = rules[i].kind };

		if (rules[i].owned == owned && rules[i].wire & wire && rules[i].kernel & kernel &&
		    rules[i].holds(at, &verdict.reason))
			return verdict;
	}
	return (struct verdict){ .divergent = false };
}

bool compare_rule_at(size_t index, struct compare_rule *ret)
{
	if (index >= ARRAY_SIZE(rules))
		return false;
	*ret = (struct compare_rule){ rules[index].wire, rules[index].kernel, rules[index].kind,
				      rules[index].ends, rules[index].when };
	return true;
}

/* Of nearly all steps there is no rule: those that any rule is about. */
static bool is_momentous(enum moment_trigger trigger, uint8_t what)
{
	const uint64_t steps = 1ull << EV_SEND_SYN | 1ull << EV_SEND_RST | 1ull << EV_SEND_REFUSAL |
			       1ull << EV_RCV_RST_IN_WINDOW | 1ull << EV_RCV_RST_OUTSIDE |
			       1ull << EV_RCV_SYN_NEW;

	return trigger != MOMENT_STEP || steps & 1ull << what;
}

const struct moment_rule *compare_moment(enum moment_trigger trigger, uint8_t what,
					 enum fsm_state wire)
{
	if (!is_momentous(trigger, what))
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(moments); i++)
		if (moments[i].trigger == trigger && moments[i].what == what &&
		    moments[i].wire & 1u << wire)
			return &moments[i];
	return NULL;
}

const struct moment_rule *compare_moment_at(size_t index)
{
	return index < ARRAY_SIZE(moments) ? &moments[index] : NULL;
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
		"NEIGH_CREATEFAIL",
		"NEIGH_FAILED",
		"NEIGH_QUEUEFULL",
		"NEIGH_DEAD",
		"NEIGH_HH_FILLFAIL",
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
