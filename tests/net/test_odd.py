#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Odd, and nothing wrong with it: what scanners, old segments, impatient peers and reborn hosts
do. Whatever is reported of these connections is false. XDP at a, tcx at b, IPv4 and IPv6.
"""

import contextlib
import random
import socket
import struct
import sys

from witness import (
    accept, case, check, check_equal, close_rst, endpoint, kernel_state, listener, main,
    wait_kernel_state, wait_until,
)
from witness.ends import FAMILIES, PORTS, each_end
from witness.runner import run_rows
from witness.scene import Scene, books_balance, ends_with, own_world, real_client
from witness.sockets import FAMILIES as KINDS

LIVES = 60
SACK_PERMITTED = b"\x01\x01\x04\x02"


# -- segments of nobody


@each_end
def scan_of_an_open_port(world, end, family):
    """NULL, FIN, XMAS, ACK, SYN|FIN, SYN|RST and RST: none of them is a connection's."""
    with Scene(world, end, family) as scene:
        for flags in ("", "F", "FPU", "A", "SF", "SR", "R", "SFRPAU"):
            scene.talk().send(flags)
        scene.settle()
        for talk in scene.talks:
            talk.quiet(0)
        scene.settle()


@each_end
def scan_of_a_closed_port(world, end, family):
    with Scene(world, end, family, backlog=None) as scene:
        for flags in ("S", "", "F", "FPU", "A", "SF", "R"):
            scene.talk().send(flags)
        scene.talks[0].expect("RA")
        scene.talks[4].expect("R")
        scene.settle()


@each_end
def datagrams_that_are_dropped(world, end, family):
    """UDP whose octets would be a SYN's if it were TCP: no connect(), and no SYN to the listener of
    that port."""
    with Scene(world, end, family) as scene:
        other = world.lab.other(scene.space)
        target = world.lab.ip(other, family)
        for chain in ("input", "output"):
            scene.filter(f"udp dport {scene.port} drop", chain=chain)
        scene.seen.add(endpoint(target, scene.port))
        for space, address in ((scene.space, target), (other, scene.address)):
            with space.socket(KINDS[family], socket.SOCK_DGRAM) as sock, \
                    contextlib.suppress(PermissionError):  # the filter says so to the sender
                sock.sendto(bytes(4) + b"\x50\x02" + bytes(14), (address, scene.port))
        scene.settle()


# -- handshakes


@each_end
def handshake_with_data(world, end, family):
    """Data in a SYN that Fast Open does not take: it is sent again behind the final ACK."""
    with Scene(world, end, family) as scene:
        talk = scene.talk()
        talk.send("S", b"early")
        talk.seq -= 5
        talk.expect("SA")
        talk.send("PA", b"early")
        check_equal("data", scene.accept().recv(16), b"early")
        scene.wait_views(talk, "ESTABLISHED")
        scene.settle()


@each_end
def another_syn_for_a_request(world, end, family):
    """An old SYN with another number: answered by an ACK, and the handshake goes on."""
    with Scene(world, end, family) as scene:
        talk = scene.talk()
        talk.send("S")
        talk.expect("SA")
        talk.send("S", seq=talk.seq - 100000)
        scene.settle()
        talk.send("A")
        scene.accept()
        scene.wait_views(talk, "ESTABLISHED")
        scene.settle()


@each_end
def syn_again_and_again(world, end, family):
    """A peer that does not hear the SYN-ACK at first."""
    with Scene(world, end, family) as scene:
        talk = scene.talk()
        talk.send("S")
        talk.expect("SA")
        for _ in range(3):
            talk.send("S", seq=talk.seq - 1)
            talk.expect("SA")
            scene.settle()
        talk.send("A")
        scene.accept()
        scene.wait_views(talk, "ESTABLISHED")


@each_end
def synack_again(world, end, family):
    """A SYN-ACK that comes twice: the second one is challenged."""
    with Scene(world, end, family, backlog=None) as scene:
        sock, talk = scene.connecting()
        talk.expect("S")
        talk.send("SA")
        talk.expect("A")
        talk.send("SA", seq=talk.seq - 1)
        talk.expect("A")
        scene.settle()
        check_equal("state", kernel_state(sock), "ESTABLISHED")
        scene.wait_views(talk, "ESTABLISHED")


