/* SPDX-License-Identifier: GPL-2.0-only */
/* What became of SYNs and ACKs, against what was foreseen; and the namespace's own counters. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "listen/namespace.h"
#include "listen/outcome.h"

#define DROPS(name) drops[LISTENER_DROP_##name]

static struct listener_outcome outcome;

/* Two looks at counters that rest. */
static struct listener_counters settled(const struct listener_counters *now,
					enum syn_queue_test test, bool alone)
{
	struct listener_counters told = *now;

	for (int i = 0; i < 3; i++)
		outcome_settle(&outcome, test, alone, now);
	outcome_apply(&outcome, test, false, &told);
	return told;
}

static int fresh(void **state)
{
	(void)state;
	outcome = (struct listener_outcome){ 0 };
	return 0;
}

static void foreseen_and_so(void **state)
{
	const struct listener_counters now = {
		.syns = 100,
		.synacks = 90,
		.synacks_retransmitted = 5,
		.attempts = 83,
		.handshakes = 80,
		.DROPS(ACCEPT_QUEUE_FULL) = 9,
		.DROPS(SYN_QUEUE_FULL) = 6,
		.DROPS(FINAL_ACK_REFUSED) = 1,
		.DROPS(COOKIE_REFUSED) = 2,
	};
	const struct listener_counters told = settled(&now, SYN_QUEUE_FULL_UNKNOWN, true);

	(void)state;
	assert_int_equal(told.DROPS(ACCEPT_QUEUE_FULL), 9);
	assert_int_equal(told.DROPS(SYN_QUEUE_FULL), 6);
	assert_int_equal(told.DROPS(FINAL_ACK_REFUSED), 1);
	assert_int_equal(told.DROPS(COOKIE_REFUSED), 2);
	assert_int_equal(told.DROPS(OTHER), 0);
}

/* Five SYN-ACKs were sent again, four of which a device refused: they answer no other SYN. */
static void refused_by_the_device(void **state)
{
	const struct listener_counters now = {
		.syns = 100,
		.synacks = 95,
		.synacks_again = 5,
		.synacks_retransmitted = 1,
		.DROPS(SYN_QUEUE_FULL) = 10,
	};
	const struct listener_counters told = settled(&now, SYN_QUEUE_FULL_BEYOND, true);

	(void)state;
	assert_int_equal(told.DROPS(SYN_QUEUE_FULL), 10);
	assert_int_equal(told.DROPS(OTHER), 0);
}

/* The application accepted in between: ten were foreseen, eight came true. */
static void foreseen_too_many(void **state)
{
	const struct listener_counters now = {
		.syns = 100,
		.synacks = 92,
		.attempts = 92,
		.handshakes = 89,
		.DROPS(ACCEPT_QUEUE_FULL) = 10,
		.DROPS(FINAL_ACK_REFUSED) = 5,
	};
	const struct listener_counters told = settled(&now, SYN_QUEUE_FULL_UNKNOWN, true);

	(void)state;
	assert_int_equal(told.DROPS(ACCEPT_QUEUE_FULL), 8);
	assert_int_equal(told.DROPS(FINAL_ACK_REFUSED), 3);
}

/* A batch of XDP hides a few; what is far beyond has another cause. */
static void foreseen_too_few(void **state)
{
	struct listener_counters now = { .syns = 100,
					 .synacks = 86,
					 .DROPS(ACCEPT_QUEUE_FULL) = 10 };
	struct listener_counters told = settled(&now, SYN_QUEUE_FULL_UNKNOWN, true);

	(void)state;
	assert_int_equal(told.DROPS(ACCEPT_QUEUE_FULL), 14);
	assert_int_equal(told.DROPS(OTHER), 0);
	now.syns += 20;
	told = settled(&now, SYN_QUEUE_FULL_UNKNOWN, true);
	assert_int_equal(told.DROPS(ACCEPT_QUEUE_FULL), 14);
	assert_int_equal(told.DROPS(OTHER), 20);
}

