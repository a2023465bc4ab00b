/* SPDX-License-Identifier: GPL-2.0-only */
/* The daemon's own cost, as /proc/self tells it: the process_* metrics every exporter has. */
#ifndef TCPWITNESS_PROCESS_H
#define TCPWITNESS_PROCESS_H

#include <stdint.h>

struct process_stats {
	uint64_t cpu_ns; /* user and system */
	uint64_t open_fds, max_fds;
	uint64_t virtual_bytes, virtual_max_bytes, resident_bytes;
	uint64_t start_time_ns; /* since the epoch */
};

/* 0, or -errno when /proc is not there. */
int process_read(struct process_stats *ret);

/* The part that reads text, for tests: one line of /proc/PID/stat. 0 or -EBADMSG. */
struct process_line {
	uint64_t start_ticks, virtual_bytes, resident_pages;
};
int process_parse_stat(const char *line, struct process_line *ret);

#endif
