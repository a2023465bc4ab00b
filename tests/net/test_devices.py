#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Devices stacked on devices: VLAN, QinQ, bond, bridge, macvlan. A segment passes two that are
watched: each counts it, and the connection is followed once. Where only the lower one is watched,
it sees through the tags. Kinds of device that this kernel lacks are skipped.
"""

import contextlib
import sys

from witness import (
    IPV4, Daemon, Lab, Skip, accept, case, check, check_equal, client_of, endpoint,
    listener, local_of, main, wait_kernel_state, wait_until,
)
from witness.ends import (
    ACTIVE_CLOSE, CLIENT_OPEN, FAMILIES, PASSIVE_CLOSE, SERVER_OPEN, compare, plain,
)

SUBNET = 7


def link(space, name, *what):
    """Adds a device, or skips the case where the kernel has no such kind."""
    done = space.run("ip", "link", "add", "name", name, *what, check=False)
    have = space.run("ip", "-br", "link", "show", check=False)
    if not any(line.split()[0].split("@")[0] == name for line in have.splitlines()):
        kind = what[what.index("type") + 1]
        raise Skip(f"this kernel has no {kind} devices {done.strip()}")


class Stack:
    """The upper device of each end, by one way of stacking; `lower` are the devices below a's."""

    def __init__(self, lab, upper, lower):
        self.lab = lab
        self.upper = upper
        self.lower = lower
        for space, host in ((lab.a, 1), (lab.b, 2)):
            # or the lower device, too, says that the upper one's address is its own
            space.sysctl(ipv4__conf__all__arp_ignore=1)
            space.run("ip", "link", "set", upper, "up")
            lab.address(space, upper, host, subnet=SUBNET)
        wait_until(self._up, "the upper devices do not come up")

    def _up(self):
        return all("LOWER_UP" in space.run("ip", "link", "show", "dev", self.upper)
                   for space in (self.lab.a, self.lab.b))

    def ip(self, space, family):
        host = 1 if space is self.lab.a else 2
        return f"10.9.{SUBNET}.{host}" if family == IPV4 else f"fd09:0:0:{SUBNET}::{host}"


def vlan(lab):
    for space, device in ((lab.a, "v0"), (lab.b, "v1")):
        link(space, "tagged", "link", device, "type", "vlan", "id", "100")
    return Stack(lab, "tagged", ["v0"])


def vlan_in_frame(lab):
    """As vlan(), with the tag in the frame itself: the lower device does not take it aside."""
    for space, device in ((lab.a, "v0"), (lab.b, "v1")):
        space.run("ethtool", "-K", device, "txvlan", "off", "rxvlan", "off")
    return vlan(lab)


def qinq(lab):
    for space, device in ((lab.a, "v0"), (lab.b, "v1")):
        link(space, "outer", "link", device, "type", "vlan", "proto", "802.1ad", "id", "30")
        space.run("ip", "link", "set", "outer", "up")
        link(space, "inner", "link", "outer", "type", "vlan", "id", "40")
    return Stack(lab, "inner", ["v0", "outer"])


def bond(lab):
    lab.join(lab.a, "v2", lab.b, "v3")
    for space, slaves in ((lab.a, ("v0", "v2")), (lab.b, ("v1", "v3"))):
        link(space, "both", "type", "bond", "mode", "active-backup", "miimon", "100")
        for slave in slaves:
            space.run("ip", "link", "set", slave, "down")
            space.run("ip", "link", "set", slave, "master", "both")
            space.run("ip", "link", "set", slave, "up")
    return Stack(lab, "both", ["v0", "v2"])


def bridge(lab):
    for space, device in ((lab.a, "v0"), (lab.b, "v1")):
        link(space, "switch", "type", "bridge", "forward_delay", "0")
        space.run("ip", "link", "set", device, "master", "switch")
    return Stack(lab, "switch", ["v0"])


def macvlan(lab):
    for space, device in ((lab.a, "v0"), (lab.b, "v1")):
        link(space, "own", "link", device, "type", "macvlan", "mode", "bridge")
    return Stack(lab, "own", ["v0"])


KINDS = {kind.__name__: kind for kind in (vlan, vlan_in_frame, qinq, bond, bridge, macvlan)}


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


@contextlib.contextmanager
def watched(kind, *devices_of):
    """(stack, daemon at a) where DEVICES_OF(stack) are watched."""
    with Lab("devices") as lab:
        stack = KINDS[kind](lab)
        flags = [f"--device={name}" for function in devices_of for name in function(stack)]
        with Daemon(lab.a, *flags) as daemon:
            yield stack, daemon


def lives(kind, sightings, *devices_of):
    """A server's and a client's life, each segment of which SIGHTINGS of our devices see."""
    with watched(kind, *devices_of) as (stack, daemon):
        before, base = daemon.settled(), stack.lab.a.snmp()
        for port, family in enumerate(FAMILIES.values(), 7701):
            live(stack, daemon, family, stack.lab.b, port)
            live(stack, daemon, family, stack.lab.a, port)
        after, now = daemon.settled(), stack.lab.a.snmp()

        def moved(name, **labels):
            return after(name, **labels) - before(name, **labels)

        check_equal("opened as server", moved("connections_opened_total", role="server"), 2)
        check_equal("opened as client", moved("connections_opened_total", role="client"), 2)
        check_equal("SYNs received", moved("received_segments_total", kind="syn"), 2 * sightings)
        check_equal("SYN-ACKs received", moved("received_segments_total", kind="synack"),
                    2 * sightings)
        check_equal("segments received", moved("received_segments_total"),
                    sightings * (now["InSegs"] - base["InSegs"]))
        check_equal("segments sent", moved("sent_segments_total"),
                    sightings * (now["OutSegs"] - base["OutSegs"]))
        check_equal("retransmitted", moved("retransmitted_segments_total"), 0)
        check_equal("divergences", daemon.find("divergence_open"), [])
        check_equal("anomalies", [row for row in daemon.find("connection") if row["anomalies"]],
                    [])


def upper(stack):
    return [stack.upper]


def lower(stack):
    return stack.lower


for _kind in KINDS:
    # of a bond's slaves one is active: a segment passes it and the bond
    _layers = {"qinq": 3}.get(_kind, 2)
    case(f"{_kind}, upper", _kind, 1, upper)(lives)
    case(f"{_kind}, lower", _kind, _layers - 1, lower)(lives)
    case(f"{_kind}, both", _kind, _layers, upper, lower)(lives)


if __name__ == "__main__":
    sys.exit(main())
