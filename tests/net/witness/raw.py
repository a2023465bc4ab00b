# SPDX-License-Identifier: GPL-2.0-only
"""A TCP peer in user space, on AF_PACKET: every flag and sequence number is the test's.

It has an address of its own that no kernel answers for. Its MAC address is nobody's, so the
namespace it sits in drops the frames it sees; the watched namespace gets a permanent neighbour
entry. It never answers by itself: silence is a behaviour, too.
"""

import ctypes
import errno
import json
import mmap
import os
import random
import select
import socket
import struct
import time
from collections import namedtuple

from .lab import IPV4, endpoint, ipv6
from .runner import PATIENCE_S, Failure, wait_until
from .sockets import send_window

FLAGS = {"F": 0x01, "S": 0x02, "R": 0x04, "P": 0x08, "A": 0x10, "U": 0x20}
IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_ICMPV6 = 1, 6, 58
ETHERTYPES = {4: 0x0800, 6: 0x86DD}
SO_ATTACH_FILTER = 26
MASK = 0xFFFFFFFF

Segment = namedtuple("Segment", "source_port target_port seq ack flags window data")


def flag_bits(text):
    return sum(FLAGS[letter] for letter in text)


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def tcp_segment(source, target, seg, options=b"", corrupt=False):
    """The TCP header and payload with their checksum; addresses are packed."""
    words = 5 + len(options) // 4
    header = struct.pack("!HHIIBBHHH", seg.source_port, seg.target_port, seg.seq & MASK,
                         seg.ack & MASK, words << 4, flag_bits(seg.flags), seg.window, 0, 0)
    body = header + options + seg.data
    # IPv4 and IPv6 lay the pseudo header's length and protocol out differently (RFC 8200 §8.1)
    tail = struct.pack("!BBH", 0, 6, len(body)) if len(source) == 4 else struct.pack(
        "!II", len(body), 6)
    pseudo = source + target + tail
    total = checksum(pseudo + body) ^ (0x5555 if corrupt else 0)
    return body[:16] + struct.pack("!H", total) + body[18:]


def send_frame(sock, frame):
    """A full veth drops the frame and says so: then again."""
    while True:
        try:
            sock.send(frame)
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
        os.sched_yield()


def parse_tcp(data):
    source, target, seq, ack, words, bits, window = struct.unpack("!HHIIBBH", data[:16])
    flags = "".join(letter for letter, bit in FLAGS.items() if bits & bit)
    return Segment(source, target, seq, ack, flags, window, data[(words >> 4) * 4:])


