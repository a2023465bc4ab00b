#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""What the tap or the join cannot see, or sees otherwise than it is: never a divergence. The
number is the row of the taxonomy that a scenario provokes. XDP at a, tcx at b, IPv4 and IPv6.
"""

import os
import socket
import sys

from witness import (
    IPV4, IPV6, Skip, accept, alone, case, check, check_equal, client_of, close_rst, endpoint,
    listener, local_of, main, wait_kernel_state, wait_until,
)
from witness.ends import PORTS, both_ends, each_end, inner_kernel
from witness.scene import Scene, Talk, books_balance
from witness.sockets import FAMILIES

TCP_USER_TIMEOUT = 18
IPPROTO_MPTCP = 262
RACES = 200


@each_end
def redirected(world, end, family):
    """Row 28: nft redirects the port: the wire's tuple has no socket, the socket's no wire."""
    with Scene(world, end, family) as scene:
        door = next(PORTS)
        scene.filter(f"tcp dport {door} redirect to :{scene.port}", chain="prerouting",
                     kind="nat", priority=-100)
        talk = scene.peer.connection(20000 + door, door)
        talk.open()
        sock = scene.accept()
        check_equal("the socket's port", sock.getsockname()[1], scene.port)
        scene.settle()
        talk.send("FA")
        talk.expect("A")
        sock.close()
        talk.expect("FA")
        talk.send("A")
        # by the wire's tuple or by the socket's: joined, or known to be another's business
        ends = wait_until(lambda: scene.daemon.find("connection", remote=talk.me_at),
                          "nothing is told of its end")
        check(all(row["observable"] or row["why"] == "not_local" for row in ends),
              f"why: {[(row['local'], row['why']) for row in ends]}")
        scene.settle()


@each_end
def redirected_and_dropped(world, end, family):
    """Row 28: in trouble, too: what cannot be joined is not judged."""
    with Scene(world, end, family) as scene:
        door = next(PORTS)
        scene.filter(f"tcp dport {door} redirect to :{scene.port}", chain="prerouting",
                     kind="nat", priority=-100)
        talk = scene.peer.connection(20000 + door, door)
        talk.open()
        sock = scene.accept()
        sock.setsockopt(socket.IPPROTO_TCP, TCP_USER_TIMEOUT, 300)
        sock.sendall(b"hello?")
        wait_kernel_state(sock, "CLOSED")
        scene.settle()


@each_end
def untapped(world, end, family):
    """Row 29: over loopback, which is not watched: the kernel moves, the wire is silent."""
    with Scene(world, end, family) as scene:
        sock = scene.own(client_of(scene.space, family, (scene.address, scene.port)))
        server = Talk(endpoint(scene.address, scene.port), local_of(sock))
        client = Talk(server.me_at, server.kernel_at)
        child = scene.accept()
        scene.settle()
        close_rst(sock)
        wait_kernel_state(child, "CLOSED")
        for talk in (server, client):
            scene.expect_end(talk, observable=False, why="untapped")


@each_end
def multipath(world, end, family):
    """Row 30: MPTCP's own socket changes states beside its subflow's: they are not TCP's."""
    kind = FAMILIES[family]
    with Scene(world, end, family, backlog=None) as scene:
        other = world.lab.other(scene.space)
        listening = scene.own(scene.space.socket(kind, protocol=IPPROTO_MPTCP))
        listening.bind((scene.address, scene.port))
        listening.listen(4)
        client = scene.own(other.socket(kind, protocol=IPPROTO_MPTCP))
        client.settimeout(10)
        client.connect((scene.address, scene.port))
        child = scene.own(accept(listening))
        client.sendall(b"over both")
        check_equal("data", child.recv(16), b"over both")
        talk = Talk(endpoint(scene.address, scene.port), local_of(client))
        scene.wait_views(talk, "ESTABLISHED")
        scene.settle()
        client.close()
        check_equal("end of stream", child.recv(16), b"")
        child.close()
        event = scene.expect_end(talk, role="server", observable=True)
        check_equal("kernel's path", event["kernel_path"].count("ESTABLISHED"), 1)


