/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every way in which the wire and the kernel were ever found to differ, and what becomes of it
 * here: the 36 rows of the measured taxonomy, each with its home. A table, for people and tests.
 */
#ifndef TCPWITNESS_TAXONOMY_H
#define TCPWITNESS_TAXONOMY_H

#include <stddef.h>
#include <stdint.h>

#include "track/verdicts.h"

#define TAXONOMY_HOMES(X)                                                                          \
	X(KIND, "divergence")		/* one that is reported: a problem, or expected */         \
	X(TRANSIENT, "transient")	/* comes together by itself, and is counted */             \
	X(CONDITION, "condition")	/* the views agree; counted all the same */                \
	X(UNOBSERVABLE, "unobservable") /* a reason why nothing can be said */                     \
	X(MAPPING, "mapping")		/* two names of one state: they may stand side by side */  \
	X(REFERENCE, "reference")	/* the reference knows it, and does not move */            \
	X(CAPTURE, "capture")		/* left out, or put right, where it is captured */

enum taxonomy_home {
#define X(name, label) HOME_##name,
	TAXONOMY_HOMES(X)
#undef X
	HOME_NR
};

struct taxonomy_row {
	uint8_t number; /* 1 to 36 */
	uint8_t home;	/* enum taxonomy_home */
	uint8_t which;	/* enum divergence_kind, transient, condition or unobservable_reason */
	uint32_t also;	/* bit per enum divergence_kind: what else it can be, or become */
	const char *title;
	const char *how; /* where the home has no list of names: how it is told; or NULL */
};

#define TAXONOMY_ROWS 36

/* NULL beyond the last one; in the order of their numbers. */
const struct taxonomy_row *taxonomy_row_at(size_t index);

const char *taxonomy_home_label(enum taxonomy_home home);

/* "accept_queue_overflow", "in_flight", …; what is in `how` for homes without names. */
const char *taxonomy_label(const struct taxonomy_row *row);

#endif
