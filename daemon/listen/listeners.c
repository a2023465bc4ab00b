/* SPDX-License-Identifier: GPL-2.0-only */
/* Listening sockets: see listeners.h. A few hundred at most: one array, searched in order. */
#include "listen/listeners_parts.h"

#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include "tcp_defs.h"
#include "util.h"

/* What was counted so long ago has had its outcome (outcome.h). */
#define SETTLE_NS NS_PER_SEC

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
	for (size_t i = 0; i < listeners->count; i++)
		address_leave(listeners, &listeners->all[i]);
	free(listeners->news);
	free(listeners->closed_sums);
	free(listeners->all);
	free(listeners);
}

/* From where the last was found: looks at all of them come in the array's order, and what comes
 * for one comes often. */
static struct listener *find(struct listeners *listeners, uint64_t cookie)
{
	size_t at = listeners->found;

	for (size_t i = 0; i < listeners->count; i++, at++) {
		at = at < listeners->count ? at : 0;
		if (listeners->all[at].cookie != cookie)
			continue;
		listeners->found = at;
		return &listeners->all[at];
	}
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
	for (size_t i = 0; i + 1 < listeners->count; i++)
		if (same_address(&listeners->all[i].key, &listener->key))
			listeners->all[i].shares = listener->shares = true;
	address_join(listeners, listener);
	if (listeners->ops.name)
		listeners->ops.name(listeners->ops.context, &listener->key, 0, listener->cookie);
	return listener;
}

static void take_peaks(struct listener *listener, uint64_t ts_ns)
{
	uint64_t number = ts_ns >> LISTENER_WINDOW_SHIFT;
	struct window *window = &listener->windows[number & 1];

	if (window->number != number)
		*window = (struct window){ .number = number };
	window->syn_length = MAX(window->syn_length, listener->syn_length);
	window->accept_length = MAX(window->accept_length, listener->accept_length);
}

static void take_queues(struct listener *listener, const struct rec_snapshot *snapshot,
			uint64_t ts_ns)
{
	if (!(snapshot->bits & SNAP_QUEUES) || ts_ns < listener->seen_ns)
		return;
	listener->half_open_ns += listener->syn_length * (ts_ns - listener->seen_ns);
	listener->seen_ns = ts_ns;
	listener->syn_length = snapshot->queues.syn_length;
	listener->accept_length = snapshot->queues.accept_length;
	listener->accept_limit = snapshot->queues.accept_limit;
	listener->defers = snapshot->bits & SNAP_DEFER;
	take_peaks(listener, ts_ns);
}

#define COUNTER_WORDS (sizeof(struct listener_counters) / sizeof(__u64))

void counters_add(struct listener_counters *sum, const struct listener_counters *more)
{
	for (size_t i = 0; i < COUNTER_WORDS; i++)
		((__u64 *)sum)[i] += ((const __u64 *)more)[i];
}

void counters_subtract(struct listener_counters *from, const struct listener_counters *less)
{
	for (size_t i = 0; i < COUNTER_WORDS; i++)
		((__u64 *)from)[i] -= ((const __u64 *)less)[i];
}

bool listeners_read_raw(const struct listeners *listeners, const struct listener *listener,
			struct listener_reading *ret)
{
	return listeners->ops.read &&
	       !listeners->ops.read(listeners->ops.context, listener->cookie, ret);
}

/* As they are told, of this socket alone. */
static struct listener_counters read_own(const struct listeners *listeners,
					 const struct listener *listener)
{
	struct listener_reading reading;

	if (!listeners_read_raw(listeners, listener, &reading))
		return (struct listener_counters){ 0 };
	outcome_apply(&listener->outcome, listeners->test, listeners->ops.told, &reading.counters);
	return reading.counters;
}

struct listener_reading listeners_read(const struct listeners *listeners,
				       const struct listener *listener)
{
	struct listener_reading reading;

	if (!listeners_read_raw(listeners, listener, &reading)) /* nothing new */
		return (struct listener_reading){ .counters = listener->in_other };
	outcome_apply(&listener->outcome, listeners->test, listeners->ops.told, &reading.counters);
	counters_add(&reading.counters, &listener->inherited);
	return reading;
}

struct listener_counters listeners_read_counters(const struct listeners *listeners,
						 const struct listener *listener)
{
	return listeners_read(listeners, listener).counters;
}

static void settle(struct listeners *listeners, struct listener *listener)
{
	struct listener_reading reading;

	if (!listeners_read_raw(listeners, listener, &reading))
		return;
	if (listeners->test == SYN_QUEUE_FULL_UNKNOWN)
		listeners->test = outcome_test(&listener->outcome, &reading.counters);
	outcome_settle(&listener->outcome, listeners->test, !listener->shares, &reading.counters);
}