@each_end
def autobound_client(world, end, family):
    """Row 31: the first event has no source port, the last no local one: one connection."""
    with Scene(world, end, family, backlog=None) as scene:
        other, port = world.lab.other(scene.space), next(PORTS)
        target = (world.lab.ip(other, family), port)
        listening = scene.own(listener(other, *target))
        sock = scene.own(client_of(scene.space, family, target))
        child = scene.own(accept(listening))
        talk = Talk(local_of(sock), endpoint(*target))
        child.close()
        wait_kernel_state(sock, "CLOSE_WAIT")
        sock.close()
        event = scene.expect_end(talk, role="client", ended="remote_close", observable=True)
        check_equal("kernel's path", [state for state in event["kernel_path"]
                                      if state not in ("CLOSE", "CLOSED")],
                    ["SYN_SENT", "ESTABLISHED", "CLOSE_WAIT", "LAST_ACK"])


@each_end
def children_of_one_listener(world, end, family):
    """Row 31: up to 6.14 a child's first event has its listener's tuple and cookie: each child is
    one connection all the same, and the listener none."""
    with Scene(world, end, family) as scene:
        talks = [scene.opened()[1] for _ in range(3)]
        scene.settle()
        rows = {ends: row for ends, row in scene.daemon.connections().items()
                if ends[0] == talks[0].kernel_at}
        check_equal("remote ends", sorted(remote for _, remote in rows),
                    sorted(talk.me_at for talk in talks))
        for talk in talks:
            talk.send("R")
            event = scene.expect_end(talk, role="server", ended="remote_reset", observable=True)
            check_equal("kernel's path", inner_kernel(event["kernel_path"]),
                        ["SYN_RECEIVED", "ESTABLISHED"])


def child_that_lost_a_race(world, family):
    """Row 30: two CPUs take the same final ACK at once: each makes a child, and one is thrown away
    (SYN_RECV->CLOSE on a tuple that lives; linux net/ipv4/inet_hashtables.c:inet_ehash_nolisten).
    Behind XDP one CPU at a time polls the queue: there is no race."""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        raise Skip("takes two CPUs")
    with Scene(world, "b", family, backlog=4096) as scene:
        before = scene.daemon.metrics()("duplicate_children_total")
        ports = iter(range(20000, 60000))

        def race():
            talks = [scene.peer.connection(next(ports), scene.port) for _ in range(RACES)]
            for talk in talks:
                talk.send("S")
                talk.expect("SA")
            scene.peer.send_from(cpus, [talk.segment("A") for talk in talks])
            children = [accept(scene.listener) for _ in talks]
            scene.settle()
            rows = scene.daemon.connections()
            for talk in talks:
                row = rows[talk.kernel_at, talk.me_at]
                check_equal("views", (row["wire_state"], row["kernel_state"], row["observable"]),
                            ("ESTABLISHED", "ESTABLISHED", True))
                talk.send("R")
            for child in children:
                wait_kernel_state(child, "CLOSED")
                child.close()
            return scene.daemon.metrics()("duplicate_children_total") > before
        wait_until(race, "no child lost a race", 60)


for _name, _family in (("ipv4", IPV4), ("ipv6", IPV6)):
    case(f"child_that_lost_a_race {_name}", _family)(alone(child_that_lost_a_race))


@each_end
@alone
def lost_behind_the_tap(world, end, family):
    """Row 34: the queueing discipline drops what the tap has seen leave: the FIN never arrives."""
    with Scene(world, end, family) as scene:
        device = world.lab.device(scene.space)
        sock, talk = scene.opened()
        scene.space.run("tc", "qdisc", "replace", "dev", device, "root", "blackhole")
        scene.on_exit(lambda: scene.space.run("tc", "qdisc", "del", "dev", device, "root",
                                              check=False))
        sock.shutdown(socket.SHUT_WR)
        scene.wait_views(talk, "FIN_WAIT_1", "FIN_WAIT1")
        scene.settle()
        check(talk.quiet(0), "the FIN was not dropped")
        scene.space.run("tc", "qdisc", "del", "dev", device, "root")
        talk.expect("FA")
        talk.send("A")
        scene.wait_views(talk, "FIN_WAIT_2", "FIN_WAIT2")


books_balance()


if __name__ == "__main__":
    sys.exit(main(both_ends, threads=12))
