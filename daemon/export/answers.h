/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: export, the stage's face
 *
 * What each path answers, without a word of HTTP machinery (http.c has that). The data thread
 * owns all state; an answer starts with a letter to it (mailbox.h) that copies what is needed,
 * and is rendered from the copy in the HTTP thread, so that neither a slow client nor a large
 * page holds the rings up. When the data thread does not answer in time the client gets 503, and
 * the copy, whoever finishes it, is freed by whoever sees it last.
 *
 * Who may see what: metrics, health and the page hold no address of a peer and are for everybody;
 * /api/v1/ is for the Unix socket, and for loopback clients that no proxy speaks for and whose Host
 * header names this machine as only this machine would (against DNS rebinding). Everybody else
 * gets 403.
 */
#ifndef TCPWITNESS_ANSWERS_H
#define TCPWITNESS_ANSWERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "export/divergence_query.h"
#include "export/mailbox.h"
#include "export/view.h"
#include "track/history.h"

/* What the data thread can be asked. All but drop_reason are called in that thread. */
struct export_ops {
	void *context;
	/* Fills what view.h says the data thread fills, except for the clocks. */
	void (*snapshot)(void *context, struct export_view *view);
	/* tracker_list */
	size_t (*list)(void *context, size_t *cursor, size_t max,
		       void (*each)(void *each_context, const struct connection_report *report),
		       void *each_context);
	/* ledger_list, ledger_counts, and the wall clock's offset from the rows'. */
	size_t (*divergences)(void *context, const struct ledger_query *query,
			      struct divergence_row *rows, size_t max,
			      struct ledger_counts *ret_counts, uint64_t *ret_wall_offset_ns);
	/* history_ask, and the wall clock's offset from the entries'. 0 or -ENOMEM. */
	int (*explain)(void *context, const struct tuple *tuple,
		       const struct history_limits *limits, struct history_answer *ret_answer,
		       struct history_stats *ret_kept, uint64_t *ret_wall_offset_ns);
	/* Cheap: everybody may ask. */
	void (*health)(void *context, struct export_health *ret);
	/* Name of a kernel drop reason or NULL; in any thread, from a table that never changes. */
	const char *(*drop_reason)(void *context, uint32_t reason);
};

struct answers_settings {
	const char *telemetry_path;
	uint32_t listeners_max;	  /* listeners that have a label of their own */
	uint32_t max_requests;	  /* at once; 0 = no limit */
	unsigned int patience_ms; /* how long to wait for the data thread */
	struct build_facts build;
};

/* One for all HTTP threads; the counters are shared by them. */
struct answers {
	struct answers_settings settings;
	struct export_ops ops;
	struct mailbox *mailbox;
	_Atomic uint64_t requests, refused, forbidden;
	_Atomic uint64_t turned_away; /* connections */
	_Atomic uint64_t refused_ns;  /* CLOCK_MONOTONIC, the last one; 0: none */
	_Atomic uint32_t in_flight;
};

/* A request, as far as any answer depends on it. Headers and arguments may be NULL. */
struct question {
	const char *path;
	const char *accept, *host;
	const char *limit, *cursor; /* of the query */
	const char *tuple, *format, *sort;
	struct divergence_arguments divergences; /* limit and format as above */
	bool is_unix;				 /* came by the Unix socket */
	bool is_loopback;			 /* the peer's address is this machine's */
	bool is_forwarded;			 /* a proxy says that it asks for somebody else */
	uint16_t port;				 /* it came to */
};

struct answer {
	unsigned int status;
	const char *content_type;
	struct text body; /* the caller's to free */
	bool is_private;  /* not for caches */
	bool is_counted;  /* among in_flight: answers_done() when it has been sent */
};

void answer_question(struct answers *answers, const struct question *question, struct answer *ret);

/* A counted answer has left, or its client has. */
void answers_done(struct answers *answers);

#endif
