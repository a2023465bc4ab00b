/* SPDX-License-Identifier: GPL-2.0-only */
/* Limits that were passed: see degraded.h. */
#include "export/degraded.h"

#include "util.h"

static const struct {
	const char *label, *text;
} limits[DEGRADED_NR] = {
#define X(name, label, text) [DEGRADED_##name] = { label, text },
	DEGRADED_LIMITS(X)
#undef X
};

const char *degraded_label(enum degraded_limit limit)
{
	return limits[limit].label;
}

void degraded_count(struct degraded *degraded, enum degraded_limit limit, uint64_t counter,
		    uint64_t now_ns)
{
	degraded_hold(degraded, limit, counter > degraded->counted[limit], now_ns);
	degraded->counted[limit] = counter;
}

void degraded_hold(struct degraded *degraded, enum degraded_limit limit, bool holds,
		   uint64_t now_ns)
{
	if (holds)
		degraded->at_ns[limit] = now_ns;
}

static uint64_t age_ns(const struct degraded *degraded, enum degraded_limit limit, uint64_t now_ns)
{
	return beyond(now_ns, degraded->at_ns[limit]);
}

bool degraded_is(const struct degraded *degraded, enum degraded_limit limit, uint64_t now_ns)
{
	return degraded->at_ns[limit] && age_ns(degraded, limit, now_ns) < DEGRADED_NS;
}

void degraded_lines(const struct degraded *degraded, uint64_t now_ns, struct text *out)
{
	for (int limit = 0; limit < DEGRADED_NR; limit++) {
		if (!degraded_is(degraded, limit, now_ns))
			continue;
		text_string(out, "degraded: ");
		text_string(out, limits[limit].label);
		text_string(out, ": ");
		text_string(out, limits[limit].text);
		text_string(out, "; last ");
		text_u64(out, age_ns(degraded, limit, now_ns) / NS_PER_SEC);
		text_string(out, " s ago\n");
	}
}
