#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Every kind of divergence made on purpose: reported once, on the right tuple, with its class,
closed when it heals, and nothing else reported. By XDP at a, by tcx at b, IPv4 and IPv6.
"""

import socket
import struct
import sys

from witness import (
    RawPeer, accept, case, check, check_equal, client_of, close_rst, listener, local_of, main,
    wait_kernel_state, wait_until,
)
from witness.ends import PORTS, both_ends, each_end, space_of
from witness.raw import overflow

TCP_USER_TIMEOUT = 18
PROBLEM = {"accept_queue_overflow", "syn_dropped", "segment_filtered", "silent_close"}


class Scene:
    """A listener of one end, raw peers, and what its daemon reports from now on."""

    def __init__(self, world, end, family, backlog=16, options=()):
        self.space = space_of(world, end)
        self.daemon = world.daemon(self.space)
        self.family = family
        self.port = next(PORTS)
        self.address = world.lab.ip(self.space, family)
        self.peer = RawPeer(world.lab, self.space, family)
        self.listener = listener(self.space, self.address, self.port, backlog, options)
        self.before = len(self.daemon.find("divergence_open"))
        self.totals = self.daemon.settled()
        self.talks = []
        self.sockets = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.space.nft()
        self.space.sysctl(tcp_syncookies=1)
        for talk in self.talks:
            talk.send("R")
        for sock in (*self.sockets, self.listener):
            sock.close()
        self.peer.close()

    def talk(self):
        talk = self.peer.connection(20000 + self.port + 100 * len(self.talks), self.port)
        self.talks.append(talk)
        return talk

    def accept(self):
        sock = accept(self.listener)
        self.sockets.append(sock)
        return sock

    def expect_open(self, kind, *talks, reason=None):
        """KIND opens on the tuple of each talk, and no other divergence does."""
        for talk in talks:
            event = self.daemon.wait_event("divergence_open", kind=kind, local=talk.kernel_at,
                                           remote=talk.me_at)
            check_equal("class", event["class"], "problem" if kind in PROBLEM else "expected")
            if reason:
                check_equal("reason", event["reason"], reason)
        self.expect_only(kind, *talks)

    def expect_only(self, kind, *talks):
        """What was opened since the scene began is KIND on these talks, once each."""
        opened = [(row["kind"], row["local"], row["remote"])
                  for row in self.daemon.find("divergence_open")[self.before:]]
        check_equal("divergences opened", sorted(opened),
                    sorted((kind, talk.kernel_at, talk.me_at) for talk in talks))

    def expect_shown(self, kind, amount):
        """The metrics count AMOUNT of KIND since the scene began, all open."""
        now = self.daemon.settled()
        check_equal("divergences_total moved by", now("divergences_total", kind=kind) -
                    self.totals("divergences_total", kind=kind), amount)
        check_equal("divergences_open", now("divergences_open", kind=kind), amount)

    def expect_closed(self, kind, *talks):
        for talk in talks:
            self.daemon.wait_event("divergence_close", kind=kind, local=talk.kernel_at,
                                   remote=talk.me_at)
        self.expect_only(kind, *talks)
        wait_until(lambda: self.daemon.metrics()("divergences_open", kind=kind) == 0,
                   "divergences_open does not go back to 0")

    def expect_named(self, kind, talk):
        """The finished connection's event carries the kind."""
        event = self.daemon.wait_event("connection", local=talk.kernel_at, remote=talk.me_at)
        check_equal("divergences", event["divergences"], [kind])


@each_end
def accept_queue_overflow(world, end, family):
    """Row 1: These peers' final ACKs are refused: they believe they are connected."""
    with Scene(world, end, family, backlog=2) as scene:
        refused = overflow(scene.space, scene.port, 2, scene.talk)
        scene.expect_open("accept_queue_overflow", *refused)
        scene.expect_shown("accept_queue_overflow", 2)
        for _ in range(3):
            scene.accept()
        for talk in refused:
            talk.send("A")
            scene.accept()
        scene.expect_closed("accept_queue_overflow", *refused)
        for talk in refused:
            talk.send("R")
            scene.expect_named("accept_queue_overflow", talk)