class RawPeer:
    """Address number HOST on the wire of SPACE's device, talking to the other namespace."""

    def __init__(self, lab, kernel_space, family, host=10):
        self.family = family
        self.kernel_space = kernel_space
        space = lab.other(kernel_space)
        self.address = f"10.9.0.{host}" if family == IPV4 else ipv6(host)
        self.kernel_address = lab.ip(kernel_space, family)
        kind = socket.AF_INET if family == IPV4 else socket.AF_INET6
        self._packed = socket.inet_pton(kind, self.address)
        self._kernel_packed = socket.inet_pton(kind, self.kernel_address)
        self.mac = bytes((2, 9, 0, family, 0, host))
        kernel_device = lab.device(kernel_space)
        kernel_space.run("ip", "neigh", "replace", self.address, "lladdr", self.mac.hex(":"),
                         "dev", kernel_device, "nud", "permanent")
        links = json.loads(kernel_space.run("ip", "-j", "link", "show", "dev", kernel_device))
        self._kernel_mac = bytes.fromhex(links[0]["address"].replace(":", ""))
        with space:
            self._sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            self._sock.bind((lab.device(space), 3))
        self._only_my_mac()
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._waiting = []

    def _only_my_mac(self):
        # ld [2]; jeq #mac[2:], accept, drop: a busy veth must not fill this socket
        mac = struct.unpack("!I", self.mac[2:])[0]
        code = [(0x20, 0, 0, 2), (0x15, 0, 1, mac), (0x06, 0, 0, 0xFFFF), (0x06, 0, 0, 0)]
        program = b"".join(struct.pack("HBBI", *row) for row in code)
        buffer = ctypes.create_string_buffer(program, len(program))
        address = ctypes.addressof(buffer)
        self._sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER,
                              struct.pack("HL", len(code), address))

    def close(self):
        self._sock.close()

    def send(self, seg, options=b"", corrupt=False):
        body = tcp_segment(self._packed, self._kernel_packed, seg, options, corrupt)
        self._send_ip(IPPROTO_TCP, body)

    def send_from(self, cpus, segments, outranking=False):
        """The same segments in the same order from each of the CPUs, all at once. OUTRANKING: no
        ordinary thread of these CPUs runs in between. Processes of their own do it: threads of
        this one take turns at every call."""
        frames = [self._frame(IPPROTO_TCP, tcp_segment(self._packed, self._kernel_packed, seg))
                  for seg in segments]
        gate = mmap.mmap(-1, 1 + len(cpus))  # shared: everybody is there; go
        children = []
        for number, cpu in enumerate(cpus):
            child = os.fork()
            if child == 0:
                os.sched_setaffinity(0, {cpu})
                gate[1 + number] = 1
                while not gate[0]:
                    pass
                if outranking:
                    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
                for frame in frames:
                    send_frame(self._sock, frame)
                os._exit(0)
            children.append(child)
        wait_until(lambda: all(gate[1:]), "the senders do not come up", pause=0)
        gate[0] = 1
        for child in children:
            os.waitpid(child, 0)

    def _header(self, protocol, source, target, length):
        if self.family == IPV4:
            header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + length, random.getrandbits(16), 0,
                                 64, protocol, 0, source, target)
            return header[:10] + struct.pack("!H", checksum(header)) + header[12:]
        return struct.pack("!IHBB16s16s", 6 << 28, length, protocol, 64, source, target)

    def _frame(self, protocol, body):
        header = self._header(protocol, self._packed, self._kernel_packed, len(body))
        return (self._kernel_mac + self.mac + struct.pack("!H", ETHERTYPES[self.family]) +
                header + body)

    def _send_ip(self, protocol, body):
        send_frame(self._sock, self._frame(protocol, body))

    def send_unreachable(self, port=False, *, quoted):
        """ICMP: the segment QUOTED, which the kernel sent, did not find its host (or port)."""
        body = tcp_segment(self._kernel_packed, self._packed, quoted)
        quote = self._header(IPPROTO_TCP, self._kernel_packed, self._packed, len(body)) + body
        if self.family == IPV4:
            message = struct.pack("!BBHI", 3, 3 if port else 1, 0, 0) + quote
            pseudo = b""
        else:
            message = struct.pack("!BBHI", 1, 4 if port else 3, 0, 0) + quote
            pseudo = self._packed + self._kernel_packed + struct.pack("!II", len(message),
                                                                      IPPROTO_ICMPV6)
        total = struct.pack("!H", checksum(pseudo + message))
        self._send_ip(IPPROTO_ICMP if self.family == IPV4 else IPPROTO_ICMPV6,
                      message[:2] + total + message[4:])

    def _parse(self, frame):
        if frame[:6] != self.mac or len(frame) < 54:
            return None
        if self.family == IPV4:
            if frame[23] != 6:
                return None
            start, end = 14 + (frame[14] & 15) * 4, 14 + struct.unpack("!H", frame[16:18])[0]
        else:
            if frame[20] != 6:
                return None
            start, end = 54, 54 + struct.unpack("!H", frame[18:20])[0]
        return parse_tcp(frame[start:end])

    def receive(self, wanted, seconds):
        """The first waiting or coming segment for which wanted(segment) is true, or None."""
        deadline = time.monotonic() + seconds
        while True:
            for at, seg in enumerate(self._waiting):
                if wanted(seg):
                    return self._waiting.pop(at)
            left = max(deadline - time.monotonic(), 0)
            if not select.select([self._sock], [], [], left)[0]:
                return None
            seg = self._parse(self._sock.recv(65536))
            if seg:
                self._waiting.append(seg)

    def connection(self, my_port, kernel_port, seq=None):
        return RawConnection(self, my_port, kernel_port, seq)


