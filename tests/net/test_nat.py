#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 300
"""NAT between the hooks and the sockets. A connection that netfilter translates has two tuples: one
on the wire and one in the kernel. It is one connection all the same, under its socket's name; it is
judged where both ways show that name, else it is unobservable(not_local); and it never diverges.
What is only forwarded is transit, whatever address it wears on its way."""

import contextlib
import sys

from witness import (
    IPV4, IPV6, Daemon, Lab, accept, case, check, check_equal, client_of, endpoint, listener,
    local_of, main, wait_kernel_state, wait_until,
)
from witness.ends import FAMILIES
from witness.router import Router

FAMILY_NAMES = {IPV4: "ip", IPV6: "ip6"}


class World(Router):
    """A router whose netfilter translates."""

    @contextlib.contextmanager
    def nat(self, chain, hook, priority, rule):
        """One rule of a NAT chain in a."""
        text = (f"table inet tcpwitness_nat {{\nchain {chain} {{\ntype nat hook {hook} priority "
                f"{priority};\n{rule}\n}}\n}}\n")
        self.lab.a.run("nft", "-f", "-", input=text)
        try:
            yield
        finally:
            self.lab.a.run("nft", "delete", "table", "inet", "tcpwitness_nat")


class Watch:
    """A daemon in a on both of its devices, and what its counters moved by."""

    def __init__(self, world, mode):
        self.space = world.lab.a
        self.daemon = Daemon(self.space, "--device=v2", "--device=lo", device="v0", mode=mode)

    def __enter__(self):
        self.daemon.__enter__()
        self.before = self.daemon.settled()
        self.base = self.space.snmp()
        return self

    def __exit__(self, *error):
        return self.daemon.__exit__(*error)

    def moved(self, name, **labels):
        return self.daemon.metrics()(name, **labels) - self.before(name, **labels)

    def kernel_moved(self, name):
        return self.space.snmp()[name] - self.base[name]

    def finished(self, count):
        """COUNT connections have ended, and none is left in the table; their events."""
        wait_until(lambda: len(self.daemon.find("connection")) >= count,
                   lambda: f"{self.daemon.read_events()}, open: {self.daemon.connections()}")
        wait_until(lambda: not self.daemon.connections(),
                   lambda: f"still open: {self.daemon.connections()}")
        events = self.daemon.find("connection")
        check_equal("connections that ended", len(events), count)
        check_equal("divergences", self.daemon.find("divergence_open"), [])
        check_equal("opened as server", self.moved("connections_opened_total", role="server"),
                    self.kernel_moved("PassiveOpens"))
        check_equal("opened as client", self.moved("connections_opened_total", role="client"),
                    self.kernel_moved("ActiveOpens"))
        return events


def talk(client, child):
    """A few octets each way."""
    client.sendall(b"to the server")
    check_equal("octets", child.recv(100), b"to the server")
    child.sendall(b"to the client")
    check_equal("octets", client.recv(100), b"to the client")


def close_by_client(client, child):
    """The client ends it, so that TIME_WAIT is the client's."""
    client.close()
    wait_kernel_state(child, "CLOSE_WAIT")
    child.close()


def forget_time_wait(space, port):
    """Ends them: a daemon that starts later would find them."""
    space.run("ss", "-K", "state", "time-wait", f"( sport = :{port} or dport = :{port} )")
    wait_until(lambda: not space.in_state(port, "TIME_WAIT"), "TIME_WAIT stays")


def close_by_server(client, child):
    child.close()
    wait_kernel_state(client, "CLOSE_WAIT")
    client.close()


def whys(daemon, local, remote):
    """Why the connections of these two ends are not observable; of any local port."""
    port = local.rsplit(":", 1)[1]
    rows = daemon.connections()
    check(all(row["remote"] != remote or row["local"].endswith(port) for row in rows.values()),
          f"the other half is a connection: {rows}")
    return {row["why"] for row in rows.values() if row["remote"] == remote}


