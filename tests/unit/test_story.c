/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tables of a connection's life (open, close by either side, simultaneous, reset) as
 * `explain` draws them, from records through the real tracker, compared with tests/unit/stories/.
 * STORY_UPDATE=1 writes those files anew: read the difference before it is kept.
 */
#include "unit/track_records.h"

#include <stdio.h>
#include <stdlib.h>

#include "export/rules.h"
#include "export/story.h"
#include "track/history.h"
#include "unit/fake_view.h"

#define WALL_OFFSET_NS (1767225600ull * NS_PER_SEC) /* 2026-01-01 */

static struct history *history;

static void keep(void *context, const struct conn_key *key, const struct track_entry *entry)
{
	(void)context;
	(void)key;
	history_add(history, entry);
}

static void start(struct bench *bench, bool client)
{
	const struct tracker_settings settings = {
		.flows_max = 1024,
		.settle_ns = 250 * NS_PER_MS,
		.time_wait_ns = 60 * NS_PER_SEC,
	};
	const struct tracker_ops ops = {
		.context = bench,
		.look = bench_look,
		.event = bench_event,
		.drop_reason = bench_drop_reason,
		.told = keep,
	};

	bench_start(bench, 1024);
	tracker_free(bench->tracker);
	bench->tracker = tracker_new(&settings, &ops);
	assert_non_null(bench->tracker);
	tracker_advance(bench->tracker, bench->now_ns);
	if (client) {
		bench->local_port = 50000;
		bench->remote_port = 443;
	}
	history = history_new(4096);
	assert_non_null(history);
}

static void stop(struct bench *bench)
{
	bench_stop(bench);
	history_free(history);
}

static void ask(const char *text, bool json, bool colour, struct text *out)
{
	const struct history_limits limits = { .lives = 16, .entries = 4096 };
	struct history_answer answer;
	struct tuple tuple;
	const struct explanation explanation = {
		.tuple = &tuple,
		.answer = &answer,
		.kept = history_stats(history),
		.wall_ns = WALL_OFFSET_NS,
		.wall_offset_ns = WALL_OFFSET_NS,
	};

	assert_int_equal(tuple_parse(text, &tuple), 0);
	assert_int_equal(history_ask(history, &tuple, &limits, NULL, 0, &answer), 0);
	if (json)
		explain_json(&explanation, out);
	else
		explain_table(&explanation, colour, out);
	history_answer_free(&answer);
	assert_false(out->failed);
	text_char(out, '\0');
}

static const char *tuple_text(const struct bench *bench)
{
	return bench->local_port == 443 ? "10.0.0.1:443-10.0.0.2:50000" :
					  "10.0.0.2:443-10.0.0.1:50000";
}

static char *read_file(const char *path)
{
	char *text = calloc(1, 1 << 16);
	FILE *file = fopen(path, "r");

	assert_non_null(text);
	if (file) {
		assert_true(fread(text, 1, (1 << 16) - 1, file) > 0);
		fclose(file);
	}
	return text;
}

/* No line is longer than a wide terminal, none ends in spaces. */
static void check_lines(const char *text)
{
	size_t width = 0;

	for (const char *c = text; *c; c++) {
		if (*c == '\n') {
			assert_true(width <= 120);
			assert_true(c == text || c[-1] != ' ');
			width = 0;
		} else {
			width += ((unsigned char)*c & 0xC0) != 0x80;
		}
	}
}

static void assert_story(const struct bench *bench, const char *name)
{
	struct text out = { 0 };
	char path[128], *expected;

	ask(tuple_text(bench), false, false, &out);
	check_lines(out.data);
	snprintf(path, sizeof(path), "tests/unit/stories/%s.txt", name);
	if (getenv("STORY_UPDATE")) {
		FILE *file = fopen(path, "w");

		assert_non_null(file);
		assert_int_equal(fputs(out.data, file) < 0, 0);
		fclose(file);
	}
	expected = read_file(path);
	assert_string_equal(out.data, expected);
	free(expected);
	text_free(&out);
}

/* ---- B and C: the local end closes first, or the remote one ---- */

