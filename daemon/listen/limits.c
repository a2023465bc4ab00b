/* SPDX-License-Identifier: GPL-2.0-only */
/* Which knob binds, and which change would help: see limits.h. */
#include "listen/limits.h"

#include <sys/param.h>

/* A queue as long as this is not short of room: its application is short of accept(). The
 * default of net.core.somaxconn since Linux 5.4. */
#define BACKLOG_AMPLE 4096

const char *listen_knob_label(enum listen_knob knob)
{
	static const char *const labels[] = {
#define X(name, label) label,
		LISTEN_KNOBS(X)
#undef X
	};

	return labels[knob];
}

const char *listen_queue_label(enum listen_queue queue)
{
	static const char *const labels[] = {
#define X(name, label) label,
		LISTEN_QUEUES(X)
#undef X
	};

	return labels[queue];
}

/*
 * The argument is kept nowhere. A limit of exactly somaxconn is somaxconn's doing, or the argument
 * was the same number; any other is the argument's (or of a somaxconn that has changed since).
 */
static struct listen_limit backlog_limit(const struct limits_facts *facts)
{
	return (struct listen_limit){
		.limit = facts->backlog,
		.by = facts->backlog == facts->sysctls.somaxconn ? KNOB_SOMAXCONN :
								   KNOB_LISTEN_ARGUMENT,
	};
}

struct listen_limit limits_of(const struct limits_facts *facts, enum listen_queue queue)
{
	struct listen_limit limit = backlog_limit(facts);
	uint32_t quarters = facts->sysctls.max_syn_backlog - (facts->sysctls.max_syn_backlog >> 2);

	if (queue == QUEUE_SYN && !facts->sysctls.syncookies && quarters < limit.limit)
		limit = (struct listen_limit){ quarters, KNOB_MAX_SYN_BACKLOG };
	return limit;
}

bool limits_overflowed(const struct limits_facts *facts, enum listen_queue queue)
{
	const __u64 *drops = facts->counters->drops;

	if (queue == QUEUE_SYN)
		return drops[LISTENER_DROP_SYN_QUEUE_FULL] || drops[LISTENER_DROP_LAST_QUARTER] ||
		       facts->counters->cookies_wanted;
	return drops[LISTENER_DROP_ACCEPT_QUEUE_FULL] || drops[LISTENER_DROP_FINAL_ACK_REFUSED] ||
	       drops[LISTENER_DROP_COOKIE_REFUSED];
}

static void say(struct listen_advice *advice, enum listen_knob knob, enum listen_verdict verdict,
		const char *why)
{
	advice->rows[advice->count].knob = knob;
	advice->rows[advice->count].verdict = verdict;
	advice->rows[advice->count].why = why;
	advice->count++;
}

static void say_backlog(struct listen_advice *advice, const struct limits_facts *facts,
			enum listen_verdict verdict)
{
	if (backlog_limit(facts).by == KNOB_SOMAXCONN) {
		say(advice, KNOB_SOMAXCONN, verdict,
		    "it cut what listen() asked for, or that was no more: raise it, ask for more, "
		    "and restart the service, as listen() reads it once");
		return;
	}
	say(advice, KNOB_LISTEN_ARGUMENT, verdict,
	    "the service asks for so short a queue: raise its backlog setting and restart it");
	if (facts->backlog < facts->sysctls.somaxconn)
		say(advice, KNOB_SOMAXCONN, VERDICT_NO, "it allows more than the service asks for");
	else
		say(advice, KNOB_SOMAXCONN, VERDICT_HELPS,
		    "it has been lowered since: the next listen() would get less than this one");
}

static void advise_accept(const struct limits_facts *facts, struct listen_advice *advice)
{
	const struct listen_sysctls *sysctls = &facts->sysctls;

	if (facts->backlog >= BACKLOG_AMPLE) {
		say(advice, KNOB_APPLICATION, VERDICT_CHANGE,
		    "the queue is long, and it is full: accept() is called too seldom (threads "
		    "busy, descriptors used up, one event loop for all)");
		say_backlog(advice, facts, VERDICT_NO);
		advice->rows[1].why = "a longer queue only makes clients wait longer in it";
	} else {
		say_backlog(advice, facts, VERDICT_CHANGE);
		say(advice, KNOB_APPLICATION, VERDICT_HELPS,
		    "whatever calls accept() sooner empties the queue");
	}
	say(advice, KNOB_MAX_SYN_BACKLOG, VERDICT_NO,
	    "it limits requests, and these are complete connections");
	say(advice, KNOB_SYNCOOKIES, VERDICT_NO,
	    "a cookie needs room in the accept queue like any other handshake");
	say(advice, KNOB_SYNACK_RETRIES, VERDICT_NO,
	    "it says how long refused handshakes linger, not whether there is room");
	say(advice, KNOB_ABORT_ON_OVERFLOW, VERDICT_NO,
	    sysctls->abort_on_overflow ?
		    "it is 1: refused clients get a RST instead of a second chance; 0 carries "
		    "them over a burst" :
		    "1 would tell clients by RST that they were refused, and refuse as many");
	if (facts->defers)
		say(advice, KNOB_DEFER_ACCEPT, VERDICT_NO,
		    "connections without data wait in the SYN queue, not in this one");
}

