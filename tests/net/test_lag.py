#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# alone: it wants its lag to be its own doing
"""Lag on purpose: the daemon is stopped, its rings overflow, owners hold their sockets, links go
down, devices vanish, the daemon comes late. Healthy connections are never called divergent, and
faults are found again afterwards. By XDP and by tcx.
"""

import concurrent.futures
import contextlib
import signal
import socket
import sys
import time

from witness import (
    IPV4, IPV6, Daemon, Lab, Pair, accept, case, check, check_equal, client_of, close_rst,
    listener, main, wait_kernel_state, wait_until,
)
from witness.ends import PORTS, World
from witness.load import connload
from witness.raw import RawPeer
from witness.scene import Scene
from witness.stuck import HeldSocket

STOPPED_S = 1.5  # several settle times
CLOSES = ("client", "server", "half", "client-rst")


def each_mode(function):
    for mode in ("xdp", "tcx"):
        case(f"{function.__name__} {mode}", mode)(function)
    return function


@contextlib.contextmanager
def watched(mode, *flags, device="v0"):
    """(lab, daemon, world) with a daemon at a."""
    with Lab("lag") as lab:
        lab.b.sysctl(ip_local_port_range="1024 65535")
        with Daemon(lab.a, *flags, device=device, mode=mode) as daemon:
            yield lab, daemon, World(lab, daemon, None)


@contextlib.contextmanager
def stopped(daemon):
    daemon.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        daemon.process.send_signal(signal.SIGCONT)


def ordinary_load(lab, count):
    """COUNT connections for each way to close, either family in turn."""
    for number, mode in enumerate(CLOSES):
        report = connload(lab.b, lab.a, lab.ip(lab.a, (IPV4, IPV6)[number % 2]), mode, count,
                          quiet=True)
        check_equal(f"{mode}: finished", report["finished"], count)


def expect_nothing(daemon):
    """But what a busy machine makes come true: a FIN that is sent again because its ACK waits for a
    CPU meets TIME_WAIT, and the answer to that a closed port, whose RST ends TIME_WAIT."""
    rows = [(row["kind"], row["local"], row["remote"], row.get("reason"))
            for row in daemon.find("divergence_open") if row["kind"] != "time_wait_assassinated"]
    check_equal("divergences", rows, [])
    now = daemon.metrics()
    check_equal("divergences_total", now("divergences_total"),
                now("divergences_total", kind="time_wait_assassinated"))


def expect_faults_are_found(world):
    """Of either family, on the right tuple, and nothing else is reported of them."""
    for family in (IPV4, IPV6):
        with Scene(world, "a", family) as scene:
            scene.settle()


def end_all(pairs):
    """Both ends in turn close first, and all of them are gone."""
    for number, pair in enumerate(pairs):
        one, two = (pair.client, pair.server)[::1 - 2 * (number % 2)]
        one.close()
        check_equal("end of stream", two.recv(1), b"")
        two.close()


@each_mode
def daemon_stopped(mode):
    """Everything that happened meanwhile is judged, as if it had been judged in time."""
    with watched(mode) as (lab, daemon, world):
        pairs = [Pair(lab, lab.a, IPV4, next(PORTS)) for _ in range(10)]
        before = daemon.settled()
        with stopped(daemon):
            ordinary_load(lab, 50)
            end_all(pairs)
            time.sleep(STOPPED_S)
        after = daemon.settled()
        check_equal("lost", after("records_lost_total"), 0)
        wait_until(lambda: daemon.metrics()("connections_opened_total", role="server") -
                   before("connections_opened_total", role="server") == 50 * len(CLOSES),
                   "not all were counted")
        expect_nothing(daemon)
        check_equal("unobservable", daemon.metrics()("unobservable_connections_total"), 0)
        expect_faults_are_found(world)


@each_mode
def daemon_stopped_between_two_steps(mode):
    """Connections that stand in every state when it stops, and move on before it goes on."""
    with watched(mode) as (lab, daemon, world):
        pairs = [Pair(lab, lab.a, family, next(PORTS)) for family in (IPV4, IPV6)
                 for _ in range(4)]
        halves = pairs[::2]
        for pair in halves:
            pair.client.shutdown(socket.SHUT_WR)
            wait_kernel_state(pair.server, "CLOSE_WAIT")
        daemon.settled()
        with stopped(daemon):
            for pair in halves:
                pair.server.close()
                check_equal("end of stream", pair.client.recv(1), b"")
                pair.client.close()
            for pair in pairs[1::2]:
                close_rst(pair.client)
                wait_kernel_state(pair.server, "CLOSED")
                pair.server.close()
            time.sleep(STOPPED_S)
        for pair in pairs:
            event = daemon.wait_event("connection", local=pair.server_at, remote=pair.client_at)
            check_equal("observable", (event["observable"], event["why"]), (True, None))
        expect_nothing(daemon)


