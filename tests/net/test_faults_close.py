#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Faults of the end of a connection: FINs that TCP does not take, that cannot leave, that nobody
answers; owners that hold the lock. The number is the row of the taxonomy that a scenario
provokes. XDP at a, tcx at b, IPv4 and IPv6.
"""

import socket
import struct
import sys

from witness import (
    check, check_equal, close_rst, main, wait_kernel_state, wait_until,
)
from witness.ends import each_end
from witness.scene import Scene, books_balance, ends_with
from witness.stuck import HeldSocket

TCP_LINGER2 = 8
MINUS_ONE = struct.pack("i", -1)
LATER_S = 60.0


def timestamps(value, echo=0):
    return b"\x01\x01\x08\x0a" + struct.pack("!II", value, echo)


# -- FINs that TCP does not take


@each_end
def fin_ahead_of_data(world, end, family):
    """Row 13: the data before the FIN is missing, and the FIN comes again and again."""
    with Scene(world, end, family) as scene:
        sock, talk = scene.opened()
        fin = talk.seq + 100
        for _ in range(4):
            talk.send("FA", seq=fin)
            talk.expect("A")
            scene.settle()
        row = scene.expect("fin_unprocessed", talk, role="server", kernel_state="ESTABLISHED")
        check(row["evidence"]["repeats"] >= 2, f"repeated FINs: {row['evidence']}")
        talk.send("PA", bytes(100))
        wait_kernel_state(sock, "CLOSE_WAIT")
        scene.expect_closed("fin_unprocessed", talk)


@each_end
def fin_waits_for_data_a_moment(world, end, family):
    """Row 13: the data comes late, once: the FIN waited, that is all."""
    with Scene(world, end, family) as scene, scene.transient("fin_waited"):
        sock, talk = scene.opened()
        talk.send("FA", seq=talk.seq + 100)
        talk.expect("A")
        talk.send("PA", bytes(100))
        wait_kernel_state(sock, "CLOSE_WAIT")
        talk.seq += 1
        scene.settle()
        scene.wait_views(talk, "CLOSE_WAIT")


@each_end
def fin_older_than_the_last(world, end, family):
    """Row 13: PAWS (RFC 7323 §5): the FIN's timestamp is older than that of the data before it,
    which the tap only counts."""
    with Scene(world, end, family) as scene:
        talk = scene.talk()
        talk.send("S", options=timestamps(1000000))
        talk.expect("SA")
        talk.send("A", options=timestamps(1000000))
        sock = scene.accept()
        talk.send("PA", b"new", options=timestamps(2000000))
        wait_until(lambda: sock.recv(16, socket.MSG_PEEK), "no data")
        for _ in range(4):
            talk.send("FA", seq=talk.seq, options=timestamps(1500000))
            scene.settle()
        scene.expect("fin_unprocessed", talk, role="server", kernel_state="ESTABLISHED")
        talk.send("FA", options=timestamps(2000001))
        wait_kernel_state(sock, "CLOSE_WAIT")
        scene.expect_closed("fin_unprocessed", talk)


@each_end
def fin_corrupt(world, end, family):
    """Row 13: the FIN's checksum is wrong: it never reaches TCP."""
    with Scene(world, end, family) as scene:
        sock, talk = scene.opened()
        talk.send("FA", seq=talk.seq, corrupt=True)
        scene.expect("segment_filtered", talk, reason="TCP_CSUM", wire_state="CLOSE_WAIT",
                     kernel_state="ESTABLISHED")
        talk.send("FA")
        wait_kernel_state(sock, "CLOSE_WAIT")
        scene.expect_closed("segment_filtered", talk)


@each_end
def fin_twice_in_time_wait(world, end, family):
    """Row 33: a retransmitted FIN, answered by TIME_WAIT, moves nothing."""
    with Scene(world, end, family) as scene:
        sock, talk = scene.opened()
        sock.close()
        talk.expect("FA")
        talk.send("FA")
        talk.expect("A")
        scene.wait_views(talk, "TIME_WAIT")
        before = scene.daemon.connections()[talk.kernel_at, talk.me_at]
        for _ in range(3):
            talk.send("FA", seq=talk.seq - 1)
            talk.expect("A")
        scene.settle()
        after = scene.daemon.connections()[talk.kernel_at, talk.me_at]
        check_equal("paths", after["local_path"], before["local_path"])


# -- FINs that cannot leave


def close_behind_a_closed_window(scene, peer_closes=False):
    """(socket, talk): the peer's window is 0, data waits, and the socket is shut down."""
    sock, talk = scene.opened()
    talk.close_window(sock)
    if peer_closes:
        talk.send("FA", window=0)
        wait_kernel_state(sock, "CLOSE_WAIT")
    sock.sendall(bytes(1000))
    sock.shutdown(socket.SHUT_WR)
    return sock, talk


