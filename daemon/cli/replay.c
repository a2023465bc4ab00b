/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: `tcpwitness replay FILE`
 *
 * A capture is replay_capture.c's. Else: runs a raw record log through the same decode -> track -> compare as the daemon and prints the
 * event lines it would have written. Nothing here asks the clock or the kernel: time comes from
 * the log's REC_TICKs, and a fresh look at a socket is answered by the REC_LOOK that follows the
 * record which made the tracker ask. Where the next record is none, the look had failed when the
 * log was written, and fails again. So two replays print the same bytes.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "capture/decode.h"
#include "capture/recordlog.h"
#include "cli/cli.h"
#include "cli/replay_capture.h"
#include "export/events.h"
#include "log.h"
#include "settings.h"
#include "track/tracker.h"
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
	bool connections;
	struct slot current, ahead;
	int err; /* of reading or writing */
	uint64_t records, rejected;
	struct text line;
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

static int answer_look(void *context, const struct conn_key *key, struct rec_socket *ret)
{
	struct replay *replay = context;
	struct observation answer;
	enum reject_reason reason;

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

static void print_event(void *context, const struct track_event *event)
{
	struct replay *replay = context;

	if (event->type == TRACK_CONNECTION && !replay->connections)
		return;
	events_render(event, (uint64_t)replay->info->realtime_offset_ns, &replay->line);
	if (replay->line.failed)
		replay->err = -ENOMEM;
	else if (fwrite(replay->line.data, 1, replay->line.length, stdout) != replay->line.length)
		replay->err = -errno;
	text_consume(&replay->line, replay->line.length);
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
	if (decode(replay->current.bytes, replay->current.size, &observation, &reason))
		replay->rejected++;
	else
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
	if (!replay->err && fflush(stdout))
		replay->err = -errno;
	return replay->err;
}

static int replay_log(FILE *file, const char *path, const struct settings *settings,
		      bool connections)
{
	struct replay replay = { .connections = connections };
	struct tracker_settings tracking = {
		.flows_max = (uint32_t)settings->flows_max,
		.settle_ns = settings->settle_ms * NS_PER_MS,
		.time_wait_ns = REFERENCE_2MSL_NS,
	};
	const struct tracker_ops ops = {
		.context = &replay,
		.look = answer_look,
		.event = print_event,
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
	if (!replay.tracker) {
		err = log_err_ret(-errno, "no room for %u connections", tracking.flows_max);
		goto out;
	}
	err = replay_all(&replay);
	if (err && err != -EBADMSG) /* which the reader logged */
		log_err_ret(err, "replay of %s", path);
	log_info("%llu records replayed, %llu rejected", (unsigned long long)replay.records,
		 (unsigned long long)replay.rejected);
out:
	tracker_free(replay.tracker);
	recordlog_free(replay.reader);
	text_free(&replay.line);
	return err;
}

/* The flags that `run` has too are checked by its table. */
static int check_flags(const char *flows_max, const char *settle, struct settings *ret)
{
	char name[] = "replay", flows[64], settling[64], why[SETTINGS_WHY_BYTES];
	char *args[4] = { name };
	int count = 1;

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

/* "-" is standard input. NULL after one logged line. */
static FILE *open_input(const char *path, int *ret_first)
{
	FILE *file = strcmp(path, "-") ? fopen(path, "re") : stdin;

	if (!file) {
		log_err("cannot open %s: %m", path);
		return NULL;
	}
	errno = 0;
	*ret_first = getc(file);
	if (*ret_first == EOF) {
		if (ferror(file))
			log_err("cannot read %s: %m", path);
		else
			log_err("%s is empty", path);
		fclose(file);
		return NULL;
	}
	ungetc(*ret_first, file);
	return file;
}

static int replay_file(const char *path, const struct settings *settings, bool connections,
		       const struct capture_options *options)
{
	int first;
	FILE *file = open_input(path, &first);

	if (!file)
		return CLI_FAILED;
	if (first != RECORDLOG_FIRST_BYTE)
		return replay_capture(file, path, options) ? CLI_FAILED : CLI_OK;
	if (options->nr_local) {
		fclose(file);
		return cli_usage_error("--local is for captures; a record log knows");
	}
	return replay_log(file, path, settings, connections) ? CLI_FAILED : CLI_OK;
}

int cli_replay(int argc, char **argv)
{
	const char *connections = NULL, *flows_max = NULL, *settle = NULL, *json = NULL;
	const char *local[CLI_REPEATS_MAX + 1] = { NULL };
	const struct cli_flag flags[] = {
		{ "events.connections", NULL, &connections,
		  "log: print one event for each finished connection too" },
		{ "flows.max", "N", &flows_max,
		  "connections at a time; log: as it was when it was recorded" },
		{ "settle", "MS", &settle, "log: as it was when it was recorded" },
		{ "json", NULL, &json, "capture: print the events of the event log" },
		{ "local", "ADDR...", local,
		  "capture: this address is ours (else: whoever sends the SYN)" },
	};
	struct capture_options options = { 0 };
	struct settings settings;
	char **operands;

	switch (cli_parse(argc, argv, flags, ARRAY_SIZE(flags), "tcpwitness replay [flags] FILE",
			  "Judges a raw record log (`tcpwitness run --record=FILE`) again and "
			  "prints its events,\nor tells the connections of a capture (pcap, "
			  "pcapng), one a line, in the order of their ends:\n\n"
			  "  " REPLAY_CAPTURE_LINE "\n\n"
			  "LOCAL > REMOTE where the local end is the client, < where it is the "
			  "server, <> where\nthat is not known. FILE - is standard input.",
			  1, &operands)) {
	case CLI_HELP_SHOWN:
		return CLI_OK;
	case CLI_BAD_FLAG:
		return CLI_USAGE;
	case CLI_PARSED:
		break;
	}
	if (check_flags(flows_max, settle, &settings))
		return CLI_USAGE;
	options.json = json;
	options.flows_max = (uint32_t)settings.flows_max;
	for (size_t i = 0; local[i]; i++)
		if (!capture_options_add_local(&options, local[i]))
			return cli_usage_error("--local: '%s' is no IP address", local[i]);
	return replay_file(operands[0], &settings, connections, &options);
}
