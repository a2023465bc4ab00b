/* SPDX-License-Identifier: GPL-2.0-only */
/* Floods of listening addresses: what their sockets counted added up, judged, and told. */
#include <stdlib.h>

#include "listen/listeners_parts.h"
#include "util.h"

void address_join(struct listeners *listeners, struct listener *listener)
{
	for (size_t i = 0; i < listeners->count && !listener->address; i++)
		if (same_address(&listeners->all[i].key, &listener->key))
			listener->address = listeners->all[i].address;
	if (!listener->address)
		listener->address = calloc(1, sizeof(*listener->address));
	if (listener->address)
		listener->address->members++;
}

void listener_add_sources(const struct listeners *listeners, const struct listener *listener,
			  struct sketch_union *sum)
{
	struct source_sketch sketch;

	if (listeners->ops.sources &&
	    !listeners->ops.sources(listeners->ops.context, listener->cookie, &sketch))
		sketch_add(sum, &sketch, listeners->now_ns >> LISTENER_WINDOW_SHIFT);
}

/* Who is flooded: of its members the fullest, all sources. */
static void describe(const struct listeners *listeners, const struct listener *one,
		     struct flood_news *news)
{
	struct sketch_union sources = { 0 };

	news->listener = listener_owner_of(one);
	for (size_t i = 0; i < listeners->count; i++) {
		const struct listener *member = &listeners->all[i];

		if (member->address != one->address)
			continue;
		listener_add_sources(listeners, member, &sources);
		if (member->syn_length < news->syn_length)
			continue;
		news->syn_length = member->syn_length;
		news->syn_limit = member->accept_limit;
	}
	news->sources = sketch_estimate(&sources);
}

static void tell(struct listeners *listeners, const struct listener *listener)
{
	struct listener_address *address = listener->address;
	struct flood_news *news;

	if (listeners->nr_news == listeners->news_room) {
		size_t room = listeners->news_room ? 2 * listeners->news_room : 8;

		news = realloc(listeners->news, room * sizeof(*news));
		if (!news)
			return;
		listeners->news = news;
		listeners->news_room = room;
	}
	news = &listeners->news[listeners->nr_news++];
	*news = (struct flood_news){
		.begins = address->flood.suspected,
		.ts_ns = listeners->now_ns,
		.since_ns = address->flood.since_ns,
		.facts = address->flood.facts,
	};
	describe(listeners, listener, news);
	if (news->begins)
		address->syns_before = address->totals.syns;
	else
		news->syns = beyond(address->totals.syns, address->syns_before);
}

void address_leave(struct listeners *listeners, struct listener *listener)
{
	struct listener_address *address = listener->address;

	if (!address || --address->members)
		return;
	if (address->flood.suspected) {
		address->flood.suspected = false;
		tell(listeners, listener);
	}
	free(address);
}

void floods_judge(struct listeners *listeners)
{
	for (size_t i = 0; i < listeners->count; i++) {
		const struct listener *listener = &listeners->all[i];
		const struct listener_counters counters =
			listeners_read_counters(listeners, listener);

		if (!listener->address)
			continue;
		if (listener->address->totals.ts_ns != listeners->now_ns)
			listener->address->totals =
				(struct flood_totals){ .ts_ns = listeners->now_ns };
		flood_add(&listener->address->totals, &counters);
	}
	for (size_t i = 0; i < listeners->count; i++) {
		struct listener_address *address = listeners->all[i].address;

		if (!address || address->judged_ns == listeners->now_ns)
			continue;
		address->judged_ns = listeners->now_ns;
		if (flood_judge(&address->flood, &address->totals))
			tell(listeners, &listeners->all[i]);
	}
}

bool listeners_flood_news(struct listeners *listeners, struct flood_news *ret)
{
	if (!listeners->nr_news)
		return false;
	*ret = listeners->news[0];
	listeners->nr_news--;
	memmove(listeners->news, listeners->news + 1, listeners->nr_news * sizeof(*ret));
	return true;
}
