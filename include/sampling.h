/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * DOC: which flows are recorded when there are too many
 *
 * One decision, the same wherever a record is made, and without memory of any flow: a flow is
 * recorded iff its hash, symmetric and seeded, has none of the `shift` lowest bits set: one flow
 * in 2^shift. The shift is that of the flow's site. So a flow is followed whole, in both
 * directions and by all programs, or not at all.
 *
 * The site of whatever meets a socket is the socket's local port, in its namespace. DESIGN §8 asks
 * for the listener, but an established child does not name its listener, a lookup for each of its
 * segments would cost more than the record, and a cookie's SYN-ACK has no socket at all; the port
 * is in every segment, drop and state change, and is the same for all of a flow's life. It is the
 * listener in all but one case: listeners on different addresses of one port share a site. (Sites
 * by address and port would not be bounded: who owns a prefix may be flooded at all of it.) The
 * connections that we open ourselves have a port each, and are out of any flood's reach.
 *
 * The site of what finds no socket, closed ports and strays, is the interface, as ports would be
 * no bound: a scan has 65,535 of them. No connection is followed by those segments, but one may
 * end by them: our RST to data that came after the close.
 *
 * Ports have a slot each, shifted by a number of the namespace's: where one is watched, no two
 * share one; of several, unlike ports may, once in 65,536 pairs. Interfaces share 1,024 slots.
 *
 * A slot's budget is so many records a window, of all that strangers can multiply: state changes,
 * which follow from segments, are left out with their flow and cost the budget nothing. Used up
 * before the window is over, it raises the shift at once, by as much as the time it took says
 * (grow fast). SAMPLING_CALM windows in a row that half the budget would have done for with a
 * lesser shift lower it to what the busiest of them needs, in one step (shrink slowly): each
 * change costs those flows that are then in their handshake. So after a flood the shift is 0
 * again within two such runs, 18 windows: 2.4 s.
 *
 * All sites together have a budget, too, for a flood of many ports may stay within each one's. Used
 * up before the window is over, it halves what every site may record, its share, and does so again
 * for each eighth of it beyond that comes as fast. So the busiest are sampled, and whoever needs
 * less than a share is not; a share of one record raises the shift with each that is counted, so
 * that no number of sites gets past the total for long. Flows are left out by the shifts of sites
 * alone: a share only says when one is raised, and how far it is lowered. Shares are whole again
 * when for SAMPLING_CALM windows half the total would have done for all that was offered; where
 * little is recorded of much, they double, and no sooner again than sites have followed.
 *
 * Every SAMPLING_STRIDE-th record of a CPU is counted, as that many: a word that all CPUs write
 * is not to be had for each. Pure but for the atomic operations on the slot; the same text is
 * compiled by clang-bpf and by the C compiler.
 */
#ifndef TCPWITNESS_SAMPLING_H
#define TCPWITNESS_SAMPLING_H

#include <linux/types.h>

#define SAMPLING_WINDOW_SHIFT 27 /* of 2^27 ns: 134 ms */
#define SAMPLING_WINDOW_NS (1ull << SAMPLING_WINDOW_SHIFT)
#define SAMPLING_CALM 8 /* windows */
#define SAMPLING_SHIFT_MAX 24
#define SAMPLING_STRIDE 13 /* a prime: traffic has a rhythm, too */

/* BPF: a call has no more than five arguments. */
#define SAMPLING_INLINE inline __attribute__((always_inline))

#define SAMPLING_PORTS 65536u
#define SAMPLING_INTERFACES 1024u
#define SAMPLING_SLOTS (SAMPLING_PORTS + SAMPLING_INTERFACES)

/* What was not recorded, by what it would have been. */
#define SAMPLING_KINDS(X)                                                                          \
	X(SEGMENT, "segment")                                                                      \
	X(DROP, "drop")                                                                            \
	X(RETRANSMIT, "retransmit")                                                                \
	X(RESET, "reset")                                                                          \
	X(STATE, "state")

enum sampling_kind {
#define X(name, label) SAMPLING_##name,
	SAMPLING_KINDS(X)
#undef X
	SAMPLING_KIND_NR
};

/* Where flows are sampled together. */
struct sampling_site {
	__u32 netns;
	__u32 ifindex;	/* of what has no socket; else 0 */
	__u16 port;	/* local; 0: of what has no socket */
	__u16 reserved; /* 0: sites are keys */
};

/* One value per slot: map `sampling_slots`. */
struct sampling_slot {
	__u32 window;		   /* that is counted: its number */
	__u32 offered;		   /* records in it, those not made included */
	__u32 recorded;		   /* those made, since it began or the shift was raised in it */
	__u32 peak;		   /* the most offered in a window of the calm */
	__u32 control;		   /* the shift, and above it for how many windows it is calm */
	struct sampling_site site; /* that raised it */
};

/* All sites together. As of a slot; the shift is that of shares. */
struct sampling_all {
	__u64 pressed_ns; /* when the total was passed last, or an eighth of it more */
	__u32 window, offered, recorded, peak;
	__u32 control;
};

