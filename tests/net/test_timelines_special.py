#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Every record of one connection, in order, where the socket is out of the ordinary: Fast Open,
MPTCP, under repair, locked by its owner."""

import socket
import sys

from witness import Skip
from witness.stuck import HeldSocket
from witness.timelines import CALL, Talk, play, timeline

TCP = socket.IPPROTO_TCP
TCP_REPAIR = 19
TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_NO_COOKIE = 30, 34
IPPROTO_MPTCP = 262
# sysctl tcp_fastopen: server and client, both without a cookie
FASTOPEN = {"tcp_fastopen": 0x1 | 0x2 | 0x4 | 0x200}
FASTOPEN_LISTENER = [(TCP, socket.TCP_FASTOPEN, 5)]
FASTOPEN_CHILD = ["< S+ LISTEN", "> SA SYN_RECV"]


@timeline(**FASTOPEN)
def tfo(world, family):
    with Talk(world, family, options=FASTOPEN_LISTENER) as talk:
        talk.raw.send("S", b"early")
        talk.raw.expect("SA")
        sock = talk.accept()
        talk.then(*FASTOPEN_CHILD)
        talk.raw.send("A")
        talk.then("< A SYN_RECV", "SYN_RECV>ESTABLISHED")
        sock.close()
        talk.then("ESTABLISHED>CLOSE", "> RA CLOSE", "reset > CLOSE")


@timeline(**FASTOPEN)
def tfo_rst(world, family):
    with Talk(world, family, options=FASTOPEN_LISTENER) as talk:
        talk.raw.send("S", b"early")
        talk.raw.expect("SA")
        talk.raw.send("R")
        talk.then(*FASTOPEN_CHILD, "< R SYN_RECV", "reset < SYN_RECV",
                  "SYN_RECV>CLOSE ECONNRESET", "drop < R TCP_FASTOPEN")


@timeline(**FASTOPEN)
def fastopen_connect_deferred(world, family):
    with Talk(world, family, listens=False) as talk:
        sock = talk.call(options=[(TCP, TCP_FASTOPEN_CONNECT, 1), (TCP, TCP_FASTOPEN_NO_COOKIE, 1)])
        talk.then(CALL[0])
        assert talk.raw.quiet(0.1), "a SYN before there is data"
        sock.send(b"early")
        talk.raw.expect("S")
        talk.then("> S+ SYN_SENT")
        sock.close()
        talk.then("SYN_SENT>CLOSE")


@timeline()
def tcp_repair(world, family):
    with Talk(world, family, listens=False) as talk:
        sock = talk.call(options=[(TCP, TCP_REPAIR, 1)])
        talk.then("CLOSE>SYN_SENT", "SYN_SENT>ESTABLISHED")
        sock.close()
        talk.then("ESTABLISHED>CLOSE")
        assert talk.raw.quiet(0), "a segment of a socket under repair"


@timeline()
def mptcp(world, family):
    """The MPTCP socket tells its states by the same tracepoint: only the subflow's are recorded."""
    with Talk(world, family, whole=True, listens=False) as talk:
        kind = socket.AF_INET if family == 4 else socket.AF_INET6
        try:
            above = talk.keep(world.space.socket(kind, protocol=IPPROTO_MPTCP))
        except OSError as error:
            raise Skip(f"no MPTCP: {error}") from None
        above.bind((world.address(family), talk.port))
        above.listen(5)
        above.settimeout(10)
        raw = talk.connection()
        raw.open()
        sock = talk.keep(above.accept()[0])
        # BPF takes its request for none of TCP's, and cannot look at the queues behind it
        talk.then("* CLOSE>LISTEN", "* listen 5", "a < S LISTEN 0/5 0", "a > SA NEW_SYN_RECV",
                  "a < A NEW_SYN_RECV", "a SYN_RECV>ESTABLISHED")
        sock.close()
        raw.expect("FA")
        raw.send("FA")
        raw.expect("A")
        talk.then("a ESTABLISHED>FIN_WAIT1", "a > FA FIN_WAIT1", "a < FA FIN_WAIT1",
                  "a FIN_WAIT1>FIN_WAIT2", "a > A FIN_WAIT2", "a FIN_WAIT2>CLOSE")


@timeline()
def socket_owned_by_user(world, family):
    with Talk(world, family) as talk:
        sock = talk.open()
        talk.raw.send("PA", b"bytes")
        talk.raw.expect("A")
        with HeldSocket(sock):
            talk.raw.send("FA")
            talk.then("< FA ESTABLISHED")
            talk.raw.send("FA", seq=talk.raw.seq - 1)
            talk.then("< FA ESTABLISHED")
        talk.raw.expect("A")
        talk.then("ESTABLISHED>CLOSE_WAIT", "drop < FA TCP_OLD_DATA", "> A CLOSE_WAIT")


if __name__ == "__main__":
    sys.exit(play())
