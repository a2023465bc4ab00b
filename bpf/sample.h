/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which flows are recorded where there are too many: the decision of sampling.h, its slots and
 * what is left out. While nothing is sampled the decision is one look at one word.
 */
#ifndef TCPWITNESS_BPF_SAMPLE_H
#define TCPWITNESS_BPF_SAMPLE_H

#include "emit.h"
#include "maps.h"

/* The verifier walks these once, and not at each call. */
#define SAMPLE_GLOBAL __weak __attribute__((noinline))

static __always_inline void sample_tell(const struct sampling_slot *slot, __u32 number,
					const struct sampling_change *change)
{
	struct rec_sampling *record;
	struct emission emission;

	emission = emit_reserve(&kernel_rings, RING_KERNEL, sizeof(struct rec_sampling),
				REC_SAMPLING, 0, slot->site.netns);
	record = emission.record;
	if (!record)
		return;
	record->seed = config.sampling_seed;
	record->slot = number;
	record->ifindex = slot->site.ifindex;
	record->port = slot->site.port;
	record->from = change->from;
	record->to = change->to;
	record->offered = change->offered;
	emit_submit(&emission);
}

static __always_inline void sample_changed(const struct sampling_slot *slot, __u32 number,
					   const struct sampling_change *change)
{
	if (!change->from)
		__sync_fetch_and_add(&sampling_active, 1);
	if (!change->to)
		__sync_fetch_and_add(&sampling_active, -1);
	sample_tell(slot, number, change);
}

/* A site's budget, after so many records more of all sites. */
static __always_inline __u32 sample_budget(__u64 now_ns, __u32 records, bool taken)
{
	if (config.sampling_total)
		sampling_account_all(&sampling_all, now_ns, records, taken, config.sampling_total);
	return sampling_share(&sampling_all, config.sampling_budget, config.sampling_total);
}

/* Windows end, though no record comes by: that of a slot, and of all; without one of all alone. */
SAMPLE_GLOBAL int sample_pass_time(__u32 number)
{
	struct sampling_slot *slot = bpf_map_lookup_elem(&sampling_slots, &number);
	struct sampling_change change = {};
	__u64 now_ns = bpf_ktime_get_ns();
	__u32 budget = sample_budget(now_ns, 0, false);

	if (slot && sampling_account(slot, now_ns, 0, 0, budget, &change))
		sample_changed(slot, number, &change);
	return 0;
}

static __always_inline struct sampling_counters *sample_counters(const struct sampling_site *site)
{
	const struct sampling_site here = *site, elsewhere = {};
	const struct sampling_counters nothing = {};
	struct sampling_counters *counters;

	/* Up to 6.1 the verifier takes no key out of a global function's arguments. */
	counters = bpf_map_lookup_elem(&sampling_counts, &here);
	if (counters)
		return counters;
	bpf_map_update_elem(&sampling_counts, &here, &nothing, BPF_NOEXIST);
	counters = bpf_map_lookup_elem(&sampling_counts, &here);
	return counters ?: bpf_map_lookup_elem(&sampling_counts, &elsewhere);
}

SAMPLE_GLOBAL int sample_account(const struct sampling_site *site, int taken)
{
	struct sampling_change change = {};
	__u64 now_ns = bpf_ktime_get_ns();
	struct sampling_slot *slot;
	__u32 number, budget;

	if (!site)
		return 0;
	budget = sample_budget(now_ns, SAMPLING_STRIDE, taken);
	number = sampling_slot_of(site);
	slot = bpf_map_lookup_elem(&sampling_slots, &number);
	if (!slot || !sampling_account(slot, now_ns, SAMPLING_STRIDE, taken, budget, &change))
		return 0;
	if (change.to > change.from) {
		slot->site = *site;
		sample_counters(site); /* from now on it has a row */
	}
	sample_changed(slot, number, &change);
	return 0;
}

SAMPLE_GLOBAL int sample_suppress(const struct sampling_site *site, __u32 kind)
{
	struct sampling_counters *counters = site ? sample_counters(site) : NULL;

	if (counters && kind < SAMPLING_KIND_NR)
		emit_count(&counters->suppressed[kind]);
	return 0;
}

static __always_inline void sample_suppress_birth(const struct sampling_site *site)
{
	struct sampling_counters *counters = sample_counters(site);

	if (counters)
		emit_count(&counters->born);
}

/* Is this record of the CPU one that is counted? */
static __always_inline bool sample_turn(void)
{
	__u32 zero = 0, *left = bpf_map_lookup_elem(&sampling_turns, &zero);

	if (!left || (*left)-- > 1)
		return false;
	*left = SAMPLING_STRIDE;
	return true;
}

static __always_inline __u32 sample_shift(const struct sampling_site *site)
{
	__u32 number = sampling_slot_of(site);
	const struct sampling_slot *slot = bpf_map_lookup_elem(&sampling_slots, &number);

	return slot ? sampling_shift(slot) : 0;
}

/*
 * Is the record of this flow to be made? Addresses in either order, of IPv4 only [0]. The shift
 * comes back in *ret_flags, in its place.
 */
static __always_inline bool sample_takes(const struct sampling_site *site, const __u32 one[4],
					 __u16 one_port, const __u32 other[4], __u16 other_port,
					 bool ipv6, enum sampling_kind kind, __u16 *ret_flags)
{
	bool taken = true;
	__u32 shift, hash;

	if (!config.sampling_budget && !config.sampling_total)
		return true;
	if (sampling_active) {
		shift = sample_shift(site) & 31;
		if (shift) {
			hash = sampling_hash(one, one_port, other, other_port, ipv6,
					     config.sampling_seed);
			taken = sampling_takes(hash, shift);
			*ret_flags = shift << REC_FLAG_SHIFT_AT;
		}
		if (!taken)
			sample_suppress(site, kind);
	}
	/* State changes follow from segments: it is these that a budget is of. */
	if (kind != SAMPLING_STATE && sample_turn())
		sample_account(site, taken);
	return taken;
}

#endif
