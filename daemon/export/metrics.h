/* SPDX-License-Identifier: GPL-2.0-only */
/* Every metric of the daemon, as one table. */
#ifndef TCPWITNESS_METRICS_H
#define TCPWITNESS_METRICS_H

#include <stddef.h>

#include "export/expose.h"
#include "export/view.h"

/* All families, in the order of the scrape. */
const struct metric *metrics_table(size_t *ret_count);

/* A whole scrape. Check out->failed. */
void metrics_render(const struct export_view *view, enum expose_format format, struct text *out);

#endif
