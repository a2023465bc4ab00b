/* SPDX-License-Identifier: GPL-2.0-only */
/* The list of divergences as JSON, as the event log's lines, as a table: their exact text. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "export/divergence_list.h"
#include "export/names.h"
#include "unit/fake_view.h"

/* What is answered at FAKE_MONO_NS + 2 s about fake_ledger(). The caller frees it. */
static char *answer(struct divergence_arguments arguments)
{
	struct divergence_list list = { .mono_ns = FAKE_MONO_NS + 2000000000,
					.wall_offset_ns = FAKE_WALL_NS - FAKE_MONO_NS };
	struct divergence_question question;
	struct ledger *ledger = ledger_new();
	struct text out = { 0 };

	assert_non_null(ledger);
	fake_ledger(ledger);
	assert_null(divergence_question_parse(&arguments, &question));
	list.rows = calloc(LEDGER_ROWS_MAX, sizeof(*list.rows));
	assert_non_null(list.rows);
	list.count = ledger_list(ledger, &question.query, list.rows, LEDGER_ROWS_MAX);
	list.counts = ledger_counts(ledger);
	divergence_list_render(&question, &list, &out);
	assert_false(out.failed);
	text_char(&out, '\0');
	free(list.rows);
	ledger_free(ledger);
	return out.data;
}

static void assert_answer(struct divergence_arguments arguments, const char *expected)
{
	char *got = answer(arguments);

	assert_string_equal(got, expected);
	free(got);
}

/* `script` gets it as `a`: what does not hold fails. */
static void assert_json(struct divergence_arguments arguments, const char *script)
{
	char command[1024], *got = answer(arguments);
	const struct text out = { .data = got, .length = strlen(got) };

	snprintf(command, sizeof(command),
		 "python3 -c 'import json,sys; t=sys.stdin.read(); "
		 "a=[json.loads(l) for l in t.splitlines()]; assert %s, t'",
		 script);
	assert_int_equal(run_checker(command, &out), 0);
	free(got);
}

static void test_json(void **state)
{
	(void)state;
	assert_json((struct divergence_arguments){ 0 },
		    "len(a) == 1 and a[0][\"total\"] == 1 and "
		    "a[0][\"open\"] == {\"critical\": 1, \"warning\": 0, \"info\": 0} and "
		    "[d[\"id\"] for d in a[0][\"divergences\"]] == [7] and "
		    "a[0][\"divergences\"][0][\"duration_seconds\"] == 3.25 and "
		    "a[0][\"divergences\"][0][\"closed\"] is None and "
		    "a[0][\"divergences\"][0][\"owner\"][\"command\"] == \"nginx\"");
	assert_json((struct divergence_arguments){ .state = "all" },
		    "[d[\"id\"] for d in a[0][\"divergences\"]] == [7, 8, 9] and "
		    "a[0][\"divergences\"][1][\"explained_as\"] == \"fin_stalled\" and "
		    "a[0][\"divergences\"][1][\"owner\"] is None and "
		    "a[0][\"divergences\"][2][\"explains\"] == 8 and "
		    "a[0][\"divergences\"][2][\"duration_seconds\"] == 1.75 and "
		    "a[0][\"closed_kept\"] == 2 and a[0][\"closed_forgotten\"] == 0 and "
		    "a[0][\"last\"] == 5 and a[0][\"left_off\"] == 0");
	/* the newest are given */
	assert_json(
		(struct divergence_arguments){ .state = "all", .limit = "1" },
		"[d[\"id\"] for d in a[0][\"divergences\"]] == [9] and a[0][\"left_off\"] == 2");
}

static void test_lines(void **state)
{
	(void)state;
	assert_json((struct divergence_arguments){ .state = "all", .format = "lines" },
		    "[(l[\"event\"], l.get(\"id\")) for l in a] == "
		    "[(\"divergence_open\", 7), (\"divergence_open\", 8), "
		    "(\"divergence_close\", 8), (\"divergence_open\", 9), "
		    "(\"divergence_close\", 9), (\"last\", None)] and a[-1][\"last\"] == 5 and "
		    "all(l[\"schema\"] == 1 for l in a)");
	/* who follows gets what is new, and all of it */
	assert_json(
		(struct divergence_arguments){
			.state = "all", .format = "lines", .since = "2", .limit = "1" },
		"[(l[\"event\"], l.get(\"id\")) for l in a] == "
		"[(\"divergence_close\", 8), (\"divergence_open\", 9), "
		"(\"divergence_close\", 9), (\"last\", None)]");
	assert_json(
		(struct divergence_arguments){ .state = "all", .format = "lines", .since = "99" },
		"len(a) == 6");
	assert_answer((struct divergence_arguments){ .format = "lines", .since = "5" },
		      "{\"event\":\"last\",\"schema\":1,\"last\":5}\n");
}

#define HEADING                                                                                    \
	"id    since                     state  lasted    kind                   "                 \
	"class/severity    local               remote              wire|kernel               "     \
	"reason             listener"

#define ROW_7                                                                                      \
	"7     2025-12-31T23:59:58.873Z  open   3.250 s   accept_queue_overflow  "                 \
	"problem/critical  10.0.0.1:80         [fd00::9]:4711      ESTABLISHED|NEW_SYN_RECV  "     \
	"accept_queue_full  0.0.0.0:80 nginx[17]"

#define ROW_8                                                                                      \
	"8     2025-12-31T23:59:58.873Z  over   1.250 s   fin_queued             "                 \
	"expected/info     10.0.0.1:80         [fd00::9]:4711      ESTABLISHED|NEW_SYN_RECV  -\n"

