/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Flows in mid-life, whose plain segments need not ask for their socket.
 *
 * A lookup takes 71 ns here, and nearly all segments of a busy host are data of established
 * connections, about which it has nothing to say. So a flow that was looked up and found
 * ESTABLISHED is remembered by its 64-bit hash in the slot that the hash names: one load answers.
 * Who else comes to that slot takes it over, which costs the first one a lookup, never a record.
 *
 * A flow is forgotten before any plain segment of it can matter again: by each SYN, FIN and RST of
 * either direction, and when its socket leaves ESTABLISHED. The one to be awaited is the
 * acknowledgment of our FIN; that FIN has passed the egress program, after the kernel changed the
 * state. Whoever remembers a flow looks at the state again afterwards, so of a change meanwhile
 * one of the two takes notice.
 *
 * Only where it costs nothing to know in which namespace a segment is. Where several are watched
 * and there is no cast, that must be asked of the socket.
 */
#ifndef TCPWITNESS_BPF_QUIET_H
#define TCPWITNESS_BPF_QUIET_H

#include <stdbool.h>

#include "maps.h"

#include "quiet_hash.h"

/* Of this flow: where it is remembered, and as what. */
struct quiet {
	__u64 *slot; /* NULL: nowhere */
	__u64 hash;
};

static __always_inline bool quiet_possible(void)
{
	return config.netns || config.casts;
}

/* `local`: the end that is ours. */
static __always_inline struct quiet quiet_at(__u32 netns, const __u32 local[4], __u16 local_port,
					     const __u32 remote[4], __u16 remote_port, bool ipv6)
{
	struct quiet_flow flow = { local, remote, netns, local_port, remote_port, ipv6 };
	struct quiet quiet = {};
	__u32 index;

	if (!quiet_possible())
		return quiet;
	quiet.hash = quiet_hash(&flow, config.sampling_seed);
	index = quiet_slot(quiet.hash);
	quiet.slot = bpf_map_lookup_elem(&quiet_flows, &index);
	return quiet;
}

static __always_inline bool quiet_is(const struct quiet *quiet)
{
	return quiet->slot && *quiet->slot == quiet->hash;
}

static __always_inline void quiet_end(const struct quiet *quiet)
{
	if (quiet_is(quiet))
		*quiet->slot = 0;
}

/* `sk` was found ESTABLISHED. */
static __always_inline void quiet_begin(const struct quiet *quiet, const struct bpf_sock *sk)
{
	if (!quiet->slot)
		return;
	__sync_lock_test_and_set(quiet->slot, quiet->hash); /* before what is read next */
	if (*(volatile const __u32 *)&sk->state != KS_ESTABLISHED)
		*quiet->slot = 0;
}

#endif
