#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Queues that are full in less usual ways than test_divergences.py has it, and taps that run ahead
of the stack. The number is the row of the taxonomy that a scenario provokes. XDP at a, tcx at b,
IPv4 and IPv6.
"""

import contextlib
import glob
import os
import socket
import sys

from witness import IPV4, IPV6, Skip, alone, case, check_equal, execute, main, wait_until
from witness.ends import each_end
from witness.raw import overflow
from witness.scene import Scene, books_balance, ends_with, own_world

BATCHES = 20


@own_world(tcp_syncookies=2)
def cookie_on_a_full_queue(world, end, family):
    """Row 5: a cookie's final ACK meets a full accept queue: nothing at all stands for it."""
    with Scene(world, end, family, backlog=1) as scene:
        first, victim, last = talks = [scene.talk() for _ in range(3)]
        for talk in talks:
            talk.send("S")
            talk.expect("SA")
        scene.expect("cookie_stateless", *talks, wire_state="SYN_RECEIVED")
        first.send("A")
        last.send("A")
        wait_until(lambda: scene.space.in_state(scene.port, "ESTABLISHED") == 2, "queue not full")
        scene.expect_closed("cookie_stateless", first, last)
        victim.send("A")
        scene.expect("accept_queue_overflow", victim, reason="accept_queue_full",
                     wire_state="ESTABLISHED", kernel_state={"LISTEN", "NONE"}, role="server")
        scene.expect_closed("cookie_stateless", victim)
        for _ in range(2):
            scene.accept()
        victim.send("A")
        scene.accept()
        scene.expect_closed("accept_queue_overflow", victim)


@own_world(tcp_syncookies=0, tcp_max_syn_backlog=8)
def last_quarter_is_reserved(world, end, family):
    """Row 6: tcp_max_syn_backlog=8: its last quarter is for peers that were proven alive."""
    with Scene(world, end, family, backlog=100) as scene:
        answered = [scene.talk() for _ in range(7)]
        for other in answered:
            other.send("S")
            other.expect("SA")
        talk = scene.talk()
        talk.send("S")
        # neither queue was full: one silence may be the tap's, two are not
        talk.send("S", seq=talk.seq - 1)
        scene.expect("syn_dropped", talk, wire_state="LISTEN", role="server")
        for other in answered:
            other.send("R")
        wait_until(lambda: not scene.space.in_state(scene.port, "SYN_RECEIVED"), "requests stay")
        talk.send("S", seq=talk.seq - 1)
        talk.expect("SA")
        scene.expect_closed("syn_dropped", talk)


@each_end
def refused_until_the_request_dies(world, end, family):
    """Row 1: nobody ever accepts: the request expires, and the peer believes for ever."""
    with Scene(world, end, family, backlog=1) as scene:
        refused = overflow(scene.space, scene.port, 1, scene.talk)
        scene.expect("accept_queue_overflow", *refused, reason="accept_queue_full",
                     wire_state="ESTABLISHED", kernel_state="NEW_SYN_RECV")
        # not before it was found out
        scene.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)
        for talk in refused:
            scene.expect_end(talk, "accept_queue_overflow", ended="handshake_timeout")
        scene.expect_closed("accept_queue_overflow", *refused)


@own_world(tcp_abort_on_overflow=1)
def refused_by_reset(world, end, family):
    """Row 1: tcp_abort_on_overflow: the peer is told, so the views agree."""
    with Scene(world, end, family, backlog=1) as scene:
        for talk in overflow(scene.space, scene.port, 1, scene.talk):
            talk.expect("R")
            scene.expect_end(talk, ended="local_reset")
        scene.settle()


@each_end
def refused_and_answered_with_data(world, end, family):
    """Row 1: the peer goes on to send; the segment after accept() makes the child."""
    with Scene(world, end, family, backlog=1) as scene:
        victim, = overflow(scene.space, scene.port, 1, scene.talk)
        victim.send("PA", b"request")
        scene.expect("accept_queue_overflow", victim, wire_state="ESTABLISHED")
        scene.accept()
        victim.send("PA", b"request", seq=victim.seq - 7)
        scene.accept()
        sock = scene.accept()
        check_equal("data", sock.recv(16), b"request")
        scene.expect_closed("accept_queue_overflow", victim)


def poll_by_a_thread(space, device, cpu):
    """From now on a thread polls DEVICE, on that CPU."""
    # sysfs shows the devices of the namespace it was mounted in
    execute("unshare", "--mount", *space.command(
        "sh", "-c", f"mount -t sysfs sysfs /sys && echo 1 > /sys/class/net/{device}/threaded"))
    threads = []
    for path in glob.glob("/proc/[0-9]*/comm"):
        with contextlib.suppress(OSError), open(path, encoding="ascii") as file:
            if file.read().startswith(f"napi/{device}-"):  # of any namespace
                threads.append(int(path.split("/")[2]))
                os.sched_setaffinity(threads[-1], {cpu})
    if not threads:
        raise Skip("no thread polls the device")


def batch_of_segments(world, family):
    """Row 11: XDP sees a final ACK and a FIN before the stack has seen either."""
    with Scene(world, "a", family) as scene, scene.transient("in_flight"):
        cpu = min(os.sched_getaffinity(0))
        poll_by_a_thread(scene.space, "v0", cpu)
        orders = []
        # the sender may sleep in between (a page fault): then it was no batch, and is tried again
        while len(orders) < BATCHES:
            talk = scene.talk()
            talk.send("S")
            talk.expect("SA")
            # before the poller of that CPU takes any
            scene.peer.send_from([cpu], [talk.segment("A"), talk.segment("FA")], outranking=True)
            scene.wait_views(talk, "CLOSE_WAIT")
            entries = scene.story(talk)
            scene.accept()
            order = [(entry["entry"], entry.get("flags") or entry.get("to")) for entry in entries
                     if entry["entry"] in ("segment", "kernel") and not entry.get("sent")]
            orders.append(order[1:4])
            if orders[-1][1] == ("segment", "FIN,ACK"):
                break
        check_equal("what came first", orders[-1],
                    [("segment", "ACK"), ("segment", "FIN,ACK"), ("kernel", "ESTABLISHED")])
        scene.settle()


for _name, _family in (("ipv4", IPV4), ("ipv6", IPV6)):
    case(f"batch_of_segments {_name}", _family)(alone(batch_of_segments))


books_balance()


if __name__ == "__main__":
    sys.exit(main(ends_with, threads=5))
