/* SPDX-License-Identifier: GPL-2.0-only */
/* The JSON writer: commas, escapes, bytes that are not UTF-8; and the API's answers. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "export/api.h"
#include "export/json.h"
#include "unit/fake_view.h"

static void assert_text(struct text *text, const char *expected)
{
	text_char(text, '\0');
	assert_false(text->failed);
	assert_string_equal(text->data, expected);
	text_free(text);
}

static void test_nesting(void **state)
{
	struct text out = { 0 };
	struct json json;

	(void)state;
	json_init(&json, &out);
	json_object_begin(&json, NULL);
	json_array_begin(&json, "empty");
	json_array_end(&json);
	json_array_begin(&json, "list");
	json_u64(&json, NULL, UINT64_MAX);
	json_object_begin(&json, NULL);
	json_bool(&json, "yes", true);
	json_bool(&json, "no", false);
	json_object_end(&json);
	json_object_begin(&json, NULL);
	json_object_end(&json);
	json_array_end(&json);
	json_null(&json, "nothing");
	json_string(&json, "missing", NULL);
	json_seconds(&json, "s", 1500000000);
	json_time(&json, "t", 0);
	json_object_end(&json);
	assert_text(&out, "{\"empty\":[],\"list\":[18446744073709551615,"
			  "{\"yes\":true,\"no\":false},{}],\"nothing\":null,\"missing\":null,"
			  "\"s\":1.5,\"t\":\"1970-01-01T00:00:00.000000000Z\"}");
}

static void test_escapes(void **state)
{
	struct text out = { 0 };
	struct json json;

	(void)state;
	json_init(&json, &out);
	json_string(&json, NULL, "a\"b\\c\n\t\x01\x1f/é\xff\xC0\x80z\xE2\x82");
	assert_text(&out, "\"a\\\"b\\\\c\\u000a\\u0009\\u0001\\u001f/é"
			  "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz\xEF\xBF\xBD\xEF\xBF\xBD\"");
}

static const struct api_instant instant = { FAKE_MONO_NS, FAKE_WALL_NS };

static void test_connections(void **state)
{
	struct connection_report reports[2] = { fake_report(), fake_report() };
	struct text out = { 0 };

	(void)state;
	reports[1].closed_ns = 0;
	reports[1].kernel_state = KS_TIME_WAIT;
	reports[1].kernel_substate = KS_FIN_WAIT2;
	reports[1].observable = false;
	reports[1].why = UNOBSERVABLE_ADOPTED;
	reports[1].local_steps = reports[1].remote_steps = reports[1].kernel_steps = 0;
	reports[1].divergences = reports[1].seen = 0;
	api_connections(&instant, reports, 2, 77, &out);
	assert_text(&out,
		    "{\"schema\":1,\"time\":\"2026-01-01T00:00:00.123456789Z\",\"connections\":["
		    "{\"local\":\"10.0.0.1:80\",\"remote\":\"[fd00::9]:4711\","
		    "\"netns\":4026531840,\"role\":\"server\",\"wire_state\":\"ESTABLISHED\","
		    "\"kernel_state\":\"NEW_SYN_RECV\",\"remote_state\":\"FIN_WAIT_1\","
		    "\"local_path\":[\"LISTEN\",\"SYN_RECEIVED\",\"ESTABLISHED\"],"
		    "\"remote_path\":[\"SYN_SENT\",\"ESTABLISHED\",\"FIN_WAIT_1\"],"
		    "\"kernel_path\":[\"LISTEN\",\"NEW_SYN_RECV\"],"
		    "\"opened\":\"2025-12-31T23:59:58.123456789Z\","
		    "\"closed\":\"2026-01-01T00:00:00.123456789Z\","
		    "\"divergences\":[\"accept_queue_overflow\"],\"anomalies\":[],"
		    "\"seen\":[\"syn\",\"synack\",\"fin\"],"
		    "\"observable\":true,\"why\":null},"
		    "{\"local\":\"10.0.0.1:80\",\"remote\":\"[fd00::9]:4711\","
		    "\"netns\":4026531840,\"role\":\"server\",\"wire_state\":\"ESTABLISHED\","
		    "\"kernel_state\":\"TIME_WAIT\",\"kernel_substate\":\"FIN_WAIT2\","
		    "\"remote_state\":\"FIN_WAIT_1\","
		    "\"local_path\":[],\"remote_path\":[],\"kernel_path\":[],"
		    "\"opened\":\"2025-12-31T23:59:58.123456789Z\",\"closed\":null,"
		    "\"divergences\":[],\"anomalies\":[],\"seen\":[],"
		    "\"observable\":false,\"why\":\"adopted\"}],\"next_cursor\":77}\n");
	api_connections(&instant, reports, 0, 0, &out);
	assert_text(&out, "{\"schema\":1,\"time\":\"2026-01-01T00:00:00.123456789Z\","
			  "\"connections\":[],\"next_cursor\":null}\n");
}

static struct export_view *new_view(size_t listeners_max)
{
	struct export_view *view = view_new(listeners_max);

	assert_non_null(view);
	fake_snapshot(view);
	fake_complete(view);
	return view;
}

/* It is JSON, and has all of them. */
static void assert_parts(struct text *text, const char *const *parts, size_t count)
{
	assert_int_equal(run_checker("python3 -c 'import json,sys; json.load(sys.stdin)'", text),
			 0);
	text_char(text, '\0');
	for (size_t i = 0; i < count; i++)
		if (!strstr(text->data, parts[i]))
			fail_msg("no %s in %s", parts[i], text->data);
	text_free(text);
}

