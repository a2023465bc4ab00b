#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 600
"""Sweeps of the socket tables: the kernel view is `ss -tan`, state by state, whatever begins or
ends without a word. Each case makes sockets, asks both, and then makes them go away silently."""

import contextlib
import itertools
import json
import socket
import subprocess
import sys
import tempfile

from witness import (
    BINARY, IPV4, IPV6, Daemon, Lab, RawPeer, accept, case, check, check_equal, client_of,
    listener, main, wait_kernel_state, wait_until,
)
from witness.load import connload
from witness.runner import PATIENCE_S

CORRECTIONS = ("missing", "extra", "state", "expired")
SHARE = 100  # a sweep's interval over its cost: daemon/capture/sweep.h
LONGEST_SECONDS = 300
HOSTS = itertools.count(20)
PORTS = itertools.count(9100)


def kernel_view(metrics):
    states = metrics.by("connections", "state", view="kernel")
    states.pop("LISTEN", None)
    return {state: int(count) for state, count in states.items()}


def same_as_ss(lab, daemon, seconds=PATIENCE_S):
    """Waits until the kernel view is what ss says, before and after."""
    seen = {}

    def same():
        before = lab.a.states()
        seen["view"] = kernel_view(daemon.metrics())
        seen["ss"] = lab.a.states()
        return before == seen["ss"] == seen["view"] and (seen["ss"], )
    return wait_until(same, lambda: f"kernel view {seen['view']}, ss {seen['ss']}", seconds,
                      0.1)[0]


def corrections(metrics):
    return {name: int(metrics("sweep_corrections_total", correction=name))
            for name in CORRECTIONS}


def swept_again(daemon, times=2):
    """Until so many more sweeps have come to their end."""
    first = daemon.metrics()("sweeps_total")
    return wait_until(lambda: (lambda now: now("sweeps_total") >= first + times and now)(
        daemon.metrics()), "no sweep comes to its end", 30)


class Sockets:
    """Sockets at `a` in every state there is, held there by a raw peer that says no more."""

    def __init__(self, lab, family):
        self.lab, self.family = lab, family
        self.address = lab.ip(lab.a, family)
        self.peer = RawPeer(lab, lab.a, family, host=next(HOSTS))
        self.ports = itertools.count(31000)
        self.port = next(PORTS)
        self.listening = listener(lab.a, self.address, self.port)
        self.kept = []

    def talk(self):
        talk = self.peer.connection(next(self.ports), self.port)
        talk.send("S")
        talk.expect("SA")
        return talk

    def opened(self):
        talk = self.talk()
        talk.send("A")
        return talk, accept(self.listening)

    def established(self):
        self.kept.append(self.opened()[1])

    def close_wait(self):
        talk, sock = self.opened()
        talk.send("FA")
        wait_kernel_state(sock, "CLOSE_WAIT")
        self.kept.append(sock)

    def last_ack(self):
        talk, sock = self.opened()
        talk.send("FA")
        wait_kernel_state(sock, "CLOSE_WAIT")
        sock.close()
        talk.expect("FA")

    def fin_wait_1(self):
        talk, sock = self.opened()
        sock.close()
        talk.expect("FA")

    def fin_wait_2(self, orphan=True):
        talk, sock = self.opened()
        if orphan:
            sock.close()
        else:
            sock.shutdown(socket.SHUT_WR)
            self.kept.append(sock)
        talk.expect("FA")
        talk.send("A")

    def closing(self):
        talk, sock = self.opened()
        sock.shutdown(socket.SHUT_WR)
        talk.expect("FA")
        talk.send("FA", ack=talk.ack - 1)
        wait_kernel_state(sock, "CLOSING")
        self.kept.append(sock)

    def time_wait(self):
        talk, sock = self.opened()
        sock.close()
        talk.expect("FA")
        talk.send("FA")
        talk.expect("A")

    def syn_sent(self):
        self.kept.append(client_of(self.lab.a, self.family, (self.peer.address, 7), timeout=0))

    def one_of_each(self):
        for _ in range(2):
            self.established()
            self.close_wait()
            self.last_ack()
            self.fin_wait_1()
            self.fin_wait_2()
            self.fin_wait_2(orphan=False)
            self.closing()
            self.time_wait()
            self.syn_sent()
            self.talk()

    def close(self):
        for sock in self.kept:
            sock.close()
        self.kept = []
        self.listening.close()
        self.peer.close()


EACH = {"ESTABLISHED": 2, "CLOSE_WAIT": 2, "LAST_ACK": 2, "FIN_WAIT_1": 2, "FIN_WAIT_2": 4,
        "CLOSING": 2, "TIME_WAIT": 2, "SYN_SENT": 2, "SYN_RECEIVED": 2}