@each_end
def reset_without_ack_in_syn_sent(world, end, family):
    """A RST that acknowledges nothing is not for this connect()."""
    with Scene(world, end, family, backlog=None) as scene:
        sock, talk = scene.connecting()
        talk.expect("S")
        talk.send("R", seq=0)
        scene.settle()
        talk.send("SA")
        talk.expect("A")
        wait_kernel_state(sock, "ESTABLISHED")
        scene.wait_views(talk, "ESTABLISHED")


@each_end
def accepted_after_its_end(world, end, family):
    """The peer has closed, or reset, before accept()."""
    with Scene(world, end, family) as scene:
        closed, gone = scene.talk(), scene.talk()
        for talk in (closed, gone):
            talk.open()
        closed.send("FA")
        gone.send("R")
        closed.expect("A")
        scene.settle()
        for _ in range(2):
            scene.accept()
        scene.expect_end(gone, ended="remote_reset")
        scene.wait_views(closed, "CLOSE_WAIT")
        scene.settle()


# -- peers that were reborn


@each_end
def half_open_is_found_out(world, end, family):
    """RFC 9293 §3.5.1: the peer lost its state and connects again from the same port: our ACK
    tells it to send a RST, and the next SYN begins another life."""
    with Scene(world, end, family) as scene:
        sock, talk = scene.opened()
        talk.seq += 1000000
        talk.send("S")
        challenge = talk.expect("A")
        scene.settle()
        talk.send("R", seq=challenge.ack)
        wait_kernel_state(sock, "CLOSED")
        scene.expect_end(talk, ended="remote_reset")
        talk.seq += 1000
        talk.open()
        scene.accept()
        scene.wait_views(talk, "ESTABLISHED")
        scene.settle()


@each_end
def many_lives(world, end, family):
    """The same ports, ten times, ended by either side's RST."""
    with Scene(world, end, family) as scene:
        talk = scene.talk()
        for life in range(10):
            talk.open()
            sock = scene.accept()
            if life % 2:
                close_rst(sock)
                talk.expect("RA")
            else:
                talk.send("R")
                wait_kernel_state(sock, "CLOSED")
            talk.seq += 100000
        wait_until(lambda: len(scene.daemon.find("connection", local=talk.kernel_at,
                                                 remote=talk.me_at)) == 10, "not ten lives")
        scene.settle()


# -- resets


@each_end
def reset_at_the_edge_of_a_sack(world, end, family):
    """Linux takes a RST at the right edge of the highest SACK block (RFC 5961 §3.2's loophole)."""
    with Scene(world, end, family) as scene:
        talk = scene.talk()
        talk.send("S", options=SACK_PERMITTED)
        talk.expect("SA")
        talk.send("A")
        sock = scene.accept()
        talk.send("PA", bytes(10), seq=talk.seq + 100)
        talk.expect("A")
        talk.send("R", seq=talk.seq + 110)
        wait_kernel_state(sock, "CLOSED")
        scene.expect_end(talk, ended="remote_reset")
        scene.settle()


@each_end
def reset_in_each_closing_state(world, end, family):
    """The peer answers our FIN, or its ACK, with a RST."""
    with Scene(world, end, family) as scene:
        for acks, fins, orphan in ((0, 0, 1), (0, 0, 0), (1, 0, 1), (1, 0, 0), (0, 1, 0)):
            sock, talk = scene.opened()
            if orphan:
                sock.close()
            else:
                sock.shutdown(socket.SHUT_WR)
            fin = talk.expect("FA")
            if acks:
                talk.send("A")
            if fins:
                talk.send("FA", ack=fin.seq)
                talk.expect("A")
            talk.send("R")
            scene.expect_end(talk, role="server")
        sock, talk = scene.opened()
        talk.send("FA")
        wait_kernel_state(sock, "CLOSE_WAIT")
        sock.close()
        talk.expect("FA")
        talk.send("R")
        scene.expect_end(talk, role="server")
        scene.settle()


