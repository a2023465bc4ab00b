# SPDX-License-Identifier: GPL-2.0-only
"""Segments from spoofed sources to the watched namespace, each of a flow of its own, by the ten
thousand: on AF_PACKET, built here. Nobody answers what comes back."""

import json
import socket
import struct

from .lab import IPV4, ipv6
from .raw import FLAGS, send_frame

SOURCE_NET4, SOURCE_NET6 = "10.10.0.0/16", "fd0a::/64"
PORTS = 50000  # of one source address, from FIRST_PORT
FIRST_PORT = 1024
GATEWAY_HOST = 99
GATEWAY_MAC = "02:09:00:00:00:99"


def _folded(total):
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def _sum(data):
    return _folded(sum(struct.unpack(f"!{len(data) // 2}H", data)))


class Spray:
    """From B's device to A, of one family. The sources are routed to a gateway that is nobody."""

    def __init__(self, lab, family):
        self.lab, self.family, self.flows = lab, family, 0
        gateway = f"10.9.0.{GATEWAY_HOST}" if family == IPV4 else ipv6(GATEWAY_HOST)
        lab.a.run("ip", "route", "replace", SOURCE_NET4 if family == IPV4 else SOURCE_NET6,
                  "via", gateway, "dev", "v0")
        lab.a.run("ip", "neigh", "replace", gateway, "lladdr", GATEWAY_MAC, "dev", "v0",
                  "nud", "permanent")
        target = json.loads(lab.a.run("ip", "-j", "link", "show", "dev", "v0"))[0]["address"]
        kind = socket.AF_INET if family == IPV4 else socket.AF_INET6
        self._target = socket.inet_pton(kind, lab.ip(lab.a, family))
        self._head = (bytes.fromhex(target.replace(":", "")) + bytes.fromhex("020900000098") +
                      (b"\x08\x00" if family == IPV4 else b"\x86\xdd"))
        with lab.b:
            self._sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self._sock.bind(("v1", 0))

    def close(self):
        self._sock.close()

    def _frame(self, flags, port):
        number, self.flows = self.flows, self.flows + 1
        net = b"\x0a\x0a" if self.family == IPV4 else bytes.fromhex("fd0a") + bytes(12)
        source = net + struct.pack("!H", 1 + number // PORTS)
        tcp = struct.pack("!HHIIBBHHH", FIRST_PORT + number % PORTS, port, 1000, 2000, 5 << 4,
                          flags, 64240, 0, 0)
        total = _sum(source) + _sum(self._target) + 6 + len(tcp) + _sum(tcp)
        tcp = tcp[:16] + struct.pack("!H", ~_folded(total) & 0xFFFF) + tcp[18:]
        if self.family != IPV4:
            return self._head + struct.pack("!IHBB", 6 << 28, len(tcp), 6, 64) + source + \
                self._target + tcp
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 40, 0, 0, 64, 6, 0) + source + self._target
        return self._head + ip[:10] + struct.pack("!H", ~_sum(ip) & 0xFFFF) + ip[12:] + tcp

    def send(self, flags, ports, count):
        """COUNT segments with FLAGS ("S", "SA"), to PORTS in turn."""
        bits = sum(FLAGS[letter] for letter in flags)
        for number in range(count):
            send_frame(self._sock, self._frame(bits, ports[number % len(ports)]))
