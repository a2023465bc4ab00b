/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: the metric table
 *
 * One row a family: its name, type, unit, help, label names, and the function that hands over its
 * samples from a view. Order of the file: what the connections do, where the witnesses disagree,
 * the listeners, then what the daemon knows about itself. To add a metric: a collector, a row.
 *
 * Series that can exist, exist from the start, at 0: otherwise increase() misses the first event.
 * So collectors walk whole enums. Two sets are larger than what can happen, and there a series
 * that is not expected shows once it counts something: transitions beyond those of RFC 9293
 * figure 5, and the kernel's drop reasons beyond the few that befall TCP everywhere.
 */
#include "export/metrics.h"

#include <stdio.h>
#include <string.h>

#include "export/collectors.h"
#include "util.h"

/* A family without labels: the row's field. */
static void scalar(struct exposition *e)
{
	expose_sample(e, NULL, e->values[0]);
}

/* ---- labels of the lists in include/ and daemon/capture ---- */

static const char *const segment_labels[] = {
#define X(name, label) label,
	SEGMENT_KINDS(X)
#undef X
};

static const char *const ignored_labels[] = {
#define X(name, label) label,
	IGNORED_REASONS(X)
#undef X
};

static const char *const retransmit_labels[] = {
#define X(name, label) label,
	RETRANSMIT_KINDS(X)
#undef X
};

/* ---- connections ---- */

static void connections(struct exposition *e)
{
	for (uint32_t i = 0; i < e->view->capture.nr_spaces; i++)
		for (int view = 0; view < VIEW_NR; view++)
			for (int state = FSM_CLOSED + 1; state < FSM_NR_STATES; state++)
				sample3(e, fsm_state_name(state), view_label(view),
					e->view->capture.spaces[i].name,
					e->view->connections[i][view][state]);
}

/* RFC 9293 §3.3.2 figure 5, then the edges it leaves to the text: a FIN in SYN_RECEIVED
 * (§3.10.7.4, eighth), and every way to CLOSED by RST, ABORT or a timeout. */
static bool is_legal(enum fsm_state from, enum fsm_state to)
{
#define BIT(state) (1u << FSM_##state)
	static const uint16_t successors[FSM_NR_STATES] = {
		[FSM_CLOSED] = BIT(LISTEN) | BIT(SYN_SENT),
		[FSM_LISTEN] = BIT(SYN_RECEIVED) | BIT(SYN_SENT) | BIT(CLOSED),
		[FSM_SYN_SENT] = BIT(SYN_RECEIVED) | BIT(ESTABLISHED) | BIT(CLOSED),
		[FSM_SYN_RECEIVED] = BIT(ESTABLISHED) | BIT(FIN_WAIT_1) | BIT(CLOSE_WAIT) |
				     BIT(LISTEN) | BIT(CLOSED),
		[FSM_ESTABLISHED] = BIT(FIN_WAIT_1) | BIT(CLOSE_WAIT) | BIT(CLOSED),
		[FSM_CLOSE_WAIT] = BIT(LAST_ACK) | BIT(CLOSED),
		[FSM_FIN_WAIT_1] = BIT(FIN_WAIT_2) | BIT(CLOSING) | BIT(TIME_WAIT) | BIT(CLOSED),
		[FSM_CLOSING] = BIT(TIME_WAIT) | BIT(CLOSED),
		[FSM_LAST_ACK] = BIT(CLOSED),
		[FSM_FIN_WAIT_2] = BIT(TIME_WAIT) | BIT(CLOSED),
		[FSM_TIME_WAIT] = BIT(SYN_RECEIVED) | BIT(CLOSED),
	};
#undef BIT

	return successors[from] & (1u << to);
}

static void transitions(struct exposition *e)
{
	for (int view = 0; view < VIEW_NR; view++)
		for (int from = 0; from < FSM_NR_STATES; from++)
			for (int to = 0; to < FSM_NR_STATES; to++) {
				uint64_t count = e->view->tracker.transitions[view][from][to];

				if (count || is_legal(from, to))
					sample3(e, view_label(view), fsm_state_name(from),
						fsm_state_name(to), count);
			}
}

