#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Tables A to E of a connection's life, with real sockets, IPv4 and IPv6, seen from both ends.

A daemon stands at either end of one veth pair: by XDP at a, by tcx at b. So one connection is
judged twice, as a client's and as a server's, and with the roles swapped once more by the other
capture mode. What must be crossed or malformed is sent by a raw peer.

Connections that end through TIME_WAIT end a minute later: their expectations are put off to the
last case, which waits once for all of them.
"""

import contextlib
import errno
import itertools
import socket
import sys
import time

from witness import (
    IPV4, IPV6, Daemon, Failure, Lab, Pair, RawPeer, accept, case, check, check_equal, client_of,
    close_rst, endpoint, kernel_state, listener, local_of, main, wait_kernel_state, wait_until,
)

FAMILIES = {"ipv4": IPV4, "ipv6": IPV6}
PORTS = itertools.count(7100)
LAST_CASE_SECONDS = 75  # the kernel's minisocks last 60 to 64 s after the last segment

RFC_NAMES = {
    "SYN_RECV": "SYN_RECEIVED", "NEW_SYN_RECV": "SYN_RECEIVED", "FIN_WAIT1": "FIN_WAIT_1",
    "FIN_WAIT2": "FIN_WAIT_2", "CLOSE": "CLOSED",
}

CLIENT_OPEN = ["SYN_SENT", "ESTABLISHED"]
SERVER_OPEN = ["SYN_RECEIVED", "ESTABLISHED"]
ACTIVE_CLOSE = ["FIN_WAIT_1", "FIN_WAIT_2", "TIME_WAIT"]
PASSIVE_CLOSE = ["CLOSE_WAIT", "LAST_ACK"]


def inner(path):
    """A path without the CLOSED or LISTEN it came from and the CLOSED it goes to: whether those
    two are named is the event log's choice, the states between them are not."""
    path = list(path)
    while path and path[0] in ("CLOSED", "LISTEN", "CLOSE"):
        path.pop(0)
    while path and path[-1] in ("CLOSED", "CLOSE"):
        path.pop()
    return path


def inner_kernel(path):
    """As inner(), by RFC names; the kernel's two states of a handshake at a server, NEW_SYN_RECV
    (request socket) and SYN_RECV (child), are one."""
    names = [RFC_NAMES.get(name, name) for name in inner(path)]
    return [name for name, _ in itertools.groupby(names)]


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
    for family in FAMILIES:
        for server in "ab":
            case(f"lifecycle {function.__name__} {family} server={server}", server,
                 FAMILIES[family])(function)
    return function


def each_end(function):
    """Registers FUNCTION(world, kernel_space_name, family): a kernel end against a raw peer."""
    for family in FAMILIES:
        for end in "ab":
            case(f"lifecycle {function.__name__} {family} at={end}", end,
                 FAMILIES[family])(function)
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


# -- B and C


def graceful(world, server_name, family, first, how):
    """FIRST ("client" or "server") closes by HOW(socket); the other end follows."""
    name = f"{first} closes first"
    with watched_pair(world, server_name, family) as (pair, at_client, at_server):
        one, two = ((pair.client, pair.server) if first == "client"
                    else (pair.server, pair.client))
        how(one)
        wait_kernel_state(two, "CLOSE_WAIT")
        check_equal("read at the passive end", two.recv(1), b"")
        two.close()
        one.close()
        expect_gone(world, pair, first)
    expect_open(at_client, at_server)
    active, passive = (at_client, at_server) if first == "client" else (at_server, at_client)
    active.segments(sent_fin=1, received_fin=1, sent_rst=0, received_rst=0)
    passive.segments(sent_fin=1, received_fin=1, sent_rst=0, received_rst=0)
    active.path(["ESTABLISHED", *ACTIVE_CLOSE])
    passive.path(["ESTABLISHED", *PASSIVE_CLOSE, "CLOSED"])
    passive.expect("connections_closed_total", 1, how="remote_close")
    opened = {"client": CLIENT_OPEN, "server": SERVER_OPEN}
    other = "server" if first == "client" else "client"
    ends = {"client": (pair.client_space, pair.client_at, pair.server_at),
            "server": (pair.server_space, pair.server_at, pair.client_at)}
    world.expect(*ends[other], **plain(
        other, opened[other] + PASSIVE_CLOSE, opened[first] + ACTIVE_CLOSE,
        ended="remote_close"))
    world.expect_later(name, *ends[first], **plain(
        first, opened[first] + ACTIVE_CLOSE, opened[other] + PASSIVE_CLOSE,
        ended="local_close"))