def redirected(world, mode, family, port, decoy, pause):
    """A server behind a redirect. DECOY: somebody listens on the port the peer thinks it talks to.
    PAUSE: the connection lives longer than the settle time."""
    lab = world.lab
    rule = f"iifname v0 tcp dport {port} redirect to :{port + 1}"
    with contextlib.ExitStack() as stack:
        stack.enter_context(world.nat("pre", "prerouting", "dstnat", rule))
        address = lab.ip(lab.a, family)
        listening = stack.enter_context(listener(lab.a, address, port + 1))
        if decoy:
            stack.enter_context(listener(lab.a, address, port))
        watch = stack.enter_context(Watch(world, mode))
        here, there = endpoint(address, port + 1), None
        for _ in range(3):
            client = client_of(lab.b, family, (address, port))
            child = accept(listening)
            there = local_of(client)
            talk(client, child)
            if pause:
                wait_until(lambda: whys(watch.daemon, here, there) == {"not_local"} and
                           watch.daemon.connections()[here, there]["wire_state"] == "ESTABLISHED",
                           lambda: f"{watch.daemon.connections()}")
            close_by_client(client, child)
        for event in watch.finished(3):
            check_equal("local", event["local"], here)
            check_equal("observable, why", (event["observable"], event["why"]),
                        (False, "not_local"))
            check_equal("role", event["role"], "server")


def translated_source(world, mode, family, port, way):
    """A client whose source is translated as it leaves."""
    rule = (f"oifname v2 tcp dport {port} " +
            ("masquerade to :40000-40100" if way == "masquerade" else
             f"snat {FAMILY_NAMES[family]} to {endpoint(world.near[family], '41000-41100')}"))
    lab = world.lab
    with world.nat("post", "postrouting", "srcnat", rule), \
            listener(world.c, world.far[family], port) as listening, Watch(world, mode) as watch:
        source = (lab.ip(lab.a, family), 0)  # the address of the other device
        names = set()
        for _ in range(3):
            client = client_of(lab.a, family, (world.far[family], port), source=source)
            child = accept(listening)
            names.add(local_of(client))
            check(child.getpeername()[1] >= 40000 and child.getpeername()[1] <= 41100,
                  f"c sees {child.getpeername()}: nothing was translated")
            talk(client, child)
            close_by_server(client, child)
        events = watch.finished(3)
        check_equal("names", {event["local"] for event in events}, names)
        for event in events:
            check_equal("observable, why, role",
                        (event["observable"], event["why"], event["role"]),
                        (False, "not_local", "client"))


def intercepted(world, mode, family, port):
    """A client's connection to another host is turned to a proxy on its own, over lo, as service
    meshes do it: both sockets see their own tuples in one way at least, and both are judged."""
    lab = world.lab
    rule = f"tcp dport {port} redirect to :{port + 1}"
    proxy = "127.0.0.1" if family == IPV4 else "::1"
    with world.nat("out", "output", "-100", rule), \
            listener(lab.a, proxy, port + 1) as listening, Watch(world, mode) as watch:
        for _ in range(3):
            client = client_of(lab.a, family, (world.far[family], port))
            child = accept(listening)
            talk(client, child)
            close_by_client(client, child)
            wait_until(lambda: not lab.a.in_state(port + 1, "LAST_ACK"), "LAST_ACK stays")
        rows = wait_until(
            lambda: [row for row in [watch.daemon.connections()] if len(row) <= 3],
            lambda: f"{watch.daemon.connections()}")[0]
        check_equal("divergences", watch.daemon.find("divergence_open"), [])
        ended = watch.daemon.find("connection")
        check_equal("whole lives", [(row["role"], row["observable"]) for row in ended],
                    3 * [("server", True)])
        for row in rows.values():
            check_equal("client's", (row["role"], row["wire_state"], row["observable"]),
                        ("client", "TIME_WAIT", True))
        forget_time_wait(lab.a, port)