static void opened(struct exposition *e)
{
	for (int role = 0; role < ROLE_NR; role++)
		sample1(e, role_label(role), e->values[role]);
}

static void closed(struct exposition *e)
{
	for (int role = 0; role < ROLE_NR; role++)
		for (int how = 0; how < END_NR; how++)
			sample2(e, role_label(role), end_label(how),
				e->view->tracker.closed[role][how]);
}

static void connect_failures(struct exposition *e)
{
	for (int reason = 0; reason < CONNECT_NR; reason++)
		sample1(e, connect_failure_label(reason), e->values[reason]);
}

static uint64_t handshake_bound_ns(size_t b)
{
	return DURATION_BUCKET_NS(b);
}

static void handshakes(struct exposition *e)
{
	static const enum connection_role roles[] = { ROLE_CLIENT, ROLE_SERVER };

	for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
		const struct duration_histogram *histogram = &e->view->tracker.handshakes[roles[i]];
		const char *role = role_label(roles[i]);

		expose_histogram(e, &role, histogram->buckets, DURATION_BUCKETS, handshake_bound_ns,
				 histogram->sum_ns);
	}
}

/* ---- segments ---- */

static void segments(struct exposition *e)
{
	for (int kind = 0; kind < SEGMENT_NR; kind++)
		sample1(e, segment_labels[kind], e->values[kind]);
}

static void ignored_segments(struct exposition *e)
{
	for (int reason = 0; reason < IGNORED_NR; reason++)
		sample1(e, ignored_labels[reason], e->values[reason]);
}

static void retransmitted_segments(struct exposition *e)
{
	for (int kind = 0; kind < RETRANSMITTED_NR; kind++)
		sample1(e, retransmit_labels[kind], e->values[kind]);
}

/* Drop reasons that a TCP segment can meet on any host, by the kernel's names. */
static bool is_common_drop(const char *name)
{
	static const char *const names[] = {
		"NOT_SPECIFIED",   "NO_SOCKET",	     "SOCKET_FILTER",	    "SOCKET_RCVBUFF",
		"TCP_CSUM",	   "NETFILTER_DROP", "IP_RPFILTER",	    "SOCKET_BACKLOG",
		"TCP_FLAGS",	   "PROTO_MEM",	     "TCP_LISTEN_OVERFLOW", "TCP_INVALID_SEQUENCE",
		"TCP_INVALID_SYN", "NOMEM",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(names[i], name))
			return true;
	return false;
}

static void dropped_segments(struct exposition *e)
{
	uint64_t unnamed = 0;

	for (uint32_t reason = 0; reason < DROP_REASONS_MAX; reason++) {
		uint64_t count = e->values[reason];
		const char *name = NULL;

		/* The last slot holds everything beyond the core range. */
		if (e->view->drop_reason && reason < DROP_REASONS_MAX - 1)
			name = e->view->drop_reason(e->view->drop_reason_context, reason);
		if (!name)
			unnamed += count;
		else if (count || is_common_drop(name))
			sample1(e, name, count);
	}
	sample1(e, "other", unnamed);
}

static void anomalies(struct exposition *e)
{
	for (int anomaly = AN_NONE + 1; anomaly < AN_NR; anomaly++)
		sample1(e, fsm_anomaly_label(anomaly), e->values[anomaly]);
}

/* ---- the daemon's own truth ---- */

static void ready(struct exposition *e)
{
	expose_sample(e, NULL, e->view->ready);
}

static void build(struct exposition *e)
{
	const struct build_facts *facts = e->view->build;

	expose_sample(e,
		      (const char *const[]){ facts->version, facts->revision, facts->cc,
					     facts->clang, facts->libbpf },
		      1);
}

/* ---- the table ---- */

#define AT(field) offsetof(struct export_view, field)
#define ROW(field) offsetof(struct listener_row, field)

