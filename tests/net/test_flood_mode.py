#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Floods beyond the budget: counters stay exact, no record is lost, nothing false is said, other
listeners do not notice, and a moment after the flood every connection is followed again.

The budget is small, so that a flood made in Python is one; with XDP and tcx, IPv4 and IPv6.
"""

import contextlib
import itertools
import json
import os
import subprocess
import sys
import threading
import time

from witness import (
    BINARY, IPV4, IPV6, Daemon, Lab, accept, case, check, check_equal, client_of, listener, local_of,
    main, wait_until,
)
from witness.flood import Generator
from witness.lab import endpoint
from witness.load import connload
from witness.spray import Spray

BUDGET = 2000  # records a second
WINDOW_NS = 1 << 27
FLOOD = 20_000
LOUD, QUIET = 8080, 8081
TOTAL, CROWD = 8000, 4  # records a second of all, and who needs more together
FAMILIES = {"ipv4": IPV4, "ipv6": IPV6}


class Scene:
    """Two listeners at a, a daemon there, legitimate clients at b."""

    def __init__(self, lab, mode, family, *flags, budget=BUDGET, ports=(LOUD, QUIET)):
        self.lab, self.family = lab, family
        self.address = lab.ip(lab.a, family)
        self.listeners = {port: listener(lab.a, self.address, port, 512) for port in ports}
        self.daemon = Daemon(lab.a, f"--flood.budget={budget}", *flags, device="v0", mode=mode)
        self.spray = Spray(lab, family)

    def __enter__(self):
        return self

    def __exit__(self, *why):
        self.spray.close()
        for sock in self.listeners.values():
            sock.close()
        return self.daemon.__exit__(*why)

    def name(self, port):
        return endpoint(self.address, port)

    def connect(self, port):
        """(client, server), established."""
        client = client_of(self.lab.b, self.family, (self.address, port))
        while True:
            server = accept(self.listeners[port])
            if server.getpeername()[:2] == client.getsockname()[:2]:
                return client, server
            server.close()

    def life(self, port, pair=None):
        """A whole connection; returns the client's end."""
        client, server = pair or self.connect(port)
        at = local_of(client)
        client.sendall(b"request")
        check_equal("the request", server.recv(100), b"request")
        client.close()
        check_equal("end of stream", server.recv(1), b"")
        server.close()
        return at

    def expect_followed(self, port):
        """A connection now: seen whole, and nothing is wrong with it."""
        event = self.daemon.wait_event("connection", local=self.name(port),
                                       remote=self.life(port))
        check_equal("observable, why", (event["observable"], event["why"]), (True, None))
        # the loud one's SYN queue stays full for a while
        check_equal("divergences", set(event["divergences"]) - {"cookie_stateless"}, set())

    def shift(self, port):
        return self.daemon.metrics()("listener_sampling_shift", listener=self.name(port))

    def last_shifts(self):
        """By site, as the event log has it, which is a moment behind the metrics."""
        return {(row["port"], row["interface_index"]): row["to_shift"]
                for row in self.daemon.find("sampling")}

    def is_whole(self):
        metrics = self.daemon.metrics()
        return (metrics("sampling_sites") == 0 and
                metrics("sampling_share") == metrics("sampling_budget"))

    def expect_recovery(self):
        """Every shift back at 0 and a window gone by; then both listeners are followed again."""
        wait_until(self.is_whole, lambda: f"still sampled: {self.daemon.find('sampling')[-3:]}")
        wait_until(lambda: not any(self.last_shifts().values()),
                   lambda: f"the last events: {self.last_shifts()}")
        last = self.daemon.find("sampling")[-1]
        wait_until(lambda: time.monotonic_ns() > last["mono_ns"] + 2 * WINDOW_NS, "time stands")
        for port in (LOUD, QUIET):
            self.expect_followed(port)

    def expect_no_harm(self):
        """No loss, no problem, the books balance, and what the gauges say is true."""
        now = self.daemon.settled()
        for ring in self.daemon.rings(now):
            check_equal(f"{ring}: lost", now("records_lost_total", ring=ring), 0)
        check_equal("problems", self.daemon.problems()[:3], [])
        check_equal("divergences_total{class=problem}",
                    now("divergences_total", **{"class": "problem"}), 0)
        for state in ("SYN_RECEIVED", "ESTABLISHED"):
            wait_until(lambda: self.daemon.metrics()(
                "connections", view="kernel", state=state) == self.lab.a.states().get(state, 0),
                lambda: f"{state}: {self.daemon.metrics().by('connections', 'state')}, the kernel "
                f"has {self.lab.a.states()}", 30, 0.1)


