/* SPDX-License-Identifier: GPL-2.0-only */
/* A namespace's own counters and knobs: see namespace.h. */
#include "listen/namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util.h"

#define NETSTAT_BYTES_MAX (64u << 10)

static const char *const labels[LISTEN_MIB_NR] = {
#define X(name, label) label,
	LISTEN_MIBS(X)
#undef X
};

const char *listen_mib_label(enum listen_mib mib)
{
	return labels[mib];
}

struct listen_mibs listen_mibs_of(const struct listener_counters *sum)
{
	const __u64 *drops = sum->drops;
	uint64_t overflows = drops[LISTENER_DROP_ACCEPT_QUEUE_FULL] +
			     drops[LISTENER_DROP_FINAL_ACK_REFUSED] +
			     drops[LISTENER_DROP_COOKIE_REFUSED];

	return (struct listen_mibs){ {
		[LISTEN_MIB_OVERFLOWS] = overflows,
		[LISTEN_MIB_DROPS] = overflows + drops[LISTENER_DROP_SYN_QUEUE_FULL] +
				     drops[LISTENER_DROP_LAST_QUARTER] + drops[LISTENER_DROP_OTHER],
		[LISTEN_MIB_REQUESTS_DROPPED] = drops[LISTENER_DROP_SYN_QUEUE_FULL],
		[LISTEN_MIB_REQUESTS_COOKIES] = sum->cookies_wanted,
		[LISTEN_MIB_COOKIES_SENT] = sum->cookies_sent,
		[LISTEN_MIB_COOKIES_RECEIVED] = sum->cookies_accepted,
		[LISTEN_MIB_COOKIES_FAILED] = drops[LISTENER_DROP_COOKIE_INVALID],
	} };
}

/* The word at *at, whose length is returned; *at moves behind it. */
static size_t next_word(const char **at, const char **ret_word)
{
	size_t length;

	*at += strspn(*at, " ");
	*ret_word = *at;
	length = strcspn(*at, " \n");
	*at += length;
	return length;
}

static void take(struct listen_mibs *mibs, const char *name, size_t length, const char *value)
{
	for (int mib = 0; mib < LISTEN_MIB_NR; mib++)
		if (strlen(labels[mib]) == length && !strncmp(labels[mib], name, length))
			mibs->at[mib] = strtoull(value, NULL, 10);
}

bool listen_mibs_parse(const char *text, struct listen_mibs *ret)
{
	static const char head[] = "TcpExt:";
	const char *names = strstr(text, head), *values;
	const char *name, *value;
	size_t length;

	values = names ? strstr(names + strlen(head), head) : NULL;
	if (!values)
		return false;
	memset(ret, 0, sizeof(*ret));
	names += strlen(head);
	values += strlen(head);
	while ((length = next_word(&names, &name)) && next_word(&values, &value))
		take(ret, name, length, value);
	return true;
}

/* The whole of a small file, zero-terminated. 0 or -errno. */
static int read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t got;

	if (fd < 0)
		return -errno;
	while ((got = read(fd, text + used, size - 1 - used)) > 0)
		used += (size_t)got;
	text[used] = '\0';
	close(fd);
	return got < 0 ? -EIO : 0;
}

int listen_mibs_read(struct listen_mibs *ret)
{
	char *text = malloc(NETSTAT_BYTES_MAX);
	int err = -ENOMEM;

	if (text)
		err = read_text("/proc/thread-self/net/netstat", text, NETSTAT_BYTES_MAX);
	if (!err && !listen_mibs_parse(text, ret))
		err = -EBADMSG;
	free(text);
	return err;
}

static int read_sysctl(const char *name, uint32_t *value)
{
	char path[64], text[32];
	int err;

	snprintf(path, sizeof(path), "/proc/sys/net/%s", name);
	err = read_text(path, text, sizeof(text));
	if (!err)
		*value = (uint32_t)strtoul(text, NULL, 10);
	return err;
}

int listen_sysctls_read(struct listen_sysctls *sysctls)
{
	static const struct {
		const char *name;
		size_t offset;
	} all[] = {
#define X(field, name) { name, offsetof(struct listen_sysctls, field) },
		LISTEN_SYSCTLS(X)
#undef X
	};
	int last = 0;

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		uint32_t *value = (uint32_t *)((char *)sysctls + all[i].offset);
		int err = read_sysctl(all[i].name, value);

		if (err)
			last = err;
	}
	return last;
}
