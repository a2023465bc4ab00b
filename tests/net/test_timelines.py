#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Every record of one connection, in order, with the kernel's state in each: openings and closings
where a raw peer is needed to bring them about. By XDP and by tcx, IPv4 and IPv6.

A function is named like the timeline it reproduces. What two kernels do among themselves is in
tests/bpf/test_timelines.c; the other files of this name: _refused (segments that the kernel does
not take as they are), _queues (listeners), _timeouts, _time_wait, _special.

Two known timelines are in none of them: nat_redirect, whose records belong to two tuples and are
told by the tests of NAT, and user_owned_backlog, which is socket_owned_by_user with nothing to do
in the backlog.
"""

import socket
import sys

from witness import wait_kernel_state, wait_until
from witness.sockets import send_window
from witness.timelines import CALL, Talk, play, timeline

TCP_DEFER_ACCEPT, TCP_LINGER2 = 9, 8
CLOSE = ["ESTABLISHED>FIN_WAIT1", "> FA FIN_WAIT1"]
ORPHAN = ["< A FIN_WAIT1", "FIN_WAIT1>FIN_WAIT2", "FIN_WAIT2>CLOSE"]


def orphan(talk):
    """Up to the minisock that stands for FIN_WAIT2."""
    talk.open().close()
    talk.raw.expect("FA")
    talk.raw.send("A")
    talk.then(*CLOSE, *ORPHAN)


@timeline()
def simultaneous_close(world, family):
    with Talk(world, family) as talk:
        sock = talk.open()
        sock.shutdown(socket.SHUT_RDWR)
        fin = talk.raw.expect("FA")
        talk.raw.send("FA", ack=fin.seq)
        talk.raw.expect("A")
        talk.then(*CLOSE, "< FA FIN_WAIT1", "> A FIN_WAIT1", "FIN_WAIT1>CLOSING")
        talk.raw.send("A")
        talk.then("< A CLOSING", "CLOSING>CLOSE")


@timeline()
def finack_close(world, family):
    with Talk(world, family) as talk:
        sock = talk.open()
        sock.shutdown(socket.SHUT_RDWR)
        talk.raw.expect("FA")
        talk.raw.send("FA")
        talk.raw.expect("A")
        talk.then(*CLOSE, "< FA FIN_WAIT1", "FIN_WAIT1>FIN_WAIT2", "> A FIN_WAIT2",
                  "FIN_WAIT2>CLOSE")


@timeline()
def fin_wait2_fin_in_minisock(world, family):
    with Talk(world, family) as talk:
        orphan(talk)
        talk.raw.send("FA")
        talk.raw.expect("A")
        talk.then("< FA TIME_WAIT/FIN_WAIT2", "> A TIME_WAIT/TIME_WAIT")


@timeline()
def fin_in_synack_ack(world, family):
    with Talk(world, family) as talk:
        talk.raw.send("S")
        talk.raw.expect("SA")
        talk.raw.send("FPA", b"all")
        talk.raw.expect("A")
        talk.then("< S LISTEN", "> SA NEW_SYN_RECV", "< FA+ NEW_SYN_RECV", "SYN_RECV>ESTABLISHED",
                  "ESTABLISHED>CLOSE_WAIT", "> A CLOSE_WAIT")


@timeline()
def embryonic_rst(world, family):
    with Talk(world, family) as talk:
        talk.raw.send("S")
        talk.raw.expect("SA")
        talk.raw.send("R")
        talk.then("< S LISTEN", "> SA NEW_SYN_RECV", "< R NEW_SYN_RECV", "drop < R NOT_SPECIFIED")
        talk.raw.send("A")
        talk.raw.expect("R")
        talk.then("< A LISTEN", "reset > LISTEN", "> R LISTEN", "drop < A TCP_FLAGS")


@timeline()
def dup_syn(world, family):
    with Talk(world, family) as talk:
        talk.raw.send("S")
        first = talk.raw.expect("SA")
        talk.raw.send("S", seq=talk.raw.seq - 1)
        again = talk.raw.expect("SA")
        assert again.seq == first.seq, "another SYN-ACK"
        talk.then("< S LISTEN", "> SA NEW_SYN_RECV", "< S NEW_SYN_RECV", "> SA NEW_SYN_RECV",
                  "again SA NEW_SYN_RECV", "drop < S NOT_SPECIFIED")
        talk.raw.send("R")
        talk.then("< R NEW_SYN_RECV", "drop < R NOT_SPECIFIED")


@timeline()
def rst_after_fin(world, family):
    with Talk(world, family) as talk:
        sock = talk.open()
        talk.raw.send("FA")
        talk.raw.expect("A")
        wait_kernel_state(sock, "CLOSE_WAIT")
        talk.then("< FA ESTABLISHED", "ESTABLISHED>CLOSE_WAIT", "> A CLOSE_WAIT")
        talk.raw.send("R", seq=talk.raw.seq - 1)
        talk.then("< R CLOSE_WAIT", "reset < CLOSE_WAIT", "CLOSE_WAIT>CLOSE EPIPE")


@timeline()
def data_after_close(world, family):
    with Talk(world, family) as talk:
        orphan(talk)
        talk.raw.send("PA", b"late")
        talk.raw.expect("R")
        talk.then("< A+ TIME_WAIT/FIN_WAIT2", "reset > TIME_WAIT", "> R TIME_WAIT/FIN_WAIT2")


@timeline()
def data_after_close_fw1(world, family):
    with Talk(world, family) as talk:
        talk.open().close()
        fin = talk.raw.expect("FA")
        talk.raw.send("PA", b"late", ack=fin.seq)
        talk.raw.expect("R")
        # plain data is not worth a record, nor is the drop of it; no RST came: "reset <" is a name
        talk.then(*CLOSE, "reset < FIN_WAIT1", "FIN_WAIT1>CLOSE ECONNRESET", "reset > CLOSE",
                  "> R CLOSE")


@timeline()
def close_unread_data(world, family):
    with Talk(world, family) as talk:
        sock = talk.open()
        talk.raw.send("PA", b"unread")
        talk.raw.expect("A")
        sock.close()
        talk.raw.expect("RA")
        talk.then("ESTABLISHED>CLOSE", "> RA CLOSE", "reset > CLOSE")


@timeline()
def linger2_negative(world, family):
    with Talk(world, family) as talk:
        sock = talk.open()
        sock.setsockopt(socket.IPPROTO_TCP, TCP_LINGER2, -1)
        sock.close()
        talk.raw.expect("FA")
        talk.raw.send("A")
        talk.raw.expect("R")
        talk.then(*CLOSE, *ORPHAN, "reset > CLOSE", "> R CLOSE", "drop < A TCP_ABORT_ON_DATA")


@timeline(tcp_syncookies=2)
def syncookies_always(world, family):
    with Talk(world, family) as talk:
        talk.raw.open()
        talk.accept()
        talk.then("< S LISTEN", "> SA -", "< A LISTEN", "SYN_RECV>ESTABLISHED")


@timeline()
def defer_accept(world, family):
    with Talk(world, family, options=[(socket.IPPROTO_TCP, TCP_DEFER_ACCEPT, 30)]) as talk:
        talk.raw.send("S")
        talk.raw.expect("SA")
        talk.raw.send("A")
        talk.then("< S LISTEN", "> SA NEW_SYN_RECV", "< A NEW_SYN_RECV", "drop < A NOT_SPECIFIED")
        talk.raw.send("PA", b"at last")
        talk.accept().close()
        talk.raw.expect("RA")
        talk.then("< A+ NEW_SYN_RECV", "SYN_RECV>ESTABLISHED", "ESTABLISHED>CLOSE", "> RA CLOSE",
                  "reset > CLOSE")


@timeline()
def simultaneous_open(world, family):
    with Talk(world, family, listens=False) as talk:
        sock = talk.call()
        raw = talk.raw
        raw.expect("S")
        raw.send("S")
        raw.expect("SA")
        raw.send("SA", seq=raw.seq - 1)
        wait_kernel_state(sock, "ESTABLISHED")
        raw.expect("A")
        # the ACK, the third segment this socket sends, completes nothing: only counted
        talk.then(*CALL[:2], "< S SYN_SENT", "SYN_SENT>SYN_RECV", "> SA SYN_RECV",
                  "< SA SYN_RECV", "SYN_RECV>ESTABLISHED", "drop < SA TCP_OLD_DATA")


@timeline()
def connect_then_close_synsent(world, family):
    with Talk(world, family, listens=False) as talk:
        sock = talk.call()
        talk.raw.expect("S")
        sock.close()
        talk.then(*CALL[:2], "SYN_SENT>CLOSE")
        talk.raw.send("SA")
        talk.raw.expect("R")
        talk.then("< SA -", "reset > -", "> R -", "drop < SA NO_SOCKET")


@timeline()
def fin_queued_not_sent(world, family):
    with Talk(world, family) as talk:
        sock = talk.open()
        talk.raw.send("A", window=0)
        # seen in the kernel's own variable: tcpi_snd_wnd
        wait_until(lambda: send_window(sock) == 0, "the window stays open")
        sock.send(b"x" * 1000)
        sock.close()
        talk.then("ESTABLISHED>FIN_WAIT1")
        talk.raw.send("A")
        talk.raw.expect("FA")
        talk.then("> FA+ FIN_WAIT1")
        talk.raw.send("R")
        talk.then("< R FIN_WAIT1", "reset < FIN_WAIT1", "FIN_WAIT1>CLOSE ECONNRESET")


@timeline()
def ss_kill_estab(world, family):
    with Talk(world, family) as talk:
        talk.open()
        world.space.run("ss", "-K", "-tn", "state", "established", f"( sport = :{talk.port} )")
        talk.raw.expect("RA")
        talk.then("> RA ESTABLISHED", "reset > ESTABLISHED", "ESTABLISHED>CLOSE ECONNABORTED")


@timeline()
def ss_kill_minisock(world, family):
    with Talk(world, family) as talk:
        orphan(talk)
        world.space.run("ss", "-K", "-tn", "state", "fin-wait-2", f"( sport = :{talk.port} )")
        wait_until(lambda: not world.space.in_state(talk.port, "FIN_WAIT_2"), "it lives")
        talk.raw.send("A")
        talk.raw.expect("R")
        talk.then("< A LISTEN", "reset > LISTEN", "> R LISTEN", "drop < A TCP_FLAGS")


if __name__ == "__main__":
    sys.exit(play())
