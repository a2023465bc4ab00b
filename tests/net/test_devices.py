#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Devices stacked on devices: VLAN, QinQ, bond, bridge, macvlan. A segment passes two that are
watched: each counts it, and the connection is followed once. Where only the lower one is watched,
it sees through the tags. Kinds of device that this kernel lacks are skipped.
"""

import contextlib
import sys

from witness import (
    IPV4, Daemon, Lab, Skip, accept, case, check_equal, client_of, endpoint,
    listener, local_of, main, wait_kernel_state, wait_until,
)
from witness.ends import (
    ACTIVE_CLOSE, CLIENT_OPEN, FAMILIES, PASSIVE_CLOSE, SERVER_OPEN, compare, plain,
)


class Stack:
    """A veth pair of its own (a pair more for a bond), and on it, at each end, devices by one way
    of stacking: `upper` has the addresses, `lower` are those below it."""

    def __init__(self, lab, number, build):
        self.lab = lab
        self.subnet = number
        self.upper = f"upper{number}"
        self.ports = [f"port{number}"]
        self.lower = list(self.ports)
        self.spaces = (lab.a, lab.b)
        lab.join(lab.a, *self.ports, lab.b, *self.ports)
        build(self)
        for host, space in enumerate(self.spaces, 1):
            space.run("ip", "link", "set", self.upper, "up")
            lab.address(space, self.upper, host, subnet=number)
        wait_until(self._up, f"{build.__name__} does not come up")

    def _up(self):
        return all("LOWER_UP" in space.run("ip", "link", "show", "dev", self.upper)
                   for space in self.spaces)

    def add(self, name, below, *what):
        """A device NAME at either end; the case is skipped where the kernel has no such kind."""
        on = ("link", below) if below else ()
        for space in self.spaces:
            said = space.run("ip", "link", "add", "name", name, *on, "type", *what, check=False)
            if name not in space.run("ip", "-br", "link", "show"):
                raise Skip(f"this kernel has no {what[0]} devices {said}")

    def enslave(self, port):
        for space in self.spaces:
            space.run("ip", "link", "set", port, "down")
            space.run("ip", "link", "set", port, "master", self.upper)
            space.run("ip", "link", "set", port, "up")

    def ip(self, space, family):
        host = 1 + self.spaces.index(space)
        return (f"10.9.{self.subnet}.{host}" if family == IPV4 else
                f"fd09:0:0:{self.subnet:x}::{host}")


def vlan(stack):
    stack.add(stack.upper, *stack.ports, "vlan", "id", "100")


def vlan_in_frame(stack):
    """The tag is in the frame itself: the lower device does not take it aside."""
    for space in stack.spaces:
        space.run("ethtool", "-K", *stack.ports, "txvlan", "off", "rxvlan", "off")
    vlan(stack)


def qinq(stack):
    middle = f"middle{stack.subnet}"
    stack.add(middle, *stack.ports, "vlan", "proto", "802.1ad", "id", "30")
    for space in stack.spaces:
        space.run("ip", "link", "set", middle, "up")
    stack.add(stack.upper, middle, "vlan", "id", "40")
    stack.lower.append(middle)


def bond(stack):
    """Of its two ports one is active: a segment passes that one and the bond."""
    spare = f"spare{stack.subnet}"
    stack.lab.join(stack.lab.a, spare, stack.lab.b, spare)
    stack.add(stack.upper, None, "bond", "mode", "active-backup", "miimon", "100")
    stack.enslave(*stack.ports)
    stack.enslave(spare)
    stack.lower.append(spare)


def bridge(stack):
    stack.add(stack.upper, None, "bridge", "forward_delay", "0")
    stack.enslave(*stack.ports)


def macvlan(stack):
    stack.add(stack.upper, *stack.ports, "macvlan", "mode", "bridge")


KINDS = (vlan, vlan_in_frame, qinq, bond, bridge, macvlan)
WATCHED = {"the upper": lambda stack: [stack.upper], "the lower": lambda stack: stack.lower,
           "all": lambda stack: [stack.upper, *stack.lower]}


def sightings(kind, which):
    """How many of the devices that are watched a segment passes."""
    below = 2 if kind is qinq else 1
    return {"the upper": 1, "the lower": below, "all": 1 + below}[which]


class World:
    """The stacks that this kernel can build, and one daemon at a time that watches them."""

    def __init__(self, lab):
        self.lab = lab
        self.stacks = {}
        self.missing = {}
        self._daemon = contextlib.ExitStack()
        self._which = None
        for space in (lab.a, lab.b):
            # or a lower device, too, says that the address of the upper one is its own
            space.sysctl(ipv4__conf__all__arp_ignore=1)
        for number, kind in enumerate(KINDS, 1):
            try:
                self.stacks[kind] = Stack(lab, number, kind)
            except Skip as why:
                self.missing[kind] = str(why)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._daemon.__exit__(*error)

    def watch(self, which):
        """The daemon that watches WHICH of each stack's devices; it is kept until another is."""
        if which != self._which:
            self._daemon.close()
            flags = [f"--device={name}" for stack in self.stacks.values()
                     for name in WATCHED[which](stack)]
            self.daemon = self._daemon.enter_context(Daemon(self.lab.a, *flags))
            self._which = which
        return self.daemon