def moved(before, after, name, **labels):
    return after(name, **labels) - before(name, **labels)


def left_out(metrics, **labels):
    """Records not made there; a port has no series before."""
    return sum(value for _, value in metrics.series("sampling_suppressed_records_total", **labels))


@contextlib.contextmanager
def flooded(scene, flags, ports):
    """A flood in another thread, while the block runs; it lasts at least until it is sampled."""
    sent, errors, stop = [0], [], threading.Event()

    def run():
        try:
            while sent[0] < FLOOD or not stop.is_set():
                scene.spray.send(flags, ports, 500)
                sent[0] += 500
        except OSError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        wait_until(lambda: scene.daemon.find("sampling"), "it is not sampled")
        yield sent
    finally:
        stop.set()
        thread.join()
        check_equal("errors", errors, [])


@contextlib.contextmanager
def generated(lab, ports, **options):
    """The C generator's flood while the block runs; its report comes after it."""
    generator, report = Generator(lab), {}
    process = generator.start((IPV4,), ports, count=10**9, seconds=1000, **options)
    try:
        yield report
    finally:
        process.terminate()
        report.update(generator.report(process))


def each(function):
    for mode in ("xdp", "tcx"):
        for name, family in FAMILIES.items():
            case(f"{function.__name__} {mode} {name}", mode, family)(function)
    return function


def expect_exact(scene, before, kind, sent, legit, again=0):
    """What was sent arrived, was counted by kind, and each became a record or was left out. AGAIN:
    how many of the legitimate ones a client sent once more, which may have come, too."""
    after = scene.daemon.settled()
    received = moved(before, after, "received_segments_total", kind=kind)
    check(0 <= received - sent - legit <= again,
          f"{kind} segments received: {received}, sent: {sent} and {legit}, {again} of these again")
    return after


@each
def syn(lab, mode, family):
    with Scene(lab, mode, family) as scene:
        for port in (LOUD, QUIET):
            scene.expect_followed(port)
        old = scene.connect(LOUD)
        before, snmp, clients = scene.daemon.settled(), lab.a.snmp(), lab.b.snmp()
        with flooded(scene, "S", [LOUD]) as sent:
            for _ in range(5):
                scene.expect_followed(QUIET)
                scene.life(LOUD)
            check_equal("the quiet one's shift", scene.shift(QUIET), 0)
            ready = scene.daemon.web("/-/ready")
            check(ready[0] == 200 and b"flood" in ready[2], f"ready says {ready}")
        after = scene.daemon.settled()
        now = lab.a.snmp()
        legit_again = moved(before, after, "received_segments_total", kind="syn") - sent[0] - 10
        check(0 <= legit_again <= lab.b.snmp()["TCPSynRetrans"] - clients["TCPSynRetrans"],
              f"SYNs: {legit_again} more than were sent")
        check_equal("SYNs of the loud one", moved(
            before, after, "listener_syns_total", listener=scene.name(LOUD)) +
            moved(before, after, "listener_syns_total", listener=scene.name(QUIET)),
            moved(before, after, "received_segments_total", kind="syn"))
        check_equal("SYN-ACKs", moved(before, after, "listener_synacks_total"),
                    moved(before, after, "sent_segments_total", kind="synack"))
        check_equal("cookies", moved(before, after, "listener_cookies_total", result="sent"),
                    now["SyncookiesSent"] - snmp["SyncookiesSent"])
        check_equal("handshakes", moved(before, after, "listener_handshakes_total"), 10)
        check_equal("PassiveOpens", now["PassiveOpens"] - snmp["PassiveOpens"], 10)
        check(left_out(after, port=str(LOUD)) > 0, "nothing was left out")
        check_equal("ports that were sampled",
                    {row["port"] for row in scene.daemon.find("sampling")}, {LOUD})
        scene.expect_recovery()
        scene.life(LOUD, old)
        scene.expect_no_harm()