static void test_listeners(void **state)
{
	static const char *const parts[] = {
		"{\"schema\":1,\"time\":\"2026-01-01T00:00:00.123456789Z\",\"total\":5,",
		"\"ipv4/tcp_max_syn_backlog\":512,",
		"\"syn_queue_full\":\"beyond_limit\",",
		"\"ListenDrops\":-2,",
		"\"listeners\":[{\"listener\":\"10.0.0.1:80\",\"netns\":4026531840,"
		"\"netns_name\":\"host\",\"sockets\":1,",
		"\"accept_queue_length\":3,\"accept_queue_limit\":128,",
		"\"syns\":100,",
		"\"drops\":{\"accept_queue_full\":7,\"final_ack_accept_queue_full\":8,",
		"\"limited_by\":{\"syn\":\"listen_backlog\",\"accept\":\"listen_backlog\"}",
		"\"advice\":{\"accept\":[{\"knob\":\"listen_backlog\",\"verdict\":\"change\",",
		"\"pid\":17,\"command\":\"nginx\",\"unit\":\"nginx.service\","
		"\"container\":null,\"container_runtime\":null,\"pod\":null}],",
		"\"other\":{\"sockets\":3,",
		"\"syns\":1000,",
	};
	struct export_view *view = new_view(1);
	struct text out = { 0 };

	(void)state;
	api_listeners(view, &out);
	assert_parts(&out, parts, sizeof(parts) / sizeof(parts[0]));
	view_free(view);
}

static void test_status(void **state)
{
	static const char *const parts[] = {
		"\"version\":\"1.0\\\"beta\\\"\"",
		"\"ready\":true,\"started\":\"2025-12-31T23:59:56.123456789Z\","
		"\"uptime_seconds\":4,",
		"\"wire\":{\"LISTEN\":0,\"SYN_SENT\":0,\"SYN_RECEIVED\":0,\"ESTABLISHED\":12,",
		"\"syn_dropped\":{\"class\":\"problem\",\"total\":9,\"open\":1}",
		"\"divergences_open\":{\"critical\":1,\"warning\":0,\"info\":0}",
		"\"namespaces\":[{\"netns\":4026531840,\"name\":\"host\"}]",
		"\"segment\":{\"attempted\":10,\"decoded\":7,\"rejected\":1,\"lost\":2,",
		"{\"interface\":\"eth\\\"0\\\\\",\"hook\":\"ingress\",\"mode\":\"xdp_native\",\"netns\":4026531840}",
		"{\"program\":\"witness_state\",\"interface\":null,\"attached\":true}",
		"\"flow_table\":{\"entries\":0,\"limit\":1000000,\"evictions\":0}",
	};
	struct export_view *view = new_view(0);
	struct text out = { 0 };

	(void)state;
	api_status(view, &out);
	assert_parts(&out, parts, sizeof(parts) / sizeof(parts[0]));
	view_free(view);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nesting),	    cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_connections), cmocka_unit_test(test_listeners),
		cmocka_unit_test(test_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