static void finish_first(struct bench *bench)
{
	CHANGE(.from = KS_ESTABLISHED, .to = KS_FIN_WAIT1, .rcv_nxt = 101, .snd_una = 501,
	       .snd_nxt = 501);
	SENT(.flags = F | A, .seq = 501, .ack = 101, .kernel = full(KS_FIN_WAIT1, 101, 501, 501));
	RECEIVED(.flags = A, .seq = 101, .ack = 502, .kernel = full(KS_FIN_WAIT1, 101, 501, 502));
	CHANGE(.from = KS_FIN_WAIT1, .to = KS_FIN_WAIT2, .bits = STATE_DEAD, .rcv_nxt = 101,
	       .snd_una = 502, .snd_nxt = 502);
	CHANGE(.from = KS_FIN_WAIT2, .to = KS_CLOSE, .bits = STATE_DEAD, .rcv_nxt = 101,
	       .snd_una = 502, .snd_nxt = 502);
	RECEIVED(.flags = F | A, .seq = 101, .ack = 502,
		 .kernel = minisocket(KS_FIN_WAIT2, 101, 502));
	SENT(.flags = A, .seq = 502, .ack = 102, .kernel = minisocket(KS_TIME_WAIT, 102, 502));
}

static void close_first(struct bench *bench)
{
	finish_first(bench);
	bench->kernel = minisocket(KS_TIME_WAIT, 102, 502);
	bench_wait(bench, 61 * NS_PER_SEC);
	bench->kernel = nothing();
	bench_wait(bench, 2 * NS_PER_SEC);
}

static void close_second(struct bench *bench)
{
	RECEIVED(.flags = F | A, .seq = 101, .ack = 501,
		 .kernel = full(KS_ESTABLISHED, 101, 501, 501));
	CHANGE(.from = KS_ESTABLISHED, .to = KS_CLOSE_WAIT, .bits = STATE_DONE, .rcv_nxt = 102,
	       .snd_una = 501, .snd_nxt = 501);
	SENT(.flags = A, .seq = 501, .ack = 102, .kernel = full(KS_CLOSE_WAIT, 102, 501, 501));
	CHANGE(.from = KS_CLOSE_WAIT, .to = KS_LAST_ACK, .bits = STATE_DONE, .rcv_nxt = 102,
	       .snd_una = 501, .snd_nxt = 501);
	SENT(.flags = F | A, .seq = 501, .ack = 102, .kernel = full(KS_LAST_ACK, 102, 501, 501));
	RECEIVED(.flags = A, .seq = 102, .ack = 502, .kernel = full(KS_LAST_ACK, 102, 501, 502));
	CHANGE(.from = KS_LAST_ACK, .to = KS_CLOSE, .bits = STATE_DONE, .rcv_nxt = 102,
	       .snd_una = 502, .snd_nxt = 502);
}

/* ---- D ---- */

static void close_together(struct bench *bench)
{
	CHANGE(.from = KS_ESTABLISHED, .to = KS_FIN_WAIT1, .rcv_nxt = 101, .snd_una = 501,
	       .snd_nxt = 501);
	SENT(.flags = F | A, .seq = 501, .ack = 101, .kernel = full(KS_FIN_WAIT1, 101, 501, 501));
	RECEIVED(.flags = F | A, .seq = 101, .ack = 501,
		 .kernel = full(KS_FIN_WAIT1, 101, 501, 502));
	CHANGE(.from = KS_FIN_WAIT1, .to = KS_CLOSING, .bits = STATE_DONE, .rcv_nxt = 102,
	       .snd_una = 501, .snd_nxt = 502);
	SENT(.flags = A, .seq = 502, .ack = 102, .kernel = full(KS_CLOSING, 102, 501, 502));
	RECEIVED(.flags = A, .seq = 102, .ack = 502, .kernel = full(KS_CLOSING, 102, 501, 502));
	CHANGE(.from = KS_CLOSING, .to = KS_CLOSE, .bits = STATE_DONE | STATE_DEAD, .rcv_nxt = 102,
	       .snd_una = 502, .snd_nxt = 502);
	bench->kernel = minisocket(KS_TIME_WAIT, 102, 502);
	bench_wait(bench, 59 * NS_PER_SEC);
	bench->kernel = nothing();
	bench_wait(bench, 3 * NS_PER_SEC);
}