static const struct metric metrics[] = {
	{ "tcpwitness_connections", METRIC_GAUGE, UNIT_NONE, "state,view,netns", connections, 0,
	  "Connections by the state of their local end, as each view has it." },
	{ "tcpwitness_transitions_total", METRIC_COUNTER, UNIT_NONE, "view,from,to", transitions, 0,
	  "State changes of local ends, as each view saw them." },
	{ "tcpwitness_connections_opened_total", METRIC_COUNTER, UNIT_NONE, "role", opened,
	  AT(tracker.opened),
	  "Connections opened: by a client at its SYN, by a server at ESTABLISHED." },
	{ "tcpwitness_connections_closed_total", METRIC_COUNTER, UNIT_NONE, "role,how", closed, 0,
	  "Connections ended, by what ended them." },
	{ "tcpwitness_connect_failures_total", METRIC_COUNTER, UNIT_NONE, "reason",
	  connect_failures, AT(tracker.connect_failures), "Active opens that failed." },
	{ "tcpwitness_handshake_duration_seconds", METRIC_HISTOGRAM, UNIT_SECONDS, "role",
	  handshakes, 0, "From the first SYN to ESTABLISHED of the local end." },
	{ "tcpwitness_received_segments_total", METRIC_COUNTER, UNIT_NONE, "kind", segments,
	  AT(capture.segments.received),
	  "TCP segments received for this host; merged ones count as one, as in InSegs." },
	{ "tcpwitness_sent_segments_total", METRIC_COUNTER, UNIT_NONE, "kind", segments,
	  AT(capture.segments.sent),
	  "TCP segments sent by this host; offloaded ones count each, as in OutSegs." },
	{ "tcpwitness_ignored_segments_total", METRIC_COUNTER, UNIT_NONE, "reason",
	  ignored_segments, AT(capture.segments.ignored), "TCP packets seen but not judged." },
	{ "tcpwitness_retransmitted_segments_total", METRIC_COUNTER, UNIT_NONE, "kind",
	  retransmitted_segments, AT(capture.totals.retransmitted),
	  "Segments the kernel sent again." },
	{ "tcpwitness_dropped_segments_total", METRIC_COUNTER, UNIT_NONE, "reason",
	  dropped_segments, AT(capture.totals.dropped),
	  "TCP segments the kernel dropped, by its own reason." },
	{ "tcpwitness_resets_received_total", METRIC_COUNTER, UNIT_NONE, "", scalar,
	  AT(capture.segments.received[SEGMENT_RST]), "RST segments received." },
	{ "tcpwitness_resets_sent_total", METRIC_COUNTER, UNIT_NONE, "", scalar,
	  AT(capture.segments.sent[SEGMENT_RST]), "RST segments sent." },
	{ "tcpwitness_duplicate_children_total", METRIC_COUNTER, UNIT_NONE, "", scalar,
	  AT(tracker.duplicate_children),
	  "Second children of one handshake: in PassiveOpens, but never a connection." },
	{ "tcpwitness_kernel_gaps_total", METRIC_COUNTER, UNIT_NONE, "", scalar,
	  AT(tracker.kernel_gaps),
	  "State changes that no tracepoint told, learnt from later ones or from snapshots." },
	{ "tcpwitness_stray_segments_total", METRIC_COUNTER, UNIT_NONE, "", scalar,
	  AT(tracker.stray_segments),
	  "Recorded segments of no known connection: late ones, or to closed ports." },
	{ "tcpwitness_anomalies_total", METRIC_COUNTER, UNIT_NONE, "anomaly", anomalies,
	  AT(tracker.anomalies), "Segments that RFC 9293 does not expect in the state they met." },
	{ "tcpwitness_divergences_total", METRIC_COUNTER, UNIT_NONE, "kind,class",
	  collect_divergences, AT(tracker.divergences),
	  "Confirmed disagreements between the wire and the kernel." },
	{ "tcpwitness_divergences_open", METRIC_GAUGE, UNIT_NONE, "kind,class", collect_divergences,
	  AT(tracker.divergences_open), "Disagreements that last now." },
	{ "tcpwitness_divergence_duration_seconds", METRIC_HISTOGRAM, UNIT_SECONDS, "kind,class",
	  collect_divergence_durations, 0,
	  "How long disagreements lasted that are over, from when the views parted." },
	{ "tcpwitness_divergences_untold_total", METRIC_COUNTER, UNIT_NONE, "kind,class",
	  collect_divergences, AT(tracker.moments_untold),
	  "Momentary ones that were counted but, in a flood of them, told nowhere else." },
	{ "tcpwitness_findings_lost_total", METRIC_COUNTER, UNIT_NONE, "", scalar,
	  AT(tracker.findings_lost),
	  "Connections not judged further: there was no room for what is odd about them." },
	{ "tcpwitness_transients_total", METRIC_COUNTER, UNIT_NONE, "cause", collect_transients,
	  AT(tracker.transients),
	  "Disagreements that resolved by themselves before they were called divergences." },
	{ "tcpwitness_connections_stuck", METRIC_GAUGE, UNIT_NONE, "condition", collect_conditions,
	  AT(tracker.conditions),
	  "Connections in a state that both views agree on and that should not last." },
	{ "tcpwitness_sockets_closed_total", METRIC_COUNTER, UNIT_NONE, "cause",
	  collect_close_causes, AT(tracker.close_causes),
	  "Sockets that went to CLOSE, by the cause their last state and error tell." },
	{ "tcpwitness_comparisons_total", METRIC_COUNTER, UNIT_NONE, "", scalar,
	  AT(tracker.comparisons), "Comparisons of the two views of a connection." },
	{ "tcpwitness_comparisons_agreed_total", METRIC_COUNTER, UNIT_NONE, "", scalar,
	  AT(tracker.comparisons_agreed), "Comparisons in which the views agreed." },
	{ "tcpwitness_connections_compared_total", METRIC_COUNTER, UNIT_NONE, "", scalar,
	  AT(tracker.compared_in_two),
	  "Ended connections that were compared in two states or more." },
	{ "tcpwitness_unobservable_connections_total", METRIC_COUNTER, UNIT_NONE, "reason",
	  collect_unobservable, AT(tracker.unobservable),
	  "Connections that could not be judged, and why." },
	{ "tcpwitness_looks_total", METRIC_COUNTER, UNIT_NONE, "", scalar, AT(tracker.looks),
	  "Fresh looks at one socket, taken to confirm a disagreement." },
	{ "tcpwitness_sweep_corrections_total", METRIC_COUNTER, UNIT_NONE, "correction",
	  collect_sweep_corrections, AT(tracker.sweep_corrections),
	  "What sweeps put right in the kernel view; expired is in the course of things." },
	{ "tcpwitness_listeners", METRIC_GAUGE, UNIT_NONE, "", collect_listeners_total, 0,
	  "Listening addresses known, those under listener=\"other\" included." },
	{ "tcpwitness_listener_sockets", METRIC_GAUGE, UNIT_NONE, "listener,netns",
	  collect_listener_gauge, ROW(members),
	  "Sockets that share the listening address (SO_REUSEPORT)." },
	{ "tcpwitness_listener_syn_queue_length", METRIC_GAUGE, UNIT_NONE, "listener,netns",
	  collect_listener_gauge, ROW(syn_length), "Handshakes begun and not complete." },
	{ "tcpwitness_listener_syn_queue_limit", METRIC_GAUGE, UNIT_NONE, "listener,netns",
	  collect_listener_syn_limit, 0,
	  "Limit of the SYN queue in force; it holds one more where the kernel's test allows." },
	{ "tcpwitness_listener_syn_queue_length_max", METRIC_GAUGE, UNIT_NONE, "listener,netns",
	  collect_listener_gauge, ROW(syn_peak),
	  "Longest SYN queue of the last 69 to 137 s, seen at every SYN and SYN-ACK." },
	{ "tcpwitness_listener_accept_queue_length", METRIC_GAUGE, UNIT_NONE, "listener,netns",
	  collect_listener_gauge, ROW(accept_length),
	  "Complete connections that wait for accept()." },
	{ "tcpwitness_listener_accept_queue_limit", METRIC_GAUGE, UNIT_NONE, "listener,netns",
	  collect_listener_gauge, ROW(accept_limit),
	  "Limit of the accept queue in force; it holds one more." },
	{ "tcpwitness_listener_accept_queue_length_max", METRIC_GAUGE, UNIT_NONE, "listener,netns",
	  collect_listener_gauge, ROW(accept_peak),
	  "Longest accept queue of the last 69 to 137 s, seen at every SYN and final ACK." },
	{ "tcpwitness_listener_syn_queue_fill_ratio", METRIC_HISTOGRAM, UNIT_NONE, "listener,netns",
	  collect_listener_syn_fill, 0,
	  "How full each SYN found the SYN queue; beyond 1 it is full." },
	{ "tcpwitness_listener_accept_queue_fill_ratio", METRIC_HISTOGRAM, UNIT_NONE,
	  "listener,netns", collect_listener_accept_fill, 0,
	  "How full each SYN found the accept queue; beyond 1 it is full." },
	{ "tcpwitness_listener_syns_total", METRIC_COUNTER, UNIT_NONE, "listener,netns",
	  collect_listener_counter, ROW(counters.syns), "SYNs that reached the listener." },
	{ "tcpwitness_listener_sources", METRIC_GAUGE, UNIT_NONE, "listener,netns",
	  collect_listener_sources, 0,
	  "Addresses that SYNs came from in the last 69 to 137 s, estimated: standard error 3.25 %." },
	{ "tcpwitness_listener_syn_flood_suspected", METRIC_GAUGE, UNIT_NONE, "listener,netns",
	  collect_listener_gauge, ROW(flooded), "1: many SYNs, few answered, and it hurts." },
	{ "tcpwitness_listener_resets_total", METRIC_COUNTER, UNIT_NONE, "listener,netns,target",
	  collect_listener_resets, 0, "RSTs that ended a request, or met the listener itself." },
	{ "tcpwitness_listener_requests_total", METRIC_COUNTER, UNIT_NONE, "listener,netns,outcome",
	  collect_listener_requests, 0,
	  "Half-open connections that ended: completed, reset by the peer, expired (or otherwise)." },
	{ "tcpwitness_listener_half_open_seconds_total", METRIC_COUNTER, UNIT_SECONDS,
	  "listener,netns", collect_listener_half_open, 0,
	  "Time that all requests have spent half-open, whatever became of them, added up." },
	{ "tcpwitness_listener_synacks_total", METRIC_COUNTER, UNIT_NONE, "listener,netns",
	  collect_listener_counter, ROW(counters.synacks),
	  "SYN-ACKs sent, retransmitted ones and cookies included." },
	{ "tcpwitness_listener_retransmitted_synacks_total", METRIC_COUNTER, UNIT_NONE,
	  "listener,netns", collect_listener_counter, ROW(counters.synacks_retransmitted),
	  "SYN-ACKs sent again." },
	{ "tcpwitness_listener_handshakes_total", METRIC_COUNTER, UNIT_NONE, "listener,netns",
	  collect_listener_counter, ROW(counters.handshakes),
	  "Handshakes completed: sockets handed to the accept queue." },
	{ "tcpwitness_listener_handshake_duration_seconds", METRIC_HISTOGRAM, UNIT_SECONDS,
	  "listener,netns", collect_listener_latency, 0,
	  "How long completed handshakes were half-open: first SYN-ACK to the ACK that ended it." },
	{ "tcpwitness_listener_deferred_acks_total", METRIC_COUNTER, UNIT_NONE, "listener,netns",
	  collect_listener_counter, ROW(counters.deferred),
	  "ACKs without data that TCP_DEFER_ACCEPT put off." },
	{ "tcpwitness_listener_cookies_total", METRIC_COUNTER, UNIT_NONE, "listener,netns,result",
	  collect_listener_cookies, 0, "SYN cookies sent, accepted, failed." },
	{ "tcpwitness_listener_drops_total", METRIC_COUNTER, UNIT_NONE, "listener,netns,reason",
	  collect_listener_drops, 0,
	  "SYNs and final ACKs that the listener turned away, and why." },
	{ "tcpwitness_listener_sampling_shift", METRIC_GAUGE, UNIT_NONE, "listener,netns",
	  collect_listener_gauge, ROW(sampling_shift),
	  "One connection in 2^n is followed; 0: all, more: a flood beyond --flood.budget." },
	{ "tcpwitness_listener_knob_info", METRIC_INFO, UNIT_NONE, "listener,netns,queue,knob",
	  collect_listener_knobs, 0, "Which setting limits each queue." },
	{ "tcpwitness_listener_owner_info", METRIC_INFO, UNIT_NONE,
	  "listener,netns,comm,unit,container,pod", collect_listener_owners, 0,
	  "Who called listen(), or holds the socket; empty where unknown, and where there is none." },
	{ "tcpwitness_listener_drops_unexplained", METRIC_GAUGE, UNIT_NONE, "netns,counter",
	  collect_listen_unexplained, 0,
	  "The namespace's own counter since the start, less what the listeners' counters explain." },
	{ "tcpwitness_listen_sysctl", METRIC_GAUGE, UNIT_NONE, "netns,sysctl",
	  collect_listen_sysctls, 0, "Settings of the network namespace that listeners go by." },
	{ "tcpwitness_syn_queue_test_info", METRIC_INFO, UNIT_NONE, "full", collect_syn_queue_test,
	  0, "When this kernel takes a SYN queue for full, as observed." },
	{ "tcpwitness_records_attempted_total", METRIC_COUNTER, UNIT_NONE, "ring", collect_by_ring,
	  AT(capture.attempted),
	  "Records BPF tried to write: decoded, rejected, lost and pending together." },
	{ "tcpwitness_records_decoded_total", METRIC_COUNTER, UNIT_NONE, "ring", collect_by_ring,
	  AT(capture.decoded), "Records decoded." },
	{ "tcpwitness_records_rejected_total", METRIC_COUNTER, UNIT_NONE, "ring,reason",
	  collect_records_rejected, 0, "Records the decoder refused." },
	{ "tcpwitness_records_lost_total", METRIC_COUNTER, UNIT_NONE, "ring,cpu",
	  collect_records_lost, 0, "Records lost because that CPU's ring was full." },
	{ "tcpwitness_records_pending", METRIC_GAUGE, UNIT_NONE, "ring", collect_by_ring,
	  AT(capture.pending), "Records written and not yet decoded." },
	{ "tcpwitness_records_late_total", METRIC_COUNTER, UNIT_NONE, "ring", collect_by_ring,
	  AT(capture.late),
	  "Records that came behind the merge's watermark; applied all the same." },
	{ "tcpwitness_last_record_timestamp_seconds", METRIC_GAUGE, UNIT_SECONDS, "",
	  collect_last_record, 0,
	  "When the newest record was made, since the epoch; 0 before the first." },
	{ "tcpwitness_ring_lag_seconds", METRIC_GAUGE, UNIT_SECONDS, "ring", collect_by_ring,
	  AT(capture.lag_ns), "Age of the ring's newest record when it was read." },
	{ "tcpwitness_sweeps_total", METRIC_COUNTER, UNIT_NONE, "", scalar,
	  AT(capture.sweeps.sweeps), "Sweeps of all TCP sockets that came to their end." },
	{ "tcpwitness_sweep_cost_seconds", METRIC_GAUGE, UNIT_SECONDS, "", scalar,
	  AT(capture.sweeps.cost_ns), "CPU time that the last sweep took." },
	{ "tcpwitness_sweep_interval_seconds", METRIC_GAUGE, UNIT_SECONDS, "", scalar,
	  AT(capture.sweeps.interval_ns), "From the last sweep's begin to the next one's." },
	{ "tcpwitness_sweep_sockets", METRIC_GAUGE, UNIT_NONE, "", scalar,
	  AT(capture.sweeps.sockets), "Sockets that the last sweep found." },
	{ "tcpwitness_sweep_stalled", METRIC_GAUGE, UNIT_NONE, "", scalar,
	  AT(capture.sweeps.stalled),
	  "1 while the sweep waits for the lock of a socket that its owner holds." },
	{ "tcpwitness_sampling_shift", METRIC_GAUGE, UNIT_NONE, "netns,port,interface",
	  collect_sampling_shifts, 0,
	  "Of the flows to a local port, or without a socket on an interface, one in 2^n is followed." },
	{ "tcpwitness_sampling_sites", METRIC_GAUGE, UNIT_NONE, "", collect_sampling_active, 0,
	  "Ports and interfaces where not every flow is followed now." },
	{ "tcpwitness_sampling_budget", METRIC_GAUGE, UNIT_NONE, "", scalar,
	  AT(capture.sampling.budget),
	  "Records a second that one of them may make: --flood.budget; 0: no limit." },
	{ "tcpwitness_sampling_total_budget", METRIC_GAUGE, UNIT_NONE, "", scalar,
	  AT(capture.sampling.total),
	  "Records a second that all of them together may make: --flood.total; 0: no limit." },
	{ "tcpwitness_sampling_share", METRIC_GAUGE, UNIT_NONE, "", scalar,
	  AT(capture.sampling.share),
	  "Records a second that one of them may make now: less than its budget while the total binds." },
	{ "tcpwitness_sampling_changes_total", METRIC_COUNTER, UNIT_NONE, "direction",
	  collect_sampling_changes, 0, "Changes of the sampling shifts." },
	{ "tcpwitness_sampling_suppressed_records_total", METRIC_COUNTER, UNIT_NONE,
	  "netns,port,interface,record", collect_sampling_suppressed, 0,
	  "Records not made because their flow is not followed." },
	{ "tcpwitness_sampling_suppressed_handshakes_total", METRIC_COUNTER, UNIT_NONE, "",
	  collect_sampling_handshakes, 0,
	  "Handshakes completed that were not followed: counted in connections_opened_total." },
	{ "tcpwitness_flow_table_entries", METRIC_GAUGE, UNIT_NONE, "", scalar, AT(tracker.entries),
	  "Connections in the flow table." },
	{ "tcpwitness_flow_table_limit", METRIC_GAUGE, UNIT_NONE, "", scalar, AT(tracker.limit),
	  "Connections the flow table may hold." },
	{ "tcpwitness_flow_table_evictions_total", METRIC_COUNTER, UNIT_NONE, "", scalar,
	  AT(tracker.evictions), "Connections evicted because the flow table was full." },
	{ "tcpwitness_history_entries", METRIC_GAUGE, UNIT_NONE, "", scalar, AT(history.entries),
	  "Events kept for `tcpwitness explain`, 64 bytes each." },
	{ "tcpwitness_history_limit", METRIC_GAUGE, UNIT_NONE, "", scalar, AT(history.limit),
	  "Events that may be kept: --history.events." },
	{ "tcpwitness_history_overwritten_total", METRIC_COUNTER, UNIT_NONE, "", scalar,
	  AT(history.overwritten), "Events that made room for newer ones." },
	{ "tcpwitness_interface_info", METRIC_INFO, UNIT_NONE, "interface,hook,mode,netns",
	  collect_interfaces, 0, "Watched interfaces: which hook, attached how." },
	{ "tcpwitness_interface_segments_total", METRIC_COUNTER, UNIT_NONE,
	  "interface,netns,direction", collect_interface_segments, 0,
	  "TCP segments of this host by interface; one that two interfaces see counts at both." },
	{ "tcpwitness_program_attached", METRIC_GAUGE, UNIT_NONE, "program,interface,netns",
	  collect_programs, 0,
	  "1 where the BPF program is attached; tracepoints have no interface." },
	{ "tcpwitness_program_run_seconds_total", METRIC_COUNTER, UNIT_SECONDS, "program",
	  collect_program_seconds, 0,
	  "Time in BPF programs; 0 unless sysctl kernel.bpf_stats_enabled is 1." },
	{ "tcpwitness_program_runs_total", METRIC_COUNTER, UNIT_NONE, "program",
	  collect_program_runs, 0,
	  "Runs of BPF programs; 0 unless sysctl kernel.bpf_stats_enabled is 1." },
	{ "tcpwitness_program_misses_total", METRIC_COUNTER, UNIT_NONE, "program",
	  collect_program_misses, 0,
	  "Events that passed a BPF program by because it was running on that CPU; those of "
	  "on_set_state are told to on_set_state_nested." },
	{ "tcpwitness_events_written_total", METRIC_COUNTER, UNIT_NONE, "", scalar,
	  AT(events.written), "Lines written to the event log." },
	{ "tcpwitness_events_dropped_total", METRIC_COUNTER, UNIT_NONE, "", scalar,
	  AT(events.dropped),
	  "Lines the event log lost to its rate limit, a full buffer or a failed file." },
	{ "tcpwitness_http_requests_total", METRIC_COUNTER, UNIT_NONE, "", scalar,
	  AT(http.requests), "HTTP requests received." },
	{ "tcpwitness_http_requests_refused_total", METRIC_COUNTER, UNIT_NONE, "", scalar,
	  AT(http.refused),
	  "HTTP requests answered 503: too many at once, or no answer from the data thread." },
	{ "tcpwitness_http_connections_refused_total", METRIC_COUNTER, UNIT_NONE, "", scalar,
	  AT(http.turned_away), "Connections closed at once, as their client had too many." },
	{ "tcpwitness_http_requests_forbidden_total", METRIC_COUNTER, UNIT_NONE, "", scalar,
	  AT(http.forbidden), "Requests for connection data answered 403." },
	{ "tcpwitness_degraded", METRIC_GAUGE, UNIT_NONE, "limit", collect_degraded, 0,
	  "1 for a minute after a limit of the daemon's was passed; /-/ready tells more." },
	{ "tcpwitness_ready", METRIC_GAUGE, UNIT_NONE, "", ready, 0,
	  "1 when programs are attached, sockets seeded and the rings drained once." },
	{ "tcpwitness_build_info", METRIC_INFO, UNIT_NONE, "version,revision,cc,clang,libbpf",
	  build, 0, "What this binary is and was built with." },
	{ "tcpwitness_scrape_duration_seconds", METRIC_GAUGE, UNIT_SECONDS, "", scalar,
	  AT(collect_ns), "What collecting this scrape's values took." },
	{ "process_cpu_seconds_total", METRIC_COUNTER, UNIT_SECONDS, "", scalar, AT(process.cpu_ns),
	  "Total user and system CPU time spent in seconds." },
	{ "process_open_fds", METRIC_GAUGE, UNIT_NONE, "", scalar, AT(process.open_fds),
	  "Number of open file descriptors." },
	{ "process_max_fds", METRIC_GAUGE, UNIT_NONE, "", scalar, AT(process.max_fds),
	  "Maximum number of open file descriptors." },
	{ "process_virtual_memory_bytes", METRIC_GAUGE, UNIT_BYTES, "", scalar,
	  AT(process.virtual_bytes), "Virtual memory size in bytes." },
	{ "process_virtual_memory_max_bytes", METRIC_GAUGE, UNIT_BYTES, "", scalar,
	  AT(process.virtual_max_bytes), "Maximum amount of virtual memory available in bytes." },
	{ "process_resident_memory_bytes", METRIC_GAUGE, UNIT_BYTES, "", scalar,
	  AT(process.resident_bytes), "Resident memory size in bytes." },
	{ "process_start_time_seconds", METRIC_GAUGE, UNIT_SECONDS, "", scalar,
	  AT(process.start_time_ns), "Start time of the process since unix epoch in seconds." },
};

const struct metric *metrics_table(size_t *ret_count)
{
	*ret_count = ARRAY_SIZE(metrics);
	return metrics;
}

void metrics_render(const struct export_view *view, enum expose_format format, struct text *out)
{
	expose(metrics, ARRAY_SIZE(metrics), view, format, out);
}
