#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Faults of the handshake, and what only looks like one. The number is the row of the taxonomy
that a scenario provokes; test_faults_table.py counts them. XDP at a, tcx at b, IPv4 and IPv6.
"""

import socket
import struct
import sys

from witness import (
    IPV4, check, check_equal, client_of, endpoint, local_of, main, wait_kernel_state, wait_until,
)
from witness.ends import PORTS, each_end
from witness.scene import (
    Scene, Talk, books_balance, ends_with, own_world, real_client,
)

TCP_MD5SIG, TCP_REPAIR, TCP_FASTOPEN, TCP_FASTOPEN_CONNECT = 14, 19, 23, 30
FASTOPEN_BOTH_NO_COOKIE = 0x207  # client and server, and neither asks for a cookie
FASTOPEN = (socket.IPPROTO_TCP, TCP_FASTOPEN, 16)


# -- segments that die before TCP


@each_end
def final_ack_corrupt(world, end, family):
    """Row 3: the final ACK's checksum is wrong; the next one's is right."""
    with Scene(world, end, family) as scene:
        talk = scene.talk()
        talk.send("S")
        talk.expect("SA")
        talk.send("A", corrupt=True)
        scene.expect("segment_filtered", talk, reason="TCP_CSUM", wire_state="ESTABLISHED",
                     kernel_state="NEW_SYN_RECV", role="server")
        talk.send("A")
        scene.accept()
        scene.expect_closed("segment_filtered", talk)


@each_end
def syn_without_signature(world, end, family):
    """Row 3: the listener wants TCP MD5 signatures (RFC 2385) from this peer."""
    with Scene(world, end, family) as scene:
        talk = scene.talk()
        packed = socket.inet_pton(socket.AF_INET if family == IPV4 else socket.AF_INET6,
                                  scene.peer.address)
        address = (struct.pack("=HH", socket.AF_INET, 0) + packed if family == IPV4 else
                   struct.pack("=HHI", socket.AF_INET6, 0, 0) + packed)
        key = address.ljust(128, b"\0") + struct.pack("=BBHi", 0, 0, 6, 0) + b"secret".ljust(80)
        scene.listener.setsockopt(socket.IPPROTO_TCP, TCP_MD5SIG, key)
        talk.send("S")
        scene.expect("segment_filtered", talk, reason="TCP_MD5NOTFOUND")
        forget = key[:130] + struct.pack("=Hi", 0, 0) + bytes(80)
        scene.listener.setsockopt(socket.IPPROTO_TCP, TCP_MD5SIG, forget)
        talk.send("S", seq=talk.seq - 1)
        talk.expect("SA")
        scene.expect_closed("segment_filtered", talk)


# -- requests


@each_end
def request_times_out(world, end, family):
    """Row 7: a SYN, a SYN-ACK, and then silence."""
    with Scene(world, end, family,
               options=[(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)]) as scene:
        talk = scene.talk()
        talk.send("S")
        talk.expect("SA")
        scene.expect("request_expired", talk, wire_state="SYN_RECEIVED")
        scene.expect_end(talk, "request_expired", ended="handshake_timeout", role="server")
        scene.expect_closed("request_expired", talk)


@each_end
def request_unreachable(world, end, family):
    """Row 7: ICMP says that the SYN-ACK cannot be delivered: the request is dropped. Which of the
    two codes says so: linux net/ipv4/tcp_ipv4.c:tcp_v4_err, net/ipv6/icmp.c:tab_unreach."""
    with Scene(world, end, family) as scene:
        talk = scene.talk()
        talk.send("S")
        synack = talk.expect("SA")
        scene.peer.send_unreachable(port=family != IPV4, quoted=synack)
        wait_until(lambda: not scene.space.in_state(scene.port, "SYN_RECEIVED"), "request stays")
        scene.expect("request_expired", talk)
        scene.expect_closed("request_expired", talk)


@each_end
def request_killed(world, end, family):
    """Row 7: ss -K on the request."""
    with Scene(world, end, family) as scene:
        talk = scene.talk()
        talk.send("S")
        talk.expect("SA")
        scene.kill(talk)
        scene.expect("request_expired", talk)
        scene.expect_closed("request_expired", talk)


@each_end
def request_reset(world, end, family):
    """Row 7: the peer's own RST ends the request, in both views."""
    with Scene(world, end, family) as scene:
        talk = scene.talk()
        talk.send("S")
        talk.expect("SA")
        talk.send("R")
        scene.expect_end(talk, ended="remote_reset")
        scene.settle()