def live(stack, daemon, family, client_space, port):
    """One connection, closed by its client, as a must tell of it."""
    lab = stack.lab
    server_space = lab.other(client_space)
    address = stack.ip(server_space, family)
    with contextlib.closing(listener(server_space, address, port)) as listening:
        client = client_of(client_space, family, (address, port))
        server = accept(listening)
    client_at, server_at = local_of(client), endpoint(address, port)
    client.sendall(b"up")
    check_equal("octets", server.recv(10), b"up")
    server.sendall(b"down")
    check_equal("octets", client.recv(10), b"down")
    client.close()
    wait_kernel_state(server, "CLOSE_WAIT")
    server.close()
    if client_space is lab.a:
        def waits():
            row = daemon.connections().get((client_at, server_at), {})
            return row.get("wire_state") == row.get("kernel_state") == "TIME_WAIT"
        wait_until(waits, lambda: f"{client_at} is not in TIME_WAIT: {daemon.connections()}")
        return
    event = daemon.wait_event("connection", local=server_at, remote=client_at)
    compare(event, plain("server", [*SERVER_OPEN, *PASSIVE_CLOSE], [*CLIENT_OPEN, *ACTIVE_CLOSE],
                         ended="remote_close"))


def lives(world, kind, which):
    """A server's and a client's life over each family: counted by each watched device that their
    segments pass, followed once."""
    if kind in world.missing:
        raise Skip(world.missing[kind])
    stack, daemon = world.stacks[kind], world.watch(which)
    times = sightings(kind, which)
    known = len(daemon.read_events())
    before, base = daemon.settled(), stack.lab.a.snmp()
    for port, family in enumerate(FAMILIES.values(), 7701):
        live(stack, daemon, family, stack.lab.b, port)
        live(stack, daemon, family, stack.lab.a, port)
    after, now = daemon.settled(), stack.lab.a.snmp()

    def moved(name, **labels):
        return after(name, **labels) - before(name, **labels)

    check_equal("opened as server", moved("connections_opened_total", role="server"), 2)
    check_equal("opened as client", moved("connections_opened_total", role="client"), 2)
    check_equal("SYNs received", moved("received_segments_total", kind="syn"), 2 * times)
    check_equal("SYN-ACKs received", moved("received_segments_total", kind="synack"), 2 * times)
    check_equal("segments received", moved("received_segments_total"),
                times * (now["InSegs"] - base["InSegs"]))
    check_equal("segments sent", moved("sent_segments_total"),
                times * (now["OutSegs"] - base["OutSegs"]))
    check_equal("retransmitted", moved("retransmitted_segments_total"), 0)
    events = daemon.read_events()[known:]
    check_equal("divergences", [row for row in events if row["event"] == "divergence_open"], [])
    check_equal("anomalies", [row for row in events if row.get("anomalies")], [])


for _which in WATCHED:
    for _kind in KINDS:
        case(f"{_kind.__name__}, {_which} watched", _kind, _which)(lives)


@contextlib.contextmanager
def stacked():
    with Lab("devices", patient=True) as lab, World(lab) as world:
        yield world


if __name__ == "__main__":
    sys.exit(main(stacked))
