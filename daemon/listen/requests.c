/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Requests that expire. No event tells of it: what began and was neither completed nor reset, and is
 * no longer in the queue, has ended by itself (or by ICMP, or with `ss -K`). The queue is looked at
 * between two readings, of what began and of what ended, so that traffic in between makes the sum
 * too small, if anything; and what was under way at one look is not at the next, so the lesser of
 * two holds. Among members of a SO_REUSEPORT group, whose children are counted by address, nothing
 * is told.
 */
#include <sys/param.h>

#include "listen/listeners_parts.h"
#include "util.h"

static uint64_t requests_born(const struct listener_counters *counters)
{
	return beyond(outcome_first_synacks(counters), counters->cookies_sent);
}

uint64_t requests_completed(const struct listener_counters *counters)
{
	uint64_t refused = counters->drops[LISTENER_DROP_COOKIE_REFUSED];

	return beyond(counters->handshakes, beyond(counters->cookies_accepted, refused));
}

void requests_before_look(const struct listeners *listeners, struct listener *listener)
{
	struct listener_reading reading;

	listener->born = 0;
	if (!listener->shares && listeners_read_raw(listeners, listener, &reading))
		listener->born = requests_born(&reading.counters);
}

void requests_after_look(const struct listeners *listeners, struct listener *listener)
{
	struct listener_counters counters;
	uint64_t unended;

	if (!listener->born)
		return;
	counters = listeners_read_counters(listeners, listener);
	unended = beyond(listener->born, requests_completed(&counters) + counters.requests_reset +
						 listener->syn_length);
	listener->expired = MAX(listener->expired, MIN(unended, listener->unended));
	listener->unended = unended;
}