def open_the_window(talk, sock, state):
    """What it lets out may be lost on a busy machine; the window's probes are far apart by then."""
    talk.send("A")
    while "F" not in talk.take(talk.any_segment(LATER_S)).flags:
        talk.send("A")
    talk.send("A")
    wait_kernel_state(sock, state)


@each_end
def fin_queued(world, end, family):
    """Row 16: closed behind a window of 0: FIN_WAIT_1 in the kernel, nothing on the wire."""
    with Scene(world, end, family) as scene:
        sock, talk = close_behind_a_closed_window(scene)
        scene.expect("fin_queued", talk, role="server", wire_state="ESTABLISHED",
                     kernel_state="FIN_WAIT1")
        open_the_window(talk, sock, "FIN_WAIT_2")
        scene.expect_closed("fin_queued", talk)


@each_end
def fin_queued_after_the_peers(world, end, family):
    """Row 16: the same in LAST_ACK."""
    with Scene(world, end, family) as scene:
        sock, talk = close_behind_a_closed_window(scene, peer_closes=True)
        scene.expect("fin_queued", talk, role="server", wire_state="CLOSE_WAIT",
                     kernel_state="LAST_ACK")
        open_the_window(talk, sock, "CLOSED")
        scene.expect_closed("fin_queued", talk)


@each_end
def fin_stalled(world, end, family):
    """Row 16: for so long that the peer is in trouble."""
    with Scene(world, end, family) as scene:
        sock, talk = close_behind_a_closed_window(scene)
        scene.expect("fin_queued", talk)
        scene.expect("fin_stalled", talk, role="server", wire_state="ESTABLISHED",
                     kernel_state="FIN_WAIT1", seconds=LATER_S)
        scene.expect_closed("fin_queued", talk)
        open_the_window(talk, sock, "FIN_WAIT_2")
        scene.expect_closed("fin_stalled", talk)


# -- data that comes too late


@each_end
def data_before_the_ack_of_the_fin(world, end, family):
    """Row 15: tcp_reset() without a RST from the peer: it sent data to a closed socket."""
    with Scene(world, end, family) as scene:
        sock, talk = scene.opened()
        sock.close()
        talk.expect("FA")
        talk.send("PA", b"late", ack=talk.ack - 1)
        talk.expect("R")
        scene.expect("data_after_close", talk, role="server")
        scene.expect_closed("data_after_close", talk)
        scene.expect_end(talk, "data_after_close", ended="local_reset")


@each_end
def data_to_an_orphan(world, end, family):
    """Row 15: the same, when a minisocket stands for FIN_WAIT_2."""
    with Scene(world, end, family) as scene:
        sock, talk = scene.opened()
        sock.close()
        talk.expect("FA")
        talk.send("A")
        scene.wait_views(talk, "FIN_WAIT_2", "TIME_WAIT")
        talk.send("PA", b"late")
        talk.expect("R")
        scene.expect("data_after_close", talk, role="server")
        scene.expect_closed("data_after_close", talk)


# -- FIN_WAIT_2


@each_end
def orphan_in_fin_wait_2(world, end, family):
    """Row 17: a minisocket stands for FIN_WAIT_2: another representation, the same state."""
    with Scene(world, end, family) as scene:
        sock, talk = scene.opened()
        sock.close()
        talk.expect("FA")
        talk.send("A")
        scene.wait_views(talk, "FIN_WAIT_2", "TIME_WAIT")
        scene.settle()
        talk.send("FA")
        talk.expect("A")
        scene.wait_views(talk, "TIME_WAIT")
        scene.settle()


@each_end
def orphan_as_full_socket(world, end, family):
    """Row 17: a timeout beyond 60 s: a full socket waits for what exceeds it, then a minisocket."""
    with Scene(world, end, family) as scene:
        sock, talk = scene.opened()
        sock.setsockopt(socket.IPPROTO_TCP, TCP_LINGER2, 75)
        sock.close()
        talk.expect("FA")
        talk.send("A")
        scene.wait_views(talk, "FIN_WAIT_2", "FIN_WAIT2")
        scene.wait_views(talk, "FIN_WAIT_2", "TIME_WAIT")
        scene.settle()
        talk.send("FA")
        talk.expect("A")
        scene.wait_views(talk, "TIME_WAIT")


@each_end
def fin_wait_2_times_out(world, end, family):
    """Row 18: the peer never closes and the kernel does not wait for ever."""
    with Scene(world, end, family) as scene:
        sock, talk = scene.opened()
        sock.setsockopt(socket.IPPROTO_TCP, TCP_LINGER2, 1)
        sock.close()
        talk.expect("FA")
        talk.send("A")
        scene.expect("fin_wait_2_timeout", talk, role="server", wire_state="FIN_WAIT_2")
        scene.expect_closed("fin_wait_2_timeout", talk)
        talk.send("FA")
        talk.expect("R")
        scene.settle()


