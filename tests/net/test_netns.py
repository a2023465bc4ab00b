#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 300
"""Several network namespaces, one daemon: --netns by name and by process, and all of them. Each
connection belongs to the namespace of its socket, whatever else sees its segments; namespaces come
and go, and nothing of ours keeps one alive."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading

from witness import (
    BINARY, IPV4, IPV6, Daemon, Lab, Namespace, Pair, accept, attached, case, check, check_equal,
    client_of, endpoint, execute, listener, local_of, main, wait_kernel_state, wait_until,
)

# ---- a machine of its own: `all` must not reach what else runs on this one


class Box(Namespace):
    """A process tree with a /proc, a /run/netns and a network namespace of its own, in which it
    all runs: nothing that looks around in there finds a way out."""

    def __init__(self):
        self.name = "the box"
        self._homes = threading.local()
        self._process = subprocess.Popen(
            ("unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "--mount-proc",
             "sh", "-c", "mkdir -p /run/netns && mount -t tmpfs none /run/netns && echo up && "
             "exec sleep inf"), stdout=subprocess.PIPE, text=True)
        self._process.stdout.readline()
        self.pid = only_child(self._process.pid)
        self.fd = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self.run("ip", "link", "set", "lo", "up")

    def command(self, *command):
        return ("nsenter", f"--target={self.pid}", "--mount", "--pid", "--net", *command)

    def add(self, name):
        """A namespace NAME in there; returns the command prefix that runs in it."""
        self.run("ip", "netns", "add", name)
        within = ("nsenter", f"--net=/run/netns/{name}")
        self.run(*within, "ip", "link", "set", "lo", "up")
        return within

    def close(self):
        os.close(self.fd)
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


def only_child(pid):
    def children():
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return file.read().split()
    return int(wait_until(children, f"process {pid} has no child")[0])


class BoxedProcess:
    """What nsenter runs behind a fork, as subprocess.Popen would have it."""

    def __init__(self, process):
        self._process = process
        self._pid = only_child(process.pid)

    def __getattr__(self, name):
        return getattr(self._process, name)

    def send_signal(self, number):
        os.kill(self._pid, number)

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)


class BoxedDaemon(Daemon):
    def __init__(self, space, *flags, **options):
        super().__init__(space, *flags, wait=False, **options)
        self.process = BoxedProcess(self.process)
        wait_until(self._ready, lambda: f"not ready: {self.log()[-600:]}")


# ---- what they all ask


def names_watched(daemon):
    return {row["name"] for row in daemon.api("status")["namespaces"]}


def interfaces_of(daemon, name):
    return sorted({have["interface"] for have, _ in
                   daemon.metrics().series("interface_info", netns=name)})


def wait_watched(daemon, name, *devices):
    """Until the namespace is watched with these interfaces."""
    wait_until(lambda: interfaces_of(daemon, name) == sorted(devices),
               lambda: f"{name}: {interfaces_of(daemon, name)}, wanted {devices}; "
               f"{daemon.log()[-500:]}")


def row_of(daemon, local, remote):
    return wait_until(lambda: daemon.connections().get((local, remote)),
                      lambda: f"no {local} {remote} in {list(daemon.connections())}")


# ---- by name


def both_ends(lab, mode, family):
    """A daemon in a watches a and b: each end is one connection, in its own namespace."""
    with Daemon(lab.a, f"--netns=host,{lab.b.name}", mode=mode) as daemon:
        wait_watched(daemon, lab.b.name, "lo", "v1")
        before = daemon.settled()
        base = {space: space.snmp() for space in (lab.a, lab.b)}
        pair = Pair(lab, lab.a, family, 7300)
        server = row_of(daemon, pair.server_at, pair.client_at)
        client = row_of(daemon, pair.client_at, pair.server_at)
        check_equal("the server's", (server["netns"], server["netns_name"], server["role"]),
                    (lab.a.inode(), "host", "server"))
        check_equal("the client's", (client["netns"], client["netns_name"], client["role"]),
                    (lab.b.inode(), lab.b.name, "client"))
        for space, name in ((lab.a, "host"), (lab.b, lab.b.name)):
            for view in ("wire", "kernel"):
                def have(view=view, name=name):
                    now = daemon.metrics().by("connections", "state", view=view, netns=name)
                    return {state: count for state, count in now.items() if state != "LISTEN"}
                wait_until(lambda have=have, space=space: have() == space.states(),
                           lambda have=have, space=space, view=view:
                           f"{view} in {space.name}: {have()}, expected {space.states()}")
        pair.client.close()
        wait_kernel_state(pair.server, "CLOSE_WAIT")
        pair.server.close()
        event = daemon.wait_event("connection", local=pair.server_at, remote=pair.client_at)
        check_equal("observable, netns", (event["observable"], event["netns_name"]),
                    (True, "host"))
        wait_until(lambda: daemon.connections().get((pair.client_at, pair.server_at), {}).get(
            "kernel_state") == "TIME_WAIT", "the client is not in TIME_WAIT")
        after = daemon.settled()

        def kernel(name):
            return sum(space.snmp()[name] - base[space][name] for space in base)

        for name, value in (("received_segments_total", "InSegs"),
                            ("sent_segments_total", "OutSegs")):
            check_equal(name, after(name) - before(name), kernel(value))
        for role, value in (("client", "ActiveOpens"), ("server", "PassiveOpens")):
            check_equal(f"opened as {role}", after("connections_opened_total", role=role) -
                        before("connections_opened_total", role=role), kernel(value))
        check_equal("divergences", daemon.find("divergence_open"), [])
        forget_time_wait(lab.b)
    check_equal("left in b", attached(lab.b), [])


def forget_time_wait(space):
    space.run("ss", "-K", "state", "time-wait")


def by_name(mode, family):
    with Lab("netns", patient=True) as lab:
        both_ends(lab, mode, family)


for _mode, _family in (("auto", IPV4), ("xdp", IPV6), ("clsact", IPV4)):
    case(f"by name {_mode}", _mode, _family)(by_name)


@case("without the capability")
def without_the_capability():
    """One line and an exit code; and its own namespace needs nothing more."""
    fewer = ("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin")
    with Lab("netns", patient=True) as lab:
        command = lab.a.command(*fewer, BINARY, "run", "--duration=1",
                                "--web.listen-address=127.0.0.1:0",
                                f"--api.socket=/tmp/{lab.label}.sock")
        done = subprocess.run((*command, f"--netns=host,{lab.b.name}"), capture_output=True,
                              text=True, timeout=30, check=False)
        errors = [line for line in done.stderr.splitlines() if "error:" in line]
        check_equal("exit code, errors", (done.returncode, errors),
                    (1, ["tcpwitness: error: --netns: not permitted to enter other network "
                         "namespaces: need CAP_SYS_ADMIN"]))
        check_equal("attached", (attached(lab.a), attached(lab.b)), ([], []))
        check_equal("alone", subprocess.run(command, capture_output=True, timeout=30,
                                            check=False).returncode, 0)


@case("others are not seen")
def others_are_not_seen():
    with Lab("netns", patient=True) as lab, Daemon(lab.a, f"--netns={lab.b.name}") as daemon:
        check_equal("watched", names_watched(daemon), {lab.b.name})
        pair = Pair(lab, lab.a, IPV4, 7310)
        row_of(daemon, pair.client_at, pair.server_at)
        check_equal("connections", len(daemon.connections()), 1)
        check_equal("in a", attached(lab.a), [])
        pair.close()


@case("before the daemon")
def before_the_daemon():
    """What was open when the daemon came is found by its sweep, in every namespace."""
    with Lab("netns", patient=True) as lab:
        pair = Pair(lab, lab.b, IPV4, 7320)
        with Daemon(lab.a, "--netns=host", f"--netns=/run/netns/{lab.b.name}") as daemon:
            for local, remote, name in ((pair.server_at, pair.client_at, lab.b.name),
                                        (pair.client_at, pair.server_at, "host")):
                row = row_of(daemon, local, remote)
                check_equal("state, netns", (row["kernel_state"], row["netns_name"]),
                            ("ESTABLISHED", name))
            check_equal("corrections", daemon.metrics()("sweep_corrections_total",
                                                        correction="extra"), 0)
        pair.close()


@case("a divergence over there")
def a_divergence_over_there():
    """The kernel is asked in the right namespace: an accept queue overflows in b, and the same
    address and port in a are idle."""
    with Lab("netns", patient=True) as lab:
        c = lab.namespace("c")
        lab.join(c, "w0", lab.b, "w1")
        c.run("ip", "addr", "add", "10.9.0.1/24", "dev", "w0")  # as a's v0
        lab.b.run("ip", "addr", "add", "10.9.7.2/24", "dev", "w1")
        lab.b.run("ip", "route", "add", "10.9.0.1/32", "dev", "w1")
        c.run("ip", "route", "add", "10.9.7.0/24", "dev", "w0")
        with Daemon(lab.a, f"--netns=host,{c.name}") as daemon, \
                listener(c, "10.9.0.1", 7330, backlog=0), listener(lab.a, "10.9.0.1", 7330):
            wait_watched(daemon, c.name, "lo", "w0")
            clients = [client_of(lab.b, IPV4, ("10.9.0.1", 7330), timeout=0) for _ in range(3)]
            event = daemon.wait_event("divergence_open")
            check_equal("kind, netns", (event["kind"] in ("accept_queue_overflow", "syn_dropped"),
                                        event["netns_name"]), (True, c.name))
            rows = wait_until(lambda: [
                have for have, value in daemon.metrics().series(
                    "listener_drops_total", listener="10.9.0.1:7330") if value],
                "no listener counts a drop")
            check_equal("drops at", {row["netns"] for row in rows}, {c.name})
            for sock in clients:
                sock.close()


# ---- containers: the same segments pass the host's devices


CONTAINERS = 2


class Host:
    """Two containers of the host a, by a bridge or by routes; the host's ends are watched, too."""

    def __init__(self, lab, bridged):
        self.lab = lab
        self.containers = []
        if bridged:
            lab.a.run("ip", "link", "add", "br0", "type", "bridge")
            lab.a.run("ip", "addr", "add", "10.9.50.1/24", "dev", "br0")
            lab.a.run("ip", "link", "set", "br0", "up")
        lab.a.sysctl(ip_forward=1)
        for number in range(CONTAINERS):
            self._container(number, bridged)
        self.spaces = [lab.a, *self.containers]
        self.devices = [f"host{number}" for number in range(CONTAINERS)] + ["eth0", "lo", "v0"]
        self.devices += ["br0"] if bridged else []
        self.ports = [(f"host{number}", "host") for number in range(CONTAINERS) if bridged]

    def _container(self, number, bridged):
        lab, net = self.lab, 50 if bridged else 51 + number
        space = lab.namespace(f"container{number}")
        lab.join(lab.a, f"host{number}", space, "eth0")
        space.run("ip", "addr", "add", f"10.9.{net}.{10 + number}/24", "dev", "eth0")
        if bridged:
            lab.a.run("ip", "link", "set", f"host{number}", "master", "br0")
        else:
            lab.a.run("ip", "addr", "add", f"10.9.{net}.1/24", "dev", f"host{number}")
        space.run("ip", "route", "add", "default", "via", f"10.9.{net}.1")
        self.containers.append(space)

    def address(self, number):
        return self.containers[number].run("ip", "-o", "-4", "addr", "show", "dev",
                                           "eth0").split()[3].split("/")[0]

    def flags(self):
        return [f"--netns=host,{','.join(space.name for space in self.containers)}",
                *(f"--device={name}" for name in self.devices if name not in ("eth0",)),
                "--device=eth0"]


