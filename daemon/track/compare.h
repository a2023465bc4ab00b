/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Two views of one connection to one verdict, as tables: which pairs of states and what further
 * evidence make which kind of divergence while they last; and which events are one by themselves,
 * over as they happen. What no rule names is never called a divergence (Bhargavan et al.: a tap
 * upstream of the kernel can make a correct stack look wrong). Pure.
 */
#ifndef TCPWITNESS_COMPARE_H
#define TCPWITNESS_COMPARE_H

#include <stdbool.h>
#include <stddef.h>

#include "track/conn.h"
#include "track/findings.h"
#include "util.h"

/* A FIN that waits behind data, none of which was acknowledged for this long, is stalled. */
#define COMPARE_STALLED_NS (10 * NS_PER_SEC)

/* Do the views agree right now? Includes what is no state: an unanswered SYN, a FIN that waits. */
bool compare_agree(const struct conn *conn);

/* The views have differed since `parted_ns`, and a fresh look found `look`. */
struct circumstances {
	const struct conn *conn; /* `look` already taken into conn->kernel, unless it is owned */
	const struct finding *finding;
	const struct rec_snapshot *look;
	const char *drop_reason; /* of conn->drop_reason, or NULL */
	uint64_t parted_ns, now_ns;
};

struct verdict {
	bool divergent;
	bool ends; /* nothing more will come of the connection */
	enum divergence_kind kind;
	const char *reason; /* static text, or NULL */
};

/*
 * Which kind is it? Of an owned socket only what is said of its owner counts.
 */
struct verdict compare_explain(const struct circumstances *at);

/* Has the listener dropped anything since an unanswered SYN came? If not, that SYN never met it. */
bool compare_listener_dropped(const struct finding *finding, const struct rec_snapshot *look);

/* A rule as a table shows it. `wire` and `kernel`: a bit per state; `when`: the predicate. */
struct compare_rule {
	uint32_t wire, kernel;
	enum divergence_kind kind;
	bool ends;
	const char *when;
};

/* False beyond the last one. They are asked in this order, and the first that holds is it. */
bool compare_rule_at(size_t index, struct compare_rule *ret);

/* What makes a divergence that is over as it happens. */
enum moment_trigger {
	MOMENT_STEP,	/* a step of the reference's local end: `what` is an enum fsm_event */
	MOMENT_CLOSE,	/* the kernel closed the socket: an enum close_cause */
	MOMENT_VANISHED /* a look missed a socket that no tracepoint shows: an enum kernel_state */
};

struct moment_rule {
	uint32_t wire; /* bit per state, before what happens */
	uint8_t trigger, what;
	enum divergence_kind kind;
	const char *reason; /* or NULL */
	const char *when;
};

/* The rule that `what` fires in this state; NULL when it means nothing by itself. */
const struct moment_rule *compare_moment(enum moment_trigger trigger, uint8_t what,
					 enum fsm_state wire);

/* NULL beyond the last one. */
const struct moment_rule *compare_moment_at(size_t index);

/* Did a segment dropped for this reason never reach TCP? (firewall, checksum, routing, policy) */
bool compare_drop_is_before_tcp(const char *reason);

#endif
