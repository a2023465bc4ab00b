/* SPDX-License-Identifier: GPL-2.0-only */
/* What collectors share, and those that are not in metrics.c. */
#ifndef TCPWITNESS_COLLECTORS_H
#define TCPWITNESS_COLLECTORS_H

#include "export/expose.h"
#include "export/view.h"

static inline void sample1(struct exposition *e, const char *a, uint64_t value)
{
	expose_sample(e, (const char *const[]){ a }, value);
}

static inline void sample2(struct exposition *e, const char *a, const char *b, uint64_t value)
{
	expose_sample(e, (const char *const[]){ a, b }, value);
}

static inline void sample3(struct exposition *e, const char *a, const char *b, const char *c,
			   uint64_t value)
{
	expose_sample(e, (const char *const[]){ a, b, c }, value);
}

/* collect_capture.c */
void collect_by_ring(struct exposition *e);
void collect_records_rejected(struct exposition *e);
void collect_records_lost(struct exposition *e);
void collect_last_record(struct exposition *e);
void collect_interfaces(struct exposition *e);
void collect_interface_segments(struct exposition *e);
void collect_programs(struct exposition *e);
void collect_program_seconds(struct exposition *e);
void collect_program_runs(struct exposition *e);
void collect_program_misses(struct exposition *e);

void collect_degraded(struct exposition *e);

/* collect_sampling.c */
void collect_sampling_shifts(struct exposition *e);
void collect_sampling_active(struct exposition *e);
void collect_sampling_changes(struct exposition *e);
void collect_sampling_suppressed(struct exposition *e);
void collect_sampling_handshakes(struct exposition *e);

/* collect_comparison.c */
void collect_divergences(struct exposition *e);
void collect_divergence_durations(struct exposition *e);
void collect_unobservable(struct exposition *e);
void collect_transients(struct exposition *e);
void collect_conditions(struct exposition *e);
void collect_close_causes(struct exposition *e);
void collect_sweep_corrections(struct exposition *e);

/* collect_listeners.c; the offset of a metric of the first two is one in struct listener_row */
void collect_listener_counter(struct exposition *e);
void collect_listener_gauge(struct exposition *e);
void collect_listener_syn_limit(struct exposition *e);
void collect_listener_cookies(struct exposition *e);
void collect_listener_drops(struct exposition *e);
void collect_listener_syn_fill(struct exposition *e);
void collect_listener_accept_fill(struct exposition *e);
void collect_listener_latency(struct exposition *e);
void collect_listener_resets(struct exposition *e);
void collect_listener_requests(struct exposition *e);
void collect_listener_half_open(struct exposition *e);
void collect_listener_sources(struct exposition *e);
void collect_listener_knobs(struct exposition *e);
void collect_listener_owners(struct exposition *e);
void collect_listeners_total(struct exposition *e);
void collect_listen_unexplained(struct exposition *e);
void collect_listen_sysctls(struct exposition *e);
void collect_syn_queue_test(struct exposition *e);

#endif