static void never_goes_back(void **state)
{
	struct listener_counters now = { .syns = 10, .synacks = 8, .DROPS(ACCEPT_QUEUE_FULL) = 2 };

	(void)state;
	assert_int_equal(settled(&now, SYN_QUEUE_FULL_UNKNOWN, true).DROPS(ACCEPT_QUEUE_FULL), 2);
	now.synacks = 9; /* one was still under way */
	assert_int_equal(settled(&now, SYN_QUEUE_FULL_UNKNOWN, true).DROPS(ACCEPT_QUEUE_FULL), 2);
	now.syns += 1;
	now.DROPS(ACCEPT_QUEUE_FULL)++;
	assert_int_equal(settled(&now, SYN_QUEUE_FULL_UNKNOWN, true).DROPS(ACCEPT_QUEUE_FULL), 2);
}

/* A SYN that is not answered yet, at one look, is not dropped. */
static void under_way_is_not_dropped(void **state)
{
	const struct listener_counters under_way = { .syns = 10, .synacks = 9 };
	const struct listener_counters answered = { .syns = 10, .synacks = 10 };

	(void)state;
	outcome_settle(&outcome, SYN_QUEUE_FULL_UNKNOWN, true, &under_way);
	assert_int_equal(settled(&answered, SYN_QUEUE_FULL_UNKNOWN, true).DROPS(OTHER), 0);
}

static void last_quarter_is_open_to_some(void **state)
{
	const struct listener_counters now = { .syns = 10,
					       .synacks = 8,
					       .DROPS(LAST_QUARTER) = 5,
					       .quarter_admitted = 4,
					       .quarter_time_wait = 1 };
	const struct listener_counters told = settled(&now, SYN_QUEUE_FULL_UNKNOWN, true);

	(void)state;
	assert_int_equal(told.DROPS(LAST_QUARTER), 2);
	assert_int_equal(told.DROPS(OTHER), 0);
}

static void full_at_the_limit_is_observed(void **state)
{
	struct listener_counters now = { .syns = 8, .synacks = 5, .at_limit = 3 };

	(void)state;
	outcome_settle(&outcome, SYN_QUEUE_FULL_UNKNOWN, true, &now);
	assert_int_equal(outcome_test(&outcome, &now), SYN_QUEUE_FULL_AT);
	assert_int_equal(settled(&now, SYN_QUEUE_FULL_AT, true).DROPS(SYN_QUEUE_FULL), 3);
	now.beyond_limit = 1;
	assert_int_equal(outcome_test(&outcome, &now), SYN_QUEUE_FULL_BEYOND);
	now.at_limit_time_wait = 1; /* which every kernel lets in */
	assert_int_equal(outcome_test(&outcome, &now), SYN_QUEUE_FULL_AT);
	now.at_limit_cookies = 4;
	now.cookies_wanted = 1;
	assert_int_equal(settled(&now, SYN_QUEUE_FULL_AT, true).cookies_wanted, 5);
}

static void few_syns_show_nothing(void **state)
{
	const struct listener_counters now = { .syns = 2, .at_limit = 2 };

	(void)state;
	outcome_settle(&outcome, SYN_QUEUE_FULL_UNKNOWN, true, &now);
	assert_int_equal(outcome_test(&outcome, &now), SYN_QUEUE_FULL_UNKNOWN);
}

/* Members of a group share their children; by XDP attempts are not what they seem. */
static void without_outcome_what_was_foreseen(void **state)
{
	struct listener_counters now = { .attempts = 9, .DROPS(FINAL_ACK_REFUSED) = 4 };

	(void)state;
	assert_int_equal(settled(&now, SYN_QUEUE_FULL_UNKNOWN, false).DROPS(FINAL_ACK_REFUSED), 4);
	now.attempts_early = 3;
	now.DROPS(FINAL_ACK_REFUSED) = 5;
	assert_int_equal(settled(&now, SYN_QUEUE_FULL_UNKNOWN, true).DROPS(FINAL_ACK_REFUSED), 5);
}

