/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parts of the tracker share, and nobody else includes. */
#ifndef TCPWITNESS_TRACKER_PARTS_H
#define TCPWITNESS_TRACKER_PARTS_H

#include "config.h"
#include "tcp_defs.h"
#include "track/allowance.h"
#include "track/compare.h"
#include "track/conn.h"
#include "track/deadlines.h"
#include "track/entry.h"
#include "track/findings.h"
#include "track/flowtable.h"
#include "track/graves.h"
#include "track/sampled.h"
#include "track/tracker.h"

/* Steps taken since the last line was told. */
struct noted_steps {
	uint8_t nr_local, nr_remote;
	struct track_step local[TRACK_ENTRY_STEPS / 2], remote[TRACK_ENTRY_STEPS / 2];
};

/* See sweeps.c. */
struct sweeping {
	uint64_t begin_ns;	/* of the sweep that runs; 0 = none */
	uint64_t walk_begin_ns; /* of the complete one that the walk is about */
	uint32_t cursor, left;	/* of the walk: the next handle, how many are left */
	uint16_t number, walk_number;
	uint16_t epoch;		  /* when it began */
	uint16_t confirmed_epoch; /* of the last complete one */
	bool seeded;		  /* there was a complete one */
};

/* A listener's, or all clients' of an address, minisockets that are missing: see minisockets.c. */
struct overflow {
	struct conn_key key; /* remote: none; a client's local port: 0 */
	uint64_t id, since_ns, missed_ns;
	uint32_t count;
	uint8_t role; /* enum connection_role */
};

#define OVERFLOWS_MAX 64u

/* A listener that has closed: its children may be closed with it. */
struct closed_listener {
	struct conn_key key;
	uint64_t ts_ns;
};

#define CLOSED_LISTENERS_MAX 16u

/* Connections that found no room are told apart among so many. */
#define TURNED_AWAY_NR 1024u

struct tracker {
	struct tracker_settings settings;
	struct tracker_ops ops;
	struct tracker_stats stats;
	struct flowtable *table;
	struct deadlines wheel;
	struct sweeping sweep;
	struct tracked_space *spaces;
	uint32_t space_numbers[NAMESPACES_MAX]; /* of spaces[i]: side by side, for the search */
	size_t nr_spaces, last_space; /* last_space: most probably the next one asked for */
	uint32_t evict_hand;	      /* where the search for a victim goes on */
	struct conn_key turned_away[TURNED_AWAY_NR]; /* by remote port; counted already */
	uint32_t lives;				     /* connections begun */
	uint64_t divergences;			     /* opened: the newest one's id */
	struct noted_steps noted;
	struct findings *findings;
	struct allowance moments[DIVERGENCE_NR], probes;
	struct overflow overflows[OVERFLOWS_MAX];
	size_t nr_overflows;
	struct closed_listener closed_listeners[CLOSED_LISTENERS_MAX];
	size_t next_closed_listener;
	struct graves graves;
	struct sampled sampled;
	uint16_t epoch; /* losses so far: a connection of an older one is not trusted */
};

/* The two segments that open a connection. */
static inline bool segment_is_syn(const struct rec_segment *rec)
{
	return (rec->tcp_flags & (TCPF_SYN | TCPF_ACK | TCPF_RST)) == TCPF_SYN;
}

static inline bool segment_is_synack(const struct rec_segment *rec)
{
	return (rec->tcp_flags & (TCPF_SYN | TCPF_ACK | TCPF_RST)) == (TCPF_SYN | TCPF_ACK);
}

/* XDP runs ahead of the stack by a batch (KERNEL.md §0.6). */
static inline bool segment_is_ahead(const struct rec_segment *rec)
{
	return rec->hook == HOOK_XDP_NATIVE || rec->hook == HOOK_XDP_GENERIC;
}

/* From here on each part may call those above it, and none below. */

/* --- spaces.c: network namespaces --- */

/* NULL: no memory for another one. */
struct tracked_space *tracker_space(struct tracker *tracker, uint32_t netns);
/* It has ended, and its last connection with it. */
void tracker_drop_space(struct tracker *tracker, uint32_t netns);

/* Writes what its namespace is called. */
void tracker_name_space(const struct tracker *tracker, struct connection_report *report);

/* As conn_report, and that. */
void tracker_report(const struct tracker *tracker, const struct conn *conn,
		    struct connection_report *ret);

/* --- samples.c --- */

/* Was it not recorded whole, or may it be so? Then what is known of it is no testimony. */
bool tracker_is_sampled(const struct tracker *tracker, const struct conn *conn);
void tracker_mark_sampled(const struct tracker *tracker, struct conn *conn);
/* Was that flow left out, at any time? Then it is no surprise to meet it in mid-life. */
bool tracker_was_left_out(const struct tracker *tracker, const struct conn_key *key);

