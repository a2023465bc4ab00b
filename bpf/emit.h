/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The only place that reserves and submits records, and the only one that counts what was
 * refused. Submitting wakes nobody: a wake-up costs more than the record, and under load the
 * consumer comes by itself before an eighth of a ring is filled (daemon/cli/pace.h). It is kicked
 * when a ring passes the half, and by the first record when it sleeps because none came.
 */
#ifndef TCPWITNESS_BPF_EMIT_H
#define TCPWITNESS_BPF_EMIT_H

#include <stdbool.h>

#include "maps.h"

/*
 * The totals are counted in process context too, where a softirq of this CPU may come between
 * reading and writing: atomic, though per CPU. (tc and XDP run with softirqs off; their counters
 * need not be.)
 */
static __always_inline void emit_count(__u64 *counter)
{
	__sync_fetch_and_add(counter, 1);
}

static __always_inline struct total_counters *emit_totals(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&totals, &zero);
}

/* linux kernel/bpf/ringbuf.c: a record takes its header and is rounded up to eight. */
#define EMIT_RING_BYTES(size) (((size) + 8 + 7) & ~7ull)

/* How full a ring is costs 9 ns to ask: every so many records of a CPU and family (a power of two). */
#define EMIT_ASK_EVERY 8
/* So much further a ring may be when it is asked: no record is longer than this one. */
#define EMIT_ASK_BYTES (EMIT_ASK_EVERY * EMIT_RING_BYTES(REC_SIZE_V6(rec_segment)))

_Static_assert(EMIT_ASK_BYTES < RING_BYTES_MIN / 2, "the least ring is asked before it is full");

/* BPF_RB_FORCE_WAKEUP if the ring has passed its half since it was last asked, else no wake-up. */
static __always_inline __u64 emit_wakeup(void *ring)
{
	__u64 pending = bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA); /* this record included */
	__u64 half;

	if (pending < RING_BYTES_MIN / 2)
		return BPF_RB_NO_WAKEUP;
	half = bpf_ringbuf_query(ring, BPF_RB_RING_SIZE) / 2;
	if (pending >= half && pending - EMIT_ASK_BYTES < half)
		return BPF_RB_FORCE_WAKEUP;
	return BPF_RB_NO_WAKEUP;
}

/* What emit_reserve hands to emit_submit. */
struct emission {
	void *record; /* NULL: refused, and counted */
	__u64 flags;
};

/*
 * `size` must be a constant at each call, or the verifier refuses; so whoever writes a record with
 * addresses has one inline body and two calls, REC_SIZE_V4 and REC_SIZE_V6. The header is filled
 * in; the rest is not zeroed: write every field.
 */
static __always_inline struct emission emit_reserve(void *rings, enum rec_ring family, __u64 size,
						    enum rec_type type, __u16 flags, __u32 netns)
{
	struct total_counters *total = emit_totals();
	__u32 cpu = bpf_get_smp_processor_id();
	struct emission emission = {};
	struct rec_hdr *hdr;
	void *ring;
	__u64 turn;

	if (!total)
		return emission;
	turn = __sync_fetch_and_add(&total->attempted[family], 1);
	ring = bpf_map_lookup_elem(rings, &cpu);
	hdr = ring ? bpf_ringbuf_reserve(ring, size, 0) : NULL;
	if (!hdr) {
		emit_count(&total->lost[family]);
		return emission;
	}
	hdr->type = type;
	hdr->version = RECORD_VERSION;
	hdr->flags = flags;
	hdr->netns = netns;
	hdr->ts_ns = bpf_ktime_get_ns();
	emission.record = hdr;
	emission.flags = turn % EMIT_ASK_EVERY ? BPF_RB_NO_WAKEUP : emit_wakeup(ring);
	return emission;
}

/* The first record after the consumer went to sleep for longer ends that sleep, however empty the
 * rings. Two CPUs may both find that it is wanted: then it is woken twice. */
static __always_inline void emit_submit(struct emission *emission)
{
	if (wake_wanted) {
		wake_wanted = 0;
		emission->flags = BPF_RB_FORCE_WAKEUP;
	}
	bpf_ringbuf_submit(emission->record, emission->flags);
}

/* The tail of a record: two addresses, local first, of the record's family. */
static __always_inline void emit_addresses(__u8 *tail, const __u32 local[4], const __u32 remote[4],
					   bool ipv6)
{
	if (ipv6) {
		__builtin_memcpy(tail, local, 16);
		__builtin_memcpy(tail + 16, remote, 16);
	} else {
		__builtin_memcpy(tail, local, 4);
		__builtin_memcpy(tail + 4, remote, 4);
	}
}

#endif
