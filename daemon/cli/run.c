/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: `tcpwitness run`, the daemon
 *
 * One thread owns capture, tracker, listeners and event log and turns this loop: wait, drain the
 * rings, feed what they held, let time pass, answer letters. How long it sleeps follows how fast
 * the rings fill (pace.h); it is woken early when one is half full, and from a long sleep by the
 * first record. The HTTP server has a thread of its own and asks
 * through the mailbox (export/answers.h).
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/param.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "build_info.h"
#include "capture/capture.h"
#include "cli/cli.h"
#include "cli/listening.h"
#include "cli/pace.h"
#include "cli/pipeline.h"
#include "export/http.h"
#include "listen/owners.h"
#include "log.h"
#include "settings.h"
#include "util.h"

/* How often the listeners' queue lengths are asked for when no scrape does it. */
#define LISTENERS_LOOK_NS NS_PER_SEC

/* Live connections of one pair of endpoints that `explain` tells of: two where both ends are in
 * watched namespaces, more only where namespaces use the same addresses. */
#define EXPLAIN_OPEN_MAX 4

struct run {
	const struct settings *settings;
	struct capture *capture;
	struct recordlog_writer *log;
	struct pipeline pipeline;
	struct mailbox *mailbox;
	struct http *http;
	int epoll_fd, signal_fd;
	struct listening *listening;
	uint64_t started_ns, listeners_looked_ns;
	struct pace pace;
	uint64_t taken; /* records fed so far */
	struct degraded degraded;
	bool seeded; /* the first sweep is complete */
	bool stopping;
};

/* What the loop itself must know of; most are none of its business. */
static void note_record(struct run *run, const struct merged_record *record)
{
	const struct rec_sweep *sweep = record->bytes;
	const struct rec_netns *netns = record->bytes;

	if (record->family != CAPTURE_RING_NONE)
		return;
	if (sweep->hdr.type == REC_SWEEP && sweep->phase == SWEEP_END) {
		run->seeded = true;
		listening_seeded(run->listening);
	}
	if (netns->hdr.type == REC_NETNS && netns->phase == NETNS_END)
		listening_forget(run->listening, netns->hdr.netns);
}

static void take_records(void *context, const struct merged_record *records, size_t count,
			 uint8_t *ret_verdicts)
{
	struct run *run = context;

	run->taken += count;
	for (size_t i = 0; i < count; i++)
		note_record(run, &records[i]);
	pipeline_feed_batch(&run->pipeline, records, count, ret_verdicts);
}

static void note_degraded(struct run *run, uint64_t now_ns)
{
	const struct pipeline *pipeline = &run->pipeline;
	const struct tracker_stats *tracker = tracker_stats(pipeline->tracker);
	struct degraded *degraded = &run->degraded;

	degraded_count(degraded, DEGRADED_SEGMENT_RING, capture_lost(run->capture, RING_SEGMENT),
		       now_ns);
	degraded_count(degraded, DEGRADED_KERNEL_RING, capture_lost(run->capture, RING_KERNEL),
		       now_ns);
	degraded_hold(degraded, DEGRADED_SAMPLING, capture_sampled(run->capture) > 0, now_ns);
	degraded_count(degraded, DEGRADED_FLOW_TABLE, tracker->evictions, now_ns);
	degraded_count(degraded, DEGRADED_FINDINGS, tracker->findings_lost, now_ns);
	degraded_hold(degraded, DEGRADED_LISTENERS,
		      listeners_count(pipeline->listeners) > run->settings->listeners_max, now_ns);
	degraded_count(degraded, DEGRADED_EVENTS, events_stats(pipeline->events)->dropped, now_ns);
	degraded_hold(degraded, DEGRADED_RECORD_LOG, pipeline->log_error != 0, now_ns);
}

