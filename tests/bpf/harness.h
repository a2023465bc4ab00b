/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the BPF tests share: the objects loaded for the current network namespace, and the records
 * of all rings copied into one list in order of time. Needs root.
 */
#ifndef TCPWITNESS_TESTS_BPF_HARNESS_H
#define TCPWITNESS_TESTS_BPF_HARNESS_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capture/clsact.h"
#include "capture/kernel_facts.h"
#include "config.h"
#include "counters.h"
#include "record.h"
#include "sampling.h"
#include "tcp_defs.h"
#include "witness.skel.h"

/* linux include/uapi/linux/bpf.h of 6.6 */
#define HARNESS_TCX_INGRESS 46
#define HARNESS_TCX_EGRESS 47

#define HARNESS_CPUS_MAX 256
#define HARNESS_RECORDS_MAX 256
#define HARNESS_RECORD_BYTES 160
#define HARNESS_RING_BYTES (1u << 16)

struct harness_record {
	size_t size;
	union {
		uint8_t bytes[HARNESS_RECORD_BYTES];
		struct rec_hdr hdr;
		struct rec_segment segment;
		struct rec_drop drop;
		struct rec_retransmit retransmit;
		struct rec_reset reset;
		struct rec_state state;
		struct rec_listen listen;
		struct rec_sampling sampling;
	};
} __attribute__((aligned(8)));

struct harness {
	struct witness *skel;
	struct ring_buffer *rings;
	unsigned int cpus;
	uint32_t netns;
	bool discard;				  /* records are counted, not kept */
	bool has_reset_reason, has_drop_receiver; /* what this kernel's tracepoints tell */
	size_t count;
	struct harness_record records[HARNESS_RECORDS_MAX];
};

/* Of the next harness_open(): records a slot may make in a window; 0 = no limit. */
static uint32_t harness_sampling_budget, harness_sampling_total;
#define HARNESS_SAMPLING_SEED 0x0123456789abcdefull

static inline int harness_collect(void *context, void *data, size_t size)
{
	struct harness *harness = context;
	struct harness_record *record;

	if (harness->discard)
		return 0;
	assert_true(harness->count < HARNESS_RECORDS_MAX);
	assert_true(size <= HARNESS_RECORD_BYTES);
	record = &harness->records[harness->count++];
	record->size = size;
	memcpy(record->bytes, data, size);
	return 0;
}

static inline int harness_by_time(const void *one, const void *two)
{
	const struct harness_record *a = one, *b = two;

	return a->hdr.ts_ns < b->hdr.ts_ns ? -1 : a->hdr.ts_ns > b->hdr.ts_ns;
}

/* Takes over what is in the rings; the list is in order of time afterwards. */
static inline void harness_drain(struct harness *harness)
{
	assert_true(ring_buffer__consume(harness->rings) >= 0);
	qsort(harness->records, harness->count, sizeof(harness->records[0]), harness_by_time);
}

/* Empties the rings and says how many records were in them, without keeping any. */
static inline size_t harness_count(struct harness *harness)
{
	size_t count = 0;
	int drained;

	harness->discard = true;
	do {
		drained = ring_buffer__consume(harness->rings);
		assert_true(drained >= 0);
		count += (size_t)drained;
	} while (drained);
	harness->discard = false;
	return count;
}

static inline void harness_skip_test(void **state)
{
	(void)state;
	print_message("skipped: needs root (CAP_BPF, network namespaces)\n");
	skip();
}

/* What main() returns where there are no privileges: one skipped test that says why. */
static inline int harness_skip(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(harness_skip_test) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}

static inline void harness_rings(struct harness *harness, struct bpf_map *map, int *fds)
{
	for (unsigned int cpu = 0; cpu < harness->cpus; cpu++) {
		fds[cpu] = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "test_ring", 0, 0,
					  HARNESS_RING_BYTES, NULL);
		assert_true(fds[cpu] >= 0);
	}
	assert_int_equal(bpf_map__set_max_entries(map, harness->cpus), 0);
}

static inline void harness_enter(struct harness *harness, struct bpf_map *map, int *fds)
{
	for (uint32_t cpu = 0; cpu < harness->cpus; cpu++) {
		assert_int_equal(bpf_map_update_elem(bpf_map__fd(map), &cpu, &fds[cpu], BPF_ANY),
				 0);
		if (!harness->rings)
			harness->rings = ring_buffer__new(fds[cpu], harness_collect, harness, NULL);
		else
			assert_int_equal(ring_buffer__add(harness->rings, fds[cpu], harness_collect,
							  harness),
					 0);
		assert_non_null(harness->rings);
		close(fds[cpu]); /* the map holds the ring, and the ring buffer its own mapping */
	}
}

