# SPDX-License-Identifier: GPL-2.0-only
"""Connections in real trouble, by the batch, to be found among ordinary ones."""

import itertools
import socket

from .raw import RawPeer, overflow
from .runner import check_equal, wait_until
from .sockets import accept, listener

REFUSED, FILTERED, SILENT = 20, 15, 15
BATCH = REFUSED + FILTERED + SILENT
TCP_USER_TIMEOUT = 18
HOSTS = itertools.count(20)


class Faults:
    """BATCH connections in trouble, in the namespace a. `want` is what must be reported."""

    def __init__(self, lab, family, first_port=9001):
        self.lab, self.family = lab, family
        self.address = lab.ip(lab.a, family)
        self.peer = RawPeer(lab, lab.a, family, host=20 + next(HOSTS) % 200)
        self.full_port, self.hidden_port, self.open_port = range(first_port, first_port + 3)
        self.full = listener(lab.a, self.address, self.full_port, backlog=REFUSED)
        self.hidden = listener(lab.a, self.address, self.hidden_port)
        self.open = listener(lab.a, self.address, self.open_port)
        self.want = []
        self.refused = []
        self.sockets = [self.full, self.hidden, self.open]
        lab.a.nft(f"tcp dport {self.hidden_port} drop")

    def make(self):
        self.refused_final_acks()
        self.filtered_syns()
        self.silent_closes()

    def talk(self, number, port):
        return self.peer.connection(30000 + number, port)

    def note(self, kind, talk):
        self.want.append((kind, talk.kernel_at, talk.me_at))

    def refused_final_acks(self):
        numbers = itertools.count()
        self.refused = overflow(self.lab.a, self.full_port, REFUSED,
                                lambda: self.talk(next(numbers), self.full_port))
        for talk in self.refused:
            self.note("accept_queue_overflow", talk)

    def filtered_syns(self):
        for number in range(FILTERED):
            talk = self.talk(100 + number, self.hidden_port)
            talk.send("S")
            self.note("segment_filtered", talk)

    def silent_closes(self):
        for number in range(SILENT):
            talk = self.talk(200 + number, self.open_port)
            talk.open()
            sock = accept(self.open)
            sock.setsockopt(socket.IPPROTO_TCP, TCP_USER_TIMEOUT, 500)
            sock.sendall(b"hello?")
            self.sockets.append(sock)
            self.note("silent_close", talk)

    def expect_found(self, daemon, known=(), seconds=30):
        """Every one is reported, on the right tuple, and no other problem but KNOWN ones."""
        check_equal("faults made", len(self.want), BATCH)
        want = sorted([*known, *self.want])
        found = wait_until(
            lambda: (lambda rows: len(rows) >= len(want) and rows)(daemon.problems()),
            lambda: f"{len(daemon.problems())} of {len(want)} faults found", seconds)
        check_equal("faults found on the right tuples",
                    sorted((row["kind"], row["local"], row["remote"]) for row in found), want)

    def close(self):
        for talk in self.refused:
            talk.send("R")
        for sock in self.sockets:
            sock.close()
        self.peer.close()
        self.lab.a.nft()
