/* SPDX-License-Identifier: GPL-2.0-only */
/* `tcpwitness replay` of a capture: one line a connection. */
#ifndef TCPWITNESS_REPLAY_CAPTURE_H
#define TCPWITNESS_REPLAY_CAPTURE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "cli/cli.h"
#include "track/tracker.h"

struct capture_options {
	bool json;	    /* lines of the event log: events.h */
	bool into_tunnels;  /* pcap.h */
	uint32_t flows_max; /* connections at a time */
	size_t nr_local;
	uint8_t local[CLI_REPEATS_MAX][16]; /* IPv4 as v4-mapped */
	/* As tracker_ops has it; with it nothing is printed. NULL: lines are. */
	void (*told)(void *context, const struct conn_key *key, const struct track_entry *entry);
	void *told_context;
};

#define REPLAY_CAPTURE_LINE "LOCAL > REMOTE ENDED SECONDS LOCAL_PATH REMOTE_PATH REMARKS"

/* False: it is no address. At most CLI_REPEATS_MAX fit. */
bool capture_options_add_local(struct capture_options *options, const char *text);

/*
 * Prints every connection of the capture, ordered by end and then by tuple, and on stderr what
 * was no TCP segment. Owns `file`. 0, or -errno after one logged line; what was read until then
 * is printed nevertheless.
 */
int replay_capture(FILE *file, const char *name, const struct capture_options *options);

#endif
