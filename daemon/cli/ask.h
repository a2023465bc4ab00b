/* SPDX-License-Identifier: GPL-2.0-only */
/* Asks the running daemon: one HTTP request over its Unix socket. */
#ifndef TCPWITNESS_ASK_H
#define TCPWITNESS_ASK_H

/*
 * GET `path`. On success 0 and the body, zero-terminated, the caller's to free. Otherwise -errno
 * after one line on stderr: no daemon there, no permission, it refused, it does not answer.
 */
int ask_daemon(const char *socket_path, const char *path, char **ret_body);

/*
 * Takes a whole response apart: 0 and *ret_body pointing into it, or -EBADMSG when it is not HTTP
 * or is shorter than its Content-Length says. *ret_status is set in both cases, 0 if there is
 * none. Pure; `response` is zero-terminated.
 */
int ask_parse_response(char *response, int *ret_status, char **ret_body);

#endif