/* Most of what waits in the SYN queue has completed its handshake and sent nothing. */
static bool deferred_most(const struct limits_facts *facts)
{
	const struct listener_counters *counters = facts->counters;
	uint64_t requests =
		counters->synacks - counters->synacks_retransmitted - counters->cookies_sent;

	return facts->defers && counters->deferred * 2 > requests;
}

/* SYN-ACKs go out again and again: nobody answers them. */
static bool unanswered_many(const struct limits_facts *facts)
{
	const struct listener_counters *counters = facts->counters;

	return counters->synacks_retransmitted * 2 > counters->synacks - counters->cookies_sent;
}

static void advise_cookies_off(const struct limits_facts *facts, struct listen_advice *advice,
			       bool change)
{
	enum listen_verdict first = change ? VERDICT_CHANGE : VERDICT_HELPS;

	if (limits_of(facts, QUEUE_SYN).by == KNOB_MAX_SYN_BACKLOG) {
		say(advice, KNOB_MAX_SYN_BACKLOG, first,
		    "with cookies off a quarter of it is kept for peers already known, and the "
		    "rest is less than the backlog");
		say(advice, KNOB_SYNCOOKIES, VERDICT_HELPS,
		    "1 lifts that rule, and answers statelessly when the queue is full");
		say_backlog(advice, facts, VERDICT_NO);
		advice->rows[advice->count - 1].why = "tcp_max_syn_backlog binds before it";
		return;
	}
	say(advice, KNOB_SYNCOOKIES, first,
	    "0: SYNs beyond the queue are dropped; 1 answers them statelessly");
	say_backlog(advice, facts, VERDICT_HELPS);
	say(advice, KNOB_MAX_SYN_BACKLOG, VERDICT_NO, "the backlog binds before it");
}

static void advise_cookies_on(const struct limits_facts *facts, struct listen_advice *advice,
			      bool change)
{
	enum listen_verdict first = change ? VERDICT_CHANGE : VERDICT_HELPS;

	if (facts->sysctls.syncookies == 2) {
		say(advice, KNOB_SYNCOOKIES, first,
		    "2 is for tests: every handshake goes by a cookie, the queue stays empty, and "
		    "options are lost; 1 uses cookies only when it is full");
		say_backlog(advice, facts, VERDICT_NO);
		advice->rows[advice->count - 1].why = "the queue is not used";
	} else {
		say_backlog(advice, facts, first);
		say(advice, KNOB_SYNCOOKIES, VERDICT_NO,
		    "it is 1 already: nothing is dropped for this queue, and 0 would drop");
	}
	say(advice, KNOB_MAX_SYN_BACKLOG, VERDICT_NO,
	    "it has no effect unless tcp_syncookies is 0");
}

static void advise_syn(const struct limits_facts *facts, struct listen_advice *advice)
{
	bool defers = deferred_most(facts);

	if (defers)
		say(advice, KNOB_DEFER_ACCEPT, VERDICT_CHANGE,
		    "most requests have completed their handshake and wait here for data: a "
		    "shorter TCP_DEFER_ACCEPT, or none, moves them to the accept queue");
	if (facts->sysctls.syncookies)
		advise_cookies_on(facts, advice, !defers);
	else
		advise_cookies_off(facts, advice, !defers);
	if (unanswered_many(facts))
		say(advice, KNOB_SYNACK_RETRIES, VERDICT_HELPS,
		    "most SYN-ACKs stay unanswered: fewer retries free their places sooner");
	else
		say(advice, KNOB_SYNACK_RETRIES, VERDICT_NO,
		    "SYN-ACKs are answered: few places wait for a retry");
	say(advice, KNOB_ABORT_ON_OVERFLOW, VERDICT_NO, "it is about the accept queue");
}

void limits_advise(const struct limits_facts *facts, enum listen_queue queue,
		   struct listen_advice *ret)
{
	ret->count = 0;
	if (queue == QUEUE_SYN)
		advise_syn(facts, ret);
	else
		advise_accept(facts, ret);
}
