/* SPDX-License-Identifier: GPL-2.0-only */
/* What each path answers. */
#include "export/answers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <time.h>

#include "export/api.h"
#include "export/divergence_list.h"
#include "export/listener_table.h"
#include "export/metrics.h"
#include "export/negotiate.h"
#include "export/page.h"
#include "export/story.h"
#include "util.h"

#define CONTENT_PLAIN "text/plain; charset=utf-8"
#define CONTENT_HTML "text/html; charset=utf-8"
#define CONTENT_JSON "application/json"
#define CONTENT_LINES "application/x-ndjson"

enum status {
	STATUS_OK = 200,
	STATUS_BAD_REQUEST = 400,
	STATUS_FORBIDDEN = 403,
	STATUS_NOT_FOUND = 404,
	STATUS_INTERNAL = 500,
	STATUS_UNAVAILABLE = 503,
};

/* The page is there whatever else is going on. */
#define PAGE_PATIENCE_MS 200u

/* What one answer to `explain` holds at most; the newest. */
#define EXPLAIN_LIVES_MAX 16
#define EXPLAIN_LISTED_MAX 256
#define EXPLAIN_ENTRIES_MAX 4096

/* ---- letters: each is freed by its release(), by whichever thread has it last ---- */

struct snapshot_letter {
	struct export_ops ops;
	struct export_view *view;
};

struct list_letter {
	struct export_ops ops;
	struct api_instant at;
	size_t cursor, max, count;
	struct connection_report *reports; /* room for max */
};

struct divergences_letter {
	struct export_ops ops;
	struct ledger_query query;
	struct divergence_list list;
};

struct explain_letter {
	struct export_ops ops;
	uint64_t wall_ns, wall_offset_ns;
	struct tuple tuple;
	struct history_answer answer;
	struct history_stats kept;
	int err;
};

struct health_letter {
	struct export_ops ops;
	struct export_health health;
};

static void run_snapshot(void *request)
{
	struct snapshot_letter *letter = request;

	letter->view->mono_ns = clock_read(CLOCK_MONOTONIC);
	letter->view->wall_ns = clock_read(CLOCK_REALTIME);
	letter->ops.snapshot(letter->ops.context, letter->view);
}

static void release_snapshot(void *request)
{
	struct snapshot_letter *letter = request;

	view_free(letter->view);
	free(letter);
}

static void take_report(void *context, const struct connection_report *report)
{
	struct list_letter *letter = context;

	if (letter->count < letter->max)
		letter->reports[letter->count++] = *report;
}

static void run_list(void *request)
{
	struct list_letter *letter = request;

	letter->at.mono_ns = clock_read(CLOCK_MONOTONIC);
	letter->at.wall_ns = clock_read(CLOCK_REALTIME);
	letter->ops.list(letter->ops.context, &letter->cursor, letter->max, take_report, letter);
}

static void release_list(void *request)
{
	struct list_letter *letter = request;

	free(letter->reports);
	free(letter);
}

static void run_divergences(void *request)
{
	struct divergences_letter *letter = request;
	struct divergence_list *list = &letter->list;

	list->mono_ns = clock_read(CLOCK_MONOTONIC);
	list->count = letter->ops.divergences(letter->ops.context, &letter->query, list->rows,
					      LEDGER_ROWS_MAX, &list->counts,
					      &list->wall_offset_ns);
}

static void release_divergences(void *request)
{
	struct divergences_letter *letter = request;

	free(letter->list.rows);
	free(letter);
}

static void run_explain(void *request)
{
	struct explain_letter *letter = request;
	const struct history_limits limits = {
		.lives = letter->tuple.is_half ? EXPLAIN_LISTED_MAX : EXPLAIN_LIVES_MAX,
		.entries = EXPLAIN_ENTRIES_MAX,
	};

	letter->wall_ns = clock_read(CLOCK_REALTIME);
	letter->err = letter->ops.explain(letter->ops.context, &letter->tuple, &limits,
					  &letter->answer, &letter->kept, &letter->wall_offset_ns);
}

static void release_explain(void *request)
{
	struct explain_letter *letter = request;

	history_answer_free(&letter->answer);
	free(letter);
}

static void run_health(void *request)
{
	struct health_letter *letter = request;

	letter->ops.health(letter->ops.context, &letter->health);
}

static int post(struct answers *answers, void (*run)(void *), void *letter, void (*release)(void *))
{
	return mailbox_call(answers->mailbox, run, letter, release, answers->settings.patience_ms);
}

/* ---- answers ---- */

static void answer_text(struct answer *answer, enum status status, const char *text)
{
	answer->status = status;
	answer->content_type = CONTENT_PLAIN;
	text_string(&answer->body, text);
}