static void turn(struct run *run, uint64_t now_ns, bool flush)
{
	static struct log_limit limit = LOG_LIMIT(1, 10);
	uint64_t suppressed;
	int err = capture_drain(run->capture, now_ns, flush, take_records, run);

	if (err && log_limit_allows(&limit, now_ns, &suppressed))
		log_warn("capture: %s", strerror(-err));
	pipeline_tick(&run->pipeline, now_ns);
	listening_turn(run->listening, now_ns);
	if (now_ns - run->listeners_looked_ns < LISTENERS_LOOK_NS)
		return;
	run->listeners_looked_ns = now_ns;
	pipeline_look_at_listeners(&run->pipeline);
	note_degraded(run, now_ns);
}

/* --- what the HTTP threads ask for, in this thread --- */

static void snapshot_spaces(const struct run *run, struct export_view *view)
{
	size_t nr_spaces;
	const struct tracked_space *spaces = tracker_spaces(run->pipeline.tracker, &nr_spaces);

	memset(view->connections, 0, view->capture.nr_spaces * sizeof(view->connections[0]));
	for (uint32_t i = 0; i < view->capture.nr_spaces; i++) {
		uint32_t netns = view->capture.spaces[i].netns;

		for (size_t j = 0; j < nr_spaces; j++)
			if (spaces[j].netns == netns)
				memcpy(view->connections[i], spaces[j].connections,
				       sizeof(view->connections[i]));
		view->connections[i][VIEW_KERNEL][FSM_LISTEN] =
			listeners_count_in(run->pipeline.listeners, netns);
	}
}

static bool is_listed(const struct export_view *view, const struct sampling_site *site)
{
	for (size_t i = 0; i < view->nr_listeners; i++)
		if (view->listeners[i].key.netns == site->netns &&
		    view->listeners[i].key.local_port == site->port)
			return true;
	return site->ifindex != 0;
}

/* Of the listeners without a row that which is followed least. */
static void snapshot_sampling(const struct run *run, struct export_view *view)
{
	const struct sampling_stats *sampling = &view->capture.sampling;

	for (size_t i = 0; i < view->nr_listeners; i++)
		view->listeners[i].sampling_shift =
			capture_sampling_shift(run->capture, &view->listeners[i].key);
	for (uint32_t i = 0; i < sampling->nr_rows; i++)
		if (!is_listed(view, &sampling->rows[i].site))
			view->other.sampling_shift =
				MAX(view->other.sampling_shift, sampling->rows[i].shift);
	/* Born and left out: nobody followed them, and they were connections all the same. */
	view->tracker.opened[ROLE_SERVER] += sampling_born(sampling);
	view->tracker.unobservable[UNOBSERVABLE_SAMPLED] += sampling_born(sampling);
}

static void snapshot(void *context, struct export_view *view)
{
	struct run *run = context;

	/* A scrape sees what has happened, not what the last turn happened to find. */
	turn(run, clock_read(CLOCK_MONOTONIC), false);
	pipeline_look_at_listeners(&run->pipeline);
	capture_stats(run->capture, &view->capture);
	view->tracker = *tracker_stats(run->pipeline.tracker);
	view->tracker.connections[VIEW_KERNEL][FSM_LISTEN] =
		listeners_count(run->pipeline.listeners);
	snapshot_spaces(run, view);
	view->events = *events_stats(run->pipeline.events);
	view->history = history_stats(run->pipeline.history);
	view->nr_listeners = (view->labelled ? listeners_labelled : listeners_busiest)(
		run->pipeline.listeners, view->listeners, view->listeners_max,
		&view->total_listeners, &view->other);
	listening_fill(run->listening, view);
	snapshot_sampling(run, view);
	note_degraded(run, view->mono_ns);
	view->degraded = run->degraded;
	view->started_ns = run->started_ns;
	view->ready = run->seeded;
}

static size_t list(void *context, size_t *cursor, size_t max,
		   void (*each)(void *each_context, const struct connection_report *report),
		   void *each_context)
{
	struct run *run = context;

	return tracker_list(run->pipeline.tracker, cursor, max, each, each_context);
}

