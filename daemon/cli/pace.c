/* SPDX-License-Identifier: GPL-2.0-only */
/* How long the loop sleeps: see pace.h. */
#include "cli/pace.h"

#include <sys/param.h>

#include "capture/ring.h"

/* How full the fullest ring is to be at a turn: where one is half full, nothing waits for its
 * order any more (capture/merge.h). */
#define FILL_WANTED (RING_FULL / 8)

void pace_begin(struct pace *pace, uint64_t now_ns)
{
	pace->sleep_ns = PACE_SHORTEST_NS;
	pace->turned_ns = now_ns;
}

void pace_turned(struct pace *pace, uint64_t now_ns, const struct pace_turn *turn)
{
	uint64_t passed_ns = MIN(now_ns - pace->turned_ns, PACE_IDLE_NS);
	uint64_t longest_ns = turn->busy || turn->took ? PACE_LOADED_NS : PACE_IDLE_NS;
	uint64_t sleep_ns = 2 * pace->sleep_ns;

	if (turn->woken && pace_is_idle(pace))
		sleep_ns = PACE_SHORTEST_NS; /* something begins; how fast it goes is not known */
	else if (turn->took)
		sleep_ns = MIN(sleep_ns, passed_ns * FILL_WANTED / MAX(turn->fill, 1));
	pace->sleep_ns = MAX(MIN(sleep_ns, longest_ns), PACE_SHORTEST_NS);
	pace->turned_ns = now_ns;
}

int pace_patience(const struct pace *pace, uint64_t due_ns)
{
	/* With many connections something is due all the time: no sleep under load is cut short. */
	uint64_t least_ns = MIN(pace->sleep_ns, PACE_LOADED_NS);

	if (!due_ns)
		return PACE_SHORTEST_NS / NS_PER_MS;
	return (int)(MAX(MIN(beyond(due_ns, pace->turned_ns), pace->sleep_ns), least_ns) /
		     NS_PER_MS);
}

bool pace_is_idle(const struct pace *pace)
{
	return pace->sleep_ns > PACE_LOADED_NS;
}