@each_end
def orphan_killed(world, end, family):
    """Row 18: ss -K of an orphan's minisocket: it goes like one that ran out, so no reason is
    claimed."""
    with Scene(world, end, family) as scene:
        sock, talk = scene.opened()
        sock.close()
        talk.expect("FA")
        talk.send("A")
        scene.wait_views(talk, "FIN_WAIT_2", "TIME_WAIT")
        scene.kill(talk)
        scene.expect("fin_wait_2_timeout", talk, role="server", wire_state="FIN_WAIT_2",
                     reason=None)
        scene.expect_closed("fin_wait_2_timeout", talk)


@each_end
def no_lingering_at_all(world, end, family):
    """Row 20: TCP_LINGER2 < 0: the ACK of the FIN is answered by RST: no FIN_WAIT_2."""
    with Scene(world, end, family) as scene:
        sock, talk = scene.opened()
        sock.setsockopt(socket.IPPROTO_TCP, TCP_LINGER2, MINUS_ONE)
        sock.close()
        talk.expect("FA")
        talk.send("A")
        talk.expect("R")
        scene.expect("fin_wait_2_timeout", talk, role="server", reason="linger2")
        scene.expect_closed("fin_wait_2_timeout", talk)
        scene.expect_end(talk, "fin_wait_2_timeout")


# -- owners


def data_to_hold(scene):
    sock, talk = scene.opened()
    talk.send("PA", b"to be copied")
    wait_until(lambda: sock.recv(16, socket.MSG_PEEK | socket.MSG_DONTWAIT), "no data")
    return sock, talk


@each_end
def stuck_owner(world, end, family):
    """Row 12: recvmsg() waits in a page fault for seconds, with the lock; the FIN waits, too."""
    with Scene(world, end, family) as scene:
        sock, talk = data_to_hold(scene)
        with HeldSocket(sock):
            talk.send("FA")
            scene.expect("stuck_owner", talk, role="server", wire_state="CLOSE_WAIT",
                         kernel_state="ESTABLISHED", seconds=LATER_S)
        wait_kernel_state(sock, "CLOSE_WAIT")
        scene.expect_closed("stuck_owner", talk)


@each_end
def busy_owner(world, end, family):
    """Row 12: the same for twice the settle time: slow, not stuck."""
    with Scene(world, end, family) as scene, scene.transient("owner_busy"):
        sock, talk = data_to_hold(scene)
        with HeldSocket(sock):
            talk.send("FA")
            scene.settle()
            scene.settle()
        wait_kernel_state(sock, "CLOSE_WAIT")
        scene.wait_views(talk, "CLOSE_WAIT")


# -- it is over here, and the peer does not know


@each_end
def nobody_acks_the_fin(world, end, family):
    """Row 21: LAST_ACK: the FIN is sent again until the kernel gives up."""
    with Scene(world, end, family) as scene:
        sock, talk = scene.opened()
        talk.send("FA")
        wait_kernel_state(sock, "CLOSE_WAIT")
        sock.close()
        scene.expect("peer_unaware", talk, role="server", wire_state="LAST_ACK", seconds=LATER_S)
        scene.expect_closed("peer_unaware", talk)


@each_end
def nobody_acks_our_fin_first(world, end, family):
    """Row 21: the same in FIN_WAIT_1."""
    with Scene(world, end, family) as scene:
        sock, talk = scene.opened()
        sock.close()
        scene.expect("peer_unaware", talk, role="server", wire_state="FIN_WAIT_1",
                     seconds=LATER_S)
        scene.expect_closed("peer_unaware", talk)


@each_end
def peer_goes_on_after_our_reset(world, end, family):
    """Row 22: we reset it; the peer, who cannot have heard it, sends on and on."""
    with Scene(world, end, family) as scene:
        sock, talk = scene.opened()
        close_rst(sock)
        talk.expect("RA")

        def found_when_sent_again():
            talk.send("PA", b"still there?", seq=talk.seq)
            talk.expect("R")
            return scene.daemon.find("divergence_open", local=talk.kernel_at, remote=talk.me_at)
        wait_until(found_when_sent_again, "nothing is said of a peer that goes on", pause=0.5)
        scene.expect("peer_unaware", talk)
        scene.expect_closed("peer_unaware", talk, seconds=LATER_S)


books_balance()


if __name__ == "__main__":
    sys.exit(main(lambda: ends_with(tcp_orphan_retries=2), threads=16))
