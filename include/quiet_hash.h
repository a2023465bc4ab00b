/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * By what a flow in mid-life is remembered (bpf/quiet.h), and where. Pure; the same text is compiled
 * by clang-bpf and by the C compiler.
 */
#ifndef TCPWITNESS_QUIET_HASH_H
#define TCPWITNESS_QUIET_HASH_H

#include "config.h"
#include "sampling.h"

struct quiet_flow {
	const __u32 *local, *remote; /* in network order; IPv4: only [0] */
	__u32 netns;
	__u16 local_port, remote_port;
	__u8 ipv6;
};

/*
 * Never 0, which is that of an empty slot. Namespace and ports take bits of their own, so that like
 * addresses of unlike namespaces do not meet; who does not know the seed cannot make flows meet.
 */
static SAMPLING_INLINE __u64 quiet_hash(const struct quiet_flow *flow, __u64 seed)
{
	const __u32 *local = flow->local, *remote = flow->remote;
	__u64 hash = seed ^ ((__u64)local[0] << 32 | remote[0]);

	for (int i = 1; flow->ipv6 && i < 4; i++)
		hash = sampling_mix(hash) ^ ((__u64)local[i] << 32 | remote[i]);
	hash = sampling_mix(hash) ^
	       ((__u64)flow->netns << 32 | (__u32)flow->local_port << 16 | flow->remote_port);
	return sampling_mix(hash) | 1;
}

static SAMPLING_INLINE __u32 quiet_slot(__u64 hash)
{
	return hash >> 32 & (QUIET_FLOWS - 1);
}

#endif
