/* SPDX-License-Identifier: GPL-2.0-only */
/* Memory of a view, and the names the data thread leaves to its reader. */
#include "export/view.h"

#include <stdio.h>
#include <stdlib.h>

struct export_view *view_new(size_t listeners_max)
{
	struct export_view *view = calloc(1, sizeof(*view));

	if (!view)
		return NULL;
	view->listeners = calloc(listeners_max ? listeners_max : 1, sizeof(*view->listeners));
	view->names = calloc(listeners_max ? listeners_max : 1, sizeof(*view->names));
	view->listeners_max = listeners_max;
	if (!view->listeners || !view->names) {
		view_free(view);
		return NULL;
	}
	return view;
}

void view_free(struct export_view *view)
{
	if (!view)
		return;
	free(view->listeners);
	free(view->names);
	free(view);
}

const char *view_netns(const struct export_view *view, uint32_t netns, char room[12])
{
	for (uint32_t i = 0; i < view->capture.nr_spaces; i++)
		if (view->capture.spaces[i].netns == netns)
			return view->capture.spaces[i].name;
	snprintf(room, 12, "%u", netns);
	return room;
}

void view_complete(struct export_view *view)
{
	for (size_t i = 0; i < view->nr_listeners; i++) {
		const struct conn_key *key = &view->listeners[i].key;
		char number[12];

		endpoint_format(key->local_address, key->local_port, view->names[i].listener);
		snprintf(view->names[i].netns, sizeof(view->names[i].netns), "%s",
			 view_netns(view, key->netns, number));
	}
}

static const struct listen_view *listen_of(const struct export_view *view, uint32_t netns)
{
	for (uint32_t i = 0; i < view->capture.nr_spaces; i++)
		if (view->capture.spaces[i].netns == netns)
			return &view->listens[i];
	return &view->listens[0];
}

struct limits_facts view_limits_facts(const struct export_view *view,
				      const struct listener_row *row)
{
	return (struct limits_facts){
		.backlog = row->accept_limit,
		.defers = row->defers,
		.sysctls = listen_of(view, row->key.netns)->sysctls,
		.counters = &row->counters,
	};
}

uint64_t view_wall_ns(const struct export_view *view, uint64_t mono_ns)
{
	return view->wall_ns - view->mono_ns + mono_ns;
}
