/* SPDX-License-Identifier: GPL-2.0-only */
/* One line of a story after the other: see story_lines.h. */
#include "export/story_lines.h"

#include <stdio.h>
#include <string.h>

#include "export/names.h"
#include "export/rules.h"
#include "tcp_defs.h"
#include "track/verdicts.h"

enum {
	LOCAL,
	REMOTE
};

static int sender_of(const struct track_entry *entry)
{
	return entry->flags & ENTRY_SENT ? LOCAL : REMOTE;
}

static void learn_base(struct story_thread *thread, int end, seq_t base)
{
	if (thread->has_base[end])
		return;
	thread->base[end] = base;
	thread->has_base[end] = true;
}

/* Without the SYN, what is seen first is 1, as after a handshake; a RST's number only where no
 * other is seen. */
static void learn_bases(struct story_thread *thread, const struct track_entry *entries,
			size_t count, bool resets)
{
	for (size_t i = 0; i < count; i++) {
		const struct track_entry *entry = &entries[i];

		if (entry->kind != ENTRY_SEGMENT ||
		    (entry->segment.tcp_flags & TCPF_RST && (!resets || !entry->segment.seq)))
			continue;
		learn_base(thread, sender_of(entry), entry->segment.seq - 1);
		if (entry->segment.tcp_flags & TCPF_ACK)
			learn_base(thread, !sender_of(entry), entry->segment.ack - 1);
	}
}

void story_begin(struct story_thread *thread, const struct track_entry *entries, size_t count)
{
	*thread = (struct story_thread){ 0 };
	for (size_t i = 0; i < count; i++)
		if (entries[i].kind == ENTRY_SEGMENT && entries[i].segment.tcp_flags & TCPF_SYN)
			learn_base(thread, sender_of(&entries[i]), entries[i].segment.seq);
	learn_bases(thread, entries, count, false);
	learn_bases(thread, entries, count, true);
}

uint32_t story_seq(const struct story_thread *thread, const struct track_entry *entry)
{
	uint32_t seq = entry->kind == ENTRY_DROP ? entry->drop.seq : entry->segment.seq;
	uint8_t flags = entry->kind == ENTRY_DROP ? entry->drop.tcp_flags :
						    entry->segment.tcp_flags;
	int end = sender_of(entry);

	/* The RST that answers a segment without ACK has number 0 (§3.5.2, group 1). */
	if (!thread->has_base[end] || (flags & TCPF_RST && !seq))
		return seq;
	return seq - thread->base[end];
}

uint32_t story_ack(const struct story_thread *thread, const struct track_entry *entry)
{
	int end = !sender_of(entry);

	return entry->segment.ack - (thread->has_base[end] ? thread->base[end] : 0);
}

/* The newest entry of that kind before entries[at]; NULL: there is none. */
static const struct track_entry *find_before(const struct track_entry *entries, size_t at,
					     enum track_entry_kind kind)
{
	while (at-- > 0)
		if (entries[at].kind == kind)
			return &entries[at];
	return NULL;
}

struct divergence_evidence story_evidence(const struct track_entry *entries, size_t count,
					  size_t at)
{
	const struct track_entry *segment = find_before(entries, at, ENTRY_SEGMENT);
	const struct track_entry *change = find_before(entries, at, ENTRY_KERNEL);
	struct divergence_evidence evidence = {
		.drop_reason = entries[at].divergence.drop_reason,
	};

	if (segment) {
		evidence.segment.ts_ns = segment->ts_ns;
		evidence.segment.seq = segment->segment.seq;
		evidence.segment.ack = segment->segment.ack;
		evidence.segment.payload_bytes = segment->segment.len;
		evidence.segment.tcp_flags = segment->segment.tcp_flags;
		evidence.segment.sent = segment->flags & ENTRY_SENT;
	}
	if (change) {
		evidence.change.ts_ns = change->ts_ns;
		evidence.change.error = change->change.error;
		evidence.change.from = change->change.from;
		evidence.change.to = change->change.to;
		evidence.change.bits = change->change.bits;
	}
	if (at + 1 < count && entries[at + 1].kind == ENTRY_EVIDENCE) {
		evidence.repeats = entries[at + 1].evidence.repeats;
		evidence.look.snapshot = entries[at + 1].evidence.look;
		evidence.look.ts_ns = entries[at + 1].evidence.has_look ? entries[at].ts_ns : 0;
	}
	return evidence;
}

