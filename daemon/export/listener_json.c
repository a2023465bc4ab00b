/* SPDX-License-Identifier: GPL-2.0-only */
/* /api/v1/listeners as JSON. */
#include "export/api.h"
#include "export/json.h"

static const char *const drop_labels[] = {
#define X(name, label) label,
	LISTENER_DROPS(X)
#undef X
};

static const char *const verdict_labels[] = {
	[VERDICT_CHANGE] = "change",
	[VERDICT_HELPS] = "helps",
	[VERDICT_NO] = "no_help",
};

static void queues(struct json *json, const struct listener_row *row,
		   const struct limits_facts *facts)
{
	json_u64(json, "sockets", row->members);
	json_u64(json, "sampling_shift", row->sampling_shift);
	json_u64(json, "syn_queue_length", row->syn_length);
	json_u64(json, "syn_queue_limit", limits_of(facts, QUEUE_SYN).limit);
	json_u64(json, "syn_queue_length_max", row->syn_peak);
	json_u64(json, "accept_queue_length", row->accept_length);
	json_u64(json, "accept_queue_limit", row->accept_limit);
	json_u64(json, "accept_queue_length_max", row->accept_peak);
}

static void flood(struct json *json, const struct export_view *view, const struct listener_row *row)
{
	json_u64(json, "sources", row->sources);
	json_object_begin(json, "requests");
	json_u64(json, "completed", row->requests_completed);
	json_u64(json, "reset", row->counters.requests_reset);
	json_u64(json, "expired", row->requests_expired);
	json_seconds(json, "half_open_seconds", row->half_open_ns);
	json_object_end(json);
	json_object_begin(json, "syn_flood");
	json_bool(json, "suspected", row->flooded);
	if (row->flooded)
		json_time(json, "since", view_wall_ns(view, row->flooded_ns));
	else
		json_null(json, "since");
	json_u64(json, "syns_per_second", row->flood.rate);
	json_u64(json, "answered_percent", row->flood.answered);
	json_bool(json, "hurts", row->flood.hurts);
	json_object_end(json);
}

static void counters(struct json *json, const struct listener_counters *of)
{
	json_u64(json, "syns", of->syns);
	json_u64(json, "synacks", of->synacks);
	json_u64(json, "retransmitted_synacks", of->synacks_retransmitted);
	json_u64(json, "handshakes", of->handshakes);
	json_u64(json, "deferred_acks", of->deferred);
	json_object_begin(json, "resets");
	json_u64(json, "request", of->requests_reset);
	json_u64(json, "listener", of->resets);
	json_object_end(json);
	json_object_begin(json, "cookies");
	json_u64(json, "sent", of->cookies_sent);
	json_u64(json, "accepted", of->cookies_accepted);
	json_u64(json, "failed", of->drops[LISTENER_DROP_COOKIE_INVALID]);
	json_object_end(json);
	json_object_begin(json, "drops");
	for (int reason = 0; reason < LISTENER_DROP_NR; reason++)
		json_u64(json, drop_labels[reason], of->drops[reason]);
	json_object_end(json);
}

/* For each queue what limits it; for one that turned something away, what would help. */
static void knobs(struct json *json, const struct limits_facts *facts)
{
	json_bool(json, "defer_accept", facts->defers);
	json_object_begin(json, "limited_by");
	for (int queue = 0; queue < QUEUE_NR; queue++)
		json_string(json, listen_queue_label(queue),
			    listen_knob_label(limits_of(facts, queue).by));
	json_object_end(json);
	json_object_begin(json, "advice");
	for (int queue = 0; queue < QUEUE_NR; queue++) {
		struct listen_advice advice;

		if (!limits_overflowed(facts, queue))
			continue;
		limits_advise(facts, queue, &advice);
		json_array_begin(json, listen_queue_label(queue));
		for (size_t i = 0; i < advice.count; i++) {
			json_object_begin(json, NULL);
			json_string(json, "knob", listen_knob_label(advice.rows[i].knob));
			json_string(json, "verdict", verdict_labels[advice.rows[i].verdict]);
			json_string(json, "why", advice.rows[i].why);
			json_object_end(json);
		}
		json_array_end(json);
	}
	json_object_end(json);
}

static void owner(struct json *json, const struct listener_row *row)
{
	const struct place *place = &row->place;

	if (!row->pid) {
		json_null(json, "pid");
		json_null(json, "command");
	} else {
		json_u64(json, "pid", row->pid);
		json_string(json, "command", row->comm);
	}
	json_string(json, "unit", place->unit[0] ? place->unit : NULL);
	json_string(json, "container", place->container[0] ? place->container : NULL);
	json_string(json, "container_runtime",
		    place->runtime ? container_runtime_label(place->runtime) : NULL);
	json_string(json, "pod", place->pod[0] ? place->pod : NULL);
}

static void of_namespace(struct json *json, const struct space_row *space,
			 const struct listen_view *listen)
{
	const struct listen_sysctls *sysctls = &listen->sysctls;

	json_object_begin(json, NULL);
	json_u64(json, "netns", space->netns);
	json_string(json, "netns_name", space->name);
	json_object_begin(json, "sysctls");
#define X(field, name) json_u64(json, name, sysctls->field);
	LISTEN_SYSCTLS(X)
#undef X
	json_object_end(json);
	json_object_begin(json, "unexplained");
	for (int mib = 0; mib < LISTEN_MIB_NR; mib++)
		json_i64(json, listen_mib_label(mib), listen->unexplained[mib]);
	json_object_end(json);
	json_object_end(json);
}

void api_listeners(const struct export_view *view, struct text *out)
{
	struct limits_facts facts;
	struct json json;

	api_begin(&json, out, view->wall_ns);
	json_u64(&json, "total", view->total_listeners);
	json_string(&json, "syn_queue_full", syn_queue_test_label(view->syn_queue_test));
	json_array_begin(&json, "namespaces");
	for (uint32_t i = 0; i < view->capture.nr_spaces; i++)
		of_namespace(&json, &view->capture.spaces[i], &view->listens[i]);
	json_array_end(&json);
	json_array_begin(&json, "listeners");
	for (size_t i = 0; i < view->nr_listeners; i++) {
		const struct listener_row *row = &view->listeners[i];

		facts = view_limits_facts(view, row);
		json_object_begin(&json, NULL);
		json_string(&json, "listener", view->names[i].listener);
		json_u64(&json, "netns", row->key.netns);
		json_string(&json, "netns_name", view->names[i].netns);
		queues(&json, row, &facts);
		counters(&json, &row->counters);
		flood(&json, view, row);
		knobs(&json, &facts);
		owner(&json, row);
		json_object_end(&json);
	}
	json_array_end(&json);
	json_object_begin(&json, "other");
	facts = view_limits_facts(view, &view->other);
	queues(&json, &view->other, &facts);
	counters(&json, &view->other.counters);
	json_object_end(&json);
	api_end(&json);
}