def expect_gone(world, pair, active):
    """Waits until the kernel holds nothing but the active end's TIME_WAIT."""
    space = pair.client_space if active == "client" else pair.server_space
    port = pair.server_at.rsplit(":", 1)[1]
    for where, want in ((space, ["TIME_WAIT"]), (world.lab.other(space), [])):
        def states():
            return [row[0] for row in where.sockets(f"( sport = :{port} or dport = :{port} )")]
        wait_until(lambda: states() == want, lambda: f"sockets are {states()}, not {want}")


@both_ways
def client_closes_first(world, server, family):
    graceful(world, server, family, "client", socket.socket.close)


@both_ways
def server_closes_first(world, server, family):
    graceful(world, server, family, "server", socket.socket.close)


@both_ways
def client_half_closes(world, server, family):
    """shutdown(SHUT_WR): a full socket in FIN_WAIT2, not an orphan's minisock."""
    graceful(world, server, family, "client", lambda sock: sock.shutdown(socket.SHUT_WR))


@both_ways
def data_then_close(world, server, family):
    """Payload both ways, super-packets included; the last octets carry the FIN."""
    with watched_pair(world, server, family) as (pair, at_client, at_server):
        pair.client.sendall(b"request")
        check_equal("request", pair.server.recv(100), b"request")
        pair.server.sendall(b"x" * 200_000)
        pair.server.close()
        got = 0
        while True:
            data = pair.client.recv(65536)
            if not data:
                break
            got += len(data)
        check_equal("octets read", got, 200_000)
        pair.client.close()
        expect_gone(world, pair, "server")
    expect_open(at_client, at_server)
    check(at_server("sent_segments_total", kind="data") >= 100_000 // 1500,
          "super-packets must be counted by the segments they become")
    check(at_client("received_segments_total", kind="data") > 0, "no data segment received")
    world.expect(pair.client_space, pair.client_at, pair.server_at, **plain(
        "client", CLIENT_OPEN + PASSIVE_CLOSE, SERVER_OPEN + ACTIVE_CLOSE, ended="remote_close"))
    world.expect_later("data", pair.server_space, pair.server_at, pair.client_at, **plain(
        "server", SERVER_OPEN + ACTIVE_CLOSE, CLIENT_OPEN + PASSIVE_CLOSE, ended="local_close"))


# -- D, with a raw peer


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


@each_end
def simultaneous_close(world, end, family):
    with raw_server_side(world, end, family) as (sock, talk, space):
        sock.close()
        talk.expect("FA")
        talk.send("FA", ack=talk.ack - 1)  # their FIN has not reached us yet
        talk.expect("A")
        talk.send("A")
    closing = ["FIN_WAIT_1", "CLOSING", "TIME_WAIT"]
    world.expect_later("simultaneous close", space, talk.kernel_at, talk.me_at, **plain(
        "server", SERVER_OPEN + closing, CLIENT_OPEN + closing, ended="simultaneous_close"))


@each_end
def simultaneous_open(world, end, family):
    space, port = space_of(world, end), next(PORTS)
    peer = RawPeer(world.lab, space, family)
    try:
        with Moved(world.daemon(space)) as moved:
            sock = client_of(space, family, (peer.address, port), timeout=0,
                             source=(world.lab.ip(space, family), port))
            talk = peer.connection(port, port)
            talk.expect("S")
            talk.send("S")
            talk.expect("SA")
            talk.send("SA", seq=talk.seq - 1)
            wait_kernel_state(sock, "ESTABLISHED")
            talk.expect("A")
            talk.send("RA")
            wait_kernel_state(sock, "CLOSED")
            sock.close()
    finally:
        peer.close()
    path = ["SYN_SENT", "SYN_RECEIVED", "ESTABLISHED"]
    moved.path([*path, "CLOSED"])
    moved.expect("connections_opened_total", 1, role="client")
    world.expect(space, talk.kernel_at, talk.me_at, **plain(
        "client", path, path, ended="remote_reset"))


# -- E: resets


