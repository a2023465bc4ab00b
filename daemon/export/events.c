/* SPDX-License-Identifier: GPL-2.0-only */
/* The event log: lines of JSON, rate limited, buffered, written without ever blocking. */
#include "export/events.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "export/evidence.h"
#include "export/report.h"
#include "util.h"

#define BUFFER_MAX (4u << 20)

/* A pipe with room has room for this much (pipe(7): PIPE_BUF), whatever its flags. */
#define PIPE_CHUNK 4096

struct token_bucket {
	uint32_t rate;		     /* a second; 0 = no limit */
	uint64_t credit_ns, last_ns; /* credit: what is saved up, at most a second's worth */
};

struct events {
	int fd; /* -1: no log */
	bool owns_fd, is_regular, connections;
	struct token_bucket divergence_tokens, connection_tokens;
	struct text buffer;
	struct events_stats stats;
};

static const char *const event_names[] = {
	[TRACK_DIVERGENCE_OPEN] = "divergence_open",
	[TRACK_DIVERGENCE_CLOSE] = "divergence_close",
	[TRACK_CONNECTION] = "connection",
	[TRACK_SAMPLING] = "sampling",
};

static void render_divergence(struct json *json, const struct track_event *event,
			      const struct listener_owner *listener, uint64_t wall_offset_ns)
{
	bool opens = event->type == TRACK_DIVERGENCE_OPEN;

	json_u64(json, "id", event->id);
	report_kind(json, event->kind, event->reason);
	json_time(json, "since", event->since_ns + wall_offset_ns);
	report_states(json, event->connection);
	evidence_json(json, "evidence", event->evidence, wall_offset_ns);
	report_listener(json, listener);
	if (opens && event->explains)
		json_u64(json, "explains", event->explains);
	else if (opens)
		json_null(json, "explains");
	else
		json_string(json, "explained_as",
			    event->explained_as < DIVERGENCE_NR ?
				    divergence_label(event->explained_as) :
				    NULL);
	if (!opens)
		json_seconds(json, "duration_seconds",
			     event->ts_ns > event->since_ns ? event->ts_ns - event->since_ns : 0);
}

static void render_sampling(struct json *json, const struct rec_sampling *change)
{
	json_u64(json, "netns", change->hdr.netns);
	if (change->ifindex)
		json_null(json, "port");
	else
		json_u64(json, "port", change->port);
	if (change->ifindex)
		json_u64(json, "interface_index", change->ifindex);
	else
		json_null(json, "interface_index");
	json_u64(json, "from_shift", change->from);
	json_u64(json, "to_shift", change->to);
	json_u64(json, "offered_records", change->offered);
}

void events_render(const struct track_event *event, const struct listener_owner *listener,
		   uint64_t wall_offset_ns, struct text *out)
{
	const struct connection_report *connection = event->connection;
	struct json json;

	json_init(&json, out);
	json_object_begin(&json, NULL);
	json_string(&json, "event", event_names[event->type]);
	json_u64(&json, "schema", EVENTS_SCHEMA);
	json_time(&json, "time", event->ts_ns + wall_offset_ns);
	json_u64(&json, "mono_ns", event->ts_ns);
	if (event->type != TRACK_SAMPLING)
		report_tuple(&json, connection);
	if (event->type == TRACK_SAMPLING) {
		render_sampling(&json, event->sampling);
	} else if (event->type == TRACK_CONNECTION) {
		report_life(&json, connection, wall_offset_ns);
		json_string(&json, "ended", end_label(connection->end));
	} else {
		render_divergence(&json, event, listener, wall_offset_ns);
	}
	json_object_end(&json);
	text_char(out, '\n');
}

void events_render_flood(const struct flood_news *news, uint64_t wall_offset_ns, struct text *out)
{
	struct json json;

	json_init(&json, out);
	json_object_begin(&json, NULL);
	json_string(&json, "event", news->begins ? "syn_flood_begin" : "syn_flood_end");
	json_u64(&json, "schema", EVENTS_SCHEMA);
	json_time(&json, "time", news->ts_ns + wall_offset_ns);
	json_u64(&json, "mono_ns", news->ts_ns);
	json_u64(&json, "netns", news->listener.key.netns);
	report_listener(&json, &news->listener);
	json_time(&json, "since", news->since_ns + wall_offset_ns);
	json_u64(&json, "syns_per_second", news->facts.rate);
	json_u64(&json, "answered_percent", news->facts.answered);
	json_u64(&json, "sources", news->sources);
	json_u64(&json, "syn_queue_length", news->syn_length);
	json_u64(&json, "syn_queue_limit", news->syn_limit);
	if (!news->begins) {
		json_u64(&json, "syns", news->syns);
		json_seconds(&json, "duration_seconds", news->ts_ns - news->since_ns);
	}
	json_object_end(&json);
	text_char(out, '\n');
}