def kill_all(lab):
    """Nothing of the last case is left in the watched namespace."""
    def empty():
        lab.a.run("ss", "-K", "-tan", check=False)
        return not lab.a.states()
    wait_until(empty, lambda: f"sockets stay: {lab.a.states()}")


@case("sockets from before the daemon ipv4", IPV4)
@case("sockets from before the daemon ipv6", IPV6)
def before_the_daemon(lab, family):
    sockets = Sockets(lab, family)
    try:
        sockets.one_of_each()
        with Daemon(lab.a, device="v0") as daemon:
            check_equal("one of each", same_as_ss(lab, daemon), EACH)
            check_equal("put right", corrections(swept_again(daemon)),
                        dict.fromkeys(CORRECTIONS, 0))
            kill_all(lab)
            check_equal("after ss -K", same_as_ss(lab, daemon), {})
            check_equal("problems", daemon.problems(), [])
    finally:
        sockets.close()
        kill_all(lab)


@case("sockets that the daemon saw open")
def all_states(lab):
    sockets = Sockets(lab, IPV4)
    try:
        with Daemon(lab.a, device="v0") as daemon:
            sockets.one_of_each()
            check_equal("one of each", same_as_ss(lab, daemon), EACH)
            now = corrections(swept_again(daemon))
            check_equal("put right", now, dict.fromkeys(CORRECTIONS, 0))
            kill_all(lab)
            check_equal("after ss -K", same_as_ss(lab, daemon), {})
    finally:
        sockets.close()
        kill_all(lab)


@case("TIME_WAIT killed by ss -K")
def time_wait_killed(lab):
    sockets = Sockets(lab, IPV4)
    try:
        with Daemon(lab.a, device="v0") as daemon:
            for _ in range(20):
                sockets.time_wait()
            check_equal("before", same_as_ss(lab, daemon), {"TIME_WAIT": 20})
            swept_again(daemon)  # some new ones are asked for anyway, once
            lab.a.run("ss", "-K", "-tn", "state", "time-wait", "dport", "<", ":31012")
            check_equal("after", same_as_ss(lab, daemon), {"TIME_WAIT": 8})
            now = corrections(daemon.metrics())
            check_equal("put right", now, {"missing": 12, "extra": 0, "state": 0, "expired": 0})
    finally:
        sockets.close()
        kill_all(lab)


@case("requests that expire")
def requests_expire(lab):
    lab.a.sysctl(tcp_synack_retries=1)
    sockets = Sockets(lab, IPV4)
    try:
        with Daemon(lab.a, device="v0") as daemon:
            for _ in range(30):
                sockets.talk()
            wait_until(lambda: kernel_view(daemon.metrics()).get("SYN_RECEIVED") == 30,
                       lambda: f"not 30 requests: {kernel_view(daemon.metrics())}")
            wait_until(lambda: not lab.a.states(), "requests do not expire", pause=0.1)
            check_equal("after", same_as_ss(lab, daemon), {})
            now = corrections(daemon.metrics())
            check_equal("put right, but for those that expired",
                        {name: now[name] for name in CORRECTIONS[:3]},
                        dict.fromkeys(CORRECTIONS[:3], 0))
            check_equal("problems", daemon.problems(), [])
    finally:
        sockets.close()
        lab.a.sysctl(tcp_synack_retries=5)


@case("requests under a listener that closes")
def listener_closes(lab):
    sockets = Sockets(lab, IPV4)
    try:
        with Daemon(lab.a, device="v0") as daemon:
            for _ in range(10):
                sockets.talk()
            check_equal("before", same_as_ss(lab, daemon), {"SYN_RECEIVED": 10})
            sockets.listening.close()
            wait_until(lambda: not lab.a.states(), "requests outlive their listener", pause=0.1)
            check_equal("after", same_as_ss(lab, daemon), {})
            check_equal("problems", daemon.problems(), [])
    finally:
        sockets.close()


@case("orphans in FIN_WAIT_2")
def orphans(lab):
    lab.a.sysctl(tcp_fin_timeout=3)
    sockets = Sockets(lab, IPV4)
    try:
        with Daemon(lab.a, device="v0") as daemon:
            for _ in range(20):
                sockets.fin_wait_2()
            check_equal("before", same_as_ss(lab, daemon), {"FIN_WAIT_2": 20})
            wait_until(lambda: not lab.a.states(), "orphans do not time out", pause=0.1)
            check_equal("after", same_as_ss(lab, daemon), {})
            check_equal("problems", daemon.problems(), [])
    finally:
        sockets.close()
        lab.a.sysctl(tcp_fin_timeout=60)


