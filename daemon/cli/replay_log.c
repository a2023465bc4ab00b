/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: replay of a record log
 *
 * Nothing here asks the clock or the kernel: time comes from the log's REC_TICKs, and a fresh look
 * at a socket is answered by the REC_LOOK that follows the record which made the tracker ask.
 * Where the next record is none, the look had failed when the log was written, and fails again. So
 * two replays tell the same.
 */
#include "cli/replay_log.h"

#include <errno.h>
#include <string.h>

#include "capture/decode.h"
#include "capture/recordlog.h"
#include "cli/cli.h"
#include "export/events.h"
#include "log.h"
#include "util.h"

/* A record of our own: the reader's is gone when the next is read. */
struct slot {
	bool full;
	size_t size;
	_Alignas(8) uint8_t bytes[RECORDLOG_RECORD_MAX];
};

struct replay {
	struct recordlog_reader *reader;
	const struct recordlog_info *info;
	struct tracker *tracker;
	struct listeners *listeners;
	const struct replay_listener *listener;
	struct slot current, ahead;
	int err; /* of reading, or the listener's */
	uint64_t records, rejected;
};

/* Makes `ahead` full unless the log is at its end. */
static void read_ahead(struct replay *replay)
{
	const void *bytes;
	uint32_t ring;
	size_t size;
	int more;

	if (replay->ahead.full || replay->err)
		return;
	more = recordlog_next(replay->reader, &bytes, &size, &ring);
	if (more < 0)
		replay->err = more;
	if (more <= 0)
		return;
	memcpy(replay->ahead.bytes, bytes, size);
	replay->ahead.size = size;
	replay->ahead.full = true;
}

static int answer_look(void *context, const struct conn_key *key, uint32_t ifindex,
		       struct rec_socket *ret)
{
	struct replay *replay = context;
	struct observation answer;
	enum reject_reason reason;

	(void)ifindex;
	read_ahead(replay);
	if (!replay->ahead.full ||
	    decode(replay->ahead.bytes, replay->ahead.size, &answer, &reason) ||
	    answer.type != REC_LOOK || memcmp(&answer.key, key, sizeof(*key)))
		return -EIO;
	*ret = *answer.socket;
	replay->ahead.full = false;
	replay->records++;
	return 0;
}

static void pass_event(void *context, const struct track_event *event)
{
	struct replay *replay = context;
	const struct replay_listener *listener = replay->listener;
	struct listener_owner room;

	if (!replay->err)
		replay->err = listener->event(listener->context, event,
					      events_listener(replay->listeners, event, &room),
					      (uint64_t)replay->info->realtime_offset_ns);
}

static void pass_entry(void *context, const struct conn_key *key, const struct track_entry *entry)
{
	const struct replay *replay = context;

	replay->listener->told(replay->listener->context, key, entry);
}

static const char *name_reason(void *context, uint32_t reason)
{
	const struct replay *replay = context;

	return drop_reason_name(&replay->info->reasons, reason);
}

static void take_current(struct replay *replay)
{
	struct observation observation;
	enum reject_reason reason;

	replay->records++;
	if (decode(replay->current.bytes, replay->current.size, &observation, &reason)) {
		replay->rejected++;
		return;
	}
	listeners_observe(replay->listeners, &observation);
	tracker_observe(replay->tracker, &observation);
}

static int replay_all(struct replay *replay)
{
	for (;;) {
		read_ahead(replay);
		if (replay->err || !replay->ahead.full)
			break;
		replay->current = replay->ahead;
		replay->ahead.full = false;
		take_current(replay);
	}
	return replay->err;
}

int replay_log(FILE *file, const char *path, uint64_t flows_max, uint64_t settle_ms,
	       const struct replay_listener *listener)
{
	struct replay replay = { .listener = listener };
	struct tracker_settings tracking = {
		.flows_max = (uint32_t)flows_max,
		.settle_ns = settle_ms * NS_PER_MS,
		.time_wait_ns = REFERENCE_2MSL_NS,
	};
	const struct tracker_ops ops = {
		.context = &replay,
		.look = answer_look,
		.event = listener->event ? pass_event : NULL,
		.told = listener->told ? pass_entry : NULL,
		.drop_reason = name_reason,
	};
	int err;

	err = recordlog_open_stream(file, path, &replay.reader);
	if (err)
		return err;
	replay.info = recordlog_info(replay.reader);
	/* as `run` seeds it: a full table then gives up the same connections */
	tracking.hash_seed = (uint64_t)replay.info->realtime_offset_ns;
	replay.tracker = tracker_new(&tracking, &ops);
	replay.listeners = listeners_new(&(struct listeners_ops){ 0 }, 0);
	if (!replay.tracker || !replay.listeners) {
		err = log_err_ret(-errno, "no room for %u connections", tracking.flows_max);
		goto out;
	}
	err = replay_all(&replay);
	if (err && err != -EBADMSG) /* which the reader logged */
		log_err_ret(err, "replay of %s", path);
	if (listener->event)
		log_info("%llu records replayed, %llu rejected", (unsigned long long)replay.records,
			 (unsigned long long)replay.rejected);
	if (listener->done)
		listener->done(listener->context, (uint64_t)replay.info->realtime_offset_ns);
out:
	tracker_free(replay.tracker);
	listeners_free(replay.listeners);
	recordlog_free(replay.reader);
	return err;
}

int replay_flags(const char *command, const char *flows_max, const char *settle,
		 struct settings *ret)
{
	char name[16], flows[64], settling[64], why[SETTINGS_WHY_BYTES];
	char *args[4] = { name };
	int count = 1;

	snprintf(name, sizeof(name), "%s", command);
	if (flows_max) {
		snprintf(flows, sizeof(flows), "--flows.max=%s", flows_max);
		args[count++] = flows;
	}
	if (settle) {
		snprintf(settling, sizeof(settling), "--settle=%s", settle);
		args[count++] = settling;
	}
	if (settings_parse(count, args, ret, why) != SETTINGS_OK)
		return cli_usage_error("%s", why);
	return CLI_OK;
}
