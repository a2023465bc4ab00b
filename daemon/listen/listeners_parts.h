/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of the listening sockets share; nobody else includes it. */
#ifndef TCPWITNESS_LISTENERS_PARTS_H
#define TCPWITNESS_LISTENERS_PARTS_H

#include <string.h>

#include "listen/estimate.h"
#include "listen/listeners.h"

/* The longest queues that looks found in a window; those in between BPF sees (counters.h). */
struct window {
	uint64_t number;
	uint32_t syn_length, accept_length;
};

/* All sockets of one address share it. */
struct listener_address {
	uint32_t members;
	struct flood_watch flood;
	struct flood_totals totals; /* being added up, at the tick of its time */
	uint64_t judged_ns;
	uint64_t syns_before; /* at the flood's begin */
};

/* One listening socket. Members of a SO_REUSEPORT group are sockets of their own here. */
struct listener {
	struct conn_key key; /* remote side zero */
	uint64_t cookie;
	uint64_t seen_ns; /* newest word of it */
	uint32_t syn_length, accept_length, accept_limit;
	struct window windows[2]; /* the last even and odd one */
	bool defers;
	bool shares; /* its address with others, now or once (SO_REUSEPORT) */
	struct listener_outcome outcome;
	uint64_t half_open_ns; /* all its requests' time in the queue, added up */
	uint64_t born;	       /* requests, right before the last look at its queue; 0 = unknown */
	uint64_t unended;      /* expired ones, as the last look has it */
	uint64_t expired;      /* as two looks agree */
	struct listener_counters inherited; /* of members of its address that closed before it */
	struct listener_counters in_other;  /* how much of its counters `other` has */
	uint32_t pid;
	uint64_t cgroup_id;
	char comm[REC_COMM_BYTES];
	struct place place;
	uint8_t owner_seeks;		  /* so often its owner was asked for */
	struct listener_address *address; /* NULL: no memory, and no flood will be seen */
	bool labelled;			  /* its address has a metric label of its own */
};

/* What the closed listeners of a namespace counted, labelled or not. */
struct closed_sum {
	uint32_t netns;
	struct listener_counters counters;
};

/* So many that closed are remembered, for the connections they leave behind. */
#define CLOSED_MAX 64

struct listeners {
	struct listeners_ops ops;
	size_t labels_max;
	struct listener *all;
	size_t count, room;
	size_t found; /* where in it the last one was that was asked for by its cookie */
	struct listener_counters other; /* of all that had no label, the closed ones too */
	enum syn_queue_test test;
	uint64_t now_ns, settled_ns;
	uint64_t sweep_begin_ns; /* of the sweep that runs; 0 = none */
	uint64_t last_begin_ns;	 /* of the complete one before; 0 = there was none */
	struct listener_owner closed[CLOSED_MAX]; /* a ring */
	size_t nr_closed;			  /* ever */
	struct closed_sum *closed_sums;
	size_t nr_closed_sums;
	struct flood_news *news;
	size_t nr_news, news_room;
	uint16_t asked_port; /* of looks at members of groups */
};

static inline bool same_address(const struct conn_key *a, const struct conn_key *b)
{
	return !memcmp(a, b, sizeof(*a));
}

struct listener_owner listener_owner_of(const struct listener *listener);

/* One has closed, having counted `counters` by itself: who it was, and what it counted, stays. */
void closed_remember(struct listeners *listeners, const struct listener *listener,
		     const struct listener_counters *counters);
/* The one that closed at this address last. False: none lately. */
bool closed_find(const struct listeners *listeners, const struct conn_key *key,
		 struct listener_owner *ret);
/* All that closed ones of a namespace counted; NULL: none did. */
const struct listener_counters *closed_sum_of(const struct listeners *listeners, uint32_t netns);
/* The namespace is gone, and its number may be given to another. */
void closed_forget_space(struct listeners *listeners, uint32_t netns);

/* Before and after a fresh look at the queue: how many requests have ended by themselves? */
void requests_before_look(const struct listeners *listeners, struct listener *listener);
void requests_after_look(const struct listeners *listeners, struct listener *listener);
/* Those of them that a handshake ended, not a cookie's. */
uint64_t requests_completed(const struct listener_counters *counters);

/* Takes part in its address; no longer. */
void address_join(struct listeners *listeners, struct listener *listener);
void address_leave(struct listeners *listeners, struct listener *listener);
/* Once a second, after outcomes are settled. */
void floods_judge(struct listeners *listeners);
/* Adds where the listener's SYNs came from of late. */
void listener_add_sources(const struct listeners *listeners, const struct listener *listener,
			  struct sketch_union *sum);

void counters_add(struct listener_counters *sum, const struct listener_counters *more);
void counters_subtract(struct listener_counters *from, const struct listener_counters *less);

/* Raw, of this socket alone. False: nothing to be had. */
bool listeners_read_raw(const struct listeners *listeners, const struct listener *listener,
			struct listener_reading *ret);

/* As they are told, with what closed members of the address left to it; and the peaks. */
struct listener_reading listeners_read(const struct listeners *listeners,
				       const struct listener *listener);
struct listener_counters listeners_read_counters(const struct listeners *listeners,
						 const struct listener *listener);

/* What has come since the last time goes to `other`, once. */
void listeners_account_in_other(struct listeners *listeners, struct listener *listener);

#endif
