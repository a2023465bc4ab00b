/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Any bytes as a capture: the reader ends, counts every packet once and makes only valid records;
 * the tracker takes them all, keeps within its bounds and never meets an impossible cell.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture/pcap.h"
#include "log.h"
#include "track/tracker.h"
#include "util.h"

#define FLOWS_MAX 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Instead of the library's: nearly every input ends in an error, and nobody reads the lines. */
void log_write(enum log_level level, const char *fmt, ...)
{
	(void)level;
	(void)fmt;
}

int log_err_ret(int err, const char *fmt, ...)
{
	(void)fmt;
	return err;
}

struct account {
	uint64_t reports;
	uint64_t newest_ns;
};

static void take_event(void *context, const struct track_event *event)
{
	const struct connection_report *report = event->connection;
	struct account *account = context;

	if (event->type != TRACK_CONNECTION || report->role >= ROLE_NR || report->end >= END_NR ||
	    report->local_steps > PATH_MAX_STATES || report->remote_steps > PATH_MAX_STATES ||
	    report->closed_ns < report->opened_ns || report->last_ns < report->opened_ns)
		abort();
	for (uint8_t i = 0; i < report->local_steps; i++)
		if (report->local_path[i] >= FSM_NR_STATES)
			abort();
	account->reports++;
}

static bool is_local(void *context, const uint8_t address[16])
{
	(void)context;
	return address[15] & 1;
}

static void check_counts(const struct pcapfile *pcap, uint64_t segments)
{
	const struct pcapfile_counts *counts = pcapfile_counts(pcap);
	uint64_t sum = 0;

	for (int i = PARSE_TCP; i <= PARSE_MALFORMED; i++)
		sum += counts->results[i];
	if (sum != counts->packets || counts->results[PARSE_TCP] != segments)
		abort();
}

static void check_segment(const struct observation *seen, struct account *account)
{
	if (seen->type != REC_SEGMENT || !seen->sent || seen->ts_ns < account->newest_ns ||
	    seen->segment->snapshot.state)
		abort();
	account->newest_ns = seen->ts_ns;
}

static void read_all(struct pcapfile *pcap, bool oriented)
{
	const struct tracker_settings settings = { .flows_max = FLOWS_MAX,
						   .time_wait_ns = 60 * NS_PER_SEC,
						   .wire_only = true };
	struct account account = { 0 };
	const struct tracker_ops ops = {
		.context = &account,
		.event = take_event,
		.is_local = oriented ? is_local : NULL,
	};
	struct tracker *tracker = tracker_new(&settings, &ops);
	const struct tracker_stats *stats;
	struct observation seen;
	uint64_t segments = 0;

	if (!tracker)
		abort();
	stats = tracker_stats(tracker);
	for (; pcapfile_next(pcap, &seen) == 1; segments++) {
		check_segment(&seen, &account);
		tracker_advance(tracker, seen.ts_ns);
		tracker_observe(tracker, &seen);
		if (stats->entries > FLOWS_MAX)
			abort();
	}
	check_counts(pcap, segments);
	tracker_finish_all(tracker, account.newest_ns);
	if (stats->entries || stats->anomalies[AN_IMPOSSIBLE] || stats->looks)
		abort();
	if (segments && !account.reports && !stats->stray_segments)
		abort();
	tracker_free(tracker);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pcapfile *pcap;
	FILE *file;

	if (!size)
		return 0;
	file = fmemopen((void *)(uintptr_t)data, size, "r");
	if (!file)
		return 0;
	if (pcapfile_open(file, "input", data[size - 1] & 2, &pcap))
		return 0;
	read_all(pcap, data[size - 1] & 1);
	pcapfile_free(pcap);
	return 0;
}
