/* SPDX-License-Identifier: GPL-2.0-only */
/* Made-up records for tests of the tracking stage: one connection 10.0.0.1:L - 10.0.0.2:R. */
#ifndef TRACK_RECORDS_H
#define TRACK_RECORDS_H

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

#include "capture/decode.h"
#include "tcp_defs.h"
#include "track/tracker.h"
#include "util.h"

#define EVENTS_KEPT 64

/* A tracker with a clock, a kernel to look at, and the events it emitted. */
struct bench {
	struct tracker *tracker;
	uint64_t now_ns;
	uint16_t local_port, remote_port;
	uint32_t ifindex;
	uint8_t ingress_hook;
	struct rec_snapshot kernel; /* the answer to the next look */
	int look_error;
	uint32_t looked_ifindex;
	const char *drop_reason;
	/* Set by a test that has its own way with a record, or its own kernel to look at. */
	void (*divert)(struct bench *bench, const void *record, size_t size);
	struct rec_snapshot (*answer)(const struct bench *bench, const struct conn_key *key);
	struct track_event events[EVENTS_KEPT];
	struct connection_report reports[EVENTS_KEPT];
	struct divergence_evidence evidence[EVENTS_KEPT];
	size_t nr_events, nr_sampling;
	bool quiet; /* no events are kept */
};

static int bench_look(void *context, const struct conn_key *key, uint32_t ifindex,
		      struct rec_socket *ret)
{
	struct bench *bench = context;

	bench->looked_ifindex = ifindex;
	if (bench->look_error)
		return bench->look_error;
	memset(ret, 0, sizeof(*ret));
	ret->snapshot = bench->answer ? bench->answer(bench, key) : bench->kernel;
	ret->snapshot.bits |= SNAP_LOOKED;
	return 0;
}

static void bench_event(void *context, const struct track_event *event)
{
	struct bench *bench = context;

	if (bench->quiet)
		return;
	assert_true(bench->nr_events < EVENTS_KEPT);
	if (event->type == TRACK_SAMPLING) {
		bench->nr_sampling++;
		return;
	}
	bench->reports[bench->nr_events] = *event->connection;
	bench->events[bench->nr_events] = *event;
	bench->events[bench->nr_events].connection = &bench->reports[bench->nr_events];
	if (event->evidence) {
		bench->evidence[bench->nr_events] = *event->evidence;
		bench->events[bench->nr_events].evidence = &bench->evidence[bench->nr_events];
	}
	bench->nr_events++;
}

static const char *bench_drop_reason(void *context, uint32_t reason)
{
	const struct bench *bench = context;

	(void)reason;
	return bench->drop_reason;
}

static void bench_start(struct bench *bench, uint32_t flows_max)
{
	const struct tracker_settings settings = {
		.flows_max = flows_max,
		.settle_ns = 250 * NS_PER_MS,
		.time_wait_ns = 60 * NS_PER_SEC,
		.hash_seed = 1,
	};
	const struct tracker_ops ops = {
		.context = bench,
		.look = bench_look,
		.event = bench_event,
		.drop_reason = bench_drop_reason,
	};

	memset(bench, 0, sizeof(*bench));
	bench->now_ns = 1000 * NS_PER_SEC;
	bench->local_port = 443;
	bench->remote_port = 50000;
	bench->ifindex = 2;
	bench->ingress_hook = HOOK_TC_INGRESS;
	bench->drop_reason = "NETFILTER_DROP";
	bench->tracker = tracker_new(&settings, &ops);
	assert_non_null(bench->tracker);
	tracker_advance(bench->tracker, bench->now_ns);
}

static void bench_stop(struct bench *bench)
{
	tracker_free(bench->tracker);
}

/* Feeds the record through the real decoder: the tests speak the wire format of the rings. */
static void bench_feed(struct bench *bench, const void *record, size_t size)
{
	static uint64_t aligned[64];
	struct observation observation;
	enum reject_reason reason;

	assert_true(size + 8 <= sizeof(aligned));
	if (bench->divert) {
		bench->divert(bench, record, size);
		return;
	}
	memcpy(aligned, record, size);
	assert_int_equal(decode(aligned, size, &observation, &reason), 0);
	tracker_observe(bench->tracker, &observation);
}

