/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: What befalls a listener, counted where it happens.
 *
 * The kernel has no exact counter of one listener's drops (sk_drops counts a refused final ACK
 * twice, and much else), so its own predicates are evaluated when the segment arrives, in the
 * order of linux net/ipv4/tcp_input.c:tcp_conn_request, net/ipv4/tcp_minisocks.c:tcp_check_req and
 * net/ipv4/syncookies.c:cookie_v4_check. What leaves (SYN-ACKs) and what is born (children) is
 * counted at its own hook, so that predicates can be held against outcomes.
 *
 * By XDP a whole batch arrives before the stack has dealt with its first segment: each then meets
 * the queues as the batch found them.
 *
 * The functions that count are global: the verifier walks each once, and not at each call.
 */
#ifndef TCPWITNESS_BPF_LISTENER_H
#define TCPWITNESS_BPF_LISTENER_H

#include "emit.h"
#include "maps.h"
#include "snapshot.h"

#include "parse.h"

#define LISTENER_GLOBAL __weak __attribute__((noinline))

/* A listener at the instant at which a segment meets it. */
struct listener_sight {
	__u64 cookie;
	__u32 syn_length, accept_length, accept_limit;
	__s32 max_syn_backlog; /* the namespace's tcp_max_syn_backlog */
	__u8 syncookies;       /* its tcp_syncookies */
	__u8 time_wait;	       /* the SYN comes by way of a TIME_WAIT minisock */
	__u8 first;	       /* the SYN-ACK is the first of its request */
	__u8 early;	       /* seen by XDP, ahead of the stack */
	__u8 reserved[4];
};

static __always_inline struct listener_cell *listener_cell(__u64 cookie)
{
	struct listener_cell *cell = bpf_map_lookup_elem(&listeners, &cookie);
	__u32 zero = 0;
	void *nothing;

	if (cell)
		return cell;
	nothing = bpf_map_lookup_elem(&listener_zero, &zero);
	if (nothing)
		bpf_map_update_elem(&listeners, &cookie, nothing, BPF_NOEXIST);
	return bpf_map_lookup_elem(&listeners, &cookie);
}

static __always_inline void listener_peak(struct listener_cell *cell, __u32 syn_length,
					  __u32 accept_length)
{
	/* the clock of the last tick: reading the exact one takes 36 ns */
	__u64 window = bpf_ktime_get_coarse_ns() >> LISTENER_WINDOW_SHIFT;
	struct listener_peak *peak = &cell->peaks[window & 1];

	if (peak->window != window) {
		peak->window = window;
		peak->syn_length = syn_length;
		peak->accept_length = accept_length;
		return;
	}
	if (syn_length > peak->syn_length)
		peak->syn_length = syn_length;
	if (accept_length > peak->accept_length)
		peak->accept_length = accept_length;
}

static __always_inline void listener_fill(struct fill_histogram *fill, __u32 length, __u32 limit)
{
	static const __u8 percent[] = FILL_PERCENT;
	__u32 bucket = FILL_BUCKETS - 1;

	if (!length) { /* as most SYNs find it; a division saved */
		fill->buckets[0]++;
		return;
	}
	for (__u32 b = 0; b < FILL_BUCKETS - 1; b++)
		if (bucket == FILL_BUCKETS - 1 && (__u64)length * 100 <= (__u64)limit * percent[b])
			bucket = b;
	fill->buckets[bucket & (FILL_BUCKETS - 1)]++;
	fill->sum += (__u64)length * FILL_PARTS / (limit ?: 1);
}

/* linux net/ipv4/tcp_input.c:tcp_conn_request: the queue's last quarter, where cookies are off. */
static __always_inline bool listener_quarter(const struct listener_sight *at, __u32 syn_length)
{
	return !at->syncookies &&
	       at->max_syn_backlog - (__s32)syn_length < at->max_syn_backlog >> 2;
}

static __always_inline void listener_judge_syn(struct listener_counters *counters,
					       const struct listener_sight *at)
{
	bool cookie = !at->time_wait && (at->syncookies == 2 || at->syn_length > at->accept_limit);

	if (cookie && !at->syncookies) {
		counters->drops[LISTENER_DROP_SYN_QUEUE_FULL]++;
		return;
	}
	if (cookie)
		counters->cookies_wanted++;
	if (at->accept_length > at->accept_limit) {
		counters->drops[LISTENER_DROP_ACCEPT_QUEUE_FULL]++;
		return;
	}
	if (cookie)
		return;
	if (listener_quarter(at, at->syn_length)) {
		if (at->time_wait)
			counters->quarter_time_wait++;
		else
			counters->drops[LISTENER_DROP_LAST_QUARTER]++;
	}
	if (at->syn_length != at->accept_limit)
		return;
	if (at->time_wait)
		counters->at_limit_time_wait++;
	else if (at->syncookies)
		counters->at_limit_cookies++;
	else if (!listener_quarter(at, at->syn_length))
		counters->at_limit++;
}

LISTENER_GLOBAL int listener_count_syn(const struct listener_sight *at)
{
	struct listener_cell *cell = at ? listener_cell(at->cookie) : NULL;

	if (!cell)
		return 0;
	cell->counters.syns++;
	listener_fill(&cell->counters.syn_fill, at->syn_length, at->accept_limit);
	listener_fill(&cell->counters.accept_fill, at->accept_length, at->accept_limit);
	listener_peak(cell, at->syn_length, at->accept_length);
	listener_judge_syn(&cell->counters, at);
	return 0;
}

