/* SPDX-License-Identifier: GPL-2.0-only */
/* The processes behind listening sockets: see owners.h. */
#include "listen/owners.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CGROUP_TEXT_BYTES 8192

/* So many links of each process are read at first. */
#define LINKS_SHALLOW 512

struct wanted {
	struct diag_socket socket;
	uint32_t netns;
};

struct owner_search {
	struct wanted *wanted;
	size_t count, room;
	DIR *processes;	  /* NULL: the search has not begun */
	DIR *descriptors; /* of process `pid`; NULL: the next one is to be opened */
	uint32_t pid;
	size_t entries; /* of `descriptors` gone by */
	bool deep;	/* the second round: those beyond LINKS_SHALLOW */
};

/* The beginning of a small file below /proc, terminated. False: it cannot be read. */
static bool read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	if (fd < 0)
		return false;
	got = read(fd, text, size - 1);
	close(fd);
	text[got > 0 ? got : 0] = '\0';
	return got > 0;
}

void owner_place(uint32_t pid, struct place *ret)
{
	char path[32], text[CGROUP_TEXT_BYTES];

	snprintf(path, sizeof(path), "/proc/%u/cgroup", pid);
	if (!read_text(path, text, sizeof(text)) || !place_of_text(text, ret))
		*ret = (struct place){ .known = false };
}

struct owner_search *owner_search_new(void)
{
	return calloc(1, sizeof(struct owner_search));
}

static void end_process(struct owner_search *search)
{
	closedir(search->descriptors);
	search->descriptors = NULL;
}

static void end(struct owner_search *search)
{
	if (search->descriptors)
		end_process(search);
	if (search->processes)
		closedir(search->processes);
	search->descriptors = search->processes = NULL;
	search->deep = false;
	search->count = 0;
}

void owner_search_free(struct owner_search *search)
{
	if (!search)
		return;
	end(search);
	free(search->wanted);
	free(search);
}

int owner_search_want(struct owner_search *search, const struct diag_socket *socket, uint32_t netns)
{
	if (search->count == search->room) {
		size_t room = search->room ? 2 * search->room : 16;
		struct wanted *wanted = realloc(search->wanted, room * sizeof(*wanted));

		if (!wanted)
			return -ENOMEM;
		search->wanted = wanted;
		search->room = room;
	}
	search->wanted[search->count++] = (struct wanted){ *socket, netns };
	return 0;
}

bool owner_search_busy(const struct owner_search *search)
{
	return search->count > 0;
}

/* Opens the descriptors of the next process. False: there is none. */
static bool next_process(struct owner_search *search)
{
	const struct dirent *entry;
	char path[300];

	while ((entry = readdir(search->processes))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/fd", entry->d_name);
		search->descriptors = opendir(path);
		if (!search->descriptors)
			continue; /* gone, or not ours to look at */
		search->pid = (uint32_t)strtoul(entry->d_name, NULL, 10);
		search->entries = 0;
		return true;
	}
	if (search->deep)
		return false;
	search->deep = true;
	rewinddir(search->processes);
	return next_process(search);
}

static void tell(struct owner_search *search, size_t index,
		 void (*found)(void *context, const struct owner_found *owner), void *context)
{
	struct owner_found owner = {
		.socket = search->wanted[index].socket,
		.netns = search->wanted[index].netns,
		.pid = search->pid,
	};
	char path[32];

	search->wanted[index] = search->wanted[--search->count];
	snprintf(path, sizeof(path), "/proc/%u/comm", search->pid);
	read_text(path, owner.comm, sizeof(owner.comm));
	owner.comm[strcspn(owner.comm, "\n")] = '\0';
	found(context, &owner);
}

/* A link that says "socket:[1234]". */
static void take_link(struct owner_search *search, const char *name,
		      void (*found)(void *context, const struct owner_found *owner), void *context)
{
	static const char mark[] = "socket:[";
	char text[64];
	ssize_t length = readlinkat(dirfd(search->descriptors), name, text, sizeof(text) - 1);
	uint32_t inode;

	if (length <= 0)
		return;
	text[length] = '\0';
	if (strncmp(text, mark, strlen(mark)))
		return;
	inode = (uint32_t)strtoul(text + strlen(mark), NULL, 10);
	for (size_t i = 0; i < search->count; i++)
		if (search->wanted[i].socket.inode == inode) {
			tell(search, i, found, context);
			return;
		}
}

void owner_search_step(struct owner_search *search, size_t links,
		       void (*found)(void *context, const struct owner_found *owner), void *context)
{
	bool more = true;

	if (search->count && !search->processes)
		search->processes = opendir("/proc");
	for (; search->count && links > 0; links--) {
		const struct dirent *entry;

		more = search->processes && (search->descriptors || next_process(search));
		if (!more)
			break;
		entry = readdir(search->descriptors);
		if (!entry || (!search->deep && search->entries == LINKS_SHALLOW))
			end_process(search);
		else if (search->entries++ >= LINKS_SHALLOW || !search->deep)
			take_link(search, entry->d_name, found, context);
	}
	if (!search->count || !more)
		end(search); /* all are found, or the rest is nobody's */
}
