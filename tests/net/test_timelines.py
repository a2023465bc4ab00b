#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The list of records of one connection, in order, where a raw peer is needed to bring it about:
what tests/bpf/test_timelines.c asserts of two kernels. By XDP and by tcx, IPv4 and IPv6.

A record is "< FLAGS" (arrived), "> FLAGS" (left), with a "+" where there was data, or "OLD>NEW" (the
kernel's state change); which
plain segments are worth one is said in bpf/ingress.bpf.c and bpf/egress.bpf.c.
"""

import contextlib
import itertools
import json
import socket
import sys

from witness import (
    IPV4, IPV6, Daemon, Lab, RawPeer, accept, case, check_equal, client_of, listener, main,
    wait_kernel_state, wait_until,
)

PORTS = itertools.count(7500)
TCP_DEFER_ACCEPT = 9

LETTERS = (("FIN", "F"), ("SYN", "S"), ("RST", "R"), ("ACK", "A"))
OPEN = ["< S", "> SA", "< A", "SYN_RECV>ESTABLISHED"]


def line(entry):
    """One entry of the story as a record; None for what is none (looks, verdicts, timers)."""
    if entry["entry"] == "segment":
        flags = "".join(letter for name, letter in LETTERS if name in entry["flags"])
        return f"{'>' if entry['sent'] else '<'} {flags}{'+' if entry['len'] else ''}"
    if entry["entry"] == "kernel":
        return f"{entry['from']}>{entry['to']}"
    return None


class Talk:
    """A watched socket and the raw peer it talks to."""

    def __init__(self, world, family, options=()):
        self.world, self.family, self.port = world, family, next(PORTS)
        self.options = options

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            address = self.world.lab.ip(self.world.lab.a, self.family)
            self.peer = RawPeer(self.world.lab, self.world.lab.a, self.family)
            stack.callback(self.peer.close)
            self.listener = listener(self.world.lab.a, address, self.port, options=self.options)
            stack.callback(self.listener.close)
            self.raw = self.peer.connection(20000 + self.port, self.port)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.close()

    def open(self):
        self.raw.open()
        sock = accept(self.listener)
        self.stack.callback(sock.close)
        return sock

    def expect(self, *records):
        expect(self.world, self.raw, records)


def expect(world, raw, records):
    """The story of the raw peer's connection has exactly these records, now or soon."""
    def story():
        tuple_text = f"{raw.kernel_at}-{raw.me_at}".replace("[", "%5B").replace("]", "%5D")
        status, _, body = world.daemon.web(f"/api/v1/explain?tuple={tuple_text}")
        lives = json.loads(body)["connections"] if status == 200 else []  # 404: not drained yet
        return [text for life in lives for text in map(line, life.get("entries", [])) if text]

    wait_until(lambda: story() == list(records),
               lambda: f"records {story()}, expected {list(records)}", 5)


def each_family(function):
    for label, family in (("ipv4", IPV4), ("ipv6", IPV6)):
        case(f"{function.__name__} {label}", family)(function)
    return function


@each_family
def simultaneous_close(world, family):
    with Talk(world, family) as talk:
        sock = talk.open()
        sock.shutdown(socket.SHUT_RDWR)
        fin = talk.raw.expect("FA")
        talk.raw.send("FA", ack=fin.seq)
        talk.raw.expect("A")
        wait_kernel_state(sock, "CLOSING")
        talk.raw.send("A")
        talk.expect(*OPEN, "ESTABLISHED>FIN_WAIT1", "> FA", "< FA", "> A", "FIN_WAIT1>CLOSING",
                    "< A", "CLOSING>CLOSE")


@each_family
def fin_and_ack_in_one(world, family):
    with Talk(world, family) as talk:
        sock = talk.open()
        sock.shutdown(socket.SHUT_RDWR)
        talk.raw.expect("FA")
        talk.raw.send("FA")
        talk.raw.expect("A")
        talk.expect(*OPEN, "ESTABLISHED>FIN_WAIT1", "> FA", "< FA", "FIN_WAIT1>FIN_WAIT2", "> A",
                    "FIN_WAIT2>CLOSE")


@each_family
def fin_to_a_minisocket(world, family):
    with Talk(world, family) as talk:
        talk.open().close()
        talk.raw.expect("FA")
        talk.raw.send("A")
        wait_until(lambda: world.lab.a.in_state(talk.port, "FIN_WAIT_2"), "no FIN_WAIT_2")
        talk.raw.send("FA")
        talk.raw.expect("A")
        talk.expect(*OPEN, "ESTABLISHED>FIN_WAIT1", "> FA", "< A", "FIN_WAIT1>FIN_WAIT2",
                    "FIN_WAIT2>CLOSE", "< FA", "> A")


@each_family
def fin_on_the_final_ack(world, family):
    with Talk(world, family) as talk:
        talk.raw.send("S")
        talk.raw.expect("SA")
        talk.raw.send("FA")
        talk.raw.expect("A")
        talk.expect("< S", "> SA", "< FA", "SYN_RECV>ESTABLISHED", "ESTABLISHED>CLOSE_WAIT", "> A")


@each_family
def reset_of_a_request(world, family):
    with Talk(world, family) as talk:
        talk.raw.send("S")
        talk.raw.expect("SA")
        talk.raw.send("R")
        talk.expect("< S", "> SA", "< R")


@each_family
def duplicate_syn(world, family):
    with Talk(world, family) as talk:
        talk.raw.send("S")
        first = talk.raw.expect("SA")
        talk.raw.send("S", seq=talk.raw.seq - 1)
        check_equal("the same SYN-ACK again", talk.raw.expect("SA").seq, first.seq)
        talk.raw.send("R")
        talk.expect("< S", "> SA", "< S", "> SA", "< R")


@each_family
def reset_after_fin(world, family):
    with Talk(world, family) as talk:
        sock = talk.open()
        talk.raw.send("FA")
        wait_kernel_state(sock, "CLOSE_WAIT")
        talk.raw.expect("A")
        talk.raw.send("R", seq=talk.raw.seq - 1)
        wait_kernel_state(sock, "CLOSED")
        talk.expect(*OPEN, "< FA", "ESTABLISHED>CLOSE_WAIT", "> A", "< R", "CLOSE_WAIT>CLOSE")


@each_family
def data_after_close(world, family):
    with Talk(world, family) as talk:
        talk.open().close()
        talk.raw.expect("FA")
        talk.raw.send("A")
        wait_until(lambda: world.lab.a.in_state(talk.port, "FIN_WAIT_2"), "no FIN_WAIT_2")
        talk.raw.send("PA", b"late")
        talk.raw.expect("R")
        talk.expect(*OPEN, "ESTABLISHED>FIN_WAIT1", "> FA", "< A", "FIN_WAIT1>FIN_WAIT2",
                    "FIN_WAIT2>CLOSE", "< A+", "> R")


@each_family
def cookie(world, family):
    with Talk(world, family) as talk:
        world.lab.a.sysctl(tcp_syncookies=2)
        try:
            talk.open()
        finally:
            world.lab.a.sysctl(tcp_syncookies=1)
        talk.expect(*OPEN)


@each_family
def deferred_accept(world, family):
    options = [(socket.IPPROTO_TCP, TCP_DEFER_ACCEPT, 30)]
    with Talk(world, family, options) as talk:
        talk.raw.send("S")
        talk.raw.expect("SA")
        talk.raw.send("A")
        talk.raw.send("PA", b"at last")
        accept(talk.listener).close()
        talk.raw.expect("RA")
        talk.expect("< S", "> SA", "< A", "< A+", "SYN_RECV>ESTABLISHED", "ESTABLISHED>CLOSE",
                    "> RA")


@each_family
def simultaneous_open(world, family):
    port = next(PORTS)
    peer = RawPeer(world.lab, world.lab.a, family)
    try:
        sock = client_of(world.lab.a, family, (peer.address, port), timeout=0,
                         source=(world.lab.ip(world.lab.a, family), port))
        raw = peer.connection(port, port)
        raw.expect("S")
        raw.send("S")
        raw.expect("SA")
        raw.send("SA", seq=raw.seq - 1)
        wait_kernel_state(sock, "ESTABLISHED")
        raw.expect("A")
        # the ACK is the third segment this socket sends: it completes nothing, so it is only counted
        expect(world, raw, ["CLOSE>SYN_SENT", "> S", "< S", "SYN_SENT>SYN_RECV", "> SA", "< SA",
                            "SYN_RECV>ESTABLISHED"])
        sock.close()
    finally:
        peer.close()


class World:
    def __init__(self, lab, daemon):
        self.lab, self.daemon = lab, daemon


@contextlib.contextmanager
def watched(mode):
    with Lab("lines") as lab, Daemon(lab.a, device="v0", mode=mode) as daemon:
        yield World(lab, daemon)


if __name__ == "__main__":
    sys.exit(max(main(lambda mode=mode: watched(mode)) for mode in ("tcx", "xdp")))