@each_end
def syn_dropped_accept_queue_full(world, end, family):
    """Row 6: the accept queue is full."""
    with Scene(world, end, family, backlog=1) as scene:
        for _ in range(2):
            scene.talk().open()
        wait_until(lambda: scene.space.in_state(scene.port, "ESTABLISHED") == 2, "queue not full")
        victim = scene.talk()
        victim.send("S")
        scene.expect_open("syn_dropped", victim, reason="accept_queue_full")
        scene.expect_shown("syn_dropped", 1)
        scene.accept()
        victim.send("S", seq=victim.seq - 1)
        victim.expect("SA")
        scene.expect_closed("syn_dropped", victim)


@each_end
def syn_dropped_syn_queue_full(world, end, family):
    """Row 6: tcp_syncookies=0, backlog 3: the queue holds four requests."""
    with Scene(world, end, family, backlog=3) as scene:
        scene.space.sysctl(tcp_syncookies=0)
        answered = [scene.talk() for _ in range(4)]
        for talk in answered:
            talk.send("S")
            talk.expect("SA")
        victim = scene.talk()
        victim.send("S")
        scene.expect_open("syn_dropped", victim, reason="syn_queue_full")
        for talk in answered:
            talk.send("R")
        wait_until(lambda: not scene.space.in_state(scene.port, "SYN_RECEIVED"), "requests stay")
        victim.send("S", seq=victim.seq - 1)
        victim.expect("SA")
        scene.expect_closed("syn_dropped", victim)


@each_end
def syn_filtered(world, end, family):
    """Row 3: the SYN itself is filtered."""
    with Scene(world, end, family) as scene:
        scene.space.nft(f"tcp dport {scene.port} drop")
        talk = scene.talk()
        talk.send("S")
        scene.expect_open("segment_filtered", talk, reason="NETFILTER_DROP")
        scene.expect_shown("segment_filtered", 1)
        talk.send("S", seq=talk.seq - 1)  # retransmitted: still one divergence
        scene.daemon.settled()
        scene.expect_only("segment_filtered", talk)
        scene.space.nft()
        talk.send("S", seq=talk.seq - 1)
        talk.expect("SA")
        scene.expect_closed("segment_filtered", talk)


@each_end
def syn_filtered_of_a_real_client(world, end, family):
    """A kernel's client retransmits by itself; once the filter is gone it connects."""
    with Scene(world, end, family) as scene:
        scene.space.nft(f"tcp dport {scene.port} drop")
        sock = client_of(world.lab.other(scene.space), family, (scene.address, scene.port),
                         timeout=0)
        scene.sockets.append(sock)
        talk = Named(scene, sock)
        scene.expect_open("segment_filtered", talk, reason="NETFILTER_DROP")
        scene.space.nft()
        wait_kernel_state(sock, "ESTABLISHED")
        scene.accept()
        scene.expect_closed("segment_filtered", talk)
        close_rst(scene.sockets.pop())
        scene.expect_named("segment_filtered", talk)


class Named:
    """The tuple of a kernel's client, as RawConnection names its own."""

    def __init__(self, scene, sock):
        host = f"[{scene.address}]" if ":" in scene.address else scene.address
        self.kernel_at = f"{host}:{scene.port}"
        self.me_at = local_of(sock)


@each_end
def scan_filtered(world, end, family):
    """A filtered SYN to a port nobody listens on is a firewall at work, not a divergence. The
    one behind it, on a live port, shows that both were judged."""
    with Scene(world, end, family) as scene:
        scanned = next(PORTS)
        scene.space.nft(f"tcp dport {{ {scanned}, {scene.port} }} drop")
        scene.peer.connection(33333, scanned).send("S")
        talk = scene.talk()
        talk.send("S")
        scene.expect_open("segment_filtered", talk, reason="NETFILTER_DROP")