@case("sockets bound to an interface")
def bound(lab):
    """A look finds those only where their segments arrive: none must be called gone."""
    sockets = Sockets(lab, IPV4)
    sockets.listening.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"v0")
    try:
        with Daemon(lab.a, device="v0") as daemon:
            for _ in range(5):
                sockets.talk()
            sockets.established()
            sockets.time_wait()
            want = {"SYN_RECEIVED": 5, "ESTABLISHED": 1, "TIME_WAIT": 1}
            check_equal("at first", same_as_ss(lab, daemon), want)
            now = wait_until(lambda: (lambda now: now("looks_total") >= 10 and now)(
                daemon.metrics()), "nobody looks at the requests")
            check_equal("after looks", kernel_view(now), want)
            check_equal("put right", corrections(now), dict.fromkeys(CORRECTIONS, 0))
            check_equal("left SYN_RECEIVED",
                        now.by("transitions_total", "to", view="kernel", **{"from": "SYN_RECEIVED"}),
                        {"ESTABLISHED": 2})
    finally:
        sockets.close()
        kill_all(lab)


@case("more TIME_WAIT than there is room for")
def bucket_overflow(lab):
    roomy = lab.a.get_sysctl("tcp_max_tw_buckets")
    lab.a.sysctl(tcp_max_tw_buckets=10)
    sockets = Sockets(lab, IPV4)
    try:
        with Daemon(lab.a, device="v0") as daemon:
            for _ in range(30):
                sockets.time_wait()
            check(lab.a.snmp()["TCPTimeWaitOverflow"] > 0, "no overflow")
            after = same_as_ss(lab, daemon)
            check(0 < after["TIME_WAIT"] < 30 and set(after) == {"TIME_WAIT"}, f"ss: {after}")
    finally:
        sockets.close()
        kill_all(lab)
        lab.a.sysctl(tcp_max_tw_buckets=roomy)


@case("a table of 20,000 sockets")
def big_table(lab):
    with Daemon(lab.a, "--flows.max=262144", device="v0", connections=False) as daemon:
        report = connload(lab.b, lab.a, lab.ip(lab.a, IPV4), "server", 20_000)
        check_equal("finished", report["finished"], 20_000)
        now = wait_until(lambda: (lambda now: now(
            "sweep_sockets") == len(lab.a.sockets()) and now)(swept_again(daemon, 1)),
            lambda: f"sweeps do not find the {len(lab.a.sockets())} sockets that ss does", 60)
        sockets, cost, interval = (now(f"sweep_{name}") for name in (
            "sockets", "cost_seconds", "interval_seconds"))
        print(f"# {sockets:.0f} sockets: {cost * 1e3:.2f} ms, {cost / sockets * 1e6:.2f} us each, "
              f"again after {interval:.2f} s")
        check(sockets >= 15_000, f"only {sockets:.0f} sockets stayed")
        check(cost > 0, "a sweep that cost nothing")
        check(abs(interval - min(max(1, SHARE * cost), LONGEST_SECONDS)) < 1e-6,
              f"cost {cost}, interval {interval}")
        same_as_ss(lab, daemon, 60)
        now = corrections(daemon.metrics())
        check_equal("put right, but for those that expired",
                    {name: now[name] for name in CORRECTIONS[:3]},
                    dict.fromkeys(CORRECTIONS[:3], 0))
        check_equal("problems", daemon.problems(), [])


@case("a replay comes to the same end")
def replayed(lab):
    kill_all(lab)
    sockets = Sockets(lab, IPV4)
    try:
        with tempfile.TemporaryDirectory() as folder, \
                Daemon(lab.a, f"--record={folder}/records", device="v0") as daemon:
            sockets.one_of_each()
            sockets.time_wait()
            same_as_ss(lab, daemon)
            swept_again(daemon)
            lab.a.run("ss", "-K", "-tn", "state", "time-wait")
            same_as_ss(lab, daemon)
            check_equal("missing", corrections(daemon.metrics())["missing"], 3)
            daemon.stop()
            live = daemon.read_events()
            done = subprocess.run([BINARY, "replay", "--events.connections",
                                   f"{folder}/records"],
                                  stdout=subprocess.PIPE, text=True, check=True)
        check_equal("events of the replay", [json.loads(row) for row in done.stdout.splitlines()],
                    live)
    finally:
        sockets.close()
        kill_all(lab)


@contextlib.contextmanager
def roomy_lab():
    with Lab("sweep") as lab:
        for space in (lab.a, lab.b):
            space.sysctl(ip_local_port_range="1024 65535", tcp_max_tw_buckets=400_000)
        yield lab


if __name__ == "__main__":
    sys.exit(main(roomy_lab))
