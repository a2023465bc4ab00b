#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Every record of one connection, in order, where a segment comes that the kernel does not take as
it is: from elsewhere in the sequence, without a connection, damaged, filtered."""

import sys

from witness import wait_until
from witness.icmp import HOST, PORT, unreachable
from witness.timelines import CALL, OPEN, Talk, play, timeline

ASKED = ["< S LISTEN", "> SA NEW_SYN_RECV"]
STRAY = ["< A LISTEN", "reset > LISTEN", "> R LISTEN", "drop < A TCP_FLAGS"]


@timeline()
def challenge_ack(world, family):
    with Talk(world, family) as talk:
        talk.open()
        raw = talk.raw
        raw.send("R", seq=raw.seq + 10)
        raw.expect("A")  # plain, and of no consequence: no record
        talk.then("< R ESTABLISHED", "drop < R TCP_RESET")
        # the second challenge within half a second is not sent: tcp_invalid_ratelimit
        raw.send("S", seq=raw.seq - 1)
        talk.then("< S ESTABLISHED", "drop < S TCP_INVALID_SYN")
        raw.send("A", ack=raw.ack + 100000)
        talk.then("drop < A TCP_ACK_UNSENT_DATA")
        raw.send("R")
        talk.then("< R ESTABLISHED", "reset < ESTABLISHED", "ESTABLISHED>CLOSE ECONNRESET")


@timeline()
def oow_segment(world, family):
    with Talk(world, family) as talk:
        talk.open()
        raw = talk.raw
        raw.send("PA", b"old data", seq=raw.seq - 50)
        raw.expect("A")
        raw.send("PA", b"far data", seq=raw.seq + 200000)
        raw.expect("A")
        # neither the data nor the kernel's answers are worth a record: the RST comes next
        raw.send("R")
        talk.then("< R ESTABLISHED", "reset < ESTABLISHED", "ESTABLISHED>CLOSE ECONNRESET")


@timeline()
def bad_ack_to_request(world, family):
    with Talk(world, family) as talk:
        talk.raw.send("S")
        talk.raw.expect("SA")
        talk.raw.send("A", ack=talk.raw.ack + 76)
        talk.raw.expect("R")
        talk.then(*ASKED, "< A NEW_SYN_RECV", "reset > LISTEN", "> R LISTEN", "drop < A TCP_FLAGS")
        talk.raw.send("A")
        talk.accept()
        talk.then("< A NEW_SYN_RECV", "SYN_RECV>ESTABLISHED")


@timeline()
def ack_to_listener(world, family):
    with Talk(world, family) as talk:
        talk.raw.send("A", ack=77)
        talk.raw.expect("R")
        talk.then(*STRAY)
        talk.raw.send("R")
        talk.then("< R LISTEN", "drop < R TCP_RESET")
        talk.raw.send("F")
        talk.then("< F LISTEN", "drop < F TCP_FLAGS")


@timeline()
def synack_bad_ack(world, family):
    with Talk(world, family, listens=False) as talk:
        talk.call()
        raw = talk.raw
        raw.expect("S")
        raw.send("SA", ack=raw.ack + 999)
        raw.seq -= 1
        raw.expect("R")
        raw.expect("S")  # at once, not by the timer
        talk.then(*CALL[:3], "reset > SYN_SENT", "> R SYN_SENT",
                  "drop < SA TCP_INVALID_ACK_SEQUENCE", "> S SYN_SENT", "again S SYN_SENT")
        raw.send("R", seq=0)  # without ACK: says nothing about the SYN
        talk.then("< R SYN_SENT", "drop < R TCP_RESET")
        raw.send("SA")
        talk.then(*CALL[2:])


@timeline()
def netfilter_drop_synack_ack(world, family):
    with Talk(world, family) as talk:
        with world.filtered(f"tcp dport {talk.port} tcp flags & (syn|ack) == ack drop"):
            talk.raw.send("S")
            talk.raw.expect("SA")
            talk.raw.send("A")
            talk.then(*ASKED, "< A NEW_SYN_RECV", "drop < A NETFILTER_DROP")
            # what carries data is dropped as well, and only counted
            talk.raw.send("PA", b"abc", seq=talk.raw.seq)
            talk.then("< A+ NEW_SYN_RECV")
        talk.raw.send("PA", b"abc")
        talk.accept()
        talk.raw.expect("A")
        talk.then("< A+ NEW_SYN_RECV", "SYN_RECV>ESTABLISHED")


@timeline()
def bad_checksum(world, family):
    with Talk(world, family) as talk:
        talk.open()
        talk.raw.send("FA", seq=talk.raw.seq, corrupt=True)
        talk.then("< FA ESTABLISHED", "drop < FA TCP_CSUM")
        talk.raw.send("FA")
        talk.raw.expect("A")
        talk.then("< FA ESTABLISHED", "ESTABLISHED>CLOSE_WAIT", "> A CLOSE_WAIT")


@timeline()
def icmp_syn_sent(world, family):
    with Talk(world, family, listens=False) as talk:
        talk.call()
        unreachable(talk.peer, talk.raw.expect("S"), PORT)
        talk.then(*CALL[:2], "SYN_SENT>CLOSE ECONNREFUSED")


@timeline()
def icmp_request(world, family):
    """The kernel takes one of the two codes as final, and not the same for IPv4 and IPv6."""
    with Talk(world, family) as talk:
        talk.raw.send("S")
        synack = talk.raw.expect("SA")
        ignored, final = (PORT, HOST) if family == 4 else (HOST, PORT)
        unreachable(talk.peer, synack, ignored)
        unreachable(talk.peer, synack, final)
        wait_until(lambda: not world.space.in_state(talk.port, "SYN_RECEIVED"), "it lives")
        talk.raw.send("A")
        talk.raw.expect("R")
        talk.then(*ASKED, *STRAY)


@timeline()
def dual_stack_listener(world, family):
    with Talk(world, family, address="::") as talk:
        talk.open()
        assert talk.told == OPEN
        talk.raw.send("R")
        talk.then("< R ESTABLISHED", "reset < ESTABLISHED", "ESTABLISHED>CLOSE ECONNRESET")


if __name__ == "__main__":
    sys.exit(play())
