/* SPDX-License-Identifier: GPL-2.0-only */
/* Which knob binds a queue, and which change would help: a case for each. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "listen/limits.h"

static struct listener_counters counted;

/* A listener of the defaults, with a backlog of 128, that has answered a thousand SYNs. */
static struct limits_facts usual(void)
{
	counted = (struct listener_counters){ .syns = 1000, .synacks = 1000, .handshakes = 990 };
	return (struct limits_facts){
		.backlog = 128,
		.sysctls = { .somaxconn = 4096,
			     .max_syn_backlog = 512,
			     .syncookies = 1,
			     .synack_retries = 5 },
		.counters = &counted,
	};
}

static struct listen_advice advise(const struct limits_facts *facts, enum listen_queue queue)
{
	struct listen_advice advice;

	limits_advise(facts, queue, &advice);
	assert_true(advice.count > 0 && advice.count <= KNOB_NR);
	assert_int_equal(advice.rows[0].verdict, VERDICT_CHANGE);
	for (size_t i = 0; i < advice.count; i++) {
		assert_non_null(advice.rows[i].why);
		if (i > 0)
			assert_int_not_equal(advice.rows[i].verdict, VERDICT_CHANGE);
		for (size_t j = 0; j < i; j++)
			assert_int_not_equal(advice.rows[j].knob, advice.rows[i].knob);
	}
	return advice;
}

static void assert_change(const struct limits_facts *facts, enum listen_queue queue,
			  enum listen_knob knob)
{
	assert_string_equal(listen_knob_label(advise(facts, queue).rows[0].knob),
			    listen_knob_label(knob));
}

static void assert_verdict(const struct limits_facts *facts, enum listen_queue queue,
			   enum listen_knob knob, enum listen_verdict verdict)
{
	const struct listen_advice advice = advise(facts, queue);

	for (size_t i = 0; i < advice.count; i++)
		if (advice.rows[i].knob == knob) {
			assert_int_equal(advice.rows[i].verdict, verdict);
			return;
		}
	fail_msg("nothing is said of %s", listen_knob_label(knob));
}

static void assert_limit(const struct limits_facts *facts, enum listen_queue queue, uint32_t limit,
			 enum listen_knob by)
{
	const struct listen_limit have = limits_of(facts, queue);

	assert_int_equal(have.limit, limit);
	assert_string_equal(listen_knob_label(have.by), listen_knob_label(by));
}

static void small_listen(void **state)
{
	const struct limits_facts facts = usual();

	(void)state;
	assert_limit(&facts, QUEUE_ACCEPT, 128, KNOB_LISTEN_ARGUMENT);
	assert_limit(&facts, QUEUE_SYN, 128, KNOB_LISTEN_ARGUMENT);
	assert_change(&facts, QUEUE_ACCEPT, KNOB_LISTEN_ARGUMENT);
	assert_change(&facts, QUEUE_SYN, KNOB_LISTEN_ARGUMENT);
	for (int queue = 0; queue < QUEUE_NR; queue++) {
		assert_verdict(&facts, queue, KNOB_SOMAXCONN, VERDICT_NO);
		assert_verdict(&facts, queue, KNOB_MAX_SYN_BACKLOG, VERDICT_NO);
		assert_verdict(&facts, queue, KNOB_SYNCOOKIES, VERDICT_NO);
		assert_verdict(&facts, queue, KNOB_ABORT_ON_OVERFLOW, VERDICT_NO);
	}
}

static void small_somaxconn(void **state)
{
	struct limits_facts facts = usual();

	(void)state;
	facts.sysctls.somaxconn = 128;
	assert_limit(&facts, QUEUE_ACCEPT, 128, KNOB_SOMAXCONN);
	assert_limit(&facts, QUEUE_SYN, 128, KNOB_SOMAXCONN);
	assert_change(&facts, QUEUE_ACCEPT, KNOB_SOMAXCONN);
	assert_change(&facts, QUEUE_SYN, KNOB_SOMAXCONN);
}

/* listen() cut to 128 when it was called; now it would be cut to 64. */
static void somaxconn_lowered_since(void **state)
{
	struct limits_facts facts = usual();

	(void)state;
	facts.sysctls.somaxconn = 64;
	assert_limit(&facts, QUEUE_ACCEPT, 128, KNOB_LISTEN_ARGUMENT);
	assert_verdict(&facts, QUEUE_ACCEPT, KNOB_SOMAXCONN, VERDICT_HELPS);
}

static void application_too_slow(void **state)
{
	struct limits_facts facts = usual();

	(void)state;
	facts.backlog = facts.sysctls.somaxconn;
	assert_change(&facts, QUEUE_ACCEPT, KNOB_APPLICATION);
	assert_verdict(&facts, QUEUE_ACCEPT, KNOB_SOMAXCONN, VERDICT_NO);
	facts.backlog = 128;
	assert_verdict(&facts, QUEUE_ACCEPT, KNOB_APPLICATION, VERDICT_HELPS);
}

