/* SPDX-License-Identifier: GPL-2.0-only */
/* The HTTP server: one thread for each address it listens on, and one for the Unix socket. */
#ifndef TCPWITNESS_HTTP_H
#define TCPWITNESS_HTTP_H

#include <stddef.h>
#include <stdint.h>

#include "export/answers.h"

#define HTTP_ERROR_MAX 256
#define HTTP_PATIENCE_MS_DEFAULT 5000
#define HTTP_IDLE_SECONDS_DEFAULT 10

struct http_settings {
	const char *const *listen_addresses; /* --web.listen-address */
	size_t nr_listen_addresses;
	const char *api_socket;	   /* --api.socket; NULL or "" for none */
	unsigned int idle_seconds; /* a client that says nothing so long is cut off */
	struct answers_settings answers;
};

struct http;

/*
 * Listens, and starts to answer: the data thread must serve the mailbox from now on. On failure
 * -errno and one line in `error`. Strings of *settings must outlive the server.
 */
int http_start(const struct http_settings *settings, const struct export_ops *ops,
	       struct mailbox *mailbox, char error[HTTP_ERROR_MAX], struct http **ret_http);

/* Closes the mailbox, ends the threads, removes the Unix socket. By the thread that serves the
 * mailbox, or after it has ended. NULL is fine. */
void http_stop(struct http *http);

/* Of listen address i: what ":0" became. */
uint16_t http_port(const struct http *http, size_t i);

#endif
