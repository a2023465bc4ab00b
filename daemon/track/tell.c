/* SPDX-License-Identifier: GPL-2.0-only */
/* The tracker tells what it does, line by line, to whoever wants to hear (tracker_ops.told). */
#include <sys/param.h>

#include "track/tracker_parts.h"

/* More than one segment and the facts that came with it have ever made at one end. */
#define NOTED_MAX (TRACK_ENTRY_STEPS / 2)

static uint8_t note(struct track_step *noted, uint8_t count, const struct endpoint_steps *steps)
{
	for (uint8_t i = 0; i < steps->count && count < NOTED_MAX; i++)
		noted[count++] = (struct track_step){ steps->at[i].event, steps->at[i].from };
	return count;
}

void tracker_note_steps(struct tracker *tracker, const struct dialogue_steps *steps)
{
	struct noted_steps *noted = &tracker->noted;

	noted->nr_local = note(noted->local, noted->nr_local, &steps->local);
	noted->nr_remote = note(noted->remote, noted->nr_remote, &steps->remote);
}

static void add_steps(struct track_entry *entry, const struct noted_steps *noted)
{
	struct track_step *step = entry->steps;

	for (uint8_t i = 0; i < noted->nr_local; i++)
		*step++ = noted->local[i];
	for (uint8_t i = 0; i < noted->nr_remote; i++)
		*step++ = noted->remote[i];
	entry->nr_local = noted->nr_local;
	entry->nr_remote = noted->nr_remote;
}

void tracker_tell_entry(struct tracker *tracker, const struct conn *conn, struct track_entry *entry)
{
	entry->life = conn->life;
	entry->local_state = conn->talk.local.state;
	entry->remote_state = conn->talk.remote.state;
	entry->kernel_state = conn->kernel.state;
	entry->kernel_substate = conn->kernel.substate;
	entry->role = conn->role;
	if (conn->flags & CONN_WIRE_SEEN)
		entry->flags |= ENTRY_WIRE;
	if (conn->flags & CONN_UNOBSERVABLE) {
		entry->flags |= ENTRY_UNOBSERVABLE;
		entry->why = conn->why;
	}
	switch (entry->kind) {
	case ENTRY_BEGAN:
	case ENTRY_ENDED:
		entry->key = conn->key;
		break;
	case ENTRY_DIVERGENCE_OPEN:
	case ENTRY_DIVERGENCE_CLOSE:
	case ENTRY_EVIDENCE:
		break;
	default:
		add_steps(entry, &tracker->noted);
	}
	tracker->noted.nr_local = 0;
	tracker->noted.nr_remote = 0;
	tracker->ops.told(tracker->ops.context, &conn->key, entry);
}

void tracker_tell_segment(struct tracker *tracker, const struct conn *conn,
			  const struct observation *seen)
{
	const struct rec_segment *rec = seen->segment;
	struct track_entry entry = {
		.ts_ns = seen->ts_ns,
		.kind = ENTRY_SEGMENT,
		.flags = seen->sent ? ENTRY_SENT : 0,
		.segment = { rec->seq, rec->ack, rec->payload_bytes, rec->window, rec->tcp_flags },
	};

	if (tracker->ops.told)
		tracker_tell_entry(tracker, conn, &entry);
}

void tracker_tell_drop(struct tracker *tracker, const struct conn *conn,
		       const struct observation *seen, const char *reason)
{
	struct track_entry entry = {
		.ts_ns = seen->ts_ns,
		.kind = ENTRY_DROP,
		.flags = seen->sent ? ENTRY_SENT : 0,
		.drop = { reason, seen->drop->seq, seen->drop->tcp_flags },
	};

	if (tracker->ops.told)
		tracker_tell_entry(tracker, conn, &entry);
}

void tracker_tell_change(struct tracker *tracker, const struct conn *conn,
			 const struct observation *seen)
{
	const struct rec_state *change = seen->state;
	struct track_entry entry = {
		.ts_ns = seen->ts_ns,
		.kind = ENTRY_KERNEL,
		.change = { change->sk_err, change->old_state, change->new_state, change->bits },
	};

	if (tracker->ops.told)
		tracker_tell_entry(tracker, conn, &entry);
}

void tracker_tell_look(struct tracker *tracker, const struct conn *conn, uint8_t from,
		       uint64_t now_ns)
{
	struct track_entry entry = {
		.ts_ns = now_ns,
		.kind = ENTRY_LOOK,
		.change = { 0, from, conn->kernel.state, 0 },
	};

	if (tracker->ops.told && (from != conn->kernel.state || tracker->noted.nr_local))
		tracker_tell_entry(tracker, conn, &entry);
}

void tracker_tell_divergence(struct tracker *tracker, const struct conn *conn,
			     const struct track_event *event)
{
	const struct divergence_evidence *evidence = event->evidence;
	bool opens = event->type == TRACK_DIVERGENCE_OPEN;
	struct track_entry entry = {
		.ts_ns = event->ts_ns,
		.kind = opens ? ENTRY_DIVERGENCE_OPEN : ENTRY_DIVERGENCE_CLOSE,
		.divergence = { event->reason, event->since_ns, event->id, evidence->drop_reason,
				(uint8_t)event->kind, (uint8_t)event->explained_as },
	};
	struct track_entry rests_on = {
		.ts_ns = event->ts_ns,
		.kind = ENTRY_EVIDENCE,
		.evidence = { evidence->look.snapshot, evidence->repeats,
			      evidence->look.ts_ns != 0 },
	};

	if (!tracker->ops.told)
		return;
	tracker_tell_entry(tracker, conn, &entry);
	/* The rest of the evidence has lines of its own: the segment, the change, the drop. */
	if (opens && (evidence->look.ts_ns || evidence->repeats))
		tracker_tell_entry(tracker, conn, &rests_on);
}

void tracker_tell(struct tracker *tracker, const struct conn *conn, enum track_entry_kind kind,
		  uint64_t now_ns)
{
	struct track_entry entry = { .ts_ns = now_ns,
				     .kind = (uint8_t)kind,
				     .end = conn_ended(conn) };

	if (tracker->ops.told)
		tracker_tell_entry(tracker, conn, &entry);
}