def reset_by_close(world, server_name, family, who, prepare, end):
    """WHO's END(socket) sends an RST in ESTABLISHED, after PREPARE(that socket, the other)."""
    with watched_pair(world, server_name, family) as (pair, at_client, at_server):
        one, two = ((pair.client, pair.server) if who == "client"
                    else (pair.server, pair.client))
        prepare(one, two)
        end(one)
        wait_kernel_state(two, "CLOSED")
    expect_open(at_client, at_server)
    sender, receiver = (at_client, at_server) if who == "client" else (at_server, at_client)
    sender.segments(sent_rst=1, sent_fin=0, received_fin=0)
    receiver.segments(received_rst=1, sent_fin=0, received_fin=0)
    sender.expect("resets_sent_total", 1)
    receiver.expect("resets_received_total", 1)
    for moved, how in ((sender, "local_reset"), (receiver, "remote_reset")):
        moved.expect("connections_closed_total", 1, how=how)
        moved.path(["ESTABLISHED", "CLOSED"])
    for role, space, here, there in (
            ("client", pair.client_space, pair.client_at, pair.server_at),
            ("server", pair.server_space, pair.server_at, pair.client_at)):
        paths = (CLIENT_OPEN, SERVER_OPEN) if role == "client" else (SERVER_OPEN, CLIENT_OPEN)
        world.expect(space, here, there, **plain(
            role, *paths, ended="local_reset" if role == who else "remote_reset"))


def unread_data(one, two):
    two.sendall(b"never read")
    wait_until(lambda: readable(one) == len(b"never read"), "data did not arrive")


def readable(sock):
    return len(sock.recv(4096, socket.MSG_PEEK | socket.MSG_DONTWAIT))


@both_ways
def client_aborts(world, server, family):
    reset_by_close(world, server, family, "client", lambda *_: None, close_rst)


@both_ways
def server_aborts(world, server, family):
    reset_by_close(world, server, family, "server", lambda *_: None, close_rst)


@both_ways
def client_closes_with_unread_data(world, server, family):
    reset_by_close(world, server, family, "client", unread_data, socket.socket.close)


@both_ways
def server_closes_with_unread_data(world, server, family):
    reset_by_close(world, server, family, "server", unread_data, socket.socket.close)


@both_ways
def killed_by_operator(world, server, family):
    """ss -K: tcp_abort(), an RST and ECONNABORTED."""
    with watched_pair(world, server, family) as (pair, at_client, at_server):
        port = pair.server_at.rsplit(":", 1)[1]
        pair.client_space.run("ss", "-K", f"( dport = :{port} )")
        wait_kernel_state(pair.server, "CLOSED")
    expect_open(at_client, at_server)
    world.expect(pair.client_space, pair.client_at, pair.server_at, **plain(
        "client", CLIENT_OPEN, SERVER_OPEN, ended="killed"))
    world.expect(pair.server_space, pair.server_at, pair.client_at, **plain(
        "server", SERVER_OPEN, CLIENT_OPEN, ended="remote_reset"))


@both_ways
def closed_port(world, server_name, family):
    """A SYN to a port without a listener: refused at the client, a stray segment at the server."""
    server = space_of(world, server_name)
    client, port = world.lab.other(server), next(PORTS)
    address = world.lab.ip(server, family)
    with Moved(world.daemon(client)) as at_client, Moved(world.daemon(server)) as at_server:
        source = (world.lab.ip(client, family), next(PORTS))
        try:
            client_of(client, family, (address, port), source=source)
        except ConnectionRefusedError:
            pass
        else:
            raise Failure("a closed port accepted")
    at_client.expect("connect_failures_total", 1, reason="refused")
    at_client.expect("connections_opened_total", 1, role="client")
    at_client.expect("connections_closed_total", 1, how="refused")
    at_client.expect("resets_received_total", 1)
    at_client.path(["SYN_SENT", "CLOSED"])
    at_server.expect("resets_sent_total", 1)
    at_server.expect("connections_opened_total", 0)
    at_server.segments(received_syn=1, sent_rst=1)
    check_equal("divergences at the closed port", at_server("divergences_total"), 0)
    world.expect(client, endpoint(*source), endpoint(address, port), **plain(
        "client", ["SYN_SENT"], [], ended="refused"))


