/* SPDX-License-Identifier: GPL-2.0-only */
/* The merge over rings of memory: order, watermark, lateness, wrap-around, bounds. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "capture/merge.h"
#include "util.h"

#define RING_BYTES 65536
#define SLACK_NS 100
#define RINGS_MAX 8
#define TAKEN_MAX 65536

struct fixture {
	struct merge *merge;
	struct ring *rings[RINGS_MAX]; /* even: segment, odd: kernel */
	uint64_t taken[TAKEN_MAX];     /* times, in the order they were handed over */
	uint32_t families[TAKEN_MAX];
	size_t nr_taken;
};

static struct fixture *fixture_new(unsigned int rings)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	fixture->merge = merge_new(rings, SLACK_NS);
	assert_non_null(fixture->merge);
	for (unsigned int i = 0; i < rings; i++) {
		assert_int_equal(ring_open_memory(RING_BYTES, &fixture->rings[i]), 0);
		merge_add(fixture->merge, fixture->rings[i], i % 2);
	}
	return fixture;
}

static void fixture_free(struct fixture *fixture)
{
	merge_free(fixture->merge);
	free(fixture);
}

/* `extra` bytes behind the header, so that records differ in size. */
static int feed(struct fixture *fixture, unsigned int ring, uint64_t ts_ns, size_t extra)
{
	_Alignas(8) uint8_t bytes[256] = { 0 };
	struct rec_hdr *hdr = (struct rec_hdr *)bytes;

	hdr->type = REC_TICK;
	hdr->version = RECORD_VERSION;
	hdr->ts_ns = ts_ns;
	return ring_write(fixture->rings[ring], bytes, sizeof(*hdr) + extra);
}

static void take(void *context, const struct merged_record *records, size_t count)
{
	struct fixture *fixture = context;

	assert_in_range(count, 1, MERGE_BATCH);
	for (size_t i = 0; i < count; i++) {
		const struct rec_hdr *hdr = records[i].bytes;

		assert_int_equal((uintptr_t)hdr % 8, 0);
		assert_true(fixture->nr_taken < TAKEN_MAX);
		fixture->families[fixture->nr_taken] = records[i].family;
		fixture->taken[fixture->nr_taken++] = records[i].size >= sizeof(*hdr) ? hdr->ts_ns :
											0;
	}
}

static void drain(struct fixture *fixture, uint64_t now_ns, bool flush)
{
	fixture->nr_taken = 0;
	merge_drain(fixture->merge, now_ns, flush, take, fixture);
}

static void assert_taken(const struct fixture *fixture, const uint64_t *expected, size_t count)
{
	assert_int_equal(fixture->nr_taken, count);
	assert_memory_equal(fixture->taken, expected, count * sizeof(*expected));
}

static void test_order_and_watermark(void **state)
{
	struct fixture *fixture = fixture_new(4);

	(void)state;
	assert_int_equal(feed(fixture, 0, 10, 0), 0);
	assert_int_equal(feed(fixture, 0, 40, 8), 0);
	assert_int_equal(feed(fixture, 1, 20, 88), 0);
	assert_int_equal(feed(fixture, 2, 30, 0), 0);
	assert_int_equal(feed(fixture, 2, 300, 0), 0);
	assert_int_equal(feed(fixture, 3, 200, 0), 0);
	drain(fixture, 130, false); /* watermark 30 */
	assert_taken(fixture, (uint64_t[]){ 10, 20, 30 }, 3);
	assert_int_equal(fixture->families[1], RING_KERNEL);
	assert_int_equal(merge_pending(fixture->merge, RING_SEGMENT), 2);
	assert_int_equal(merge_pending(fixture->merge, RING_KERNEL), 1);
	drain(fixture, 139, false);
	assert_int_equal(fixture->nr_taken, 0);
	drain(fixture, 399, false); /* 300 is one too young */
	assert_taken(fixture, (uint64_t[]){ 40, 200 }, 2);
	drain(fixture, 400, false);
	assert_taken(fixture, (uint64_t[]){ 300 }, 1);
	assert_int_equal(merge_pending(fixture->merge, RING_SEGMENT), 0);
	assert_int_equal(merge_stats(fixture->merge, RING_SEGMENT)->late, 0);
	assert_int_equal(merge_stats(fixture->merge, RING_SEGMENT)->last_record_ns, 300);
	assert_int_equal(merge_stats(fixture->merge, RING_SEGMENT)->lag_ns, 100);
	assert_int_equal(merge_stats(fixture->merge, RING_KERNEL)->last_record_ns, 200);
	fixture_free(fixture);
}

static void test_flush_takes_the_young(void **state)
{
	struct fixture *fixture = fixture_new(2);

	(void)state;
	feed(fixture, 0, 1000, 0);
	feed(fixture, 1, 900, 0);
	drain(fixture, 950, false);
	assert_int_equal(fixture->nr_taken, 0);
	drain(fixture, 950, true);
	assert_taken(fixture, (uint64_t[]){ 900, 1000 }, 2);
	fixture_free(fixture);
}

/* What is older than something handed over before is applied all the same, and counted. */
static void test_late(void **state)
{
	struct fixture *fixture = fixture_new(2);

	(void)state;
	feed(fixture, 0, 500, 0);
	drain(fixture, 700, false);
	feed(fixture, 1, 450, 0);
	feed(fixture, 1, 550, 0);
	drain(fixture, 700, false);
	assert_taken(fixture, (uint64_t[]){ 450, 550 }, 2);
	assert_int_equal(merge_stats(fixture->merge, RING_KERNEL)->late, 1);
	assert_int_equal(merge_stats(fixture->merge, RING_SEGMENT)->late, 0);
	fixture_free(fixture);
}

