/* SPDX-License-Identifier: GPL-2.0-only */
/* process_* from /proc/self, with the meaning client_golang's process collector gives them. */
#include "export/process.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "util.h"

int process_parse_stat(const char *line, struct process_line *ret)
{
	struct process_line parsed;
	/* The command may hold spaces and parentheses itself: fields start after the last one. */
	const char *rest = strrchr(line, ')');

	if (!rest)
		return -EBADMSG;
	/* proc(5): field 3 is the state; starttime is 22, vsize 23, rss 24. */
	if (sscanf(rest + 1,
		   " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u"
		   " %*d %*d %*d %*d %*d %*d %" SCNu64 " %" SCNu64 " %" SCNu64,
		   &parsed.start_ticks, &parsed.virtual_bytes, &parsed.resident_pages) != 3)
		return -EBADMSG;
	*ret = parsed;
	return 0;
}

static int read_line(const char *path, char *buffer, size_t size)
{
	FILE *file = fopen(path, "re");
	int err = 0;

	if (!file)
		return -errno;
	if (!fgets(buffer, (int)size, file))
		err = -EIO;
	fclose(file);
	return err;
}

static uint64_t count_fds(void)
{
	DIR *directory = opendir("/proc/self/fd");
	uint64_t count = 0;

	if (!directory)
		return 0;
	for (struct dirent *entry; (entry = readdir(directory));)
		count += entry->d_name[0] != '.';
	closedir(directory);
	return count - 1; /* the directory's own */
}

static uint64_t limit_of(int resource)
{
	struct rlimit limit;

	return getrlimit(resource, &limit) ? 0 : limit.rlim_cur;
}

static uint64_t ns_of(struct timespec time)
{
	return (uint64_t)time.tv_sec * NS_PER_SEC + (uint64_t)time.tv_nsec;
}

int process_read(struct process_stats *ret)
{
	uint64_t tick_ns = NS_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK);
	struct timespec wall, since_boot, cpu;
	struct process_line line;
	char buffer[1024];
	int err;

	err = read_line("/proc/self/stat", buffer, sizeof(buffer));
	if (!err)
		err = process_parse_stat(buffer, &line);
	if (err)
		return err;
	clock_gettime(CLOCK_REALTIME, &wall);
	clock_gettime(CLOCK_BOOTTIME, &since_boot);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	*ret = (struct process_stats){
		.cpu_ns = ns_of(cpu),
		.open_fds = count_fds(),
		.max_fds = limit_of(RLIMIT_NOFILE),
		.virtual_bytes = line.virtual_bytes,
		.virtual_max_bytes = limit_of(RLIMIT_AS),
		.resident_bytes = line.resident_pages * (uint64_t)sysconf(_SC_PAGESIZE),
		.start_time_ns = ns_of(wall) - ns_of(since_boot) + line.start_ticks * tick_ns,
	};
	return 0;
}
