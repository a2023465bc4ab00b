/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: the event log
 *
 * One JSON object a line, schema 1. A field is never taken away or given another meaning under
 * the same number; new ones may come. Every line:
 *
 *	event		"divergence_open" | "divergence_close" | "connection" | "sampling" |
 *			"syn_flood_begin" | "syn_flood_end"
 *	schema		1
 *	time		RFC 3339, UTC, nanoseconds: the wall clock at mono_ns
 *	mono_ns		CLOCK_MONOTONIC of the cause
 *	netns		inode number of the network namespace
 *
 * Those of connections and divergences:
 *
 *	local, remote	"10.0.0.1:443", "[fd00::1]:443"
 *	netns_name	what it is called ("host": the daemon's own), where that is known
 *	role		"client" | "server" | "unknown"
 *
 * divergence_open and divergence_close:
 *
 *	id		the divergence's number, the same in both; since the daemon started
 *	kind, class	as the labels of tcpwitness_divergences_total
 *	severity	"info" | "warning" | "critical"
 *	reason		the kind's detail ("accept_queue_full", "NETFILTER_DROP"), or null
 *	text, look_at	what the kind means, what to look at: a sentence each
 *	since		when the two views parted
 *	wire_state	the local end, by RFC 9293's names: "FIN_WAIT_1"
 *	kernel_state	by the kernel's: "NEW_SYN_RECV"; "NONE" where it has no socket
 *	kernel_substate	only in TIME_WAIT: "FIN_WAIT2" or "TIME_WAIT"
 *	evidence	what it rests on: the newest "segment" {time, sent, flags, seq, ack, len} as on
 *			the wire; the newest "change" of state that a tracepoint told {time, from, to,
 *			error, bits}; the fresh "look" that confirmed it {time, state, substate, owned,
 *			backlog_bytes, bits, and "queues" of a listener or sequence "variables"}: null
 *			where there was none; drop_reason of a dropped segment, or null; repeats: how
 *			often what makes it was seen, 0 = once
 *	listener	the listening socket it came through: "0.0.0.0:443", or null
 *	owner		who called listen() {pid, command, cgroup_id}, or null where not known
 *	explains	open only: the id it explains anew, whose close came just before; or null
 *	explained_as	close only: the kind that explains it better and opens next; null: it is over
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
 * sampling (from now on one flow in 2^to_shift is recorded at a site; 0: all of them):
 *
 *	port		the local port, or null: what meets no socket
 *	interface_index	on which it meets none, or null
 *	from_shift, to_shift	before, from now on
 *	offered_records	in one window of 134 ms, those left out included
 * syn_flood_begin and syn_flood_end (the rule is in listen/flood.h; not in a replay, as what it
 * goes by is counted in the kernel and not recorded):
 *
 *	listener	the listening address: "0.0.0.0:443"
 *	owner		as above
 *	since		when it began to be suspected
 *	syns_per_second	SYNs that somebody could have answered
 *	answered_percent	how many of them were
 *	sources		addresses that SYNs came from in the last one to two minutes, estimated
 *	syn_queue_length, syn_queue_limit	of the fullest socket; its backlog
 *	syns, duration_seconds	end only: all SYNs since it began; how long it was
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
#include "listen/listeners.h"
#include "track/tracker.h"

#define EVENTS_SCHEMA 1

struct events_settings {
	const char *path; /* a file, "-" for stdout, or NULL: no log */
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

struct events;

/* 0 or -errno (of the file). *settings need not outlive the call. */
int events_new(const struct events_settings *settings, struct events **ret_events);
/* Flushes what the file takes at once. NULL is fine. */
void events_free(struct events *events);

/* Buffers the line of one event. The wall clock is CLOCK_MONOTONIC + wall_offset_ns; `listener` is
 * the one a divergence's connection came through, NULL where none is known. */
void events_take(struct events *events, const struct track_event *event,
		 const struct listener_owner *listener, uint64_t wall_offset_ns);

/* The same for a SYN flood that begins or ends. */
void events_take_flood(struct events *events, const struct flood_news *news,
		       uint64_t wall_offset_ns);

/* The listening socket that an event's connection came through, put in *room; NULL: none is
 * known, or none matters. */
const struct listener_owner *events_listener(const struct listeners *listeners,
					     const struct track_event *event,
					     struct listener_owner *room);

/* Once a turn of the loop. */
void events_flush(struct events *events);

const struct events_stats *events_stats(const struct events *events);

/* The line of one event, newline included. Pure. */
void events_render(const struct track_event *event, const struct listener_owner *listener,
		   uint64_t wall_offset_ns, struct text *out);
void events_render_flood(const struct flood_news *news, uint64_t wall_offset_ns, struct text *out);

#endif
