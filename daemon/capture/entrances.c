/* SPDX-License-Identifier: GPL-2.0-only */
/* Looks for ways into network namespaces: names first, then processes. */
#include "capture/entrances.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/param.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "util.h"

#define NAMES "/run/netns"
/* Reading /proc takes 3 us a process here: at most one part in a hundred of a CPU. */
#define SCAN_NS (2 * NS_PER_SEC)
#define SCAN_SHARE 100
/* ip-netns(8) makes the file before it mounts the namespace on it, which no inotify tells. */
#define NAMES_AGAIN_NS NS_PER_SEC
#define NAMES_PAUSE_NS (20 * NS_PER_MS)

struct entrances {
	const struct settings_list *wanted;
	bool all, own, named; /* named: something other than these two is asked for */
	uint32_t own_netns;
	int inotify_fd;
	int watch;			 /* of NAMES, -1: it is not there yet */
	uint64_t scan_ns;		 /* when /proc is read again */
	uint64_t names_ns, names_end_ns; /* the same of the names; after that only if told */
};

/* One reading. */
struct reading {
	struct entrances *entrances;
	entrance_each each;
	void *context;
	int err;
};

/* Calls `take` for every word of the comma lists, until it says false. */
static void words_each(const struct settings_list *list,
		       bool (*take)(void *context, const char *word), void *context)
{
	char word[ENTRANCE_PATH_MAX];

	for (size_t i = 0; i < list->count; i++)
		for (const char *at = list->at[i]; at;
		     at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
			snprintf(word, sizeof(word), "%.*s", (int)strcspn(at, ","), at);
			if (!take(context, word))
				return;
		}
}

static bool kind_take(void *context, const char *word)
{
	struct entrances *entrances = context;

	if (!strcmp(word, "all"))
		entrances->all = entrances->own = true;
	else if (!strcmp(word, "host"))
		entrances->own = true;
	else
		entrances->named = true;
	return true;
}

/* What is behind a path; false: no network namespace, or none yet. */
static bool entrance_at(const char *path, const char *name, struct entrance *ret_entrance)
{
	struct statfs filesystem;
	struct stat status;

	if (statfs(path, &filesystem) || filesystem.f_type != NSFS_MAGIC || stat(path, &status))
		return false;
	memset(ret_entrance, 0, sizeof(*ret_entrance));
	ret_entrance->netns = (uint32_t)status.st_ino;
	snprintf(ret_entrance->path, sizeof(ret_entrance->path), "%s", path);
	snprintf(ret_entrance->name, sizeof(ret_entrance->name), "%s", name);
	return true;
}

static bool report(struct reading *reading, const struct entrance *entrance)
{
	if (entrance->netns != reading->entrances->own_netns)
		reading->err = reading->each(reading->context, entrance);
	return !reading->err;
}

static bool named_take(void *context, const char *word)
{
	struct reading *reading = context;
	char path[ENTRANCE_PATH_MAX];
	const char *name = word;
	struct entrance entrance;

	if (!strcmp(word, "all") || !strcmp(word, "host"))
		return true;
	if (word[0] == '/') {
		snprintf(path, sizeof(path), "%s", word);
		name = strrchr(word, '/') + 1;
	} else if (!strncmp(word, "pid:", 4)) {
		snprintf(path, sizeof(path), "/proc/%.20s/ns/net", word + 4);
		name = "";
	} else {
		snprintf(path, sizeof(path), NAMES "/%.80s", word);
	}
	return !entrance_at(path, name, &entrance) || report(reading, &entrance);
}

static void names_read(struct reading *reading)
{
	DIR *directory = opendir(NAMES);
	char path[ENTRANCE_PATH_MAX];
	struct dirent *entry;
	struct entrance entrance;
	bool more = true;

	while (directory && more && (entry = readdir(directory))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), NAMES "/%.80s", entry->d_name);
		more = !entrance_at(path, entry->d_name, &entrance) || report(reading, &entrance);
	}
	if (directory)
		closedir(directory);
}

