/* SPDX-License-Identifier: GPL-2.0-only */
/* A connection and its divergences as JSON members: the words the event log and the API share. */
#ifndef TCPWITNESS_REPORT_H
#define TCPWITNESS_REPORT_H

#include <stdint.h>

#include "export/json.h"
#include "listen/listeners.h"
#include "track/tracker.h"

/* Members of the object that is open: local, remote, netns, role. */
void report_tuple(struct json *json, const struct connection_report *report);

/* wire_state, kernel_state, kernel_substate (TIME_WAIT's, where it is known). */
void report_states(struct json *json, const struct connection_report *report);

/* The three paths, opened, closed, divergences, anomalies, observable, why. The wall clock
 * is CLOCK_MONOTONIC + wall_offset_ns; times that are not known are null. */
void report_life(struct json *json, const struct connection_report *report,
		 uint64_t wall_offset_ns);

/* kind, class, severity, reason, text, look_at. */
void report_kind(struct json *json, enum divergence_kind kind, const char *reason);

/* listener, owner; NULL: none is known. */
void report_listener(struct json *json, const struct listener_owner *listener);

#endif
