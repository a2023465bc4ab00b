/* SPDX-License-Identifier: GPL-2.0-only */
/* Metrics of the listeners: the busiest by name, the rest added up under "other". */
#include "export/collectors.h"

#include <string.h>

static const char *const drop_labels[] = {
#define X(name, label) label,
	LISTENER_DROPS(X)
#undef X
};

#define OTHER_LISTENERS "other"

/* Calls `each` for every row, with the values of the labels listener and netns. */
static void each_row(struct exposition *e,
		     void (*each)(struct exposition *e, const char *listener, const char *netns,
				  const struct listener_row *row))
{
	for (size_t i = 0; i < e->view->nr_listeners; i++)
		each(e, e->view->names[i].listener, e->view->names[i].netns,
		     &e->view->listeners[i]);
	each(e, OTHER_LISTENERS, "", &e->view->other);
}

static void counter(struct exposition *e, const char *listener, const char *netns,
		    const struct listener_row *row)
{
	uint64_t value;

	memcpy(&value, (const char *)row + e->metric->offset, sizeof(value));
	sample2(e, listener, netns, value);
}

void collect_listener_counter(struct exposition *e)
{
	each_row(e, counter);
}

static void gauge(struct exposition *e, const char *listener, const char *netns,
		  const struct listener_row *row)
{
	uint32_t value;

	memcpy(&value, (const char *)row + e->metric->offset, sizeof(value));
	sample2(e, listener, netns, value);
}

void collect_listener_gauge(struct exposition *e)
{
	each_row(e, gauge);
}

static void syn_limit(struct exposition *e, const char *listener, const char *netns,
		      const struct listener_row *row)
{
	const struct limits_facts facts = view_limits_facts(e->view, row);

	sample2(e, listener, netns, limits_of(&facts, QUEUE_SYN).limit);
}

void collect_listener_syn_limit(struct exposition *e)
{
	each_row(e, syn_limit);
}

static void resets(struct exposition *e, const char *listener, const char *netns,
		   const struct listener_row *row)
{
	sample3(e, listener, netns, "request", row->counters.requests_reset);
	sample3(e, listener, netns, "listener", row->counters.resets);
}

void collect_listener_resets(struct exposition *e)
{
	each_row(e, resets);
}

/* Of those that have a name: a closed one leaves none to the others. */
void collect_listener_requests(struct exposition *e)
{
	for (size_t i = 0; i < e->view->nr_listeners; i++) {
		const struct listener_row *row = &e->view->listeners[i];
		const struct listener_names *names = &e->view->names[i];

		sample3(e, names->listener, names->netns, "completed", row->requests_completed);
		sample3(e, names->listener, names->netns, "reset", row->counters.requests_reset);
		sample3(e, names->listener, names->netns, "expired", row->requests_expired);
	}
}

void collect_listener_half_open(struct exposition *e)
{
	for (size_t i = 0; i < e->view->nr_listeners; i++)
		sample2(e, e->view->names[i].listener, e->view->names[i].netns,
			e->view->listeners[i].half_open_ns);
}

/* Of those that have a name: the others' sources may be the same ones. */
void collect_listener_sources(struct exposition *e)
{
	for (size_t i = 0; i < e->view->nr_listeners; i++)
		sample2(e, e->view->names[i].listener, e->view->names[i].netns,
			e->view->listeners[i].sources);
}

static void cookies(struct exposition *e, const char *listener, const char *netns,
		    const struct listener_row *row)
{
	sample3(e, listener, netns, "sent", row->counters.cookies_sent);
	sample3(e, listener, netns, "accepted", row->counters.cookies_accepted);
	sample3(e, listener, netns, "failed", row->counters.drops[LISTENER_DROP_COOKIE_INVALID]);
}

void collect_listener_cookies(struct exposition *e)
{
	each_row(e, cookies);
}

static void drops(struct exposition *e, const char *listener, const char *netns,
		  const struct listener_row *row)
{
	for (int reason = 0; reason < LISTENER_DROP_NR; reason++)
		sample3(e, listener, netns, drop_labels[reason], row->counters.drops[reason]);
}

