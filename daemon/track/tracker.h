/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: tracking, the stage's face
 *
 * In: observations in time order, and the passing of time. Out: counters (struct tracker_stats),
 * events through a callback, and a listing of connections. For every connection it holds the
 * reference's opinion of both ends (tcp/dialogue.h) beside the kernel's (kview.h) and compares
 * them (compare.h). One thread owns it. No clock of its own: time comes in. The only question it
 * asks is `look`, a fresh look at one socket; the answer is a record like any other, so a
 * recorded run replays bit for bit.
 *
 * A capture has no kernel beside it (settings.wire_only): segments alone, with every octet of
 * data, so the reference knows its variables exactly; and nothing to compare it with.
 */
#ifndef TCPWITNESS_TRACKER_H
#define TCPWITNESS_TRACKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capture/decode.h"
#include "tcp/fsm.h"
#include "track/duration.h"
#include "track/entry.h"
#include "track/evidence.h"
#include "track/verdicts.h"

struct tracker_stats {
	uint64_t connections[VIEW_NR][FSM_NR_STATES]; /* now; CLOSED is not counted */
	uint64_t transitions[VIEW_NR][FSM_NR_STATES][FSM_NR_STATES]; /* of the local end */
	struct duration_histogram handshakes[ROLE_NR];
	uint64_t opened[ROLE_NR];
	uint64_t closed[ROLE_NR][END_NR];
	uint64_t divergences[DIVERGENCE_NR];
	uint64_t divergences_open[DIVERGENCE_NR];		       /* now */
	struct duration_histogram divergence_durations[DIVERGENCE_NR]; /* of those that closed */
	uint64_t sampling_raised, sampling_lowered;		       /* changes of shifts */
	uint64_t moments_untold[DIVERGENCE_NR]; /* counted, but for a flood of them not told */
	uint64_t transients[TRANSIENT_NR];
	uint64_t conditions[CONDITION_NR]; /* connections in it now */
	uint64_t close_causes[CLOSE_CAUSE_NR];
	uint64_t comparisons, comparisons_agreed;
	uint64_t unobservable[UNOBSERVABLE_NR];
	uint64_t compared_in_two; /* ended connections that were compared in two states or more */
	uint64_t anomalies[AN_NR];
	uint64_t connect_failures[CONNECT_NR];
	uint64_t entries, limit, evictions; /* flow table */
	uint64_t stray_segments;	    /* of no connection: late, or to a closed port */
	uint64_t gaps;			    /* wire_only: acknowledged and never seen */
	/* Second children of one handshake: PassiveOpens counts them, they were never anything. */
	uint64_t duplicate_children;
	uint64_t kernel_gaps; /* state changes that no tracepoint told, learnt otherwise */
	uint64_t looks;
	uint64_t sweep_corrections[CORRECTION_NR];
	uint64_t findings_lost; /* odd connections that found no room for their evidence */
};

/* One end's path: states in order of first entry since the start, e.g. SYN_SENT, ESTABLISHED. */
#define PATH_MAX_STATES 12

/* A finished connection, or an open one in a listing. Strings are static or point into itself. */
struct connection_report {
	struct conn_key key;
	char netns_name[NETNS_NAME_BYTES]; /* "": not known */
	enum connection_role role;
	enum connection_end end;	   /* END_UNKNOWN while it lives */
	uint64_t opened_ns, closed_ns;	   /* CLOCK_MONOTONIC; closed 0 while it lives */
	uint64_t last_ns;		   /* of the newest segment or tracepoint */
	uint8_t local_state, remote_state; /* enum fsm_state */
	uint8_t kernel_state;		   /* enum kernel_state; 0 = none */
	uint8_t kernel_substate;	   /* of TIME_WAIT */
	uint8_t local_path[PATH_MAX_STATES], remote_path[PATH_MAX_STATES]; /* enum fsm_state */
	uint8_t kernel_path[PATH_MAX_STATES];				   /* enum kernel_state */
	uint8_t local_steps, remote_steps, kernel_steps;		   /* entries used */
	uint32_t divergences; /* bit per enum divergence_kind, ever opened */
	uint32_t anomalies;   /* bit per enum fsm_anomaly < 32 */
	uint8_t seen;	      /* bit per enum seen_kind */
	bool observable;
	enum unobservable_reason why; /* when not observable */
	uint64_t cookie;
};

