/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The answers of /api/v1/ as JSON. Pure: what they say comes in. Every answer is one object with
 * "schema": 1 and "time", the wall clock of what it shows.
 */
#ifndef TCPWITNESS_API_H
#define TCPWITNESS_API_H

#include <stddef.h>
#include <stdint.h>

#include "export/json.h"
#include "export/text.h"
#include "export/view.h"

#define API_SCHEMA 1
#define API_LIMIT_DEFAULT 1000
#define API_LIMIT_MAX 10000

/* The instant an answer belongs to, on both clocks. */
struct api_instant {
	uint64_t mono_ns, wall_ns;
};

/* How every answer begins and ends. */
void api_begin(struct json *json, struct text *out, uint64_t wall_ns);
void api_end(struct json *json);

void api_status(const struct export_view *view, struct text *out);
/* "sampling", a member of api_status() */
void api_sampling(const struct export_view *view, struct json *json);

void api_listeners(const struct export_view *view, struct text *out);

/* next_cursor 0: the end of the table. */
void api_connections(const struct api_instant *at, const struct connection_report *reports,
		     size_t count, uint64_t next_cursor, struct text *out);

/* {"error": text} */
void api_error(const char *text, struct text *out);

#endif