static void put_addresses(uint8_t *addresses)
{
	memcpy(addresses, (uint8_t[]){ 10, 0, 0, 1, 10, 0, 0, 2 }, 8);
}

static struct rec_hdr bench_header(const struct bench *bench, enum rec_type type, bool sent)
{
	return (struct rec_hdr){
		.type = (uint8_t)type,
		.version = RECORD_VERSION,
		.flags = sent ? REC_F_SENT : 0,
		.netns = 1,
		.ts_ns = bench->now_ns,
	};
}

struct segment_spec {
	bool sent;
	uint8_t flags;
	uint32_t seq, ack, len;
	struct rec_snapshot kernel; /* at that instant */
};

static void bench_segment(struct bench *bench, struct segment_spec spec)
{
	uint64_t space[32] = { 0 };
	struct rec_segment *rec = (struct rec_segment *)space;

	bench->now_ns += 10000;
	rec->hdr = bench_header(bench, REC_SEGMENT, spec.sent);
	rec->snapshot = spec.kernel;
	rec->snapshot.bits |= SNAP_LOOKED;
	rec->ifindex = bench->ifindex;
	rec->local_port = bench->local_port;
	rec->remote_port = bench->remote_port;
	rec->seq = spec.seq;
	rec->ack = spec.ack;
	rec->payload_bytes = spec.len;
	rec->window = 64240;
	rec->gso_segs = 1;
	rec->tcp_flags = spec.flags;
	rec->hook = spec.sent ? HOOK_TC_EGRESS : bench->ingress_hook;
	put_addresses(rec->addresses);
	bench_feed(bench, rec, REC_SIZE_V4(rec_segment));
}

struct change_spec {
	uint8_t from, to;
	uint8_t bits;
	uint16_t error;
	uint8_t shutdown;
	uint32_t rcv_nxt, snd_una, snd_nxt;
	uint32_t write_seq; /* 0: as snd_nxt */
	uint64_t cookie;
};

static void bench_change(struct bench *bench, struct change_spec spec)
{
	uint64_t space[32] = { 0 };
	struct rec_state *rec = (struct rec_state *)space;

	bench->now_ns += 5000;
	rec->hdr = bench_header(bench, REC_STATE, false);
	rec->cookie = spec.cookie ? spec.cookie : 77;
	rec->rcv_nxt = spec.rcv_nxt;
	rec->snd_una = spec.snd_una;
	rec->snd_nxt = spec.snd_nxt;
	rec->write_seq = spec.write_seq ? spec.write_seq : spec.snd_nxt;
	rec->shutdown = spec.shutdown;
	rec->local_port = bench->local_port;
	rec->remote_port = bench->remote_port;
	rec->old_state = spec.from;
	rec->new_state = spec.to;
	rec->sk_err = spec.error;
	rec->bits = spec.bits;
	put_addresses(rec->addresses);
	bench_feed(bench, rec, REC_SIZE_V4(rec_state));
}

static inline void bench_wait(struct bench *bench, uint64_t ns)
{
	/* In steps, as the loop does: a deadline must not see time jump over the next one. */
	for (uint64_t end = bench->now_ns + ns; bench->now_ns < end;) {
		bench->now_ns += 20 * NS_PER_MS;
		tracker_advance(bench->tracker, bench->now_ns);
	}
}

static inline const struct track_event *bench_last(const struct bench *bench)
{
	assert_true(bench->nr_events > 0);
	return &bench->events[bench->nr_events - 1];
}

/* Snapshots of the kinds a healthy life shows. */
static inline struct rec_snapshot full(uint8_t state, uint32_t rcv_nxt, uint32_t snd_una,
				       uint32_t snd_nxt)
{
	struct rec_snapshot snapshot = { .cookie = 77, .state = state, .bits = SNAP_LOOKED };

	snapshot.vars.rcv_nxt = rcv_nxt;
	snapshot.vars.snd_una = snd_una;
	snapshot.vars.snd_nxt = snd_nxt;
	snapshot.vars.write_seq = snd_nxt;
	return snapshot;
}

static inline struct rec_snapshot queues(uint8_t state, uint8_t bits, uint32_t accept_length,
					 uint32_t accept_limit, uint32_t syn_length)
{
	struct rec_snapshot snapshot = {
		.cookie = state == KS_LISTEN ? 5 : 77,
		.state = state,
		.bits = SNAP_LOOKED | SNAP_QUEUES | bits,
	};

	snapshot.queues.accept_length = accept_length;
	snapshot.queues.accept_limit = accept_limit;
	snapshot.queues.syn_length = syn_length;
	return snapshot;
}

