/* SPDX-License-Identifier: GPL-2.0-only */
/* A token bucket on somebody else's clock: starts full. */
#ifndef TCPWITNESS_ALLOWANCE_H
#define TCPWITNESS_ALLOWANCE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/param.h>

#include "util.h"

struct allowance {
	uint64_t filled_ns; /* 0 = never asked */
	uint32_t tokens;
};

/* Takes a token if there is one. */
static inline bool allowance_take(struct allowance *allowance, uint32_t burst, uint32_t per_second,
				  uint64_t now_ns)
{
	uint64_t new = now_ns > allowance->filled_ns ?
			       (now_ns - allowance->filled_ns) * per_second / NS_PER_SEC :
			       0;

	if (!allowance->filled_ns) {
		allowance->tokens = burst;
		allowance->filled_ns = now_ns;
	} else if (new) {
		allowance->tokens = (uint32_t)MIN(allowance->tokens + new, burst);
		allowance->filled_ns = now_ns;
	}
	if (!allowance->tokens)
		return false;
	allowance->tokens--;
	return true;
}

#endif