static int open_log(struct events *events, const char *path)
{
	struct stat status;

	if (!strcmp(path, "-")) {
		events->fd = STDOUT_FILENO;
	} else {
		/* O_NONBLOCK: a FIFO without a reader is an error, not a wait. The lines name
		 * peers: not for everybody's eyes. */
		events->fd =
			open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0640);
		events->owns_fd = true;
	}
	if (events->fd < 0 || fstat(events->fd, &status))
		return -errno;
	events->is_regular = S_ISREG(status.st_mode);
	return 0;
}

int events_new(const struct events_settings *settings, struct events **ret_events)
{
	struct events *events = calloc(1, sizeof(*events));
	int err = 0;

	if (!events)
		return -ENOMEM;
	events->fd = -1;
	events->connections = settings->connections;
	events->divergence_tokens.rate = settings->divergences_rate;
	events->connection_tokens.rate = settings->connections_rate;
	if (settings->path)
		err = open_log(events, settings->path);
	if (err) {
		events_free(events);
		return err;
	}
	*ret_events = events;
	return 0;
}

void events_free(struct events *events)
{
	if (!events)
		return;
	events_flush(events);
	if (events->owns_fd && events->fd >= 0)
		close(events->fd);
	text_free(&events->buffer);
	free(events);
}

/* Time is that of the events themselves, so that it passes the same in every run. */
static bool take_token(struct token_bucket *bucket, uint64_t now_ns)
{
	uint64_t cost_ns;

	if (!bucket->rate)
		return true;
	cost_ns = NS_PER_SEC / bucket->rate;
	if (!bucket->last_ns)
		bucket->credit_ns = NS_PER_SEC;
	if (now_ns > bucket->last_ns) {
		bucket->credit_ns += now_ns - bucket->last_ns;
		bucket->last_ns = now_ns;
	}
	if (bucket->credit_ns > NS_PER_SEC)
		bucket->credit_ns = NS_PER_SEC;
	if (bucket->credit_ns < cost_ns)
		return false;
	bucket->credit_ns -= cost_ns;
	return true;
}

/* Out of memory: takes the torn line back, and the next is tried again. */
static void keep_whole(struct events *events, size_t before)
{
	if (!events->buffer.failed)
		return;
	events->buffer.length = before;
	events->buffer.failed = false;
	events->stats.dropped++;
}

void events_take(struct events *events, const struct track_event *event,
		 const struct listener_owner *listener, uint64_t wall_offset_ns)
{
	bool is_connection = event->type == TRACK_CONNECTION;
	size_t before = events->buffer.length;

	if (events->fd < 0 || (is_connection && !events->connections))
		return;
	if (before >= BUFFER_MAX ||
	    !take_token(is_connection ? &events->connection_tokens : &events->divergence_tokens,
			event->ts_ns)) {
		events->stats.dropped++;
		return;
	}
	events_render(event, listener, wall_offset_ns, &events->buffer);
	keep_whole(events, before);
}

void events_take_flood(struct events *events, const struct flood_news *news,
		       uint64_t wall_offset_ns)
{
	size_t before = events->buffer.length;

	if (events->fd < 0)
		return;
	if (before >= BUFFER_MAX || !take_token(&events->divergence_tokens, news->ts_ns)) {
		events->stats.dropped++;
		return;
	}
	events_render_flood(news, wall_offset_ns, &events->buffer);
	keep_whole(events, before);
}

const struct listener_owner *events_listener(const struct listeners *listeners,
					     const struct track_event *event,
					     struct listener_owner *room)
{
	if (event->type == TRACK_CONNECTION || event->type == TRACK_SAMPLING ||
	    event->connection->role == ROLE_CLIENT ||
	    !listeners_find(listeners, &event->connection->key, room))
		return NULL;
	return room;
}

static bool is_writable(const struct events *events)
{
	struct pollfd poll_fd = { .fd = events->fd, .events = POLLOUT };

	return events->is_regular || (poll(&poll_fd, 1, 0) == 1 && poll_fd.revents & POLLOUT);
}

/* Complete lines; one that is cut is counted with its end. */
static uint64_t count_lines(const char *data, size_t size)
{
	const char *end = data + size;
	uint64_t lines = 0;

	while (data < end && (data = memchr(data, '\n', (size_t)(end - data)))) {
		lines++;
		data++;
	}
	return lines;
}

void events_flush(struct events *events)
{
	size_t done = 0;

	while (done < events->buffer.length && is_writable(events)) {
		size_t size = events->buffer.length - done;
		ssize_t count;

		if (!events->is_regular && size > PIPE_CHUNK)
			size = PIPE_CHUNK;
		count = write(events->fd, events->buffer.data + done, size);
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0 && errno == EPIPE) {
			/* The reader is gone for good, and what waits is lost. */
			events->stats.dropped += count_lines(events->buffer.data + done, size);
			done += size;
			continue;
		}
		/* A full disk or a slow reader: it stays in the buffer, which has an end. */
		if (count < 0)
			break;
		events->stats.written += count_lines(events->buffer.data + done, (size_t)count);
		done += (size_t)count;
	}
	text_consume(&events->buffer, done);
}

const struct events_stats *events_stats(const struct events *events)
{
	return &events->stats;
}