/* `at` has the queue with the request in it. */
LISTENER_GLOBAL int listener_count_synack(const struct listener_sight *at)
{
	struct listener_cell *cell = at ? listener_cell(at->cookie) : NULL;

	if (!cell)
		return 0;
	cell->counters.synacks++;
	listener_peak(cell, at->syn_length, at->accept_length);
	if (!at->first) {
		cell->counters.synacks_again++;
		return 0;
	}
	if (at->syn_length == at->accept_limit + 1)
		cell->counters.beyond_limit++;
	if (listener_quarter(at, at->syn_length - 1))
		cell->counters.quarter_admitted++;
	return 0;
}

/* Without a request to be seen: a cookie's, or a TCP Fast Open child's. */
LISTENER_GLOBAL int listener_count_bare_synack(__u64 cookie, int is_cookie)
{
	struct listener_cell *cell = listener_cell(cookie);

	if (!cell)
		return 0;
	cell->counters.synacks++;
	if (is_cookie)
		cell->counters.cookies_sent++;
	return 0;
}

static __always_inline void listener_latency(struct listener_counters *counters, __u64 duration_ns)
{
	__u32 bucket = 0;

	for (__u32 b = 0; b < LISTENER_LATENCY_BUCKETS - 1; b++)
		bucket += duration_ns > LISTENER_LATENCY_NS(b);
	if (bucket < LISTENER_LATENCY_BUCKETS)
		emit_count(&counters->latency[bucket]);
	__sync_fetch_and_add(&counters->latency_ns, duration_ns);
}

/*
 * An ACK that, by itself, completes a handshake: is there room for the child? `request_ns`: how
 * long the request has waited, 0 where the child will tell.
 */
LISTENER_GLOBAL int listener_count_final_ack(const struct listener_sight *at, int refusal,
					     __u64 request_ns)
{
	struct listener_cell *cell = at ? listener_cell(at->cookie) : NULL;

	if (!cell)
		return 0;
	if (at->early)
		cell->counters.attempts_early++;
	else
		cell->counters.attempts++;
	if (at->accept_length > at->accept_limit) {
		if (refusal == LISTENER_DROP_COOKIE_REFUSED)
			cell->counters.drops[LISTENER_DROP_COOKIE_REFUSED]++;
		else
			cell->counters.drops[LISTENER_DROP_FINAL_ACK_REFUSED]++;
		listener_peak(cell, at->syn_length, at->accept_length);
		return 0;
	}
	listener_peak(cell, at->syn_length, at->accept_length + 1);
	if (request_ns)
		listener_latency(&cell->counters, request_ns);
	return 0;
}

LISTENER_GLOBAL int listener_count_deferred(__u64 cookie)
{
	struct listener_cell *cell = listener_cell(cookie);

	if (cell)
		cell->counters.deferred++;
	return 0;
}

/* A RST that ends a request, or one that meets the listener itself. */
LISTENER_GLOBAL int listener_count_reset(__u64 cookie, int of_request)
{
	struct listener_cell *cell = listener_cell(cookie);

	if (!cell)
		return 0;
	if (of_request)
		cell->counters.requests_reset++;
	else
		cell->counters.resets++;
	return 0;
}

LISTENER_GLOBAL int listener_count_cookie_ack(__u64 cookie, int valid)
{
	struct listener_cell *cell = listener_cell(cookie);

	if (!cell)
		return 0;
	if (valid)
		cell->counters.cookies_accepted++;
	else
		cell->counters.drops[LISTENER_DROP_COOKIE_INVALID]++;
	return 0;
}

/* ---- the listener at hand ---- */

static __always_inline void listener_see(const struct tcp_sock *tp, struct listener_sight *ret)
{
	const struct sock *sk = &tp->inet_conn.icsk_inet.sk;
	const struct net *net = sk->__sk_common.skc_net.net;

	ret->cookie = sk->__sk_common.skc_cookie.counter;
	ret->syn_length = tp->inet_conn.icsk_accept_queue.qlen.counter;
	ret->accept_length = sk->sk_ack_backlog;
	ret->accept_limit = sk->sk_max_ack_backlog;
	ret->syncookies = net->ipv4.sysctl_tcp_syncookies;
	ret->max_syn_backlog = net->ipv4.sysctl_max_syn_backlog;
}

/* The listener of a request. */
static __always_inline void listener_see_request(const struct tcp_request_sock *req,
						 const struct request_listener *listener,
						 struct listener_sight *ret)
{
	const struct net *net = req->req.req.__req_common.skc_net.net;

	ret->cookie = listener->cookie;
	ret->syn_length = listener->syn_length;
	ret->accept_length = listener->accept_length;
	ret->accept_limit = listener->accept_limit;
	ret->syncookies = net->ipv4.sysctl_tcp_syncookies;
	ret->max_syn_backlog = net->ipv4.sysctl_max_syn_backlog;
}

/* ---- children, by the address their listener has ---- */

static __always_inline __u64 *listening_at(struct listening_key *key)
{
	return bpf_map_lookup_elem(&listening, key);
}

/* `address`: v4-mapped for IPv4. Of the very address, else of the wildcard, else of `::`. */
static __always_inline __u64 *listening_for(__u32 netns, const __u32 address[4], __u16 port)
{
	struct listening_key key = { .netns = netns, .port = port };
	__u32 *words = (__u32 *)key.address;
	__u64 *cookie;

	__builtin_memcpy(key.address, address, 16);
	cookie = listening_at(&key);
	if (cookie)
		return cookie;
	words[3] = 0;
	if (!words[0] && !words[1] && words[2] == bpf_htonl(0xffff)) {
		cookie = listening_at(&key);
		if (cookie)
			return cookie;
	}
	words[0] = words[1] = words[2] = 0;
	return listening_at(&key);
}

#endif
