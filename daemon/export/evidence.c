/* SPDX-License-Identifier: GPL-2.0-only */
/* What a divergence rests on, as JSON and as words. */
#include "export/evidence.h"

#include <stdio.h>
#include <string.h>

#include "export/names.h"
#include "tcp_defs.h"
#include "track/kview.h"
#include "util.h"

struct bit_name {
	uint8_t bit;
	const char *label; /* JSON */
	const char *words; /* text */
};

static const struct bit_name change_bits[] = {
	{ STATE_DONE, "done", "FIN processed" },
	{ STATE_DEAD, "orphan", "orphan" },
	{ STATE_LINGER2_NEG, "linger2_negative", "TCP_LINGER2 negative" },
	{ STATE_REPAIR, "repair", "TCP_REPAIR" },
	{ STATE_FIN_QUEUED, "fin_queued", "data unsent" },
	{ STATE_MPTCP, "mptcp", "MPTCP subflow" },
};

static const struct bit_name look_bits[] = {
	{ SNAP_OWNED, "owned", "owned by a process" },
	{ SNAP_ACKED, "final_ack_taken", "final ACK taken" },
	{ SNAP_DEFER, "deferred_accept", "TCP_DEFER_ACCEPT" },
	{ SNAP_DONE, "done", "FIN processed" },
	{ SNAP_REPAIR, "repair", "TCP_REPAIR" },
};

static void bits_json(struct json *json, const struct bit_name *names, size_t count, uint8_t bits)
{
	json_array_begin(json, "bits");
	for (size_t i = 0; i < count; i++)
		if (bits & names[i].bit)
			json_string(json, NULL, names[i].label);
	json_array_end(json);
}

static void segment_json(struct json *json, const struct divergence_evidence *evidence,
			 uint64_t wall_offset_ns)
{
	char flags[TCP_FLAGS_TEXT_MAX];

	if (!evidence->segment.ts_ns) {
		json_null(json, "segment");
		return;
	}
	json_object_begin(json, "segment");
	json_time(json, "time", evidence->segment.ts_ns + wall_offset_ns);
	json_bool(json, "sent", evidence->segment.sent);
	json_string(json, "flags", tcp_flags_text(evidence->segment.tcp_flags, flags));
	json_u64(json, "seq", evidence->segment.seq);
	if (evidence->segment.tcp_flags & TCPF_ACK)
		json_u64(json, "ack", evidence->segment.ack);
	else
		json_null(json, "ack");
	json_u64(json, "len", evidence->segment.payload_bytes);
	json_object_end(json);
}

static void change_json(struct json *json, const struct divergence_evidence *evidence,
			uint64_t wall_offset_ns)
{
	char error[ERROR_TEXT_MAX];

	if (!evidence->change.ts_ns) {
		json_null(json, "change");
		return;
	}
	json_object_begin(json, "change");
	json_time(json, "time", evidence->change.ts_ns + wall_offset_ns);
	json_string(json, "from", kernel_state_name(evidence->change.from));
	json_string(json, "to", kernel_state_name(evidence->change.to));
	json_string(json, "error",
		    evidence->change.error ? error_text(evidence->change.error, error) : NULL);
	bits_json(json, change_bits, ARRAY_SIZE(change_bits), evidence->change.bits);
	json_object_end(json);
}

/* Only these states have sequence variables that are the connection's (conn.c:conn_facts). */
static bool has_variables(const struct rec_snapshot *look)
{
	return !(look->bits & SNAP_QUEUES) && look->state && look->state != KS_LISTEN &&
	       look->state != KS_CLOSE && look->state != KS_NEW_SYN_RECV;
}

static void look_json(struct json *json, const struct divergence_evidence *evidence,
		      uint64_t wall_offset_ns)
{
	const struct rec_snapshot *look = &evidence->look.snapshot;

	if (!evidence->look.ts_ns) {
		json_null(json, "look");
		return;
	}
	json_object_begin(json, "look");
	json_time(json, "time", evidence->look.ts_ns + wall_offset_ns);
	json_string(json, "state", kernel_state_name(look->state));
	if (look->state == KS_TIME_WAIT && look->substate)
		json_string(json, "substate", kernel_state_name(look->substate));
	json_bool(json, "owned", look->bits & SNAP_OWNED);
	json_u64(json, "backlog_bytes", look->backlog_bytes);
	bits_json(json, look_bits, ARRAY_SIZE(look_bits), look->bits);
	if (look->bits & SNAP_QUEUES) {
		json_object_begin(json, "queues");
		json_u64(json, "accept_length", look->queues.accept_length);
		json_u64(json, "accept_limit", look->queues.accept_limit);
		json_u64(json, "syn_length", look->queues.syn_length);
		json_u64(json, "drops", look->queues.drops);
		json_object_end(json);
	} else if (has_variables(look)) {
		json_object_begin(json, "variables");
		json_u64(json, "rcv_nxt", look->vars.rcv_nxt);
		json_u64(json, "snd_una", look->vars.snd_una);
		json_u64(json, "snd_nxt", look->vars.snd_nxt);
		json_u64(json, "write_seq", look->vars.write_seq);
		json_object_end(json);
	}
	json_object_end(json);
}