/* Of a tracepoint's variants, the one whose arguments this kernel has. */
static inline void harness_choose(struct harness *harness)
{
	struct kernel_facts *facts;
	struct config *config = (struct config *)&harness->skel->rodata->config;
	bool has_reason, has_receiver;

	assert_int_equal(kernel_facts_new(NULL, &facts), 0);
	has_reason = kernel_facts_tracepoint(facts, "tcp_send_reset") >= 3;
	has_receiver = kernel_facts_tracepoint(facts, "kfree_skb") >= 4;
	config->casts = kernel_facts_has_function(facts, "bpf_rdonly_cast");
	harness->has_reset_reason = has_reason;
	harness->has_drop_receiver = has_receiver;
	bpf_program__set_autoload(harness->skel->progs.on_send_reset, has_reason);
	bpf_program__set_autoload(harness->skel->progs.on_send_reset_noreason, !has_reason);
	bpf_program__set_autoload(harness->skel->progs.on_kfree_skb, has_receiver);
	bpf_program__set_autoload(harness->skel->progs.on_kfree_skb_nosk, !has_receiver);
	kernel_facts_free(facts);
}

/* `several`: as where several network namespaces are watched, that of the calling thread one of
 * them. */
static inline struct harness *harness_open_for(bool several)
{
	struct harness *harness = calloc(1, sizeof(*harness));
	int segment_fds[HARNESS_CPUS_MAX], kernel_fds[HARNESS_CPUS_MAX];
	struct config *config;
	struct stat status;

	assert_non_null(harness);
	assert_int_equal(stat("/proc/thread-self/ns/net", &status), 0);
	harness->netns = (uint32_t)status.st_ino;
	harness->cpus = (unsigned int)libbpf_num_possible_cpus();
	assert_true(harness->cpus > 0 && harness->cpus <= HARNESS_CPUS_MAX);
	harness->skel = witness__open();
	assert_non_null(harness->skel);
	config = (struct config *)&harness->skel->rodata->config;
	config->netns = several ? 0 : harness->netns;
	config->nr_cpus = harness->cpus;
	config->sampling_budget = harness_sampling_budget;
	config->sampling_total = harness_sampling_total;
	config->sampling_seed = HARNESS_SAMPLING_SEED;
	harness_choose(harness);
	harness_rings(harness, harness->skel->maps.segment_rings, segment_fds);
	harness_rings(harness, harness->skel->maps.kernel_rings, kernel_fds);
	assert_int_equal(
		bpf_map__set_inner_map_fd(harness->skel->maps.segment_rings, segment_fds[0]), 0);
	assert_int_equal(bpf_map__set_inner_map_fd(harness->skel->maps.kernel_rings, kernel_fds[0]),
			 0);
	assert_int_equal(witness__load(harness->skel), 0);
	harness_enter(harness, harness->skel->maps.segment_rings, segment_fds);
	harness_enter(harness, harness->skel->maps.kernel_rings, kernel_fds);
	if (several)
		assert_int_equal(bpf_map_update_elem(bpf_map__fd(harness->skel->maps.namespaces),
						     &harness->netns, &(uint8_t){ 1 }, BPF_ANY),
				 0);
	return harness;
}

/* Loads everything for the network namespace of the calling thread; attaches nothing. */
static inline struct harness *harness_open(void)
{
	return harness_open_for(false);
}

static inline void harness_close(struct harness *harness)
{
	ring_buffer__free(harness->rings);
	witness__destroy(harness->skel);
	free(harness);
}

/* Our address, in the map of local prefixes: v4 as v4-mapped. */
static inline void harness_local(struct harness *harness, const uint8_t address[16])
{
	struct {
		uint32_t prefixlen, netns;
		uint8_t address[16];
	} key = { .prefixlen = 32 + 128, .netns = harness->netns };
	uint8_t one = 1;

	memcpy(key.address, address, 16);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(harness->skel->maps.local_prefixes), &key,
					     &one, BPF_ANY),
			 0);
}

/* A per-CPU value, summed. `bytes` is a multiple of 8: an array of 64-bit counters. */
static inline void harness_sum(const struct harness *harness, struct bpf_map *map, const void *key,
			       void *ret_sum, size_t bytes)
{
	__u64 *values = calloc(harness->cpus, bytes), *sum = ret_sum;

	assert_non_null(values);
	memset(ret_sum, 0, bytes);
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(map), key, values), 0);
	for (size_t i = 0; i < harness->cpus * (bytes / 8); i++)
		sum[i % (bytes / 8)] += values[i];
	free(values);
}

static inline struct segment_counters harness_segments(const struct harness *harness,
						       uint32_t ifindex)
{
	struct segment_counters sum;

	harness_sum(harness, harness->skel->maps.segments, &ifindex, &sum, sizeof(sum));
	return sum;
}

static inline struct total_counters harness_totals(const struct harness *harness)
{
	struct total_counters sum;
	uint32_t zero = 0;

	harness_sum(harness, harness->skel->maps.totals, &zero, &sum, sizeof(sum));
	return sum;
}

/* The link's fd; -1 where the kernel has clsact only, whose filter goes with the namespace. */
static inline int harness_hook(const struct bpf_program *program, const char *device, bool egress)
{
	int ifindex = (int)if_nametoindex(device), fd = bpf_program__fd(program);
	bool owns_qdisc = false;
	int link = bpf_link_create(fd, ifindex, egress ? HARNESS_TCX_EGRESS : HARNESS_TCX_INGRESS,
				   NULL);

	if (link >= 0)
		return link;
	assert_int_equal(errno, EINVAL);
	assert_int_equal(clsact_attach((uint32_t)ifindex, egress, fd, &owns_qdisc), 0);
	return -1;
}

#endif