static void the_kernel_tells(void **state)
{
	struct listener_counters now = { .attempts = 9,
					 .handshakes = 9,
					 .told_acks = 2,
					 .told_cookies = 3,
					 .DROPS(FINAL_ACK_REFUSED) = 7 };

	(void)state;
	outcome_apply(&outcome, SYN_QUEUE_FULL_UNKNOWN, true, &now);
	assert_int_equal(now.DROPS(FINAL_ACK_REFUSED), 2);
	assert_int_equal(now.DROPS(COOKIE_REFUSED), 3);
}

static void namespace_counters(void **state)
{
	static const char text[] = "TcpExt: SyncookiesSent ListenOverflows Odd ListenDrops\n"
				   "TcpExt: 3 18446744073709551615 5 7\n"
				   "IpExt: InOctets\nIpExt: 9\n";
	struct listen_mibs mibs;

	(void)state;
	assert_true(listen_mibs_parse(text, &mibs));
	assert_int_equal(mibs.at[LISTEN_MIB_COOKIES_SENT], 3);
	assert_int_equal(mibs.at[LISTEN_MIB_OVERFLOWS], UINT64_MAX);
	assert_int_equal(mibs.at[LISTEN_MIB_DROPS], 7);
	assert_int_equal(mibs.at[LISTEN_MIB_COOKIES_FAILED], 0);
	assert_false(listen_mibs_parse("TcpExt: ListenDrops\n", &mibs));
	assert_false(listen_mibs_parse("", &mibs));
	assert_int_equal(listen_mibs_read(&mibs), 0);
}

/* KERNEL's table: which counter moves with which reason. */
static void namespace_counters_of_drops(void **state)
{
	struct listener_counters sum = { .cookies_sent = 100,
					 .cookies_accepted = 200,
					 .cookies_wanted = 300 };
	struct listen_mibs mibs;

	(void)state;
	for (int reason = 0; reason < LISTENER_DROP_NR; reason++)
		sum.drops[reason] = 1u << reason;
	mibs = listen_mibs_of(&sum);
	assert_int_equal(mibs.at[LISTEN_MIB_OVERFLOWS], 1 + 2 + 4);
	assert_int_equal(mibs.at[LISTEN_MIB_DROPS], 1 + 2 + 4 + 8 + 16 + 128);
	assert_int_equal(mibs.at[LISTEN_MIB_REQUESTS_DROPPED], 8);
	assert_int_equal(mibs.at[LISTEN_MIB_COOKIES_FAILED], 32);
	assert_int_equal(mibs.at[LISTEN_MIB_COOKIES_SENT], 100);
	assert_int_equal(mibs.at[LISTEN_MIB_COOKIES_RECEIVED], 200);
	assert_int_equal(mibs.at[LISTEN_MIB_REQUESTS_COOKIES], 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(foreseen_and_so, fresh),
		cmocka_unit_test_setup(refused_by_the_device, fresh),
		cmocka_unit_test_setup(foreseen_too_many, fresh),
		cmocka_unit_test_setup(foreseen_too_few, fresh),
		cmocka_unit_test_setup(never_goes_back, fresh),
		cmocka_unit_test_setup(under_way_is_not_dropped, fresh),
		cmocka_unit_test_setup(last_quarter_is_open_to_some, fresh),
		cmocka_unit_test_setup(full_at_the_limit_is_observed, fresh),
		cmocka_unit_test_setup(few_syns_show_nothing, fresh),
		cmocka_unit_test_setup(without_outcome_what_was_foreseen, fresh),
		cmocka_unit_test_setup(the_kernel_tells, fresh),
		cmocka_unit_test(namespace_counters),
		cmocka_unit_test(namespace_counters_of_drops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
