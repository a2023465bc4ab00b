#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Every record of a listener's port, in order, where its queues are full or it goes away. A line
ends with the queues as the kernel's snapshot has them: "accept queue/its limit SYN queue"."""

import sys

from witness import client_of
from witness.timelines import Talk, play, timeline


def begun(limit):
    return ["* CLOSE>LISTEN", f"* listen {limit}"]


def asked(name, queue, waiting=0):
    """A SYN becomes a request."""
    return [f"{name} < S LISTEN {queue} {waiting}",
            f"{name} > SA NEW_SYN_RECV {queue} {waiting + 1}"]


def completed(name, queue, waiting=1, flags="A"):
    """The final ACK makes a child of it."""
    return [f"{name} < {flags} NEW_SYN_RECV {queue} {waiting}", f"{name} SYN_RECV>ESTABLISHED"]


def aborted(name):
    """A child that nobody accepted, when the listener closes."""
    return [f"{name} ESTABLISHED>CLOSE", f"{name} > RA CLOSE", f"{name} reset > CLOSE"]


def ask(talk):
    raw = talk.connection()
    raw.send("S")
    raw.expect("SA")
    return raw


def full_but_for_one_request(talk):
    """Two in an accept queue for one (backlog + 1 fit), and a request that comes too late."""
    first, second = ask(talk), ask(talk)
    first.send("A")
    talk.then(*begun(1), *asked("a", "0/1"), *asked("b", "0/1", 1), *completed("a", "0/1", 2))
    third = ask(talk)
    second.send("A")
    talk.then(*asked("c", "1/1", 1), *completed("b", "1/1", 2))
    return third


@timeline()
def accept_overflow(world, family):
    with Talk(world, family, whole=True, backlog=1) as talk:
        for _ in range(2):
            ask(talk).send("A")
        talk.then(*begun(1), *asked("a", "0/1"), *completed("a", "0/1"), *asked("b", "1/1"),
                  *completed("b", "1/1"))
        raw = talk.connection()
        raw.send("S")
        talk.then("c < S LISTEN 2/1 0")  # dropped, and no tracepoint says so
        raw.send("S", seq=raw.seq - 1)
        talk.then("c < S LISTEN 2/1 0")
        first = talk.accept()
        raw.send("S", seq=raw.seq - 1)
        raw.expect("SA")
        raw.send("A")
        talk.then(*asked("c", "1/1"), *completed("c", "1/1"))
        first.close()
        talk.then("a ESTABLISHED>FIN_WAIT1", "a > FA FIN_WAIT1")
        talk.listener.close()
        talk.then("* LISTEN>CLOSE", *aborted("b"), *aborted("c"))


@timeline()
def accept_overflow_final_ack(world, family):
    with Talk(world, family, whole=True, backlog=1) as talk:
        raw = full_but_for_one_request(talk)
        raw.send("A")
        talk.then("c < A NEW_SYN_RECV 2/1 1", "c drop < A TCP_LISTEN_OVERFLOW")
        raw.send("PA", b"early", seq=raw.seq)  # dropped as well, but data is only counted
        talk.then("c < A+ NEW_SYN_RECV 2/1 1")
        late = talk.connection()
        late.send("S")
        talk.then("d < S LISTEN 2/1 1")
        # a second after the first
        talk.then("c > SA NEW_SYN_RECV 2/1 1", "c again SA NEW_SYN_RECV")
        talk.accept()
        raw.send("PA", b"early")
        raw.expect("A")
        talk.then(*completed("c", "1/1", flags="A+"))


@timeline(tcp_abort_on_overflow=1)
def abort_on_overflow(world, family):
    with Talk(world, family, whole=True, backlog=1) as talk:
        raw = full_but_for_one_request(talk)
        raw.send("A")
        raw.expect("R")
        talk.then("c < A NEW_SYN_RECV 2/1 1", "c reset > LISTEN", "c > R LISTEN 2/1 1",
                  "c drop < A TCP_LISTEN_OVERFLOW")
        talk.listener.close()
        talk.then("* LISTEN>CLOSE", *aborted("a"), *aborted("b"))