@own_world(tcp_rfc1337=1)
def time_wait_protected(world, end, family):
    """tcp_rfc1337: a RST does not end TIME_WAIT."""
    with Scene(world, end, family) as scene:
        talk = scene.in_time_wait()
        scene.wait_views(talk, "TIME_WAIT")
        talk.send("R")
        scene.settle()
        check_equal("minisockets", scene.space.in_state(scene.port, "TIME_WAIT"), 1)


# -- ends


@each_end
def half_closed_for_long(world, end, family):
    """One side has finished and goes on to receive."""
    with Scene(world, end, family) as scene:
        sock, talk = scene.opened()
        sock.shutdown(socket.SHUT_WR)
        talk.expect("FA")
        talk.send("A")
        for _ in range(3):
            talk.send("PA", b"more")
            talk.expect("A")
            scene.settle()
        scene.wait_views(talk, "FIN_WAIT_2", "FIN_WAIT2")
        talk.send("FA")
        talk.expect("A")
        scene.wait_views(talk, "TIME_WAIT")


@each_end
def fin_acknowledged_late(world, end, family):
    """The FIN is sent again a few times before the ACK comes."""
    with Scene(world, end, family) as scene:
        sock, talk = scene.opened()
        sock.shutdown(socket.SHUT_WR)
        for _ in range(4):
            talk.expect("FA")
        talk.send("A")
        scene.wait_views(talk, "FIN_WAIT_2", "FIN_WAIT2")
        scene.settle()


@each_end
def simultaneous_close(world, end, family):
    with Scene(world, end, family) as scene:
        sock, talk = scene.opened()
        sock.shutdown(socket.SHUT_RDWR)
        fin = talk.expect("FA")
        talk.send("FA", ack=fin.seq)
        talk.expect("A")
        scene.wait_views(talk, "CLOSING")
        scene.settle()
        talk.send("A")
        scene.wait_views(talk, "TIME_WAIT")


@each_end
def fin_with_data_and_reset_flags(world, end, family):
    """RST beside FIN: the RST counts (RFC 9293 §3.10.7.4, in its order)."""
    with Scene(world, end, family) as scene:
        sock, talk = scene.opened()
        talk.send("FRA", b"last words")
        wait_kernel_state(sock, "CLOSED")
        scene.expect_end(talk, ended="remote_reset")
        scene.settle()


@each_end
def fin_split_from_its_data(world, end, family):
    """Data, and its retransmission with a FIN behind it."""
    with Scene(world, end, family) as scene:
        sock, talk = scene.opened()
        talk.send("PA", b"0123456789")
        talk.expect("A")
        talk.send("FPA", b"0123456789", seq=talk.seq - 10)
        wait_kernel_state(sock, "CLOSE_WAIT")
        scene.wait_views(talk, "CLOSE_WAIT")
        scene.settle()


@each_end
def data_beyond_the_window(world, end, family):
    """A full receive buffer: the FIN waits outside the window until there is room."""
    with Scene(world, end, family,
               options=[(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)]) as scene:
        sock, talk = scene.opened()
        window = talk.fill()
        scene.settle()
        received = 0
        while received < window:
            received += len(sock.recv(65536))
        talk.send("FA")
        wait_kernel_state(sock, "CLOSE_WAIT")
        scene.wait_views(talk, "CLOSE_WAIT")


@each_end
def unreachable_in_between(world, end, family):
    """ICMP in ESTABLISHED is no reason to give up."""
    with Scene(world, end, family) as scene:
        sock, talk = scene.opened()
        sock.sendall(b"hello?")
        scene.peer.send_unreachable(port=True, quoted=talk.any_segment())
        scene.settle()
        talk.ack += 6
        talk.send("A")
        check_equal("state", kernel_state(sock), "ESTABLISHED")
        scene.wait_views(talk, "ESTABLISHED")


@each_end
def keepalive_of_the_peer(world, end, family):
    """Probes with an octet of garbage before RCV.NXT."""
    with Scene(world, end, family) as scene:
        _, talk = scene.opened()
        for _ in range(3):
            talk.send("A", b"\0", seq=talk.seq - 1)
            talk.expect("A")
        scene.settle()
        scene.wait_views(talk, "ESTABLISHED")