def containers(bridged, mode):
    """Container to container, host to container, container to the outside: each end of each
    connection once, in the namespace of its socket, with the segments its kernel counts; what the
    host's devices see of it is transit."""
    with Lab("netns", patient=True) as lab:
        host = Host(lab, bridged)
        lab.b.run("ip", "route", "add", "default", "via", "10.9.0.1")
        with Daemon(lab.a, *host.flags(), mode=mode) as daemon:
            for space in host.containers:
                wait_watched(daemon, space.name, "lo", "eth0")
            before = daemon.settled()
            base = {space: space.snmp() for space in host.spaces}
            ways = ((host.containers[0], host.containers[1], host.address(1)),
                    (lab.a, host.containers[0], host.address(0)),
                    (host.containers[1], lab.b, "10.9.0.2"),
                    (lab.b, host.containers[1], host.address(1)))
            ends = {}
            for number, (client_in, server_in, address) in enumerate(ways):
                here, there = one_connection(client_in, server_in, address, 7350 + number)
                for space, local, remote in ((client_in, there, here), (server_in, here, there)):
                    if space is not lab.b:
                        ends[local, remote] = "host" if space is lab.a else space.name
            counted_once(daemon, host, before, base, ends)


def dict_of(metrics, direction):
    """{(interface, netns): segments}"""
    return {(have["interface"], have["netns"]): value for have, value in
            metrics.series("interface_segments_total", direction=direction)}


