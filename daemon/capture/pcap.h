/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Captures (pcap, pcapng) as the same segments that the rings bring: the only user of libpcap.
 * Ethernet with VLAN tags, Linux SLL and SLL2, raw IP, null and loop, PPP; IPv4 and IPv6. A
 * tunnel's inner packets are looked at only if that is asked for, checksums not at all: a capture of
 * what leaves has none yet. Lengths are those of the IP header, so it does not matter where a packet was cut off as
 * long as the TCP header is there.
 */
#ifndef TCPWITNESS_PCAP_H
#define TCPWITNESS_PCAP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "capture/decode.h"
#include "parse.h"

struct pcapfile;

struct pcapfile_counts {
	uint64_t packets;
	uint64_t results[PARSE_MALFORMED + 1]; /* by enum parse_result: [PARSE_TCP] = segments */
};

/*
 * Reads on from where `file` stands, a pipe too, and owns it from here on, failure included.
 * `name` is for messages and outlives the reader. into_tunnels: a packet that is a tunnel's counts
 * as the one it carries (tunnel.h); else it is PARSE_OTHER. 0, or -errno after one logged line: -EBADMSG
 * not a capture; -EPROTONOSUPPORT a link type that is not one of the above.
 */
int pcapfile_open(FILE *file, const char *name, bool into_tunnels, struct pcapfile **ret_reader);
void pcapfile_free(struct pcapfile *reader);

/*
 * 1 and the next TCP segment, valid until the next call; 0 at the end; -EBADMSG after one logged
 * line where the file is cut off or damaged. Which end is local a capture does not say: the key
 * has the source as local, and `sent` is true. ts_ns is CLOCK_REALTIME and never goes back: what
 * lies in the past of the packet before it happened no earlier. There is no snapshot.
 */
int pcapfile_next(struct pcapfile *reader, struct observation *ret);

const struct pcapfile_counts *pcapfile_counts(const struct pcapfile *reader);

#endif
