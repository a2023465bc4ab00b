/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One instant of the daemon, copied by the data thread for whoever renders it. The copy is the
 * reader's own: nothing in it changes or points into live state.
 */
#ifndef TCPWITNESS_VIEW_H
#define TCPWITNESS_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capture/capture_stats.h"
#include "export/degraded.h"
#include "export/events.h"
#include "export/process.h"
#include "listen/limits.h"
#include "listen/listeners.h"
#include "listen/namespace.h"
#include "track/history.h"
#include "track/tracker.h"

/* What this binary is; static strings. */
struct build_facts {
	const char *version, *revision, *cc, *clang, *libbpf;
};

struct http_stats {
	uint64_t requests; /* begun */
	uint64_t refused;  /* of those, 503: too many at once, or the data thread was busy */
	uint64_t forbidden;
	uint64_t turned_away; /* connections closed at once: their client had too many */
};

/* What the page and /-/ready say. */
struct export_health {
	bool ready;		    /* as in export_view */
	uint64_t open[SEVERITY_NR]; /* divergences */
	struct degraded degraded;
};

/* What a namespace says of its listeners. */
struct listen_view {
	int64_t unexplained[LISTEN_MIB_NR]; /* its counters since it is watched, less ours */
	struct listen_sysctls sysctls;
};

struct listener_names {
	char listener[ENDPOINT_TEXT_MAX]; /* "addr:port" */
	char netns[SPACE_NAME_MAX];
};

struct export_view {
	/* filled by the data thread */
	uint64_t mono_ns, wall_ns; /* the same instant on both clocks */
	uint64_t started_ns;	   /* CLOCK_MONOTONIC */
	bool ready;		   /* programs attached, sockets seeded, rings drained once */
	struct degraded degraded;
	struct capture_stats capture;
	struct tracker_stats tracker;
	/* of capture.spaces[i]: their share of tracker.connections */
	uint64_t connections[NAMESPACES_MAX][VIEW_NR][FSM_NR_STATES];
	struct events_stats events;
	struct history_stats history;
	bool labelled; /* asked for: those listeners that have a label, for metrics; else all */
	struct listener_row *listeners; /* room for listeners_max */
	size_t listeners_max, nr_listeners;
	size_t total_listeners; /* how many exist */
	struct listener_row other;
	struct listen_view listens[NAMESPACES_MAX]; /* of capture.spaces[i] */
	enum syn_queue_test syn_queue_test;

	/* filled by the renderer's thread: view_complete() and http.c */
	struct listener_names *names; /* of listeners[i] */
	struct process_stats process;
	struct http_stats http;
	uint64_t collect_ns; /* what collecting all this took */
	const struct build_facts *build;
	/* Name of a kernel drop reason or NULL; its table never changes after start. */
	const char *(*drop_reason)(void *context, uint32_t reason);
	void *drop_reason_context;
};

/* All zero, with room for that many listeners. NULL and errno on failure. */
struct export_view *view_new(size_t listeners_max);
void view_free(struct export_view *view);

/* Writes the listeners' names: work the data thread need not do. */
void view_complete(struct export_view *view);

/* The name of a namespace, or its number written to `room`. */
const char *view_netns(const struct export_view *view, uint32_t netns, char room[12]);

/* What limits a row's queues is made of; of a row without namespace, by the first one's knobs. */
struct limits_facts view_limits_facts(const struct export_view *view,
				      const struct listener_row *row);

/* The wall clock when CLOCK_MONOTONIC showed mono_ns. */
uint64_t view_wall_ns(const struct export_view *view, uint64_t mono_ns);

#endif