/* --- tell.c: the story, for ops.told; each does nothing without it --- */

void tracker_note_steps(struct tracker *tracker, const struct dialogue_steps *steps);
void tracker_tell_entry(struct tracker *tracker, const struct conn *conn,
			struct track_entry *entry);
void tracker_tell(struct tracker *tracker, const struct conn *conn, enum track_entry_kind kind,
		  uint64_t now_ns);
void tracker_tell_segment(struct tracker *tracker, const struct conn *conn,
			  const struct observation *seen);
void tracker_tell_drop(struct tracker *tracker, const struct conn *conn,
		       const struct observation *seen, const char *reason);
void tracker_tell_change(struct tracker *tracker, const struct conn *conn,
			 const struct observation *seen);
void tracker_tell_look(struct tracker *tracker, const struct conn *conn, uint8_t from,
		       uint64_t now_ns);
void tracker_tell_divergence(struct tracker *tracker, const struct conn *conn,
			     const struct track_event *event);

/* --- divergences.c --- */

/* Its finding, or NULL. */
struct finding *tracker_finding(const struct tracker *tracker, const struct conn *conn);

/* Taken if need be; NULL when there is no room for more (counted). */
struct finding *tracker_need_finding(struct tracker *tracker, struct conn *conn);
void tracker_drop_finding(struct tracker *tracker, struct conn *conn);

void tracker_open_divergence(struct tracker *tracker, struct conn *conn, struct verdict verdict,
			     uint64_t now_ns);
void tracker_close_divergence(struct tracker *tracker, struct conn *conn, uint64_t now_ns);

/* A divergence that is over as it happens: both events, unless a flood of them is told already. */
void tracker_moment(struct tracker *tracker, struct conn *conn, enum divergence_kind kind,
		    const char *reason, uint64_t now_ns);

/* --- conditions.c --- */

uint64_t tracker_condition_due(const struct tracker *tracker, const struct conn *conn);
void tracker_check_conditions(struct tracker *tracker, struct conn *conn, uint64_t now_ns);
void tracker_end_conditions(struct tracker *tracker, struct conn *conn);

/* For sweeps, of every socket of a known connection: does the peer acknowledge anything? */
void tracker_note_progress(struct tracker *tracker, struct conn *conn,
			   const struct rec_snapshot *snapshot, uint64_t now_ns);

/* --- strays.c: graves of connections that our RST ended --- */

void tracker_bury(struct tracker *tracker, const struct conn *conn, uint64_t now_ns);
void tracker_unbury(struct tracker *tracker, const struct conn_key *key);
void tracker_on_stray(struct tracker *tracker, const struct observation *seen);

/* --- moments.c: which of what happens is a divergence by itself --- */

/* A RST that the reference refused, or cannot judge. The stack may know better (the edge of a SACK
 * block, KERNEL.md §1.4): it was ignored only when the socket is seen to live on. */
void tracker_doubt_reset(struct tracker *tracker, struct conn *conn, uint64_t now_ns);

void tracker_step_moment(struct tracker *tracker, struct conn *conn, const struct fsm_step *step,
			 uint64_t now_ns);
void tracker_close_moment(struct tracker *tracker, struct conn *conn, uint64_t now_ns);
/* Another socket of ours takes the tuple. */
void tracker_reuse_moment(struct tracker *tracker, struct conn *conn, uint64_t now_ns);
/* `what`: enum kernel_state; of a minisocket its substate. */
void tracker_vanished_moment(struct tracker *tracker, struct conn *conn, uint8_t what,
			     uint64_t now_ns);

/* --- lives.c --- */

/* A new connection, making room when the table is full. FLOW_NONE: no room (counted). */
uint32_t tracker_begin(struct tracker *tracker, const struct conn_key *key, uint64_t now_ns);

/* Its end: closes its divergence, reports, counts. */
void tracker_report_end(struct tracker *tracker, struct conn *conn, uint64_t now_ns);

/* Reports its end unless that was done, and removes it. The handle is gone afterwards. */
void tracker_finish(struct tracker *tracker, uint32_t handle, uint64_t now_ns);

/* It was no connection of this host's: removed, and not reported unless it diverged. */
void tracker_forget(struct tracker *tracker, uint32_t handle, uint64_t now_ns);

/* What the dialogue did: counters, gauges, paths. */
void tracker_take_steps(struct tracker *tracker, struct conn *conn,
			const struct dialogue_steps *steps, uint64_t now_ns);

/* The wire's local end is declared to be in `state` (picked up in mid-life). */
void tracker_adopt_wire(struct tracker *tracker, struct conn *conn, enum fsm_state state,
			const struct endpoint_facts *facts);

/* The kernel's view moved. */
void tracker_set_kernel(struct tracker *tracker, struct conn *conn, uint8_t state,
			uint8_t substate);

