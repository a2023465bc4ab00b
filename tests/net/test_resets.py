#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Table E of a connection's life: resets from either side in any state, and their causes; and
the deaths that no segment tells of. IPv4 and IPv6, seen from both ends.
"""

import errno
import socket
import sys

from witness import (
    Failure, RawPeer, case, check, check_equal, client_of, close_rst, endpoint, kernel_state,
    listener, local_of, main, wait_kernel_state, wait_until,
)
from witness.ends import (
    ACTIVE_CLOSE, CLIENT_OPEN, FAMILIES, PORTS, SERVER_OPEN, Moved, both_ends, both_ways, each_end,
    expect_open, plain, raw_server_side, space_of, watched_pair,
)


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
        "client", CLIENT_OPEN, SERVER_OPEN, ended="killed") | {"divergences": ["killed"]})
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
    wait_until(lambda: server.in_state(port, "ESTABLISHED"), "no child")
    listening.close()
    wait_kernel_state(sock, "CLOSED")
    sock.close()
    world.expect(server, endpoint(address, port), here, **plain(
        "server", SERVER_OPEN, CLIENT_OPEN,
        ended="local_reset") | {"divergences": ["never_accepted"]})
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
            case(f"reset in {_state} {_family} at={_end}", _end, FAMILIES[_family],
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
            wait_until(lambda: not space.in_state(port, "SYN_RECEIVED"), "the request survives the RST")
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
        wait_until(lambda: not space.in_state(port, "TIME_WAIT"), "TIME_WAIT survives the RST")
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
                 local_path=CLIENT_OPEN, kernel_path=CLIENT_OPEN,
                 divergences=["synack_refused"], observable=True)


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
            wait_until(lambda: not space.in_state(port, "SYN_RECEIVED"), "the request stays")
            event = world.expect(space, talk.kernel_at, talk.me_at, role="server",
                                 local_path=["SYN_RECEIVED"], kernel_path=["SYN_RECEIVED"],
                                 ended="handshake_timeout", observable=True)
    finally:
        listening.close()
        peer.close()
        space.sysctl(tcp_synack_retries=5)
    check_equal("divergences", event["divergences"], ["request_expired"])
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


@case("no divergence of class problem so far")
def nothing_wrong(world):
    for space, daemon in world.daemons.items():
        rows = [(row["kind"], row["local"], row["remote"]) for row in daemon.problems()]
        check(not rows, f"{space.name}: {rows}")


if __name__ == "__main__":
    sys.exit(main(lambda: both_ends(patient=True)))
