/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: a connection's life as a table
 *
 * What `explain` shows, from the entries that the tracker told (track/entry.h): one line each, in
 * the manner of RFC 9293's figures. The client stands at the left and the server at the right,
 * whichever of them is local; with the roles unknown the local end is left. Between them the
 * segment as an arrow, sequence numbers relative to the first of their end; beside them the state
 * of the local kernel's socket, and a remark where anything is out of the ordinary: the rule with
 * its section, or what a divergence means. States are those after the line. Runs of ordinary
 * segments that move nothing are drawn together. The same as JSON, one object a line, with all
 * lines. Pure.
 */
#ifndef TCPWITNESS_STORY_H
#define TCPWITNESS_STORY_H

#include <stdbool.h>
#include <stdint.h>

#include "export/text.h"
#include "track/history.h"

/* What a question about a tuple found, and where. */
struct explanation {
	const struct tuple *tuple;
	const struct history_answer *answer;
	struct history_stats kept;
	uint64_t wall_ns;	 /* of the answer */
	uint64_t wall_offset_ns; /* CLOCK_REALTIME - the entries' clock */
};

/* A table for each connection on a whole tuple, a list of connections for a half one. Lines are
 * about 120 columns wide. */
void explain_table(const struct explanation *explanation, bool colour, struct text *out);

/*
 * {"schema", "time", "tuple", "history": {"entries", "limit", "overwritten"}, "more",
 * "connections": [{"local", "remote", "netns", "role", "began", "ended", "how", "complete",
 * "entries": […]}]}. Without "entries" for a half tuple.
 */
void explain_json(const struct explanation *explanation, struct text *out);

#endif
