/* SPDX-License-Identifier: GPL-2.0-only */
/* The estimate of a HyperLogLog sketch: see estimate.h. */
#include "listen/estimate.h"

#include <sys/param.h>

#include "counters.h"

/* alpha_infinity, 1 / (2 ln 2) */
#define ALPHA 0.721347520444481703680

void sketch_add(struct sketch_union *sum, const struct source_sketch *sketch, uint64_t number)
{
	for (int w = 0; w < 2; w++) {
		const struct source_window *window = &sketch->windows[w];

		if (window->number != number && window->number + 1 != number)
			continue;
		sum->any = true;
		for (uint32_t i = 0; i < SOURCES_REGISTERS; i++)
			sum->registers[i] = MAX(sum->registers[i], window->registers[i]);
	}
}

/* x + the sum of x^(2^k) 2^(k-1), k from 1; x = 1: without end. */
static double sigma(double x)
{
	double sum = x, before, weight = 1;

	do {
		before = sum;
		x *= x;
		sum += x * weight;
		weight += weight;
	} while (sum != before);
	return sum;
}

/*
 * Ertl 2017, "New cardinality estimation algorithms for HyperLogLog sketches", algorithm 6: one
 * formula for few and for many, without bias between. Registers at the highest rank would need
 * 2^64 sources, so its term tau is left out.
 */
uint64_t sketch_estimate(const struct sketch_union *sum)
{
	uint32_t ranks[SOURCES_RANK_MAX + 1] = { 0 };
	const double registers = SOURCES_REGISTERS;
	double z = 0;

	if (!sum->any)
		return 0;
	for (uint32_t i = 0; i < SOURCES_REGISTERS; i++)
		ranks[MIN(sum->registers[i], SOURCES_RANK_MAX)]++;
	if (ranks[0] == SOURCES_REGISTERS)
		return 0;
	for (int rank = SOURCES_RANK_MAX; rank > 0; rank--)
		z = 0.5 * (z + ranks[rank]);
	z += registers * sigma(ranks[0] / registers);
	return (uint64_t)(ALPHA * registers * registers / z + 0.5);
}
