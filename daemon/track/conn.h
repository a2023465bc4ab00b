/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One connection: the reference's two ends, the kernel's view beside them, the evidence that
 * explains a difference, and the story so far. It judges nothing (compare.h does) and owns
 * nothing; the tracker moves it.
 */
#ifndef TCPWITNESS_CONN_H
#define TCPWITNESS_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "capture/decode.h"
#include "tcp/dialogue.h"
#include "track/deadlines.h"
#include "track/kview.h"
#include "track/tracker.h"
#include "track/verdicts.h"

/* States in order of entry, four bits each, oldest in the lowest; all our states are below 16.
 * A full path keeps its beginning, and its last place follows the present. The highest four bits
 * count them. */
struct state_path {
	uint64_t nibbles;
};

_Static_assert(PATH_MAX_STATES < 15, "a path and its count are one word");

void state_path_push(struct state_path *path, uint8_t state);
uint8_t state_path_at(const struct state_path *path, uint8_t index);
uint8_t state_path_count(const struct state_path *path);

/* What snapshots and drop records said that a bare state does not. */
enum conn_evidence {
	EVIDENCE_ACCEPT_FULL_AT_SYN = 0x01,
	EVIDENCE_SYN_QUEUE_FULL = 0x02,
	EVIDENCE_ACCEPT_FULL_AT_ACK = 0x04,
	EVIDENCE_COOKIE = 0x08,	       /* a SYN-ACK left without a request socket */
	EVIDENCE_FILTERED = 0x10,      /* drop_reason: a segment that arrived died before TCP */
	EVIDENCE_SYN_AGAIN = 0x20,     /* an unanswered SYN was retransmitted */
	EVIDENCE_SENT_DROPPED = 0x40,  /* drop_reason: a SYN, FIN or RST of ours died */
	EVIDENCE_FAST_OPEN = 0x80,     /* a SYN-ACK left with a child behind it */
	EVIDENCE_LAST_QUARTER = 0x100, /* the SYN queue had room only for proven peers */
	EVIDENCE_DROPPED = 0x200,      /* drop_reason: a segment that arrived died in TCP */
	EVIDENCE_FIN_REFUSED = 0x800,  /* the reference refused a FIN, and then again */
	/* NAT: what left had another tuple; what arrives is seen under that one, if at all */
	EVIDENCE_TRANSLATED = 0x400,
};

enum conn_flag {
	CONN_WIRE_SEEN = 0x01,	       /* segments of it were seen: the dialogue runs */
	CONN_OPENED = 0x02,	       /* counted in connections_opened_total */
	CONN_LOCAL_FIN = 0x04,	       /* the local end sent a FIN */
	CONN_REMOTE_FIN = 0x08,	       /* the remote end sent one */
	CONN_CROSSED_FINS = 0x10,      /* neither had seen the other's */
	CONN_UNOBSERVABLE = 0x20,      /* `why` holds, for good */
	CONN_HANDSHAKE_SEEN = 0x40,    /* from its SYN: handshake latency is meaningful */
	CONN_REPORTED = 0x80,	       /* its end is told; it stays to know late segments by */
	CONN_LAST_SENT = 0x100,	       /* the newest segment is one that we sent */
	CONN_PROBED = 0x200,	       /* decided whether to ask for its TIME_WAIT minisocket, */
	CONN_PROBING = 0x400,	       /* and it is asked for, see minisockets.c */
	CONN_MINISOCKET_GONE = 0x800,  /* by what was seen on the wire */
	CONN_RESET_SENT = 0x1000,      /* our RST ended it */
	CONN_MINISOCKET_SEEN = 0x2000, /* a snapshot or a look has shown its minisocket */
	CONN_RESET_HELD = 0x4000,      /* its finding has a RST that waits, see resets.c */
	CONN_CHANGED_LAST = 0x8000,    /* the newest word of it is a state change, no segment */
};

