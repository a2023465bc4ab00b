/* SPDX-License-Identifier: GPL-2.0-only */
/* Listening sockets: their two queues, what reached them, what they refused, who owns them. */
#ifndef TCPWITNESS_LISTENERS_H
#define TCPWITNESS_LISTENERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capture/decode.h"
#include "capture/listener_maps.h"
#include "counters.h"
#include "listen/flood.h"
#include "listen/outcome.h"
#include "listen/place.h"

/* One address:port; SO_REUSEPORT members are added up, the fullest queue is shown. */
struct listener_row {
	struct conn_key key; /* remote side zero */
	uint32_t members;
	uint32_t syn_length;
	uint32_t accept_length, accept_limit;
	uint32_t syn_peak, accept_peak;	   /* longest of this window of 69 s and the one before */
	bool defers;			   /* TCP_DEFER_ACCEPT */
	struct listener_counters counters; /* of this row, since it exists */
	uint64_t sources; /* addresses SYNs came from, in those two windows: an estimate */
	uint64_t requests_completed, requests_expired;
	uint64_t half_open_ns; /* time that all requests have spent in the SYN queue, added up */
	uint32_t flooded;      /* 1: a SYN flood is suspected (flood.h) */
	uint64_t flooded_ns;   /* since when */
	struct flood_facts flood;
	/* Of the member that was there first and whose owner is known. */
	uint32_t pid; /* 0 = unknown */
	char comm[REC_COMM_BYTES];
	struct place place;
	uint32_t sampling_shift; /* one connection in 2^shift is followed; whoever asks fills it in */
	bool labelled;
};

/* Whose listening socket a connection came through: who called listen(), or holds it since. */
struct listener_owner {
	struct conn_key key; /* the listening address; remote side zero */
	uint64_t cgroup_id;
	uint32_t pid;		   /* 0 = unknown, and so are the others */
	char comm[REC_COMM_BYTES]; /* terminated; not trustworthy: a process names itself */
};

struct listeners;

/* The maps in BPF, see capture/listener_maps.h; each may be NULL. */
struct listeners_ops {
	void *context;
	bool told; /* the kernel says which ACKs it refused (outcome.h) */
	int (*read)(void *context, uint64_t cookie, struct listener_reading *ret);
	void (*forget)(void *context, uint64_t cookie);
	void (*name)(void *context, const struct conn_key *key, uint64_t from, uint64_t cookie);
	int (*sources)(void *context, uint64_t cookie, struct source_sketch *ret);
	void (*locate)(void *context, uint32_t pid, struct place *ret);
};

/* labels_max: how many addresses may have a metric label of their own. */
struct listeners *listeners_new(const struct listeners_ops *ops, size_t labels_max);
void listeners_free(struct listeners *listeners);

/* Takes REC_LISTEN, REC_STATE to and from LISTEN, REC_SOCKET and REC_LOOK in LISTEN, sweeps (what
 * a whole one misses is forgotten), and the queue lengths that segments' snapshots carry. */
void listeners_observe(struct listeners *listeners, const struct observation *observation);

/* Time passes: peaks of windows gone by are let go, and what had a second to be answered and was
 * not is settled (LISTENER_DROP_OTHER, _LAST_QUARTER). Once a second, and before rows are made. */
void listeners_tick(struct listeners *listeners, uint64_t now_ns);

/* A SYN flood is suspected of a listener, or no longer. */
struct flood_news {
	bool begins;
	uint64_t ts_ns, since_ns; /* since_ns: when it began */
	struct listener_owner listener;
	struct flood_facts facts;	/* at its begin, or at its end */
	uint32_t syn_length, syn_limit; /* of the fullest member */
	uint64_t sources, syns;		/* SYNs: since it began, 0 where it begins */
};

/* What listeners_tick() found, oldest first, each once. False: there is nothing new. */
bool listeners_flood_news(struct listeners *listeners, struct flood_news *ret);

/* All that any listener of a namespace ever counted, those that closed too. */
void listeners_sum(struct listeners *listeners, uint32_t netns, struct listener_counters *ret);

/* When this kernel takes a SYN queue for full: observed (outcome.h). */
enum syn_queue_test listeners_syn_queue_test(const struct listeners *listeners);

/* Listening sockets now: what `ss -tln` counts. */
size_t listeners_count(const struct listeners *listeners);
size_t listeners_count_in(const struct listeners *listeners, uint32_t netns);

/*
 * The listening socket behind the local end of a connection: at its very address, else at the
 * wildcard of its family, else at `::`; of SO_REUSEPORT members the one with the lowest cookie. One
 * that closed lately will do where none is open. False: there is none.
 */
bool listeners_find(const struct listeners *listeners, const struct conn_key *connection,
		    struct listener_owner *ret);

/* Of a namespace: how many have no owner that is known and alive, and have not been sought in vain
 * OWNER_SEEKS_MAX times. Is this one of them (which counts as seeking it)? */
#define OWNER_SEEKS_MAX 3
size_t listeners_ownerless(const struct listeners *listeners, uint32_t netns);
bool listeners_seek_owner(struct listeners *listeners, uint64_t cookie);

/* Every listening socket's key, for a fresh look at its queues; with a remote port, another each
 * time, where several share the address: it chooses among them. */
void listeners_each_key(struct listeners *listeners,
			void (*each)(void *context, const struct conn_key *key), void *context);

/* Fills rows[0..max) with the busiest (by SYNs) and adds the rest up in *ret_other (key zero).
 * Returns how many rows were filled, *ret_total how many addresses there are. */
size_t listeners_busiest(struct listeners *listeners, struct listener_row *rows, size_t max,
			 size_t *ret_total, struct listener_row *ret_other);

/*
 * The same for metrics, whose counters must not go back: an address keeps its label until its last
 * socket closes, and a label that falls free goes to the busiest without one. *ret_other keeps what
 * was counted there, of sockets that closed too, and a row begins where its label was given.
 */
size_t listeners_labelled(struct listeners *listeners, struct listener_row *rows, size_t max,
			  size_t *ret_total, struct listener_row *ret_other);

#endif
