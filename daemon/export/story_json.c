/* SPDX-License-Identifier: GPL-2.0-only */
/* Stories as JSON: see story.h. */
#include "export/api.h"
#include "export/evidence.h"
#include "export/json.h"
#include "export/names.h"
#include "export/report.h"
#include "export/story.h"
#include "export/story_lines.h"
#include "track/kview.h"

static const char *const kinds[ENTRY_NR] = {
#define X(name, label) [ENTRY_##name] = label,
	TRACK_ENTRY_KINDS(X)
#undef X
};

static void segment_members(struct json *json, const struct story_thread *thread,
			    const struct track_entry *entry)
{
	char flags[TCP_FLAGS_TEXT_MAX];

	json_bool(json, "sent", entry->flags & ENTRY_SENT);
	json_string(json, "flags", tcp_flags_text(entry->segment.tcp_flags, flags));
	json_u64(json, "seq", story_seq(thread, entry));
	if (entry->segment.tcp_flags & TCPF_ACK)
		json_u64(json, "ack", story_ack(thread, entry));
	else
		json_null(json, "ack");
	json_u64(json, "len", entry->segment.len);
	json_u64(json, "window", entry->segment.window);
	json_u64(json, "raw_seq", entry->segment.seq);
	json_u64(json, "raw_ack", entry->segment.ack);
}

static void drop_members(struct json *json, const struct story_thread *thread,
			 const struct track_entry *entry)
{
	char flags[TCP_FLAGS_TEXT_MAX];

	json_bool(json, "sent", entry->flags & ENTRY_SENT);
	json_string(json, "flags", tcp_flags_text(entry->drop.tcp_flags, flags));
	json_u64(json, "seq", story_seq(thread, entry));
	json_u64(json, "raw_seq", entry->drop.seq);
	json_string(json, "reason", entry->drop.reason);
}

static void divergence_members(struct json *json, const struct track_entry *entry,
			       uint64_t wall_offset_ns)
{
	uint64_t since_ns = entry->divergence.since_ns;

	json_u64(json, "id", entry->divergence.id);
	report_kind(json, (enum divergence_kind)entry->divergence.kind, entry->divergence.reason);
	json_time(json, "since", since_ns + wall_offset_ns);
	if (entry->kind == ENTRY_DIVERGENCE_OPEN)
		return;
	json_string(json, "explained_as",
		    entry->divergence.explained_as < DIVERGENCE_NR ?
			    divergence_label((enum divergence_kind)entry->divergence.explained_as) :
			    NULL);
	json_seconds(json, "duration_seconds",
		     entry->ts_ns > since_ns ? entry->ts_ns - since_ns : 0);
}

static void own_members(struct json *json, const struct story_thread *thread,
			const struct track_entry *entry, uint64_t wall_offset_ns)
{
	char error[ERROR_TEXT_MAX];

	switch (entry->kind) {
	case ENTRY_SEGMENT:
		segment_members(json, thread, entry);
		break;
	case ENTRY_DROP:
		drop_members(json, thread, entry);
		break;
	case ENTRY_KERNEL:
		json_string(json, "from", kernel_state_name(entry->change.from));
		json_string(json, "to", kernel_state_name(entry->change.to));
		json_string(json, "error",
			    entry->change.error ? error_text(entry->change.error, error) : NULL);
		break;
	case ENTRY_DIVERGENCE_OPEN:
	case ENTRY_DIVERGENCE_CLOSE:
		divergence_members(json, entry, wall_offset_ns);
		break;
	case ENTRY_ENDED:
		json_string(json, "how", end_label((enum connection_end)entry->end));
		break;
	default:
		break;
	}
}

static void step_list(struct json *json, const struct track_entry *entry)
{
	bool has_key = entry->kind == ENTRY_BEGAN || entry->kind == ENTRY_ENDED;

	json_array_begin(json, "steps");
	for (int i = 0; !has_key && i < entry->nr_local + entry->nr_remote; i++) {
		struct fsm_step step = story_step(&entry->steps[i]);

		json_object_begin(json, NULL);
		json_string(json, "end", i < entry->nr_local ? "local" : "remote");
		json_string(json, "event", fsm_event_name((enum fsm_event)step.event));
		json_string(json, "from", fsm_state_name((enum fsm_state)step.from));
		json_string(json, "to", fsm_state_name((enum fsm_state)step.to));
		json_string(json, "verdict", fsm_verdict_label((enum fsm_verdict)step.verdict));
		json_string(json, "anomaly",
			    step.anomaly ? fsm_anomaly_label((enum fsm_anomaly)step.anomaly) :
					   NULL);
		json_object_end(json);
	}
	json_array_end(json);
}

