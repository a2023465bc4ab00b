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
	struct listener_counters inherited; /* of members of its address that closed before it */
	struct listener_counters in_other;  /* how much of its counters `other` has */
	uint32_t pid;
	uint64_t cgroup_id;
	char comm[REC_COMM_BYTES];
	bool labelled; /* its address has a metric label of its own */
};

/* So many that closed are remembered, for the connections they leave behind. */
#define CLOSED_MAX 64

struct listeners {
	struct listeners_ops ops;
	size_t labels_max;
	struct listener *all;
	size_t count, room;
	struct listener_counters other; /* of all that had no label, the closed ones too */
	uint64_t sweep_begin_ns;	/* of the sweep that runs; 0 = none */
	uint64_t last_begin_ns;		/* of the complete one before; 0 = there was none */
	struct listener_owner closed[CLOSED_MAX]; /* a ring */
	size_t nr_closed;			  /* ever */
};

struct listeners *listeners_new(const struct listeners_ops *ops, size_t labels_max)
{
	struct listeners *listeners = calloc(1, sizeof(*listeners));

	if (!listeners)
		return NULL;
	listeners->ops = *ops;
	listeners->labels_max = labels_max;
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

static void add_counters(struct listener_counters *sum, const struct listener_counters *more)
{
	sum->syns += more->syns;
	for (int i = 0; i < LISTENER_DROP_NR; i++)
		sum->drops[i] += more->drops[i];
}

static void subtract_counters(struct listener_counters *from, const struct listener_counters *less)
{
	from->syns -= less->syns;
	for (int i = 0; i < LISTENER_DROP_NR; i++)
		from->drops[i] -= less->drops[i];
}

static struct listener_counters read_counters(const struct listeners *listeners,
					      const struct listener *listener)
{
	struct listener_counters counters;

	if (!listeners->ops.counters ||
	    listeners->ops.counters(listeners->ops.context, listener->cookie, &counters))
		return listener->in_other; /* nothing new */
	add_counters(&counters, &listener->inherited);
	return counters;
}

/* What has come since the last time goes to `other`, once. */
static void account_in_other(struct listeners *listeners, struct listener *listener)
{
	struct listener_counters counters = read_counters(listeners, listener), news = counters;

	subtract_counters(&news, &listener->in_other);
	add_counters(&listeners->other, &news);
	listener->in_other = counters;
}

static bool same_address(const struct conn_key *a, const struct conn_key *b)
{
	return !memcmp(a, b, sizeof(*a));
}

/* What a closing socket has counted stays with its address as long as another member lives. */
static void bequeath(struct listeners *listeners, struct listener *listener)
{
	const struct listener_counters counters = read_counters(listeners, listener);

	for (size_t i = 0; i < listeners->count; i++) {
		struct listener *heir = &listeners->all[i];

		if (heir == listener || !same_address(&heir->key, &listener->key))
			continue;
		add_counters(&heir->inherited, &counters);
		add_counters(&heir->in_other, &listener->in_other);
		return;
	}
	if (!listener->labelled)
		account_in_other(listeners, listener);
}

static struct listener_owner owner_of(const struct listener *listener)
{
	struct listener_owner owner = {
		.key = listener->key,
		.cgroup_id = listener->cgroup_id,
		.pid = listener->pid,
	};

	memcpy(owner.comm, listener->comm, sizeof(owner.comm));
	return owner;
}

static void forget(struct listeners *listeners, uint64_t cookie)
{
	struct listener *listener = find(listeners, cookie);

	if (listener) {
		bequeath(listeners, listener);
		listeners->closed[listeners->nr_closed++ % CLOSED_MAX] = owner_of(listener);
	}
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
	listener->cgroup_id = seen->listen->cgroup_id;
	memcpy(listener->comm, seen->listen->comm, sizeof(listener->comm));
	listener->comm[sizeof(listener->comm) - 1] = '\0';
	listener->accept_limit = seen->listen->accept_limit;
}

/* Where the last word of a listener was lost, whole sweeps miss it. One may: where a read of the
 * iterator ends, it can go by a socket whose neighbours in the table have changed. */
static void take_sweep(struct listeners *listeners, const struct observation *seen)
{
	if (seen->sweep->phase == SWEEP_BEGIN) {
		listeners->sweep_begin_ns = seen->ts_ns;
		return;
	}
	if (!listeners->sweep_begin_ns)
		return;
	for (size_t i = listeners->count; i-- > 0;)
		if (listeners->all[i].seen_ns < listeners->last_begin_ns)
			forget(listeners, listeners->all[i].cookie);
	listeners->last_begin_ns = listeners->sweep_begin_ns;
	listeners->sweep_begin_ns = 0;
}

static void take_netns(struct listeners *listeners, const struct observation *seen)
{
	for (size_t i = listeners->count; seen->netns->phase == NETNS_END && i-- > 0;)
		if (listeners->all[i].key.netns == seen->key.netns)
			forget(listeners, listeners->all[i].cookie);
}

static bool find_at(const struct listeners *listeners, const struct conn_key *key,
		    struct listener_owner *ret)
{
	const struct listener *found = NULL;

	/* The array's order is no property of the sockets: a replay must find the same. */
	for (size_t i = 0; i < listeners->count; i++) {
		const struct listener *listener = &listeners->all[i];

		if (same_address(&listener->key, key) &&
		    (!found || listener->cookie < found->cookie))
			found = listener;
	}
	if (found)
		*ret = owner_of(found);
	return found != NULL;
}

static bool find_closed_at(const struct listeners *listeners, const struct conn_key *key,
			   struct listener_owner *ret)
{
	size_t ever = listeners->nr_closed;