def one_connection(client_in, server_in, address, port):
    with listener(server_in, address, port) as listening:
        client = client_of(client_in, IPV4, (address, port))
        child = accept(listening)
        client.sendall(b"hello")
        check_equal("octets", child.recv(10), b"hello")
        here, there = endpoint(address, port), local_of(client)
        client.close()
        wait_kernel_state(child, "CLOSE_WAIT")
        child.close()
    return here, there


def counted_once(daemon, host, before, base, ends):
    def all_told():
        told = {(row["local"], row["remote"]): row["netns_name"]
                for row in [*daemon.find("connection"), *daemon.connections().values()]}
        return told == ends
    wait_until(all_told, lambda: f"{daemon.find('connection')} {daemon.connections()}, "
               f"wanted {ends}")
    after = daemon.settled()

    def kernel(name):
        return sum(space.snmp()[name] - base[space][name] for space in base)


    def moved(direction, is_port):
        """Of the host's bridge ports, or of all other interfaces."""
        return sum(value - dict_of(before, direction)[key]
                   for key, value in dict_of(after, direction).items()
                   if (key in host.ports) == is_port)
    for direction, value in (("received", "InSegs"), ("sent", "OutSegs")):
        check_equal(f"{direction} segments", moved(direction, False), kernel(value))
        # what a port sees of the host's own is the bridge's, too: counted at both, judged once
        check_equal(f"{direction} at ports, too", moved(direction, True) > 0, bool(host.ports))
        name = f"{direction}_segments_total"
        check_equal(name, after(name) - before(name),
                    moved(direction, False) + moved(direction, True))
    for role, value in (("client", "ActiveOpens"), ("server", "PassiveOpens")):
        check_equal(f"opened as {role}", after("connections_opened_total", role=role) -
                    before("connections_opened_total", role=role), kernel(value))
    check(after("ignored_segments_total", reason="transit") >
          before("ignored_segments_total", reason="transit"), "the host saw no transit")
    check_equal("divergences", daemon.find("divergence_open"), [])
    for row in [*daemon.find("connection"), *daemon.connections().values()]:
        check_equal("observable", (row["local"], row["observable"]), (row["local"], True))


