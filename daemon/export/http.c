/* SPDX-License-Identifier: GPL-2.0-only */
/* The only user of libmicrohttpd: from its callbacks to questions, from answers to its responses. */
#include "export/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "export/doors.h"
#include "export/guests.h"
#include "export/negotiate.h"

#define CONNECTION_MEMORY ((size_t)32 * 1024)

/* Smaller answers do not get smaller. */
#define GZIP_MIN_BYTES 1024

/* One listening socket and the thread behind it. */
struct server {
	struct http *http;
	struct MHD_Daemon *daemon;
	struct guests guests; /* its thread's */
	uint16_t port;
	bool is_unix;
};

struct http {
	struct answers answers;
	struct unix_door door;
	bool has_door;
	size_t nr_servers;
	struct server servers[];
};

/* What *con_cls holds: how far the request is, and whether it counts among those in flight. */
static char request_seen, request_counted;

static bool is_loopback_v4(uint32_t address)
{
	return address >> 24 == 127;
}

static bool is_loopback(const struct sockaddr *peer)
{
	const struct in6_addr *v6;
	uint32_t v4;

	if (peer->sa_family == AF_INET)
		return is_loopback_v4(ntohl(((const struct sockaddr_in *)peer)->sin_addr.s_addr));
	if (peer->sa_family != AF_INET6)
		return false;
	v6 = &((const struct sockaddr_in6 *)peer)->sin6_addr;
	if (!IN6_IS_ADDR_V4MAPPED(v6))
		return IN6_IS_ADDR_LOOPBACK(v6);
	memcpy(&v4, &v6->s6_addr[12], sizeof(v4));
	return is_loopback_v4(ntohl(v4));
}

static const char *header(struct MHD_Connection *connection, const char *name)
{
	return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static const char *argument(struct MHD_Connection *connection, const char *name)
{
	return MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, name);
}

/* The response takes the body over. */
static struct MHD_Response *wrap(struct text *body)
{
	struct MHD_Response *response = MHD_create_response_from_buffer_with_free_callback(
		body->length, body->data ? body->data : malloc(1), free);

	if (!response)
		free(body->data);
	*body = (struct text){ 0 };
	return response;
}

static enum MHD_Result refuse_method(struct answers *answers, struct MHD_Connection *connection)
{
	static char text[] = "only GET and HEAD\n";
	struct MHD_Response *response =
		MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_PERSISTENT);
	enum MHD_Result result;

	answers->requests++;
	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
				"text/plain; charset=utf-8");
	result = MHD_queue_response(connection, MHD_HTTP_METHOD_NOT_ALLOWED, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result respond(struct MHD_Connection *connection, struct answer *answer)
{
	struct MHD_Response *response;
	struct text packed = { 0 };
	enum MHD_Result result;

	if (answer->body.length >= GZIP_MIN_BYTES &&
	    negotiate_gzip(header(connection, MHD_HTTP_HEADER_ACCEPT_ENCODING)) &&
	    !text_gzip(&answer->body, &packed)) {
		text_free(&answer->body);
		answer->body = packed;
	}
	response = wrap(&answer->body);
	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->content_type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_VARY, "Accept, Accept-Encoding");
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	if (packed.data)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_ENCODING, "gzip");
	if (answer->is_private)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	result = MHD_queue_response(connection, answer->status, response);
	MHD_destroy_response(response);
	return result;
}

/* Called at the headers, for each piece of a body, and at the end. */
static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *path,
			      const char *method, const char *version, const char *body,
			      size_t *body_bytes, void **request)
{
	struct server *server = context;
	struct answers *answers = &server->http->answers;
	struct question question = { .path = path, .is_unix = server->is_unix };
	const union MHD_ConnectionInfo *info;
	struct answer answer;

	(void)version;
	(void)body;
	if (strcmp(method, MHD_HTTP_METHOD_GET) && strcmp(method, MHD_HTTP_METHOD_HEAD))
		return *request ? MHD_NO : refuse_method(answers, connection);
	if (!*request) {
		*request = &request_seen;
		return MHD_YES;
	}
	if (*body_bytes) {
		*body_bytes = 0;
		return MHD_YES;
	}
	info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	question.is_loopback = !server->is_unix && info && is_loopback(info->client_addr);
	question.port = server->port;
	question.accept = header(connection, MHD_HTTP_HEADER_ACCEPT);
	question.host = header(connection, MHD_HTTP_HEADER_HOST);
	question.is_forwarded = header(connection, "Forwarded") ||
				header(connection, "X-Forwarded-For") ||
				header(connection, MHD_HTTP_HEADER_VIA);
	question.limit = argument(connection, "limit");
	question.cursor = argument(connection, "cursor");
	question.tuple = argument(connection, "tuple");
	question.format = argument(connection, "format");
	question.sort = argument(connection, "sort");
	question.divergences = (struct divergence_arguments){
		.state = argument(connection, "state"),
		.kind = argument(connection, "kind"),
		.class = argument(connection, "class"),
		.since = argument(connection, "since"),
		.limit = question.limit,
		.format = question.format,
		.details = argument(connection, "details"),
	};
	answer_question(answers, &question, &answer);
	if (answer.is_counted)
		*request = &request_counted;
	return respond(connection, &answer);
}