static void answer_error(struct answer *answer, enum status status, const char *text)
{
	answer->status = status;
	answer->content_type = CONTENT_JSON;
	api_error(text, &answer->body);
}

static void answer_refused(struct answers *answers, struct answer *answer, const char *why)
{
	answers->refused++;
	answers->refused_ns = clock_read(CLOCK_MONOTONIC);
	answer_text(answer, STATUS_UNAVAILABLE, why);
}

static void answer_busy(struct answers *answers, struct answer *answer)
{
	answer_refused(answers, answer, "the data thread did not answer in time\n");
}

/* NULL: answered already. Else the caller releases it. */
static struct snapshot_letter *take_snapshot(struct answers *answers, size_t listeners_max,
					     bool labelled, struct answer *answer)
{
	uint64_t began_ns = clock_read(CLOCK_MONOTONIC);
	struct snapshot_letter *letter = calloc(1, sizeof(*letter));
	struct export_view *view;

	if (!letter || !(letter->view = view_new(listeners_max))) {
		free(letter);
		answer_text(answer, STATUS_INTERNAL, "out of memory\n");
		return NULL;
	}
	letter->view->labelled = labelled;
	letter->ops = answers->ops;
	if (post(answers, run_snapshot, letter, release_snapshot)) {
		answer_busy(answers, answer);
		return NULL;
	}
	view = letter->view;
	view_complete(view);
	view->build = &answers->settings.build;
	view->drop_reason = answers->ops.drop_reason;
	view->drop_reason_context = answers->ops.context;
	view->degraded.at_ns[DEGRADED_HTTP] = answers->refused_ns;
	view->http = (struct http_stats){ answers->requests, answers->refused, answers->forbidden,
					  answers->turned_away };
	/* Without /proc these stay 0, which is what can be said. */
	process_read(&view->process);
	view->collect_ns = clock_read(CLOCK_MONOTONIC) - began_ns;
	return letter;
}

static void answer_metrics(struct answers *answers, const struct question *question,
			   struct answer *answer)
{
	enum expose_format format = negotiate_format(question->accept);
	struct snapshot_letter *letter =
		take_snapshot(answers, answers->settings.listeners_max, true, answer);

	if (!letter)
		return;
	answer->content_type = expose_content_type(format);
	metrics_render(letter->view, format, &answer->body);
	release_snapshot(letter);
}

/* -ENOMEM, or -ETIMEDOUT: the data thread did not answer. */
static int ask_health(struct answers *answers, unsigned int patience_ms, struct export_health *ret)
{
	struct health_letter *letter = calloc(1, sizeof(*letter));

	if (!letter)
		return -ENOMEM;
	letter->ops = answers->ops;
	if (mailbox_call(answers->mailbox, run_health, letter, free, patience_ms))
		return -ETIMEDOUT;
	*ret = letter->health;
	free(letter);
	return 0;
}

static void answer_page(struct answers *answers, const struct question *question,
			struct answer *answer)
{
	const unsigned int patience_ms = answers->settings.patience_ms;
	struct export_health health;
	int err = ask_health(answers, MIN(patience_ms, PAGE_PATIENCE_MS), &health);

	(void)question;
	answer->content_type = CONTENT_HTML;
	page_render(&answers->settings.build, answers->settings.telemetry_path,
		    err ? NULL : &health, &answer->body);
}

/* Healthy: the data loop turns. Ready: it has something to show, too. */
static bool is_healthy(struct answers *answers, struct answer *answer, struct export_health *ret)
{
	int err = ask_health(answers, answers->settings.patience_ms, ret);

	if (err == -ENOMEM)
		answer_text(answer, STATUS_INTERNAL, "out of memory\n");
	else if (err)
		answer_busy(answers, answer);
	return !err;
}

static void answer_healthy(struct answers *answers, const struct question *question,
			   struct answer *answer)
{
	struct export_health health;

	(void)question;
	if (is_healthy(answers, answer, &health))
		answer_text(answer, STATUS_OK, "healthy\n");
}

static void answer_ready(struct answers *answers, const struct question *question,
			 struct answer *answer)
{
	struct export_health health;

	(void)question;
	if (!is_healthy(answers, answer, &health))
		return;
	if (health.ready)
		answer_text(answer, STATUS_OK, "ready\n");
	else
		answer_text(answer, STATUS_UNAVAILABLE, "not ready: still attaching\n");
	health.degraded.at_ns[DEGRADED_HTTP] = answers->refused_ns;
	degraded_lines(&health.degraded, clock_read(CLOCK_MONOTONIC), &answer->body);
}

static void answer_status(struct answers *answers, const struct question *question,
			  struct answer *answer)
{
	struct snapshot_letter *letter = take_snapshot(answers, 0, false, answer);