@each_mode
def fault_while_stopped(mode):
    """It is found when the daemon goes on, on the right tuple."""
    with watched(mode) as (_, daemon, world), Scene(world, "a", IPV4) as scene:
        scene.filter(f"tcp dport {scene.port} drop")
        talk = scene.talk()
        with stopped(daemon):
            talk.send("S")
            time.sleep(STOPPED_S)
        scene.expect("segment_filtered", talk, reason="NETFILTER_DROP")


@each_mode
def rings_overflow(mode):
    """Tiny rings and a stopped consumer: what was lost is counted, makes nothing divergent, and a
    fault that was there before and one that comes after are told apart from it."""
    with watched(mode, "--ring.bytes=4096") as (lab, daemon, world), \
            Scene(world, "a", IPV4) as scene:
        remove = scene.filter(f"tcp dport {scene.port} drop")
        talk = scene.talk()
        talk.send("S")
        scene.expect("segment_filtered", talk, reason="NETFILTER_DROP")
        pairs = [Pair(lab, lab.a, IPV4, next(PORTS)) for _ in range(10)]
        for _ in range(3):
            with stopped(daemon):
                ordinary_load(lab, 100)
        check(daemon.settled()("records_lost_total") > 0, "nothing was lost")
        remove()
        talk.send("S", seq=talk.seq - 1)
        talk.expect("SA")
        scene.expect_closed("segment_filtered", talk)
        end_all(pairs)
        expect_faults_are_found(world)
        rows = {(row["kind"], row["remote"]) for row in daemon.problems()}
        check(("segment_filtered", talk.me_at) in rows, "the first fault was forgotten")
        check_equal("kinds", {kind for kind, _ in rows}, {"segment_filtered"})
        check_equal("problems", daemon.metrics()("divergences_total", **{"class": "problem"}), 3)


@each_mode
def owner_holds_the_lock(mode):
    """Row 12: FIN and RST arrive at sockets whose owner is in mid-copy: both wait, and then are
    taken."""
    with watched(mode) as (lab, daemon, world):
        pairs = [Pair(lab, lab.a, IPV4, next(PORTS)) for _ in range(2)]
        for pair in pairs:
            pair.client.sendall(b"to be copied")
            wait_until(lambda pair=pair: pair.server.recv(16, socket.MSG_PEEK), "no data")
        with HeldSocket(pairs[0].server), HeldSocket(pairs[1].server):
            pairs[0].client.shutdown(socket.SHUT_WR)
            close_rst(pairs[1].client)
            time.sleep(STOPPED_S)
        wait_kernel_state(pairs[0].server, "CLOSE_WAIT")
        wait_kernel_state(pairs[1].server, "CLOSED")
        for pair in pairs:
            pair.server.close()
            event = daemon.wait_event("connection", local=pair.server_at, remote=pair.client_at)
            check_equal("observable", (event["observable"], event["why"]), (True, None))
        expect_nothing(daemon)
        expect_faults_are_found(world)


@each_mode
def link_down_and_up(mode):
    with watched(mode) as (lab, daemon, world):
        lab.a.sysctl(ipv6__conf__v0__keep_addr_on_down=1)
        pairs = [Pair(lab, lab.a, family, next(PORTS)) for family in (IPV4, IPV6)
                 for _ in range(4)]
        for _ in range(2):
            lab.a.run("ip", "link", "set", "v0", "down")
            for pair in pairs[:2]:
                pair.client.send(b"into the void, and again")
            time.sleep(STOPPED_S / 2)
            lab.a.run("ip", "link", "set", "v0", "up")
            lab.wait_up()
        for pair in pairs[:2]:
            wait_until(lambda pair=pair: len(pair.server.recv(64, socket.MSG_PEEK)) == 48,
                       "the data does not arrive")
            pair.server.recv(64)
        end_all(pairs)
        daemon.settled()
        expect_faults_are_found(world)
        expect_only_markers(daemon)


def expect_only_markers(daemon):
    """The two faults of expect_faults_are_found(), and nothing else."""
    rows = daemon.find("divergence_open")
    check([row["kind"] for row in rows] == ["segment_filtered"] * 2, f"divergences: {rows}")


