/* SPDX-License-Identifier: GPL-2.0-only */
/* The page at /: what this is and where to go from here. It shows no connection's address. */
#ifndef TCPWITNESS_PAGE_H
#define TCPWITNESS_PAGE_H

#include "export/text.h"
#include "export/view.h"

/* health NULL: the data thread does not answer. */
void page_render(const struct build_facts *build, const char *telemetry_path,
		 const struct export_health *health, struct text *out);

#endif