void evidence_json(struct json *json, const char *key, const struct divergence_evidence *evidence,
		   uint64_t wall_offset_ns)
{
	json_object_begin(json, key);
	segment_json(json, evidence, wall_offset_ns);
	change_json(json, evidence, wall_offset_ns);
	look_json(json, evidence, wall_offset_ns);
	json_string(json, "drop_reason", evidence->drop_reason);
	json_u64(json, "repeats", evidence->repeats);
	json_object_end(json);
}

/* ---- words ---- */

static void add_bits(char buffer[EVIDENCE_TEXT_MAX], const struct bit_name *names, size_t count,
		     uint8_t bits)
{
	for (size_t i = 0; i < count; i++)
		if (bits & names[i].bit)
			words_add(buffer, EVIDENCE_TEXT_MAX, ", ", "%s", names[i].words);
}

const char *evidence_segment_text(const struct divergence_evidence *evidence,
				  char buffer[EVIDENCE_TEXT_MAX])
{
	char flags[TCP_FLAGS_TEXT_MAX];

	buffer[0] = '\0';
	if (!evidence->segment.ts_ns)
		return buffer;
	words_add(buffer, EVIDENCE_TEXT_MAX, ", ", "%s %s",
		  evidence->segment.sent ? "sent" : "received",
		  tcp_flags_text(evidence->segment.tcp_flags, flags));
	words_add(buffer, EVIDENCE_TEXT_MAX, ", ", "seq %u", evidence->segment.seq);
	if (evidence->segment.tcp_flags & TCPF_ACK)
		words_add(buffer, EVIDENCE_TEXT_MAX, ", ", "ack %u", evidence->segment.ack);
	if (evidence->segment.payload_bytes)
		words_add(buffer, EVIDENCE_TEXT_MAX, ", ", "%u octets",
			  evidence->segment.payload_bytes);
	return buffer;
}

const char *evidence_change_text(const struct divergence_evidence *evidence,
				 char buffer[EVIDENCE_TEXT_MAX])
{
	char error[ERROR_TEXT_MAX];

	buffer[0] = '\0';
	if (!evidence->change.ts_ns)
		return buffer;
	words_add(buffer, EVIDENCE_TEXT_MAX, ", ", "%s to %s",
		  kernel_state_name(evidence->change.from), kernel_state_name(evidence->change.to));
	if (evidence->change.error)
		words_add(buffer, EVIDENCE_TEXT_MAX, ", ", "%s",
			  error_text(evidence->change.error, error));
	add_bits(buffer, change_bits, ARRAY_SIZE(change_bits), evidence->change.bits);
	return buffer;
}

const char *evidence_look_text(const struct rec_snapshot *look, char buffer[EVIDENCE_TEXT_MAX])
{
	buffer[0] = '\0';
	words_add(buffer, EVIDENCE_TEXT_MAX, ", ", "%s",
		  look->state == KS_LISTEN ? "none but the listener" :
		  look->state		   ? kernel_state_name(look->state) :
					     "none");
	if (look->state == KS_TIME_WAIT && look->substate)
		words_add(buffer, EVIDENCE_TEXT_MAX, ", ", "standing for %s",
			  kernel_state_name(look->substate));
	if (look->bits & SNAP_QUEUES) {
		words_add(buffer, EVIDENCE_TEXT_MAX, ", ", "accept queue %u of %u",
			  look->queues.accept_length, look->queues.accept_limit);
		words_add(buffer, EVIDENCE_TEXT_MAX, ", ", "SYN queue %u", look->queues.syn_length);
	} else if (has_variables(look) && look->state != KS_TIME_WAIT) {
		if (look->vars.snd_nxt != look->vars.snd_una)
			words_add(buffer, EVIDENCE_TEXT_MAX, ", ", "%u unacknowledged",
				  look->vars.snd_nxt - look->vars.snd_una);
		if (look->vars.write_seq != look->vars.snd_nxt)
			words_add(buffer, EVIDENCE_TEXT_MAX, ", ", "%u unsent",
				  look->vars.write_seq - look->vars.snd_nxt);
	}
	add_bits(buffer, look_bits, ARRAY_SIZE(look_bits), look->bits);
	if (look->backlog_bytes)
		words_add(buffer, EVIDENCE_TEXT_MAX, ", ", "backlog %u octets",
			  look->backlog_bytes);
	return buffer;
}