@each_mode
def lossy_network(mode):
    """One segment in sixteen is lost beyond the tap, either way: handshakes, FINs and RSTs come
    late, again, or never."""
    with watched(mode) as (lab, daemon, world):
        rule = "policy accept; meta l4proto tcp numgen random mod 16 == 0 drop"
        lab.b.run("nft", "-f", "-", input="table inet lossy {\n" + "".join(
            f"chain {hook} {{\ntype filter hook {hook} priority 0; {rule}\n}}\n"
            for hook in ("input", "output")) + "}\n")
        before = lab.a.snmp()
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(lambda row: lossy_load(lab, *row), enumerate(CLOSES[:3])))
        lab.b.run("nft", "delete", "table", "inet", "lossy")
        check(lab.a.snmp()["RetransSegs"] - before["RetransSegs"] > 10, "nothing was lost")
        daemon.settled()
        check_equal("problems", [(row["kind"], row["local"], row["remote"])
                                 for row in daemon.problems()], [])
        expect_faults_are_found(world)


def lossy_load(lab, number, mode):
    connload(lab.b, lab.a, lab.ip(lab.a, (IPV4, IPV6)[number % 2]), mode, 100, concurrency=100,
             ports=f"{8100 + 10 * number}-{8103 + 10 * number}", quiet=True, request=1000,
             reply=1000)


@each_mode
def device_replaced(mode):
    """The device is deleted and made again: sockets and their connections survive that."""
    with watched(mode, device=None) as (lab, daemon, world):
        pairs = [Pair(lab, lab.a, family, next(PORTS)) for family in (IPV4, IPV6)
                 for _ in range(3)]
        lab.a.run("ip", "link", "del", "v0")
        wait_until(lambda: not attached_to(daemon, "v0"), "v0 stays in the metrics")
        lab.join(lab.a, "v0", lab.b, "v1")
        lab.address(lab.a, "v0", 1)
        lab.address(lab.b, "v1", 2)
        lab.wait_up()
        wait_until(lambda: attached_to(daemon, "v0"), "the new v0 is not watched")
        end_all(pairs)
        daemon.settled()
        expect_faults_are_found(world)
        expect_only_markers(daemon)


def attached_to(daemon, device):
    return [have for have, value in daemon.metrics().series("interface_info", interface=device)
            if value]


@each_mode
def daemon_comes_late(mode):
    """Row 32: connections in every state when it starts: adopted, and never divergent."""
    with Lab("late") as lab:
        peer = RawPeer(lab, lab.a, IPV4)
        lab.on_exit(peer.close)
        port = next(PORTS)
        listening = listener(lab.a, lab.ip(lab.a, IPV4), port)
        talks = [peer.connection(30000 + number, port) for number in range(6)]
        socks = []
        for talk in talks:
            talk.open()
            socks.append(accept(listening))
        established, close_wait, fin_wait_1, fin_wait_2, orphan, last_ack = talks
        for talk, sock in ((close_wait, socks[1]), (last_ack, socks[5])):
            talk.send("FA")
            wait_kernel_state(sock, "CLOSE_WAIT")
            talk.expect("A")
        for sock in socks[2:4]:
            sock.shutdown(socket.SHUT_WR)
        socks[4].close()
        socks[5].close()
        for talk in (fin_wait_1, fin_wait_2, orphan, last_ack):
            talk.expect("FA")
        for talk in (fin_wait_2, orphan):
            talk.send("A")
        half_open = peer.connection(30010, port)
        half_open.send("S")
        half_open.expect("SA")
        connecting = client_of(lab.a, IPV4, (peer.address, 30020), (lab.ip(lab.a, IPV4), 30021),
                               timeout=0)
        server = peer.connection(30020, 30021)
        server.expect("S")
        with Daemon(lab.a, device="v0", mode=mode) as daemon:
            world = World(lab, daemon, None)
            expect_faults_are_found(world)
            # each goes on from where it was
            half_open.send("A")
            socks.append(accept(listening))
            server.send("SA")
            server.expect("A")
            for talk in (fin_wait_2, orphan):
                talk.send("FA")
            fin_wait_1.send("FA", ack=fin_wait_1.ack - 1)
            for talk in (fin_wait_1, fin_wait_2, orphan):
                talk.expect("A")
            for talk in (fin_wait_1, last_ack):
                talk.send("A")
            close_rst(socks[0])
            socks[1].close()
            close_wait.expect("FA")
            close_wait.send("A")
            half_open.send("R")
            close_rst(connecting)
            server.expect("RA")
            for talk in (established, close_wait, last_ack):
                event = daemon.wait_event("connection", local=talk.kernel_at, remote=talk.me_at)
                # one whose first and last segment is a RST was never on the wire for us
                check(not event["observable"] and event["why"] in ("adopted", "untapped"),
                      f"{talk.me_at}: {event['observable']} {event['why']}")
            daemon.settled()
            expect_only_markers(daemon)
        for sock in socks[2:4]:
            sock.close()
        listening.close()


if __name__ == "__main__":
    sys.exit(main(threads=4))
