/* SPDX-License-Identifier: GPL-2.0-only */
/* Raw records in, events and counters out: see pipeline.h. */
#include "cli/pipeline.h"

#include <errno.h>
#include <string.h>

#include "capture/decode.h"
#include "log.h"

static bool has_log(const struct pipeline *pipeline)
{
	return pipeline->settings.log && !pipeline->log_error;
}

static void check_log(struct pipeline *pipeline, int err)
{
	if (!err)
		return;
	pipeline->log_error = err;
	log_err("record log: %s; nothing more is recorded", strerror(-err));
}

static void write_log(struct pipeline *pipeline, const void *bytes, size_t size, uint32_t ring)
{
	if (has_log(pipeline))
		check_log(pipeline, recordlog_write(pipeline->settings.log, bytes, size, ring));
}

/* A look's answer is a record like any other, in the place where it was needed. */
static int look(void *context, const struct conn_key *key, uint32_t ifindex,
		struct rec_socket *ret_look)
{
	struct pipeline *pipeline = context;
	int err;

	if (!pipeline->settings.look)
		return -EOPNOTSUPP;
	err = pipeline->settings.look(pipeline->settings.context, key, ifindex, ret_look);
	if (!err)
		write_log(pipeline, ret_look, sizeof(*ret_look), RING_NR);
	return err;
}

static void take_event(void *context, const struct track_event *event)
{
	struct pipeline *pipeline = context;
	struct listener_owner room;
	const struct listener_owner *listener = events_listener(pipeline->listeners, event, &room);

	ledger_take(pipeline->ledger, event, listener);
	events_take(pipeline->events, event, listener, pipeline->settings.wall_offset_ns);
}

static void take_entry(void *context, const struct conn_key *key, const struct track_entry *entry)
{
	struct pipeline *pipeline = context;

	(void)key;
	history_add(pipeline->history, entry);
}

static const char *drop_reason(void *context, uint32_t reason)
{
	const struct pipeline *pipeline = context;

	return drop_reason_name(pipeline->settings.reasons, reason);
}

int pipeline_init(struct pipeline *pipeline, const struct pipeline_settings *settings)
{
	const struct tracker_ops ops = {
		.context = pipeline,
		.look = look,
		.event = take_event,
		.drop_reason = drop_reason,
		.told = settings->history_events ? take_entry : NULL,
	};
	int err;

	memset(pipeline, 0, sizeof(*pipeline));
	pipeline->settings = *settings;
	err = events_new(&settings->events, &pipeline->events);
	if (err)
		return log_err_ret(err, "cannot write events to %s", settings->events.path);
	if (settings->history_events) {
		pipeline->history = history_new(settings->history_events);
		if (!pipeline->history) {
			err = log_err_ret(-errno, "history of %u events", settings->history_events);
			goto failed;
		}
	}
	pipeline->ledger = ledger_new();
	pipeline->tracker = tracker_new(&settings->tracker, &ops);
	pipeline->listeners = listeners_new(&settings->listeners, settings->listeners_max);
	if (pipeline->ledger && pipeline->tracker && pipeline->listeners)
		return 0;
	err = log_err_ret(-ENOMEM, "flow table of %u connections", settings->tracker.flows_max);
failed:
	pipeline_fini(pipeline);
	return err;
}

void pipeline_fini(struct pipeline *pipeline)
{
	tracker_free(pipeline->tracker);
	listeners_free(pipeline->listeners);
	events_free(pipeline->events);
	ledger_free(pipeline->ledger);
	history_free(pipeline->history);
	pipeline->tracker = NULL;
	pipeline->listeners = NULL;
	pipeline->events = NULL;
	pipeline->ledger = NULL;
	pipeline->history = NULL;
}

static uint8_t decode_one(const struct merged_record *record, struct observation *ret)
{
	enum reject_reason reason;

	return decode(record->bytes, record->size, ret, &reason) ? (uint8_t)(1 + reason) : 0;
}

/*
 * All are decoded before the first is taken in, so that the connections of the last ones come from
 * memory while those of the first are worked on.
 */
void pipeline_feed_batch(struct pipeline *pipeline, const struct merged_record *records,
			 size_t count, uint8_t *ret_verdicts)
{
	struct observation observations[MERGE_BATCH], *next = observations;

	for (size_t i = 0; i < count; i++) {
		ret_verdicts[i] = decode_one(&records[i], next);
		next += !ret_verdicts[i];
	}
	if (count > 1)
		tracker_foresee(pipeline->tracker, observations, (size_t)(next - observations));
	next = observations;
	for (size_t i = 0; i < count; i++) {
		/* Here, and not before: a look that it leads to comes behind it. */
		write_log(pipeline, records[i].bytes, records[i].size, records[i].family);
		if (ret_verdicts[i])
			continue;
		listeners_observe(pipeline->listeners, next);
		tracker_observe(pipeline->tracker, next++);
	}
}

int pipeline_feed(struct pipeline *pipeline, const void *bytes, size_t size, uint32_t ring)
{
	const struct merged_record record = { bytes, (uint32_t)size, ring };
	uint8_t verdict;

	pipeline_feed_batch(pipeline, &record, 1, &verdict);
	return verdict;
}

void pipeline_tick(struct pipeline *pipeline, uint64_t now_ns)
{
	const struct rec_hdr tick = {
		.type = REC_TICK,
		.version = RECORD_VERSION,
		.netns = pipeline->settings.netns,
		.ts_ns = now_ns,
	};
	struct flood_news news;

	pipeline_feed(pipeline, &tick, sizeof(tick), RING_NR);
	listeners_tick(pipeline->listeners, now_ns);
	while (listeners_flood_news(pipeline->listeners, &news))
		events_take_flood(pipeline->events, &news, pipeline->settings.wall_offset_ns);
	/* whoever reads the events meanwhile can read what they came from */
	if (has_log(pipeline))
		check_log(pipeline, recordlog_flush(pipeline->settings.log));
	events_flush(pipeline->events);
}

static void look_at_listener(void *context, const struct conn_key *key)
{
	struct pipeline *pipeline = context;
	struct rec_socket answer;

	if (pipeline->settings.look &&
	    !pipeline->settings.look(pipeline->settings.context, key, 0, &answer))
		pipeline_feed(pipeline, &answer, sizeof(answer), RING_NR);
}

void pipeline_look_at_listeners(struct pipeline *pipeline)
{
	listeners_each_key(pipeline->listeners, look_at_listener, pipeline);
}