static void open_together(struct bench *bench)
{
	SENT(.flags = S, .seq = 500, .kernel = full(KS_SYN_SENT, 0, 0, 0));
	RECEIVED(.flags = S, .seq = 100, .kernel = full(KS_SYN_SENT, 0, 500, 501));
	CHANGE(.from = KS_SYN_SENT, .to = KS_SYN_RECV, .rcv_nxt = 101, .snd_una = 500,
	       .snd_nxt = 501);
	SENT(.flags = S | A, .seq = 500, .ack = 101, .kernel = full(KS_SYN_RECV, 101, 500, 501));
	RECEIVED(.flags = S | A, .seq = 100, .ack = 501,
		 .kernel = full(KS_SYN_RECV, 101, 500, 501));
	CHANGE(.from = KS_SYN_RECV, .to = KS_ESTABLISHED, .rcv_nxt = 101, .snd_una = 501,
	       .snd_nxt = 501);
	SENT(.flags = A, .seq = 501, .ack = 101, .kernel = full(KS_ESTABLISHED, 101, 501, 501));
}

/* ---- E ---- */

static void reset_by_peer(struct bench *bench)
{
	RECEIVED(.flags = R | A, .seq = 101, .ack = 501,
		 .kernel = full(KS_ESTABLISHED, 101, 501, 501));
	CHANGE(.from = KS_ESTABLISHED, .to = KS_CLOSE, .error = ECONNRESET, .rcv_nxt = 101,
	       .snd_una = 501, .snd_nxt = 501);
}

static void reset_by_us(struct bench *bench)
{
	/* The event comes before the RST leaves. */
	CHANGE(.from = KS_ESTABLISHED, .to = KS_CLOSE, .rcv_nxt = 101, .snd_una = 501,
	       .snd_nxt = 501);
	SENT(.flags = R | A, .seq = 501, .ack = 101, .kernel = { .state = KS_CLOSE, .cookie = 77 });
}

static void refused(struct bench *bench)
{
	CHANGE(.from = KS_CLOSE, .to = KS_SYN_SENT);
	SENT(.flags = S, .seq = 500, .kernel = full(KS_SYN_SENT, 0, 0, 0));
	SENT(.flags = S, .seq = 500, .kernel = full(KS_SYN_SENT, 0, 500, 501));
	RECEIVED(.flags = R | A, .seq = 0, .ack = 501, .kernel = full(KS_SYN_SENT, 0, 500, 501));
	CHANGE(.from = KS_SYN_SENT, .to = KS_CLOSE, .error = ECONNREFUSED);
}

/* ---- what is out of the ordinary ---- */

static void forged(struct bench *bench)
{
	RECEIVED(.flags = S, .seq = 200, .kernel = full(KS_ESTABLISHED, 101, 501, 501));
	SENT(.flags = A, .seq = 501, .ack = 101, .kernel = full(KS_ESTABLISHED, 101, 501, 501));
	RECEIVED(.flags = R, .seq = 200, .kernel = full(KS_ESTABLISHED, 101, 501, 501));
	RECEIVED(.flags = R, .seq = 0x70000000, .kernel = full(KS_ESTABLISHED, 101, 501, 501));
}

static void overflow(struct bench *bench)
{
	RECEIVED(.flags = S, .seq = 100, .kernel = idle_listener);
	SENT(.flags = S | A, .seq = 500, .ack = 101, .kernel = queues(KS_NEW_SYN_RECV, 0, 0, 1, 1));
	RECEIVED(.flags = A, .seq = 101, .ack = 501, .kernel = queues(KS_NEW_SYN_RECV, 0, 2, 1, 1));
	bench->kernel = queues(KS_NEW_SYN_RECV, SNAP_ACKED, 2, 1, 1);
	bench_wait(bench, 300 * NS_PER_MS);
	SENT(.flags = S | A, .seq = 500, .ack = 101,
	     .kernel = queues(KS_NEW_SYN_RECV, SNAP_ACKED, 2, 1, 1));
	CHANGE(.from = KS_SYN_RECV, .to = KS_ESTABLISHED, .rcv_nxt = 101, .snd_una = 501,
	       .snd_nxt = 501);
}

