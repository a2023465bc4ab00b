/* SPDX-License-Identifier: GPL-2.0-only */
/* Listening sockets as rows: one an address, the busiest or those that have a label. */
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include "listen/listeners_parts.h"

static void add_peaks(struct listener_row *row, const struct listener *listener,
		      const struct listener_reading *reading, uint64_t now_ns)
{
	row->syn_peak = MAX(row->syn_peak, reading->syn_peak);
	row->accept_peak = MAX(row->accept_peak, reading->accept_peak);
	for (int i = 0; i < 2; i++) {
		const struct window *window = &listener->windows[i];

		if (window->number + 1 < now_ns >> LISTENER_WINDOW_SHIFT)
			continue;
		row->syn_peak = MAX(row->syn_peak, window->syn_length);
		row->accept_peak = MAX(row->accept_peak, window->accept_length);
	}
}

static void add_member(struct listener_row *row, const struct listener *listener,
		       const struct listener_counters *counters)
{
	row->defers |= listener->defers;
	/* The fullest member is the one that refuses: its queues are the group's. */
	if (!row->members || listener->accept_length >= row->accept_length) {
		row->accept_length = listener->accept_length;
		row->accept_limit = listener->accept_limit;
	}
	if (listener->syn_length > row->syn_length)
		row->syn_length = listener->syn_length;
	if (listener->pid && !row->pid) {
		row->pid = listener->pid;
		row->place = listener->place;
		memcpy(row->comm, listener->comm, sizeof(row->comm));
	}
	row->members++;
	row->requests_completed += requests_completed(counters);
	row->requests_expired += listener->expired;
	row->half_open_ns += listener->half_open_ns;
	counters_add(&row->counters, counters);
}

static void add_queues(struct listener_row *other, const struct listener_row *row)
{
	other->members += row->members;
	other->syn_length += row->syn_length;
	other->accept_length += row->accept_length;
	other->accept_limit += row->accept_limit;
	other->flooded |= row->flooded;
	other->syn_peak = MAX(other->syn_peak, row->syn_peak);
	other->accept_peak = MAX(other->accept_peak, row->accept_peak);
}

static int busier_first(const void *left, const void *right)
{
	const struct listener_row *a = left, *b = right;

	if (a->counters.syns != b->counters.syns)
		return a->counters.syns < b->counters.syns ? 1 : -1;
	return memcmp(&a->key, &b->key, sizeof(a->key));
}

static int labelled_first(const void *left, const void *right)
{
	const struct listener_row *a = left, *b = right;

	return a->labelled != b->labelled ? b->labelled - a->labelled : busier_first(a, b);
}

/* Cookies are given in the order of time. */
static int by_key(const void *left, const void *right)
{
	const struct listener *a = left, *b = right;
	int order = memcmp(&a->key, &b->key, sizeof(a->key));

	return order ? order : (a->cookie > b->cookie) - (a->cookie < b->cookie);
}

static void add_address(struct listener_row *row, const struct listener_address *address,
			const struct sketch_union *sources)
{
	row->sources = sketch_estimate(sources);
	if (!address)
		return;
	row->flooded = address->flood.suspected;
	row->flooded_ns = address->flood.suspected ? address->flood.since_ns : 0;
	row->flood = address->flood.facts;
}

/* One row an address:port, NULL without memory. The caller frees it. */
static struct listener_row *group(struct listeners *listeners, size_t *ret_count)
{
	struct listener_row *rows = calloc(listeners->count + 1, sizeof(*rows));
	struct sketch_union sources;
	size_t nr_rows = 0;

	if (!rows)
		return NULL;
	qsort(listeners->all, listeners->count, sizeof(*listeners->all), by_key);
	for (size_t i = 0; i < listeners->count; i++) {
		const struct listener *listener = &listeners->all[i];
		const struct listener_reading reading = listeners_read(listeners, listener);

		if (!nr_rows || !same_address(&rows[nr_rows - 1].key, &listener->key)) {
			rows[nr_rows++].key = listener->key;
			sources = (struct sketch_union){ 0 };
		}
		add_member(&rows[nr_rows - 1], listener, &reading.counters);
		add_peaks(&rows[nr_rows - 1], listener, &reading, listeners->now_ns);
		rows[nr_rows - 1].labelled |= listener->labelled;
		listener_add_sources(listeners, listener, &sources);
		add_address(&rows[nr_rows - 1], listener->address, &sources);
	}
	*ret_count = nr_rows;
	return rows;
}

size_t listeners_busiest(struct listeners *listeners, struct listener_row *rows, size_t max,
			 size_t *ret_total, struct listener_row *ret_other)
{
	struct listener_row *all = group(listeners, ret_total);
	size_t filled = *ret_total < max ? *ret_total : max;

	memset(ret_other, 0, sizeof(*ret_other));
	if (!all) {
		*ret_total = 0;
		return 0;
	}
	qsort(all, *ret_total, sizeof(*all), busier_first);
	memcpy(rows, all, filled * sizeof(*rows));
	for (size_t i = filled; i < *ret_total; i++) {
		add_queues(ret_other, &all[i]);
		counters_add(&ret_other->counters, &all[i].counters);
	}
	free(all);
	return filled;
}

/* The first of an address in an array that is in order. */
static size_t first_at(const struct listeners *listeners, const struct conn_key *key)
{
	size_t low = 0, high = listeners->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (memcmp(&listeners->all[middle].key, key, sizeof(*key)) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Whoever shares a row's address shares its label; what `other` has of them is not shown twice.
 * group() has left the array in order. */
static void give_label(struct listeners *listeners, struct listener_row *row)
{
	size_t i = first_at(listeners, &row->key);

	row->labelled = true;
	for (; i < listeners->count && same_address(&listeners->all[i].key, &row->key); i++) {
		listeners->all[i].labelled = true;
		counters_subtract(&row->counters, &listeners->all[i].in_other);
	}
}

size_t listeners_labelled(struct listeners *listeners, struct listener_row *rows, size_t max,
			  size_t *ret_total, struct listener_row *ret_other)
{
	struct listener_row *all = group(listeners, ret_total);
	size_t filled = 0;

	memset(ret_other, 0, sizeof(*ret_other));
	if (!all) {
		*ret_total = 0;
		return 0;
	}
	qsort(all, *ret_total, sizeof(*all), labelled_first);
	for (size_t i = 0; i < *ret_total; i++)
		if (i < listeners->labels_max && i < max) {
			give_label(listeners, &all[i]);
			rows[filled++] = all[i];
		} else {
			add_queues(ret_other, &all[i]);
		}
	for (size_t i = 0; i < listeners->count; i++)
		if (!listeners->all[i].labelled)
			listeners_account_in_other(listeners, &listeners->all[i]);
	ret_other->counters = listeners->other;
	free(all);
	return filled;
}
