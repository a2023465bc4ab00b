/* SPDX-License-Identifier: GPL-2.0-only */
/* A connection as JSON members: states by RFC 9293's names, the kernel's by the kernel's. */
#include "export/report.h"

#include "track/kview.h"

void report_tuple(struct json *json, const struct connection_report *report)
{
	const struct conn_key *key = &report->key;
	char endpoint[ENDPOINT_TEXT_MAX];

	json_string(json, "local", endpoint_format(key->local_address, key->local_port, endpoint));
	json_string(json, "remote",
		    endpoint_format(key->remote_address, key->remote_port, endpoint));
	json_u64(json, "netns", key->netns);
	if (report->netns_name[0])
		json_string(json, "netns_name", report->netns_name);
	json_string(json, "role", role_label(report->role));
}

void report_states(struct json *json, const struct connection_report *report)
{
	json_string(json, "wire_state", fsm_state_name(report->local_state));
	json_string(json, "kernel_state", kernel_state_name(report->kernel_state));
	if (report->kernel_state == KS_TIME_WAIT && report->kernel_substate)
		json_string(json, "kernel_substate", kernel_state_name(report->kernel_substate));
}

static void path_of_fsm(struct json *json, const char *key, const uint8_t *path, uint8_t steps)
{
	json_array_begin(json, key);
	for (uint8_t i = 0; i < steps; i++)
		json_string(json, NULL, fsm_state_name(path[i]));
	json_array_end(json);
}

static void path_of_kernel(struct json *json, const char *key, const uint8_t *path, uint8_t steps)
{
	json_array_begin(json, key);
	for (uint8_t i = 0; i < steps; i++)
		json_string(json, NULL, kernel_state_name(path[i]));
	json_array_end(json);
}

static void time_or_null(struct json *json, const char *key, uint64_t mono_ns,
			 uint64_t wall_offset_ns)
{
	if (mono_ns)
		json_time(json, key, mono_ns + wall_offset_ns);
	else
		json_null(json, key);
}

void report_life(struct json *json, const struct connection_report *report, uint64_t wall_offset_ns)
{
	path_of_fsm(json, "local_path", report->local_path, report->local_steps);
	path_of_fsm(json, "remote_path", report->remote_path, report->remote_steps);
	path_of_kernel(json, "kernel_path", report->kernel_path, report->kernel_steps);
	time_or_null(json, "opened", report->opened_ns, wall_offset_ns);
	time_or_null(json, "closed", report->closed_ns, wall_offset_ns);
	json_array_begin(json, "divergences");
	for (int kind = 0; kind < DIVERGENCE_NR; kind++)
		if (report->divergences & (1u << kind))
			json_string(json, NULL, divergence_label(kind));
	json_array_end(json);
	json_array_begin(json, "anomalies");
	for (int anomaly = AN_NONE + 1; anomaly < AN_NR && anomaly < 32; anomaly++)
		if (report->anomalies & (1u << anomaly))
			json_string(json, NULL, fsm_anomaly_label(anomaly));
	json_array_end(json);
	json_array_begin(json, "seen");
	for (int kind = 0; kind < SEEN_NR; kind++)
		if (report->seen & 1u << kind)
			json_string(json, NULL, seen_label(kind));
	json_array_end(json);
	json_bool(json, "observable", report->observable);
	json_string(json, "why", report->observable ? NULL : unobservable_label(report->why));
}

void report_kind(struct json *json, enum divergence_kind kind, const char *reason)
{
	json_string(json, "kind", divergence_label(kind));
	json_string(json, "class", divergence_class_label(divergence_class(kind)));
	json_string(json, "severity", divergence_severity_label(divergence_severity(kind)));
	json_string(json, "reason", reason);
	json_string(json, "text", divergence_text(kind));
	json_string(json, "look_at", divergence_look_at(kind));
}

void report_listener(struct json *json, const struct listener_owner *listener)
{
	char endpoint[ENDPOINT_TEXT_MAX];

	if (!listener) {
		json_null(json, "listener");
		json_null(json, "owner");
		return;
	}
	json_string(json, "listener",
		    endpoint_format(listener->key.local_address, listener->key.local_port,
				    endpoint));
	if (!listener->pid) {
		json_null(json, "owner");
		return;
	}
	json_object_begin(json, "owner");
	json_u64(json, "pid", listener->pid);
	json_string(json, "command", listener->comm);
	json_u64(json, "cgroup_id", listener->cgroup_id);
	json_object_end(json);
}
