#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The daemon's counters against the kernel's own, counter by counter, once traffic rests; and
connections by state against ss -tan at ten instants of a run, in both views.

The watched namespace has no TCP but what the test makes: the daemon is asked by its Unix socket.
"""

import socket
import sys

from witness import (
    Daemon, Failure, Lab, Pair, RawPeer, accept, case, check_equal, client_of, close_rst,
    kernel_state, listener, main, wait_kernel_state, wait_until,
)
from witness.daemon import WEB_PORT
from witness.ends import FAMILIES, PORTS


class Run:
    """A growing set of connections at a, in every state there is."""

    def __init__(self, lab, daemon, family):
        self.lab, self.daemon, self.family = lab, daemon, family
        self.address = lab.ip(lab.a, family)
        self.peer = RawPeer(lab, lab.a, family)
        self.port = next(PORTS)
        self.listener = listener(lab.a, self.address, self.port)
        self.held = []
        self.unfinished = []  # what to do to end a raw peer's connection, once
        self.synacks = 0  # seen by raw peers beyond the first of each connection
        self.instants = 0
        self.base, self.before = lab.a.snmp(), daemon.settled()

    def close(self):
        for sock in (*self.held, self.listener):
            sock.close()
        self.peer.close()

    def finish(self):
        """Ends everything: what is left is TIME_WAIT, and silence."""
        for talk, flags in self.unfinished:
            talk.send(flags)
        for sock in self.held:
            if sock.fileno() < 0:
                continue  # closed by its step
            if kernel_state(sock) in ("LAST_ACK", "CLOSING"):
                wait_kernel_state(sock, "CLOSED")
            close_rst(sock)
        self.held.clear()

    def raw(self):
        talk = self.peer.connection(20000 + next(PORTS), self.port)
        talk.open()
        sock = accept(self.listener)
        self.held.append(sock)
        return talk, sock

    def compare_states(self):
        """Both views of the daemon show what ss -tan lists. Nothing moves meanwhile but
        retransmissions, so the daemon is given time to catch up, not luck."""
        want = have = None

        def same():
            nonlocal want, have
            want = self.lab.a.states(skip_ports=(WEB_PORT,))
            now = self.daemon.metrics()
            have = {view: {state: int(count) for state, count in
                           now.by("connections", "state", view=view).items()
                           if state != "LISTEN"}
                    for view in ("wire", "kernel")}
            return have["wire"] == want and have["kernel"] == want
        wait_until(same, lambda: f"instant {self.instants}: ss {want}, daemon {have}")
        self.instants += 1


def pairs_as_server(run):
    run.held += pair_sockets(run, run.lab.a, 5)


def pairs_as_client(run):
    run.held += pair_sockets(run, run.lab.b, 3)


def pair_sockets(run, server_space, amount):
    pairs = [Pair(run.lab, server_space, run.family, next(PORTS)) for _ in range(amount)]
    return [sock for pair in pairs for sock in (pair.client, pair.server)]


def half_open(run):
    """SYN_RECEIVED twice: a request socket each."""
    for _ in range(2):
        talk = run.peer.connection(20000 + next(PORTS), run.port)
        talk.send("S")
        talk.expect("SA")
        run.unfinished.append((talk, "R"))


def connecting(run):
    """SYN_SENT: a silent peer."""
    run.held.append(client_of(run.lab.a, run.family, (run.peer.address, next(PORTS)), timeout=0))


def fin_waits(run):
    """FIN_WAIT_1 (our FIN unanswered) and FIN_WAIT_2, as a full socket and as an orphan."""
    talk, sock = run.raw()
    sock.shutdown(socket.SHUT_WR)
    talk.expect("FA")
    for orphan in (False, True):
        talk, sock = run.raw()
        if orphan:
            sock.close()
        else:
            sock.shutdown(socket.SHUT_WR)
        talk.expect("FA")
        talk.send("A")


def passive_closes(run):
    """CLOSE_WAIT and LAST_ACK."""
    for last in (False, True):
        talk, sock = run.raw()
        talk.send("FA")
        wait_kernel_state(sock, "CLOSE_WAIT")
        if last:
            sock.shutdown(socket.SHUT_WR)
            talk.expect("FA")
            run.unfinished.append((talk, "A"))


def crossing(run):
    """CLOSING."""
    talk, sock = run.raw()
    sock.shutdown(socket.SHUT_WR)
    talk.expect("FA")
    talk.send("FA", ack=talk.ack - 1)
    wait_kernel_state(sock, "CLOSING")
    run.unfinished.append((talk, "A"))


def time_waits(run):
    """TIME_WAIT at a as the server, and one at b that a must not count."""
    for first in ("server", "server", "client"):
        client, server = pair_sockets(run, run.lab.a, 1)
        one, two = (server, client) if first == "server" else (client, server)
        one.close()
        wait_kernel_state(two, "CLOSE_WAIT")
        two.close()


def refusals(run):
    """RSTs both ways: closed ports, aborts, unread data."""
    for target in (run.lab.a, run.lab.b):
        try:
            client_of(run.lab.other(target), run.family,
                      (run.lab.ip(target, run.family), next(PORTS)))
        except ConnectionRefusedError:
            continue
        raise Failure("a closed port accepted")
    for aborts in ("client", "server"):
        client, server = pair_sockets(run, run.lab.a, 1)
        one, two = (client, server) if aborts == "client" else (server, client)
        close_rst(one)
        wait_kernel_state(two, "CLOSED")
        two.close()


def conversation(run):
    """Requests and answers, one segment at a time: GRO has nothing to merge, so that even the
    XDP hook, which comes before it, counts what the stack counts."""
    client, server = pair_sockets(run, run.lab.a, 1)
    for octets in (1, 100, 1000):
        client.sendall(b"q" * octets)
        check_equal("request", len(server.recv(4096)), octets)
        server.sendall(b"a" * octets)
        check_equal("answer", len(client.recv(4096)), octets)
    run.held += (client, server)


STEPS = (pairs_as_server, pairs_as_client, half_open, connecting, fin_waits, passive_closes,
         crossing, time_waits, refusals, conversation)


def compare_counters(run):
    """The table of the issue: (what, the daemon's delta, the kernel's delta)."""
    now, after = run.lab.a.snmp(), run.daemon.settled()

    def kernel(*names):
        return sum(now[name] - run.base[name] for name in names)

    def daemon(name, **labels):
        return int(after(name, **labels) - run.before(name, **labels))

    while True:
        seg = run.peer.receive(lambda seg: seg.flags == "SA", 0)
        if seg is None:
            break
        run.synacks += 1
    # tcp_make_synack() counts a retransmitted SYN-ACK in OutSegs, tcp_rtx_synack() once more
    sent = kernel("OutSegs", "RetransSegs") - run.synacks
    table = (
        ("opened as client = ActiveOpens",
         daemon("connections_opened_total", role="client"), kernel("ActiveOpens")),
        ("opened as server, and duplicates = PassiveOpens",
         daemon("connections_opened_total", role="server") + daemon("duplicate_children_total"),
         kernel("PassiveOpens")),
        ("resets sent = OutRsts", daemon("resets_sent_total"), kernel("OutRsts")),
        ("RST segments sent = OutRsts", daemon("sent_segments_total", kind="rst"),
         kernel("OutRsts")),
        ("segments received = InSegs", daemon("received_segments_total"), kernel("InSegs")),
        ("segments sent = OutSegs + RetransSegs", daemon("sent_segments_total"), sent),
        ("retransmitted = RetransSegs", daemon("retransmitted_segments_total"),
         kernel("RetransSegs")),
    )
    for what, have, want in table:
        print(f"# {what:40} {have:6} {want:6}")
    wrong = [f"{what}: {have} != {want}" for what, have, want in table if have != want]
    if wrong:
        raise Failure("; ".join(wrong))


def compare_records(run):
    """attempted = decoded + rejected + lost + pending, with pending 0 at rest."""
    now = run.daemon.settled()
    for ring in run.daemon.rings(now):
        parts = {name: now(f"records_{name}", ring=ring) for name in (
            "attempted_total", "decoded_total", "rejected_total", "lost_total", "pending")}
        print(f"# {ring}: {parts}")
        check_equal(f"{ring}: pending", parts["pending"], 0)
        check_equal(f"{ring}: lost", parts["lost_total"], 0)
        check_equal(f"{ring}: rejected", parts["rejected_total"], 0)
        check_equal(f"{ring}: attempted", parts["attempted_total"], parts["decoded_total"])


def counters(mode, family):
    # A namespace of its own: what another run left in TIME_WAIT would only be adopted.
    with Lab("count") as lab:
        lab.a.sysctl(tcp_orphan_retries=1)
        count(lab, mode, family)


def count(lab, mode, family):
    with Daemon(lab.a, device="v0", mode=mode) as daemon:
        run = Run(lab, daemon, family)
        try:
            for step in STEPS:
                step(run)
                run.compare_states()
            check_equal("instants compared", run.instants, 10)
            run.finish()
            run.compare_states()
            compare_counters(run)
            compare_records(run)
        finally:
            run.close()
        check_equal("problems", daemon.problems(), [])


for _mode in ("xdp", "tcx"):
    for _name, _family in FAMILIES.items():
        case(f"counters {_name} {_mode}", _mode, _family)(counters)


if __name__ == "__main__":
    sys.exit(main())