/* What a sweep said against the kernel's view, until a look decides. */
enum conn_doubt {
	DOUBT_NONE,
	DOUBT_SEED,   /* known from one sweep and nothing else: it may have ended in that moment */
	DOUBT_MISSED, /* the same, and the next sweep did not find it */
	DOUBT_STATE,  /* + enum fsm_state: where the sweep saw it, CLOSED = nowhere */
};

#define CONN_NO_KIND UINT8_MAX

struct conn {
	struct conn_key key;
	struct tcp_dialogue talk;
	union {
		uint32_t life;	    /* its number in the history */
		uint32_t next_free; /* flowtable's, of one that is not in use */
	};
	struct kview kernel;
	struct deadline deadline;
	uint64_t opened_ns;
	uint64_t parted_ns;    /* since when the views differ; 0 = they agree */
	uint64_t looked_ns;    /* of the last fresh look since then */
	uint64_t time_wait_ns; /* the reference's TIME_WAIT began or was re-armed */
	uint64_t segment_ns;   /* newest segment; 0 = none */
	uint64_t changed_ns;   /* newest state change that a tracepoint told; 0 = none */
	struct state_path local_path, remote_path, kernel_path;
	uint32_t divergences; /* bit per kind ever opened */
	uint32_t anomalies;
	uint32_t finding; /* findings.h; FINDING_NONE while there is nothing odd about it */
	uint32_t last_seq, last_ack, last_payload; /* of the newest segment, with */
	uint32_t last_ifindex; /* the next ones: to know a copy, and as evidence */
	uint16_t last_ip_id;
	uint16_t drop_reason; /* with EVIDENCE_*DROPPED, EVIDENCE_FILTERED */
	uint16_t flags;	      /* enum conn_flag */
	uint16_t evidence;    /* enum conn_evidence */
	uint16_t compared;    /* bit per fsm_state in which the views were seen to agree */
	uint16_t epoch;	      /* of the loss it was last confirmed after */
	uint16_t swept;	      /* number of the sweep that last found it, 0 = none did */
	uint8_t last_flags;
	uint8_t role;	    /* enum connection_role */
	uint8_t end;	    /* enum connection_end, END_UNKNOWN until known */
	uint8_t why;	    /* enum unobservable_reason */
	uint8_t open_kind;  /* enum divergence_kind, CONN_NO_KIND */
	uint8_t conditions; /* bit per enum condition */
	uint8_t change_from, change_to, change_bits; /* of the newest state change */
	uint8_t tries; /* looks since the views parted; polls of a half-open connection */
	uint8_t doubt; /* enum conn_doubt */
	uint8_t seen;  /* bit per enum seen_kind */
	bool in_use;   /* flowtable's */
};

/* A new life on the key that flowtable_add gave it. */
void conn_begin(struct conn *conn, uint64_t now_ns, uint16_t epoch);

enum fsm_state conn_local_state(const struct conn *conn);

/* When the newest segment or tracepoint came; before the first, when it began. */
uint64_t conn_last_ns(const struct conn *conn);

/* First reason wins: later ones are consequences. */
void conn_set_unobservable(struct conn *conn, enum unobservable_reason why);

/* Reads the snapshot's queue lengths for the evidence they are, on arrival of `tcp_flags`. */
void conn_weigh_queues(struct conn *conn, const struct rec_snapshot *snapshot, uint8_t tcp_flags);

/* The snapshot's sequence variables, if its state has trustworthy ones: known = 0 otherwise. */
struct endpoint_facts conn_facts(const struct rec_snapshot *snapshot);

/* How it ended, from who sent FIN or RST first and what the kernel said; sticks to `end`. */
void conn_note_fin(struct conn *conn, bool sent);
void conn_note_reset(struct conn *conn, bool sent, enum fsm_state from);

/* What `end` amounts to, both sides' FINs considered. */
enum connection_end conn_ended(const struct conn *conn);

void conn_report(const struct conn *conn, struct connection_report *ret);

#endif
