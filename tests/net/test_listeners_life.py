#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 240
"""Listeners that come and go, and whose they are: labels, owners and sums, and no series that stays.

A listener's series are gone from the first scrape after its last socket closed. Owners are found
for sockets that were there before the daemon, too, in every watched namespace, with the unit or
container that their control group names.
"""

import contextlib
import os
import socket
import subprocess
import sys

from witness import (
    BINARY, IPV4, IPV6, Daemon, Lab, RawPeer, Skip, case, check, check_equal, client_of,
    endpoint, execute, listener, main, wait_until,
)

CONTAINER = "0123456789abcdef" * 4
POD = "8c6bca5c-6d1c-4e6f-9f5a-0123456789ab"
LISTENS = """
import socket, sys
sock = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
sock.bind((sys.argv[1], int(sys.argv[2])))
sock.listen(8)
print("up", flush=True)
sys.stdin.read()
"""


class Server:
    """A process of its own that listens, in a control group of its own if it is to have one."""

    def __init__(self, space, address, port, group=None):
        self.process = subprocess.Popen(
            space.command(sys.executable, "-c", LISTENS, address, str(port)), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            preexec_fn=group.enter if group else None)
        self.pid = self.process.pid
        check_equal("the server says", self.process.stdout.readline(), "up\n")
        with open(f"/proc/{self.pid}/comm", encoding="ascii") as file:
            self.comm = file.read().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        for file in (self.process.stdin, self.process.stdout):
            file.close()


class Group:
    """A control group of the unified hierarchy, PATH below one of this test's own."""

    def __init__(self, path):
        with open("/proc/self/mountinfo", encoding="ascii") as file:
            roots = [line.split()[4] for line in file if " - cgroup2 " in line]
        if not roots:
            raise Skip("no unified hierarchy of control groups is mounted")
        self._made = []
        at = f"{roots[0]}/tcpwitness-test-{os.getpid()}"
        for name in ("", *path.split("/")):
            at = f"{at}/{name}".rstrip("/")
            try:
                os.mkdir(at)
            except OSError as error:
                self.__exit__()
                raise Skip(f"no control group can be made: {error}") from None
            self._made.append(at)

    def enter(self):
        with open(f"{self._made[-1]}/cgroup.procs", "w", encoding="ascii") as file:
            file.write("0")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for path in reversed(self._made):
            with contextlib.suppress(OSError):
                os.rmdir(path)


def owner_of(daemon, name, **labels):
    rows = daemon.metrics().series("listener_owner_info", listener=name, **labels)
    check(len(rows) <= 1, f"several owners: {rows}")
    return rows[0][0] if rows else {}


def wait_owner(daemon, name, **want):
    """Until the owner's labels are these."""
    def same():
        have = owner_of(daemon, name)
        return all(have.get(key) == value for key, value in want.items()) and have
    return wait_until(same, lambda: f"{want} expected, but {owner_of(daemon, name)}", pause=0.05)


def row_of(daemon, name):
    return next((row for row in daemon.api("listeners?limit=10000")["listeners"]
                 if row["listener"] == name), None)


def names(daemon):
    return {have["listener"] for have, _ in daemon.metrics().series("listener_sockets")}


def wait_shown(daemon, *wanted):
    wait_until(lambda: set(wanted) <= names(daemon),
               lambda: f"{wanted} expected, but {names(daemon)}")


def wait_gone(daemon, name):
    """No series of any metric has the listener's name."""
    wait_until(lambda: f'listener="{name}"' not in daemon.metrics().text,
               lambda: f"series stay: {[line for line in daemon.metrics().text.splitlines() if name in line]}")


def syns(daemon, name):
    return daemon.metrics()("listener_syns_total", listener=name)


def connect(state, family, target):
    """One connection from b, accepted by nobody: it waits in the accept queue."""
    return client_of(state.lab.b, family, target)


class World:
    def __init__(self, lab, daemon):
        self.lab, self.daemon = lab, daemon


@contextlib.contextmanager
def world():
    with Lab("life") as lab, Daemon(lab.a, connections=False) as daemon:
        yield World(lab, daemon)


@case("the owner of a socket that was there before, and its container")
def owner_before(_):
    group = (f"kubepods.slice/kubepods-pod{POD.replace('-', '_')}.slice/"
             f"cri-containerd-{CONTAINER}.scope")
    with Lab("life") as lab, Group(group) as inside:
        address = lab.ip(lab.a, IPV4)
        with Server(lab.a, address, 7001, inside) as contained, \
                Server(lab.a, lab.ip(lab.a, IPV6), 7002) as plain, \
                Daemon(lab.a, connections=False) as daemon:
            name = endpoint(address, 7001)
            wait_owner(daemon, name, comm=contained.comm, container=CONTAINER, pod=POD,
                       netns="host")
            wait_owner(daemon, endpoint(lab.ip(lab.a, IPV6), 7002), comm=plain.comm, container="")
            row = row_of(daemon, name)
            check_equal("the row's owner", (row["pid"], row["command"], row["container"],
                                            row["container_runtime"], row["pod"]),
                        (contained.pid, contained.comm, CONTAINER, "containerd", POD))
            text = execute(BINARY, "listeners", "--long", f"--api.socket={daemon.socket_path}")
            check(f"{contained.comm}[{contained.pid}]" in text, text)
            check(f"containerd container {CONTAINER[:12]}" in text and POD in text, text)


