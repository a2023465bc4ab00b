/* SPDX-License-Identifier: GPL-2.0-only */
/* The ledger: what is open, what is over, what there was no room for, and what is asked of it. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "export/divergence_query.h"
#include "export/ledger.h"
#include "unit/fake_view.h"

#define EVERY_KIND UINT32_MAX

static struct divergence_row *rows;

static int setup(void **state)
{
	*state = ledger_new();
	rows = calloc(LEDGER_ROWS_MAX, sizeof(*rows));
	return !*state || !rows;
}

static int teardown(void **state)
{
	ledger_free(*state);
	free(rows);
	return 0;
}

static void take(struct ledger *ledger, enum track_event_type type, uint64_t id,
		 enum divergence_kind kind)
{
	const struct connection_report report = fake_report();
	struct track_event event = fake_event(type, &report);

	event.id = id;
	event.kind = kind;
	ledger_take(ledger, &event, NULL);
}

static size_t list(const struct ledger *ledger, bool open, bool closed, uint32_t kinds,
		   uint64_t since)
{
	const struct ledger_query query = { open, closed, kinds, since };

	return ledger_list(ledger, &query, rows, LEDGER_ROWS_MAX);
}

static void test_life(void **state)
{
	struct ledger *ledger = *state;
	struct ledger_counts counts;

	fake_ledger(ledger);
	assert_int_equal(list(ledger, true, false, EVERY_KIND, 0), 1);
	assert_int_equal(rows[0].id, 7);
	assert_int_equal(rows[0].closed.change, 0);
	assert_string_equal(rows[0].listener.comm, "nginx");
	assert_int_equal(ledger_lasted_ns(&rows[0], FAKE_MONO_NS + 1), 1250000001);

	assert_int_equal(list(ledger, false, true, EVERY_KIND, 0), 2);
	/* problems come last: they are another shelf */
	assert_int_equal(rows[0].id, 9);
	assert_int_equal(rows[0].explains, 8);
	assert_int_equal(rows[0].explained_as, DIVERGENCE_NR);
	assert_int_equal(ledger_lasted_ns(&rows[0], 0), 1750000000);
	assert_int_equal(rows[1].id, 8);
	assert_int_equal(rows[1].explained_as, DIVERGENCE_FIN_STALLED);
	assert_false(rows[1].has_listener);

	assert_int_equal(list(ledger, true, true, EVERY_KIND, 0), 3);
	assert_int_equal(list(ledger, true, true, 1u << DIVERGENCE_FIN_QUEUED, 0), 1);
	assert_int_equal(list(ledger, false, false, EVERY_KIND, 0), 0);
	/* five changes: 7 opens, 8 opens, closes, 9 opens, closes */
	assert_int_equal(list(ledger, true, true, EVERY_KIND, 1), 2);
	assert_int_equal(list(ledger, true, true, EVERY_KIND, 3), 1);
	assert_int_equal(list(ledger, true, true, EVERY_KIND, 4), 1);
	assert_int_equal(list(ledger, true, true, EVERY_KIND, 5), 0);
	/* a number of an earlier run of the daemon */
	assert_int_equal(list(ledger, true, true, EVERY_KIND, 6), 3);

	counts = ledger_counts(ledger);
	assert_int_equal(counts.open[SEVERITY_CRITICAL], 1);
	assert_int_equal(counts.open[SEVERITY_WARNING], 0);
	assert_int_equal(counts.open[SEVERITY_INFO], 0);
	assert_int_equal(counts.open_not_kept, 0);
	assert_int_equal(counts.closed_kept, 2);
	assert_int_equal(counts.closed_forgotten, 0);
	assert_int_equal(counts.last_change, 5);
}

static void test_events_come_back(void **state)
{
	struct ledger *ledger = *state;
	struct track_event event;

	fake_ledger(ledger);
	assert_int_equal(list(ledger, false, true, 1u << DIVERGENCE_FIN_STALLED, 0), 1);
	event = ledger_event(&rows[0], false);
	assert_int_equal(event.type, TRACK_DIVERGENCE_OPEN);
	assert_int_equal(event.id, 9);
	assert_int_equal(event.explains, 8);
	assert_int_equal(event.ts_ns, FAKE_MONO_NS);
	event = ledger_event(&rows[0], true);
	assert_int_equal(event.type, TRACK_DIVERGENCE_CLOSE);
	assert_int_equal(event.ts_ns, FAKE_MONO_NS + 500000000);
	assert_ptr_equal(event.connection, &rows[0].closed.connection);
}

/* A flood of expected ones: the newest closed are kept, and no problem makes room for them. */
static void test_flood(void **state)
{
	struct ledger *ledger = *state;
	const uint64_t flood = 3 * LEDGER_CLOSED_MAX;
	struct ledger_counts counts;

	take(ledger, TRACK_DIVERGENCE_OPEN, 1, DIVERGENCE_SYN_DROPPED);
	take(ledger, TRACK_DIVERGENCE_CLOSE, 1, DIVERGENCE_SYN_DROPPED);
	for (uint64_t id = 2; id < 2 + flood; id++) {
		take(ledger, TRACK_DIVERGENCE_OPEN, id, DIVERGENCE_COOKIE_STATELESS);
		take(ledger, TRACK_DIVERGENCE_CLOSE, id, DIVERGENCE_COOKIE_STATELESS);
	}
	counts = ledger_counts(ledger);
	assert_int_equal(counts.closed_kept, LEDGER_CLOSED_MAX + 1);
	assert_int_equal(counts.closed_forgotten, flood - LEDGER_CLOSED_MAX);
	assert_int_equal(list(ledger, true, true, EVERY_KIND, 0), LEDGER_CLOSED_MAX + 1);
	assert_int_equal(rows[0].id, 1);
	for (size_t i = 1; i <= LEDGER_CLOSED_MAX; i++)
		assert_true(rows[i].id >= 2 + flood - LEDGER_CLOSED_MAX);
}

