# SPDX-License-Identifier: GPL-2.0-only
"""ICMP errors of a raw peer: "destination unreachable" about a segment that the kernel sent it."""

import struct

from .lab import IPV4, IPV6
from .raw import ETHERTYPES, checksum

PORT, HOST = "port", "host"
# RFC 792, RFC 4443 §3.1: type and code
CODES = {IPV4: {PORT: (3, 3), HOST: (3, 1)}, IPV6: {PORT: (1, 4), HOST: (1, 3)}}
ICMP, ICMPV6, TCP = 1, 58, 6


def ip_header(family, protocol, size, source, target):
    if family == IPV6:
        return struct.pack("!IHBB16s16s", 6 << 28, size, protocol, 64, source, target)
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + size, 0, 0, 64, protocol, 0, source, target)
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:]


def unreachable(peer, segment, what):
    """PEER answers SEGMENT, which it received, by the error."""
    kind, code = CODES[peer.family][what]
    quoted = struct.pack("!HHII8x", segment.source_port, segment.target_port, segment.seq,
                         segment.ack)
    message = struct.pack("!BBHI", kind, code, 0, 0) + ip_header(
        peer.family, TCP, len(quoted), peer._kernel_packed, peer._packed) + quoted
    protocol, pseudo = ICMP, b""
    if peer.family == IPV6:  # RFC 8200 §8.1
        protocol = ICMPV6
        pseudo = peer._packed + peer._kernel_packed + struct.pack("!II", len(message), ICMPV6)
    message = message[:2] + struct.pack("!H", checksum(pseudo + message)) + message[4:]
    peer._sock.send(peer._kernel_mac + peer.mac + struct.pack("!H", ETHERTYPES[peer.family]) +
                    ip_header(peer.family, protocol, len(message), peer._packed,
                              peer._kernel_packed) + message)