	for (size_t i = 0; i < ever && i < CLOSED_MAX; i++) {
		const struct listener_owner *closed =
			&listeners->closed[(ever - 1 - i) % CLOSED_MAX];

		if (!same_address(&closed->key, key))
			continue;
		*ret = *closed;
		return true;
	}
	return false;
}

bool listeners_find(const struct listeners *listeners, const struct conn_key *connection,
		    struct listener_owner *ret)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	struct conn_key keys[3];
	size_t nr_keys = 0;

	keys[0] = (struct conn_key){ .local_port = connection->local_port,
				     .netns = connection->netns };
	keys[1] = keys[2] = keys[0];
	memcpy(keys[nr_keys++].local_address, connection->local_address, 16);
	if (!memcmp(connection->local_address, mapped, sizeof(mapped)))
		memcpy(keys[nr_keys++].local_address, mapped, sizeof(mapped));
	nr_keys++; /* :: takes both families, unless it is told not to */
	for (size_t i = 0; i < nr_keys; i++)
		if (find_at(listeners, &keys[i], ret))
			return true;
	for (size_t i = 0; i < nr_keys; i++)
		if (find_closed_at(listeners, &keys[i], ret))
			return true;
	return false;
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
	case REC_NETNS:
		take_netns(listeners, observation);
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

size_t listeners_count_in(const struct listeners *listeners, uint32_t netns)
{
	size_t count = 0;

	for (size_t i = 0; i < listeners->count; i++)
		count += listeners->all[i].key.netns == netns;
	return count;
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

static void add_queues(struct listener_row *other, const struct listener_row *row)
{
	other->members += row->members;
	other->syn_length += row->syn_length;
	other->accept_length += row->accept_length;
	other->accept_limit += row->accept_limit;
}

static int busier_first(const void *left, const void *right)
{
	const struct listener_row *a = left, *b = right;

	if (a->counters.syns != b->counters.syns)
		return a->counters.syns < b->counters.syns ? 1 : -1;
	return memcmp(&a->key, &b->key, sizeof(a->key));
}

static int labelled_first(const void *left, const void *right)
{
	const struct listener_row *a = left, *b = right;

	return a->labelled != b->labelled ? b->labelled - a->labelled : busier_first(a, b);
}

static int by_key(const void *left, const void *right)
{
	return memcmp(&((const struct listener *)left)->key, &((const struct listener *)right)->key,
		      sizeof(struct conn_key));
}

/* One row an address:port, NULL without memory. The caller frees it. */
static struct listener_row *group(struct listeners *listeners, size_t *ret_count)
{
	struct listener_row *rows = calloc(listeners->count + 1, sizeof(*rows));
	size_t nr_rows = 0;

	if (!rows)
		return NULL;
	qsort(listeners->all, listeners->count, sizeof(*listeners->all), by_key);
	for (size_t i = 0; i < listeners->count; i++) {
		const struct listener *listener = &listeners->all[i];
		const struct listener_counters counters = read_counters(listeners, listener);

		if (!nr_rows || !same_address(&rows[nr_rows - 1].key, &listener->key))
			rows[nr_rows++].key = listener->key;
		add_member(&rows[nr_rows - 1], listener, &counters);
		rows[nr_rows - 1].labelled |= listener->labelled;
	}
	*ret_count = nr_rows;
	return rows;
}

size_t listeners_busiest(struct listeners *listeners, struct listener_row *rows, size_t max,
			 size_t *ret_total, struct listener_row *ret_other)
{
	struct listener_row *all = group(listeners, ret_total);
	size_t filled = *ret_total < max ? *ret_total : max;

	memset(ret_other, 0, sizeof(*ret_other));
	if (!all) {
		*ret_total = 0;
		return 0;
	}
	qsort(all, *ret_total, sizeof(*all), busier_first);
	memcpy(rows, all, filled * sizeof(*rows));
	for (size_t i = filled; i < *ret_total; i++) {
		add_queues(ret_other, &all[i]);
		add_counters(&ret_other->counters, &all[i].counters);
	}
	free(all);
	return filled;
}

/* Whoever shares a row's address shares its label; what `other` has of them is not shown twice. */
static void give_label(struct listeners *listeners, struct listener_row *row)
{
	row->labelled = true;
	for (size_t i = 0; i < listeners->count; i++) {
		struct listener *listener = &listeners->all[i];

		if (!same_address(&listener->key, &row->key))
			continue;
		listener->labelled = true;
		subtract_counters(&row->counters, &listener->in_other);
	}
}

size_t listeners_labelled(struct listeners *listeners, struct listener_row *rows, size_t max,
			  size_t *ret_total, struct listener_row *ret_other)
{
	struct listener_row *all = group(listeners, ret_total);
	size_t filled = 0;

	memset(ret_other, 0, sizeof(*ret_other));
	if (!all) {
		*ret_total = 0;
		return 0;
	}
	qsort(all, *ret_total, sizeof(*all), labelled_first);
	for (size_t i = 0; i < *ret_total; i++)
		if (i < listeners->labels_max && i < max) {
			give_label(listeners, &all[i]);
			rows[filled++] = all[i];
		} else {
			add_queues(ret_other, &all[i]);
		}
	for (size_t i = 0; i < listeners->count; i++)
		if (!listeners->all[i].labelled)
			account_in_other(listeners, &listeners->all[i]);
	ret_other->counters = listeners->other;
	free(all);
	return filled;
}
