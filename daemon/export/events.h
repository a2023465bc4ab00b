/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: the event log
 *
 * One JSON object a line, schema 1. A field is never taken away or given another meaning under
 * the same number; new ones may come. Every line:
 *
 *	event		"divergence_open" | "divergence_close" | "connection"
 *	schema		1
 *	time		RFC 3339, UTC, nanoseconds: the wall clock at mono_ns
 *	mono_ns		CLOCK_MONOTONIC of the cause
 *	local, remote	"10.0.0.1:443", "[fd00::1]:443"
 *	netns		inode number of the network namespace
 *	role		"client" | "server" | "unknown"
 *
 * divergence_open and divergence_close:
 *
 *	kind, class	as the labels of tcpwitness_divergences_total
 *	reason		the kind's detail ("accept_queue_full", "NETFILTER_DROP"), or null
 *	since		when the two views parted
 *	wire_state	the local end, by RFC 9293's names: "FIN_WAIT_1"
 *	kernel_state	by the kernel's: "NEW_SYN_RECV"; "NONE" where it has no socket
 *	kernel_substate	only in TIME_WAIT: "FIN_WAIT2" or "TIME_WAIT"
 *	duration_seconds	close only: from since to this line
 *
 * connection (with --events.connections; one line a finished connection):
 *
 *	local_path, remote_path	states of the two ends in order, RFC 9293's names
 *	kernel_path	the local socket's states, the kernel's names
 *	ended		"local_close", "remote_reset", … as tcpwitness_connections_closed_total{how}
 *	opened, closed	RFC 3339, or null where not known (adopted)
 *	divergences, anomalies	lists of names, each once
 *	observable, why	false and the reason when it could not be judged; else true and null
 *
 * From a capture (replay --json FILE) there is no kernel: kernel_path is empty, netns 0, nothing
 * was compared, and mono_ns is the wall clock's.
 *
 * Owned by the data thread. Lines are buffered and leave at events_flush(), which never blocks;
 * what the reader does not take in time is dropped, whole lines only, and counted.
 */
#ifndef TCPWITNESS_EVENTS_H
#define TCPWITNESS_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "export/text.h"
#include "track/tracker.h"

#define EVENTS_SCHEMA 1
#define EVENTS_REASON_MAX 48
#define EVENTS_OPEN_MAX 1024

struct events_settings {
	const char *path; /* a file, "-" for stdout, or NULL: keep the open divergences only */
	bool connections; /* a line for every finished connection too */
	/* lines a second, with a burst of one second; 0 = no limit */
	uint32_t divergences_rate, connections_rate;
};

#define EVENTS_DIVERGENCES_RATE_DEFAULT 10000
#define EVENTS_CONNECTIONS_RATE_DEFAULT 200000

/* The event log's own account. */
struct events_stats {
	uint64_t written; /* lines that have left */
	uint64_t dropped; /* lines lost to the rate limit, a full buffer or a failed file */
};

/* A divergence that lasts. */
struct open_divergence {
	enum divergence_kind kind;
	uint64_t since_ns;
	char reason[EVENTS_REASON_MAX];	     /* "" for none */
	struct connection_report connection; /* as it was when the divergence opened */
};

struct events;

/* 0 or -errno (of the file). *settings need not outlive the call. */
int events_new(const struct events_settings *settings, struct events **ret_events);
/* Flushes what the file takes at once. NULL is fine. */
void events_free(struct events *events);

/* Takes one event: buffers its line and keeps the list of open divergences. The wall clock is
 * CLOCK_MONOTONIC + wall_offset_ns. */
void events_take(struct events *events, const struct track_event *event, uint64_t wall_offset_ns);

/* Once a turn of the loop. */
void events_flush(struct events *events);

const struct events_stats *events_stats(const struct events *events);

/* Copies up to `max` open divergences; returns how many are open, those not kept included. */
size_t events_list_open(const struct events *events, struct open_divergence *rows, size_t max,
			size_t *ret_filled);

/* The line of one event, newline included. Pure. */
void events_render(const struct track_event *event, uint64_t wall_offset_ns, struct text *out);

#endif