/* More open ones than there is room for are counted, and so are their ends. */
static void test_many_open(void **state)
{
	struct ledger *ledger = *state;
	const uint64_t many = 2 * LEDGER_OPEN_MAX;
	struct ledger_counts counts;

	for (uint64_t id = 1; id <= many; id++)
		take(ledger, TRACK_DIVERGENCE_OPEN, id, DIVERGENCE_SYN_DROPPED);
	counts = ledger_counts(ledger);
	assert_int_equal(counts.open[SEVERITY_CRITICAL], many);
	assert_int_equal(counts.open_not_kept, many - LEDGER_OPEN_MAX);
	assert_int_equal(list(ledger, true, true, EVERY_KIND, 0), LEDGER_OPEN_MAX);
	for (uint64_t id = many; id; id--)
		take(ledger, TRACK_DIVERGENCE_CLOSE, id, DIVERGENCE_SYN_DROPPED);
	counts = ledger_counts(ledger);
	assert_int_equal(counts.open[SEVERITY_CRITICAL], 0);
	assert_int_equal(counts.open_not_kept, 0);
	assert_int_equal(counts.closed_kept, LEDGER_CLOSED_MAX);
	assert_int_equal(counts.closed_forgotten, many - LEDGER_CLOSED_MAX);
	assert_int_equal(list(ledger, true, false, EVERY_KIND, 0), 0);
	assert_int_equal(list(ledger, false, true, EVERY_KIND, 0), LEDGER_CLOSED_MAX);
}

static void test_other_events_are_no_concern(void **state)
{
	take(*state, TRACK_CONNECTION, 0, 0);
	assert_int_equal(ledger_counts(*state).last_change, 0);
}

/* ---- questions ---- */

static uint32_t bits_of(enum divergence_class class)
{
	uint32_t bits = 0;

	for (int kind = 0; kind < DIVERGENCE_NR; kind++)
		bits |= (uint32_t)(divergence_class((enum divergence_kind)kind) == class) << kind;
	return bits;
}

static struct divergence_question parsed(struct divergence_arguments arguments)
{
	struct divergence_question question;

	assert_null(divergence_question_parse(&arguments, &question));
	return question;
}

static void test_questions(void **state)
{
	const uint32_t known = bits_of(CLASS_PROBLEM) | bits_of(CLASS_EXPECTED);
	struct divergence_question question = parsed((struct divergence_arguments){ 0 });

	(void)state;
	assert_true(question.query.open);
	assert_false(question.query.closed);
	assert_int_equal(question.query.kinds & known, known);
	assert_int_equal(question.query.since, 0);
	assert_int_equal(question.limit, 1000);
	assert_int_equal(question.format, DIVERGENCES_JSON);
	assert_false(question.details || question.no_details);

	question = parsed((struct divergence_arguments){ .state = "all",
							 .class = "expected",
							 .since = "18446744073709551615",
							 .limit = "10000",
							 .format = "lines",
							 .details = "0" });
	assert_true(question.query.open && question.query.closed);
	assert_int_equal(question.query.kinds & known, bits_of(CLASS_EXPECTED));
	assert_true(question.query.since == UINT64_MAX);
	assert_int_equal(question.limit, 10000);
	assert_int_equal(question.format, DIVERGENCES_LINES);
	assert_true(question.no_details);

	question = parsed((struct divergence_arguments){
		.state = "closed", .kind = "syn_dropped", .details = "1" });
	assert_true(question.query.closed && !question.query.open);
	assert_int_equal(question.query.kinds & known, 1u << DIVERGENCE_SYN_DROPPED);
	assert_true(question.details);
	/* a kind of the other class: nothing is both */
	question =
		parsed((struct divergence_arguments){ .kind = "syn_dropped", .class = "expected" });
	assert_int_equal(question.query.kinds & known, 0);
}

static void test_bad_questions(void **state)
{
	static const struct {
		struct divergence_arguments arguments;
		const char *about;
	} bad[] = {
		{ { .state = "shut" }, "state:" },	  { { .state = "" }, "state:" },
		{ { .kind = "problem" }, "kind:" },	  { { .kind = "" }, "kind:" },
		{ { .class = "syn_dropped" }, "class:" }, { { .since = "-1" }, "since:" },
		{ { .limit = "0" }, "limit:" },		  { { .limit = "10001" }, "limit:" },
		{ { .format = "xml" }, "format:" },	  { { .details = "2" }, "details:" },
	};
	struct divergence_question question = { .limit = 4711 };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *error = divergence_question_parse(&bad[i].arguments, &question);

		assert_non_null(error);
		assert_int_equal(strncmp(error, bad[i].about, strlen(bad[i].about)), 0);
		assert_int_equal(question.limit, 4711);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_life),
		TEST(test_events_come_back),
		TEST(test_flood),
		TEST(test_many_open),
		TEST(test_other_events_are_no_concern),
		cmocka_unit_test(test_questions),
		cmocka_unit_test(test_bad_questions),
	};
#undef TEST

	return cmocka_run_group_tests(tests, NULL, NULL);
}