/* The last quarter is kept: 8 let 7 requests in, a queue of limit 6. */
static void small_max_syn_backlog(void **state)
{
	struct limits_facts facts = usual();

	(void)state;
	facts.sysctls.max_syn_backlog = 8;
	assert_limit(&facts, QUEUE_SYN, 128, KNOB_LISTEN_ARGUMENT); /* cookies: no effect */
	facts.sysctls.syncookies = 0;
	assert_limit(&facts, QUEUE_SYN, 6, KNOB_MAX_SYN_BACKLOG);
	assert_limit(&facts, QUEUE_ACCEPT, 128, KNOB_LISTEN_ARGUMENT);
	assert_change(&facts, QUEUE_SYN, KNOB_MAX_SYN_BACKLOG);
	assert_verdict(&facts, QUEUE_SYN, KNOB_SYNCOOKIES, VERDICT_HELPS);
	assert_verdict(&facts, QUEUE_SYN, KNOB_LISTEN_ARGUMENT, VERDICT_NO);
	assert_change(&facts, QUEUE_ACCEPT, KNOB_LISTEN_ARGUMENT);
}

static void cookies_off(void **state)
{
	struct limits_facts facts = usual();

	(void)state;
	facts.sysctls.syncookies = 0;
	assert_limit(&facts, QUEUE_SYN, 128, KNOB_LISTEN_ARGUMENT);
	assert_change(&facts, QUEUE_SYN, KNOB_SYNCOOKIES);
	assert_verdict(&facts, QUEUE_SYN, KNOB_LISTEN_ARGUMENT, VERDICT_HELPS);
	assert_verdict(&facts, QUEUE_SYN, KNOB_MAX_SYN_BACKLOG, VERDICT_NO);
}

static void cookies_always(void **state)
{
	struct limits_facts facts = usual();

	(void)state;
	facts.sysctls.syncookies = 2;
	assert_change(&facts, QUEUE_SYN, KNOB_SYNCOOKIES);
	assert_verdict(&facts, QUEUE_SYN, KNOB_LISTEN_ARGUMENT, VERDICT_NO);
}

/* Half of the requests and more wait for data. */
static void defer_accept(void **state)
{
	struct limits_facts facts = usual();

	(void)state;
	facts.defers = true;
	assert_change(&facts, QUEUE_SYN, KNOB_LISTEN_ARGUMENT);
	counted.deferred = 501;
	assert_change(&facts, QUEUE_SYN, KNOB_DEFER_ACCEPT);
	facts.sysctls.syncookies = 0;
	assert_change(&facts, QUEUE_SYN, KNOB_DEFER_ACCEPT);
	assert_verdict(&facts, QUEUE_SYN, KNOB_SYNCOOKIES, VERDICT_HELPS);
	assert_verdict(&facts, QUEUE_ACCEPT, KNOB_DEFER_ACCEPT, VERDICT_NO);
	facts.defers = false;
	assert_change(&facts, QUEUE_SYN, KNOB_SYNCOOKIES);
}

static void abort_on_overflow(void **state)
{
	struct limits_facts facts = usual();

	(void)state;
	facts.sysctls.abort_on_overflow = 1;
	assert_change(&facts, QUEUE_ACCEPT, KNOB_LISTEN_ARGUMENT);
	assert_verdict(&facts, QUEUE_ACCEPT, KNOB_ABORT_ON_OVERFLOW, VERDICT_NO);
}

/* The textbook's fewer retries only where SYN-ACKs stay unanswered. */
static void synack_retries(void **state)
{
	const struct limits_facts facts = usual();

	(void)state;
	assert_verdict(&facts, QUEUE_SYN, KNOB_SYNACK_RETRIES, VERDICT_NO);
	counted.synacks_retransmitted = 501;
	assert_verdict(&facts, QUEUE_SYN, KNOB_SYNACK_RETRIES, VERDICT_HELPS);
	assert_verdict(&facts, QUEUE_ACCEPT, KNOB_SYNACK_RETRIES, VERDICT_NO);
}

static void overflows(void **state)
{
	static const struct {
		enum listener_drop reason;
		bool queues[QUEUE_NR];
	} cases[] = {
		{ LISTENER_DROP_ACCEPT_QUEUE_FULL, { [QUEUE_ACCEPT] = true } },
		{ LISTENER_DROP_FINAL_ACK_REFUSED, { [QUEUE_ACCEPT] = true } },
		{ LISTENER_DROP_COOKIE_REFUSED, { [QUEUE_ACCEPT] = true } },
		{ LISTENER_DROP_SYN_QUEUE_FULL, { [QUEUE_SYN] = true } },
		{ LISTENER_DROP_LAST_QUARTER, { [QUEUE_SYN] = true } },
		{ LISTENER_DROP_COOKIE_INVALID, { false } },
		{ LISTENER_DROP_FILTERED, { false } },
		{ LISTENER_DROP_OTHER, { false } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct limits_facts facts = usual();

		counted.drops[cases[i].reason] = 1;
		for (int queue = 0; queue < QUEUE_NR; queue++)
			assert_int_equal(limits_overflowed(&facts, queue), cases[i].queues[queue]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_listen),
		cmocka_unit_test(small_somaxconn),
		cmocka_unit_test(somaxconn_lowered_since),
		cmocka_unit_test(application_too_slow),
		cmocka_unit_test(small_max_syn_backlog),
		cmocka_unit_test(cookies_off),
		cmocka_unit_test(cookies_always),
		cmocka_unit_test(defer_accept),
		cmocka_unit_test(abort_on_overflow),
		cmocka_unit_test(synack_retries),
		cmocka_unit_test(overflows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
