/* SPDX-License-Identifier: GPL-2.0-only */
/* A client of HTTP/1.0 (RFC 1945), which means: no chunks, and the end of the stream ends it. */
#include "cli/ask.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define TIMEOUT_S 10
#define RESPONSE_MAX (256u << 20)

static int say(int err, const char *socket_path)
{
	switch (err) {
	case -ENOENT:
	case -ECONNREFUSED:
		fprintf(stderr,
			"tcpwitness: no daemon answers at %s (is `tcpwitness run` running?)\n",
			socket_path);
		break;
	case -EAGAIN:
		fprintf(stderr, "tcpwitness: the daemon at %s does not answer within %d s\n",
			socket_path, TIMEOUT_S);
		break;
	case -EBADMSG:
		fprintf(stderr, "tcpwitness: what answers at %s is not a tcpwitness daemon\n",
			socket_path);
		break;
	default:
		fprintf(stderr, "tcpwitness: cannot ask the daemon at %s: %s\n", socket_path,
			strerror(-err));
	}
	return err;
}

static int connect_to(const char *path, int *ret_fd)
{
	const struct timeval timeout = { .tv_sec = TIMEOUT_S };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd, err;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) ||
	    connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		err = -errno;
		close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}

static int send_request(int fd, const char *path)
{
	char request[1024];
	int length = snprintf(request, sizeof(request),
			      "GET %s HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n",
			      path);

	if (length < 0 || (size_t)length >= sizeof(request))
		return -ENAMETOOLONG;
	for (int done = 0; done < length;) {
		ssize_t n = send(fd, request + done, (size_t)(length - done), MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			done += (int)n;
	}
	return 0;
}

static int receive_all(int fd, char **ret_text)
{
	size_t size = 0, room = 65536;
	char *text = malloc(room);
	int err = -ENOMEM;

	while (text) {
		ssize_t n = recv(fd, text + size, room - size - 1, 0);

		if (n == 0) {
			text[size] = '\0';
			*ret_text = text;
			return 0;
		}
		if (n < 0) {
			if (errno == EINTR)
				continue;
			err = -errno;
			break;
		}
		size += (size_t)n;
		if (size + 1 == room) {
			char *more;

			if (room >= RESPONSE_MAX) {
				err = -EFBIG;
				break;
			}
			room *= 2;
			more = realloc(text, room);
			if (!more)
				break;
			text = more;
		}
	}
	free(text);
	return err;
}

int ask_parse_response(char *response, int *ret_status, char **ret_body)
{
	unsigned long long length;
	char *body, *line;

	*ret_status = 0;
	if (sscanf(response, "HTTP/1.%*1[01] %3d", ret_status) != 1 || *ret_status < 100)
		return -EBADMSG;
	body = strstr(response, "\r\n\r\n");
	if (!body)
		return -EBADMSG;
	for (line = strstr(response, "\r\n"); line < body; line = strstr(line + 2, "\r\n"))
		if (!strncasecmp(line + 2, "Content-Length:", 15) &&
		    sscanf(line + 2 + 15, "%llu", &length) == 1 && strlen(body + 4) != length)
			return -EBADMSG;
	*ret_body = body + 4;
	return 0;
}

int ask_daemon(const char *socket_path, const char *path, char **ret_body)
{
	char *response = NULL, *body;
	int fd = -1, status, err;

	err = connect_to(socket_path, &fd);
	if (err)
		return say(err, socket_path);
	err = send_request(fd, path);
	if (!err)
		err = receive_all(fd, &response);
	close(fd);
	if (!err)
		err = ask_parse_response(response, &status, &body);
	if (err) {
		free(response);
		return say(err, socket_path);
	}
	if (status != 200) {
		fprintf(stderr, "tcpwitness: the daemon answered %d: %.*s\n", status,
			(int)strcspn(body, "\r\n"), body);
		free(response);
		return -EPROTO;
	}
	memmove(response, body, strlen(body) + 1);
	*ret_body = response;
	return 0;
}
