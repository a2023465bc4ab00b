/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The way into tunnels, for captures whose inner packets are asked for: IP in IP (RFC 2003,
 * RFC 2473, RFC 4213), GRE (RFC 2784, RFC 2890), VXLAN (RFC 7348), Geneve (RFC 8926). Pure.
 */
#ifndef TCPWITNESS_TUNNEL_H
#define TCPWITNESS_TUNNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "parse.h"

/* Tunnels within tunnels that are entered. */
#define TUNNELS_MAX 4

/*
 * True: the IP packet at the cursor carries another one, and the cursor has moved there;
 * *packet_bytes, from the cursor to the end of the packet, has shrunk by as much. False: it carries
 * none, or not all of the headers on the way were captured, or it is a fragment; both are as they
 * were.
 */
bool tunnel_enter(struct cursor *cursor, uint32_t *packet_bytes);

#endif
