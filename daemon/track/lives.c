/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The lives of connections: how one begins, moves in either view, and ends; with every counter
 * and gauge that says so.
 */
#include <string.h>

#include "track/tracker_parts.h"

/* How many connections are looked at to find one that may be given up. */
#define EVICT_SEARCH 256u

bool tracker_is_stale(const struct tracker *tracker, const struct conn *conn)
{
	return conn->epoch != tracker->epoch;
}

static bool is_counted(enum fsm_state state)
{
	/* LISTEN is a listener's, not a connection's: a SYN that waits there is no connection. */
	return state != FSM_CLOSED && state != FSM_LISTEN;
}

static void move_gauge(struct tracker *tracker, const struct conn *conn, enum connection_view view,
		       enum fsm_state from, enum fsm_state to)
{
	struct tracked_space *space;

	if (from == to)
		return;
	space = tracker_space(tracker, conn->key.netns);
	if (is_counted(from)) {
		tracker->stats.connections[view][from]--;
		if (space)
			space->connections[view][from]--;
	}
	if (is_counted(to)) {
		tracker->stats.connections[view][to]++;
		if (space)
			space->connections[view][to]++;
	}
}

static enum fsm_state kernel_as_fsm(const struct conn *conn)
{
	return kview_as_fsm(conn->kernel.state, conn->kernel.substate);
}

#define RANK_MAX 4

/*
 * DESIGN §5: half-open first, then TIME_WAIT. 0 = never; but a capture has connections that ended
 * unseen, and no end of them.
 */
static int eviction_rank(const struct tracker *tracker, const struct conn *conn)
{
	if (conn->flags & CONN_REPORTED)
		return RANK_MAX;
	switch (conn_local_state(conn)) {
	case FSM_LISTEN:
	case FSM_SYN_SENT:
	case FSM_SYN_RECEIVED:
		return 3;
	case FSM_TIME_WAIT:
		return 2;
	default:
		return tracker->settings.wire_only ? 1 : 0;
	}
}

/* Gives up one connection of the highest rank near the hand. False: none may be given up. */
static bool evict(struct tracker *tracker, uint64_t now_ns)
{
	uint32_t span = flowtable_span(tracker->table), victim = FLOW_NONE;
	int best = 0;

	for (uint32_t i = 0; i < EVICT_SEARCH && i < span && best < RANK_MAX; i++) {
		const struct conn *conn;

		tracker->evict_hand = (tracker->evict_hand + 1) % span;
		conn = flowtable_at(tracker->table, tracker->evict_hand);
		if (!conn->in_use || eviction_rank(tracker, conn) <= best)
			continue;
		best = eviction_rank(tracker, conn);
		victim = tracker->evict_hand;
	}
	if (victim == FLOW_NONE)
		return false;
	tracker->stats.evictions++;
	conn_set_unobservable(flowtable_at(tracker->table, victim), UNOBSERVABLE_EVICTED);
	tracker_finish(tracker, victim, now_ns);
	return true;
}

/* There is no room for this connection: each of its records asks anew, but it is one. */
static void turn_away(struct tracker *tracker, const struct conn_key *key)
{
	struct conn_key *last = &tracker->turned_away[key->remote_port % TURNED_AWAY_NR];

	if (!memcmp(last, key, sizeof(*key)))
		return;
	*last = *key;
	tracker->stats.evictions++;
	tracker->stats.unobservable[UNOBSERVABLE_EVICTED]++;
}

uint32_t tracker_begin(struct tracker *tracker, const struct conn_key *key, uint64_t now_ns)
{
	uint32_t handle = flowtable_add(tracker->table, key);

	if (handle == FLOW_NONE) {
		if (evict(tracker, now_ns))
			handle = flowtable_add(tracker->table, key);
		if (handle == FLOW_NONE) {
			turn_away(tracker, key);
			return FLOW_NONE;
		}
	}
	tracker_unbury(tracker, key);
	conn_begin(flowtable_at(tracker->table, handle), now_ns, tracker->epoch);
	flowtable_at(tracker->table, handle)->life = ++tracker->lives;
	tracker_tell(tracker, flowtable_at(tracker->table, handle), ENTRY_BEGAN, now_ns);
	tracker->stats.entries = flowtable_count(tracker->table);
	return handle;
}

static void settle_accounts(struct tracker *tracker, struct conn *conn)
{
	struct tracker_stats *stats = &tracker->stats;

	move_gauge(tracker, conn, VIEW_WIRE, conn_local_state(conn), FSM_CLOSED);
	move_gauge(tracker, conn, VIEW_KERNEL, kernel_as_fsm(conn), FSM_CLOSED);
	tracker_mark_sampled(tracker, conn);
	/* A SYN that never left is a divergence and no riddle. */
	if (!(conn->flags & CONN_WIRE_SEEN) && !conn->divergences)
		conn_set_unobservable(conn, tracker_was_left_out(tracker, &conn->key) ?
						    UNOBSERVABLE_SAMPLED :
						    UNOBSERVABLE_UNTAPPED);
	if (conn->flags & CONN_UNOBSERVABLE)
		stats->unobservable[conn->why]++;
	if (__builtin_popcount(conn->compared) >= 2)
		stats->compared_in_two++;
}

void tracker_report_end(struct tracker *tracker, struct conn *conn, uint64_t now_ns)
{
	struct connection_report report;

	tracker_close_divergence(tracker, conn, now_ns);
	tracker_end_conditions(tracker, conn);
	settle_accounts(tracker, conn);
	tracker_tell(tracker, conn, ENTRY_ENDED, now_ns);
	tracker_report(tracker, conn, &report);
	report.closed_ns = now_ns;
	tracker->stats.closed[report.role][report.end]++;
	if (tracker->ops.event) {
		const struct track_event event = { .type = TRACK_CONNECTION,
						   .ts_ns = now_ns,
						   .connection = &report };

		tracker->ops.event(tracker->ops.context, &event);
	}
	conn->flags |= CONN_REPORTED;
}