static size_t divergences(void *context, const struct ledger_query *query,
			  struct divergence_row *rows, size_t max, struct ledger_counts *ret_counts,
			  uint64_t *ret_wall_offset_ns)
{
	struct run *run = context;

	turn(run, clock_read(CLOCK_MONOTONIC), false);
	*ret_counts = ledger_counts(run->pipeline.ledger);
	*ret_wall_offset_ns = run->pipeline.settings.wall_offset_ns;
	return ledger_list(run->pipeline.ledger, query, rows, max);
}

static int explain(void *context, const struct tuple *tuple, const struct history_limits *limits,
		   struct history_answer *ret_answer, struct history_stats *ret_kept,
		   uint64_t *ret_wall_offset_ns)
{
	struct run *run = context;
	struct history_open open[EXPLAIN_OPEN_MAX];
	size_t nr_open = 0, nr_spaces;
	const struct tracked_space *spaces;

	turn(run, clock_read(CLOCK_MONOTONIC), false);
	spaces = tracker_spaces(run->pipeline.tracker, &nr_spaces);
	for (size_t i = 0; i < 2 * nr_spaces && nr_open < EXPLAIN_OPEN_MAX && !tuple->is_half;
	     i++) {
		struct history_open *row = &open[nr_open];
		struct connection_report report;

		row->key = tuple_key(tuple, spaces[i / 2].netns, i % 2);
		if (!tracker_find(run->pipeline.tracker, &row->key, &report, &row->life))
			continue;
		row->role = (uint8_t)report.role;
		nr_open++;
	}
	*ret_kept = history_stats(run->pipeline.history);
	*ret_wall_offset_ns = run->pipeline.settings.wall_offset_ns;
	return history_ask(run->pipeline.history, tuple, limits, open, nr_open, ret_answer);
}

static void health(void *context, struct export_health *ret)
{
	struct run *run = context;
	const struct ledger_counts counts = ledger_counts(run->pipeline.ledger);

	note_degraded(run, clock_read(CLOCK_MONOTONIC));
	ret->ready = run->seeded;
	ret->degraded = run->degraded;
	memcpy(ret->open, counts.open, sizeof(ret->open));
}

static const char *drop_reason(void *context, uint32_t reason)
{
	const struct run *run = context;

	return drop_reason_name(capture_drop_reasons(run->capture), reason);
}

/* --- what the pipeline asks the kernel --- */

static int look(void *context, const struct conn_key *key, uint32_t ifindex,
		struct rec_socket *ret_look)
{
	const struct run *run = context;

	return capture_look(run->capture, key, ifindex, ret_look);
}

static int listener_read(void *context, uint64_t cookie, struct listener_reading *ret)
{
	const struct run *run = context;

	return listener_maps_read(capture_listeners(run->capture), cookie,
				  clock_read(CLOCK_MONOTONIC), ret);
}

/* Does this kernel have a name for an ACK that met a full accept queue? */
static bool tells_refusals(const struct run *run)
{
	for (uint32_t reason = 0; reason < DROP_REASONS_MAX; reason++) {
		const char *name = drop_reason_name(capture_drop_reasons(run->capture), reason);

		if (name && !strcmp(name, "TCP_LISTEN_OVERFLOW"))
			return true;
	}
	return false;
}

static void listener_forget(void *context, uint64_t cookie)
{
	const struct run *run = context;

	listener_maps_delete(capture_listeners(run->capture), cookie);
}

static void listener_name(void *context, const struct conn_key *key, uint64_t from, uint64_t cookie)
{
	const struct run *run = context;

	listener_maps_name(capture_listeners(run->capture), key, from, cookie);
}

static int listener_sources(void *context, uint64_t cookie, struct source_sketch *ret)
{
	const struct run *run = context;

	return listener_maps_sources(capture_listeners(run->capture), cookie, ret);
}

static void locate(void *context, uint32_t pid, struct place *ret)
{
	(void)context;
	owner_place(pid, ret);
}

/* --- setting up, in the order of the data --- */