/* A record too short to have a time must not stop those behind it. */
static void test_short_record_passes(void **state)
{
	struct fixture *fixture = fixture_new(1);
	const uint64_t stub = 0;

	(void)state;
	assert_int_equal(ring_write(fixture->rings[0], &stub, sizeof(stub)), 0);
	feed(fixture, 0, 5, 0);
	drain(fixture, 1000, false);
	assert_taken(fixture, (uint64_t[]){ 0, 5 }, 2);
	fixture_free(fixture);
}

static void test_full_ring_refuses(void **state)
{
	struct fixture *fixture = fixture_new(1);
	size_t fed = 0;

	(void)state;
	while (feed(fixture, 0, fed, 8) == 0)
		fed++;
	assert_int_equal(fed, RING_BYTES / 32);
	assert_int_equal(feed(fixture, 0, fed, 8), -ENOSPC);
	assert_int_equal(merge_pending(fixture->merge, RING_SEGMENT), fed);
	drain(fixture, fed + SLACK_NS, false);
	assert_int_equal(fixture->nr_taken, fed);
	assert_int_equal(feed(fixture, 0, fed, 8), 0);
	fixture_free(fixture);
}

/*
 * Many rounds over more bytes than the rings hold, sizes of all kinds: every record comes out,
 * once, in order, and none later than it must.
 */
static void test_everything_once_in_order(void **state)
{
	struct fixture *fixture = fixture_new(RINGS_MAX);
	uint64_t fed = 0, taken = 0, last = 0;
	unsigned int seed = 20260101;

	(void)state;
	for (uint64_t now = 1; now < 200000; now++) {
		unsigned int dice = (unsigned int)rand_r(&seed);

		assert_int_equal(feed(fixture, dice % RINGS_MAX, now, (dice >> 8) % 120), 0);
		fed++;
		if (dice % 512)
			continue;
		drain(fixture, now, false);
		for (size_t i = 0; i < fixture->nr_taken; i++) {
			assert_int_equal(fixture->taken[i], last + 1);
			last = fixture->taken[i];
		}
		assert_true(last <= now && last + SLACK_NS >= now);
		taken += fixture->nr_taken;
	}
	drain(fixture, 200000, true);
	assert_int_equal(taken + fixture->nr_taken, fed);
	assert_int_equal(merge_stats(fixture->merge, RING_SEGMENT)->late, 0);
	assert_int_equal(merge_stats(fixture->merge, RING_KERNEL)->late, 0);
	fixture_free(fixture);
}

/* Young records wait for older ones only as long as there is room to wait in. */
/* Of the fullest ring, as the round found it. */
static void test_how_full_it_was(void **state)
{
	struct fixture *fixture = fixture_new(2);

	(void)state;
	assert_true(merge_is_empty(fixture->merge));
	for (uint64_t fed = 0; fed < RING_BYTES / 4 / 32; fed++)
		assert_int_equal(feed(fixture, 1, 1000, 8), 0);
	assert_int_equal(feed(fixture, 0, 1000, 8), 0);
	drain(fixture, 1000, false);
	assert_int_equal(merge_fill(fixture->merge), RING_FULL / 4);
	assert_false(merge_is_empty(fixture->merge));
	drain(fixture, 1000, true);
	assert_int_equal(merge_fill(fixture->merge), RING_FULL / 4);
	assert_true(merge_is_empty(fixture->merge));
	drain(fixture, 1000, false);
	assert_int_equal(merge_fill(fixture->merge), 0);
	fixture_free(fixture);
}

static void test_half_full_does_not_wait(void **state)
{
	struct fixture *fixture = fixture_new(2);
	uint64_t fed = 0;

	(void)state;
	for (; fed < RING_BYTES / 2 / 32 - 1; fed++)
		assert_int_equal(feed(fixture, 0, 1000, 8), 0);
	drain(fixture, 1000, false);
	assert_int_equal(fixture->nr_taken, 0);
	assert_int_equal(feed(fixture, 0, 1000, 8), 0);
	assert_int_equal(feed(fixture, 1, 999, 0), 0);
	assert_int_equal(feed(fixture, 1, 1001, 0), 0); /* from after `now`: not even then */
	drain(fixture, 1000, false);
	assert_int_equal(fixture->nr_taken, fed + 2);
	assert_int_equal(fixture->taken[0], 999);
	drain(fixture, 1000, false);
	assert_int_equal(fixture->nr_taken, 0);
	fixture_free(fixture);
}

/* A round ends where the rings ended when it began: a sink that feeds cannot hold it for ever. */
static void feed_again(void *context, const struct merged_record *records, size_t count)
{
	struct fixture *fixture = context;

	take(fixture, records, count);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(feed(fixture, 0, 1, 0), 0);
}

static void test_a_round_ends(void **state)
{
	struct fixture *fixture = fixture_new(1);

	(void)state;
	feed(fixture, 0, 1, 0);
	feed(fixture, 0, 1, 0);
	merge_drain(fixture->merge, 1000, false, feed_again, fixture);
	assert_int_equal(fixture->nr_taken, 2);
	assert_int_equal(merge_pending(fixture->merge, RING_SEGMENT), 2);
	fixture_free(fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_and_watermark),
		cmocka_unit_test(test_flush_takes_the_young),
		cmocka_unit_test(test_late),
		cmocka_unit_test(test_short_record_passes),
		cmocka_unit_test(test_full_ring_refuses),
		cmocka_unit_test(test_everything_once_in_order),
		cmocka_unit_test(test_how_full_it_was),
		cmocka_unit_test(test_half_full_does_not_wait),
		cmocka_unit_test(test_a_round_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