	(void)question;
	if (!letter)
		return;
	api_status(letter->view, &answer->body);
	release_snapshot(letter);
}

static void answer_listeners(struct answers *answers, const struct question *question,
			     struct answer *answer)
{
	const char *details = question->divergences.details;
	bool table = question->format && !strcmp(question->format, "table");
	uint64_t limit = API_LIMIT_DEFAULT;
	struct snapshot_letter *letter;
	enum listener_order order;

	if (negotiate_number(question->limit, API_LIMIT_MAX, &limit)) {
		answer_error(answer, STATUS_BAD_REQUEST, "limit: a number up to 10000");
		return;
	}
	if (question->format && !table && strcmp(question->format, "json")) {
		answer_error(answer, STATUS_BAD_REQUEST, "format: json or table");
		return;
	}
	if (!listener_order_parse(question->sort, &order)) {
		answer_error(answer, STATUS_BAD_REQUEST,
			     "sort: syns, drops, fill, syn, accept or listener");
		return;
	}
	letter = take_snapshot(answers, limit, false, answer);
	if (!letter)
		return;
	if (table) {
		answer->content_type = CONTENT_PLAIN;
		listener_table(letter->view, order, details && !strcmp(details, "1"),
			       &answer->body);
	} else {
		api_listeners(letter->view, &answer->body);
	}
	release_snapshot(letter);
}

static void answer_connections(struct answers *answers, const struct question *question,
			       struct answer *answer)
{
	uint64_t limit = API_LIMIT_DEFAULT, cursor = 0;
	struct list_letter *letter;

	if (negotiate_number(question->limit, API_LIMIT_MAX, &limit) || !limit) {
		answer_error(answer, STATUS_BAD_REQUEST, "limit: a number from 1 to 10000");
		return;
	}
	if (negotiate_number(question->cursor, SIZE_MAX, &cursor)) {
		answer_error(answer, STATUS_BAD_REQUEST, "cursor: the next_cursor of an answer");
		return;
	}
	letter = calloc(1, sizeof(*letter));
	if (!letter || !(letter->reports = calloc(limit, sizeof(*letter->reports)))) {
		free(letter);
		answer_error(answer, STATUS_INTERNAL, "out of memory");
		return;
	}
	letter->ops = answers->ops;
	letter->cursor = cursor;
	letter->max = limit;
	if (post(answers, run_list, letter, release_list)) {
		answer_busy(answers, answer);
		return;
	}
	api_connections(&letter->at, letter->reports, letter->count, letter->cursor, &answer->body);
	release_list(letter);
}

static void answer_divergences(struct answers *answers, const struct question *question,
			       struct answer *answer)
{
	struct divergence_question wanted;
	const char *error = divergence_question_parse(&question->divergences, &wanted);
	struct divergences_letter *letter;

	if (error) {
		answer_error(answer, STATUS_BAD_REQUEST, error);
		return;
	}
	letter = calloc(1, sizeof(*letter));
	if (!letter || !(letter->list.rows = calloc(LEDGER_ROWS_MAX, sizeof(*letter->list.rows)))) {
		free(letter);
		answer_error(answer, STATUS_INTERNAL, "out of memory");
		return;
	}
	letter->ops = answers->ops;
	letter->query = wanted.query;
	if (post(answers, run_divergences, letter, release_divergences)) {
		answer_busy(answers, answer);
		return;
	}
	if (wanted.format == DIVERGENCES_TABLE || wanted.format == DIVERGENCES_COLOUR)
		answer->content_type = CONTENT_PLAIN;
	else if (wanted.format == DIVERGENCES_LINES)
		answer->content_type = CONTENT_LINES;
	divergence_list_render(&wanted, &letter->list, &answer->body);
	release_divergences(letter);
}

static void say_unknown(const struct explain_letter *letter, bool as_json, struct answer *answer)
{
	char text[320], tuple[TUPLE_TEXT_MAX];

	if (letter->kept.limit)
		snprintf(text, sizeof(text),
			 "nothing is known of %s: no such connection, or it is older than the %llu "
			 "events that are kept (--history.events)",
			 tuple_format(&letter->tuple, tuple),
			 (unsigned long long)letter->kept.limit);
	else
		snprintf(text, sizeof(text), "no history is kept: --history.events is 0");
	if (as_json)
		answer_error(answer, STATUS_NOT_FOUND, text);
	else
		answer_text(answer, STATUS_NOT_FOUND, text);
}

static void answer_story(const struct explain_letter *letter, const char *format,
			 struct answer *answer)
{
	const struct explanation explanation = {
		.tuple = &letter->tuple,
		.answer = &letter->answer,
		.kept = letter->kept,
		.wall_ns = letter->wall_ns,
		.wall_offset_ns = letter->wall_offset_ns,
	};