@each_end
def request_outlives_its_listener(world, end, family):
    """Row 8: the listener is gone, its request answers until the next segment finds it out."""
    with Scene(world, end, family) as scene, scene.transient("request_outlives_listener"):
        talk = scene.talk()
        talk.send("S")
        # its next timer finds no listener, and it goes: after the fourth that is in eight seconds
        for _ in range(4):
            talk.expect("SA")
        scene.listener.close()
        # a process that another thread has just forked holds it until it executes its program
        wait_until(lambda: not scene.space.in_state(scene.port, "LISTEN"), "it listens on")
        scene.settle()
        talk.send("A")
        talk.expect("R")
        scene.expect_end(talk, ended="local_reset")
        scene.settle()


@each_end
def never_accepted(world, end, family):
    """Row 10: the listener is closed with a connection in its queue."""
    with Scene(world, end, family) as scene:
        talk = scene.talk()
        talk.open()
        wait_until(lambda: scene.space.in_state(scene.port, "ESTABLISHED") == 1, "no child")
        scene.listener.close()
        talk.expect("RA")
        scene.expect("never_accepted", talk, role="server")
        scene.expect_end(talk, "never_accepted", ended="local_reset")
        scene.expect_closed("never_accepted", talk)


# -- fast open


@each_end
def fast_open(world, end, family):
    """Row 9: data in the SYN is accepted before the handshake is complete."""
    with Scene(world, end, family, options=[FASTOPEN]) as scene:
        talk = scene.talk()
        talk.send("S", b"early")
        talk.expect("SA")
        sock = scene.accept()
        check_equal("data of the SYN", sock.recv(16), b"early")
        scene.expect("fast_open", talk, role="server", wire_state="SYN_RECEIVED",
                     kernel_state="SYN_RECV")
        talk.send("A")
        wait_kernel_state(sock, "ESTABLISHED")
        scene.expect_closed("fast_open", talk)
        scene.settle()


@each_end
def fast_open_deferred(world, end, family):
    """Row 24: TCP_FASTOPEN_CONNECT: connect() returns, the SYN waits for the first write."""
    with Scene(world, end, family, backlog=None) as scene:
        sock, talk = scene.connecting([(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)])
        check(talk.quiet(0.2), "the SYN did not wait")
        sock.sendall(b"early")
        check_equal("data of the SYN", talk.expect("S").data, b"early")
        talk.send("SA")
        talk.expect("A")
        scene.settle()


# -- connects


@each_end
def syn_filtered_on_its_way_out(world, end, family):
    """Row 24: an output rule eats the SYN of a connect() from a bound port."""
    with Scene(world, end, family, backlog=None) as scene:
        remove = scene.filter(f"ip{'' if family == IPV4 else '6'} daddr {scene.peer.address} drop",
                              chain="output")
        sock, talk = scene.connecting()
        scene.expect("syn_unsent", talk, role="client", kernel_state="SYN_SENT")
        remove()
        talk.accept()
        wait_kernel_state(sock, "ESTABLISHED")
        scene.expect_closed("syn_unsent", talk)


@each_end
def syn_of_any_port_filtered_on_its_way_out(world, end, family):
    """Row 24: as before, but the port is the kernel's choice: no tracepoint ever tells it."""
    with Scene(world, end, family, backlog=None) as scene:
        remove = scene.filter(f"ip{'' if family == IPV4 else '6'} daddr {scene.peer.address} drop",
                              chain="output")
        sock, talk = scene.connecting(bound=False)
        scene.expect("syn_unsent", talk, role="client", kernel_state="SYN_SENT")
        remove()
        talk.accept()
        wait_kernel_state(sock, "ESTABLISHED")
        scene.expect_closed("syn_unsent", talk)


@each_end
def syn_waits_for_a_neighbour(world, end, family):
    """Row 24: nobody answers for the address: the SYN waits for the neighbour, three seconds, and
    then ICMP of our own ends the connect(). Both views say that nothing left: no divergence."""
    with Scene(world, end, family, backlog=None) as scene:
        nobody = "10.9.0.9" if family == IPV4 else "fd09::9"
        source, port = (scene.address, next(PORTS)), next(PORTS)
        before = scene.daemon.metrics()("connect_failures_total", reason="unreachable")
        sock = scene.own(client_of(scene.space, family, (nobody, port), source, timeout=0))
        scene.settle()
        wait_kernel_state(sock, "CLOSED")
        wait_until(lambda: scene.daemon.metrics()(
            "connect_failures_total", reason="unreachable") > before, "the failure is not counted")