static int open_record_log(struct run *run, uint64_t wall_offset_ns)
{
	struct recordlog_info info = {
		.netns = capture_netns(run->capture),
		.realtime_offset_ns = (int64_t)wall_offset_ns,
		.reasons = *capture_drop_reasons(run->capture),
	};
	int err;

	if (!run->settings->record_file)
		return 0;
	err = recordlog_create(run->settings->record_file, &info, &run->log);
	return err ? log_err_ret(err, "cannot record to %s", run->settings->record_file) : 0;
}

static int open_pipeline(struct run *run)
{
	uint64_t wall_offset_ns = clock_read(CLOCK_REALTIME) - clock_read(CLOCK_MONOTONIC);
	const struct settings *settings = run->settings;
	struct pipeline_settings pipeline = {
		.tracker = {
			.flows_max = (uint32_t)settings->flows_max,
			.settle_ns = settings->settle_ms * NS_PER_MS,
			.time_wait_ns = REFERENCE_2MSL_NS,
			.hash_seed = wall_offset_ns,
		},
		.events = {
			.path = settings->events_file,
			.connections = settings->events_connections,
			.divergences_rate = EVENTS_DIVERGENCES_RATE_DEFAULT,
			.connections_rate = EVENTS_CONNECTIONS_RATE_DEFAULT,
		},
		.history_events = (uint32_t)settings->history_events,
		.netns = capture_netns(run->capture),
		.wall_offset_ns = wall_offset_ns,
		.reasons = capture_drop_reasons(run->capture),
		.context = run,
		.look = look,
		.listeners = { run, tells_refusals(run), listener_read, listener_forget,
			       listener_name, listener_sources, locate },
		.listeners_max = (uint32_t)settings->listeners_max,
	};
	int err = open_record_log(run, wall_offset_ns);

	if (err)
		return err;
	pipeline.log = run->log;
	return pipeline_init(&run->pipeline, &pipeline);
}

static int open_http(struct run *run)
{
	const struct settings *settings = run->settings;
	const struct http_settings http = {
		.listen_addresses = settings->web_listen_addresses.at,
		.nr_listen_addresses = settings->web_listen_addresses.count,
		.api_socket = settings->api_socket,
		.idle_seconds = HTTP_IDLE_SECONDS_DEFAULT,
		.answers = {
			.telemetry_path = settings->web_telemetry_path,
			.listeners_max = (uint32_t)settings->listeners_max,
			.max_requests = (uint32_t)settings->web_max_requests,
			.patience_ms = HTTP_PATIENCE_MS_DEFAULT,
			.build = { BUILD_VERSION, BUILD_REVISION, BUILD_CC, BUILD_CLANG,
				   libbpf_version_string() + 1 },
		},
	};
	const struct export_ops ops = {
		.context = run,
		.snapshot = snapshot,
		.list = list,
		.divergences = divergences,
		.explain = explain,
		.health = health,
		.drop_reason = drop_reason,
	};
	char error[HTTP_ERROR_MAX];
	int err;

	run->mailbox = mailbox_new();
	if (!run->mailbox)
		return log_err_ret(-errno, "mailbox");
	err = http_start(&http, &ops, run->mailbox, error, &run->http);
	if (err)
		log_err("%s", error);
	return err;
}