/* Two lives on one tuple, the first seen from its middle; then ordinary segments in a row. */
static void two_lives(struct bench *bench)
{
	RECEIVED(.flags = F | A, .seq = 900101, .ack = 800501,
		 .kernel = full(KS_ESTABLISHED, 900101, 800501, 800501));
	RECEIVED(.flags = R | A, .seq = 900102, .ack = 800501,
		 .kernel = full(KS_CLOSE_WAIT, 900102, 800501, 800501));
	CHANGE(.from = KS_CLOSE_WAIT, .to = KS_CLOSE, .error = ECONNRESET);
	open_server(bench);
	for (uint32_t i = 0; i < 20; i++)
		SENT(.flags = A, .seq = 501 + i * 1000, .ack = 101, .len = 1000,
		     .kernel = full(KS_ESTABLISHED, 101, 501, 501 + i * 1000));
	RECEIVED(.flags = A, .seq = 101, .ack = 20501,
		 .kernel = full(KS_ESTABLISHED, 101, 501, 20501));
}

/* A SYN over the server's TIME_WAIT: the listener answers it. */
static void time_wait_reused(struct bench *bench)
{
	open_server(bench);
	finish_first(bench);
	RECEIVED(.flags = S, .seq = 900000,
		 .kernel = { .cookie = 77,
			     .state = KS_TIME_WAIT,
			     .substate = KS_TIME_WAIT,
			     .bits = SNAP_LOOKED | SNAP_QUEUES,
			     .queues = { .accept_limit = 16 } });
	SENT(.flags = S | A, .seq = 700000, .ack = 900001,
	     .kernel = queues(KS_NEW_SYN_RECV, 0, 0, 16, 1));
}

/* Nothing but a RST was seen of it. */
static void only_reset(struct bench *bench)
{
	CHANGE(.from = KS_ESTABLISHED, .to = KS_CLOSE_WAIT, .rcv_nxt = 4000000102,
	       .snd_una = 3000000501, .snd_nxt = 3000000501);
	SENT(.flags = R | A, .seq = 3000000501, .ack = 4000000102,
	     .kernel = full(KS_CLOSE_WAIT, 4000000102, 3000000501, 3000000501));
	CHANGE(.from = KS_CLOSE_WAIT, .to = KS_CLOSE);
}

static const struct {
	const char *name;
	bool client;
	void (*opening)(struct bench *bench), (*rest)(struct bench *bench);
} stories[] = {
	{ "client_closes_first", true, open_client, close_first },
	{ "client_closes_second", true, open_client, close_second },
	{ "server_closes_first", false, open_server, close_first },
	{ "server_closes_second", false, open_server, close_second },
	{ "client_closes_together", true, open_client, close_together },
	{ "server_closes_together", false, open_server, close_together },
	{ "both_open", true, open_together, close_second },
	{ "client_is_reset", true, open_client, reset_by_peer },
	{ "server_is_reset", false, open_server, reset_by_peer },
	{ "client_resets", true, open_client, reset_by_us },
	{ "server_resets", false, open_server, reset_by_us },
	{ "refused", true, refused, NULL },
	{ "forged", true, open_client, forged },
	{ "accept_queue_overflow", false, overflow, NULL },
	{ "two_lives", false, two_lives, NULL },
	{ "time_wait_reused", false, time_wait_reused, NULL },
	{ "only_reset", false, only_reset, NULL },
};

static void drawn(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(stories); i++) {
		struct bench bench;

		start(&bench, stories[i].client);
		stories[i].opening(&bench);
		if (stories[i].rest)
			stories[i].rest(&bench);
		assert_story(&bench, stories[i].name);
		stop(&bench);
	}
}

