/* SPDX-License-Identifier: GPL-2.0-only */
/* One connection: see conn.h. */
#include "track/conn.h"

#include <string.h>

#include "tcp_defs.h"

#define COUNT_SHIFT 60u

uint8_t state_path_count(const struct state_path *path)
{
	return (uint8_t)(path->nibbles >> COUNT_SHIFT);
}

void state_path_push(struct state_path *path, uint8_t state)
{
	unsigned int shift;

	if (state_path_count(path) < PATH_MAX_STATES)
		path->nibbles += 1ull << COUNT_SHIFT;
	shift = 4u * (state_path_count(path) - 1u);
	path->nibbles &= ~(0xfull << shift);
	path->nibbles |= (uint64_t)state << shift;
}

uint8_t state_path_at(const struct state_path *path, uint8_t index)
{
	return (path->nibbles >> (4u * index)) & 0xf;
}

void conn_begin(struct conn *conn, uint64_t now_ns, uint16_t epoch)
{
	conn->opened_ns = now_ns;
	conn->epoch = epoch;
	conn->role = ROLE_UNKNOWN;
	conn->end = END_UNKNOWN;
	conn->open_kind = CONN_NO_KIND;
}

enum fsm_state conn_local_state(const struct conn *conn)
{
	return conn->talk.local.state;
}

uint64_t conn_last_ns(const struct conn *conn)
{
	if (conn->flags & CONN_CHANGED_LAST)
		return conn->changed_ns;
	return conn->segment_ns ? conn->segment_ns : conn->opened_ns;
}

void conn_set_unobservable(struct conn *conn, enum unobservable_reason why)
{
	if (conn->flags & CONN_UNOBSERVABLE)
		return;
	conn->flags |= CONN_UNOBSERVABLE;
	conn->why = why;
}

void conn_weigh_queues(struct conn *conn, const struct rec_snapshot *snapshot, uint8_t tcp_flags)
{
	bool syn = tcp_flags & TCPF_SYN;
	bool accept_full, syn_full;

	if (!(snapshot->bits & SNAP_QUEUES) || tcp_flags & TCPF_RST)
		return;
	/* linux include/net/sock.h:sk_acceptq_is_full; the SYN queue's test is > or >= by point
	 * release (KERNEL.md §2): the lenient reading is evidence only where a SYN went unanswered. */
	accept_full = snapshot->queues.accept_length > snapshot->queues.accept_limit;
	syn_full = snapshot->queues.syn_length >= snapshot->queues.accept_limit;
	if (syn && accept_full)
		conn->evidence |= EVIDENCE_ACCEPT_FULL_AT_SYN;
	if (syn && syn_full)
		conn->evidence |= EVIDENCE_SYN_QUEUE_FULL;
	if (syn && snapshot->syn_bits & SNAP_SYN_LAST_QUARTER)
		conn->evidence |= EVIDENCE_LAST_QUARTER;
	if (!syn && accept_full)
		conn->evidence |= EVIDENCE_ACCEPT_FULL_AT_ACK;
}

static bool fin_is_queued(uint8_t state)
{
	return state == KS_FIN_WAIT1 || state == KS_CLOSING || state == KS_LAST_ACK;
}

struct endpoint_facts conn_facts(const struct rec_snapshot *snapshot)
{
	struct endpoint_facts facts = { 0 };

	if (snapshot->bits & SNAP_QUEUES)
		return facts;
	switch (snapshot->state) {
	case KS_ESTABLISHED:
	case KS_CLOSE_WAIT:
	case KS_FIN_WAIT1:
	case KS_FIN_WAIT2:
	case KS_CLOSING:
	case KS_LAST_ACK:
	case KS_TIME_WAIT:
		/* Before these a full socket still holds the variables of a recycled or cloned one. */
		facts.known = KNOWN_SND_UNA | KNOWN_SND_NXT | KNOWN_RCV_NXT;
		facts.snd_una = snapshot->vars.snd_una;
		/* A FIN counts from the moment it is queued: the state says so, snd_nxt does not. */
		facts.snd_nxt = fin_is_queued(snapshot->state) ? snapshot->vars.write_seq :
								 snapshot->vars.snd_nxt;
		facts.rcv_nxt = snapshot->vars.rcv_nxt;
		/* What waits in the backlog has been seen on the wire already. */
		facts.lagging = snapshot->bits & SNAP_OWNED || snapshot->backlog_bytes;
		return facts;
	default:
		return facts;
	}
}

void conn_note_fin(struct conn *conn, bool sent)
{
	conn->flags |= sent ? CONN_LOCAL_FIN : CONN_REMOTE_FIN;
	if (conn->end == END_UNKNOWN)
		conn->end = sent ? END_LOCAL_CLOSE : END_REMOTE_CLOSE;
}

void conn_note_reset(struct conn *conn, bool sent, enum fsm_state from)
{
	/* In TIME_WAIT the connection has ended already; a RST there only ends the waiting. */
	if (from == FSM_CLOSED || from == FSM_TIME_WAIT)
		return;
	if (!sent && from == FSM_SYN_SENT)
		conn->end = END_REFUSED;
	else
		conn->end = sent ? END_LOCAL_RESET : END_REMOTE_RESET;
}

static uint8_t copy_path(const struct state_path *path, uint8_t states[PATH_MAX_STATES])
{
	uint8_t count = state_path_count(path);

	for (uint8_t i = 0; i < count; i++)
		states[i] = state_path_at(path, i);
	return count;
}

enum connection_end conn_ended(const struct conn *conn)
{
	if (conn->flags & CONN_CROSSED_FINS &&
	    (conn->end == END_LOCAL_CLOSE || conn->end == END_REMOTE_CLOSE))
		return END_SIMULTANEOUS_CLOSE;
	return conn->end;
}

void conn_report(const struct conn *conn, struct connection_report *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->key = conn->key;
	ret->role = conn->role;
	ret->end = conn_ended(conn);
	ret->opened_ns = conn->opened_ns;
	ret->last_ns = conn_last_ns(conn);
	ret->local_state = conn->talk.local.state;
	ret->remote_state = conn->talk.remote.state;
	ret->kernel_state = conn->kernel.state;
	ret->kernel_substate = conn->kernel.substate;
	ret->local_steps = copy_path(&conn->local_path, ret->local_path);
	ret->remote_steps = copy_path(&conn->remote_path, ret->remote_path);
	ret->kernel_steps = copy_path(&conn->kernel_path, ret->kernel_path);
	ret->divergences = conn->divergences;
	ret->anomalies = conn->anomalies;
	ret->seen = conn->seen;
	ret->observable = !(conn->flags & CONN_UNOBSERVABLE);
	ret->why = conn->why;
	ret->cookie = conn->kernel.cookie;
}
