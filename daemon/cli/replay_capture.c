/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: replay of a capture
 *
 * Capture -> tracker (wire_only) -> lines. Memory is bounded by --flows.max, whatever the size of
 * the capture: a connection is printed when it has ended, and lines wait only until nothing can
 * end before them any more, which is the resolution of the tracker's deadlines.
 */
#include "cli/replay_capture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <sys/random.h>

#include "capture/pcap.h"
#include "export/events.h"
#include "log.h"
#include "settings.h"
#include "track/deadlines.h"
#include "track/tracker.h"
#include "util.h"

/* A deadline fires within two ticks, so ends younger than this may get a predecessor. */
#define ORDER_NS (2 * DEADLINE_TICK_NS)

/* But where a capture's clock stands still, the order of the capture must do. */
#define ENDED_MAX 65536

struct capture_replay {
	const struct capture_options *options;
	struct pcapfile *pcap;
	struct tracker *tracker;
	uint64_t now_ns;
	struct connection_report *ended; /* to be printed; the order is made when they are */
	size_t nr_ended, capacity;
	uint64_t first_ns; /* end of the earliest of them */
	uint64_t connections;
	struct text line;
	int err; /* of keeping or writing */
};

bool capture_options_add_local(struct capture_options *options, const char *text)
{
	uint8_t *address = options->local[options->nr_local];

	memset(address, 0, 16);
	if (inet_pton(AF_INET, text, address + 12) == 1)
		memset(address + 10, 0xff, 2);
	else if (inet_pton(AF_INET6, text, address) != 1)
		return false;
	options->nr_local++;
	return true;
}

static bool is_local(void *context, const uint8_t address[16])
{
	const struct capture_replay *replay = context;

	for (size_t i = 0; i < replay->options->nr_local; i++)
		if (!memcmp(replay->options->local[i], address, 16))
			return true;
	return false;
}

static void pass_entry(void *context, const struct conn_key *key, const struct track_entry *entry)
{
	const struct capture_replay *replay = context;

	replay->options->told(replay->options->told_context, key, entry);
}

static void keep_ended(void *context, const struct track_event *event)
{
	struct capture_replay *replay = context;
	struct connection_report *grown;

	/* Nothing is compared: there are no divergences. */
	if (event->type != TRACK_CONNECTION || replay->err)
		return;
	if (replay->nr_ended == replay->capacity) {
		size_t capacity = MAX(replay->capacity * 2, (size_t)64);

		grown = realloc(replay->ended, capacity * sizeof(*grown));
		if (!grown) {
			replay->err = -ENOMEM;
			return;
		}
		replay->ended = grown;
		replay->capacity = capacity;
	}
	if (!replay->nr_ended || event->ts_ns < replay->first_ns)
		replay->first_ns = event->ts_ns;
	replay->ended[replay->nr_ended++] = *event->connection;
}

