/* SPDX-License-Identifier: GPL-2.0-only */
/* The sampling, as a member of /api/v1/status. */
#include "export/api.h"

static const char *const kind_labels[] = {
#define X(name, label) label,
	SAMPLING_KINDS(X)
#undef X
};

static void counters(struct json *json, const struct sampling_row *row)
{
	json_u64(json, "shift", row->shift);
	json_object_begin(json, "suppressed");
	for (int kind = 0; kind < SAMPLING_KIND_NR; kind++)
		json_u64(json, kind_labels[kind], row->counters.suppressed[kind]);
	json_object_end(json);
	json_u64(json, "suppressed_handshakes", row->counters.born);
}

void api_sampling(const struct export_view *view, struct json *json)
{
	const struct sampling_stats *sampling = &view->capture.sampling;

	json_object_begin(json, "sampling");
	json_u64(json, "budget", sampling->budget);
	json_u64(json, "total_budget", sampling->total);
	json_u64(json, "share", sampling->share);
	json_u64(json, "active", sampling->active);
	json_array_begin(json, "sites");
	for (uint32_t i = 0; i < sampling->nr_rows; i++) {
		const struct sampling_site *site = &sampling->rows[i].site;
		char room[12];

		json_object_begin(json, NULL);
		json_string(json, "netns", view_netns(view, site->netns, room));
		if (site->ifindex)
			json_u64(json, "interface_index", site->ifindex);
		else
			json_u64(json, "port", site->port);
		counters(json, &sampling->rows[i]);
		json_object_end(json);
	}
	json_array_end(json);
	json_object_begin(json, "other");
	counters(json, &sampling->other);
	json_object_end(json);
	json_object_end(json);
}