@each_end
def final_ack_filtered(world, end, family):
    """Row 3: the final ACK is filtered."""
    with Scene(world, end, family) as scene:
        scene.space.nft(f"tcp dport {scene.port} tcp flags & (syn | ack) == ack drop")
        talk = scene.talk()
        talk.open()
        scene.expect_open("segment_filtered", talk, reason="NETFILTER_DROP")
        scene.space.nft()
        talk.send("A")
        scene.accept()
        scene.expect_closed("segment_filtered", talk)


@each_end
def fin_filtered(world, end, family):
    """Row 13: the FIN is filtered."""
    with Scene(world, end, family) as scene:
        talk = scene.talk()
        talk.open()
        sock = scene.accept()
        scene.space.nft(f"tcp dport {scene.port} tcp flags & fin == fin drop")
        talk.send("FA")
        scene.expect_open("segment_filtered", talk, reason="NETFILTER_DROP")
        check_equal("the kernel's state", sock.getsockopt(
            socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0], 1)
        scene.space.nft()
        talk.send("FA", seq=talk.seq - 1)
        wait_kernel_state(sock, "CLOSE_WAIT")
        scene.expect_closed("segment_filtered", talk)


@each_end
def silent_close(world, end, family):
    """Row 21: TCP_USER_TIMEOUT: the peer is silent, the kernel gives up and tells nobody."""
    with Scene(world, end, family) as scene:
        talk = scene.talk()
        talk.open()
        sock = scene.accept()
        sock.setsockopt(socket.IPPROTO_TCP, TCP_USER_TIMEOUT, 500)
        sock.sendall(b"is anybody there?")
        wait_kernel_state(sock, "CLOSED")
        scene.expect_open("silent_close", talk)
        event = scene.daemon.wait_event("connection", local=talk.kernel_at, remote=talk.me_at)
        check_equal("divergences", event["divergences"], ["silent_close"])
        check_equal("ended", event["ended"], "timeout")
        scene.expect_only("silent_close", talk)


@each_end
def cookie_stateless(world, end, family):
    """Row 4: tcp_syncookies=2: the SYN-ACK is a cookie, nothing stands behind it until its ACK."""
    with Scene(world, end, family) as scene:
        scene.space.sysctl(tcp_syncookies=2)
        talk = scene.talk()
        talk.send("S")
        talk.expect("SA")
        scene.expect_open("cookie_stateless", talk)
        scene.expect_shown("cookie_stateless", 1)
        talk.send("A")
        scene.accept()
        scene.expect_closed("cookie_stateless", talk)
        talk.send("R")
        scene.expect_named("cookie_stateless", talk)


@each_end
def deferred_accept(world, end, family):
    """Row 2: TCP_DEFER_ACCEPT: the kernel ignores the bare final ACK and waits for data."""
    with Scene(world, end, family,
               options=[(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 30)]) as scene:
        talk = scene.talk()
        talk.open()
        scene.expect_open("deferred_accept", talk)
        talk.send("PA", b"data")
        scene.accept()
        scene.expect_closed("deferred_accept", talk)
        talk.send("R")
        scene.expect_named("deferred_accept", talk)


@each_end
def slow_owner_is_no_divergence(world, end, family):
    """Linger, unread data and a late close are the application's business: nothing is reported
    of a connection that waits in CLOSE_WAIT for longer than the settle time."""
    with Scene(world, end, family) as scene:
        idle = scene.talk()
        idle.open()
        sock = scene.accept()
        idle.send("FA", b"unread")
        wait_kernel_state(sock, "CLOSE_WAIT")
        scene.space.nft(f"tcp dport {scene.port} tcp flags & (syn | ack) == syn drop")
        marker = scene.talk()
        marker.send("S")
        scene.expect_open("segment_filtered", marker)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@case("nothing stays open")
def nothing_open(world):
    for space, daemon in world.daemons.items():
        wait_until(lambda: daemon.metrics()("divergences_open") == 0,
                   lambda: f"{space.name}: {daemon.api('divergences')}")
        check(daemon.metrics()("divergences_total", **{"class": "problem"}) > 0,
              "no divergence was ever counted")


if __name__ == "__main__":
    sys.exit(main(both_ends))