/* The namespace of a process, from the link's text "net:[4026531840]"; 0: gone, or not to see. */
static uint32_t process_netns(const char *pid, char path[ENTRANCE_PATH_MAX])
{
	char text[32] = "";
	unsigned int netns = 0;

	snprintf(path, ENTRANCE_PATH_MAX, "/proc/%.20s/ns/net", pid);
	if (readlink(path, text, sizeof(text) - 1) > 0 && sscanf(text, "net:[%u]", &netns) != 1)
		netns = 0;
	return netns;
}

static void processes_read(struct reading *reading)
{
	DIR *directory = opendir("/proc");
	struct entrance entrance = { 0 };
	struct dirent *entry;
	uint32_t last = 0;

	/* Neighbours share one mostly: what was just reported need not be again. */
	while (directory && !reading->err && (entry = readdir(directory))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		entrance.netns = process_netns(entry->d_name, entrance.path);
		if (entrance.netns && entrance.netns != last)
			report(reading, &entrance);
		last = entrance.netns;
	}
	if (directory)
		closedir(directory);
}

int entrances_new(const struct settings_list *wanted, struct entrances **ret_entrances)
{
	struct entrances *entrances = calloc(1, sizeof(*entrances));

	if (!entrances)
		return -ENOMEM;
	entrances->wanted = wanted;
	entrances->watch = -1;
	words_each(wanted, kind_take, entrances);
	entrances->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (entrances->inotify_fd < 0) {
		int err = -errno;

		free(entrances);
		return err;
	}
	*ret_entrances = entrances;
	return 0;
}

void entrances_free(struct entrances *entrances)
{
	if (!entrances)
		return;
	close(entrances->inotify_fd);
	free(entrances);
}

void entrances_own(struct entrances *entrances, uint32_t netns)
{
	entrances->own_netns = netns;
}

bool entrances_wants_own(const struct entrances *entrances)
{
	return entrances->own;
}

int entrances_fd(const struct entrances *entrances)
{
	return entrances->inotify_fd;
}

/* Has anything happened to the names? */
static bool names_told(struct entrances *entrances)
{
	char buffer[4096];
	bool told = false;

	while (read(entrances->inotify_fd, buffer, sizeof(buffer)) > 0)
		told = true;
	if (entrances->watch < 0 && access(NAMES, F_OK) == 0) {
		entrances->watch = inotify_add_watch(entrances->inotify_fd, NAMES,
						     IN_CREATE | IN_ATTRIB | IN_MOVED_TO);
		told = true;
	}
	return told;
}

int entrances_turn(struct entrances *entrances, uint64_t now_ns, entrance_each each, void *context)
{
	struct reading reading = { entrances, each, context, 0 };
	bool scan = now_ns >= entrances->scan_ns;
	uint64_t began_ns;

	if (names_told(entrances))
		entrances->names_end_ns = now_ns + NAMES_AGAIN_NS;
	if (!scan && (now_ns > entrances->names_end_ns || now_ns < entrances->names_ns))
		return 0;
	entrances->names_ns = now_ns + NAMES_PAUSE_NS;
	began_ns = clock_read(CLOCK_MONOTONIC);
	words_each(entrances->wanted, named_take, &reading);
	if (entrances->all && !reading.err)
		names_read(&reading);
	if (scan && entrances->all && !reading.err)
		processes_read(&reading);
	if (scan)
		entrances->scan_ns =
			now_ns +
			MAX(SCAN_NS, SCAN_SHARE * (clock_read(CLOCK_MONOTONIC) - began_ns));
	return reading.err;
}

bool entrances_is_busy(const struct entrances *entrances, uint64_t now_ns)
{
	return now_ns <= entrances->names_end_ns;
}

/* A search for one namespace. */
struct search {
	uint32_t netns;
	char *path;
};

static int search_each(void *context, const struct entrance *entrance)
{
	const struct search *search = context;

	if (entrance->netns != search->netns)
		return 0;
	snprintf(search->path, ENTRANCE_PATH_MAX, "%s", entrance->path);
	return -EEXIST; /* found: no further */
}

int entrances_find(struct entrances *entrances, uint32_t netns, char ret_path[ENTRANCE_PATH_MAX])
{
	struct search search = { netns, ret_path };
	struct reading reading = { entrances, search_each, &search, 0 };

	names_read(&reading);
	if (!reading.err)
		processes_read(&reading);
	return reading.err == -EEXIST ? 0 : -ENOENT;
}