static int compare_u64(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int by_end_and_key(const void *left, const void *right)
{
	const struct connection_report *a = left, *b = right;
	int order = compare_u64(a->closed_ns, b->closed_ns);

	if (!order)
		order = memcmp(a->key.local_address, b->key.local_address, 16);
	if (!order)
		order = memcmp(a->key.remote_address, b->key.remote_address, 16);
	if (!order)
		order = compare_u64(a->key.local_port, b->key.local_port);
	if (!order)
		order = compare_u64(a->key.remote_port, b->key.remote_port);
	/* Two lives of one tuple that end at once began one after the other. */
	return order ? order : compare_u64(a->opened_ns, b->opened_ns);
}

static void render_path(struct text *line, const uint8_t *path, uint8_t steps)
{
	text_string(line, steps ? " " : " -");
	for (uint8_t i = 0; i < steps; i++) {
		if (i)
			text_char(line, ',');
		text_string(line, fsm_state_name(path[i]));
	}
}

static void render_remark(struct text *line, const char *remark, bool *first)
{
	text_char(line, *first ? ' ' : ',');
	text_string(line, remark);
	*first = false;
}

static void render_line(struct text *line, const struct connection_report *report)
{
	static const char *const arrows[ROLE_NR] = {
		[ROLE_CLIENT] = " > ", [ROLE_SERVER] = " < ", [ROLE_UNKNOWN] = " <> "
	};
	char endpoint[ENDPOINT_TEXT_MAX];
	bool first = true;

	text_string(line,
		    endpoint_format(report->key.local_address, report->key.local_port, endpoint));
	text_string(line, arrows[report->role]);
	text_string(line,
		    endpoint_format(report->key.remote_address, report->key.remote_port, endpoint));
	text_char(line, ' ');
	text_string(line, end_label(report->end));
	text_char(line, ' ');
	text_seconds(line, report->last_ns - report->opened_ns);
	render_path(line, report->local_path, report->local_steps);
	render_path(line, report->remote_path, report->remote_steps);
	for (int anomaly = AN_NONE + 1; anomaly < AN_NR; anomaly++)
		if (report->anomalies & 1u << anomaly)
			render_remark(line, fsm_anomaly_label(anomaly), &first);
	if (!report->observable)
		render_remark(line, unobservable_label(report->why), &first);
	text_string(line, first ? " -\n" : "\n");
}

static void print_one(struct capture_replay *replay, const struct connection_report *report)
{
	const struct track_event event = { .type = TRACK_CONNECTION,
					   .ts_ns = report->closed_ns,
					   .connection = report };

	/* A capture's clock is CLOCK_REALTIME already. */
	if (replay->options->json)
		events_render(&event, NULL, 0, &replay->line);
	else
		render_line(&replay->line, report);
	if (replay->line.failed)
		replay->err = -ENOMEM;
	else if (fwrite(replay->line.data, 1, replay->line.length, stdout) != replay->line.length)
		replay->err = -errno;
	text_consume(&replay->line, replay->line.length);
	replay->connections++;
}

/* Prints what ended until then. */
static void print_until(struct capture_replay *replay, uint64_t until_ns)
{
	struct connection_report *ended = replay->ended;
	size_t printed = 0;

	if (!replay->nr_ended)
		return;
	qsort(ended, replay->nr_ended, sizeof(*ended), by_end_and_key);
	while (printed < replay->nr_ended && ended[printed].closed_ns <= until_ns && !replay->err)
		print_one(replay, &ended[printed++]);
	replay->nr_ended -= printed;
	memmove(ended, ended + printed, replay->nr_ended * sizeof(*ended));
	if (replay->nr_ended)
		replay->first_ns = ended[0].closed_ns;
	if (fflush(stdout) && !replay->err)
		replay->err = -errno;
}

static int read_all(struct capture_replay *replay)
{
	struct observation segment;
	int more;

	while (!replay->err && (more = pcapfile_next(replay->pcap, &segment)) == 1) {
		replay->now_ns = segment.ts_ns;
		tracker_advance(replay->tracker, replay->now_ns);
		tracker_observe(replay->tracker, &segment);
		/* Not sooner, so that there is something to sort. */
		if (replay->nr_ended && replay->now_ns >= replay->first_ns + 2 * ORDER_NS)
			print_until(replay, replay->now_ns - ORDER_NS);
		else if (replay->nr_ended >= ENDED_MAX)
			print_until(replay, replay->now_ns);
	}
	if (replay->err)
		return replay->err;
	tracker_finish_all(replay->tracker, replay->now_ns);
	print_until(replay, UINT64_MAX);
	return replay->err ? replay->err : more;
}

static void sum_up(const struct capture_replay *replay)
{
	const struct pcapfile_counts *counts = pcapfile_counts(replay->pcap);
	const struct tracker_stats *stats = tracker_stats(replay->tracker);

	log_info("%llu connections; %llu packets: %llu TCP segments, %llu other, %llu fragments, "
		 "%llu truncated, %llu malformed; %llu stray segments, %llu gaps, %llu connections "
		 "evicted",
		 (unsigned long long)replay->connections, (unsigned long long)counts->packets,
		 (unsigned long long)counts->results[PARSE_TCP],
		 (unsigned long long)counts->results[PARSE_OTHER],
		 (unsigned long long)counts->results[PARSE_FRAGMENT],
		 (unsigned long long)counts->results[PARSE_TRUNCATED],
		 (unsigned long long)counts->results[PARSE_MALFORMED],
		 (unsigned long long)stats->stray_segments, (unsigned long long)stats->gaps,
		 (unsigned long long)stats->unobservable[UNOBSERVABLE_EVICTED]);
}

int replay_capture(FILE *file, const char *name, const struct capture_options *options)
{
	struct capture_replay replay = { .options = options };
	struct tracker_settings settings = {
		.flows_max = options->flows_max,
		.time_wait_ns = REFERENCE_2MSL_NS,
		.wire_only = true,
	};
	const struct tracker_ops ops = {
		.context = &replay,
		.event = options->told ? NULL : keep_ended,
		.told = options->told ? pass_entry : NULL,
		.is_local = options->nr_local ? is_local : NULL,
	};
	int err;

	/* Against chosen collisions; nothing that is printed depends on it. */
	if (getrandom(&settings.hash_seed, sizeof(settings.hash_seed), 0) < 0)
		settings.hash_seed = 0;
	err = pcapfile_open(file, name, options->into_tunnels, &replay.pcap);
	if (err)
		return err;
	replay.tracker = tracker_new(&settings, &ops);
	if (!replay.tracker) {
		err = log_err_ret(-errno, "no room for %u connections", settings.flows_max);
		goto out;
	}
	err = read_all(&replay);
	if (replay.err)
		log_err_ret(replay.err, "replay of %s", name);
	if (!options->told)
		sum_up(&replay);
out:
	tracker_free(replay.tracker);
	pcapfile_free(replay.pcap);
	text_free(&replay.line);
	free(replay.ended);
	return err;
}