/* One value per site that was ever sampled: map `sampling_counts`, per CPU. */
struct sampling_counters {
	__u64 suppressed[SAMPLING_KIND_NR];
	__u64 born; /* of SAMPLING_STATE: children of listeners, in PassiveOpens */
};

struct sampling_change {
	__u32 from, to; /* shifts */
	__u32 offered;	/* in the window so far; when lowered: in the busiest of the calm */
};

static SAMPLING_INLINE __u64 sampling_mix(__u64 x)
{
	x ^= x >> 32;
	x *= 0x9fb21c651e98df25ull;
	x ^= x >> 29;
	x *= 0x9fb21c651e98df25ull;
	return x ^ x >> 32;
}

/* `address`: IPv4: only [0]. */
static SAMPLING_INLINE __u64 sampling_hash_end(const __u32 *address, __u16 port, int ipv6,
					       __u64 seed)
{
	__u64 x = seed ^ ((__u64)address[0] << 16 | port);

	if (ipv6) {
		x = sampling_mix(x) ^ ((__u64)address[1] << 32 | address[2]);
		x = sampling_mix(x) ^ address[3];
	}
	return sampling_mix(x);
}

/* The ends in either order. Who does not know the seed cannot choose flows by their hash. */
static SAMPLING_INLINE __u32 sampling_hash(const __u32 *one, __u16 one_port, const __u32 *other,
					   __u16 other_port, int ipv6, __u64 seed)
{
	return (__u32)sampling_mix(sampling_hash_end(one, one_port, ipv6, seed) +
				   sampling_hash_end(other, other_port, ipv6, seed));
}

static SAMPLING_INLINE int sampling_takes(__u32 hash, __u32 shift)
{
	return !(hash & ((1u << shift) - 1));
}

static SAMPLING_INLINE __u32 sampling_slot_of(const struct sampling_site *site)
{
	__u32 salt = site->netns * 0x9e3779b1u >> 16;

	if (!site->ifindex)
		return (site->port + salt) & (SAMPLING_PORTS - 1);
	return SAMPLING_PORTS + ((site->ifindex + salt) & (SAMPLING_INTERFACES - 1));
}

static SAMPLING_INLINE __u32 sampling_shift(const struct sampling_slot *slot)
{
	return slot->control & 0xff;
}

/* Significant ones: 0 of 0, 1 of 1, 2 of 2 and 3. (A loop has too many ways for the verifier.) */
static SAMPLING_INLINE __u32 sampling_bits(__u32 x)
{
	__u32 bits = 0, step;

	for (__u32 half = 16; half; half /= 2) {
		step = x >> half ? half : 0;
		x >>= step;
		bits += step;
	}
	return bits + x;
}

/* The least shift with which half the budget would have done. */
static SAMPLING_INLINE __u32 sampling_needed(__u32 offered, __u32 budget)
{
	__u32 shift = sampling_bits(offered / (budget / 2 + 1));

	return shift < SAMPLING_SHIFT_MAX ? shift : SAMPLING_SHIFT_MAX;
}

/* True if nobody else has changed it meanwhile. */
static SAMPLING_INLINE int sampling_control(struct sampling_slot *slot, __u32 before, __u32 shift,
					    __u32 calm)
{
	return __sync_val_compare_and_swap(&slot->control, before, shift | calm << 8) == before;
}

/* The budget is used up before the window is over. */
static SAMPLING_INLINE int sampling_raise(struct sampling_slot *slot, __u64 now_ns,
					  struct sampling_change *ret)
{
	__u32 elapsed_ns = (__u32)now_ns & (__u32)(SAMPLING_WINDOW_NS - 1);
	__u32 before = slot->control, to = before & 0xff;

	if (to == SAMPLING_SHIFT_MAX)
		return 0;
	to += sampling_bits((__u32)SAMPLING_WINDOW_NS / (elapsed_ns ? elapsed_ns : 1));
	if (to > SAMPLING_SHIFT_MAX)
		to = SAMPLING_SHIFT_MAX;
	if (!sampling_control(slot, before, to, 0))
		return 0;
	slot->recorded = 0;
	ret->from = before & 0xff;
	ret->to = to;
	ret->offered = slot->offered;
	return 1;
}

/* The window is over, and windows - 1 more in which there was nothing. */
static SAMPLING_INLINE int sampling_close(struct sampling_slot *slot, __u32 windows, __u32 budget,
					  struct sampling_change *ret)
{
	__u32 offered = __sync_lock_test_and_set(&slot->offered, 0), peak = slot->peak;
	__u32 before = slot->control, shift = before & 0xff, calm = before >> 8;