for _mode in ("tcx", "xdp"):
    case(f"containers on a bridge {_mode}", True, _mode)(containers)
    case(f"containers behind routes {_mode}", False, _mode)(containers)


# ---- coming and going


@case("named later, and again")
def named_later():
    with Lab("netns", patient=True) as lab:
        name = f"{lab.label}-late"
        with Daemon(lab.a, f"--netns=host,{name}") as daemon:
            check_equal("watched", names_watched(daemon), {"host"})
            for turn in range(2):
                space = Namespace(name)
                lab.join(lab.a, "late0", space, "late1")
                space.run("ip", "addr", "add", f"10.9.{20 + turn}.2/24", "dev", "late1")
                wait_watched(daemon, name, "late1", "lo")
                lab.a.run("ip", "addr", "add", f"10.9.{20 + turn}.1/24", "dev", "late0")
                end_with_connections(lab.a, daemon, space, name, f"10.9.{20 + turn}.2")
            check_equal("problems", daemon.problems(), [])


def end_with_connections(host, daemon, space, name, address):
    """Ends SPACE while it has TIME_WAIT sockets that the daemon knows."""
    listening = listener(space, address, 7340)
    client = client_of(host, IPV4, (address, 7340))
    child = accept(listening)
    here, there = endpoint(address, 7340), local_of(client)
    child.close()
    wait_kernel_state(client, "CLOSE_WAIT")
    client.close()
    listening.close()
    wait_until(lambda: daemon.connections().get((here, there), {}).get("kernel_state") ==
               "TIME_WAIT", lambda: f"{daemon.connections()}")
    space.close()
    wait_until(lambda: "late0" not in host.run("ip", "-o", "link", "show"),
               "the namespace does not end: something keeps it alive")
    wait_until(lambda: name not in names_watched(daemon), "an ended namespace is still watched")
    event = daemon.wait_event("connection", local=here, remote=there)
    check_equal("netns, why", (event["netns_name"], event["why"]), (name, "netns_gone"))
    now = daemon.metrics()
    for metric in ("connections", "interface_info", "program_attached",
                   "interface_segments_total", "listener_syns_total"):
        check_equal(f"{metric} of it", now.series(metric, netns=name), [])


