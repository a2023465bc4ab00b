/* SPDX-License-Identifier: GPL-2.0-only */
/* Raw ring records to checked observations. Rejects what is malformed, and says why. Pure. */
#ifndef TCPWITNESS_DECODE_H
#define TCPWITNESS_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "record.h"
#include "tcp_defs.h"

/* A connection's name: local first. Padding-free, so that memcmp and hashing are exact. */
struct conn_key {
	uint8_t local_address[16], remote_address[16]; /* network order, v4 as v4-mapped v6 */
	uint16_t local_port, remote_port;	       /* host order */
	uint32_t netns;
};

#define REJECT_REASONS(X)                                                                          \
	X(SHORT, "short")     /* smaller than its type demands */                                  \
	X(VERSION, "version") /* written by another version */                                     \
	X(TYPE, "type")	      /* unknown type, or one that does not belong on a ring */            \
	X(LENGTH, "length")   /* not one of the sizes its type has */                              \
	X(VALUE, "value")     /* a field outside its range: state, hook, ring */

enum reject_reason {
#define X(name, label) REJECT_##name,
	REJECT_REASONS(X)
#undef X
	REJECT_NR
};

/* Where the tracker will look for a connection, found out ahead of time (tracker_foresee). */
struct lookahead {
	uint32_t tag, handle; /* flowtable.h's; the handle may be out of date */
	bool known;	      /* false: nobody looked */
};

/* One record, checked: `record` points at the caller's bytes, which must outlive it. */
struct observation {
	enum rec_type type;
	uint64_t ts_ns;
	uint64_t cookie; /* of the socket, where the type has one; else 0 */
	struct conn_key key;
	bool sent; /* REC_F_SENT */
	struct lookahead ahead;
	union {
		const struct rec_hdr *hdr;
		const struct rec_segment *segment;
		const struct rec_drop *drop;
		const struct rec_retransmit *retransmit;
		const struct rec_reset *reset;
		const struct rec_state *state;
		const struct rec_listen *listen;
		const struct rec_socket *socket; /* REC_SOCKET and REC_LOOK */
		const struct rec_loss *loss;
		const struct rec_sweep *sweep;
		const struct rec_netns *netns;
		const struct rec_sampling *sampling;
	};
};

/* 0, or -EBADMSG with *ret_reason set. `bytes` must be 8-byte aligned. */
int decode(const void *bytes, size_t size, struct observation *ret, enum reject_reason *ret_reason);

/* "10.0.0.1:443" or "[fd00::1]:443"; v4-mapped addresses print as IPv4. Returns `buffer`. */
#define ENDPOINT_TEXT_MAX 56
const char *endpoint_format(const uint8_t address[16], uint16_t port,
			    char buffer[ENDPOINT_TEXT_MAX]);

#endif
