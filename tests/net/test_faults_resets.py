#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Resets that are not what they seem, and sockets destroyed from outside. The number is the row
of the taxonomy that a scenario provokes. XDP at a, tcx at b, IPv4 and IPv6.
"""

import ctypes
import socket
import sys

from witness import check, check_equal, close_rst, kernel_state, main, wait_kernel_state, wait_until
from witness.ends import both_ends, each_end
from witness.scene import Scene, books_balance, real_client

MANY = 6


@each_end
def reset_inexact(world, end, family):
    """Row 14: a RST in the window, not at RCV.NXT: challenged (RFC 5961 §3), the connection
    lives on."""
    with Scene(world, end, family) as scene:
        sock, talk = scene.opened()
        talk.send("R", seq=talk.seq + 10)
        talk.expect("A")
        scene.expect("reset_ignored", talk, role="server", kernel_state="ESTABLISHED")
        scene.expect_closed("reset_ignored", talk)
        check_equal("the kernel's state", kernel_state(sock), "ESTABLISHED")
        scene.wait_views(talk, "ESTABLISHED")


@each_end
def reset_out_of_window(world, end, family):
    """Row 14: a RST far from the window: not even challenged."""
    with Scene(world, end, family) as scene:
        sock, talk = scene.opened()
        talk.send("R", seq=talk.seq - 100000)
        scene.expect("reset_ignored", talk, role="server", kernel_state="ESTABLISHED")
        scene.expect_closed("reset_ignored", talk)
        check_equal("the kernel's state", kernel_state(sock), "ESTABLISHED")


@each_end
def resets_forged(world, end, family):
    """Row 14: again and again: somebody guesses, or a peer has lost its state."""
    with Scene(world, end, family) as scene:
        sock, talk = scene.opened()
        talk.send("R", seq=talk.seq + 10)
        scene.expect("reset_ignored", talk)
        for number in range(2, MANY):
            talk.send("R", seq=talk.seq + 10 * number)
        row = scene.expect("forged_reset", talk, role="server", kernel_state="ESTABLISHED")
        check(row["evidence"]["repeats"] >= 3, f"repeated RSTs: {row['evidence']}")
        scene.expect_closed("reset_ignored", talk)
        scene.expect_closed("forged_reset", talk, seconds=90)
        check_equal("the kernel's state", kernel_state(sock), "ESTABLISHED")


@each_end
def syn_in_the_middle(world, end, family):
    """Row 14: a SYN in ESTABLISHED is challenged (RFC 5961 §4); neither view moves."""
    with Scene(world, end, family) as scene:
        sock, talk = scene.opened()
        talk.send("S", seq=talk.seq + 10)
        talk.expect("A")
        scene.settle()
        check_equal("the kernel's state", kernel_state(sock), "ESTABLISHED")
        scene.wait_views(talk, "ESTABLISHED")


@each_end
def reset_behind_a_fin(world, end, family):
    """Row 14: at RCV.NXT - 1 behind a FIN: Linux takes it, and so must the reference."""
    with Scene(world, end, family) as scene:
        sock, talk = scene.opened()
        talk.send("FA")
        talk.expect("A")
        wait_kernel_state(sock, "CLOSE_WAIT")
        talk.send("R", seq=talk.seq - 1)
        wait_kernel_state(sock, "CLOSED")
        scene.settle()
        scene.expect_end(talk, role="server")


@each_end
def killed(world, end, family):
    """Rows 22, 23: ss -K: the RST leaves, then the socket closes."""
    with Scene(world, end, family) as scene, scene.transient("reset_before_event"):
        sock, talk = scene.opened()
        scene.kill(talk)
        talk.expect("RA")
        wait_kernel_state(sock, "CLOSED")
        scene.expect("killed", talk, role="server")
        scene.expect_end(talk, "killed", ended="killed")
        scene.expect_closed("killed", talk)


@each_end
def killed_connect(world, end, family):
    """Row 22: ss -K in SYN_SENT: no segment tells."""
    with Scene(world, end, family, backlog=None) as scene:
        sock, talk = scene.connecting()
        talk.expect("S")
        scene.kill(talk)
        wait_kernel_state(sock, "CLOSED")
        scene.expect("killed", talk, role="client")
        scene.expect_closed("killed", talk)


@each_end
def keepalive_gives_up(world, end, family):
    """Rows 22, 23: probes go unanswered, a RST leaves, then the socket closes."""
    tcp = socket.IPPROTO_TCP
    with Scene(world, end, family) as scene:
        sock, talk = scene.opened()
        for level, name, value in ((tcp, socket.TCP_KEEPIDLE, 1), (tcp, socket.TCP_KEEPINTVL, 1),
                                   (tcp, socket.TCP_KEEPCNT, 1),
                                   (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)):
            sock.setsockopt(level, name, value)
        wait_kernel_state(sock, "CLOSED")
        talk.expect("RA")
        scene.expect_end(talk, ended={"timeout", "local_reset"})
        scene.settle()


@each_end
def aborted(world, end, family):
    """Row 22: SO_LINGER 0: the socket closes, then the RST leaves."""
    with Scene(world, end, family) as scene:
        sock, talk = scene.opened()
        close_rst(sock)
        talk.expect("RA")
        scene.expect_end(talk, ended="local_reset")
        scene.settle()


@each_end
def closed_with_unread_data(world, end, family):
    """Row 22: RFC 2525 §2.17: a RST instead of a FIN."""
    with Scene(world, end, family) as scene:
        sock, talk = scene.opened()
        talk.send("PA", b"unread")
        wait_until(lambda: sock.recv(16, socket.MSG_PEEK), "no data")
        sock.close()
        talk.expect("RA")
        scene.expect_end(talk, ended="local_reset")
        scene.settle()


@each_end
def disconnected(world, end, family):
    """Row 22: connect(AF_UNSPEC) resets the peer and leaves the socket usable."""
    with Scene(world, end, family) as scene:
        sock, talk = real_client(scene)
        child = scene.accept()
        disconnect(child)
        wait_kernel_state(sock, "CLOSED")
        scene.expect_end(talk, ended="local_reset", role="server")
        scene.settle()


def disconnect(sock):
    libc = ctypes.CDLL(None, use_errno=True)
    check_equal("connect(AF_UNSPEC)", libc.connect(sock.fileno(), bytes(16), 16), 0)


books_balance()


if __name__ == "__main__":
    sys.exit(main(both_ends, threads=12))