enum track_event_type {
	TRACK_DIVERGENCE_OPEN,
	TRACK_DIVERGENCE_CLOSE,
	TRACK_CONNECTION, /* one ended */
	TRACK_SAMPLING,	  /* a site's flows are recorded more sparsely, or less so */
};

struct track_event {
	enum track_event_type type;
	uint64_t ts_ns;		   /* CLOCK_MONOTONIC of the cause */
	enum divergence_kind kind; /* DIVERGENCE_* only, as the rest of these */
	uint64_t id;	   /* the divergence's number, the same in open and close; never 0 */
	uint64_t explains; /* open: the one it explains anew, which has just been closed; or 0 */
	enum divergence_kind explained_as; /* close: opens next; DIVERGENCE_NR: it is over */
	uint64_t since_ns;  /* when the two views parted; close: duration = ts_ns - since_ns */
	const char *reason; /* kind's detail: "accept_queue_full", "NETFILTER_DROP"; or NULL */
	const struct connection_report *connection; /* NULL for TRACK_SAMPLING */
	const struct divergence_evidence *evidence; /* DIVERGENCE_* only */
	const struct rec_sampling *sampling;	    /* TRACK_SAMPLING only */
};

struct tracker_ops {
	void *context;
	/* A fresh look at key's socket, as it would meet segments that arrive by `ifindex` (0 =
	 * any): 0 and *ret filled (state 0 = none), or -errno. */
	int (*look)(void *context, const struct conn_key *key, uint32_t ifindex,
		    struct rec_socket *ret);
	void (*event)(void *context, const struct track_event *event);
	/* Name of a kernel drop reason, or NULL. */
	const char *(*drop_reason)(void *context, uint32_t reason);
	/* One line of key's story; NULL: nobody listens. Told in order, as it happens. */
	void (*told)(void *context, const struct conn_key *key, const struct track_entry *entry);
	/* wire_only: is this a local address? NULL: not known of any. */
	bool (*is_local)(void *context, const uint8_t address[16]);
};

struct tracker_settings {
	uint32_t flows_max;
	uint64_t settle_ns;    /* a disagreement younger than this is not looked at */
	uint64_t time_wait_ns; /* the reference's 2 MSL: 60 s */
	uint64_t condition_ns; /* older than this, a condition counts; 0: 60 s */
	uint64_t hash_seed;    /* random live; anything in a replay */
	/*
	 * Segments of a capture: which end is local is for the tracker to find out (is_local;
	 * else whoever sent the SYN; else the source of the first segment), data is seen, and
	 * nobody is asked. A connection is reported when its local end is CLOSED.
	 */
	bool wire_only;
};

/* A network namespace: what it is called, and its share of tracker_stats' connections. */
struct tracked_space {
	uint32_t netns;
	char name[NETNS_NAME_BYTES]; /* "": nobody said */
	uint64_t connections[VIEW_NR][FSM_NR_STATES];
};

struct tracker;

/* NULL and errno on failure. *ops is copied. */
struct tracker *tracker_new(const struct tracker_settings *settings, const struct tracker_ops *ops);
void tracker_free(struct tracker *tracker);

/* These are observed next, in any order: what they will touch is fetched from memory meanwhile. */
void tracker_foresee(const struct tracker *tracker, struct observation *next, size_t count);

void tracker_observe(struct tracker *tracker, const struct observation *observation);

/* Time has come to now_ns: settle, 2 MSL, idle deadlines. */
void tracker_advance(struct tracker *tracker, uint64_t now_ns);

/* wire_only: the capture ends at now_ns. What waits for 2 MSL has waited; of the rest the end is
 * unknown. Every connection is reported. */
void tracker_finish_all(struct tracker *tracker, uint64_t now_ns);

/* The earliest deadline, or UINT64_MAX. */
uint64_t tracker_next_deadline(const struct tracker *tracker);

const struct tracker_stats *tracker_stats(const struct tracker *tracker);

/* The namespaces heard of, in no order; valid until the next observation. */
const struct tracked_space *tracker_spaces(const struct tracker *tracker, size_t *ret_count);

/* The live connection of that key, if there is one. `life` is that of its entries. */
bool tracker_find(const struct tracker *tracker, const struct conn_key *key,
		  struct connection_report *ret, uint32_t *ret_life);

/* Calls `each` for up to `max` live connections starting at *cursor (0 first); returns the
 * number visited and moves *cursor, which is 0 again at the end of the table. */
size_t tracker_list(const struct tracker *tracker, size_t *cursor, size_t max,
		    void (*each)(void *context, const struct connection_report *report),
		    void *context);

#endif
