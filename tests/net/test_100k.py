#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""100,000 connections, by XDP and by tcx, with 50 real faults among them: every connection is
tracked to its end, nothing is lost, nothing false is reported, every fault is found.

Half of the connections are closed by the client (LAST_ACK at the watched server), half by the
server (TIME_WAIT there): so the watched end waits a minute once, at the end of each run.
"""

import contextlib
import itertools
import socket
import sys
import threading

from witness import (
    IPV4, IPV6, Daemon, Lab, RawPeer, accept, case, check, check_equal, listener, main,
    wait_until,
)
from witness.load import connload
from witness.raw import overflow

HALF = 50_000
REFUSED, FILTERED, SILENT = 20, 15, 15
TCP_USER_TIMEOUT = 18
HOSTS = itertools.count(20)


class Faults:
    """50 connections in trouble, made while the load runs. `want` is what must be reported."""

    def __init__(self, lab, family):
        self.lab, self.family = lab, family
        self.address = lab.ip(lab.a, family)
        self.peer = RawPeer(lab, lab.a, family, host=next(HOSTS))
        self.full = listener(lab.a, self.address, 9001, backlog=REFUSED)
        self.hidden = listener(lab.a, self.address, 9002)
        self.open = listener(lab.a, self.address, 9003)
        self.want = []
        self.refused = []
        self.sockets = [self.full, self.hidden, self.open]
        lab.a.nft("tcp dport 9002 drop")

    def make(self):
        self.refused_final_acks()
        self.filtered_syns()
        self.silent_closes()

    def talk(self, number, port):
        return self.peer.connection(30000 + number, port)

    def note(self, kind, talk):
        self.want.append((kind, talk.kernel_at, talk.me_at))

    def refused_final_acks(self):
        numbers = itertools.count()
        self.refused = overflow(self.lab.a, 9001, REFUSED,
                                lambda: self.talk(next(numbers), 9001))
        for talk in self.refused:
            self.note("accept_queue_overflow", talk)

    def filtered_syns(self):
        for number in range(FILTERED):
            talk = self.talk(100 + number, 9002)
            talk.send("S")
            self.note("segment_filtered", talk)

    def silent_closes(self):
        for number in range(SILENT):
            talk = self.talk(200 + number, 9003)
            talk.open()
            sock = accept(self.open)
            sock.setsockopt(socket.IPPROTO_TCP, TCP_USER_TIMEOUT, 500)
            sock.sendall(b"hello?")
            self.sockets.append(sock)
            self.note("silent_close", talk)

    def close(self):
        for talk in self.refused:
            talk.send("R")
        for sock in self.sockets:
            sock.close()
        self.peer.close()
        self.lab.a.nft()


def hundred_thousand(lab, mode, family):
    address = lab.ip(lab.a, family)
    wait_until(lambda: not lab.a.states(), "the TIME_WAITs of the last run stay", 90, 1)
    with Daemon(lab.a, "--flows.max=262144", device="v0", mode=mode,
                connections=False) as daemon:
        before = daemon.settled()
        base = lab.a.snmp()
        faults = Faults(lab, family)
        trouble = threading.Thread(target=faults.make)
        trouble.start()
        try:
            for mode_of_close in ("client", "server"):
                report = connload(lab.b, lab.a, address, mode_of_close, HALF)
                check_equal("connections finished", report["finished"], HALF)
            trouble.join()
            check_equal("faults made", len(faults.want), REFUSED + FILTERED + SILENT)
            found = wait_until(
                lambda: (lambda rows: len(rows) >= len(faults.want) and rows)(daemon.problems()),
                lambda: f"{len(daemon.problems())} of {len(faults.want)} faults found", 30)
            check_equal("faults found on the right tuples",
                        sorted((row["kind"], row["local"], row["remote"]) for row in found),
                        sorted(faults.want))
        finally:
            trouble.join()
            faults.close()
        expect_whole(lab, daemon, before, base, len(faults.want))


def expect_whole(lab, daemon, before, base, nr_faults):
    after = daemon.settled(30)

    def moved(name, **labels):
        return after(name, **labels) - before(name, **labels)

    check_equal("records lost", moved("records_lost_total"), 0)
    check_equal("records rejected", moved("records_rejected_total"), 0)
    opens = lab.a.snmp()["PassiveOpens"] - base["PassiveOpens"]
    check(opens >= 2 * HALF, f"PassiveOpens moved by {opens} only")
    check_equal("opened and duplicates = PassiveOpens",
                moved("connections_opened_total", role="server") +
                moved("duplicate_children_total"), opens)
    wait_until(lambda: daemon.metrics()("flow_table_entries") == 0,
               lambda: f"{daemon.metrics()('flow_table_entries'):.0f} entries stay, e.g. "
               f"{list(daemon.connections().values())[:2]}", 90, 0.5)
    after = daemon.settled(30)
    closed = after.by("connections_closed_total", "how", role="server")
    compared = moved("connections_compared_total")
    unobservable = moved("unobservable_connections_total")
    print(f"# closed {closed}, compared in two states {compared:.0f}, unobservable "
          f"{unobservable:.0f} {after.by('unobservable_connections_total', 'reason')}, "
          f"late {after.by('records_late_total', 'ring')}")
    check_equal("remote_close", closed.get("remote_close"), HALF)
    check_equal("local_close", closed.get("local_close"), HALF)
    check(compared >= 0.999 * 2 * HALF, f"only {compared:.0f} were compared in two states")
    check(unobservable <= 0.001 * 2 * HALF, f"{unobservable:.0f} were unobservable")
    check_equal("evictions", moved("flow_table_evictions_total"), 0)
    check_equal("divergences of class problem",
                moved("divergences_total", **{"class": "problem"}), nr_faults)
    check_equal("divergences open", after("divergences_open"), 0)


case("100,000 connections ipv4 xdp", "xdp", IPV4)(hundred_thousand)
case("100,000 connections ipv6 tcx", "tcx", IPV6)(hundred_thousand)
case("100,000 connections ipv4 tcx", "tcx", IPV4)(hundred_thousand)


@contextlib.contextmanager
def roomy_lab():
    with Lab("many") as lab:
        for space in (lab.a, lab.b):
            space.sysctl(ip_local_port_range="1024 65535", tcp_max_tw_buckets=400_000)
        yield lab


if __name__ == "__main__":
    sys.exit(main(roomy_lab))
