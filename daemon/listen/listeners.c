/* SPDX-License-Identifier: GPL-2.0-only */
/* Listening sockets: see listeners.h. A few hundred at most: one array, searched in order. */
#include "listen/listeners.h"

#include <stdlib.h>
#include <string.h>

#include "tcp_defs.h"

/* One listening socket. Members of a SO_REUSEPORT group are sockets of their own here. */
struct listener {
	struct conn_key key; /* remote side zero */
	uint64_t cookie;
	uint64_t seen_ns; /* newest word of it */
	uint32_t syn_length, accept_length, accept_limit;
	uint32_t pid;
	char comm[REC_COMM_BYTES];
};

struct listeners {
	struct listeners_ops ops;
	struct listener *all;
	size_t count, room;
	uint64_t sweep_begin_ns; /* of the sweep that runs; 0 = none */
};

struct listeners *listeners_new(const struct listeners_ops *ops)
{
	struct listeners *listeners = calloc(1, sizeof(*listeners));

	if (listeners)
		listeners->ops = *ops;
	return listeners;
}

void listeners_free(struct listeners *listeners)
{
	if (!listeners)
		return;
	free(listeners->all);
	free(listeners);
}

static struct listener *find(struct listeners *listeners, uint64_t cookie)
{
	for (size_t i = 0; i < listeners->count; i++)
		if (listeners->all[i].cookie == cookie)
			return &listeners->all[i];
	return NULL;
}

/* The one with this cookie, made if need be; NULL without memory or cookie. */
static struct listener *provide(struct listeners *listeners, const struct observation *seen)
{
	struct listener *listener = find(listeners, seen->cookie);

	if (listener || !seen->cookie)
		return listener;
	if (listeners->count == listeners->room) {
		size_t room = listeners->room ? 2 * listeners->room : 64;
		struct listener *all = realloc(listeners->all, room * sizeof(*all));

		if (!all)
			return NULL;
		listeners->all = all;
		listeners->room = room;
	}
	listener = &listeners->all[listeners->count++];
	memset(listener, 0, sizeof(*listener));
	listener->cookie = seen->cookie;
	listener->seen_ns = seen->ts_ns;
	listener->key = seen->key;
	listener->key.remote_port = 0;
	memset(listener->key.remote_address, 0, sizeof(listener->key.remote_address));
	return listener;
}

static void take_queues(struct listener *listener, const struct rec_snapshot *snapshot,
			uint64_t ts_ns)
{
	if (!(snapshot->bits & SNAP_QUEUES) || ts_ns < listener->seen_ns)
		return;
	listener->seen_ns = ts_ns;
	listener->syn_length = snapshot->queues.syn_length;
	listener->accept_length = snapshot->queues.accept_length;
	listener->accept_limit = snapshot->queues.accept_limit;
}

static void forget(struct listeners *listeners, uint64_t cookie)
{
	struct listener *listener = find(listeners, cookie);

	if (listeners->ops.forget)
		listeners->ops.forget(listeners->ops.context, cookie);
	if (!listener)
		return;
	*listener = listeners->all[--listeners->count];
}

static void take_change(struct listeners *listeners, const struct observation *seen)
{
	if (seen->state->old_state == KS_LISTEN && seen->state->new_state == KS_CLOSE)
		forget(listeners, seen->cookie);
	else if (seen->state->new_state == KS_LISTEN)
		provide(listeners, seen);
}

static void take_owner(struct listeners *listeners, const struct observation *seen)
{
	struct listener *listener = provide(listeners, seen);

	if (!listener)
		return;
	listener->pid = seen->listen->pid;
	memcpy(listener->comm, seen->listen->comm, sizeof(listener->comm));
	listener->comm[sizeof(listener->comm) - 1] = '\0';
	listener->accept_limit = seen->listen->accept_limit;
}

/* Where the last word of a listener was lost, the next whole sweep misses it. */
static void take_sweep(struct listeners *listeners, const struct observation *seen)
{
	uint64_t begin_ns = listeners->sweep_begin_ns;

	if (seen->sweep->phase == SWEEP_BEGIN) {
		listeners->sweep_begin_ns = seen->ts_ns;
		return;
	}
	for (size_t i = listeners->count; begin_ns && i-- > 0;)
		if (listeners->all[i].seen_ns < begin_ns)
			forget(listeners, listeners->all[i].cookie);
	listeners->sweep_begin_ns = 0;
}

