/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Two views of one connection to one verdict. The rules are a table: which pairs of states, and
 * what further evidence, make which kind of divergence. What no rule names is never called a
 * divergence (Bhargavan et al.: a tap upstream of the kernel can make a correct stack look
 * wrong). Pure.
 */
#ifndef TCPWITNESS_COMPARE_H
#define TCPWITNESS_COMPARE_H

#include <stdbool.h>

#include "track/conn.h"

/* Do the views agree right now? Includes what is no state: an unanswered SYN. */
bool compare_agree(const struct conn *conn);

struct verdict {
	bool divergent;
	enum divergence_kind kind;
	const char *reason; /* static text; NULL = none */
};

/*
 * The views have differed for the settle time and `look` (a fresh look, already taken into
 * conn->kernel) confirmed it: which kind is it? `drop_reason` names conn->drop_reason, or NULL.
 */
struct verdict compare_explain(const struct conn *conn, const struct rec_snapshot *look,
			       const char *drop_reason);

/* Did a segment dropped for this reason never reach TCP? (firewall, checksum, routing, policy) */
bool compare_drop_is_before_tcp(const char *reason);

#endif
