/* SPDX-License-Identifier: GPL-2.0-only */
/* What a person is told about a step of the reference: the rule, and where it stands. Pure. */
#ifndef TCPWITNESS_RULES_H
#define TCPWITNESS_RULES_H

#include "tcp/fsm.h"

/* One clause with its section, or NULL where the step is what anybody expects. § without a name
 * before it is RFC 9293's. Static text. */
const char *rule_of(const struct fsm_step *step);

#endif