@timeline()
def accept_overflow_real_client(world, family):
    with Talk(world, family, whole=True, backlog=1) as talk:
        target = (world.address(family), talk.port)
        for port in range(20000, 20003):
            talk.watch(port)
            talk.keep(client_of(world.lab.b, family, target, timeout=0,
                                source=(world.lab.ip(world.lab.b, family), port)))
            if port == 20000:
                talk.then(*begun(1), *asked("a", "0/1"), *completed("a", "0/1"))
            elif port == 20001:
                talk.then(*asked("b", "1/1"), *completed("b", "1/1"))
        talk.then("c < S LISTEN 2/1 0")
        talk.then("c < S LISTEN 2/1 0")  # it tries again, after a second
        talk.listener.close()
        talk.then("* LISTEN>CLOSE", *aborted("a"), *aborted("b"))


@timeline(tcp_syncookies=0)
def synq_overflow_nocookies(world, family):
    with Talk(world, family, whole=True, backlog=3) as talk:
        for _ in range(4):
            ask(talk)
        refused = [talk.connection(), talk.connection()]
        for raw in refused:
            raw.send("S")
        talk.then(*begun(3), *asked("a", "0/3"), *asked("b", "0/3", 1), *asked("c", "0/3", 2),
                  *asked("d", "0/3", 3), "e < S LISTEN 0/3 4", "f < S LISTEN 0/3 4")
        assert all(raw.quiet(0) for raw in refused), "a refused SYN was answered"
        talk.listener.close()
        talk.then("* LISTEN>CLOSE")  # the requests go without a word


@timeline(tcp_syncookies=1)
def synq_overflow_cookies(world, family):
    with Talk(world, family, whole=True, backlog=3) as talk:
        for _ in range(5):
            ask(talk)
        last = ask(talk)
        last.send("A")
        talk.then(*begun(3), *asked("a", "0/3"), *asked("b", "0/3", 1), *asked("c", "0/3", 2),
                  *asked("d", "0/3", 3), "e < S LISTEN 0/3 4", "e > SA -", "f < S LISTEN 0/3 4",
                  "f > SA -", "f < A LISTEN 0/3 4", "f SYN_RECV>ESTABLISHED")
        forged = talk.connection()
        forged.send("A", ack=0x1234567)
        forged.expect("R")
        talk.then("g < A LISTEN 1/3 4", "g reset > LISTEN", "g > R LISTEN 1/3 4",
                  "g drop < A TCP_FLAGS")


@timeline(tcp_syncookies=0, tcp_max_syn_backlog=8)
def max_syn_backlog_rule(world, family):
    """The last quarter of tcp_max_syn_backlog is for peers that were here before."""
    with Talk(world, family, whole=True, backlog=100) as talk:
        for _ in range(7):
            ask(talk)
        for _ in range(2):
            talk.connection().send("S")
        talk.then(*begun(100), *(line for count, name in enumerate("abcdefg")
                                 for line in asked(name, "0/100", count)),
                  "h < S LISTEN 0/100 7", "i < S LISTEN 0/100 7")


@timeline(tcp_syncookies=2)
def cookie_accept_full(world, family):
    with Talk(world, family, whole=True, backlog=0) as talk:
        raws = [ask(talk) for _ in range(3)]
        talk.then(*begun(0), *(line for name in "abc"
                               for line in (f"{name} < S LISTEN 0/0 0", f"{name} > SA -")))
        raws[0].send("A")
        talk.then("a < A LISTEN 0/0 0", "a SYN_RECV>ESTABLISHED")
        raws[1].send("A")
        talk.then("b < A LISTEN 1/0 0", "b drop < A NO_SOCKET")
        raws[2].send("A")
        talk.then("c < A LISTEN 1/0 0", "c drop < A NO_SOCKET")
        talk.listener.close()
        talk.then("* LISTEN>CLOSE", *aborted("a"))


@timeline()
def listener_close_pending(world, family):
    """With a child that nobody accepted and a request."""
    with Talk(world, family, whole=True, backlog=16) as talk:
        ask(talk).send("A")
        talk.then(*begun(16), *asked("a", "0/16"), *completed("a", "0/16"))
        request = ask(talk)
        talk.listener.close()
        talk.then(*asked("b", "1/16"), "* LISTEN>CLOSE", *aborted("a"))
        request.send("A")  # the request is still there, its listener is not
        request.expect("R")
        talk.then("b < A NEW_SYN_RECV 0/16 1", "b reset > -", "b > R -", "b drop < A NO_SOCKET")


if __name__ == "__main__":
    sys.exit(play())