def forwarded_to(world, mode, family, port, decoy):
    """A published port: what arrives for a goes to c. DECOY: a proxy of a listens there, too, which
    the translation passes by (that is how Docker does it)."""
    lab = world.lab
    rule = (f"iifname v0 tcp dport {port} dnat {FAMILY_NAMES[family]} to "
            f"{endpoint(world.far[family], port + 1)}")
    with contextlib.ExitStack() as stack:
        stack.enter_context(world.nat("pre", "prerouting", "dstnat", rule))
        listening = stack.enter_context(listener(world.c, world.far[family], port + 1))
        address = lab.ip(lab.a, family)
        if decoy:
            stack.enter_context(listener(lab.a, address, port))
        watch = stack.enter_context(Watch(world, mode))
        for _ in range(3):
            client = client_of(lab.b, family, (address, port))
            child = accept(listening)
            talk(client, child)
            close_by_client(client, child)
        watch.daemon.settled()
        check_equal("connections", watch.daemon.connections(), {})
        watch.finished(0)
        for name in ("connections_opened_total", "connections_closed_total", "comparisons_total",
                     "sent_segments_total"):
            check_equal(name, watch.moved(name), 0)
        check(watch.moved("ignored_segments_total", reason="transit") >= 3 * 12,
              f"transit {watch.moved('ignored_segments_total', reason='transit')}")


def forwarded_into_silence(world, mode, family, port):
    """A published port whose server drops all: the SYNs come again and again, and the proxy that
    listens there, too, is not to blame."""
    lab = world.lab
    rule = (f"iifname v0 tcp dport {port} dnat {FAMILY_NAMES[family]} to "
            f"{endpoint(world.far[family], port + 1)}")
    world.c.nft(f"tcp dport {port + 1} drop")
    try:
        with world.nat("pre", "prerouting", "dstnat", rule), \
                listener(lab.a, lab.ip(lab.a, family), port), Watch(world, mode) as watch:
            client = client_of(lab.b, family, (lab.ip(lab.a, family), port), timeout=0)
            there = local_of(client)
            wait_until(lambda: watch.moved("received_segments_total", kind="syn") >= 3,
                       "the SYN does not come again")
            watch.daemon.settled()
            client.close()
            event = watch.daemon.wait_event("connection", remote=there)
            check_equal("observable, why", (event["observable"], event["why"]),
                        (False, "not_local"))
            check_equal("divergences", watch.daemon.find("divergence_open"), [])
    finally:
        world.c.nft()


def forwarded_from(world, mode, family, port):
    """A router that masquerades: what leaves wears its own address, and is transit."""
    lab = world.lab
    with world.nat("post", "postrouting", "srcnat", f"oifname v2 tcp dport {port} masquerade"), \
            listener(world.c, world.far[family], port) as listening, Watch(world, mode) as watch:
        for _ in range(3):
            client = client_of(lab.b, family, (world.far[family], port))
            child = accept(listening)
            check_equal("c sees", child.getpeername()[0], world.near[family])
            talk(client, child)
            close_by_client(client, child)
        watch.daemon.settled()
        watch.finished(0)
        for name in ("connections_opened_total", "connections_closed_total", "comparisons_total",
                     "sent_segments_total"):
            check_equal(name, watch.moved(name), 0)


for _number, (_mode, (_name, _family)) in enumerate(
        (_mode, row) for _mode in ("xdp", "tcx") for row in FAMILIES.items()):
    _port = 7600 + 20 * _number
    case(f"redirect {_name} {_mode}", _mode, _family, _port, False, False)(redirected)
    case(f"redirect over a listener {_name} {_mode}", _mode, _family, _port + 2, True,
         True)(redirected)
    case(f"masquerade {_name} {_mode}", _mode, _family, _port + 4, "masquerade")(translated_source)
    case(f"snat {_name} {_mode}", _mode, _family, _port + 5, "snat")(translated_source)
    case(f"interception {_name} {_mode}", _mode, _family, _port + 6)(intercepted)
    case(f"published port {_name} {_mode}", _mode, _family, _port + 8, False)(forwarded_to)
    case(f"published port with a proxy {_name} {_mode}", _mode, _family, _port + 10,
         True)(forwarded_to)
    case(f"published port into silence {_name} {_mode}", _mode, _family, _port + 14)(
        forwarded_into_silence)
    case(f"masquerading router {_name} {_mode}", _mode, _family, _port + 12)(forwarded_from)


@contextlib.contextmanager
def routed():
    with Lab("nat", patient=True) as lab:
        yield World(lab)


if __name__ == "__main__":
    sys.exit(main(routed))