/* The same for what it must have been before we came: nothing moved, so no transition counts. */
void tracker_assume_kernel(struct tracker *tracker, struct conn *conn, uint8_t state,
			   uint8_t substate);

void tracker_count_opened(struct tracker *tracker, struct conn *conn, enum connection_role role);

bool tracker_is_stale(const struct tracker *tracker, const struct conn *conn);

/* --- snapshots.c --- */

/* A lookup found this: what it says of states that no tracepoint shows (request sockets,
 * TIME_WAIT), or, when `fresh`, of any. */
void tracker_take_snapshot(struct tracker *tracker, struct conn *conn,
			   const struct rec_snapshot *snapshot, bool fresh);

/* The kernel was in this state by then: a gap in its story, if that is further than we knew. */
void tracker_kernel_was(struct tracker *tracker, struct conn *conn, uint8_t state,
			uint8_t substate);

/* --- resets.c: a RST that the stack may not have caught up with, or thinks otherwise of --- */

/* True: it is held, and the reference does not hear of it yet. */
bool tracker_hold_reset(struct tracker *tracker, struct conn *conn, const struct observation *seen);

/* The reference has just learnt where RCV.NXT is, or that nobody knows any more: now it hears of
 * the RST that was held, if there is one. */
void tracker_release_reset(struct tracker *tracker, struct conn *conn, uint64_t now_ns);

/* A look found a full socket, with these variables: the RST that was held has not closed it. */
void tracker_refuse_reset(struct tracker *tracker, struct conn *conn,
			  const struct endpoint_facts *facts, uint64_t now_ns);

/* A fresh look has found out whether the socket lives on. */
void tracker_settle_resets(struct tracker *tracker, struct conn *conn, uint64_t now_ns);

/* The kernel closed by RST, and the reference refused one: the stack knew better. */
bool tracker_concede_reset(struct tracker *tracker, struct conn *conn, uint64_t now_ns);

/* --- doubts.c: what a sweep saw, and the kernel view did not expect --- */

/* A sweep saw the socket in `seen` (CLOSED: not at all): to be asked for after the settle time. */
void tracker_doubt(struct conn *conn, enum fsm_state seen, uint64_t now_ns);

/* The look that was owed to a doubt, taken into conn->kernel already. `from`: what the view was. */
void tracker_settle_doubt(struct tracker *tracker, struct conn *conn,
			  const struct rec_snapshot *look, enum fsm_state from);

/* --- minisockets.c --- */

/* In TIME_WAIT: now and then one is asked for. */
void tracker_watch_minisocket(struct tracker *tracker, struct conn *conn, uint64_t now_ns);
void tracker_miss_minisocket(struct tracker *tracker, struct conn *conn, uint64_t now_ns);
/* Is it known that its listener's are missing? */
bool tracker_misses_minisockets(struct tracker *tracker, const struct conn *conn);
void tracker_close_overflows(struct tracker *tracker, uint64_t now_ns);

/* --- captured.c: a wire without a kernel --- */

/* The first segment of a connection says how it begins. */
void tracker_start_captured(struct tracker *tracker, struct conn *conn,
			    const struct observation *seen);

/* Before a segment is played: what it acknowledges must have been sent, seen or not. */
void tracker_fill_gap(struct tracker *tracker, struct conn *conn, const struct tcp_segment *segment,
		      const struct observation *seen);

/* --- due.c: when a connection is to be looked at --- */

/* A handshake of which nothing is heard any more. */
bool tracker_is_abandoned(const struct tracker *tracker, const struct conn *conn, uint64_t now_ns);
uint64_t tracker_next_due(const struct tracker *tracker, const struct conn *conn);

/* --- judge.c: verdicts and deadlines --- */

/* After any change: agree or part, set the deadline, or finish what both views call closed.
 * The handle may be gone afterwards. */
void tracker_compare(struct tracker *tracker, uint32_t handle, uint64_t now_ns);

/* A deadline fired. */
void tracker_on_deadline(void *context, uint32_t handle, uint64_t now_ns);

/* --- on_*.c, sweeps.c: one function an observation --- */

void tracker_on_segment(struct tracker *tracker, const struct observation *observation);
void tracker_on_drop(struct tracker *tracker, const struct observation *observation);
void tracker_on_state(struct tracker *tracker, const struct observation *observation);
void tracker_on_socket(struct tracker *tracker, const struct observation *observation);
void tracker_on_netns(struct tracker *tracker, const struct observation *observation);
void tracker_on_sampling(struct tracker *tracker, const struct observation *observation);
void tracker_on_sweep(struct tracker *tracker, const struct observation *observation);
/* Goes on with what follows from the last sweep, a slice at a time. */
void tracker_walk(struct tracker *tracker, uint64_t now_ns);
void tracker_on_captured(struct tracker *tracker, const struct observation *observation);

#endif
