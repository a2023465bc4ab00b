/* SPDX-License-Identifier: GPL-2.0-only */
/* The same decision for what tracepoints tell. */
#ifndef TCPWITNESS_BPF_SAMPLE_TOLD_H
#define TCPWITNESS_BPF_SAMPLE_TOLD_H

#include "origin.h"
#include "sample.h"

/* `stray`: it met no socket, on this interface. */
static __always_inline struct sampling_site sample_site(const struct tuple *tuple, bool stray,
							__u32 ifindex)
{
	struct sampling_site site = { .netns = tuple->netns };

	if (stray)
		site.ifindex = ifindex;
	else
		site.port = tuple->local_port;
	return site;
}

static __always_inline bool sample_tuple(const struct sampling_site *site,
					 const struct tuple *tuple, enum sampling_kind kind,
					 __u16 *ret_flags)
{
	return sample_takes(site, tuple->local, tuple->local_port, tuple->remote,
			    tuple->remote_port, tuple->ipv6, kind, ret_flags);
}

/*
 * A change of state. Nothing but a handshake makes one, but a flood may complete its handshakes.
 * A listener's own are always told, and a SYN_SENT that has no port yet: who knows its flow?
 */
static __always_inline bool sample_change(const struct tuple *tuple, int old_state, int new_state,
					  __u16 *ret_flags)
{
	struct sampling_site site = sample_site(tuple, false, 0);

	if (old_state == KS_LISTEN || new_state == KS_LISTEN || !tuple->local_port)
		return true;
	if (sample_tuple(&site, tuple, SAMPLING_STATE, ret_flags))
		return true;
	if (old_state == KS_SYN_RECV && new_state == KS_ESTABLISHED)
		sample_suppress_birth(&site);
	return false;
}

#endif
