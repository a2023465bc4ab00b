/* SPDX-License-Identifier: GPL-2.0-only */
/* The answers of /api/v1/ as JSON. */
#include "export/api.h"

#include "export/report.h"

void api_begin(struct json *json, struct text *out, uint64_t wall_ns)
{
	json_init(json, out);
	json_object_begin(json, NULL);
	json_u64(json, "schema", API_SCHEMA);
	json_time(json, "time", wall_ns);
}

void api_end(struct json *json)
{
	json_object_end(json);
	text_char(json->out, '\n');
}

static void status_connections(struct json *json, const struct tracker_stats *tracker)
{
	json_object_begin(json, "connections");
	for (int view = 0; view < VIEW_NR; view++) {
		json_object_begin(json, view_label(view));
		for (int state = FSM_CLOSED + 1; state < FSM_NR_STATES; state++)
			json_u64(json, fsm_state_name(state), tracker->connections[view][state]);
		json_object_end(json);
	}
	json_object_end(json);
}

static void status_open(struct json *json, const struct tracker_stats *tracker)
{
	uint64_t open[SEVERITY_NR] = { 0 };

	for (int kind = 0; kind < DIVERGENCE_NR; kind++)
		open[divergence_severity(kind)] += tracker->divergences_open[kind];
	json_object_begin(json, "divergences_open");
	for (int i = SEVERITY_NR - 1; i >= 0; i--)
		json_u64(json, divergence_severity_label(i), open[i]);
	json_object_end(json);
}

static void status_comparison(struct json *json, const struct tracker_stats *tracker)
{
	json_object_begin(json, "opened");
	for (int role = 0; role < ROLE_NR; role++)
		json_u64(json, role_label(role), tracker->opened[role]);
	json_object_end(json);
	json_u64(json, "comparisons", tracker->comparisons);
	json_u64(json, "comparisons_agreed", tracker->comparisons_agreed);
	json_object_begin(json, "divergences");
	for (int kind = 0; kind < DIVERGENCE_NR; kind++) {
		json_object_begin(json, divergence_label(kind));
		json_string(json, "class", divergence_class_label(divergence_class(kind)));
		json_u64(json, "total", tracker->divergences[kind]);
		json_u64(json, "open", tracker->divergences_open[kind]);
		json_object_end(json);
	}
	json_object_end(json);
	status_open(json, tracker);
	json_object_begin(json, "unobservable");
	for (int reason = 0; reason < UNOBSERVABLE_NR; reason++)
		json_u64(json, unobservable_label(reason), tracker->unobservable[reason]);
	json_object_end(json);
	json_object_begin(json, "flow_table");
	json_u64(json, "entries", tracker->entries);
	json_u64(json, "limit", tracker->limit);
	json_u64(json, "evictions", tracker->evictions);
	json_object_end(json);
}

static void status_records(struct json *json, const struct capture_stats *capture)
{
	static const char *const rings[RING_NR] = {
		[RING_SEGMENT] = "segment",
		[RING_KERNEL] = "kernel",
	};

	json_object_begin(json, "records");
	for (int ring = 0; ring < RING_NR; ring++) {
		uint64_t rejected = 0;

		for (int reason = 0; reason < REJECT_NR; reason++)
			rejected += capture->rejected[ring][reason];
		json_object_begin(json, rings[ring]);
		json_u64(json, "attempted", capture->attempted[ring]);
		json_u64(json, "decoded", capture->decoded[ring]);
		json_u64(json, "rejected", rejected);
		json_u64(json, "lost", capture->lost[ring]);
		json_u64(json, "pending", capture->pending[ring]);
		json_u64(json, "late", capture->late[ring]);
		json_seconds(json, "lag_seconds", capture->lag_ns[ring]);
		json_object_end(json);
	}
	json_object_end(json);
}

static void status_attachments(struct json *json, const struct capture_stats *capture)
{
	json_array_begin(json, "namespaces");
	for (uint32_t i = 0; i < capture->nr_spaces; i++) {
		json_object_begin(json, NULL);
		json_u64(json, "netns", capture->spaces[i].netns);
		json_string(json, "name", capture->spaces[i].name);
		json_object_end(json);
	}
	json_array_end(json);
	json_array_begin(json, "interfaces");
	for (uint32_t i = 0; i < capture->nr_interfaces; i++) {
		const struct interface_row *row = &capture->interfaces[i];

		json_object_begin(json, NULL);
		json_string(json, "interface", row->interface);
		json_string(json, "hook", row->hook);
		json_string(json, "mode", row->mode);
		json_u64(json, "netns", row->netns);
		json_object_end(json);
	}
	json_array_end(json);
	json_array_begin(json, "programs");
	for (uint32_t i = 0; i < capture->nr_programs; i++) {
		const struct program_row *row = &capture->programs[i];

		json_object_begin(json, NULL);
		json_string(json, "program", row->program);
		json_string(json, "interface", row->interface[0] ? row->interface : NULL);
		json_bool(json, "attached", row->attached);
		json_object_end(json);
	}
	json_array_end(json);
}

void api_status(const struct export_view *view, struct text *out)
{
	struct json json;

	api_begin(&json, out, view->wall_ns);
	json_string(&json, "version", view->build->version);
	json_string(&json, "revision", view->build->revision);
	json_bool(&json, "ready", view->ready);
	json_time(&json, "started", view_wall_ns(view, view->started_ns));
	json_seconds(&json, "uptime_seconds", view->mono_ns - view->started_ns);
	status_connections(&json, &view->tracker);
	status_comparison(&json, &view->tracker);
	json_u64(&json, "listeners", view->total_listeners);
	status_records(&json, &view->capture);
	api_sampling(view, &json);
	status_attachments(&json, &view->capture);
	json_object_begin(&json, "events");
	json_u64(&json, "written", view->events.written);
	json_u64(&json, "dropped", view->events.dropped);
	json_object_end(&json);
	api_end(&json);
}

void api_connections(const struct api_instant *at, const struct connection_report *reports,
		     size_t count, uint64_t next_cursor, struct text *out)
{
	struct json json;

	api_begin(&json, out, at->wall_ns);
	json_array_begin(&json, "connections");
	for (size_t i = 0; i < count; i++) {
		json_object_begin(&json, NULL);
		report_tuple(&json, &reports[i]);
		report_states(&json, &reports[i]);
		json_string(&json, "remote_state", fsm_state_name(reports[i].remote_state));
		report_life(&json, &reports[i], at->wall_ns - at->mono_ns);
		json_object_end(&json);
	}
	json_array_end(&json);
	if (next_cursor)
		json_u64(&json, "next_cursor", next_cursor);
	else
		json_null(&json, "next_cursor");
	api_end(&json);
}

void api_error(const char *text, struct text *out)
{
	struct json json;

	json_init(&json, out);
	json_object_begin(&json, NULL);
	json_string(&json, "error", text);
	api_end(&json);
}
