# SPDX-License-Identifier: GPL-2.0-only
"""A daemon at either end of one veth pair, and what each must say about one connection.
A capture beside each is replayed in the end: it must tell the same (replayed.py).

At a it captures by XDP, at b by tcx. So a connection is judged twice, as a client's and as a
server's, and with the roles swapped once more by the other capture mode.
"""

import contextlib
import itertools

from .daemon import Daemon
from .lab import IPV4, IPV6, Lab
from .raw import RawPeer
from .replayed import captured
from .runner import Failure, case, check_equal, wait_until
from .sockets import Pair, accept, listener
from .states import inner, inner_kernel

FAMILIES = {"ipv4": IPV4, "ipv6": IPV6}
PORTS = itertools.count(7100)

CLIENT_OPEN = ["SYN_SENT", "ESTABLISHED"]
SERVER_OPEN = ["SYN_RECEIVED", "ESTABLISHED"]
ACTIVE_CLOSE = ["FIN_WAIT_1", "FIN_WAIT_2", "TIME_WAIT"]
PASSIVE_CLOSE = ["CLOSE_WAIT", "LAST_ACK"]


def expect_next_is_judged(lab, daemon):
    """After whatever befell the daemon at a: a connection now is seen whole, and nothing is wrong."""
    pair = Pair(lab, lab.a, IPV4, next(PORTS))
    pair.client.close()
    check_equal("end of stream", pair.server.recv(1), b"")
    pair.server.close()
    event = daemon.wait_event("connection", local=pair.server_at)
    check_equal("the next connection", (event["observable"], event["divergences"]), (True, []))


class World:
    """The two ends, their daemons, and what was put off."""

    def __init__(self, lab, at_a, at_b):
        self.lab = lab
        self.daemons = {lab.a: at_a, lab.b: at_b}
        self.later = []

    def daemon(self, space):
        return self.daemons[space]

    def expect(self, space, local, remote, **want):
        """The event of the connection that ended, checked now."""
        event = self.daemon(space).wait_event("connection", local=local, remote=remote)
        compare(event, want)
        return event

    def expect_later(self, name, space, local, remote, **want):
        """As expect(), at the end. Now: the connection is shown, in TIME_WAIT in both views."""
        daemon = self.daemon(space)

        def shown():
            row = daemon.connections().get((local, remote), {})
            return row.get("wire_state") == row.get("kernel_state") == "TIME_WAIT"
        wait_until(shown, lambda: f"{local} {remote} is not TIME_WAIT in both views: "
                   f"{daemon.connections().get((local, remote))}")
        self.later.append((name, daemon, local, remote, want))


def compare(event, want):
    wrong = []
    for key, value in want.items():
        have = event.get(key)
        if key in ("local_path", "remote_path"):
            have = inner(have)
        elif key == "kernel_path":
            have = inner_kernel(have)
        if isinstance(value, set):
            if have not in value:
                wrong.append(f"{key}={have!r}, expected one of {sorted(value)}")
        elif have != value:
            wrong.append(f"{key}={have!r}, expected {value!r}")
    if wrong:
        raise Failure(f"{event['local']} {event['remote']}: {'; '.join(wrong)}")


def plain(role, local, remote, kernel=None, **rest):
    """Expectations of a connection that nothing is wrong with."""
    return dict(role=role, local_path=local, remote_path=remote,
                kernel_path=local if kernel is None else kernel, divergences=[], anomalies=[],
                observable=True, **rest)


class Moved:
    """What one daemon's counters moved by between two rests."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.before = daemon.settled()
        self.after = None

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.after = self.daemon.settled()

    def __call__(self, name, **labels):
        return self.after(name, **labels) - self.before(name, **labels)

    def expect(self, name, amount, **labels):
        check_equal(f"{name} {labels} moved by", self(name, **labels), amount)

    def path(self, path, views=("wire", "kernel")):
        for view in views:
            for old, new in zip(path, path[1:]):
                self.expect("transitions_total", 1, **{"view": view, "from": old, "to": new})

    def segments(self, **want):
        """segments(sent_syn=1, received_fin=1): of these kinds, exactly so many."""
        for key, amount in want.items():
            way, kind = key.split("_")
            self.expect(f"{way}_segments_total", amount, kind=kind)


def both_ways(function):
    """Registers FUNCTION(world, server_space_name, family) for each direction and family."""
    for name, family in FAMILIES.items():
        for server in "ab":
            case(f"{function.__name__} {name} server={server}", server, family)(function)
    return function


def each_end(function):
    """Registers FUNCTION(world, kernel_space_name, family): a kernel end against a raw peer."""
    for name, family in FAMILIES.items():
        for end in "ab":
            case(f"{function.__name__} {name} at={end}", end, family)(function)
    return function


def space_of(world, name):
    return getattr(world.lab, name)


@contextlib.contextmanager
def watched_pair(world, server_name, family):
    """(pair, client's counters, server's counters) around a connection's whole life."""
    server = space_of(world, server_name)
    client = world.lab.other(server)
    with Moved(world.daemon(client)) as at_client, Moved(world.daemon(server)) as at_server:
        pair = Pair(world.lab, server, family, next(PORTS))
        pair.client_space, pair.server_space = client, server
        yield pair, at_client, at_server
        pair.close()


def expect_open(at_client, at_server):
    """Table A in the counters of both daemons."""
    at_client.expect("connections_opened_total", 1, role="client")
    at_server.expect("connections_opened_total", 1, role="server")
    at_client.expect("handshake_duration_seconds_count", 1, role="client")
    at_server.expect("handshake_duration_seconds_count", 1, role="server")
    at_client.segments(sent_syn=1, received_synack=1)
    at_server.segments(received_syn=1, sent_synack=1)


@contextlib.contextmanager
def raw_server_side(world, end_name, family, options=()):
    """(kernel's accepted socket, raw client's connection, space)."""
    space = space_of(world, end_name)
    port = next(PORTS)
    peer = RawPeer(world.lab, space, family)
    listening = listener(space, world.lab.ip(space, family), port, options=options)
    try:
        talk = peer.connection(20000 + port, port)
        talk.open()
        sock = accept(listening)
        try:
            yield sock, talk, space
        finally:
            sock.close()
    finally:
        listening.close()
        peer.close()


@contextlib.contextmanager
def both_ends(patient=False):
    """World; PATIENT: where segments are counted, none must be sent again."""
    with Lab("life", patient) as lab, captured(lab, lab.a, lab.b) as captures, \
            Daemon(lab.a, device="v0", mode="xdp") as at_a, \
            Daemon(lab.b, device="v1", mode="tcx") as at_b:
        world = World(lab, at_a, at_b)
        world.captures = captures
        yield world
        if captures.recorders:
            captures.compare(world.daemons)
