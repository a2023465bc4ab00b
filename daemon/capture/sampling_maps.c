/* SPDX-License-Identifier: GPL-2.0-only */
/* The maps of sampling: see sampling_maps.h. */
#include "capture/sampling_maps.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/param.h>
#include <unistd.h>

#include "config.h"

/* In the order in which they were first seen: their rows must not change places. BPF adds keys and
 * deletes none, so as long as there are no more, there are no others. */
struct sampling_sites {
	uint32_t count;
	struct sampling_site at[SAMPLING_SITES_MAX];
};

static size_t slots_bytes(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (SAMPLING_SLOTS * sizeof(struct sampling_slot) + page - 1) / page * page;
}

int sampling_maps_init(struct sampling_maps *maps, int slots_fd, int counts_fd, int program_fd,
		       const struct sampling_words *words, unsigned int cpus)
{
	const struct sampling_site elsewhere = { 0 };
	void *slots;

	maps->counts_fd = counts_fd;
	maps->program_fd = program_fd;
	maps->words = *words;
	maps->cpus = cpus;
	maps->scratch = calloc(cpus, sizeof(*maps->scratch));
	maps->sites = calloc(1, sizeof(*maps->sites));
	if (!maps->scratch || !maps->sites)
		return -ENOMEM;
	slots = mmap(NULL, slots_bytes(), PROT_READ, MAP_SHARED, slots_fd, 0);
	if (slots == MAP_FAILED)
		return -errno;
	maps->slots = slots;
	return bpf_map_update_elem(counts_fd, &elsewhere, maps->scratch, BPF_NOEXIST) ? -errno : 0;
}

void sampling_maps_fini(struct sampling_maps *maps)
{
	if (maps->slots)
		munmap((void *)maps->slots, slots_bytes());
	free(maps->scratch);
	free(maps->sites);
	memset(maps, 0, sizeof(*maps));
}

uint32_t sampling_maps_active(const struct sampling_maps *maps)
{
	return *(const volatile uint32_t *)maps->words.active;
}

static void pass_time(const struct sampling_maps *maps, uint32_t slot)
{
	/* as bpf/sampling.bpf.c has it: the least that is taken for a frame */
	const uint32_t question[4] = { slot };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = question, .data_size_in = sizeof(question));

	bpf_prog_test_run_opts(maps->program_fd, &opts);
}

void sampling_maps_pass_time(const struct sampling_maps *maps, uint64_t now_ns)
{
	uint32_t window = (uint32_t)(now_ns >> SAMPLING_WINDOW_SHIFT);

	if (maps->words.all->control && maps->words.all->window != window)
		pass_time(maps, SAMPLING_SLOTS);
	if (!sampling_maps_active(maps))
		return;
	for (uint32_t i = 0; i < SAMPLING_SLOTS; i++)
		if (sampling_shift(&maps->slots[i]) && maps->slots[i].window != window)
			pass_time(maps, i);
}

uint32_t sampling_maps_shift(const struct sampling_maps *maps, const struct sampling_site *site)
{
	return sampling_shift(&maps->slots[sampling_slot_of(site)]);
}

static void sites_add(struct sampling_sites *sites, const struct sampling_site *site)
{
	for (uint32_t i = 0; i < sites->count; i++)
		if (!memcmp(&sites->at[i], site, sizeof(*site)))
			return;
	if (sites->count < SAMPLING_SITES_MAX)
		sites->at[sites->count++] = *site;
}

static void sites_refresh(const struct sampling_maps *maps)
{
	struct sampling_site keys[2];
	uint32_t count = 0;

	for (int err = bpf_map_get_next_key(maps->counts_fd, NULL, &keys[0]); !err;
	     err = bpf_map_get_next_key(maps->counts_fd, &keys[0], &keys[1]), keys[0] = keys[1])
		count++;
	if (count == maps->sites->count)
		return;
	for (int err = bpf_map_get_next_key(maps->counts_fd, NULL, &keys[0]); !err;
	     err = bpf_map_get_next_key(maps->counts_fd, &keys[0], &keys[1]), keys[0] = keys[1])
		sites_add(maps->sites, &keys[0]);
}

static void counters_read(const struct sampling_maps *maps, const struct sampling_site *site,
			  struct sampling_counters *sum)
{
	if (bpf_map_lookup_elem(maps->counts_fd, site, maps->scratch))
		return;
	for (unsigned int cpu = 0; cpu < maps->cpus; cpu++) {
		for (int kind = 0; kind < SAMPLING_KIND_NR; kind++)
			sum->suppressed[kind] += maps->scratch[cpu].suppressed[kind];
		sum->born += maps->scratch[cpu].born;
	}
}

void sampling_maps_read(const struct sampling_maps *maps, struct sampling_stats *ret)
{
	const struct sampling_site elsewhere = { 0 };

	ret->active = sampling_maps_active(maps);
	ret->share = sampling_share(maps->words.all, ret->budget, ret->total);
	sites_refresh(maps);
	for (uint32_t i = 0; i < maps->sites->count; i++) {
		const struct sampling_site *site = &maps->sites->at[i];
		bool named = ret->nr_rows < SAMPLING_ROWS_MAX &&
			     memcmp(site, &elsewhere, sizeof(elsewhere));
		struct sampling_row *row = named ? &ret->rows[ret->nr_rows++] : &ret->other;

		row->site = *site;
		row->shift = MAX(row->shift, sampling_maps_shift(maps, site));
		counters_read(maps, site, &row->counters);
	}
	ret->other.site = elsewhere;
}
