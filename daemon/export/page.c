/* SPDX-License-Identifier: GPL-2.0-only */
/* The page at /. */
#include "export/page.h"

static void append_html(struct text *out, const char *string)
{
	for (; *string; string++) {
		switch (*string) {
		case '&':
			text_string(out, "&amp;");
			break;
		case '<':
			text_string(out, "&lt;");
			break;
		case '"':
			text_string(out, "&quot;");
			break;
		default:
			text_char(out, *string);
		}
	}
}

static void append_link(struct text *out, const char *path, const char *what)
{
	text_string(out, "<li><a href=\"");
	append_html(out, path);
	text_string(out, "\">");
	append_html(out, path);
	text_string(out, "</a> ");
	text_string(out, what);
	text_string(out, "</li>\n");
}

static void append_open(struct text *out, const struct export_health *health)
{
	text_string(out, "<p>Divergences open now: ");
	for (int i = SEVERITY_NR - 1; i >= 0; i--) {
		text_u64(out, health->open[i]);
		text_char(out, ' ');
		text_string(out, divergence_severity_label(i));
		text_string(out, i ? ", " : ".</p>\n");
	}
}

void page_render(const struct build_facts *build, const char *telemetry_path,
		 const struct export_health *health, struct text *out)
{
	text_string(out,
		    "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">"
		    "<title>tcpwitness</title></head>\n<body>\n<h1>tcpwitness</h1>\n"
		    "<p>Two witnesses watch every TCP connection of this host, the wire and the "
		    "kernel; what they disagree on is below.</p>\n");
	if (health)
		append_open(out, health);
	else
		text_string(out, "<p>The data thread does not answer.</p>\n");
	text_string(out, "<ul>\n");
	append_link(out, telemetry_path, "metrics for Prometheus");
	append_link(out, "/-/healthy", "does the data loop answer?");
	append_link(out, "/-/ready", "are the programs attached?");
	append_link(out, "/api/v1/status",
		    "the daemon, as JSON (from this host only, as the rest)");
	append_link(out, "/api/v1/divergences?format=table", "open divergences");
	append_link(out, "/api/v1/divergences?state=all", "and those that closed lately");
	append_link(out, "/api/v1/connections", "connections");
	append_link(out, "/api/v1/listeners", "listening sockets");
	text_string(out, "</ul>\n<p>Version ");
	append_html(out, build->version);
	text_string(out, ", revision ");
	append_html(out, build->revision);
	text_string(out, "</p>\n</body>\n</html>\n");
}
