/* SPDX-License-Identifier: GPL-2.0-only */
/* One budget over all sites: who is sampled when many are beyond it together, and until when. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>

#include "sampling.h"

#define BUDGET 1000u
#define CROWD_MAX 4096u
#define OFFERED_MAX 65536u /* in a window, of all */

struct crowd {
	struct sampling_all all;
	struct sampling_slot sites[CROWD_MAX];
	uint32_t nr_sites, rates[CROWD_MAX]; /* records a window */
	bool sampled[CROWD_MAX];	     /* ever */
	uint32_t total, budget;
	uint64_t now_ns, random;
	uint32_t recorded, most; /* in the last window, and most of any */
	uint32_t moves;		 /* of the shares */
};

static struct crowd *crowd_new(uint32_t nr_sites, uint32_t rate, uint32_t budget, uint32_t total)
{
	struct crowd *crowd = calloc(1, sizeof(*crowd));

	assert_non_null(crowd);
	crowd->now_ns = 1000 * SAMPLING_WINDOW_NS;
	crowd->random = 0x5eed5eed5eed5eedull;
	crowd->nr_sites = nr_sites;
	crowd->budget = budget;
	crowd->total = total;
	for (uint32_t i = 0; i < nr_sites; i++)
		crowd->rates[i] = rate;
	return crowd;
}

static uint32_t crowd_random(struct crowd *crowd)
{
	crowd->random = crowd->random * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(crowd->random >> 32);
}

static uint32_t crowd_share(const struct crowd *crowd)
{
	return (uint32_t)sampling_share(&crowd->all, crowd->budget, crowd->total);
}

/* As bpf/sample.h does, with every record counted; 0 records: time passes. */
static void crowd_account(struct crowd *crowd, uint32_t site, uint32_t records, bool taken)
{
	uint32_t share = crowd_share(crowd);
	struct sampling_change change;

	sampling_account_all(&crowd->all, crowd->now_ns, records, taken, crowd->total);
	crowd->moves += share != crowd_share(crowd);
	sampling_account(&crowd->sites[site], crowd->now_ns, records, taken, crowd_share(crowd),
			 &change);
	if (sampling_shift(&crowd->sites[site]))
		crowd->sampled[site] = true;
}

/* One window, in which what comes for each site is spread among the others'. */
static void crowd_window(struct crowd *crowd)
{
	static uint32_t order[OFFERED_MAX];
	uint64_t begin_ns = crowd->now_ns;
	uint32_t offered = 0;

	for (uint32_t site = 0; site < crowd->nr_sites; site++)
		for (uint32_t i = 0; i < crowd->rates[site]; i++) {
			uint32_t at = crowd_random(crowd) % (offered + 1);

			assert_true(offered < OFFERED_MAX);
			order[offered++] = order[at];
			order[at] = site;
		}
	crowd->recorded = 0;
	for (uint32_t i = 0; i < offered; i++) {
		struct sampling_slot *slot = &crowd->sites[order[i]];
		bool taken = sampling_takes(crowd_random(crowd), sampling_shift(slot));

		crowd->now_ns = begin_ns + i * SAMPLING_WINDOW_NS / offered;
		crowd->recorded += taken;
		crowd_account(crowd, order[i], 1, taken);
	}
	if (crowd->recorded > crowd->most)
		crowd->most = crowd->recorded;
	crowd->now_ns = begin_ns + SAMPLING_WINDOW_NS;
	for (uint32_t site = 0; site < crowd->nr_sites; site++)
		crowd_account(crowd, site, 0, false);
}

static void crowd_run(struct crowd *crowd, uint32_t windows)
{
	while (windows--)
		crowd_window(crowd);
}

static bool crowd_is_sampled(const struct crowd *crowd)
{
	for (uint32_t site = 0; site < crowd->nr_sites; site++)
		if (sampling_shift(&crowd->sites[site]))
			return true;
	return crowd->all.control != 0;
}

static void test_total_that_is_enough(void **state)
{
	struct crowd *crowd = crowd_new(20, 49, BUDGET, BUDGET);

	(void)state;
	crowd_run(crowd, 30);
	assert_int_equal(crowd->moves, 0);
	assert_false(crowd_is_sampled(crowd));
	free(crowd);
}

/* None of the listeners is beyond its own budget, and all of them together are, at any number. */
static void test_flood_of_many(void **state)
{
	(void)state;
	for (uint32_t sites = 2; sites <= 2048; sites *= 4) {
		struct crowd *crowd = crowd_new(sites, 20 * BUDGET / sites, 16 * BUDGET, BUDGET);
		uint32_t moves;

		crowd_run(crowd, 1);
		assert_true(crowd->most <= 3 * BUDGET + 2 * sites);
		crowd_run(crowd, 40);
		moves = crowd->moves;
		crowd->most = 0;
		crowd_run(crowd, 100);
		assert_true(crowd->most <= BUDGET);
		assert_true(crowd->recorded >= BUDGET / 16);
		/* it finds its place and stays there */
		assert_true(crowd->moves - moves <= 8);
		free(crowd);
	}
}

