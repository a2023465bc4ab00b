#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Every record of one connection, in order, where the peer falls silent and a timer of the kernel
ends it. The timers are as short as the kernel lets them be."""

import socket
import sys

from witness import wait_until
from witness.timelines import CALL, Talk, play, timeline

TCP = socket.IPPROTO_TCP
TCP_SYNCNT, TCP_LINGER2 = 7, 8
CLOSE = ["ESTABLISHED>FIN_WAIT1", "> FA FIN_WAIT1"]


@timeline()
def user_timeout(world, family):
    with Talk(world, family) as talk:
        sock = talk.open()
        sock.setsockopt(TCP, socket.TCP_USER_TIMEOUT, 500)
        sock.send(b"data")
        # data and its retransmissions are only counted, and no segment tells of the end
        talk.then("ESTABLISHED>CLOSE ETIMEDOUT")


@timeline()
def keepalive_abort(world, family):
    with Talk(world, family) as talk:
        sock = talk.open()
        sock.setsockopt(TCP, socket.TCP_KEEPIDLE, 1)
        sock.setsockopt(TCP, socket.TCP_KEEPINTVL, 1)
        sock.setsockopt(TCP, socket.TCP_KEEPCNT, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        # the probe is a plain ACK: only counted
        talk.then("> RA ESTABLISHED", "reset > ESTABLISHED", "ESTABLISHED>CLOSE ETIMEDOUT")


@timeline()
def syn_sent_timeout(world, family):
    with Talk(world, family, listens=False) as talk:
        talk.call(options=[(TCP, TCP_SYNCNT, 1)])
        talk.then(*CALL[:2])
        talk.then("> S SYN_SENT", "again S SYN_SENT")
        talk.then("SYN_SENT>CLOSE ETIMEDOUT")


@timeline()
def last_ack_timeout(world, family):
    with Talk(world, family) as talk:
        sock = talk.open()
        talk.raw.send("FA")
        talk.raw.expect("A")
        talk.then("< FA ESTABLISHED", "ESTABLISHED>CLOSE_WAIT", "> A CLOSE_WAIT")
        sock.setsockopt(TCP, socket.TCP_USER_TIMEOUT, 1000)
        sock.close()
        # at 0.2 s and 0.6 s; the third would be at 1.4 s
        talk.then("CLOSE_WAIT>LAST_ACK", "> FA LAST_ACK", "> FA LAST_ACK", "again FA LAST_ACK",
                  "> FA LAST_ACK", "again FA LAST_ACK", "LAST_ACK>CLOSE ETIMEDOUT")


@timeline()
def synack_timeout(world, family):
    with Talk(world, family, options=[(TCP, TCP_SYNCNT, 1)]) as talk:
        talk.raw.send("S")
        talk.raw.expect("SA")
        talk.then("< S LISTEN", "> SA NEW_SYN_RECV")
        talk.then("> SA NEW_SYN_RECV", "again SA NEW_SYN_RECV")
        wait_until(lambda: not world.space.in_state(talk.port, "SYN_RECEIVED"), "it lives")
        talk.raw.send("A")
        talk.raw.expect("R")
        talk.then("< A LISTEN", "reset > LISTEN", "> R LISTEN", "drop < A TCP_FLAGS")


@timeline()
def orphan_fin_wait2_timeout(world, family):
    with Talk(world, family) as talk:
        sock = talk.open()
        sock.setsockopt(TCP, TCP_LINGER2, 1)
        sock.close()
        talk.raw.expect("FA")
        talk.raw.send("A")
        talk.then(*CLOSE, "< A FIN_WAIT1", "FIN_WAIT1>FIN_WAIT2", "FIN_WAIT2>CLOSE")
        talk.raw.send("A")
        talk.then("< A TIME_WAIT/FIN_WAIT2")
        wait_until(lambda: not world.space.in_state(talk.port, "FIN_WAIT_2"), "it lives")
        talk.raw.send("FA")
        talk.raw.expect("R")
        talk.then("< FA LISTEN", "reset > LISTEN", "> R LISTEN", "drop < FA TCP_FLAGS")


@timeline()
def fin_timeout_long(world, family):
    """More than a minisock may last: the socket itself waits until then."""
    with Talk(world, family) as talk:
        sock = talk.open()
        sock.setsockopt(TCP, TCP_LINGER2, 70)
        sock.close()
        talk.raw.expect("FA")
        talk.raw.send("A")
        talk.then(*CLOSE, "< A FIN_WAIT1", "FIN_WAIT1>FIN_WAIT2")
        talk.raw.send("FA")
        talk.raw.expect("A")
        talk.then("< FA FIN_WAIT2", "> A FIN_WAIT2", "FIN_WAIT2>CLOSE")


if __name__ == "__main__":
    sys.exit(play(patient=False, tcp_syn_linear_timeouts=0))
