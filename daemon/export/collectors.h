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
void collect_listener_knobs(struct exposition *e);
void collect_listener_owners(struct exposition *e);
void collect_listeners_total(struct exposition *e);
void collect_listen_unexplained(struct exposition *e);
void collect_listen_sysctls(struct exposition *e);
void collect_syn_queue_test(struct exposition *e);

#endif