	if (!strcmp(format, "json")) {
		explain_json(&explanation, &answer->body);
		return;
	}
	answer->content_type = CONTENT_PLAIN;
	explain_table(&explanation, !strcmp(format, "color"), &answer->body);
}

static void answer_explain(struct answers *answers, const struct question *question,
			   struct answer *answer)
{
	const char *format = question->format ? question->format : "json";
	struct explain_letter *letter;
	struct tuple tuple;

	if (!question->tuple || tuple_parse(question->tuple, &tuple)) {
		answer_error(answer, STATUS_BAD_REQUEST, "tuple: " TUPLE_WANTED);
		return;
	}
	if (strcmp(format, "json") && strcmp(format, "table") && strcmp(format, "color")) {
		answer_error(answer, STATUS_BAD_REQUEST, "format: json, table or color");
		return;
	}
	letter = calloc(1, sizeof(*letter));
	if (!letter) {
		answer_error(answer, STATUS_INTERNAL, "out of memory");
		return;
	}
	letter->ops = answers->ops;
	letter->tuple = tuple;
	if (post(answers, run_explain, letter, release_explain)) {
		answer_busy(answers, answer);
		return;
	}
	if (letter->err)
		answer_error(answer, STATUS_INTERNAL, "out of memory");
	else if (letter->answer.nr_lives)
		answer_story(letter, format, answer);
	else
		say_unknown(letter, !strcmp(format, "json"), answer);
	release_explain(letter);
}

/* ---- which path is what ---- */

enum route_kind {
	ROUTE_PUBLIC,  /* answered whatever else is going on */
	ROUTE_COSTLY,  /* counts against --web.max-requests */
	ROUTE_PRIVATE, /* costly, and names peers */
};

struct route {
	const char *path;
	enum route_kind kind;
	void (*answer)(struct answers *answers, const struct question *question,
		       struct answer *answer);
};

static const struct route metrics_route = { NULL, ROUTE_COSTLY, answer_metrics };

static const struct route routes[] = {
	{ "/", ROUTE_PUBLIC, answer_page },
	{ "/-/healthy", ROUTE_PUBLIC, answer_healthy },
	{ "/-/ready", ROUTE_PUBLIC, answer_ready },
	{ "/api/v1/status", ROUTE_PRIVATE, answer_status },
	{ "/api/v1/connections", ROUTE_PRIVATE, answer_connections },
	{ "/api/v1/listeners", ROUTE_PRIVATE, answer_listeners },
	{ "/api/v1/divergences", ROUTE_PRIVATE, answer_divergences },
	{ "/api/v1/explain", ROUTE_PRIVATE, answer_explain },
};

static const struct route *find_route(const struct answers *answers, const char *path)
{
	if (!strcmp(path, answers->settings.telemetry_path))
		return &metrics_route;
	for (size_t i = 0; i < ARRAY_SIZE(routes); i++)
		if (!strcmp(path, routes[i].path))
			return &routes[i];
	return NULL;
}

static bool may_see_peers(const struct question *question)
{
	return question->is_unix || (question->is_loopback && !question->is_forwarded &&
				     negotiate_is_local_host(question->host, question->port));
}

static bool has_room(struct answers *answers)
{
	uint32_t before = atomic_fetch_add(&answers->in_flight, 1);

	if (!answers->settings.max_requests || before < answers->settings.max_requests)
		return true;
	atomic_fetch_sub(&answers->in_flight, 1);
	return false;
}

void answers_done(struct answers *answers)
{
	atomic_fetch_sub(&answers->in_flight, 1);
}

void answer_question(struct answers *answers, const struct question *question, struct answer *ret)
{
	const struct route *route = find_route(answers, question->path);

	*ret = (struct answer){ .status = STATUS_OK, .content_type = CONTENT_JSON };
	answers->requests++;
	if (!route) {
		answer_text(ret, STATUS_NOT_FOUND, "not found\n");
		return;
	}
	ret->is_private = route->kind == ROUTE_PRIVATE;
	if (ret->is_private && !may_see_peers(question)) {
		answers->forbidden++;
		answer_error(ret, STATUS_FORBIDDEN,
			     "connections are shown to this host only: use the Unix socket, "
			     "or http://localhost");
		return;
	}
	if (route->kind != ROUTE_PUBLIC) {
		if (!has_room(answers)) {
			answer_refused(answers, ret, "too many requests at once\n");
			return;
		}
		ret->is_counted = true;
	}
	route->answer(answers, question, ret);
	if (ret->body.failed) {
		text_free(&ret->body);
		answer_text(ret, STATUS_INTERNAL, "out of memory\n");
	}
}