class RawConnection:
    """The bookkeeping of one connection; nothing is sent but what the test says."""

    def __init__(self, peer, my_port, kernel_port, seq):
        self.peer = peer
        self.my_port, self.kernel_port = my_port, kernel_port
        self.seq = random.getrandbits(31) if seq is None else seq  # next octet to send
        self.ack = 0  # next octet expected
        self.kernel_at = endpoint(peer.kernel_address, kernel_port)
        self.me_at = endpoint(peer.address, my_port)

    def send(self, flags, data=b"", seq=None, ack=None, window=64240, corrupt=False, options=b""):
        """Sends a segment; advances the sequence number unless SEQ overrides it."""
        if "S" in flags:
            options = b"\x02\x04\x05\xb4" + options  # MSS 1460
        at = self.seq if seq is None else seq
        number = self.ack if ack is None else ack
        seg = Segment(self.my_port, self.kernel_port, at, number if "A" in flags else 0, flags,
                      window, data)
        self.peer.send(seg, options, corrupt)
        if seq is None:
            self.seq = (self.seq + len(data) + ("S" in flags) + ("F" in flags)) & MASK

    def mine(self, seg):
        return (seg.source_port, seg.target_port) == (self.kernel_port, self.my_port)

    def any_segment(self, seconds=PATIENCE_S):
        """The next segment of the connection, whatever it is."""
        seg = self.peer.receive(self.mine, seconds)
        if seg is None:
            raise Failure(f"raw peer {self.me_at}: nothing within {seconds:g} s")
        return seg

    def expect(self, flags, seconds=PATIENCE_S):
        """Waits for a segment that has exactly FLAGS (PSH aside) and takes its octets in."""
        bits = flag_bits(flags) & ~FLAGS["P"]
        seg = self.peer.receive(
            lambda seg: self.mine(seg) and flag_bits(seg.flags) & ~FLAGS["P"] == bits, seconds)
        if seg is None:
            others = [other.flags for other in self.peer._waiting if self.mine(other)]
            raise Failure(f"raw peer {self.me_at}: no segment {flags} within {seconds:g} s, "
                          f"but {others}")
        self.take(seg)
        return seg

    def take(self, seg):
        octets = len(seg.data) + ("S" in seg.flags) + ("F" in seg.flags)
        if octets:
            self.ack = (seg.seq + octets) & MASK
        return seg

    def fill(self):
        """Sends until the receiver's window is full; returns how many octets that took."""
        sent = 0
        while True:
            self.send("PA", bytes(512))
            seg = self.expect("A")
            sent += 512
            if seg.window < 512:
                return sent

    def quiet(self, seconds):
        """True when the kernel sends nothing to this connection for that long."""
        return self.peer.receive(self.mine, seconds) is None

    def close_window(self, sock):
        """Closes our window to SOCK, which is the kernel's end. No kernel doubts a window that comes
        with a new octet, some do if it shrinks without one (linux net/ipv4/tcp_input.c:
        tcp_may_update_window)."""
        self.send("PA", b"x")
        if sock.recv(10) != b"x":
            raise Failure("the octet before the closed window did not come")
        self.send("A", window=0)
        wait_until(lambda: send_window(sock) == 0, "the window does not close")

    def segment(self, flags):
        """The next one, for RawPeer.send_from()."""
        seg = Segment(self.my_port, self.kernel_port, self.seq, self.ack, flags, 64240, b"")
        self.seq = (self.seq + ("F" in flags)) & MASK
        return seg

    def open(self):
        """Active open up to ESTABLISHED."""
        self.send("S")
        self.expect("SA")
        self.send("A")

    def accept(self):
        """Passive open up to ESTABLISHED: the kernel connects to us."""
        self.expect("S")
        self.send("SA")
        self.expect("A")


def overflow(space, port, backlog, new_talk):
    """Fills the accept queue of a listener so that BACKLOG final ACKs are refused, and returns
    the talks that sent them. Both queues hold backlog + 1; a full accept queue refuses SYNs, too:
    so it gets its last child only when the requests stand."""
    def established():
        return space.in_state(port, "ESTABLISHED")

    def complete(talks, total):
        for talk in talks:
            talk.send("A")
        wait_until(lambda: established() == total, lambda: f"{established()} of {total} children")

    def ask(amount):
        talks = [new_talk() for _ in range(amount)]
        for talk in talks:
            talk.send("S")
            talk.expect("SA")
        return talks

    complete(ask(backlog), backlog)
    last, *refused = ask(backlog + 1)
    complete([last], backlog + 1)
    for talk in refused:
        talk.send("A")
    return refused
