/* SPDX-License-Identifier: GPL-2.0-only */
/* When a connection is to be looked at: what it waits for, and how long that may take. */
#include <sys/param.h>

#include "tcp_defs.h"
#include "track/tracker_parts.h"
#include "util.h"

/* Looks are repeated at settle << tries up to this shift. */
#define BACKOFF_SHIFT_MAX 5u
#define OWNED_SHIFT_MAX 2u

/* A handshake of which the kernel holds nothing, without a word for this long, has ended: no gap
 * between SYNs is longer (tcp_syn_retries = 6: 32 s, then 64 s of waiting). */
#define HALF_OPEN_IDLE_NS (65 * NS_PER_SEC)
/* A SYN nobody answers is sent again after 1 s, or 3 s by older stacks (RFC 6298 §2.1), and then
 * after twice the gap before: who is silent for longer has given up. */
#define FIRST_SYN_GAP_NS (4 * NS_PER_SEC)

/* Minisockets vanish silently: how often one that ought to be gone is asked for. Sweeps find out as
 * well; but one socket whose lock is held keeps them waiting (sweep_reader.h). */
#define MINISOCKET_POLL_NS (1 * NS_PER_SEC)
#define ORPHAN_POLL_NS (2 * NS_PER_SEC)

static bool kernel_gone(const struct conn *conn)
{
	return kview_is_gone(conn->kernel.state);
}

static bool wire_over(const struct conn *conn)
{
	return conn_local_state(conn) == FSM_CLOSED;
}

/* How long a poll of a silent socket waits; 0 = it need not be polled. */
static uint64_t poll_interval(const struct tracker *tracker, const struct conn *conn)
{
	const struct kview *kernel = &conn->kernel;

	if (conn->doubt > DOUBT_SEED || conn->flags & CONN_PROBING)
		return tracker->settings.settle_ns;
	if (kernel->state == KS_NEW_SYN_RECV)
		return NS_PER_SEC << MIN(conn->tries, BACKOFF_SHIFT_MAX);
	if (kernel->state != KS_TIME_WAIT)
		return 0;
	if (kernel->substate == KS_FIN_WAIT2)
		return ORPHAN_POLL_NS << MIN(conn->tries, BACKOFF_SHIFT_MAX);
	if (!(conn->flags & CONN_WIRE_SEEN) || wire_over(conn))
		return MINISOCKET_POLL_NS;
	return 0;
}

static bool waits_for_peer(const struct conn *conn)
{
	enum fsm_state wire = conn_local_state(conn);

	if (!(conn->flags & CONN_WIRE_SEEN))
		return false;
	return wire == FSM_LISTEN || (wire <= FSM_SYN_RECEIVED && kernel_gone(conn));
}

/* When the silence of a peer that waits_for_peer() has lasted too long. */
static uint64_t patience_ends(const struct tracker *tracker, const struct conn *conn)
{
	const struct finding *finding = tracker_finding(tracker, conn);
	uint64_t gap_ns = finding ? finding->syn_gap_ns * 5 / 2 : 0;

	if (conn_local_state(conn) != FSM_LISTEN)
		return conn_last_ns(conn) + HALF_OPEN_IDLE_NS;
	return conn_last_ns(conn) + MIN(MAX(gap_ns, FIRST_SYN_GAP_NS), 2 * HALF_OPEN_IDLE_NS);
}

bool tracker_is_abandoned(const struct tracker *tracker, const struct conn *conn, uint64_t now_ns)
{
	return waits_for_peer(conn) && patience_ends(tracker, conn) <= now_ns;
}

/* Looks at views that differ come at growing distances; a held lock is looked at more often. */
static uint64_t parted_due(const struct tracker *tracker, const struct conn *conn)
{
	const struct finding *finding = tracker_finding(tracker, conn);
	uint64_t since_ns = MAX(conn->parted_ns, conn->looked_ns);
	bool owned = finding && finding->owned_looks;
	unsigned int shift = MIN(conn->tries, owned ? OWNED_SHIFT_MAX : BACKOFF_SHIFT_MAX);
	uint64_t due_ns = since_ns + (tracker->settings.settle_ns << shift);

	if (conn->open_kind == DIVERGENCE_FIN_QUEUED)
		due_ns = MIN(due_ns, MAX(finding->progress_ns + COMPARE_STALLED_NS,
					 since_ns + tracker->settings.settle_ns));
	return due_ns;
}

/* Looks that are owed to something else than a difference. */
static uint64_t other_due(const struct tracker *tracker, const struct conn *conn)
{
	const struct finding *finding = tracker_finding(tracker, conn);
	uint64_t due_ns = tracker_condition_due(tracker, conn);
	uint64_t poll_ns = poll_interval(tracker, conn);

	if (poll_ns)
		due_ns = MIN(due_ns, MAX(conn->looked_ns, conn_last_ns(conn)) + poll_ns);
	if (finding && finding->resets_unsettled)
		due_ns = MIN(due_ns, finding->reset_ns + tracker->settings.settle_ns);
	return due_ns;
}

uint64_t tracker_next_due(const struct tracker *tracker, const struct conn *conn)
{
	uint64_t due_ns = UINT64_MAX;

	if (conn->flags & CONN_WIRE_SEEN && conn_local_state(conn) == FSM_TIME_WAIT)
		due_ns = conn->time_wait_ns + tracker->settings.time_wait_ns;
	if (waits_for_peer(conn))
		due_ns = MIN(due_ns, patience_ends(tracker, conn));
	if (tracker->settings.wire_only)
		return due_ns;
	return MIN(due_ns, conn->parted_ns ? parted_due(tracker, conn) : other_due(tracker, conn));
}