/* All entries of one life. */
struct lines {
	const struct track_entry *entries;
	size_t count;
};

static void entry_object(struct json *json, struct story_thread *thread, const struct lines *life,
			 const struct track_entry *entry, uint64_t wall_offset_ns)
{
	bool wire = entry->flags & ENTRY_WIRE;
	char remark[STORY_REMARK_MAX];

	json_object_begin(json, NULL);
	json_time(json, "time", entry->ts_ns + wall_offset_ns);
	json_string(json, "entry", kinds[entry->kind]);
	own_members(json, thread, entry, wall_offset_ns);
	if (entry->kind == ENTRY_DIVERGENCE_OPEN) {
		struct divergence_evidence evidence =
			story_evidence(life->entries, life->count, (size_t)(entry - life->entries));

		evidence_json(json, "evidence", &evidence, wall_offset_ns);
	}
	json_string(json, "local_state",
		    wire ? fsm_state_name((enum fsm_state)entry->local_state) : NULL);
	json_string(json, "remote_state",
		    wire ? fsm_state_name((enum fsm_state)entry->remote_state) : NULL);
	json_string(json, "kernel_state", kernel_state_name(entry->kernel_state));
	if (entry->kernel_state == KS_TIME_WAIT && entry->kernel_substate)
		json_string(json, "kernel_substate", kernel_state_name(entry->kernel_substate));
	step_list(json, entry);
	story_remark(thread, entry, remark);
	json_string(json, "remark", remark[0] ? remark : NULL);
	json_object_end(json);
}

static void time_or_null(struct json *json, const char *key, bool known, uint64_t wall_ns)
{
	if (known)
		json_time(json, key, wall_ns);
	else
		json_null(json, key);
}

static void life_object(struct json *json, const struct explanation *explanation,
			const struct history_life *life)
{
	const struct track_entry *entries = explanation->answer->entries + life->first;
	struct connection_report report = { .key = life->key,
					    .role = (enum connection_role)life->role };
	uint64_t offset_ns = explanation->wall_offset_ns;
	const struct lines lines = { entries, life->count };
	struct story_thread thread;

	json_object_begin(json, NULL);
	report_tuple(json, &report);
	time_or_null(json, "began", life->has_begin, life->first_ns + offset_ns);
	time_or_null(json, "ended", life->has_ended, life->last_ns + offset_ns);
	json_string(json, "how",
		    life->has_ended ? end_label((enum connection_end)life->end) : NULL);
	json_bool(json, "complete", life->has_begin);
	if (!explanation->tuple->is_half) {
		json_array_begin(json, "entries");
		story_begin(&thread, entries, life->count);
		for (size_t i = 0; i < life->count; i++)
			if (entries[i].kind != ENTRY_EVIDENCE)
				entry_object(json, &thread, &lines, &entries[i], offset_ns);
		json_array_end(json);
	}
	json_object_end(json);
}

void explain_json(const struct explanation *explanation, struct text *out)
{
	char tuple[TUPLE_TEXT_MAX];
	struct json json;

	json_init(&json, out);
	json_object_begin(&json, NULL);
	json_u64(&json, "schema", API_SCHEMA);
	json_time(&json, "time", explanation->wall_ns);
	json_string(&json, "tuple", tuple_format(explanation->tuple, tuple));
	json_object_begin(&json, "history");
	json_u64(&json, "entries", explanation->kept.entries);
	json_u64(&json, "limit", explanation->kept.limit);
	json_u64(&json, "overwritten", explanation->kept.overwritten);
	json_object_end(&json);
	json_bool(&json, "more", explanation->answer->has_more);
	json_array_begin(&json, "connections");
	for (size_t i = 0; i < explanation->answer->nr_lives; i++)
		life_object(&json, explanation, &explanation->answer->lives[i]);
	json_array_end(&json);
	json_object_end(&json);
	text_char(out, '\n');
}