@own_world()
def syn_to_a_neighbour_that_failed(world, end, family):
    """Row 24: nobody is even asked for the address (mcast_solicit=0): the kernel drops SYN after
    SYN, and connect() waits on."""
    with Scene(world, end, family, backlog=None) as scene:
        version, nobody = ("ipv4", "10.9.0.9") if family == IPV4 else ("ipv6", "fd09::9")
        device = world.lab.device(scene.space)
        for way in ("mcast", "ucast", "app"):
            scene.space.sysctl(**{f"{version}__neigh__{device}__{way}_solicit": 0})
        source, port = (scene.address, next(PORTS)), next(PORTS)
        sock = scene.own(client_of(scene.space, family, (nobody, port), source, timeout=0))
        talk = Talk(local_of(sock), endpoint(nobody, port))
        scene.expect("syn_unsent", talk, role="client", kernel_state="SYN_SENT",
                     reason="NEIGH_FAILED")
        scene.space.run("ip", "neigh", "replace", nobody, "lladdr", "02:09:00:00:00:09",
                        "dev", device, "nud", "permanent")
        scene.expect_closed("syn_unsent", talk)


@each_end
def synack_refused(world, end, family):
    """Row 26: a SYN-ACK that acknowledges nothing of ours gets RST, the connect goes on."""
    with Scene(world, end, family, backlog=None) as scene:
        sock, talk = scene.connecting()
        talk.expect("S")
        iss = talk.seq
        talk.send("SA", ack=talk.ack + 1000)
        talk.expect("R")
        scene.expect("synack_refused", talk, role="client", kernel_state="SYN_SENT")
        talk.send("SA", seq=iss)
        talk.expect("A")
        wait_kernel_state(sock, "ESTABLISHED")
        scene.expect_closed("synack_refused", talk)


@each_end
def simultaneous_open(world, end, family):
    """Row 27: SYNs cross; both views pass through SYN_RECEIVED."""
    with Scene(world, end, family, backlog=None) as scene:
        sock, talk = scene.connecting()
        talk.expect("S")
        talk.send("S")
        talk.expect("SA")
        scene.wait_views(talk, "SYN_RECEIVED", "SYN_RECV")
        scene.settle()
        talk.send("SA", seq=talk.seq - 1)
        wait_kernel_state(sock, "ESTABLISHED")
        scene.wait_views(talk, "ESTABLISHED")
        scene.settle()


@each_end
def connect_unreachable(world, end, family):
    """Row 21: ICMP ends a connect: no segment tells, but SYN_SENT is over in both views."""
    with Scene(world, end, family, backlog=None) as scene:
        sock, talk = scene.connecting()
        scene.peer.send_unreachable(port=True, quoted=talk.expect("S"))
        wait_kernel_state(sock, "CLOSED")
        scene.expect_end(talk, role="client", ended="refused")
        scene.settle()


@each_end
def connect_given_up(world, end, family):
    """Row 22: close() in SYN_SENT; a SYN-ACK that comes late gets RST."""
    with Scene(world, end, family, backlog=None) as scene:
        sock, talk = scene.connecting()
        talk.expect("S")
        sock.close()
        scene.expect_end(talk, role="client")
        talk.send("SA")
        talk.expect("R")
        scene.settle()


@each_end
def repair(world, end, family):
    """Row 25: TCP_REPAIR moves a socket without a packet: unobservable, never divergent."""
    with Scene(world, end, family, backlog=None) as scene:
        sock = scene.own(scene.space.socket(
            socket.AF_INET if family == IPV4 else socket.AF_INET6))
        sock.bind((scene.address, scene.port))
        sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
        port = next(PORTS)
        sock.connect((scene.peer.address, port))
        wait_kernel_state(sock, "ESTABLISHED")
        talk = Talk(endpoint(scene.address, scene.port), endpoint(scene.peer.address, port))
        scene.settle()
        sock.close()
        scene.expect_end(talk, observable=False, why="repair")


@each_end
def real_client_of_a_killed_listener(world, end, family):
    """Row 10: the same with a kernel's client, which learns it by the RST."""
    with Scene(world, end, family) as scene:
        sock, talk = real_client(scene)
        wait_until(lambda: scene.space.in_state(scene.port, "ESTABLISHED") == 1, "no child")
        scene.listener.close()
        wait_kernel_state(sock, "CLOSED")
        scene.expect("never_accepted", talk, role="server")
        scene.expect_closed("never_accepted", talk)


books_balance()


if __name__ == "__main__":
    sys.exit(main(lambda: ends_with(tcp_fastopen=FASTOPEN_BOTH_NO_COOKIE), threads=12))
