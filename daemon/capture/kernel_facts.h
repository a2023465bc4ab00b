/* SPDX-License-Identifier: GPL-2.0-only */
/* What the running kernel's BTF tells: the shapes of its tracepoints, the names of its reasons. */
#ifndef TCPWITNESS_KERNEL_FACTS_H
#define TCPWITNESS_KERNEL_FACTS_H

#include <stdbool.h>
#include <stdint.h>

#include "counters.h"

#define DROP_REASON_NAME_MAX 48

/* Indexed by enum skb_drop_reason of that kernel, without SKB_DROP_REASON_; "" where unknown. */
struct drop_reasons {
	char names[DROP_REASONS_MAX][DROP_REASON_NAME_MAX];
};

struct kernel_facts;

/* Reads the BTF at `path`, NULL for the running kernel's. 0 or -errno, logged in one line. */
int kernel_facts_new(const char *path, struct kernel_facts **ret_facts);
void kernel_facts_free(struct kernel_facts *facts);

/* Arguments of the tracepoint `name` as its raw program sees them; 0: no such tracepoint. */
unsigned int kernel_facts_tracepoint(const struct kernel_facts *facts, const char *name);

/* Does BPF have this function of the kernel's? */
bool kernel_facts_has_function(const struct kernel_facts *facts, const char *name);

void kernel_facts_drop_reasons(const struct kernel_facts *facts, struct drop_reasons *ret_reasons);

bool kernel_facts_has_drop_reason(const struct kernel_facts *facts, const char *name);

/* Jiffies a second. */
uint32_t kernel_facts_hz(void);

/* Name of a reason, or NULL when it has none. */
const char *drop_reason_name(const struct drop_reasons *reasons, uint32_t reason);

#endif