void listeners_observe(struct listeners *listeners, const struct observation *observation)
{
	const struct rec_snapshot *snapshot = NULL;
	struct listener *listener = NULL;

	switch (observation->type) {
	case REC_STATE:
		take_change(listeners, observation);
		return;
	case REC_LISTEN:
		take_owner(listeners, observation);
		return;
	case REC_SWEEP:
		take_sweep(listeners, observation);
		return;
	case REC_SOCKET:
	case REC_LOOK:
		snapshot = &observation->socket->snapshot;
		if (snapshot->state == KS_LISTEN)
			listener = provide(listeners, observation);
		break;
	case REC_SEGMENT:
		/* Only a lookup that found the listener itself names it by its cookie. */
		snapshot = &observation->segment->snapshot;
		if (snapshot->state == KS_LISTEN && snapshot->cookie)
			listener = find(listeners, snapshot->cookie);
		break;
	default:
		return;
	}
	if (listener)
		take_queues(listener, snapshot, observation->ts_ns);
}

size_t listeners_count(const struct listeners *listeners)
{
	return listeners->count;
}

void listeners_each_key(const struct listeners *listeners,
			void (*each)(void *context, const struct conn_key *key), void *context)
{
	/* The callback may make a listener known, and so move the array. */
	for (size_t i = 0, count = listeners->count; i < count; i++) {
		const struct conn_key key = listeners->all[i].key;

		each(context, &key);
	}
}

static void add_counters(struct listener_counters *sum, const struct listener_counters *more)
{
	sum->syns += more->syns;
	for (int i = 0; i < LISTENER_DROP_NR; i++)
		sum->drops[i] += more->drops[i];
}

static void add_member(struct listener_row *row, const struct listener *listener,
		       const struct listener_counters *counters)
{
	/* The fullest member is the one that refuses: its queues are the group's. */
	if (!row->members || listener->accept_length >= row->accept_length) {
		row->accept_length = listener->accept_length;
		row->accept_limit = listener->accept_limit;
	}
	if (listener->syn_length > row->syn_length)
		row->syn_length = listener->syn_length;
	if (listener->pid) {
		row->pid = listener->pid;
		memcpy(row->comm, listener->comm, sizeof(row->comm));
	}
	row->members++;
	add_counters(&row->counters, counters);
}

/* Adds the second row's figures to `other`, which stands for no single socket. */
static void add_row(struct listener_row *other, const struct listener_row *row)
{
	other->members += row->members;
	other->syn_length += row->syn_length;
	other->accept_length += row->accept_length;
	other->accept_limit += row->accept_limit;
	add_counters(&other->counters, &row->counters);
}

static int busier_first(const void *left, const void *right)
{
	const struct listener_row *a = left, *b = right;

	if (a->counters.syns != b->counters.syns)
		return a->counters.syns < b->counters.syns ? 1 : -1;
	return memcmp(&a->key, &b->key, sizeof(a->key));
}

static int by_key(const void *left, const void *right)
{
	return memcmp(&((const struct listener *)left)->key,
		      &((const struct listener *)right)->key, sizeof(struct conn_key));
}

/* One row an address:port; the array must have room for every listener. */
static size_t group(struct listeners *listeners, struct listener_row *rows)
{
	size_t nr_rows = 0;

	qsort(listeners->all, listeners->count, sizeof(*listeners->all), by_key);
	for (size_t i = 0; i < listeners->count; i++) {
		const struct listener *listener = &listeners->all[i];
		struct listener_counters counters = { 0 };

		if (listeners->ops.counters)
			listeners->ops.counters(listeners->ops.context, listener->cookie,
						&counters);
		if (!nr_rows ||
		    memcmp(&rows[nr_rows - 1].key, &listener->key, sizeof(listener->key)))
			rows[nr_rows++].key = listener->key;
		add_member(&rows[nr_rows - 1], listener, &counters);
	}
	return nr_rows;
}

size_t listeners_snapshot(struct listeners *listeners, struct listener_row *rows, size_t max,
			  struct listener_row *ret_other)
{
	struct listener_row *all = calloc(listeners->count + 1, sizeof(*all));
	size_t nr_rows;

	memset(ret_other, 0, sizeof(*ret_other));
	if (!all)
		return 0;
	nr_rows = group(listeners, all);
	qsort(all, nr_rows, sizeof(*all), busier_first);
	for (size_t i = 0; i < nr_rows; i++)
		if (i < max)
			rows[i] = all[i];
		else
			add_row(ret_other, &all[i]);
	free(all);
	return nr_rows;
}
