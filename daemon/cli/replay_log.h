/* SPDX-License-Identifier: GPL-2.0-only */
/* A raw record log through decode -> track -> compare again, for whoever listens. */
#ifndef TCPWITNESS_REPLAY_LOG_H
#define TCPWITNESS_REPLAY_LOG_H

#include <stdint.h>
#include <stdio.h>

#include "listen/listeners.h"
#include "settings.h"
#include "track/tracker.h"

struct replay_listener {
	void *context;
	/* As tracker_ops has them; NULL: not wanted. Wall clock: CLOCK_MONOTONIC + wall_offset_ns.
	 * event: 0, or -errno to stop; owner: of the listening socket, or NULL. */
	int (*event)(void *context, const struct track_event *event,
		     const struct listener_owner *owner, uint64_t wall_offset_ns);
	void (*told)(void *context, const struct conn_key *key, const struct track_entry *entry);
	/* At the end, whether damaged or not, while the names that entries point at still live. */
	void (*done)(void *context, uint64_t wall_offset_ns);
};

/*
 * flows_max and settle_ms: as they were when the log was recorded. Owns `file`. 0, or -errno
 * after one logged line; what came before the error was told nevertheless.
 */
int replay_log(FILE *file, const char *path, uint64_t flows_max, uint64_t settle_ms,
	       const struct replay_listener *listener);

/* The flags that replaying commands share with `run` are checked by its table; NULL: the default.
 * CLI_OK, or CLI_USAGE after one line on stderr. */
int replay_flags(const char *command, const char *flows_max, const char *settle,
		 struct settings *ret);

#endif
