#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Connections whose peer has vanished, and what both views agree on that is worth a look all the
same. The number is the row of the taxonomy that a scenario provokes. XDP at a, tcx at b, IPv4 and
IPv6.
"""

import socket
import sys

from witness import IPV4, check, check_equal, endpoint, main, wait_kernel_state
from witness.ends import each_end
from witness.scene import Scene, Talk, books_balance, ends_with, own_world

TCP_USER_TIMEOUT = 18
MINUTE_S = 75  # a condition must last for one


@each_end
def retransmissions_end(world, end, family):
    """Row 21: nobody acknowledges the data; the kernel gives up and tells nobody."""
    with Scene(world, end, family) as scene:
        sock, talk = scene.opened()
        sock.sendall(b"hello?")
        scene.expect("silent_close", talk, reason="timeout", role="server",
                     wire_state="ESTABLISHED", kernel_state="CLOSE", seconds=30)
        scene.expect_end(talk, "silent_close", ended="timeout")
        scene.expect_closed("silent_close", talk)


@each_end
def user_timeout(world, end, family):
    """Row 21: the same by TCP_USER_TIMEOUT, in CLOSE_WAIT."""
    with Scene(world, end, family) as scene:
        sock, talk = scene.opened()
        talk.send("FA")
        wait_kernel_state(sock, "CLOSE_WAIT")
        sock.setsockopt(socket.IPPROTO_TCP, TCP_USER_TIMEOUT, 500)
        sock.sendall(b"hello?")
        wait_kernel_state(sock, "CLOSED")
        scene.expect("silent_close", talk, reason="timeout", wire_state="CLOSE_WAIT",
                     kernel_state="CLOSE")
        scene.expect_closed("silent_close", talk)


@each_end
def unreachable(world, end, family):
    """Row 21: ICMP says why: a soft error becomes the reason when the timer ends it."""
    with Scene(world, end, family) as scene:
        sock, talk = scene.opened()
        sock.sendall(b"hello?")
        scene.peer.send_unreachable(quoted=talk.any_segment())
        scene.expect("silent_close", talk, reason="unreachable", wire_state="ESTABLISHED",
                     kernel_state="CLOSE", seconds=30)
        scene.expect_closed("silent_close", talk)


@each_end
def keepalive_probes(world, end, family):
    """Row 33: probes (SEQ = SND.NXT - 1) that are answered move nothing."""
    tcp = socket.IPPROTO_TCP
    with Scene(world, end, family) as scene:
        sock, talk = scene.opened()
        for level, name, value in ((tcp, socket.TCP_KEEPIDLE, 1), (tcp, socket.TCP_KEEPINTVL, 1),
                                   (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)):
            sock.setsockopt(level, name, value)
        for _ in range(2):
            probe = talk.any_segment()
            check_equal("a probe's number", probe.seq, (talk.ack - 1) & 0xFFFFFFFF)
            talk.send("A")
        scene.settle()
        row = scene.daemon.connections()[talk.kernel_at, talk.me_at]
        check_equal("path", row["local_path"][-2:], ["SYN_RECEIVED", "ESTABLISHED"])


@each_end
def window_probes(world, end, family):
    """Row 33: so do probes of a closed window."""
    with Scene(world, end, family) as scene:
        sock, talk = scene.opened()
        talk.close_window(sock)
        sock.sendall(bytes(1000))
        for _ in range(2):
            probe = talk.any_segment()
            check_equal("octets of a probe", len(probe.data), 0)
            talk.send("A", window=0)
        scene.settle()
        scene.wait_views(talk, "ESTABLISHED")


@each_end
def application_does_not_close(world, end, family):
    """Row 35: the peer has closed, the application has not: a condition, no divergence."""
    with Scene(world, end, family) as scene:
        sock, talk = scene.opened()
        talk.send("FA")
        wait_kernel_state(sock, "CLOSE_WAIT")
        scene.expect_condition("close_wait_leak", MINUTE_S)


@each_end
def peer_gone(world, end, family):
    """Row 36: nothing is acknowledged any more and the kernel still tries."""
    with Scene(world, end, family) as scene:
        sock, talk = scene.opened()
        sock.setsockopt(socket.IPPROTO_TCP, TCP_USER_TIMEOUT, 90000)
        sock.sendall(b"hello?")
        scene.expect_condition("no_progress", MINUTE_S)


@own_world(tcp_max_tw_buckets=0)
def bucket_table_full(world, end, family):
    """Row 19: tcp_max_tw_buckets=0: nothing stands guard; told once per listener."""
    with Scene(world, end, family) as scene:
        before = scene.space.snmp()["TCPTimeWaitOverflow"]
        first = scene.in_time_wait()
        missing = Talk(first.kernel_at, endpoint("0.0.0.0" if family == IPV4 else "::", 0))
        scene.expect("time_wait_missing", missing, role="server", wire_state="TIME_WAIT")
        for _ in range(3):
            scene.in_time_wait()
        check(scene.space.snmp()["TCPTimeWaitOverflow"] - before >= 4, "no overflow was made")
        scene.settle()
        first.send("FA", seq=first.seq - 1)
        first.expect("R")
        scene.expect_end(first, "time_wait_missing")
    scene.expect_closed("time_wait_missing", missing, seconds=45)


books_balance()


if __name__ == "__main__":
    sys.exit(main(lambda: ends_with(tcp_retries2=3), threads=16))
