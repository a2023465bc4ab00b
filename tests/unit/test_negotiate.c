/* SPDX-License-Identifier: GPL-2.0-only */
/* What headers ask for: formats as Prometheus 2 and 3 and browsers ask, gzip, local hosts. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>

#include "export/negotiate.h"

static void test_format(void **state)
{
	static const struct {
		const char *accept;
		enum expose_format format;
	} cases[] = {
		{ NULL, EXPOSE_TEXT },
		{ "", EXPOSE_TEXT },
		{ "*/*", EXPOSE_TEXT },
		/* Prometheus 2.42 */
		{ "application/openmetrics-text;version=1.0.0,application/openmetrics-text;"
		  "version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
		  EXPOSE_OPENMETRICS },
		/* Prometheus 3 */
		{ "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
		  "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;"
		  "escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
		  EXPOSE_OPENMETRICS },
		/* the same with native histograms: protobuf, which we have not, comes first */
		{ "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;"
		  "encoding=delimited;q=0.7,application/openmetrics-text;version=1.0.0;"
		  "escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
		  EXPOSE_OPENMETRICS },
		/* scrape_protocols: [PrometheusText0.0.4] */
		{ "text/plain;version=0.0.4;q=0.6,*/*;q=0.5", EXPOSE_TEXT },
		{ "text/plain;version=0.0.4;q=0.5,application/openmetrics-text;q=0.4",
		  EXPOSE_TEXT },
		/* a browser */
		{ "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", EXPOSE_TEXT },
		/* a version we do not speak */
		{ "application/openmetrics-text;version=0.0.1", EXPOSE_TEXT },
		{ "application/openmetrics-text; version=\"1.0.0\" ; q=1.000", EXPOSE_OPENMETRICS },
		{ "Application/OpenMetrics-Text", EXPOSE_OPENMETRICS },
		/* refused by weight, and weights that are none */
		{ "application/openmetrics-text;q=0,text/plain;q=0.1", EXPOSE_TEXT },
		{ "application/openmetrics-text;q=0", EXPOSE_TEXT },
		{ "application/openmetrics-text;q=abc", EXPOSE_TEXT },
		{ "application/openmetrics-text;q=0.001,text/plain;q=0.0009", EXPOSE_OPENMETRICS },
		/* a tie: the one named first */
		{ "text/plain,application/openmetrics-text", EXPOSE_TEXT },
		{ "application/openmetrics-text,text/plain", EXPOSE_OPENMETRICS },
		/* rubbish */
		{ ",;,=;q=,;;;q", EXPOSE_TEXT },
		{ "application/openmetrics-text;version", EXPOSE_OPENMETRICS },
		{ ";q=1", EXPOSE_TEXT },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (negotiate_format(cases[i].accept) != cases[i].format)
			fail_msg("case %zu: %s", i, cases[i].accept);
}

static void test_gzip(void **state)
{
	(void)state;
	assert_true(negotiate_gzip("gzip"));
	assert_true(negotiate_gzip("deflate, GZIP;q=0.5 , br"));
	assert_true(negotiate_gzip("x-gzip"));
	assert_false(negotiate_gzip(NULL));
	assert_false(negotiate_gzip(""));
	assert_false(negotiate_gzip("gzip;q=0"));
	assert_false(negotiate_gzip("gzip;q=0.000"));
	assert_false(negotiate_gzip("identity"));
	assert_false(negotiate_gzip("notgzip, gzipped"));
}

static void test_local_host(void **state)
{
	(void)state;
	assert_true(negotiate_is_local_host("localhost:10293", 10293));
	assert_true(negotiate_is_local_host("LocalHost:10293", 10293));
	assert_true(negotiate_is_local_host("127.0.0.1:10293", 10293));
	assert_true(negotiate_is_local_host("[::1]:10293", 10293));
	assert_true(negotiate_is_local_host("localhost", 80));
	assert_false(negotiate_is_local_host(NULL, 10293));
	assert_false(negotiate_is_local_host("", 10293));
	assert_false(negotiate_is_local_host("localhost", 10293));
	assert_false(negotiate_is_local_host("localhost:10294", 10293));
	assert_false(negotiate_is_local_host("localhost:102930", 10293));
	assert_false(negotiate_is_local_host("evil.example:10293", 10293));
	assert_false(negotiate_is_local_host("localhost.evil.example:10293", 10293));
	assert_false(negotiate_is_local_host("::1:10293", 10293));
}

static void test_number(void **state)
{
	uint64_t value = 7;

	(void)state;
	assert_int_equal(negotiate_number(NULL, 10, &value), 0);
	assert_int_equal(value, 7);
	assert_int_equal(negotiate_number("10", 10, &value), 0);
	assert_int_equal(value, 10);
	assert_int_equal(negotiate_number("18446744073709551615", UINT64_MAX, &value), 0);
	assert_true(value == UINT64_MAX);
	assert_int_equal(negotiate_number("18446744073709551616", UINT64_MAX, &value), -EINVAL);
	assert_int_equal(negotiate_number("11", 10, &value), -EINVAL);
	assert_int_equal(negotiate_number("", 10, &value), -EINVAL);
	assert_int_equal(negotiate_number("-1", 10, &value), -EINVAL);
	assert_int_equal(negotiate_number("1x", 10, &value), -EINVAL);
	assert_int_equal(negotiate_number(" 1", 10, &value), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_gzip),
		cmocka_unit_test(test_local_host),
		cmocka_unit_test(test_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