/* Whoever needs less than a share is followed whole, in the midst of it. */
static void test_the_busiest_are_sampled(void **state)
{
	struct crowd *crowd = crowd_new(24, 20, 16 * BUDGET, BUDGET);

	(void)state;
	for (uint32_t site = 0; site < 6; site++)
		crowd->rates[site] = (site + 1) * BUDGET;
	crowd_run(crowd, 200);
	for (uint32_t site = 0; site < crowd->nr_sites; site++)
		assert_int_equal(crowd->sampled[site], site < 6);
	/* the busiest of them most */
	assert_true(sampling_shift(&crowd->sites[5]) > sampling_shift(&crowd->sites[0]));
	free(crowd);
}

/* More sites than the total has records: each that is counted raises a shift. */
static void test_more_sites_than_records(void **state)
{
	struct crowd *crowd = crowd_new(CROWD_MAX, 10, BUDGET, 64);
	uint64_t sum = 0;

	(void)state;
	crowd_run(crowd, 20);
	for (int i = 0; i < 100; i++) {
		crowd_window(crowd);
		sum += crowd->recorded;
	}
	assert_int_equal(crowd_share(crowd), 1);
	/* of each a few in a calm, before its shift is back; 40,960 are offered */
	assert_true(sum / 100 <= 2 * CROWD_MAX / SAMPLING_CALM);
	free(crowd);
}

static void test_total_in_silence(void **state)
{
	struct crowd *crowd = crowd_new(8, 3 * BUDGET, 16 * BUDGET, BUDGET);

	(void)state;
	crowd_run(crowd, 20);
	assert_true(crowd_is_sampled(crowd));
	for (uint32_t site = 0; site < crowd->nr_sites; site++)
		crowd->rates[site] = 0;
	crowd_run(crowd, SAMPLING_CALM + 1);
	assert_false(crowd_is_sampled(crowd));
	free(crowd);
}

/* Ordinary load remains, of what had been sampled too: whole within four runs of calm windows. */
static void test_total_and_ordinary_load(void **state)
{
	struct crowd *crowd = crowd_new(8, 3 * BUDGET, 16 * BUDGET, BUDGET);

	(void)state;
	crowd_run(crowd, 20);
	for (uint32_t site = 0; site < crowd->nr_sites; site++)
		crowd->rates[site] = BUDGET / 20;
	crowd_run(crowd, 4 * SAMPLING_CALM);
	assert_false(crowd_is_sampled(crowd));
	free(crowd);
}

/* All but one of many stop: the shares grow, as far as that one and the total allow. */
static void test_shares_follow(void **state)
{
	struct crowd *crowd = crowd_new(512, BUDGET / 16, 16 * BUDGET, BUDGET);
	uint32_t low, high;

	(void)state;
	crowd_run(crowd, 40);
	low = crowd_share(crowd);
	for (uint32_t site = 1; site < crowd->nr_sites; site++)
		crowd->rates[site] = 0;
	crowd->rates[0] = 8 * BUDGET;
	crowd_run(crowd, 300);
	high = crowd_share(crowd);
	assert_true(high > 8 * low);
	crowd->most = 0;
	crowd_run(crowd, 100);
	assert_int_equal(crowd_share(crowd), high);
	assert_true(crowd->most <= BUDGET && crowd->recorded >= BUDGET / 8);
	free(crowd);
}

static void test_shares(void **state)
{
	struct sampling_all all = { 0 };

	(void)state;
	assert_int_equal(sampling_share(&all, 5, 0), 5);
	assert_int_equal(sampling_share(&all, 0, 7), 7);
	assert_int_equal(sampling_share(&all, 5, 7), 5);
	assert_int_equal(sampling_share(&all, 9, 7), 7);
	all.control = 1 | 3 << 8;
	assert_int_equal(sampling_share(&all, 5, 7), 3);
	assert_int_equal(sampling_share(&all, 2, 7), 2);
	assert_int_equal(sampling_share(&all, 5, 0), 5);
	all.control = SAMPLING_SHIFT_MAX;
	assert_int_equal(sampling_share(&all, 5, 7), 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_total_that_is_enough),
		cmocka_unit_test(test_flood_of_many),
		cmocka_unit_test(test_the_busiest_are_sampled),
		cmocka_unit_test(test_more_sites_than_records),
		cmocka_unit_test(test_total_in_silence),
		cmocka_unit_test(test_total_and_ordinary_load),
		cmocka_unit_test(test_shares_follow),
		cmocka_unit_test(test_shares),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