@case("the owner of a socket that comes, and its unit")
def owner_later(state):
    with Group("system.slice/witnessed.service") as inside, \
            Server(state.lab.a, state.lab.ip(state.lab.a, IPV4), 7010, inside) as server:
        name = endpoint(state.lab.ip(state.lab.a, IPV4), 7010)
        wait_owner(state.daemon, name, comm=server.comm, unit="witnessed.service", container="")
        check_equal("pid", row_of(state.daemon, name)["pid"], server.pid)
    wait_gone(state.daemon, name)


@case("a port that another process takes over")
def taken_over(state):
    address = state.lab.ip(state.lab.a, IPV4)
    name = endpoint(address, 7020)
    with Server(state.lab.a, address, 7020) as first:
        wait_owner(state.daemon, name, comm=first.comm)
        with contextlib.closing(connect(state, IPV4, (address, 7020))):
            wait_until(lambda: syns(state.daemon, name) == 1, "the SYN is not counted")
        pid = first.pid
    wait_gone(state.daemon, name)
    with Server(state.lab.a, address, 7020) as second:
        wait_until(lambda: (row_of(state.daemon, name) or {}).get("pid") == second.pid,
                   lambda: f"{row_of(state.daemon, name)}, expected pid {second.pid} not {pid}")
        check_equal("SYNs of the second", syns(state.daemon, name), 0)
        with contextlib.closing(connect(state, IPV4, (address, 7020))):
            wait_until(lambda: syns(state.daemon, name) == 1, "the SYN is not counted")


@case("IPv4, IPv6 and both on one socket")
def families(state):
    lab = state.lab
    dual = lab.a.socket(socket.AF_INET6)
    dual.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    dual.bind(("::", 7030))
    dual.listen(8)
    only6 = lab.a.socket(socket.AF_INET6)
    only6.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    only6.bind(("::", 7031))
    only6.listen(8)
    only4 = listener(lab.a, "0.0.0.0", 7031, 8)
    with contextlib.ExitStack() as stack:
        for sock in (dual, only6, only4):
            stack.callback(sock.close)
        wait_shown(state.daemon, "[::]:7030", "[::]:7031", "0.0.0.0:7031")
        for port in (7030, 7031):
            for family, times in ((IPV4, 2), (IPV6, 1)):
                for _ in range(times):
                    stack.callback(connect(state, family, (lab.ip(lab.a, family), port)).close)
        want = {"[::]:7030": (3, 3), "[::]:7031": (1, 1), "0.0.0.0:7031": (2, 2)}

        def counted():
            now = state.daemon.metrics()
            return {name: (now("listener_syns_total", listener=name),
                           now("listener_handshakes_total", listener=name)) for name in want}
        wait_until(lambda: counted() == want, lambda: f"{counted()}, expected {want}")
    for name in want:
        wait_gone(state.daemon, name)


@case("a wildcard and a specific address on one port")
def wildcard(state):
    lab = state.lab
    lab.a.run("ip", "addr", "add", "10.9.0.77/24", "dev", "v0")
    options = [(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)]
    address = lab.ip(lab.a, IPV4)
    specific = endpoint(address, 7040)
    with contextlib.ExitStack() as stack:
        stack.callback(lab.a.run, "ip", "addr", "del", "10.9.0.77/24", "dev", "v0")
        for bound in ("0.0.0.0", address):
            stack.callback(listener(lab.a, bound, 7040, 8, options).close)
        wait_shown(state.daemon, specific, "0.0.0.0:7040")
        for target, times in ((address, 3), ("10.9.0.77", 2)):
            for _ in range(times):
                stack.callback(connect(state, IPV4, (target, 7040)).close)

        def counted():
            now = state.daemon.metrics()
            return [now(f"listener_{what}_total", listener=name)
                    for name in (specific, "0.0.0.0:7040") for what in ("syns", "handshakes")]
        wait_until(lambda: counted() == [3, 3, 2, 2], lambda: f"{counted()}")


