/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Raw records in, events and counters out: decode → track and listen → events, the same for a
 * live run and a replay. Everything that enters goes through pipeline_feed_batch, ticks of the
 * clock included, so that a recorded run can be fed again and gives the same answers.
 */
#ifndef TCPWITNESS_PIPELINE_H
#define TCPWITNESS_PIPELINE_H

#include <stddef.h>
#include <stdint.h>

#include "capture/kernel_facts.h"
#include "capture/merge.h"
#include "capture/recordlog.h"
#include "export/events.h"
#include "export/ledger.h"
#include "listen/listeners.h"
#include "track/history.h"
#include "track/tracker.h"

struct pipeline_settings {
	struct tracker_settings tracker;
	struct events_settings events;
	uint32_t history_events; /* 0: no history */
	uint32_t netns;
	uint64_t wall_offset_ns;	    /* CLOCK_REALTIME - CLOCK_MONOTONIC */
	const struct drop_reasons *reasons; /* outlive the pipeline */
	struct recordlog_writer *log;	    /* NULL: not recorded; stays the caller's */
	/* Where fresh looks and listener counters come from. */
	void *context;
	int (*look)(void *context, const struct conn_key *key, uint32_t ifindex,
		    struct rec_socket *ret_look);
	struct listeners_ops listeners;
	uint32_t listeners_max; /* that have a label of their own */
};

struct pipeline {
	struct pipeline_settings settings;
	struct tracker *tracker;
	struct listeners *listeners;
	struct events *events;
	struct ledger *ledger;
	struct history *history; /* NULL: none is kept */
	int log_error;		 /* the first failure to write the record log; 0 */
};

/* 0 or -errno, after one logged line. */
int pipeline_init(struct pipeline *pipeline, const struct pipeline_settings *settings);
void pipeline_fini(struct pipeline *pipeline);

/* 1 to MERGE_BATCH raw records, in their order: of each 0, or 1 + enum reject_reason. */
void pipeline_feed_batch(struct pipeline *pipeline, const struct merged_record *records,
			 size_t count, uint8_t *ret_verdicts);

/* One, 8-byte aligned, and its verdict. */
int pipeline_feed(struct pipeline *pipeline, const void *bytes, size_t size, uint32_t ring);

/* Time has come to now_ns; then the events leave. */
void pipeline_tick(struct pipeline *pipeline, uint64_t now_ns);

/* Asks anew how full every listener's queues are. */
void pipeline_look_at_listeners(struct pipeline *pipeline);

#endif
