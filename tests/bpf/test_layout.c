/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The records as clang-bpf lays them out (the objects' BTF) and as this compiler does: same sizes,
 * same offsets, and no member on one side only. Needs no privileges.
 */
#include "bpf/harness.h"

#include <bpf/btf.h>

struct member {
	const char *type, *name;
	size_t offset, type_bytes;
};

#define M(type, member)                                                                            \
	{                                                                                          \
#type, #member, offsetof(struct type, member), sizeof(struct type)                 \
	}

static const struct member members[] = {
	M(rec_hdr, type),
	M(rec_hdr, version),
	M(rec_hdr, flags),
	M(rec_hdr, netns),
	M(rec_hdr, ts_ns),

	M(rec_snapshot, cookie),
	M(rec_snapshot, state),
	M(rec_snapshot, substate),
	M(rec_snapshot, bits),
	M(rec_snapshot, retransmits),
	M(rec_snapshot, syn_bits),
	M(rec_snapshot, backlog_bytes),
	M(rec_snapshot, vars),
	M(rec_snapshot, queues),

	M(rec_segment, hdr),
	M(rec_segment, snapshot),
	M(rec_segment, ifindex),
	M(rec_segment, local_port),
	M(rec_segment, remote_port),
	M(rec_segment, seq),
	M(rec_segment, ack),
	M(rec_segment, payload_bytes),
	M(rec_segment, tsval),
	M(rec_segment, tsecr),
	M(rec_segment, window),
	M(rec_segment, ip_id),
	M(rec_segment, gso_segs),
	M(rec_segment, mss),
	M(rec_segment, tcp_flags),
	M(rec_segment, options),
	M(rec_segment, wscale),
	M(rec_segment, hook),
	M(rec_segment, reserved),
	M(rec_segment, addresses),

	M(rec_drop, hdr),
	M(rec_drop, ifindex),
	M(rec_drop, reason),
	M(rec_drop, local_port),
	M(rec_drop, remote_port),
	M(rec_drop, seq),
	M(rec_drop, ack),
	M(rec_drop, payload_bytes),
	M(rec_drop, tcp_flags),
	M(rec_drop, rx_state),
	M(rec_drop, reserved),
	M(rec_drop, addresses),

	M(rec_retransmit, hdr),
	M(rec_retransmit, cookie),
	M(rec_retransmit, local_port),
	M(rec_retransmit, remote_port),
	M(rec_retransmit, kind),
	M(rec_retransmit, state),
	M(rec_retransmit, tcp_flags),
	M(rec_retransmit, reserved),
	M(rec_retransmit, addresses),

	M(rec_reset, hdr),
	M(rec_reset, cookie),
	M(rec_reset, reason),
	M(rec_reset, local_port),
	M(rec_reset, remote_port),
	M(rec_reset, state),
	M(rec_reset, reserved),
	M(rec_reset, addresses),

	M(rec_state, hdr),
	M(rec_state, cookie),
	M(rec_state, rcv_nxt),
	M(rec_state, snd_una),
	M(rec_state, snd_nxt),
	M(rec_state, write_seq),
	M(rec_state, local_port),
	M(rec_state, remote_port),
	M(rec_state, sk_err),
	M(rec_state, old_state),
	M(rec_state, new_state),
	M(rec_state, shutdown),
	M(rec_state, bits),
	M(rec_state, reserved),
	M(rec_state, addresses),

	M(rec_listen, hdr),
	M(rec_listen, cookie),
	M(rec_listen, cgroup_id),
	M(rec_listen, pid),
	M(rec_listen, accept_limit),
	M(rec_listen, local_port),
	M(rec_listen, reserved),
	M(rec_listen, comm),
	M(rec_listen, addresses),

	M(rec_socket, hdr),
	M(rec_socket, snapshot),
	M(rec_socket, ifindex),
	M(rec_socket, local_port),
	M(rec_socket, remote_port),
	M(rec_socket, local_address),
	M(rec_socket, remote_address),

	M(rec_sampling, hdr),
	M(rec_sampling, seed),
	M(rec_sampling, slot),
	M(rec_sampling, ifindex),
	M(rec_sampling, port),
	M(rec_sampling, from),
	M(rec_sampling, to),
	M(rec_sampling, offered),

	M(sampling_site, netns),
	M(sampling_site, ifindex),
	M(sampling_site, port),
	M(sampling_site, reserved),

	M(sampling_slot, window),
	M(sampling_slot, offered),
	M(sampling_slot, recorded),
	M(sampling_slot, peak),
	M(sampling_slot, control),
	M(sampling_slot, site),

	M(sampling_counters, suppressed),
	M(sampling_counters, born),

	M(config, netns),
	M(config, nr_cpus),
	M(config, rst_reason),
	M(config, casts),
	M(config, reserved),
	M(config, hz),
	M(config, sampling_seed),
	M(config, sampling_budget),
	M(config, sampling_total),

	M(segment_counters, received),
	M(segment_counters, sent),
	M(segment_counters, ignored),

	M(total_counters, attempted),
	M(total_counters, lost),
	M(total_counters, retransmitted),
	M(total_counters, resets_sent),
	M(total_counters, resets_received),
	M(total_counters, dropped),

	M(listener_counters, syns),
	M(listener_counters, synacks),
	M(listener_counters, synacks_again),
	M(listener_counters, synacks_retransmitted),
	M(listener_counters, handshakes),
	M(listener_counters, cookies_sent),
	M(listener_counters, cookies_accepted),
	M(listener_counters, cookies_wanted),
	M(listener_counters, attempts),
	M(listener_counters, attempts_early),
	M(listener_counters, told_acks),
	M(listener_counters, told_cookies),
	M(listener_counters, deferred),
	M(listener_counters, requests_reset),
	M(listener_counters, resets),
	M(listener_counters, drops),
	M(listener_counters, at_limit),
	M(listener_counters, at_limit_cookies),
	M(listener_counters, at_limit_time_wait),
	M(listener_counters, beyond_limit),
	M(listener_counters, quarter_time_wait),
	M(listener_counters, quarter_admitted),
	M(listener_counters, syn_fill),
	M(listener_counters, accept_fill),
	M(listener_counters, latency),
	M(listener_counters, latency_ns),

	M(fill_histogram, buckets),
	M(fill_histogram, sum),

	M(listener_peak, window),
	M(listener_peak, syn_length),
	M(listener_peak, accept_length),

	M(listener_cell, counters),
	M(listener_cell, peaks),

	M(listening_key, netns),
	M(listening_key, port),
	M(listening_key, reserved),
	M(listening_key, address),
};

#define NR_MEMBERS (sizeof(members) / sizeof(members[0]))

/* Byte offset of a member, looked for in anonymous unions too; -1: none of that name. */
static int find(const struct btf *btf, const struct btf_type *type, const char *name)
{
	const struct btf_member *member = btf_members(type);

	for (__u16 i = 0; i < btf_vlen(type); i++, member++) {
		const char *seen = btf__name_by_offset(btf, member->name_off);
		int offset = (int)(btf_member_bit_offset(type, i) / 8), within;

		if (!strcmp(seen, name))
			return offset;
		if (*seen)
			continue;
		within = find(btf, btf__type_by_id(btf, member->type), name);
		if (within >= 0)
			return offset + within;
	}
	return -1;
}

static unsigned int count(const struct btf *btf, const struct btf_type *type)
{
	const struct btf_member *member = btf_members(type);
	unsigned int sum = 0;

	for (__u16 i = 0; i < btf_vlen(type); i++, member++)
		sum += *btf__name_by_offset(btf, member->name_off) ?
			       1 :
			       count(btf, btf__type_by_id(btf, member->type));
	return sum;
}

static void members_are_where_we_think(void **state)
{
	struct witness *skel = witness__open();
	const struct btf *btf;

	(void)state;
	assert_non_null(skel);
	btf = bpf_object__btf(skel->obj);
	assert_non_null(btf);
	for (size_t i = 0; i < NR_MEMBERS; i++) {
		int id = btf__find_by_name_kind(btf, members[i].type, BTF_KIND_STRUCT);
		const struct btf_type *type;
		unsigned int listed = 0;

		print_message("  %s.%s\n", members[i].type, members[i].name);
		assert_true(id > 0);
		type = btf__type_by_id(btf, (__u32)id);
		assert_int_equal(type->size, members[i].type_bytes);
		assert_int_equal(find(btf, type, members[i].name), members[i].offset);
		for (size_t k = 0; k < NR_MEMBERS; k++)
			listed += !strcmp(members[k].type, members[i].type);
		assert_int_equal(count(btf, type), listed);
	}
	witness__destroy(skel);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_are_where_we_think),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
