/* SPDX-License-Identifier: GPL-2.0-only */
/* Metrics of the capture: what was recorded, lost and decoded, and what is attached where. */
#include <stdio.h>

#include "export/collectors.h"

static const char *const reject_labels[] = {
#define X(name, label) label,
	REJECT_REASONS(X)
#undef X
};

static const char *const ring_labels[RING_NR] = {
	[RING_SEGMENT] = "segment",
	[RING_KERNEL] = "kernel",
};

void collect_by_ring(struct exposition *e)
{
	for (int ring = 0; ring < RING_NR; ring++)
		sample1(e, ring_labels[ring], e->values[ring]);
}

void collect_degraded(struct exposition *e)
{
	const struct export_view *view = e->view;

	for (int limit = 0; limit < DEGRADED_NR; limit++)
		sample1(e, degraded_label(limit),
			degraded_is(&view->degraded, limit, view->mono_ns));
}

void collect_records_rejected(struct exposition *e)
{
	for (int ring = 0; ring < RING_NR; ring++)
		for (int reason = 0; reason < REJECT_NR; reason++)
			sample2(e, ring_labels[ring], reject_labels[reason],
				e->view->capture.rejected[ring][reason]);
}

void collect_records_lost(struct exposition *e)
{
	const struct capture_stats *capture = &e->view->capture;
	char cpu[16];

	for (uint32_t i = 0; i < capture->nr_losses; i++) {
		snprintf(cpu, sizeof(cpu), "%u", capture->losses[i].cpu);
		for (int ring = 0; ring < RING_NR; ring++)
			sample2(e, ring_labels[ring], cpu, capture->losses[i].lost[ring]);
	}
}

void collect_last_record(struct exposition *e)
{
	uint64_t newest_ns = 0;

	for (int ring = 0; ring < RING_NR; ring++)
		if (e->view->capture.last_record_ns[ring] > newest_ns)
			newest_ns = e->view->capture.last_record_ns[ring];
	expose_sample(e, NULL, newest_ns ? view_wall_ns(e->view, newest_ns) : 0);
}

/* An interface has a row for each: of what it received, of what it sent. */
#define ATTACHED_DIRECTIONS 2

/* "" for what belongs to no namespace. */
static const char *netns_of(const struct exposition *e, uint32_t netns, char room[12])
{
	return netns ? view_netns(e->view, netns, room) : "";
}

void collect_interfaces(struct exposition *e)
{
	char number[12];

	for (uint32_t i = 0; i < e->view->capture.nr_interfaces; i++) {
		const struct interface_row *row = &e->view->capture.interfaces[i];

		expose_sample(e,
			      (const char *const[]){ row->interface, row->hook, row->mode,
						     netns_of(e, row->netns, number) },
			      1);
	}
}

void collect_interface_segments(struct exposition *e)
{
	static const char *const directions[ATTACHED_DIRECTIONS] = { "received", "sent" };
	const struct capture_stats *capture = &e->view->capture;
	char number[12];

	for (uint32_t i = 0; i < capture->nr_interfaces / ATTACHED_DIRECTIONS; i++) {
		const struct interface_row *row = &capture->interfaces[ATTACHED_DIRECTIONS * i];
		const struct segment_counters *counters = &capture->by_interface[i];
		uint64_t sums[ATTACHED_DIRECTIONS] = { 0 };

		for (int kind = 0; kind < SEGMENT_NR; kind++) {
			sums[0] += counters->received[kind];
			sums[1] += counters->sent[kind];
		}
		for (int direction = 0; direction < ATTACHED_DIRECTIONS; direction++)
			sample3(e, row->interface, netns_of(e, row->netns, number),
				directions[direction], sums[direction]);
	}
}

void collect_programs(struct exposition *e)
{
	char number[12];

	for (uint32_t i = 0; i < e->view->capture.nr_programs; i++) {
		const struct program_row *row = &e->view->capture.programs[i];

		sample3(e, row->program, row->interface, netns_of(e, row->netns, number),
			row->attached != 0);
	}
}

void collect_program_seconds(struct exposition *e)
{
	for (uint32_t i = 0; i < e->view->capture.nr_costs; i++)
		sample1(e, e->view->capture.costs[i].program,
			e->view->capture.costs[i].run_time_ns);
}

void collect_program_runs(struct exposition *e)
{
	for (uint32_t i = 0; i < e->view->capture.nr_costs; i++)
		sample1(e, e->view->capture.costs[i].program, e->view->capture.costs[i].runs);
}

void collect_program_misses(struct exposition *e)
{
	for (uint32_t i = 0; i < e->view->capture.nr_costs; i++)
		sample1(e, e->view->capture.costs[i].program, e->view->capture.costs[i].misses);
}
