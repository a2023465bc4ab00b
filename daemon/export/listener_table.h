/* SPDX-License-Identifier: GPL-2.0-only */
/* Listeners as a table for people, like `ss -ltn`. Pure. */
#ifndef TCPWITNESS_LISTENER_TABLE_H
#define TCPWITNESS_LISTENER_TABLE_H

#include <stdbool.h>

#include "export/text.h"
#include "export/view.h"

/* By what rows are ordered, the largest first. */
#define LISTENER_ORDERS(X)                                                                         \
	X(SYNS, "syns")                                                                            \
	X(DROPS, "drops")                                                                          \
	X(FILL, "fill") /* of the fuller queue */                                                  \
	X(SYN, "syn")	/* the SYN queue's length */                                               \
	X(ACCEPT, "accept")                                                                        \
	X(LISTENER, "listener") /* by address */

enum listener_order {
#define X(name, label) LISTENERS_BY_##name,
	LISTENER_ORDERS(X)
#undef X
	LISTENERS_BY_NR
};

/* NULL is the default. False: no such order. */
bool listener_order_parse(const char *label, enum listener_order *ret);
const char *listener_order_label(enum listener_order order);

/* The view's rows; `details`: what would help where a queue overflowed, and what would not. */
void listener_table(const struct export_view *view, enum listener_order order, bool details,
		    struct text *out);

#endif