static void completed(void *context, struct MHD_Connection *connection, void **request,
		      enum MHD_RequestTerminationCode code)
{
	struct server *server = context;

	(void)connection;
	(void)code;
	if (*request == &request_counted)
		answers_done(&server->http->answers);
	*request = NULL;
}

/* libmicrohttpd has a limit of its own for each client, but tells nobody whom it turned away. */
static enum MHD_Result admit(void *context, const struct sockaddr *client, socklen_t length)
{
	struct server *server = context;

	if (length < sizeof(client->sa_family) || guests_has_room(&server->guests, client))
		return MHD_YES;
	server->http->answers.turned_away++;
	return MHD_NO;
}

static void note_connection(void *context, struct MHD_Connection *connection, void **socket_context,
			    enum MHD_ConnectionNotificationCode code)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	struct server *server = context;

	(void)socket_context;
	if (!info || !info->client_addr)
		return;
	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		guests_enter(&server->guests, info->client_addr);
	else
		guests_leave(&server->guests, info->client_addr);
}

/* Takes the descriptor over, also on failure. */
static int serve(struct http *http, int fd, uint16_t port, bool is_unix, unsigned int idle_seconds)
{
	struct server *server = &http->servers[http->nr_servers];

	*server = (struct server){ .http = http, .port = port, .is_unix = is_unix };
	server->daemon =
		MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, admit, server, handle, server,
				 MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
				 GUESTS_MAX, MHD_OPTION_NOTIFY_CONNECTION, note_connection, server,
				 MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY,
				 MHD_OPTION_CONNECTION_TIMEOUT, idle_seconds,
				 MHD_OPTION_NOTIFY_COMPLETED, completed, server, MHD_OPTION_END);
	if (!server->daemon) {
		close(fd);
		return -EIO;
	}
	http->nr_servers++;
	return 0;
}

static int open_tcp(struct http *http, const char *address, unsigned int idle_seconds,
		    char error[HTTP_ERROR_MAX])
{
	uint16_t port = 0;
	int fd = door_open_tcp(address, &port);
	int err = fd < 0 ? fd : serve(http, fd, port, false, idle_seconds);

	if (err)
		snprintf(error, HTTP_ERROR_MAX, "cannot listen on %s: %s", address, strerror(-err));
	return err;
}

static int open_unix(struct http *http, const char *path, unsigned int idle_seconds,
		     char error[HTTP_ERROR_MAX])
{
	int err = door_open_unix(path, &http->door);

	http->has_door = !err;
	if (!err)
		err = serve(http, http->door.fd, 0, true, idle_seconds);
	if (err == -EADDRINUSE)
		snprintf(error, HTTP_ERROR_MAX,
			 "another daemon answers on %s (--api.socket gives this one its own)",
			 path);
	else if (err)
		snprintf(error, HTTP_ERROR_MAX, "cannot listen on %s: %s", path, strerror(-err));
	return err;
}

int http_start(const struct http_settings *settings, const struct export_ops *ops,
	       struct mailbox *mailbox, char error[HTTP_ERROR_MAX], struct http **ret_http)
{
	size_t room = settings->nr_listen_addresses + 1;
	struct http *http;
	int err = 0;

	if (settings->answers.telemetry_path[0] != '/') {
		snprintf(error, HTTP_ERROR_MAX, "%s: a path of HTTP begins with /",
			 settings->answers.telemetry_path);
		return -EINVAL;
	}
	http = calloc(1, sizeof(*http) + room * sizeof(http->servers[0]));
	if (!http) {
		snprintf(error, HTTP_ERROR_MAX, "out of memory");
		return -ENOMEM;
	}
	http->answers.settings = settings->answers;
	http->answers.ops = *ops;
	http->answers.mailbox = mailbox;
	for (size_t i = 0; i < settings->nr_listen_addresses && !err; i++)
		err = open_tcp(http, settings->listen_addresses[i], settings->idle_seconds, error);
	if (!err && settings->api_socket && settings->api_socket[0])
		err = open_unix(http, settings->api_socket, settings->idle_seconds, error);
	if (err) {
		http_stop(http);
		return err;
	}
	*ret_http = http;
	return 0;
}

void http_stop(struct http *http)
{
	if (!http)
		return;
	/* First, so that no thread that is to end waits for an answer. */
	mailbox_close(http->answers.mailbox);
	for (size_t i = 0; i < http->nr_servers; i++)
		MHD_stop_daemon(http->servers[i].daemon);
	if (http->has_door)
		door_remove_unix(&http->door);
	free(http);
}

uint16_t http_port(const struct http *http, size_t i)
{
	return http->servers[i].port;
}
