/* SPDX-License-Identifier: GPL-2.0-only */
/* Divergences as a table for people. Pure. */
#ifndef TCPWITNESS_DIVERGENCE_TABLE_H
#define TCPWITNESS_DIVERGENCE_TABLE_H

#include "export/divergence_list.h"

/* The rows from `first` on, which are in order; a heading unless question->query.since is set, as
 * then more of the same is being printed; details where asked for; a last line of counts. */
void divergence_table(const struct divergence_question *question,
		      const struct divergence_list *list, size_t first, struct text *out);

#endif
