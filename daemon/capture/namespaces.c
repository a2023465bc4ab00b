/* SPDX-License-Identifier: GPL-2.0-only */
/* Finds the namespaces to watch, follows them, and steps inside. */
#include "capture/namespaces.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capture/changes.h"
#include "capture/entrances.h"
#include "config.h"
#include "log.h"
#include "util.h"

struct namespaces {
	const struct settings *settings;
	struct namespaces_ops ops;
	struct entrances *entrances; /* NULL: only our own is watched */
	int own_fd, changes_fd, epoll_fd;
	struct space *spaces[NAMESPACES_MAX];
	size_t count;
	bool too_many; /* said so */
};

/* ---- stepping inside ------------------------------------------------------------------------- */

static int step(int fd)
{
	return setns(fd, CLONE_NEWNET) ? -errno : 0;
}

/* Opens the entrance and makes sure of what is behind it. The fd, or -errno. */
static int entrance_open(const char *entrance, uint32_t netns)
{
	struct stat status;
	int fd = open(entrance, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (!fstat(fd, &status) && (uint32_t)status.st_ino == netns)
		return fd;
	close(fd);
	return -ENOENT;
}

int namespaces_enter(const struct space *space)
{
	int fd, err;

	if (space->nsid == NSID_OWN)
		return 0;
	fd = entrance_open(space->entrance, space->netns);
	if (fd < 0)
		return fd;
	err = step(fd);
	close(fd);
	return err;
}

void namespaces_leave(const struct space *space)
{
	/* Nothing may go on in a namespace that is not ours. */
	if (space->nsid != NSID_OWN && step(space->owner->own_fd)) {
		log_err("cannot leave network namespace %s: %s", space->name, strerror(errno));
		abort();
	}
}

/* As namespaces_enter, and looks for another entrance where the one it knew is shut. */
static int enter(struct namespaces *namespaces, struct space *space)
{
	int err = namespaces_enter(space);

	if (err != -ENOENT && err != -ESRCH)
		return err;
	err = entrances_find(namespaces->entrances, space->netns, space->entrance);
	return err ? err : namespaces_enter(space);
}

/* ---- what a space's interfaces report -------------------------------------------------------- */

static void interface_appeared(void *context, const struct interface *interface)
{
	const struct space *space = context;
	const struct namespaces_ops *ops = &space->owner->ops;

	ops->interface_appeared(ops->context, space, interface);
}

static void interface_gone(void *context, const struct interface *interface)
{
	const struct space *space = context;
	const struct namespaces_ops *ops = &space->owner->ops;

	ops->interface_gone(ops->context, space, interface);
}

static void interface_renamed(void *context, const struct interface *interface)
{
	const struct space *space = context;
	const struct namespaces_ops *ops = &space->owner->ops;

	ops->interface_renamed(ops->context, space, interface);
}

static void prefix_changed(void *context, const struct local_prefix *prefix, bool added)
{
	const struct space *space = context;
	const struct namespaces_ops *ops = &space->owner->ops;

	ops->prefix(ops->context, space, prefix, added);
}

/* ---- coming and going ------------------------------------------------------------------------ */

const struct space *namespaces_find(const struct namespaces *namespaces, uint32_t netns)
{
	for (size_t i = 0; i < namespaces->count; i++)
		if (namespaces->spaces[i]->netns == netns)
			return namespaces->spaces[i];
	return NULL;
}

size_t namespaces_count(const struct namespaces *namespaces)
{
	return namespaces->count;
}

const struct space *namespaces_at(const struct namespaces *namespaces, size_t index)
{
	return namespaces->spaces[index];
}

static void space_free(struct space *space)
{
	interfaces_free(space->interfaces);
	free(space);
}

/* The newest space of a name has it; an older one that still lives goes by its number. */
static void name_take(struct namespaces *namespaces, const char *name)
{
	for (size_t i = 0; i < namespaces->count; i++)
		if (!strcmp(namespaces->spaces[i]->name, name))
			snprintf(namespaces->spaces[i]->name, SPACE_NAME_MAX, "%u",
				 namespaces->spaces[i]->netns);
}

static int space_new(struct namespaces *namespaces, const struct entrance *entrance, int32_t nsid,
		     struct space **ret_space)
{
	struct space *space = calloc(1, sizeof(*space));
	const struct interfaces_ops ops = {
		.context = space,
		.appeared = interface_appeared,
		.gone = interface_gone,
		.renamed = interface_renamed,
		.prefix = prefix_changed,
	};
	int err;

	if (!space)
		return -ENOMEM;
	err = interfaces_new(&namespaces->settings->devices,
			     &namespaces->settings->devices_excluded, &ops, &space->interfaces);
	if (err) {
		free(space);
		return err;
	}
	space->netns = entrance->netns;
	space->nsid = nsid;
	space->owner = namespaces;
	snprintf(space->entrance, sizeof(space->entrance), "%s", entrance->path);
	snprintf(space->name, sizeof(space->name), "%s", entrance->name);
	if (!entrance->name[0])
		snprintf(space->name, sizeof(space->name), "%u", entrance->netns);
	*ret_space = space;
	return 0;
}

/* The thread is inside. A device named by --device has to be there if there is only one place. */
static int space_begin(struct namespaces *namespaces, struct space *space)
{
	int err = namespaces->ops.appeared(namespaces->ops.context, space);

	if (!err)
		err = !namespaces->entrances ? interfaces_start(space->interfaces) :
					       interfaces_refresh(space->interfaces);
	if (!err)
		namespaces->ops.refreshed(namespaces->ops.context, space);
	return err;
}

static void space_end(struct namespaces *namespaces, size_t index)
{
	struct space *space = namespaces->spaces[index];

	if (space->nsid != NSID_OWN)
		log_info("network namespace %s: no longer watched", space->name);
	namespaces->spaces[index] = namespaces->spaces[--namespaces->count];
	namespaces->ops.gone(namespaces->ops.context, space);
	space_free(space);
}

static int space_add(struct namespaces *namespaces, const struct entrance *entrance, int32_t nsid)
{
	struct space *space;
	int err;

	if (namespaces->count == NAMESPACES_MAX) {
		if (!namespaces->too_many)
			log_warn("more than %d network namespaces: the others are not watched",
				 NAMESPACES_MAX);
		namespaces->too_many = true;
		return -E2BIG;
	}
	name_take(namespaces, entrance->name);
	err = space_new(namespaces, entrance, nsid, &space);
	if (err)
		return err;
	err = namespaces_enter(space);
	if (err) {
		space_free(space);
		return err;
	}
	namespaces->spaces[namespaces->count++] = space;
	if (nsid != NSID_OWN)
		log_info("network namespace %s: watched", space->name);
	err = space_begin(namespaces, space);
	namespaces_leave(space);
	if (err)
		space_end(namespaces, namespaces->count - 1);
	return err;
}

/* A entrance to a namespace that is to be watched. 0, or -errno when that cannot be done. */
static int entrance_found(void *context, const struct entrance *entrance)
{
	struct namespaces *namespaces = context;
	int32_t nsid = NSID_OWN;
	int fd, err;

	if (namespaces_find(namespaces, entrance->netns))
		return 0;
	if (entrance->path[0]) {
		fd = entrance_open(entrance->path, entrance->netns);
		if (fd < 0)
			return 0; /* gone as quickly as it came */
		err = changes_nsid(fd, &nsid);
		close(fd);
		if (err)
			return err;
	}
	err = space_add(namespaces, entrance, nsid);
	if (err && err != -ENOENT && err != -E2BIG && err != -EPERM)
		log_warn("network namespace %s: not watched: %s", entrance->path, strerror(-err));
	return err == -EPERM ? err : 0;
}

/* ---- changes --------------------------------------------------------------------------------- */

static void changed(void *context, int32_t nsid)
{
	struct namespaces *namespaces = context;

	for (size_t i = 0; i < namespaces->count; i++)
		if (namespaces->spaces[i]->nsid == nsid)
			namespaces->spaces[i]->changed = true;
}

static void ended(void *context, int32_t nsid)
{
	struct namespaces *namespaces = context;

	for (size_t i = 0; i < namespaces->count; i++)
		if (nsid != NSID_OWN && namespaces->spaces[i]->nsid == nsid) {
			space_end(namespaces, i);
			return;
		}
}

static void overrun(void *context)
{
	struct namespaces *namespaces = context;

	for (size_t i = 0; i < namespaces->count; i++)
		namespaces->spaces[i]->changed = true;
}

static int space_refresh(struct namespaces *namespaces, struct space *space)
{
	int err = enter(namespaces, space);

	if (err)
		return err;
	err = interfaces_refresh(space->interfaces);
	if (!err)
		namespaces->ops.refreshed(namespaces->ops.context, space);
	namespaces_leave(space);
	return err;
}

int namespaces_turn(struct namespaces *namespaces, uint64_t now_ns)
{
	const struct changes_ops ops = { namespaces, changed, ended, overrun };
	int err = changes_read(namespaces->changes_fd, &ops);

	for (size_t i = 0; i < namespaces->count; i++) {
		struct space *space = namespaces->spaces[i];
		int failed;

		if (!space->changed)
			continue;
		space->changed = false;
		failed = space_refresh(namespaces, space);
		/* Nobody holds a entrance open any more: it is ending, and the kernel will say so. */
		if (failed && failed != -ENOENT && !err)
			err = failed;
	}
	if (!err && namespaces->entrances)
		err = entrances_turn(namespaces->entrances, now_ns, entrance_found, namespaces);
	return err;
}

bool namespaces_is_busy(const struct namespaces *namespaces, uint64_t now_ns)
{
	return namespaces->entrances && entrances_is_busy(namespaces->entrances, now_ns);
}

/* ---- the whole ------------------------------------------------------------------------------- */

bool namespaces_is_own_only(const struct settings *settings)
{
	for (size_t i = 0; i < settings->netns.count; i++)
		if (strcmp(settings->netns.at[i], SPACE_HOST))
			return false;
	return true;
}

static int watch(const struct namespaces *namespaces, int fd)
{
	struct epoll_event event = { .events = EPOLLIN };

	return epoll_ctl(namespaces->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int sockets_open(struct namespaces *namespaces)
{
	bool own_only = namespaces_is_own_only(namespaces->settings);
	int err;

	namespaces->own_fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	namespaces->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (namespaces->own_fd < 0 || namespaces->epoll_fd < 0)
		return -errno;
	err = changes_open(!own_only, &namespaces->changes_fd);
	if (!err)
		err = watch(namespaces, namespaces->changes_fd);
	if (!err && !own_only)
		err = entrances_new(&namespaces->settings->netns, &namespaces->entrances);
	if (!err && namespaces->entrances && entrances_fd(namespaces->entrances) >= 0)
		err = watch(namespaces, entrances_fd(namespaces->entrances));
	return err;
}

int namespaces_new(const struct settings *settings, const struct namespaces_ops *ops,
		   struct namespaces **ret_namespaces)
{
	struct namespaces *namespaces = calloc(1, sizeof(*namespaces));
	int err;

	if (!namespaces)
		return -ENOMEM;
	namespaces->settings = settings;
	namespaces->ops = *ops;
	namespaces->changes_fd = -1;
	err = sockets_open(namespaces);
	if (err) {
		log_err("cannot follow the interfaces: %s", strerror(-err));
		namespaces_free(namespaces);
		return err;
	}
	*ret_namespaces = namespaces;
	return 0;
}

void namespaces_free(struct namespaces *namespaces)
{
	if (!namespaces)
		return;
	for (size_t i = 0; i < namespaces->count; i++)
		space_free(namespaces->spaces[i]);
	entrances_free(namespaces->entrances);
	if (namespaces->changes_fd >= 0)
		close(namespaces->changes_fd);
	if (namespaces->own_fd >= 0)
		close(namespaces->own_fd);
	if (namespaces->epoll_fd >= 0)
		close(namespaces->epoll_fd);
	free(namespaces);
}

int namespaces_start(struct namespaces *namespaces)
{
	struct entrance own = { .name = SPACE_HOST };
	struct stat status;
	int err = 0;

	if (fstat(namespaces->own_fd, &status))
		return -errno;
	own.netns = (uint32_t)status.st_ino;
	if (!namespaces->entrances)
		return space_add(namespaces, &own, NSID_OWN);
	entrances_own(namespaces->entrances, own.netns);
	if (entrances_wants_own(namespaces->entrances))
		err = space_add(namespaces, &own, NSID_OWN);
	if (!err)
		err = entrances_turn(namespaces->entrances, 0, entrance_found, namespaces);
	if (err == -EPERM)
		log_err("--netns: not permitted to enter other network namespaces: need "
			"CAP_SYS_ADMIN");
	return err;
}

int namespaces_fd(const struct namespaces *namespaces)
{
	return namespaces->epoll_fd;
}
