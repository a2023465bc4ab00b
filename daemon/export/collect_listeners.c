/* SPDX-License-Identifier: GPL-2.0-only */
/* Metrics of the listeners: the busiest by name, the rest added up under "other". */
#include "export/collectors.h"

static const char *const listener_drop_labels[] = {
#define X(name, label) label,
	LISTENER_DROPS(X)
#undef X
};

#define OTHER_LISTENERS "other"

static void by_listener(struct exposition *e, uint64_t (*value)(const struct listener_row *row))
{
	for (size_t i = 0; i < e->view->nr_listeners; i++)
		sample2(e, e->view->names[i].listener, e->view->names[i].netns,
			value(&e->view->listeners[i]));
	sample2(e, OTHER_LISTENERS, "", value(&e->view->other));
}

static uint64_t syn_length(const struct listener_row *row)
{
	return row->syn_length;
}

static uint64_t accept_length(const struct listener_row *row)
{
	return row->accept_length;
}

static uint64_t accept_limit(const struct listener_row *row)
{
	return row->accept_limit;
}

static uint64_t members(const struct listener_row *row)
{
	return row->members;
}

static uint64_t syns(const struct listener_row *row)
{
	return row->counters.syns;
}

void collect_listener_syn_length(struct exposition *e)
{
	by_listener(e, syn_length);
}

void collect_listener_accept_length(struct exposition *e)
{
	by_listener(e, accept_length);
}

void collect_listener_accept_limit(struct exposition *e)
{
	by_listener(e, accept_limit);
}

void collect_listener_sockets(struct exposition *e)
{
	by_listener(e, members);
}

void collect_listener_syns(struct exposition *e)
{
	by_listener(e, syns);
}

static void drops_of(struct exposition *e, const char *listener, const char *netns,
		     const struct listener_row *row)
{
	for (int reason = 0; reason < LISTENER_DROP_NR; reason++)
		sample3(e, listener, netns, listener_drop_labels[reason],
			row->counters.drops[reason]);
}

void collect_listener_drops(struct exposition *e)
{
	for (size_t i = 0; i < e->view->nr_listeners; i++)
		drops_of(e, e->view->names[i].listener, e->view->names[i].netns,
			 &e->view->listeners[i]);
	drops_of(e, OTHER_LISTENERS, "", &e->view->other);
}

void collect_listeners_total(struct exposition *e)
{
	expose_sample(e, NULL, e->view->total_listeners);
}