struct fsm_step story_step(const struct track_step *step)
{
	return fsm_step((enum fsm_state)step->from, (enum fsm_event)step->event);
}

static void add_rules(struct story_thread *thread, const struct track_entry *entry, char *buffer)
{
	/* The far end's steps are deduced: what is odd about them is odd about the deduction. */
	for (uint8_t i = 0; i < entry->nr_local; i++) {
		struct fsm_step step = story_step(&entry->steps[i]);
		const char *rule = rule_of(&step);

		if (rule)
			words_add(buffer, STORY_REMARK_MAX, "; ", "%s", rule);
		if (step.event != EV_SEND_SYNACK)
			continue;
		if (thread->synack_sent && !rule)
			words_add(buffer, STORY_REMARK_MAX, "; ",
				  "SYN-ACK again: retransmission (§3.8.1)");
		thread->synack_sent = true;
	}
}

static void add_divergence(const struct track_entry *entry, char *buffer)
{
	uint64_t since_ns = entry->divergence.since_ns;
	enum divergence_severity severity =
		divergence_severity((enum divergence_kind)entry->divergence.kind);
	char duration[DURATION_TEXT_MAX];

	if (entry->kind == ENTRY_DIVERGENCE_OPEN)
		words_add(buffer, STORY_REMARK_MAX, "; ", "%s",
			  divergence_severity_label(severity));
	else if (entry->divergence.explained_as < DIVERGENCE_NR)
		words_add(buffer, STORY_REMARK_MAX, "; ", "as %s",
			  divergence_label((enum divergence_kind)entry->divergence.explained_as));
	else
		words_add(buffer, STORY_REMARK_MAX, "; ", "after %s",
			  duration_text(entry->ts_ns > since_ns ? entry->ts_ns - since_ns : 0,
					duration));
}

const char *story_remark(struct story_thread *thread, const struct track_entry *entry,
			 char buffer[STORY_REMARK_MAX])
{
	char error[ERROR_TEXT_MAX];

	buffer[0] = '\0';
	switch (entry->kind) {
	case ENTRY_BEGAN:
	case ENTRY_ENDED:
	case ENTRY_EVIDENCE:
		break;
	case ENTRY_DIVERGENCE_OPEN:
	case ENTRY_DIVERGENCE_CLOSE:
		add_divergence(entry, buffer);
		break;
	case ENTRY_DROP:
		words_add(buffer, STORY_REMARK_MAX, "; ", "%s",
			  entry->drop.reason ? entry->drop.reason : "reason unknown");
		break;
	case ENTRY_KERNEL:
		if (entry->change.error)
			words_add(buffer, STORY_REMARK_MAX, "; ", "%s",
				  error_text(entry->change.error, error));
		add_rules(thread, entry, buffer);
		break;
	case ENTRY_GAVE_UP:
		words_add(buffer, STORY_REMARK_MAX, "; ", "the kernel's state is taken");
		add_rules(thread, entry, buffer);
		break;
	default:
		add_rules(thread, entry, buffer);
		break;
	}
	if (entry->flags & ENTRY_UNOBSERVABLE && !thread->told_unobservable) {
		words_add(buffer, STORY_REMARK_MAX, "; ", "unobservable: %s",
			  unobservable_label((enum unobservable_reason)entry->why));
		thread->told_unobservable = true;
	}
	return buffer;
}