static void told(uint64_t after_ns, const struct track_entry *entry)
{
	struct track_entry at = *entry;

	at.ts_ns = 1000 * NS_PER_SEC + after_ns;
	at.life = 1;
	at.role = ROLE_SERVER;
	at.flags |= ENTRY_WIRE;
	at.local_state = FSM_FIN_WAIT_1;
	at.remote_state = FSM_ESTABLISHED;
	at.kernel_state = KS_FIN_WAIT1;
	history_add(history, &at);
}

/* A FIN behind data that the peer does not take: one divergence becomes another, each with what
 * it rests on. */
static void tell_fin_stalled(const struct bench *bench)
{
	const struct conn_key key = { .local_address = { [10] = 0xff, [11] = 0xff, 10, 0, 0, 1 },
				      .remote_address = { [10] = 0xff, [11] = 0xff, 10, 0, 0, 2 },
				      .local_port = bench->local_port,
				      .remote_port = bench->remote_port };
	const uint64_t since_ns = 1000 * NS_PER_SEC + 1000;

	told(0, &(struct track_entry){ .kind = ENTRY_BEGAN, .key = key });
	told(0, &(struct track_entry){ .kind = ENTRY_SEGMENT,
				       .flags = ENTRY_SENT,
				       .segment = { 101, 501, 1000, 64, TCPF_ACK } });
	told(1000,
	     &(struct track_entry){ .kind = ENTRY_KERNEL,
				    .change = { 0, KS_ESTABLISHED, KS_FIN_WAIT1, STATE_DEAD } });
	told(NS_PER_SEC,
	     &(struct track_entry){ .kind = ENTRY_DIVERGENCE_OPEN,
				    .divergence = { "window_closed", since_ns, 4, NULL,
						    DIVERGENCE_FIN_QUEUED, DIVERGENCE_NR } });
	told(NS_PER_SEC, &(struct track_entry){ .kind = ENTRY_EVIDENCE,
						.evidence = { { .state = KS_FIN_WAIT1,
								.bits = SNAP_OWNED,
								.backlog_bytes = 768,
								.vars = { 501, 101, 1101, 9102 } },
							      0,
							      true } });
	told(61 * NS_PER_SEC, &(struct track_entry){ .kind = ENTRY_DIVERGENCE_CLOSE,
						     .divergence = { "window_closed", since_ns, 4,
								     NULL, DIVERGENCE_FIN_QUEUED,
								     DIVERGENCE_FIN_STALLED } });
	told(61 * NS_PER_SEC,
	     &(struct track_entry){ .kind = ENTRY_DIVERGENCE_OPEN,
				    .divergence = { NULL, since_ns, 5, "NETFILTER_DROP",
						    DIVERGENCE_FIN_STALLED, DIVERGENCE_NR } });
	told(61 * NS_PER_SEC,
	     &(struct track_entry){ .kind = ENTRY_EVIDENCE, .evidence = { .repeats = 7 } });
	told(200 * NS_PER_SEC,
	     &(struct track_entry){ .kind = ENTRY_DIVERGENCE_CLOSE,
				    .divergence = { NULL, since_ns, 5, NULL, DIVERGENCE_FIN_STALLED,
						    DIVERGENCE_NR } });
}

static void explained_anew(void **state)
{
	struct text out = { 0 };
	struct bench bench;

	(void)state;
	start(&bench, false);
	tell_fin_stalled(&bench);
	assert_story(&bench, "fin_stalled");
	ask(tuple_text(&bench), true, false, &out);
	out.length--;
	assert_int_equal(
		run_checker("jq -e '.connections[0].entries | map(.entry) == [\"began\", "
			    "\"segment\", \"kernel\", \"divergence_open\", \"divergence_close\", "
			    "\"divergence_open\", \"divergence_close\"] and "
			    "(.[3] | .id == 4 and .severity == \"info\" and "
			    ".evidence.segment.len == 1000 and .evidence.segment.sent and "
			    ".evidence.change.bits == [\"orphan\"] and .evidence.look.owned and "
			    ".evidence.look.variables.write_seq == 9102) and "
			    "(.[4] | .explained_as == \"fin_stalled\" and .id == 4) and "
			    "(.[5] | .evidence.look == null and .evidence.repeats == 7 and "
			    ".evidence.drop_reason == \"NETFILTER_DROP\") and "
			    "(.[6] | .explained_as == null and .duration_seconds == 199.999999)' "
			    ">/dev/null",
			    &out),
		0);
	text_free(&out);
	stop(&bench);
}