void tracker_finish(struct tracker *tracker, uint32_t handle, uint64_t now_ns)
{
	struct conn *conn = flowtable_at(tracker->table, handle);

	if (!(conn->flags & CONN_REPORTED))
		tracker_report_end(tracker, conn, now_ns);
	tracker_bury(tracker, conn, now_ns);
	tracker_end_conditions(tracker, conn);
	tracker_drop_finding(tracker, conn);
	deadlines_drop(&tracker->wheel, handle);
	flowtable_remove(tracker->table, handle);
	tracker->stats.entries = flowtable_count(tracker->table);
}

void tracker_forget(struct tracker *tracker, uint32_t handle, uint64_t now_ns)
{
	struct conn *conn = flowtable_at(tracker->table, handle);

	conn_set_unobservable(conn, UNOBSERVABLE_NOT_LOCAL);
	if (!conn->divergences) {
		move_gauge(tracker, conn, VIEW_WIRE, conn_local_state(conn), FSM_CLOSED);
		move_gauge(tracker, conn, VIEW_KERNEL, kernel_as_fsm(conn), FSM_CLOSED);
		tracker_tell(tracker, conn, ENTRY_ENDED, now_ns);
		conn->flags |= CONN_REPORTED;
	}
	tracker_finish(tracker, handle, now_ns);
}

static void take_local_step(struct tracker *tracker, struct conn *conn, const struct fsm_step *step,
			    uint64_t now_ns)
{
	struct tracker_stats *stats = &tracker->stats;

	if (step->anomaly != AN_NONE) {
		stats->anomalies[step->anomaly]++;
		conn->anomalies |= 1u << step->anomaly;
	}
	if (step->verdict == V_REARM || (step->to == FSM_TIME_WAIT && step->from != step->to))
		conn->time_wait_ns = now_ns;
	tracker_step_moment(tracker, conn, step, now_ns);
	if (step->from == step->to)
		return;
	if (step->event == EV_SEND_RST)
		conn->flags |= CONN_RESET_SENT;
	stats->transitions[VIEW_WIRE][step->from][step->to]++;
	move_gauge(tracker, conn, VIEW_WIRE, step->from, step->to);
	state_path_push(&conn->local_path, step->to);
	if (step->to == FSM_ESTABLISHED && conn->flags & CONN_HANDSHAKE_SEEN)
		duration_observe(&stats->handshakes[conn->role], now_ns - conn->opened_ns);
	if (step->to == FSM_CLOSING)
		conn->flags |= CONN_CROSSED_FINS;
}

void tracker_take_steps(struct tracker *tracker, struct conn *conn,
			const struct dialogue_steps *steps, uint64_t now_ns)
{
	if (tracker->ops.told)
		tracker_note_steps(tracker, steps);
	for (uint8_t i = 0; i < steps->local.count; i++)
		take_local_step(tracker, conn, &steps->local.at[i], now_ns);
	for (uint8_t i = 0; i < steps->remote.count; i++)
		if (steps->remote.at[i].from != steps->remote.at[i].to)
			state_path_push(&conn->remote_path, steps->remote.at[i].to);
}

void tracker_adopt_wire(struct tracker *tracker, struct conn *conn, enum fsm_state state,
			const struct endpoint_facts *facts)
{
	enum fsm_state from = conn_local_state(conn), far = conn->talk.remote.state;
	bool capture = tracker->settings.wire_only;

	move_gauge(tracker, conn, VIEW_WIRE, from, state);
	dialogue_adopt(&conn->talk, state, facts, !capture);
	conn->flags |= CONN_WIRE_SEEN;
	if (from != state)
		state_path_push(&conn->local_path, state);
	/* There both ends are seen alike; live, the far one's past is a guess. */
	if (capture && is_counted(conn->talk.remote.state) && far != conn->talk.remote.state)
		state_path_push(&conn->remote_path, conn->talk.remote.state);
}

void tracker_assume_kernel(struct tracker *tracker, struct conn *conn, uint8_t state,
			   uint8_t substate)
{
	move_gauge(tracker, conn, VIEW_KERNEL, kernel_as_fsm(conn), kview_as_fsm(state, substate));
	if (conn->conditions && conn->kernel.state != state)
		tracker_end_conditions(tracker, conn);
	if (conn->kernel.state != state && state != KS_LISTEN && state != KS_NONE)
		state_path_push(&conn->kernel_path, state);
	conn->kernel.state = state;
	conn->kernel.substate = substate;
}

void tracker_set_kernel(struct tracker *tracker, struct conn *conn, uint8_t state, uint8_t substate)
{
	enum fsm_state from = kernel_as_fsm(conn), to = kview_as_fsm(state, substate);

	/* A listener found by a lookup is no move of this connection's socket. */
	if (from != to && to != FSM_LISTEN)
		tracker->stats.transitions[VIEW_KERNEL][from][to]++;
	if (conn->role == ROLE_SERVER && fsm_is_synchronized(to))
		tracker_count_opened(tracker, conn, ROLE_SERVER);
	tracker_assume_kernel(tracker, conn, state, substate);
}

void tracker_count_opened(struct tracker *tracker, struct conn *conn, enum connection_role role)
{
	if (conn->flags & CONN_OPENED)
		return;
	/* Its child was born untold: BPF has counted it. */
	if (role == ROLE_SERVER && !conn->changed_ns && tracker_is_sampled(tracker, conn))
		return;
	conn->flags |= CONN_OPENED;
	tracker->stats.opened[role]++;
}