void collect_listener_drops(struct exposition *e)
{
	each_row(e, drops);
}

static uint64_t fill_bound(size_t b)
{
	static const uint8_t percent[] = FILL_PERCENT;

	return percent[b] * (FILL_PARTS / 100ull);
}

static void fill(struct exposition *e, const char *listener, const char *netns,
		 const struct fill_histogram *histogram)
{
	uint64_t buckets[FILL_BUCKETS];

	for (int b = 0; b < FILL_BUCKETS; b++)
		buckets[b] = histogram->buckets[b];
	expose_histogram(e, (const char *const[]){ listener, netns }, buckets, FILL_BUCKETS,
			 fill_bound, histogram->sum);
}

static void syn_fill(struct exposition *e, const char *listener, const char *netns,
		     const struct listener_row *row)
{
	fill(e, listener, netns, &row->counters.syn_fill);
}

static void accept_fill(struct exposition *e, const char *listener, const char *netns,
			const struct listener_row *row)
{
	fill(e, listener, netns, &row->counters.accept_fill);
}

void collect_listener_syn_fill(struct exposition *e)
{
	each_row(e, syn_fill);
}

void collect_listener_accept_fill(struct exposition *e)
{
	each_row(e, accept_fill);
}

static uint64_t latency_bound(size_t b)
{
	return LISTENER_LATENCY_NS(b);
}

static void latency(struct exposition *e, const char *listener, const char *netns,
		    const struct listener_row *row)
{
	uint64_t buckets[LISTENER_LATENCY_BUCKETS];

	for (int b = 0; b < LISTENER_LATENCY_BUCKETS; b++)
		buckets[b] = row->counters.latency[b];
	expose_histogram(e, (const char *const[]){ listener, netns }, buckets,
			 LISTENER_LATENCY_BUCKETS, latency_bound, row->counters.latency_ns);
}

void collect_listener_latency(struct exposition *e)
{
	each_row(e, latency);
}

/* Of those listeners that have a name: limits of `other` are sums. */
void collect_listener_knobs(struct exposition *e)
{
	for (size_t i = 0; i < e->view->nr_listeners; i++) {
		const struct limits_facts facts =
			view_limits_facts(e->view, &e->view->listeners[i]);

		for (int queue = 0; queue < QUEUE_NR; queue++)
			expose_sample(e,
				      (const char *const[]){
					      e->view->names[i].listener, e->view->names[i].netns,
					      listen_queue_label(queue),
					      listen_knob_label(limits_of(&facts, queue).by) },
				      1);
	}
}

static void owner(struct exposition *e, const char *listener, const char *netns,
		  const struct listener_row *row)
{
	expose_sample(e,
		      (const char *const[]){ listener, netns, row->comm, row->place.unit,
					     row->place.container, row->place.pod },
		      1);
}

void collect_listener_owners(struct exposition *e)
{
	each_row(e, owner);
}

void collect_listeners_total(struct exposition *e)
{
	expose_sample(e, NULL, e->view->total_listeners);
}

void collect_listen_unexplained(struct exposition *e)
{
	for (uint32_t i = 0; i < e->view->capture.nr_spaces; i++)
		for (int mib = 0; mib < LISTEN_MIB_NR; mib++)
			expose_signed(e,
				      (const char *const[]){ e->view->capture.spaces[i].name,
							     listen_mib_label(mib) },
				      e->view->listens[i].unexplained[mib]);
}

void collect_listen_sysctls(struct exposition *e)
{
	for (uint32_t i = 0; i < e->view->capture.nr_spaces; i++) {
		const struct listen_sysctls *sysctls = &e->view->listens[i].sysctls;
		const char *netns = e->view->capture.spaces[i].name;

#define X(field, name) sample2(e, netns, strchr(name, '/') + 1, sysctls->field);
		LISTEN_SYSCTLS(X)
#undef X
	}
}

void collect_syn_queue_test(struct exposition *e)
{
	sample1(e, syn_queue_test_label(e->view->syn_queue_test), 1);
}