static int watch(const struct run *run, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(run->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

/* Before the first thread, so that none of them takes the signals. */
static int open_signals(struct run *run)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	run->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	run->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return run->signal_fd < 0 || run->epoll_fd < 0 ? -errno : 0;
}

static int open_listening(struct run *run)
{
	run->listening = listening_new(run->capture, &run->pipeline);
	if (!run->listening)
		return log_err_ret(-ENOMEM, "listening sockets");
	listening_begin(run->listening);
	return 0;
}

static int open_all(struct run *run)
{
	int err = open_signals(run);

	if (err)
		return log_err_ret(err, "event loop");
	err = capture_new(run->settings, &run->capture);
	if (!err)
		err = open_pipeline(run);
	if (!err)
		err = open_http(run);
	if (!err)
		err = open_listening(run);
	if (!err)
		err = capture_start(run->capture);
	if (err)
		return err;
	err = watch(run, run->signal_fd);
	if (!err)
		err = watch(run, mailbox_fd(run->mailbox));
	if (!err)
		err = watch(run, capture_fd(run->capture));
	return err ? log_err_ret(err, "event loop") : 0;
}

static int close_all(struct run *run)
{
	int err = 0;

	http_stop(run->http);
	mailbox_free(run->mailbox);
	listening_free(run->listening);
	pipeline_fini(&run->pipeline);
	if (run->log)
		err = recordlog_close(run->log);
	capture_free(run->capture);
	if (run->epoll_fd >= 0)
		close(run->epoll_fd);
	if (run->signal_fd >= 0)
		close(run->signal_fd);
	return err;
}

/* --- the loop --- */

static void handle(struct run *run, int fd)
{
	struct signalfd_siginfo signal;

	if (fd == mailbox_fd(run->mailbox)) {
		mailbox_serve(run->mailbox);
	} else if (fd == run->signal_fd &&
		   read(fd, &signal, sizeof(signal)) == (ssize_t)sizeof(signal)) {
		log_info("%s: stopping", strsignal((int)signal.ssi_signo));
		run->stopping = true;
	}
}

/* Milliseconds until the loop has something to do. */
static int patience(const struct run *run)
{
	uint64_t due_ns = tracker_next_deadline(run->pipeline.tracker);

	/* What came between the last turn and now wakes nobody. */
	if (!capture_want_wake(run->capture, pace_is_idle(&run->pace)))
		due_ns = 0;
	if (run->settings->duration_s)
		due_ns = MIN(due_ns, run->started_ns + run->settings->duration_s * NS_PER_SEC);
	return pace_patience(&run->pace, due_ns);
}

/* Sleeps, and does what there is to do then. */
static void turn_once(struct run *run)
{
	struct epoll_event events[8];
	uint64_t taken = run->taken, now_ns;
	int count = epoll_wait(run->epoll_fd, events, ARRAY_SIZE(events), patience(run));
	struct pace_turn found = { 0 };

	now_ns = clock_read(CLOCK_MONOTONIC);
	turn(run, now_ns, false);
	found.took = run->taken != taken;
	found.fill = capture_fill(run->capture);
	for (int i = 0; i < count; i++) {
		found.woken |= events[i].data.fd == capture_fd(run->capture);
		handle(run, events[i].data.fd);
	}
	found.busy = capture_is_busy(run->capture, now_ns) || listening_is_busy(run->listening);
	pace_turned(&run->pace, now_ns, &found);
	if (run->settings->duration_s &&
	    now_ns >= run->started_ns + run->settings->duration_s * NS_PER_SEC)
		run->stopping = true;
}

static void loop(struct run *run)
{
	run->started_ns = clock_read(CLOCK_MONOTONIC);
	pace_begin(&run->pace, run->started_ns);
	while (!run->stopping)
		turn_once(run);
	/* What was recorded before the end is part of it. */
	turn(run, clock_read(CLOCK_MONOTONIC), true);
}

/* Each interface takes two files or three. The usual soft limit is low for the sake of select(2),
 * which nobody here calls. */
static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int cli_run(int argc, char **argv)
{
	char why[SETTINGS_WHY_BYTES];
	struct settings settings;
	struct run run = { .settings = &settings, .epoll_fd = -1, .signal_fd = -1 };
	int err, closed;

	switch (settings_parse(argc, argv, &settings, why)) {
	case SETTINGS_OK:
		break;
	case SETTINGS_HELP:
		settings_print_help(stdout);
		return CLI_OK;
	default:
		return cli_usage_error("%s", why);
	}
	log_init((enum log_level)settings.log_level, (enum log_format)settings.log_format);
	raise_file_limit();
	err = open_all(&run);
	if (!err)
		loop(&run);
	closed = close_all(&run);
	return err || closed ? CLI_FAILED : CLI_OK;
}
