/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The knobs the daemon writes into BPF .rodata between open and load. */
#ifndef TCPWITNESS_CONFIG_H
#define TCPWITNESS_CONFIG_H

#include <linux/types.h>

struct config {
	__u32 netns; /* inode number of the one watched network namespace; 0: see map `namespaces` */
	__u32 nr_cpus;	 /* possible CPUs: one ring of each family per CPU */
	__u8 rst_reason; /* tcp_send_reset carries a reason (6.10+), found from BTF */
	__u8 casts;	 /* there is bpf_rdonly_cast() (6.2+), found from BTF */
	__u8 reserved[2];
	__u32 hz;	       /* jiffies a second */
	__u64 sampling_seed;   /* of the flows' hash, see sampling.h: nobody else's to know */
	__u32 sampling_budget; /* records of one slot a window; 0: no limit */
	__u32 sampling_total;  /* of all slots together; 0: no limit */
};

/* Bytes of one CPU's ring (a power of two, a multiple of the page size). */
#define RING_BYTES_DEFAULT (1u << 20) /* and up to RING_BYTES_ROOMY where that is affordable: */
#define RING_BYTES_ROOMY (1u << 22)   /* a consumer kept off the CPU for 0.1 s then loses nothing */
#define RINGS_BYTES_TOTAL (1u << 26)  /* of all rings together, as long as each has the default */
#define RING_BYTES_MIN (1u << 12)
#define RING_BYTES_MAX (1u << 28)

#define LISTENERS_MAX 4096	/* entries of the per-listener counter map */
#define LOCAL_PREFIXES_MAX 4096 /* entries of the LPM trie of local prefixes */
#define SAMPLING_SITES_MAX 4096 /* of which is known what was not recorded */
#define QUIET_FLOWS 65536	/* flows in mid-life that are remembered, a power of two */
#define NAMESPACES_MAX 512	/* namespaces watched at once */

#endif
