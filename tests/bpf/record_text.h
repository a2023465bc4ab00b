/* SPDX-License-Identifier: GPL-2.0-only */
/* Records as one line each, as the tests' lists of expected records have them, and their tuples. */
#ifndef TCPWITNESS_TESTS_BPF_RECORD_TEXT_H
#define TCPWITNESS_TESTS_BPF_RECORD_TEXT_H

#include "bpf/harness.h"

#define LINE_MAX_BYTES 96

static inline const char *state_name(uint8_t state)
{
	switch (state) {
	case KS_NONE:
		return "none";
#define X(name, number)                                                                            \
	case KS_##name:                                                                            \
		return #name;
		KERNEL_STATES(X)
#undef X
	}
	return "?";
}

static inline const char *flags_name(uint8_t flags)
{
	switch (flags & (TCPF_SYN | TCPF_FIN | TCPF_RST | TCPF_ACK)) {
	case TCPF_SYN:
		return "SYN";
	case TCPF_SYN | TCPF_ACK:
		return "SYN+ACK";
	case TCPF_ACK:
		return "ACK";
	case TCPF_FIN | TCPF_ACK:
		return "FIN+ACK";
	case TCPF_RST:
		return "RST";
	case TCPF_RST | TCPF_ACK:
		return "RST+ACK";
	}
	return "?";
}

static inline void segment_text(const struct rec_segment *segment, char *text)
{
	const struct rec_snapshot *snap = &segment->snapshot;

	snprintf(text, LINE_MAX_BYTES, "%s %s %s%s%s%s%s",
		 segment->hdr.flags & REC_F_SENT ? "out" : "in", flags_name(segment->tcp_flags),
		 state_name(snap->state), snap->substate ? "/" : "",
		 snap->substate ? state_name(snap->substate) : "",
		 snap->bits & SNAP_QUEUES ? " queues" : "", snap->bits & SNAP_DONE ? " done" : "");
}

static inline void record_text(const struct harness_record *record, char *text)
{
	switch (record->hdr.type) {
	case REC_SEGMENT:
		segment_text(&record->segment, text);
		break;
	case REC_STATE:
		snprintf(text, LINE_MAX_BYTES, "%s>%s%s%s", state_name(record->state.old_state),
			 state_name(record->state.new_state),
			 record->state.bits & STATE_DONE ? " done" : "",
			 record->state.bits & STATE_NO_TUPLE ? " no-tuple" : "");
		if (record->state.sk_err)
			snprintf(text + strlen(text), 16, " err %u", record->state.sk_err);
		break;
	case REC_LISTEN:
		snprintf(text, LINE_MAX_BYTES, "listen %u limit %u", record->listen.local_port,
			 record->listen.accept_limit);
		break;
	case REC_RESET:
		snprintf(text, LINE_MAX_BYTES, "reset %s %s",
			 record->hdr.flags & REC_F_SENT ? "sent" : "received",
			 state_name(record->reset.state));
		break;
	case REC_DROP:
		snprintf(text, LINE_MAX_BYTES, "drop %s%s",
			 record->hdr.flags & REC_F_SENT ? "out " : "",
			 flags_name(record->drop.tcp_flags));
		break;
	case REC_RETRANSMIT:
		snprintf(text, LINE_MAX_BYTES, "retransmit %s",
			 flags_name(record->retransmit.tcp_flags));
		break;
	default:
		snprintf(text, LINE_MAX_BYTES, "type %u", record->hdr.type);
	}
}

/* With what explains a missing one: a full ring, or a program that interrupted itself. */
static inline void print_records(const struct harness *harness)
{
	struct total_counters totals = harness_totals(harness);
	char text[LINE_MAX_BYTES];
	struct bpf_program *program;

	for (size_t i = 0; i < harness->count; i++) {
		record_text(&harness->records[i], text);
		print_error("  %zu: %s\n", i, text);
	}
	print_error("  lost: %llu segment, %llu kernel\n", totals.lost[RING_SEGMENT],
		    totals.lost[RING_KERNEL]);
	bpf_object__for_each_program(program, harness->skel->obj) {
		struct bpf_prog_info info = {};
		__u32 size = sizeof(info);

		if (bpf_program__fd(program) >= 0 &&
		    !bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size) &&
		    info.recursion_misses)
			print_error("  %s: %llu runs missed\n", bpf_program__name(program),
				    info.recursion_misses);
	}
}

/* Where a type's ports and addresses lie. */
static inline const uint8_t *record_tail(const struct harness_record *record, size_t *ret_fixed,
					 uint16_t *ret_local, uint16_t *ret_remote)
{
#define CASE(type, name, local, remote)                                                            \
	case type:                                                                                 \
		*ret_fixed = sizeof(record->name);                                                 \
		*ret_local = record->name.local;                                                   \
		*ret_remote = remote;                                                              \
		return record->name.addresses
	switch (record->hdr.type) {
		CASE(REC_SEGMENT, segment, local_port, record->segment.remote_port);
		CASE(REC_DROP, drop, local_port, record->drop.remote_port);
		CASE(REC_RETRANSMIT, retransmit, local_port, record->retransmit.remote_port);
		CASE(REC_RESET, reset, local_port, record->reset.remote_port);
		CASE(REC_STATE, state, local_port, record->state.remote_port);
		CASE(REC_LISTEN, listen, local_port, 0);
	}
#undef CASE
	fail_msg("record of type %u", record->hdr.type);
	return NULL;
}

#endif
