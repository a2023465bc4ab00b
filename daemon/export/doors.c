/* SPDX-License-Identifier: GPL-2.0-only */
/* Listening sockets, made here rather than by the HTTP library so that errors have names. */
#include "export/doors.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "settings.h"

#define BACKLOG 128

static int bind_tcp(const struct sockaddr_storage *address, socklen_t length)
{
	int on = 1, off = 0, err;
	int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (address->ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, (const struct sockaddr *)address, length) || listen(fd, BACKLOG)) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

/* Where IPv6 is switched off, "every address" is 0.0.0.0. */
static int bind_any_ipv4(const struct sockaddr_storage *address)
{
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
	struct sockaddr_storage v4 = { 0 };

	((struct sockaddr_in *)&v4)->sin_family = AF_INET;
	((struct sockaddr_in *)&v4)->sin_port = v6->sin6_port;
	return bind_tcp(&v4, sizeof(struct sockaddr_in));
}

int door_open_tcp(const char *address, uint16_t *ret_port)
{
	struct sockaddr_storage sockaddr;
	socklen_t length;
	int fd, err;

	err = settings_parse_address(address, &sockaddr, &length);
	if (err)
		return err;
	fd = bind_tcp(&sockaddr, length);
	if ((fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL) && sockaddr.ss_family == AF_INET6 &&
	    IN6_IS_ADDR_UNSPECIFIED(&((struct sockaddr_in6 *)&sockaddr)->sin6_addr))
		fd = bind_any_ipv4(&sockaddr);
	if (fd < 0)
		return fd;
	length = sizeof(sockaddr);
	if (getsockname(fd, (struct sockaddr *)&sockaddr, &length)) {
		err = -errno;
		close(fd);
		return err;
	}
	/* The port lies at the same place in both families. */
	*ret_port = ntohs(((struct sockaddr_in *)&sockaddr)->sin_port);
	return fd;
}

static int make_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char folder[sizeof(((struct sockaddr_un *)0)->sun_path)];

	if (!slash || slash == path)
		return 0;
	snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
	return mkdir(folder, 0755) && errno != EEXIST ? -errno : 0;
}

/* 0 when the path is free, or was a socket nobody answers on. */
static int clear_stale(const struct sockaddr_un *address)
{
	struct stat status;
	int fd, err = 0;

	if (lstat(address->sun_path, &status))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(status.st_mode))
		return -EEXIST;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* EAGAIN: its backlog is full, so somebody listens. */
	if (!connect(fd, (const struct sockaddr *)address, sizeof(*address)) || errno == EAGAIN)
		err = -EADDRINUSE;
	else if (errno != ECONNREFUSED)
		err = -errno;
	close(fd);
	if (!err && unlink(address->sun_path) && errno != ENOENT)
		err = -errno;
	return err;
}

static int bind_unix(int fd, const struct sockaddr_un *address, struct stat *ret_status)
{
	if (bind(fd, (const struct sockaddr *)address, sizeof(*address)))
		return -errno;
	/* Nobody can connect before listen(): the mode is in force when it matters. */
	if (chmod(address->sun_path, 0660) || stat(address->sun_path, ret_status) ||
	    listen(fd, BACKLOG)) {
		int err = -errno;

		unlink(address->sun_path);
		return err;
	}
	return 0;
}

int door_open_unix(const char *path, struct unix_door *ret_door)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct stat status;
	int fd, err;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	err = make_folder(path);
	if (!err)
		err = clear_stale(&address);
	if (err)
		return err;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	err = bind_unix(fd, &address, &status);
	if (err) {
		close(fd);
		return err;
	}
	*ret_door = (struct unix_door){ fd, path, status.st_dev, status.st_ino };
	return 0;
}

void door_remove_unix(const struct unix_door *door)
{
	struct stat status;

	if (!lstat(door->path, &status) && status.st_dev == door->device &&
	    status.st_ino == door->inode)
		unlink(door->path);
}
