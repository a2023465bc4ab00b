/* SPDX-License-Identifier: GPL-2.0-only */
/* Any text as header, query argument, label and JSON string: no crash, and what comes out is valid
 * UTF-8 without a raw control character, whatever came in. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "export/json.h"
#include "export/negotiate.h"
#include "export/view.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void collect(struct exposition *exposition)
{
	/* The view is not read: its place is lent to the label's text. */
	expose_sample(exposition, (const char *const[]){ (const char *)exposition->view }, 1);
}

static const struct metric metric = { "t_total", METRIC_COUNTER, UNIT_NONE, "l", collect, 0, "T." };

/* Valid UTF-8 without control characters but newlines, and no NUL within. */
static void check(struct text *text)
{
	text_char(text, '\0');
	if (text->failed)
		abort();
	for (const char *at = text->data; *at;) {
		size_t length = utf8_sequence(at);

		if (!length || ((unsigned char)*at < 0x20 && *at != '\n'))
			abort();
		at += length;
	}
	if (text->length != strlen(text->data) + 1)
		abort();
	text_free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *string = malloc(size + 1);
	struct text out = { 0 };
	uint64_t number = 0;
	struct json json;

	if (!string)
		return 0;
	memcpy(string, data, size);
	string[size] = '\0';
	if (negotiate_format(string) >= EXPOSE_NR)
		abort();
	negotiate_gzip(string);
	negotiate_is_local_host(string, 10293);
	if (!negotiate_number(string, 1000, &number) && number > 1000)
		abort();

	json_init(&json, &out);
	json_object_begin(&json, NULL);
	json_string(&json, string, string);
	json_object_end(&json);
	if (out.length < 4 || memchr(out.data, '\n', out.length))
		abort();
	check(&out);

	/* A label keeps its control characters, but never a raw newline more than the format's. */
	expose(&metric, 1, (const void *)string, EXPOSE_OPENMETRICS, &out);
	if (memcmp(out.data + out.length - 6, "# EOF\n", 6))
		abort();
	number = 0;
	for (size_t i = 0; i < out.length; i++) {
		number += out.data[i] == '\n';
		if ((unsigned char)out.data[i] < 0x20 && out.data[i] != '\n')
			out.data[i] = ' ';
	}
	if (number != 4)
		abort();
	check(&out);
	free(string);
	return 0;
}