@both_ways
def listener_closes_with_a_child_unaccepted(world, server_name, family):
    server = space_of(world, server_name)
    client, port = world.lab.other(server), next(PORTS)
    address = world.lab.ip(server, family)
    listening = listener(server, address, port)
    sock = client_of(client, family, (address, port))
    here = local_of(sock)
    wait_until(lambda: [row for row in server.sockets(f"( sport = :{port} )")
                        if row[0] == "ESTABLISHED"], "no child")
    listening.close()
    wait_kernel_state(sock, "CLOSED")
    sock.close()
    world.expect(server, endpoint(address, port), here, **plain(
        "server", SERVER_OPEN, CLIENT_OPEN, ended="local_reset"))
    world.expect(client, here, endpoint(address, port), **plain(
        "client", CLIENT_OPEN, SERVER_OPEN, ended="remote_reset"))


def no_step(_sock, _talk):
    pass


def peer_fin(sock, talk):
    talk.send("FA")
    wait_kernel_state(sock, "CLOSE_WAIT")
    talk.expect("A")


def our_fin(sock, talk):
    sock.shutdown(socket.SHUT_WR)
    talk.expect("FA")


def our_fin_acked(sock, talk):
    our_fin(sock, talk)
    talk.send("A")
    wait_kernel_state(sock, "FIN_WAIT_2")


def our_fin_crossed(sock, talk):
    our_fin(sock, talk)
    talk.send("FA", ack=talk.ack - 1)
    wait_kernel_state(sock, "CLOSING")
    talk.expect("A")


def both_fins(sock, talk):
    peer_fin(sock, talk)
    our_fin(sock, talk)


# state of the kernel's end when the peer's RST comes: (steps to it, its path, the peer's path)
RESET_STATES = {
    "ESTABLISHED": (no_step, [], []),
    "FIN_WAIT_1": (our_fin, ["FIN_WAIT_1"], None),
    "FIN_WAIT_2": (our_fin_acked, ["FIN_WAIT_1", "FIN_WAIT_2"], ["CLOSE_WAIT"]),
    "CLOSE_WAIT": (peer_fin, ["CLOSE_WAIT"], ["FIN_WAIT_1", "FIN_WAIT_2"]),
    "CLOSING": (our_fin_crossed, ["FIN_WAIT_1", "CLOSING"], None),
    "LAST_ACK": (both_fins, ["CLOSE_WAIT", "LAST_ACK"], None),
}


def reset_in(world, end, family, state):
    steps, path, peer_path = RESET_STATES[state]
    with raw_server_side(world, end, family) as (sock, talk, space), \
            Moved(world.daemon(space)) as moved:
        steps(sock, talk)
        check_equal("the kernel's state", kernel_state(sock), state)
        talk.send("R")
        wait_kernel_state(sock, "CLOSED")
    moved.expect("resets_received_total", 1)
    moved.path([state, "CLOSED"])
    want = plain("server", SERVER_OPEN + path, [], ended="remote_reset")
    if peer_path is None:
        del want["remote_path"]  # whether our FIN arrived before it reset cannot be known
    else:
        want["remote_path"] = CLIENT_OPEN + peer_path
    world.expect(space, talk.kernel_at, talk.me_at, **want)


for _family in FAMILIES:
    for _state in RESET_STATES:
        for _end in "ab":
            case(f"lifecycle reset in {_state} {_family} at={_end}", _end, FAMILIES[_family],
                 _state)(reset_in)


@each_end
def reset_in_syn_received(world, end, family):
    space, port = space_of(world, end), next(PORTS)
    peer = RawPeer(world.lab, space, family)
    listening = listener(space, world.lab.ip(space, family), port)
    try:
        with Moved(world.daemon(space)) as moved:
            talk = peer.connection(20000 + port, port)
            talk.send("S")
            talk.expect("SA")
            talk.send("R")
            wait_until(lambda: not [row for row in space.sockets(f"( sport = :{port} )")
                                    if row[0] == "SYN_RECEIVED"], "the request survives the RST")
    finally:
        listening.close()
        peer.close()
    moved.expect("connections_opened_total", 0, role="server")
    world.expect(space, talk.kernel_at, talk.me_at, **plain(
        "server", ["SYN_RECEIVED"], ["SYN_SENT"], ended="remote_reset"))


