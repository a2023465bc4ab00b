/* SPDX-License-Identifier: GPL-2.0-only */
/* Where a listener's SYNs come from: marks each one's source in the listener's sketch. */
#ifndef TCPWITNESS_BPF_SOURCES_H
#define TCPWITNESS_BPF_SOURCES_H

#include "maps.h"

#include "parse.h"
#include "sketch.h"

static __always_inline struct source_sketch *sources_of(__u64 cookie)
{
	struct source_sketch *sketch = bpf_map_lookup_elem(&sources, &cookie);
	__u32 zero = 0;
	void *nothing;

	if (sketch)
		return sketch;
	nothing = bpf_map_lookup_elem(&sources_zero, &zero);
	if (nothing)
		bpf_map_update_elem(&sources, &cookie, nothing, BPF_NOEXIST);
	return bpf_map_lookup_elem(&sources, &cookie);
}

/* Whoever is first in a new window clears what the one before the last left. */
static __always_inline void sources_begin(struct source_window *window, __u64 number)
{
	volatile __u64 *words = (volatile __u64 *)window->registers;
	__u64 old = window->number;

	if (old == number || __sync_val_compare_and_swap(&window->number, old, number) != old)
		return;
	for (__u32 i = 0; i < SOURCES_REGISTERS / sizeof(*words); i++)
		words[i] = 0;
}

/* One more than the zero bits at the low end; there is no instruction for it. */
static __always_inline __u8 sources_rank(__u64 bits)
{
	__u8 rank = 1;

	bits |= 1ull << (SOURCES_RANK_MAX - 1);
	if (!(__u32)bits) {
		bits >>= 32;
		rank += 32;
	}
	if (!(bits & 0xffff)) {
		bits >>= 16;
		rank += 16;
	}
	if (!(bits & 0xff)) {
		bits >>= 8;
		rank += 8;
	}
	if (!(bits & 0xf)) {
		bits >>= 4;
		rank += 4;
	}
	if (!(bits & 0x3)) {
		bits >>= 2;
		rank += 2;
	}
	return rank + !(bits & 1);
}

/* Global: the verifier walks it once. `prefix`: an IPv4 address, or the first half of an IPv6's. */
__weak __attribute__((noinline)) int sources_mark(__u64 cookie, __u64 prefix)
{
	__u64 number = bpf_ktime_get_coarse_ns() >> LISTENER_WINDOW_SHIFT;
	__u64 hash = sources_mix(prefix ^ config.sampling_seed);
	struct source_sketch *sketch = sources_of(cookie);
	struct source_window *window;
	__u8 *mark, rank;

	if (!sketch)
		return 0;
	window = &sketch->windows[number & 1];
	sources_begin(window, number);
	mark = &window->registers[hash & (SOURCES_REGISTERS - 1)];
	rank = sources_rank(hash >> SOURCES_REGISTER_BITS);
	if (*mark < rank)
		*mark = rank;
	return 0;
}

static __always_inline void sources_count(__u64 cookie, const struct parsed_segment *segment)
{
	__u64 prefix = segment->source[0];

	if (segment->ipv6)
		prefix |= (__u64)segment->source[1] << 32;
	sources_mark(cookie, prefix);
}

#endif
