/* SPDX-License-Identifier: GPL-2.0-only */
/* Every map, with its key, value, size and who deletes. Weak, so that the objects link into one. */
#ifndef TCPWITNESS_BPF_MAPS_H
#define TCPWITNESS_BPF_MAPS_H

#include "kernel.h"

#include "config.h"
#include "counters.h"
#include "record.h"
#include "sampling.h"
#include "sketch.h"

/* Written by the loader between open and load. */
const volatile struct config config __weak = {};

struct ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, RING_BYTES_DEFAULT);
};

/* CPU -> its ring buffer, both families. The loader sets the size, creates the inner rings. */
struct ring_array {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct ring);
};

struct ring_array segment_rings SEC(".maps") __weak;
struct ring_array kernel_rings SEC(".maps") __weak;

/* Inode number of a network namespace -> 1: those watched, where config.netns is 0. The daemon's. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, NAMESPACES_MAX);
	__type(key, __u32);
	__type(value, __u8);
} namespaces SEC(".maps") __weak;

/* An ifindex says nothing without its namespace. */
struct interface_key {
	__u32 netns, ifindex;
};

/* Interface -> its slot in `segments`, see counters.h. The daemon adds and deletes. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SEGMENT_COUNTERS_MAX);
	__type(key, struct interface_key);
	__type(value, __u32);
} interface_slots SEC(".maps") __weak;

/* Slot -> counts. Never deleted. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SEGMENT_COUNTERS_MAX);
	__type(key, __u32);
	__type(value, struct segment_counters);
} segments SEC(".maps") __weak;

/* One value. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct total_counters);
} totals SEC(".maps") __weak;

/* What on_set_state has in hand on this CPU and on_set_state_nested has not yet met. */
struct state_event {
	__u64 sk; /* its address; 0: none */
	__u32 old_state, new_state;
};

struct state_events {
	struct state_event outer, inner;
};

/* One value. Only bpf/kernel_state.bpf.c reads and writes it. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct state_events);
} state_events SEC(".maps") __weak;

/*
 * Socket cookie of a listener -> counts. Added here at CLOSE->LISTEN and at the first SYN; the
 * daemon deletes after LISTEN->CLOSE. Key 0: listeners that had no cookie yet (they were there
 * before us, and neither the iterator nor their own traffic has made one). Not preallocated: an
 * entry takes 0.7 kB a CPU, and few hosts have many.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, LISTENERS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct listener_cell);
} listeners SEC(".maps") __weak;

/* One value, never written: a new listener's, too large for the stack. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct listener_cell);
} listener_zero SEC(".maps") __weak;

/* Socket cookie of a listener -> where its SYNs come from. As `listeners`; 2 kB an entry. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LISTENERS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct source_sketch);
} sources SEC(".maps") __weak;

/* One value, never written: a new sketch. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct source_sketch);
} sources_zero SEC(".maps") __weak;

/*
 * Listening address -> the cookie under which its children are counted. Added here at
 * CLOSE->LISTEN and by the daemon for those that a sweep finds; the daemon deletes, or gives the
 * address to another member of its SO_REUSEPORT group.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LISTENERS_MAX);
	__type(key, struct listening_key);
	__type(value, __u64);
} listening SEC(".maps") __weak;

/* The daemon sleeps long: the next record wakes it. Set by it, taken back by emit.h. */
__u32 wake_wanted __weak = 0;

/* Which flows are recorded: sampling.h. One value per slot; the daemon reads it by mmap. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SAMPLING_SLOTS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct sampling_slot);
} sampling_slots SEC(".maps") __weak;

/* How many of those have a shift. */
__u32 sampling_active __weak = 0;

/* What all of them are held to together. The daemon reads these two by mmap as well. */
struct sampling_all sampling_all __weak = {};

/* What was left out, by site: added here, and never deleted. What finds no room is counted at the
 * site of all zeroes, which the daemon adds. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, SAMPLING_SITES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct sampling_site);
	__type(value, struct sampling_counters);
} sampling_counts SEC(".maps") __weak;

/* One value: records until the next one that is counted. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} sampling_turns SEC(".maps") __weak;

/* A flow's hash, in the slot that it names: bpf/quiet.h. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, QUIET_FLOWS);
	__type(key, __u32);
	__type(value, __u64);
} quiet_flows SEC(".maps") __weak;

struct local_prefix {
	__u32 prefixlen;  /* of what follows */
	__u32 netns;	  /* always whole */
	__u8 address[16]; /* network order, v4 as v4-mapped v6 */
};

#define LOCAL_PREFIX_BITS (8 * (sizeof(struct local_prefix) - sizeof(__u32)))

/* Prefixes of the local routing tables -> 1. The loader fills and prunes it. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, LOCAL_PREFIXES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct local_prefix);
	__type(value, __u8);
} local_prefixes SEC(".maps") __weak;

#endif