@case("a group that shares a port: one label, sums, the fullest member's queue")
def group(state):
    address = state.lab.ip(state.lab.a, IPV4)
    name = endpoint(address, 7050)
    options = [(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)]
    members = [listener(state.lab.a, address, 7050, backlog, options) for backlog in (8, 8, 8)]
    clients = []
    try:
        wait_until(lambda: (row_of(state.daemon, name) or {}).get("sockets") == 3,
                   lambda: f"{row_of(state.daemon, name)}")
        clients = [connect(state, IPV4, (address, 7050)) for _ in range(12)]
        lengths = [int(line.split()[1]) for line in state.lab.a.run(
            "ss", "-ltnH", "sport = :7050").splitlines()]
        check_equal("ss counts", sum(lengths), 12)

        def right():
            row = row_of(state.daemon, name)
            return (row["syns"], row["handshakes"], row["accept_queue_length"],
                    row["accept_queue_limit"]) == (12, 12, max(lengths), 8)
        wait_until(right, lambda: f"{row_of(state.daemon, name)}; ss: {lengths}")
        members.pop().close()
        wait_until(lambda: row_of(state.daemon, name)["sockets"] == 2, "a member is left")
        check_equal("SYNs of the group", row_of(state.daemon, name)["syns"], 12)
    finally:
        for sock in (*clients, *members):
            sock.close()
    wait_gone(state.daemon, name)


@case("beyond --listeners.max the rest is exact")
def rest(_):
    with Lab("life") as lab, Daemon(lab.a, "--listeners.max=2", connections=False) as daemon:
        address = lab.ip(lab.a, IPV4)
        listeners = [listener(lab.a, address, 7060 + number, 64) for number in range(6)]
        wait_until(lambda: daemon.metrics()("listeners") >= 6, "they are not known")
        clients = []
        before = daemon.metrics()("listener_syns_total")
        for number in range(6):
            for _ in range(number + 1):
                clients.append(client_of(lab.b, IPV4, (address, 7060 + number)))

        def all_counted():
            now = daemon.metrics()
            return (len(now.series("listener_syns_total")) == 3 and
                    now("listener_syns_total") - before == 21 and
                    now("listener_handshakes_total") >= 21)
        wait_until(all_counted, lambda: f"{daemon.metrics().series('listener_syns_total')}")
        for sock in (*clients, *listeners):
            sock.close()
        wait_until(lambda: names(daemon) & {endpoint(address, 7060 + n) for n in range(6)} == set(),
                   lambda: f"labels stay: {names(daemon)}")
        check(daemon.metrics()("listener_syns_total", listener="other") <= 21, "counted twice")


@case("a listener in every port of a range comes and goes: nothing stays")
def many(state):
    address = state.lab.ip(state.lab.a, IPV4)
    base = names(state.daemon)
    for _ in range(3):
        socks = [listener(state.lab.a, address, port, 8) for port in range(7100, 7140)]
        wait_shown(state.daemon, endpoint(address, 7139))
        for sock in socks:
            sock.close()
        wait_until(lambda: names(state.daemon) <= base,
                   lambda: f"these stay: {names(state.daemon) - base}")


@case("another namespace's knobs, counters and owners are its own")
def namespaces(_):
    with Lab("life") as lab:
        lab.b.sysctl(tcp_syncookies=0, tcp_max_syn_backlog=8, tcp_synack_retries=2)
        address = lab.ip(lab.b, IPV4)
        name = endpoint(address, 7070)
        with Server(lab.b, address, 7070) as server, \
                Daemon(lab.a, f"--netns=host,{lab.b.name}", connections=False) as daemon:
            wait_owner(daemon, name, comm=server.comm, netns=lab.b.name)

            def sysctl(netns, which):
                return daemon.metrics().series("listen_sysctl", netns=netns, sysctl=which)
            wait_until(lambda: [value for _, value in sysctl(lab.b.name, "tcp_syncookies")] == [0],
                       lambda: f"{sysctl(lab.b.name, 'tcp_syncookies')}")
            check_equal("the host's tcp_synack_retries",
                        [value for _, value in sysctl("host", "tcp_synack_retries")], [5])
            base = lab.b.snmp()
            peer = RawPeer(lab, lab.b, IPV4)
            talks = []

            def talk():
                talks.append(peer.connection(20000 + len(talks), 7070))
                return talks[-1]
            try:
                for _ in range(12):
                    talk().send("S")
                wait_until(lambda: daemon.metrics()("listener_syns_total", listener=name) == 12,
                           "the SYNs are not counted")
                drops = wait_until(
                    lambda: daemon.metrics().by("listener_drops_total", "reason", listener=name),
                    "no drop is told")
                wait_until(lambda: sum(daemon.metrics().by(
                    "listener_drops_total", "reason", listener=name).values()) ==
                    lab.b.snmp()["ListenDrops"] - base["ListenDrops"] > 0,
                    lambda: f"{drops}; {lab.b.snmp()['ListenDrops'] - base['ListenDrops']}")
                wait_until(lambda: not daemon.metrics().by("listener_drops_unexplained", "counter"),
                           lambda: f"unexplained: {daemon.metrics().series('listener_drops_unexplained')}")
                row = row_of(daemon, name)
                check_equal("the SYN queue is limited by", row["limited_by"]["syn"],
                            "tcp_max_syn_backlog")
                check_equal("the change", row["advice"]["syn"][0]["knob"], "tcp_max_syn_backlog")
            finally:
                for each in talks:
                    each.send("R")
                peer.close()


if __name__ == "__main__":
    sys.exit(main(world))
