/* SPDX-License-Identifier: GPL-2.0-only */
/* A view with something in every corner, for the tests of the export stage. */
#ifndef TCPWITNESS_TESTS_FAKE_VIEW_H
#define TCPWITNESS_TESTS_FAKE_VIEW_H

#include <stdio.h>
#include <string.h>

#include "export/ledger.h"
#include "export/view.h"

#define FAKE_WALL_NS 1767225600123456789ull /* 2026-01-01T00:00:00.123456789Z */
#define FAKE_NETNS 4026531840u
#define FAKE_MONO_NS 5000000000ull

static const struct build_facts fake_build = {
	.version = "1.0\"beta\"",
	.revision = "abc",
	.cc = "gcc",
	.clang = "clang",
	.libbpf = "1.1",
};

static inline const char *fake_drop_reason(void *context, uint32_t reason)
{
	(void)context;
	switch (reason) {
	case 3:
		return "NO_SOCKET";
	case 12:
		return "NETFILTER_DROP";
	case 13:
		return "OTHERHOST";
	case 14:
		return "IP_CSUM";
	default:
		return NULL;
	}
}

static inline struct conn_key fake_key(uint8_t last, uint16_t local_port, uint16_t remote_port)
{
	struct conn_key key = { .local_port = local_port,
				.remote_port = remote_port,
				.netns = FAKE_NETNS };
	const uint8_t local[16] = { [10] = 0xff, 0xff, 10, 0, 0, last };
	const uint8_t remote[16] = { 0xfd, [15] = 9 };

	memcpy(key.local_address, local, sizeof(local));
	memcpy(key.remote_address, remote, sizeof(remote));
	return key;
}

static inline void fake_interfaces(struct capture_stats *capture)
{
	capture->nr_spaces = 1;
	capture->spaces[0] = (struct space_row){ FAKE_NETNS, "host" };
	capture->nr_interfaces = 2;
	capture->interfaces[0] =
		(struct interface_row){ "eth\"0\\", "ingress", "xdp_native", FAKE_NETNS, 2 };
	capture->interfaces[1] =
		(struct interface_row){ "bad\xff", "egress", "tcx", FAKE_NETNS, 2 };
	capture->nr_programs = 2;
	capture->programs[0] = (struct program_row){ "witness_xdp", "veth0", 1, FAKE_NETNS };
	capture->programs[1] = (struct program_row){ "witness_state", "", 1, 0 };
}

static inline void fake_listeners(struct export_view *view)
{
	view->total_listeners = 5;
	view->nr_listeners = view->listeners_max < 2 ? view->listeners_max : 2;
	for (size_t i = 0; i < view->nr_listeners; i++)
		view->listeners[i] = (struct listener_row){
			.key = fake_key((uint8_t)(i + 1), 80, 0),
			.members = 1,
			.accept_length = 3,
			.accept_limit = 128,
			.counters = { .syns = 100 + i, .drops = { 7, 8, 9 } },
			.pid = 17,
			.comm = "nginx",
			.place = { .known = true, .unit = "nginx.service" },
		};
	view->listens[0] = (struct listen_view){
		.unexplained = { [LISTEN_MIB_DROPS] = -2 },
		.sysctls = { .somaxconn = 4096, .max_syn_backlog = 512, .syncookies = 1 },
	};
	view->syn_queue_test = SYN_QUEUE_FULL_BEYOND;
	view->other = (struct listener_row){ .members = 3, .counters = { .syns = 1000 } };
}

/* What the data thread would fill in. Two listeners of `total_listeners` get rows. */
static inline void fake_snapshot(struct export_view *view)
{
	struct capture_stats *capture = &view->capture;

	view->started_ns = 1000000000;
	view->ready = true;
	capture->attempted[RING_SEGMENT] = 10;
	capture->decoded[RING_SEGMENT] = 7;
	capture->rejected[RING_SEGMENT][REJECT_LENGTH] = 1;
	capture->lost[RING_SEGMENT] = 2;
	capture->nr_losses = 2;
	capture->losses[1] = (struct loss_row){ .cpu = 3, .lost = { [RING_SEGMENT] = 2 } };
	capture->lag_ns[RING_KERNEL] = 1500000;
	capture->last_record_ns[RING_SEGMENT] = FAKE_MONO_NS - 1000000000;
	capture->segments.received[SEGMENT_SYN] = 11;
	capture->segments.received[SEGMENT_RST] = 3;
	capture->segments.sent[SEGMENT_RST] = 4;
	capture->segments.ignored[IGNORED_TRANSIT] = 5;
	capture->totals.dropped[12] = 6;
	capture->totals.dropped[14] = 1;
	capture->totals.dropped[200] = 2;
	capture->totals.dropped[DROP_REASONS_MAX - 1] = 3;
	fake_interfaces(capture);
	capture->nr_costs = 1;
	capture->costs[0] = (struct program_cost){ "witness_xdp", 1234567890, 42, 7 };

	view->tracker.connections[VIEW_WIRE][FSM_ESTABLISHED] = 12;
	view->connections[0][VIEW_WIRE][FSM_ESTABLISHED] = 12;
	view->tracker.transitions[VIEW_WIRE][FSM_LISTEN][FSM_SYN_RECEIVED] = 13;
	view->tracker.transitions[VIEW_KERNEL][FSM_LAST_ACK][FSM_LISTEN] = 1;
	view->tracker.handshakes[ROLE_CLIENT].buckets[0] = 2;
	view->tracker.handshakes[ROLE_CLIENT].buckets[3] = 1;
	view->tracker.handshakes[ROLE_CLIENT].buckets[DURATION_BUCKETS - 1] = 1;
	view->tracker.handshakes[ROLE_CLIENT].sum_ns = 70123000000ull;
	view->tracker.divergences[DIVERGENCE_SYN_DROPPED] = 9;
	view->tracker.divergences_open[DIVERGENCE_SYN_DROPPED] = 1;
	view->tracker.divergence_durations[DIVERGENCE_SYN_DROPPED] = (struct duration_histogram){
		.buckets = { [0] = 1, [14] = 1, [15] = 1, [22] = 2, [23] = 3 },
		.sum_ns = 400000000000,
	};
	view->tracker.moments_untold[DIVERGENCE_RESET_IGNORED] = 15;
	view->tracker.transients[TRANSIENT_OWNER_BUSY] = 16;
	view->tracker.conditions[CONDITION_CLOSE_WAIT_LEAK] = 17;
	view->tracker.close_causes[CLOSED_BY_MEMORY] = 18;
	view->tracker.limit = 1000000;

	fake_listeners(view);
}