static inline struct rec_snapshot minisocket(uint8_t substate, uint32_t rcv_nxt, uint32_t snd_nxt)
{
	struct rec_snapshot snapshot = full(KS_TIME_WAIT, rcv_nxt, snd_nxt, snd_nxt);

	snapshot.substate = substate;
	return snapshot;
}

static inline struct rec_snapshot nothing(void)
{
	return (struct rec_snapshot){ .bits = SNAP_LOOKED };
}

#define RECEIVED(...) bench_segment(bench, (struct segment_spec){ .sent = false, __VA_ARGS__ })
#define SENT(...) bench_segment(bench, (struct segment_spec){ .sent = true, __VA_ARGS__ })
#define CHANGE(...) bench_change(bench, (struct change_spec){ __VA_ARGS__ })

#define S TCPF_SYN
#define A TCPF_ACK
#define F TCPF_FIN
#define R TCPF_RST

/* The same listener when it has dropped so many segments. */
static inline struct rec_snapshot after_drops(struct rec_snapshot listener, uint32_t drops)
{
	listener.queues.drops = drops;
	return listener;
}

static const struct rec_snapshot idle_listener = {
	.cookie = 5,
	.state = KS_LISTEN,
	.bits = SNAP_LOOKED | SNAP_QUEUES,
	.queues = { .accept_limit = 16 },
};

static inline void open_server(struct bench *bench)
{
	RECEIVED(.flags = S, .seq = 100, .kernel = idle_listener);
	SENT(.flags = S | A, .seq = 500, .ack = 101,
	     .kernel = queues(KS_NEW_SYN_RECV, 0, 0, 16, 1));
	RECEIVED(.flags = A, .seq = 101, .ack = 501,
		 .kernel = queues(KS_NEW_SYN_RECV, 0, 0, 16, 1));
	CHANGE(.from = KS_SYN_RECV, .to = KS_ESTABLISHED, .rcv_nxt = 101, .snd_una = 501,
	       .snd_nxt = 501);
}

static inline void open_client(struct bench *bench)
{
	SENT(.flags = S, .seq = 500, .kernel = full(KS_SYN_SENT, 0, 0, 0));
	RECEIVED(.flags = S | A, .seq = 100, .ack = 501,
		 .kernel = full(KS_SYN_SENT, 999, 500, 501));
	CHANGE(.from = KS_SYN_SENT, .to = KS_ESTABLISHED, .rcv_nxt = 101, .snd_una = 501,
	       .snd_nxt = 501);
	SENT(.flags = A, .seq = 501, .ack = 101, .kernel = full(KS_ESTABLISHED, 101, 501, 501));
}

static inline void loss(struct bench *bench)
{
	struct rec_loss rec = { .hdr = bench_header(bench, REC_LOSS, false), .lost = 3 };

	bench_feed(bench, &rec, sizeof(rec));
}

static inline void sweep(struct bench *bench, enum sweep_phase phase)
{
	struct rec_sweep rec = { .hdr = bench_header(bench, REC_SWEEP, false), .phase = phase };

	bench->now_ns += 1000;
	rec.hdr.ts_ns = bench->now_ns;
	bench_feed(bench, &rec, sizeof(rec));
}

static inline void swept_socket(struct bench *bench, struct rec_snapshot snapshot)
{
	struct rec_socket rec = { .hdr = bench_header(bench, REC_SOCKET, false),
				  .snapshot = snapshot,
				  .local_port = bench->local_port,
				  .remote_port = bench->remote_port };

	bench->now_ns += 1000;
	rec.hdr.ts_ns = bench->now_ns;
	rec.local_address[10] = rec.local_address[11] = 0xff;
	rec.remote_address[10] = rec.remote_address[11] = 0xff;
	memcpy(&rec.local_address[12], (uint8_t[]){ 10, 0, 0, 1 }, 4);
	memcpy(&rec.remote_address[12], (uint8_t[]){ 10, 0, 0, 2 }, 4);
	bench_feed(bench, &rec, sizeof(rec));
}

#endif