/* Colour is escapes around the same text. */
static void coloured(void **state)
{
	struct text plain = { 0 }, colour = { 0 };
	size_t at = 0, escapes = 0;
	struct bench bench;

	(void)state;
	start(&bench, false);
	overflow(&bench);
	ask(tuple_text(&bench), false, false, &plain);
	ask(tuple_text(&bench), false, true, &colour);
	for (const char *c = colour.data; *c; c++) {
		if (*c == '\033') {
			escapes++;
			c += strcspn(c, "m");
		} else {
			assert_true(at < plain.length);
			assert_int_equal(plain.data[at++], *c);
		}
	}
	assert_int_equal(at, plain.length - 1);
	assert_true(escapes > 10);
	assert_null(strchr(plain.data, '\033'));
	text_free(&plain);
	text_free(&colour);
	stop(&bench);
}

static void as_json(void **state)
{
	struct text out = { 0 };
	struct bench bench;

	(void)state;
	start(&bench, false);
	overflow(&bench);
	ask(tuple_text(&bench), true, false, &out);
	out.length--;
	assert_int_equal(
		run_checker("jq -e '.schema == 1 and .connections[0].role == \"server\" and "
			    "(.connections[0].entries | map(.entry) == [\"began\", \"segment\", "
			    "\"segment\", \"segment\", \"divergence_open\", \"segment\", "
			    "\"kernel\", \"divergence_close\"]) and "
			    "(.connections[0].entries[4] | .kind == \"accept_queue_overflow\" and "
			    ".local_state == \"ESTABLISHED\" and "
			    ".kernel_state == \"NEW_SYN_RECV\") and "
			    "(.connections[0].entries[2] | .seq == 0 and .ack == 1 and "
			    ".raw_seq == 500 and .sent and .flags == \"SYN,ACK\" and "
			    ".steps[0].event == \"SEND_SYNACK\")' >/dev/null",
			    &out),
		0);
	text_free(&out);
	stop(&bench);
}

static void listed(void **state)
{
	struct text out = { 0 }, json = { 0 };
	struct bench bench;

	(void)state;
	start(&bench, false);
	open_server(&bench);
	reset_by_us(&bench);
	ask("10.0.0.1:443", false, false, &out);
	assert_non_null(strstr(out.data, "10.0.0.1:443-10.0.0.2:50000  server  from "
					 "2026-01-01T00:16:40.000010000Z  local_reset\n"));
	ask("10.0.0.1:443", true, false, &json);
	assert_non_null(strstr(json.data, "\"how\":\"local_reset\""));
	assert_null(strstr(json.data, "\"entries\":["));
	text_free(&out);
	text_free(&json);
	stop(&bench);
}

/* Every anomaly has its rule in words, with the place where it stands. */
static void rules_are_there(void **state)
{
	(void)state;
	for (int from = 0; from < FSM_NR_STATES; from++)
		for (int event = 0; event < EV_NR; event++) {
			struct fsm_step step =
				fsm_step((enum fsm_state)from, (enum fsm_event)event);
			const char *rule = rule_of(&step);

			if (step.verdict == V_NEVER)
				continue;
			if (step.anomaly && (!rule || !(strstr(rule, "§") || strstr(rule, "RFC"))))
				fail_msg("%s in %s has no rule", fsm_event_name(step.event),
					 fsm_state_name(step.from));
			/* What is not taken in needs a reason. */
			if (step.verdict != V_OK && !rule)
				fail_msg("%s in %s: %s without a rule", fsm_event_name(step.event),
					 fsm_state_name(step.from),
					 fsm_verdict_label(step.verdict));
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(drawn),    cmocka_unit_test(explained_anew),
		cmocka_unit_test(coloured), cmocka_unit_test(as_json),
		cmocka_unit_test(listed),   cmocka_unit_test(rules_are_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
