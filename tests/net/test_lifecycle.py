#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Tables A to D of a connection's life, with real sockets, IPv4 and IPv6, seen from both ends.

What must be crossed is sent by a raw peer. Connections that end through TIME_WAIT end a minute
later: their expectations are put off to the last cases, which wait once for all of them.
"""

import concurrent.futures
import socket
import sys
import time

from witness import (
    Failure, RawPeer, accept, case, check, check_equal, client_of, listener, main,
    wait_kernel_state, wait_until,
)
from witness.ends import (
    ACTIVE_CLOSE, CLIENT_OPEN, PASSIVE_CLOSE, PORTS, SERVER_OPEN, Moved, both_ends, both_ways,
    compare, each_end, expect_open, plain, raw_server_side, space_of, watched_pair,
)

LAST_CASE_SECONDS = 75  # the kernel's minisocks last 60 to 64 s after the last segment


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
            return [row[0] for row in where.sockets(port)]
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

        def answer():
            pair.server.sendall(b"x" * 200_000)
            pair.server.close()

        # more than the two buffers may hold: somebody has to read meanwhile
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            answered = pool.submit(answer)
            got = 0
            while data := pair.client.recv(65536):
                got += len(data)
            answered.result()
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


@case("no divergence of class problem so far")
def nothing_wrong(world):
    for space, daemon in world.daemons.items():
        rows = [(row["kind"], row["local"], row["remote"]) for row in daemon.problems()]
        check(not rows, f"{space.name}: {rows}")


@case("time_wait ends")
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


@case("flow tables are empty")
def tables_empty(world):
    for space, daemon in world.daemons.items():
        wait_until(lambda: daemon.metrics()("flow_table_entries") == 0,
                   lambda: f"{space.name}: {list(daemon.connections())[:5]}")


if __name__ == "__main__":
    sys.exit(main(lambda: both_ends(patient=True)))