@each_end
def reset_in_time_wait(world, end, family):
    """RFC 1337's assassination, which Linux allows by default."""
    with raw_server_side(world, end, family) as (sock, talk, space):
        sock.close()
        talk.expect("FA")
        talk.send("FA")
        talk.expect("A")
        talk.send("R")
        port = talk.kernel_port
        wait_until(lambda: not [row for row in space.sockets(f"( sport = :{port} )")
                                if row[0] == "TIME_WAIT"], "TIME_WAIT survives the RST")
    event = world.expect(space, talk.kernel_at, talk.me_at, role="server", observable=True,
                         local_path=SERVER_OPEN + ACTIVE_CLOSE)
    check(not [kind for kind in event["divergences"] if kind != "time_wait_assassinated"],
          f"divergences {event['divergences']}")


@each_end
def bad_sequences(world, end, family):
    """RFC 5961: a blind RST in the window, a SYN, an ACK of the future: all survive."""
    with raw_server_side(world, end, family) as (sock, talk, space):
        talk.send("R", seq=talk.seq + 100)
        talk.send("R", seq=talk.seq - 100_000)
        talk.send("S", seq=talk.seq + 5)
        talk.send("A", ack=talk.ack + 100_000)
        talk.send("FA", seq=talk.seq + 900_000)
        talk.send("PA", b"alive")
        check_equal("what was read", sock.recv(10), b"alive")
        check_equal("the kernel's state", kernel_state(sock), "ESTABLISHED")
        daemon = world.daemon(space)
        daemon.settled()
        row = daemon.connections()[(talk.kernel_at, talk.me_at)]
        check_equal("wire state", row["wire_state"], "ESTABLISHED")
        talk.send("R")
        wait_kernel_state(sock, "CLOSED")
    world.expect(space, talk.kernel_at, talk.me_at, role="server", ended="remote_reset",
                 local_path=SERVER_OPEN, kernel_path=SERVER_OPEN, divergences=[],
                 observable=True)


@each_end
def bad_ack_in_syn_sent(world, end, family):
    """A SYN-ACK that acknowledges nonsense: an RST goes out, the state stays SYN_SENT."""
    space, port = space_of(world, end), next(PORTS)
    peer = RawPeer(world.lab, space, family)
    try:
        with Moved(world.daemon(space)) as moved:
            sock = client_of(space, family, (peer.address, port), timeout=0)
            local = local_of(sock)
            talk = peer.connection(port, sock.getsockname()[1])
            talk.expect("S")
            iss = talk.seq
            talk.send("SA", ack=talk.ack + 1000)
            talk.expect("R")
            talk.send("SA", seq=iss)
            wait_kernel_state(sock, "ESTABLISHED")
            talk.expect("A")
            close_rst(sock)
            talk.expect("RA")
    finally:
        peer.close()
    moved.expect("resets_sent_total", 2)
    moved.expect("connections_opened_total", 1, role="client")
    world.expect(space, local, talk.me_at, role="client", ended="local_reset",
                 local_path=CLIENT_OPEN, kernel_path=CLIENT_OPEN, divergences=[],
                 observable=True)


# -- E: timeouts


@each_end
def connect_times_out(world, end, family):
    """A silent peer, TCP_SYNCNT 1: the client gives up, nothing on the wire says so."""
    space, port = space_of(world, end), next(PORTS)
    peer = RawPeer(world.lab, space, family)
    try:
        with Moved(world.daemon(space)) as moved:
            source = (world.lab.ip(space, family), next(PORTS))
            try:
                client_of(space, family, (peer.address, port), source=source, timeout=30,
                          options=[(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)])
            except TimeoutError:
                pass
            else:
                raise Failure("a silent peer accepted")
    finally:
        peer.close()
    moved.expect("connect_failures_total", 1, reason="timeout")
    check(moved("retransmitted_segments_total", kind="syn") >= 1, "no SYN retransmission")
    world.expect(space, endpoint(*source), endpoint(peer.address, port), role="client",
                 local_path=["SYN_SENT"], remote_path=[], kernel_path=["SYN_SENT"],
                 ended="handshake_timeout", observable=True)