@each
def closed_ports(lab, mode, family):
    with Scene(lab, mode, family) as scene:
        before, snmp = scene.daemon.settled(), lab.b.snmp()
        with flooded(scene, "S", range(20000, 30000)) as sent:
            for _ in range(3):
                scene.expect_followed(QUIET)
                scene.expect_followed(LOUD)
        # the flood's resets may leave the clients' SYN-ACKs no room
        after = expect_exact(scene, before, "syn", sent[0], 6,
                             lab.b.snmp()["TCPSynRetrans"] - snmp["TCPSynRetrans"])
        check_equal("resets", moved(before, after, "sent_segments_total", kind="rst"), sent[0])
        check_equal("sampled ports", {row["port"] for row in scene.daemon.find("sampling")}, {None})
        check(left_out(after, interface="v0") > 0, "nothing was left out")
        scene.expect_recovery()
        scene.expect_no_harm()


@each
def acks_to_a_listener(lab, mode, family):
    with Scene(lab, mode, family) as scene:
        before = scene.daemon.settled()
        with flooded(scene, "A", [LOUD]) as sent:
            for _ in range(3):
                scene.expect_followed(QUIET)
                scene.life(LOUD)
        after = scene.daemon.settled()
        acks = moved(before, after, "received_segments_total", kind="ack") - sent[0]
        check(0 < acks < 60, f"{acks} ACKs are nobody's")
        check_equal("the other's shift", scene.shift(QUIET), 0)
        scene.expect_recovery()
        scene.expect_no_harm()


@each
def resets(lab, mode, family):
    with Scene(lab, mode, family) as scene:
        before = scene.daemon.settled()
        with flooded(scene, "R", [LOUD, *range(20000, 20100)]) as sent:
            scene.expect_followed(QUIET)
            scene.life(LOUD)
        expect_exact(scene, before, "rst", sent[0], 0)
        check_equal("the other's shift", scene.shift(QUIET), 0)
        scene.expect_recovery()
        scene.expect_no_harm()


@case("handshakes that are completed xdp", "xdp")
@case("handshakes that are completed tcx", "tcx")
def completed(lab, mode):
    """A flood that completes its handshakes: kernel records are left out with their flow."""
    count = 6000
    with Scene(lab, mode, IPV4) as scene:
        before, snmp = scene.daemon.settled(), lab.a.snmp()
        connload(lab.b, lab.a, scene.address, "client", count, ports="8090-8090")
        wait_until(lambda: scene.daemon.metrics()("sampling_sites") == 0, "still sampled")
        after, now = scene.daemon.settled(), lab.a.snmp()
        check_equal("PassiveOpens", now["PassiveOpens"] - snmp["PassiveOpens"], count)
        check_equal("opened", moved(before, after, "connections_opened_total", role="server"),
                    count)
        check(left_out(after, record="state") > 0,
              "no change of state was left out")
        unfollowed = moved(before, after, "sampling_suppressed_handshakes_total")
        check(unfollowed > 0, "every birth was followed")
        check(moved(before, after, "unobservable_connections_total", reason="sampled") >=
              unfollowed, "some of them are not unobservable(sampled)")
        scene.expect_recovery()
        scene.expect_no_harm()