@each_end
def lingering_close(world, end, family):
    """SO_LINGER: close() waits for the ACK of the FIN, which comes in time."""
    with Scene(world, end, family) as scene:
        sock, talk = scene.opened()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 5))
        sock.setblocking(False)
        sock.sendall(b"last words")
        sock.close()
        while "F" not in talk.take(talk.any_segment()).flags:
            pass
        talk.send("FA")
        talk.expect("A")
        scene.wait_views(talk, "TIME_WAIT")
        scene.settle()


@each_end
def listener_reborn(world, end, family):
    """The service restarts on its port while its connections live on."""
    with Scene(world, end, family) as scene:
        sock, talk = real_client(scene)
        child = scene.accept()
        scene.listener.close()
        scene.settle()
        scene.listener = scene.own(listener(scene.space, scene.address, scene.port))
        sock.sendall(b"still there")
        check_equal("data", child.recv(16), b"still there")
        other, _ = real_client(scene)
        scene.own(accept(scene.listener))
        scene.settle()
        sock.close()
        wait_kernel_state(child, "CLOSE_WAIT")
        child.close()
        scene.expect_end(talk, ended="remote_close")
        other.close()


@each_end
def self_connect(world, end, family):
    """A socket connected to itself, over loopback, which no tap watches."""
    with Scene(world, end, family, backlog=None) as scene:
        sock = scene.own(scene.space.socket(
            socket.AF_INET6 if ":" in scene.address else socket.AF_INET))
        port = next(PORTS)
        sock.bind((scene.address, port))
        sock.connect((scene.address, port))
        scene.settle()
        sock.sendall(b"echo")
        check_equal("data", sock.recv(16), b"echo")
        close_rst(sock)
        scene.settle()


# -- anything at all


def local_step(chance, sock):
    """Something that an application may do, whatever came before."""
    steps = (sock.close, lambda: sock.shutdown(socket.SHUT_WR), lambda: close_rst(sock),
             lambda: sock.sendall(bytes(chance.choice((1, 100, 3000)))),
             lambda: sock.recv(65536))
    with contextlib.suppress(OSError):
        chance.choice(steps)()


def remote_step(chance, talk):
    """Something that a peer may send: in sequence what ends, data also early, late or far off."""
    flags = chance.choice(("A", "A", "A", "PA", "PA", "FA", "FA", "FPA", "R", "RA"))
    data = bytes(chance.choice((0, 1, 50))) if "P" in flags else b""
    offset = 0 if set("FR") & set(flags) else chance.choice((0, 0, 0, 0, 100, -100, 100000))
    if offset:
        talk.send(flags, data, seq=(talk.seq + offset) & 0xFFFFFFFF)
    else:
        talk.send(flags, data)
    while seg := talk.peer.receive(talk.mine, 0.002):
        if seg.seq == talk.ack:
            talk.take(seg)


def lead_lives(world, end, family):
    chance = random.Random(f"{end}{family}")
    with Scene(world, end, family, backlog=LIVES, strict=False) as scene:
        for number in range(LIVES):
            talk = scene.peer.connection(20000 + number, scene.port)
            talk.open()
            sock = scene.accept()
            sock.setblocking(False)
            for _ in range(chance.randint(2, 10)):
                if chance.random() < 0.3:
                    local_step(chance, sock)
                else:
                    remote_step(chance, talk)
        scene.settle()
        # a peer whose data was not taken is ahead of RCV.NXT with its RSTs, each time
        check_equal("problems", [(row["kind"], row["remote"]) for row in scene.unexpected()
                                 if row["class"] == "problem" and row["kind"] != "forged_reset"],
                    [])
        ended = scene.daemon.find("connection", local=endpoint(scene.address, scene.port))
        check(len(ended) > LIVES / 4, f"only {len(ended)} lives ended")
        check_equal("beyond judgement", [(row["why"], row["remote"]) for row in ended
                                         if not row["observable"]], [])


@case("random lives: nothing is a problem, nothing beyond judgement")
def random_lives(_):
    rows = [(f"random_lives {label} at={end}", lead_lives, (end, family))
            for label, family in FAMILIES.items() for end in "ab"]
    with ends_with() as world:
        check(all(run_rows(rows, len(rows), world)), "see above")


books_balance()


if __name__ == "__main__":
    sys.exit(main(ends_with, threads=16))