@each_end
def handshake_times_out(world, end, family):
    """A SYN and then silence, tcp_synack_retries 1: the request socket vanishes without a word."""
    space, port = space_of(world, end), next(PORTS)
    space.sysctl(tcp_synack_retries=1)
    peer = RawPeer(world.lab, space, family)
    listening = listener(space, world.lab.ip(space, family), port)
    try:
        with Moved(world.daemon(space)) as moved:
            talk = peer.connection(20000 + port, port)
            talk.send("S")
            talk.expect("SA")
            talk.expect("SA")
            wait_until(lambda: not [row for row in space.sockets(f"( sport = :{port} )")
                                    if row[0] == "SYN_RECEIVED"], "the request stays", 15)
            event = world.expect(space, talk.kernel_at, talk.me_at, role="server",
                                 local_path=["SYN_RECEIVED"], kernel_path=["SYN_RECEIVED"],
                                 ended="handshake_timeout", observable=True)
    finally:
        listening.close()
        peer.close()
        space.sysctl(tcp_synack_retries=5)
    check_equal("divergences", event["divergences"], [])
    moved.expect("connections_opened_total", 0, role="server")
    check(moved("retransmitted_segments_total", kind="synack") >= 1, "no retransmission")


@each_end
def keepalive_gives_up(world, end, family):
    """The peer is gone: keepalive probes go unanswered, then an RST and ETIMEDOUT."""
    tcp = socket.IPPROTO_TCP
    with raw_server_side(world, end, family) as (sock, talk, space):
        for level, name, value in ((tcp, socket.TCP_KEEPIDLE, 1), (tcp, socket.TCP_KEEPINTVL, 1),
                                   (tcp, socket.TCP_KEEPCNT, 1),
                                   (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)):
            sock.setsockopt(level, name, value)
        wait_kernel_state(sock, "CLOSED")
        check_equal("socket error", sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR),
                    errno.ETIMEDOUT)
    world.expect(space, talk.kernel_at, talk.me_at, role="server", local_path=SERVER_OPEN,
                 kernel_path=SERVER_OPEN, ended={"timeout", "local_reset"}, divergences=[],
                 observable=True)


@each_end
def time_wait_reused(world, end, family):
    """A new SYN on a TIME_WAIT tuple: the old life ends, a new one starts."""
    space, port = space_of(world, end), next(PORTS)
    peer = RawPeer(world.lab, space, family)
    listening = listener(space, world.lab.ip(space, family), port)
    try:
        talk = peer.connection(20000 + port, port)
        talk.open()
        accept(listening).close()
        talk.expect("FA")
        talk.send("FA")
        talk.expect("A")
        again = peer.connection(20000 + port, port, seq=talk.seq + 500_000)
        again.open()
        sock = accept(listening)
        again.send("R")
        wait_kernel_state(sock, "CLOSED")
        sock.close()
    finally:
        listening.close()
        peer.close()
    daemon = world.daemon(space)
    wait_until(lambda: len(daemon.find("connection", local=talk.kernel_at,
                                       remote=talk.me_at)) == 2, "not two lives")
    first, second = daemon.find("connection", local=talk.kernel_at, remote=talk.me_at)
    compare(first, dict(role="server", local_path=SERVER_OPEN + ACTIVE_CLOSE, observable=True))
    compare(second, plain("server", SERVER_OPEN, CLIENT_OPEN, ended="remote_reset"))


# -- the end


@case("lifecycle no divergence of class problem so far")
def nothing_wrong(world):
    for space, daemon in world.daemons.items():
        rows = [(row["kind"], row["local"], row["remote"]) for row in daemon.problems()]
        check(not rows, f"{space.name}: {rows}")


@case("lifecycle time_wait ends")
def time_wait_ends(world):
    check(world.later, "nothing went through TIME_WAIT")
    deadline = time.monotonic() + LAST_CASE_SECONDS
    wrong = []
    for name, daemon, local, remote, want in world.later:
        try:
            event = daemon.wait_event("connection", max(deadline - time.monotonic(), 1),
                                      local=local, remote=remote)
            compare(event, want)
        except Failure as why:
            wrong.append(f"{name}: {why}")
    check(not wrong, f"{len(wrong)} of {len(world.later)}: " + " | ".join(wrong[:4]))


@case("lifecycle flow tables are empty")
def tables_empty(world):
    for space, daemon in world.daemons.items():
        wait_until(lambda: daemon.metrics()("flow_table_entries") == 0,
                   lambda: f"{space.name}: {list(daemon.connections())[:5]}", 15)


@contextlib.contextmanager
def both_ends():
    with Lab("life") as lab, \
            Daemon(lab.a, device="v0", mode="xdp") as at_a, \
            Daemon(lab.b, device="v1", mode="tcx") as at_b:
        yield World(lab, at_a, at_b)


if __name__ == "__main__":
    sys.exit(main(both_ends))
