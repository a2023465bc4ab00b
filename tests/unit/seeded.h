/* SPDX-License-Identifier: GPL-2.0-only */
/* Random numbers for property tests: the seed is printed, TEST_SEED=N plays it again. */
#ifndef TCPWITNESS_TESTS_SEEDED_H
#define TCPWITNESS_TESTS_SEEDED_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

struct seeded {
	uint64_t state;
};

static inline uint64_t seed_of_run(void)
{
	const char *text = getenv("TEST_SEED");

	return text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);
}

/* splitmix64 */
static inline uint32_t seeded_next(struct seeded *random)
{
	uint64_t z = random->state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return (uint32_t)(z >> 32);
}

static inline uint32_t seeded_below(struct seeded *random, uint32_t limit)
{
	return (uint32_t)((uint64_t)seeded_next(random) * limit >> 32);
}

static inline bool seeded_chance(struct seeded *random, uint32_t percent)
{
	return seeded_below(random, 100) < percent;
}

#endif
