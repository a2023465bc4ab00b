/* SPDX-License-Identifier: GPL-2.0-only */
/* What a client's headers ask for (RFC 9110 §12). Pure; a missing header is NULL. */
#ifndef TCPWITNESS_NEGOTIATE_H
#define TCPWITNESS_NEGOTIATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "export/expose.h"

/* The format with the highest q, the earlier one on a tie; text 0.0.4 when it names neither. */
enum expose_format negotiate_format(const char *accept);

/* May the answer be gzipped? */
bool negotiate_gzip(const char *accept_encoding);

/* Is this Host header one that only this machine uses for itself: localhost, 127.0.0.1 or [::1],
 * with our port? A browser tricked by DNS rebinding sends another. */
bool negotiate_is_local_host(const char *host, uint16_t port);

/* A decimal query argument. 0 and *ret; a missing one leaves *ret. -EINVAL beyond `max`. */
int negotiate_number(const char *argument, uint64_t max, uint64_t *ret);

#endif
