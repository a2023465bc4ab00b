// SPDX-License-Identifier: GPL-2.0-only
/*
 * DOC: Sockets, asked for.
 *
 * Two ways in which the daemon asks what the kernel believes, when no segment does the asking.
 *
 * iter_sockets walks all TCP sockets of the namespace it is opened in, LISTEN, request and
 * TIME_WAIT socks too, and writes one struct rec_socket each: seeds at the start, sweeps
 * from then on. It also gives every socket it meets a cookie, so that later records can be joined.
 *
 * look answers for one tuple. The daemon runs it with BPF_PROG_TEST_RUN on a made-up packet that
 * holds a struct rec_socket with tuple and namespace filled in (v4 addresses v4-mapped; a remote of
 * all zeroes means "who listens there?"; `ifindex` is the namespace's id as the daemon's own one
 * knows it, -1 for that one itself), and finds the answer in the packet's place.
 */
#include "segment.h"

static __always_inline bool address_is_v4(const __u32 address[4])
{
	return !address[0] && !address[1] && address[2] == V4_MAPPED;
}

static __always_inline void address_map_v4(__u32 ret[4], __u32 address)
{
	ret[0] = 0;
	ret[1] = 0;
	ret[2] = V4_MAPPED;
	ret[3] = address;
}

static __always_inline void rec_socket_head(struct rec_socket *record, enum rec_type type,
					    __u32 netns)
{
	record->hdr.type = type;
	record->hdr.version = RECORD_VERSION;
	record->hdr.flags = 0;
	record->hdr.netns = netns;
	record->hdr.ts_ns = bpf_ktime_get_ns();
}

/* A closed or listening socket's port in inet_sport would be the same: iterated ones are hashed. */
SEC("iter/tcp")
int iter_sockets(struct bpf_iter__tcp *ctx)
{
	struct sock_common *sk = ctx->sk_common;
	struct rec_socket record = {};
	__u32 local[4], remote[4];

	if (!sk)
		return 0;
	rec_socket_head(&record, REC_SOCKET, sk->skc_net.net->ns.inum);
	snapshot_socket(sk, sk->skc_state, &record.snapshot);
	record.snapshot.cookie = bpf_get_socket_cookie(sk);
	record.ifindex = sk->skc_bound_dev_if;
	record.local_port = sk->skc_num;
	record.remote_port = bpf_ntohs(sk->skc_dport);
	if (sk->skc_family == AF_INET6) {
		for (int i = 0; i < 4; i++) {
			local[i] = sk->skc_v6_rcv_saddr.in6_u.u6_addr32[i];
			remote[i] = sk->skc_v6_daddr.in6_u.u6_addr32[i];
		}
	} else {
		address_map_v4(local, sk->skc_rcv_saddr);
		address_map_v4(remote, sk->skc_daddr);
	}
	__builtin_memcpy(record.local_address, local, 16);
	__builtin_memcpy(record.remote_address, remote, 16);
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}

SEC("xdp")
int look(struct xdp_md *ctx)
{
	struct rec_socket *record = (void *)(long)ctx->data;
	struct rec_snapshot snapshot = {};
	__u32 local[4], remote[4];
	struct bpf_sock *sk;
	__s64 nsid;

	if ((void *)(record + 1) > (void *)(long)ctx->data_end)
		return XDP_PASS;
	nsid = (__s32)record->ifindex;
	__builtin_memcpy(local, record->local_address, 16);
	__builtin_memcpy(remote, record->remote_address, 16);
	snapshot.bits = SNAP_LOOKED;
	if (address_is_v4(local)) {
		local[0] = local[3];
		remote[0] = remote[3];
		sk = segment_socket_in(nsid, ctx, remote, record->remote_port, local,
				       record->local_port, false);
	} else {
		sk = segment_socket_in(nsid, ctx, remote, record->remote_port, local,
				       record->local_port, true);
	}
	record->ifindex = 0;
	if (sk) {
		snapshot_socket(sk, sk->state, &snapshot);
		record->ifindex = sk->bound_dev_if;
		bpf_sk_release(sk);
	}
	record->snapshot = snapshot;
	rec_socket_head(record, REC_LOOK, record->hdr.netns);
	return XDP_PASS;
}

/*
 * Never read. They put the records' types into the objects' BTF, where tests/bpf/test_layout.c
 * compares them with what the daemon was compiled with.
 */
#define NAME_TYPE(type) static const struct type *named_##type __attribute__((used))
NAME_TYPE(rec_hdr);
NAME_TYPE(rec_snapshot);
NAME_TYPE(rec_segment);
NAME_TYPE(rec_drop);
NAME_TYPE(rec_retransmit);
NAME_TYPE(rec_reset);
NAME_TYPE(rec_state);
NAME_TYPE(rec_listen);
NAME_TYPE(rec_socket);
NAME_TYPE(rec_sampling);