	slot->recorded = 0;
	if (!shift)
		return 0;
	if (sampling_needed(offered, budget) >= shift) {
		sampling_control(slot, before, shift, 0);
		return 0;
	}
	if (!calm || offered > peak)
		peak = offered;
	slot->peak = peak;
	calm = windows < SAMPLING_CALM ? calm + windows : SAMPLING_CALM;
	if (calm < SAMPLING_CALM) {
		sampling_control(slot, before, shift, calm);
		return 0;
	}
	ret->from = shift;
	ret->to = sampling_needed(peak, budget);
	ret->offered = peak;
	return sampling_control(slot, before, ret->to, 0);
}

/* How many windows have ended, for the first who comes after them; else 0. */
static SAMPLING_INLINE __u32 sampling_ended(__u32 *window, __u64 now_ns)
{
	__u32 now = (__u32)(now_ns >> SAMPLING_WINDOW_SHIFT), last = *window;

	/* The clocks of two CPUs may differ a little: no window comes again. */
	if ((__s32)(now - last) <= 0 || __sync_val_compare_and_swap(window, last, now) != last)
		return 0;
	return now - last;
}

/*
 * So many more records, made (`taken`) or not; 0 of them: time has passed. True when the shift
 * has changed. `budget`: records a window.
 */
static SAMPLING_INLINE int sampling_account(struct sampling_slot *slot, __u64 now_ns, __u32 records,
					    int taken, __u32 budget, struct sampling_change *ret)
{
	__u32 windows = sampling_ended(&slot->window, now_ns);

	if (windows && sampling_close(slot, windows, budget, ret))
		return 1;
	if (!records)
		return 0;
	__sync_fetch_and_add(&slot->offered, records);
	if (!taken || __sync_add_and_fetch(&slot->recorded, records) < budget)
		return 0;
	return sampling_raise(slot, now_ns, ret);
}

/* What a site may record, in a window or a second as its budget and the total are; of those 0 is no
 * limit, but not of both. */
static SAMPLING_INLINE __u64 sampling_share(const struct sampling_all *all, __u64 budget,
					    __u64 total)
{
	__u64 share = total >> (all->control & 31);

	if (!total || (budget && budget < share))
		return budget;
	return share ? share : 1;
}

/*
 * `recorded` is more than the total, or an eighth of it more than the last time. Of those who find
 * so at once one goes on: the shares are halved, unless that eighth took its time.
 */
static SAMPLING_INLINE void sampling_press(struct sampling_all *all, __u64 now_ns, __u32 recorded,
					   __u32 total)
{
	__u32 before = all->control, shift = before & 0xff;
	__u64 last_ns = all->pressed_ns;

	if (__sync_val_compare_and_swap(&all->recorded, recorded, total - total / 8) != recorded)
		return;
	all->pressed_ns = now_ns;
	if (last_ns >> SAMPLING_WINDOW_SHIFT == now_ns >> SAMPLING_WINDOW_SHIFT &&
	    now_ns - last_ns >= SAMPLING_WINDOW_NS / 8)
		return;
	if (shift < SAMPLING_SHIFT_MAX && total >> shift)
		__sync_val_compare_and_swap(&all->control, before, shift + 1);
}

/* As sampling_close(), of all sites together. */
static SAMPLING_INLINE void sampling_relax(struct sampling_all *all, __u32 windows, __u32 total)
{
	__u32 offered = __sync_lock_test_and_set(&all->offered, 0), peak = all->peak;
	__u32 recorded = __sync_lock_test_and_set(&all->recorded, 0);
	__u32 before = all->control, shift = before & 0xff, calm = before >> 8;

	if (!shift)
		return;
	if (offered <= total / 2 && peak > total / 2)
		calm = 0; /* of another kind: from now on all would do */
	if (!calm || offered > peak)
		peak = offered;
	all->peak = peak;
	calm += windows < SAMPLING_CALM ? windows : SAMPLING_CALM;
	if (offered > total / 2 && recorded > total / 4) {
		calm = 0;
	} else if (peak <= total / 2 ? calm >= SAMPLING_CALM : calm > 2 * SAMPLING_CALM) {
		shift = peak <= total / 2 ? 0 : shift - 1;
		calm = 0;
	}
	__sync_val_compare_and_swap(&all->control, before, shift | calm << 8);
}

/* As sampling_account(), of all sites together: nothing but their share changes. */
static SAMPLING_INLINE void sampling_account_all(struct sampling_all *all, __u64 now_ns,
						 __u32 records, int taken, __u32 total)
{
	__u32 windows = sampling_ended(&all->window, now_ns), recorded;

	if (windows)
		sampling_relax(all, windows, total);
	if (!records)
		return;
	__sync_fetch_and_add(&all->offered, records);
	if (!taken)
		return;
	recorded = __sync_add_and_fetch(&all->recorded, records);
	if (recorded >= total)
		sampling_press(all, now_ns, recorded, total);
}

/* Records a window that are so many a second. */
static SAMPLING_INLINE __u32 sampling_window_budget(__u64 per_second)
{
	__u64 budget = (per_second << SAMPLING_WINDOW_SHIFT) / 1000000000ull;

	return per_second && !budget ? 1 : (__u32)budget;
}

#endif
