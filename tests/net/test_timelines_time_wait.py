#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Every record of one tuple, in order, where a segment meets TIME_WAIT. No tracepoint shows that
state: what is known of it is in the segments' snapshots."""

import contextlib
import errno
import sys

from witness import accept, client_of, listener, wait_until
from witness.timelines import CALL, OPEN, Talk, play, timeline

TO_TIME_WAIT = ["ESTABLISHED>FIN_WAIT1", "> FA FIN_WAIT1", "< FA FIN_WAIT1",
                "FIN_WAIT1>FIN_WAIT2", "> A FIN_WAIT2", "FIN_WAIT2>CLOSE"]


def stray(flags):
    return [f"< {flags} LISTEN", "reset > LISTEN", "> R LISTEN", f"drop < {flags} TCP_FLAGS"]


def to_time_wait(talk):
    talk.open().close()
    talk.raw.expect("FA")
    talk.raw.send("FA")
    talk.raw.expect("A")
    talk.then(*TO_TIME_WAIT)


@timeline()
def tw_assassination(world, family):
    with Talk(world, family) as talk:
        to_time_wait(talk)
        talk.raw.send("RA")
        talk.then("< RA TIME_WAIT/TIME_WAIT")
        talk.raw.send("A")
        talk.raw.expect("R")
        talk.then(*stray("A"))


@timeline()
def tw_oow_and_dupfin(world, family):
    with Talk(world, family) as talk:
        to_time_wait(talk)
        talk.raw.send("FA", seq=talk.raw.seq - 1)
        talk.raw.expect("A")
        talk.then("< FA TIME_WAIT/TIME_WAIT", "> A TIME_WAIT/TIME_WAIT")


@timeline()
def tw_new_syn(world, family):
    with Talk(world, family) as talk:
        to_time_wait(talk)
        talk.raw.seq += 500000
        talk.raw.open()
        talk.accept()
        talk.then("< S TIME_WAIT/TIME_WAIT", *OPEN[1:])


@timeline(tcp_max_tw_buckets=0)
def tw_bucket_overflow(world, family):
    with Talk(world, family) as talk:
        to_time_wait(talk)
        talk.raw.send("FA", seq=talk.raw.seq - 1)
        talk.raw.expect("R")
        talk.then(*stray("FA"))


def connect_again(space, family, target, source):
    """A connection over the TIME_WAIT that stands in its way, once the kernel lets it."""
    def attempt():
        try:
            return client_of(space, family, target, source=source)
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
            return None
    return wait_until(attempt, "EADDRNOTAVAIL")


@timeline(tcp_tw_reuse=1)
def tw_reuse_active(world, family):
    """Needs timestamps, and so a kernel for a peer."""
    other = world.lab.b
    with Talk(world, family, listens=False) as talk, contextlib.ExitStack() as stack:
        target = (world.lab.ip(other, family), talk.raw.my_port)
        source = (world.address(family), talk.port)
        listening = listener(other, *target)
        stack.callback(listening.close)
        for _ in range(2):
            sock = connect_again(world.space, family, target, source)
            stack.callback(sock.close)
            server = accept(listening)
            stack.callback(server.close)
            talk.then(*CALL)
            sock.close()
            talk.then("ESTABLISHED>FIN_WAIT1", "> FA FIN_WAIT1", "< A FIN_WAIT1",
                      "FIN_WAIT1>FIN_WAIT2", "FIN_WAIT2>CLOSE")
            server.close()
            talk.then("< FA TIME_WAIT/FIN_WAIT2", "> A TIME_WAIT/TIME_WAIT")


if __name__ == "__main__":
    sys.exit(play())