@case("ended over live sockets")
def ended_over_live_sockets():
    """Row 21: a namespace loses its name and its interface with an orphan in FIN_WAIT_1 in it, and
    a listener that keeps it alive. It is watched until the kernel lets go of it."""
    with Lab("netns", patient=True) as lab:
        name = f"{lab.label}-late"
        with Daemon(lab.a, f"--netns={name}") as daemon:
            space = Namespace(name)
            lab.join(lab.a, "late0", space, "late1")
            space.run("ip", "addr", "add", "10.9.20.2/24", "dev", "late1")
            lab.a.run("ip", "addr", "add", "10.9.20.1/24", "dev", "late0")
            wait_watched(daemon, name, "late1", "lo")
            space.sysctl(tcp_orphan_retries=3)
            with listener(space, "10.9.20.2", 7341) as listening:
                client = client_of(lab.a, IPV4, ("10.9.20.2", 7341))
                child = accept(listening)
                here, there = endpoint("10.9.20.2", 7341), local_of(client)
                lab.a.nft("tcp sport 7341 drop")  # nobody acknowledges the FIN
                child.close()
                wait_until(lambda: space.in_state(7341, "FIN_WAIT_1") == 1, "no orphan")
                space.close()
                lab.a.run("ip", "link", "del", "late0")
                event = daemon.wait_event("connection", 30, local=here, remote=there)
            check_equal("netns", event["netns_name"], name)
            check_equal("divergences", [(row["kind"], row["reason"], row["remote"]) for row in
                                        daemon.find("divergence_open")],
                        [("peer_unaware", "unreachable", there)])
            client.close()
            wait_until(lambda: name not in names_watched(daemon), "it is still watched")


@case("replayed")
def replayed():
    """The record log knows the namespaces, too: the same events again."""
    with Lab("netns", patient=True) as lab, tempfile.TemporaryDirectory(prefix="tcpwitness-netns-") as directory:
        name, log = f"{lab.label}-late", os.path.join(directory, "log")
        space = Namespace(name)
        lab.join(lab.a, "late0", space, "late1")
        space.run("ip", "addr", "add", "10.9.30.2/24", "dev", "late1")
        lab.a.run("ip", "addr", "add", "10.9.30.1/24", "dev", "late0")
        with Daemon(lab.a, f"--netns=host,{name}", f"--record={log}") as daemon:
            wait_watched(daemon, name, "late1", "lo")
            end_with_connections(lab.a, daemon, space, name, "10.9.30.2")
            daemon.settled()
            daemon.stop()
            live = [{**row, "time": None} for row in daemon.read_events()]
        again = [{**json.loads(line), "time": None} for line in
                 execute(BINARY, "replay", "--events.connections", log).splitlines()]
        check_equal("events", again, live)


@case("all")
def everything():
    """Named and nameless namespaces, found and lost."""
    with contextlib.closing(Box()) as box, BoxedDaemon(box, "--netns=all") as daemon:
        check_equal("watched", names_watched(daemon), {"host"})
        named = box.add("named")
        wait_watched(daemon, "named", "lo")
        box.run("ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", "named")
        box.run(*named, "ip", "addr", "add", "10.9.0.2/24", "dev", "v1")
        box.run(*named, "ip", "link", "set", "v1", "up")
        wait_watched(daemon, "named", "lo", "v1")
        nameless = subprocess.Popen(box.command("unshare", "--net", "sleep", "inf"))
        try:
            wait_until(lambda: any(name.isdigit() for name in names_watched(daemon)),
                       "a namespace without a name is not found")
        finally:
            os.kill(only_child(nameless.pid), signal.SIGKILL)
            nameless.wait()
        wait_until(lambda: names_watched(daemon) == {"host", "named"},
                   "a namespace is kept alive after its last process")
        box.run("ip", "netns", "del", "named")
        wait_until(lambda: names_watched(daemon) == {"host"}, "a name is kept alive")
        wait_until(lambda: "v0" not in box.run("ip", "-o", "link", "show"), "its veth stays")


if __name__ == "__main__":
    sys.exit(main(threads=2))