static inline void fake_complete(struct export_view *view)
{
	view->mono_ns = FAKE_MONO_NS;
	view->wall_ns = FAKE_WALL_NS;
	view->build = &fake_build;
	view->drop_reason = fake_drop_reason;
	view->process = (struct process_stats){ .cpu_ns = 1230000000, .open_fds = 12 };
	view->collect_ns = 250000;
	view_complete(view);
}

/* "10.0.0.1:80" to "[fd00::9]:4711", ESTABLISHED on the wire, NEW_SYN_RECV in the kernel. */
static inline struct connection_report fake_report(void)
{
	return (struct connection_report){
		.key = fake_key(1, 80, 4711),
		.role = ROLE_SERVER,
		.end = END_REMOTE_RESET,
		.opened_ns = FAKE_MONO_NS - 2000000000,
		.closed_ns = FAKE_MONO_NS,
		.local_state = FSM_ESTABLISHED,
		.remote_state = FSM_FIN_WAIT_1,
		.kernel_state = KS_NEW_SYN_RECV,
		.local_path = { FSM_LISTEN, FSM_SYN_RECEIVED, FSM_ESTABLISHED },
		.local_steps = 3,
		.remote_path = { FSM_SYN_SENT, FSM_ESTABLISHED, FSM_FIN_WAIT_1 },
		.remote_steps = 3,
		.kernel_path = { KS_LISTEN, KS_NEW_SYN_RECV },
		.kernel_steps = 2,
		.divergences = 1u << DIVERGENCE_ACCEPT_QUEUE_OVERFLOW,
		.seen = 1u << SEEN_SYN | 1u << SEEN_SYNACK | 1u << SEEN_FIN,
		.observable = true,
	};
}

/* An ACK arrived and was dropped; the request socket is still there, the accept queue is full. */
static const struct divergence_evidence fake_evidence = {
	.segment = { .ts_ns = FAKE_MONO_NS - 1250000000,
		     .seq = 1001,
		     .ack = 5001,
		     .payload_bytes = 12,
		     .tcp_flags = TCPF_ACK },
	.change = { .ts_ns = FAKE_MONO_NS - 2000000000,
		    .error = 110,
		    .from = KS_SYN_RECV,
		    .to = KS_CLOSE,
		    .bits = STATE_DEAD },
	.look = { .ts_ns = FAKE_MONO_NS,
		  .snapshot = { .state = KS_NEW_SYN_RECV,
				.bits = SNAP_QUEUES | SNAP_ACKED,
				.queues = { 3, 2, 1, 4 } } },
	.drop_reason = "TCP_LISTEN_OVERFLOW",
	.repeats = 3,
};

static inline struct listener_owner fake_owner(void)
{
	struct listener_owner owner = {
		.key = fake_key(0, 80, 0), .cgroup_id = 99, .pid = 17, .comm = "nginx"
	};

	memset(owner.key.local_address + 12, 0, 4);
	return owner;
}

static inline struct track_event fake_event(enum track_event_type type,
					    const struct connection_report *report)
{
	return (struct track_event){
		.type = type,
		.ts_ns = FAKE_MONO_NS,
		.kind = DIVERGENCE_ACCEPT_QUEUE_OVERFLOW,
		.id = 7,
		.explained_as = DIVERGENCE_NR,
		.since_ns = FAKE_MONO_NS - 1250000000,
		.reason = "accept_queue_full",
		.connection = report,
		.evidence = &fake_evidence,
	};
}

/* Number 7 is open; 8 was, and became 9, which is over. */
static inline void fake_ledger(struct ledger *ledger)
{
	const struct connection_report report = fake_report();
	struct track_event event = fake_event(TRACK_DIVERGENCE_OPEN, &report);
	const struct listener_owner owner = fake_owner();

	ledger_take(ledger, &event, &owner);
	event.id = 8;
	event.kind = DIVERGENCE_FIN_QUEUED;
	event.reason = NULL;
	ledger_take(ledger, &event, NULL);
	event.type = TRACK_DIVERGENCE_CLOSE;
	event.explained_as = DIVERGENCE_FIN_STALLED;
	ledger_take(ledger, &event, NULL);
	event.type = TRACK_DIVERGENCE_OPEN;
	event.kind = DIVERGENCE_FIN_STALLED;
	event.explained_as = DIVERGENCE_NR;
	event.explains = 8;
	event.id = 9;
	ledger_take(ledger, &event, NULL);
	event.type = TRACK_DIVERGENCE_CLOSE;
	event.explains = 0;
	event.ts_ns += 500000000;
	ledger_take(ledger, &event, NULL);
}

/* Pipes `text` into a checker; its exit status. */
static inline int run_checker(const char *command, const struct text *text)
{
	FILE *pipe = popen(command, "w");

	if (!pipe || fwrite(text->data, 1, text->length, pipe) != text->length)
		return -1;
	return pclose(pipe);
}

#endif