#define ROW_9                                                                                      \
	"9     2025-12-31T23:59:58.873Z  over   1.750 s   fin_stalled            "                 \
	"problem/warning   10.0.0.1:80         [fd00::9]:4711      ESTABLISHED|NEW_SYN_RECV  "     \
	"-\n"

#define COUNTS "open now: 1 critical, 0 warning, 0 info; over: 2 kept, 0 forgotten; since=5\n"

static void test_table(void **state)
{
	(void)state;
	/* one only: what there is to say of it */
	assert_answer(
		(struct divergence_arguments){ .format = "table" }, HEADING
		"\n" ROW_7 "\n"
		"      means     the peer believes the connection is open; the accept queue had no "
		"room for it\n"
		"      look at   why the application does not accept(); listen() backlog and "
		"somaxconn\n"
		"      segment   received ACK, seq 1001, ack 5001, 12 octets (0.000 s after)\n"
		"      change    SYN_RECV to CLOSE, ETIMEDOUT, orphan (0.750 s before)\n"
		"      socket    NEW_SYN_RECV, accept queue 3 of 2, SYN queue 1, final ACK taken "
		"(1.250 s after)\n"
		"      dropped   TCP_LISTEN_OVERFLOW\n"
		"      seen      3 times\n" COUNTS);
	assert_answer((struct divergence_arguments){ .format = "table", .details = "0" },
		      HEADING "\n" ROW_7 "\n" COUNTS);
	assert_answer((struct divergence_arguments){ .format = "table", .state = "all" },
		      HEADING "\n" ROW_7 "\n" ROW_8 ROW_9 COUNTS);
	/* colour for what is open and bad */
	assert_answer((struct divergence_arguments){ .format = "color", .details = "0" },
		      "\033[1m" HEADING "\033[0m\n\033[1;31m" ROW_7 "\033[0m\n" COUNTS);
	/* more of the same has no heading */
	assert_answer(
		(struct divergence_arguments){
			.format = "table", .state = "all", .since = "4", .details = "0" },
		ROW_9 COUNTS);
	assert_answer((struct divergence_arguments){ .format = "table", .kind = "killed" }, COUNTS);
}

static void test_details_of_an_explanation(void **state)
{
	char *got = answer(
		(struct divergence_arguments){ .format = "table", .state = "all", .details = "1" });

	(void)state;
	assert_non_null(strstr(got, ROW_8 "      means     the socket was closed and its FIN "));
	assert_non_null(strstr(got, "      became    fin_stalled\n" ROW_9));
	assert_non_null(strstr(got, "      explains  8\n" COUNTS));
	free(got);
}

/* Another namespace is named; its own name, and a process's, cannot steer a terminal. */
static void test_another_namespace(void **state)
{
	struct connection_report report = fake_report();
	struct track_event event = fake_event(TRACK_DIVERGENCE_OPEN, &report);
	struct listener_owner owner = fake_owner();
	struct divergence_row row = { .id = 1, .has_listener = true };
	struct divergence_list list = { .rows = &row, .count = 1 };
	const struct divergence_question question = { .format = DIVERGENCES_TABLE,
						      .limit = 1,
						      .no_details = true };
	struct text out = { 0 };

	(void)state;
	strcpy(report.netns_name, "blu\033e");
	strcpy(owner.comm, "a\r\xff");
	row.listener = owner;
	row.opened = (struct divergence_moment){ 1, event.ts_ns, report, fake_evidence };
	divergence_list_render(&question, &list, &out);
	text_char(&out, '\0');
	assert_non_null(strstr(out.data, "  blu?e/10.0.0.1:80   [fd00::9]:4711 "));
	assert_non_null(strstr(out.data, "  0.0.0.0:80 a??[17]\n"));
	text_free(&out);
}

static void test_names(void **state)
{
	static const struct {
		uint64_t ns;
		const char *text;
	} durations[] = {
		{ 0, "0.000 s" },
		{ 987654321, "0.987 s" },
		{ 9999999999, "9.999 s" },
		{ 10000000000, "10.0 s" },
		{ 59999999999, "59.9 s" },
		{ 60000000000, "1 min 0 s" },
		{ 3599000000000, "59 min 59 s" },
		{ 3600000000000, "1 h 0 min" },
		{ 86400000000000 - 1, "23 h 59 min" },
		{ 4 * 86400000000000 + 5 * 3600000000000, "4 d 5 h" },
	};
	char duration[DURATION_TEXT_MAX], flags[TCP_FLAGS_TEXT_MAX], error[ERROR_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++)
		assert_string_equal(duration_text(durations[i].ns, duration), durations[i].text);
	assert_string_equal(duration_text(UINT64_MAX, duration), "213503 d 23 h");
	assert_string_equal(tcp_flags_text(0xff, flags), "SYN,FIN,RST,URG,ACK");
	assert_string_equal(tcp_flags_text(0, flags), "none");
	assert_string_equal(error_text(110, error), "ETIMEDOUT");
	assert_string_equal(error_text(65535, error), "errno 65535");
}

static void test_lists_of_words(void **state)
{
	char words[12] = "";

	(void)state;
	words_add(words, sizeof(words), ", ", "%s", "one");
	assert_string_equal(words, "one");
	words_add(words, sizeof(words), ", ", "%d", 2);
	assert_string_equal(words, "one, 2");
	words_add(words, sizeof(words), ", ", "%s", "three and more");
	assert_string_equal(words, "one, 2, thr");
	words_add(words, sizeof(words), ", ", "%s", "no room");
	assert_string_equal(words, "one, 2, thr");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_details_of_an_explanation),
		cmocka_unit_test(test_another_namespace),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_lists_of_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