@case("many listeners at once, beyond the budget of all xdp", "xdp")
@case("many listeners at once, beyond the budget of all tcx", "tcx")
def many_listeners(lab, mode):
    """None of them has more than its own: all together have. The quiet one is followed whole."""
    crowd = range(8200, 8200 + CROWD)
    with Scene(lab, mode, IPV4, f"--flood.total={TOTAL}", budget=TOTAL,
               ports=(LOUD, QUIET, *crowd)) as scene:
        before = scene.daemon.settled()
        check_equal("the share", before("sampling_share"), TOTAL)
        with generated(lab, f"{crowd[0]}-{crowd[-1]}", kind="syn", rate=TOTAL) as report:
            wait_until(lambda: scene.daemon.metrics()("sampling_share") < TOTAL,
                       "the shares are whole", 60)
            begin, first = time.monotonic_ns(), scene.daemon.metrics()
            for _ in range(5):
                scene.expect_followed(QUIET)
                scene.expect_followed(LOUD)
            last, end = scene.daemon.metrics(), time.monotonic_ns()
        # windows are the clock's, whatever else runs: of each no more than the total, and some
        made = moved(first, last, "records_attempted_total", ring="segment")
        windows = (end - begin) / WINDOW_NS + 2
        check(made <= 2 * windows * TOTAL * WINDOW_NS / 1e9,
              f"{made} records in {windows:.0f} windows")
        after = scene.daemon.settled()
        syns = moved(before, after, "received_segments_total", kind="syn") - report["sent"]["syn"]
        check(10 <= syns <= 20, f"{syns} SYNs are nobody's")
        for port in (LOUD, QUIET):
            check_equal("the others' shift", scene.shift(port), 0)
        sampled = {row["port"] for row in scene.daemon.find("sampling")}
        check(sampled and sampled <= set(crowd), f"sampled ports: {sampled}")
        scene.expect_recovery()
        scene.expect_no_harm()


@case("replay of a flood")
def replay(lab):
    log = os.path.join("/tmp", f"tcpwitness-flood-{os.getpid()}.log")
    try:
        with Scene(lab, "xdp", IPV4, f"--record={log}") as scene:
            with flooded(scene, "S", [LOUD]):
                scene.life(QUIET)
            scene.expect_recovery()
            scene.daemon.stop()
            # what a listener is suspected of is not in a record log (daemon/export/events.h)
            live = [row for row in scene.daemon.read_events()
                    if not row["event"].startswith("syn_flood_")]
        told = [json.loads(line) for line in subprocess.run(
            [BINARY, "replay", "--events.connections", log], capture_output=True, text=True,
            check=True).stdout.splitlines()]
        for one, other in itertools.zip_longest(told, live):
            if one != other:
                check_equal("an event, replayed", one, other)
        check(any(row["event"] == "sampling" for row in told), "no change was replayed")
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(log)


@case("sockets that nobody followed are found")
def found_afterwards(lab):
    """No sweep comes by itself: the one after the flood counts what was left out of it."""
    with Scene(lab, "xdp", IPV4, "--sweep.interval=0") as scene:
        with flooded(scene, "S", [LOUD]):
            pairs = [scene.connect(LOUD) for _ in range(30)]
            check(scene.daemon.metrics()("connections", view="kernel", state="ESTABLISHED") < 30,
                  "all of them were followed")
        scene.expect_recovery()
        wait_until(lambda: scene.daemon.metrics()("connections", view="kernel",
                                                  state="ESTABLISHED") == 30,
                   lambda: f"{scene.daemon.metrics().by('connections', 'state', view='kernel')}")
        for pair in pairs:
            scene.life(LOUD, pair)
        wait_until(lambda: scene.daemon.metrics()("connections", view="kernel",
                                                  state="ESTABLISHED") == 0,
                   lambda: f"{scene.daemon.metrics().by('connections', 'state', view='kernel')}")
        check_equal("problems", scene.daemon.problems(), [])


@case("no budget")
def no_budget(lab):
    with Scene(lab, "xdp", IPV4, "--flood.budget=0") as scene:
        before = scene.daemon.settled()
        scene.spray.send("S", range(20000, 30000), FLOOD)
        wait_until(lambda: moved(before, scene.daemon.metrics(), "received_segments_total",
                                 kind="syn") == FLOOD, "not all arrive")
        check_equal("changes", scene.daemon.find("sampling"), [])
        check_equal("left out", left_out(scene.daemon.metrics()), 0)


@contextlib.contextmanager
def flood_lab():
    with Lab("flood") as lab:
        lab.a.sysctl(tcp_syncookies=1, core__somaxconn=4096, tcp_max_syn_backlog=512,
                     tcp_synack_retries=1)
        yield lab


if __name__ == "__main__":
    sys.exit(main(flood_lab))