void listeners_tick(struct listeners *listeners, uint64_t now_ns)
{
	listeners->now_ns = now_ns;
	if (now_ns - listeners->settled_ns < SETTLE_NS)
		return;
	listeners->settled_ns = now_ns;
	for (size_t i = 0; i < listeners->count; i++)
		settle(listeners, &listeners->all[i]);
	floods_judge(listeners);
}

void listeners_account_in_other(struct listeners *listeners, struct listener *listener)
{
	struct listener_counters counters = listeners_read_counters(listeners, listener),
				 news = counters;

	counters_subtract(&news, &listener->in_other);
	counters_add(&listeners->other, &news);
	listener->in_other = counters;
}

static void rename_address(const struct listeners *listeners, const struct listener *listener,
			   uint64_t heir)
{
	if (listeners->ops.name)
		listeners->ops.name(listeners->ops.context, &listener->key, listener->cookie, heir);
}

/* What a closing socket has counted stays with its address as long as another member lives. */
static void bequeath(struct listeners *listeners, struct listener *listener)
{
	struct listener_counters counters, own;

	settle(listeners, listener); /* whatever was to come has come */
	settle(listeners, listener);
	settle(listeners, listener);
	counters = listeners_read_counters(listeners, listener);
	own = read_own(listeners, listener);
	closed_remember(listeners, listener, &own);
	for (size_t i = 0; i < listeners->count; i++) {
		struct listener *heir = &listeners->all[i];

		if (heir == listener || !same_address(&heir->key, &listener->key))
			continue;
		counters_add(&heir->inherited, &counters);
		counters_add(&heir->in_other, &listener->in_other);
		rename_address(listeners, listener, heir->cookie);
		return;
	}
	rename_address(listeners, listener, 0);
	if (!listener->labelled)
		listeners_account_in_other(listeners, listener);
}

static void forget(struct listeners *listeners, uint64_t cookie)
{
	struct listener *listener = find(listeners, cookie);

	if (listener) {
		bequeath(listeners, listener);
		address_leave(listeners, listener);
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
	if (listeners->ops.locate)
		listeners->ops.locate(listeners->ops.context, listener->pid, &listener->place);
}

static bool is_ownerless(const struct listener *listener)
{
	return !listener->place.known && listener->owner_seeks < OWNER_SEEKS_MAX;
}

size_t listeners_ownerless(const struct listeners *listeners, uint32_t netns)
{
	size_t count = 0;

	for (size_t i = 0; i < listeners->count; i++)
		count += listeners->all[i].key.netns == netns && is_ownerless(&listeners->all[i]);
	return count;
}

bool listeners_seek_owner(struct listeners *listeners, uint64_t cookie)
{
	struct listener *listener = find(listeners, cookie);

	if (!listener || !is_ownerless(listener))
		return false;
	listener->owner_seeks++;
	return true;
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
	if (seen->netns->phase == NETNS_END)
		closed_forget_space(listeners, seen->key.netns);
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
		*ret = listener_owner_of(found);
	return found != NULL;
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
		if (closed_find(listeners, &keys[i], ret))
			return true;
	return false;
}

/* listen() chose it, after its event. */
static void take_port(struct listeners *listeners, struct listener *listener, uint16_t port)
{
	address_leave(listeners, listener);
	listener->address = NULL;
	listener->key.local_port = port;
	address_join(listeners, listener);
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
		if (listener && !listener->key.local_port)
			take_port(listeners, listener, observation->key.local_port);
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

void listeners_each_key(struct listeners *listeners,
			void (*each)(void *context, const struct conn_key *key), void *context)
{
	/* The callback may make a listener known, and so move the array. */
	for (size_t i = 0, count = listeners->count; i < count; i++) {
		struct conn_key key = listeners->all[i].key;

		/* Whose SYN would go to which member only the kernel knows: one by one, all come. */
		if (listeners->all[i].shares)
			key.remote_port = ++listeners->asked_port;
		requests_before_look(listeners, &listeners->all[i]);
		each(context, &key);
		requests_after_look(listeners, &listeners->all[i]);
	}
}

void listeners_sum(struct listeners *listeners, uint32_t netns, struct listener_counters *ret)
{
	const struct listener_counters *closed = closed_sum_of(listeners, netns);

	*ret = closed ? *closed : (struct listener_counters){ 0 };
	for (size_t i = 0; i < listeners->count; i++) {
		struct listener_counters own;

		if (listeners->all[i].key.netns != netns)
			continue;
		own = read_own(listeners, &listeners->all[i]);
		counters_add(ret, &own);
	}
}

enum syn_queue_test listeners_syn_queue_test(const struct listeners *listeners)
{
	return listeners->test;
}
