# SPDX-License-Identifier: GPL-2.0-only
"""Connections in real trouble, by the batch, to be found among ordinary ones."""

import itertools
import socket
import time

from .raw import RawPeer, overflow
from .runner import check_equal, wait_until
from .scene import KINDS
from .sockets import accept, client_of, close_rst, listener
from .stuck import HeldSocket

HOSTS = itertools.count(20)
PORTS = itertools.count(30000)  # of the raw peer
SOURCES = itertools.count(9500)  # of our own, below what the load's clients are given
TCP_USER_TIMEOUT = 18

REFUSED, DROPPED, FILTERED, SILENT, FORGED, AHEAD, STALLED, UNSENT, UNAWARE, STUCK = AMOUNTS = (
    12, 6, 7, 8, 4, 4, 3, 3, 2, 1)
BATCH = sum(AMOUNTS)
# problems of a whole namespace or machine, which have runs of their own: witness/soak.py:
# too_few_buckets() and test_faults_memory.py
ELSEWHERE = {"time_wait_missing", "orphan_aborted"}
# longer than the settle time: what comes again after it is seen to come again
AGAIN_S = 0.4


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
        self.talks = []
        self.insistent = []
        self.held = []
        self.sockets = [self.full, self.hidden, self.open]
        lab.a.nft(f"tcp dport {self.hidden_port} drop",
                  output=[f"tcp dport {self.hidden_port} drop"])

    def make(self):
        self.fins_behind_closed_windows()
        self.fins_ahead_of_data()
        self.forged_resets()
        self.silent_closes()
        self.unsent_syns()
        self.filtered_syns()
        self.refused_final_acks_and_syns()
        self.peers_that_go_on()
        self.stuck_owners()

    def talk(self, port, kind=None):
        talk = self.peer.connection(next(PORTS), port)
        self.talks.append(talk)
        if kind:
            self.note(kind, talk)
        return talk

    def note(self, kind, talk):
        self.want.append((kind, talk.kernel_at, talk.me_at))

    def opened(self, kind):
        talk = self.talk(self.open_port, kind)
        talk.open()
        sock = accept(self.open)
        self.sockets.append(sock)
        return sock, talk

    def refused_final_acks_and_syns(self):
        for talk in overflow(self.lab.a, self.full_port, REFUSED,
                             lambda: self.talk(self.full_port)):
            self.note("accept_queue_overflow", talk)
        for _ in range(DROPPED):
            self.talk(self.full_port, "syn_dropped").send("S")

    def filtered_syns(self):
        for _ in range(FILTERED):
            self.talk(self.hidden_port, "segment_filtered").send("S")

    def silent_closes(self):
        for _ in range(SILENT):
            sock, _talk = self.opened("silent_close")
            sock.setsockopt(socket.IPPROTO_TCP, TCP_USER_TIMEOUT, 500)
            sock.sendall(b"hello?")

    def forged_resets(self):
        for _ in range(FORGED):
            _sock, talk = self.opened("forged_reset")
            for number in range(1, 6):
                talk.send("R", seq=talk.seq + 10 * number)

    def fins_ahead_of_data(self):
        talks = [self.opened("fin_unprocessed")[1] for _ in range(AHEAD)]
        for _ in range(4):
            for talk in talks:
                talk.send("FA", seq=talk.seq + 100)
                talk.expect("A")
            time.sleep(AGAIN_S)

    def fins_behind_closed_windows(self):
        for _ in range(STALLED):
            sock, talk = self.opened("fin_stalled")
            talk.close_window(sock)
            sock.sendall(bytes(1000))
            sock.shutdown(socket.SHUT_WR)

    def unsent_syns(self):
        for _ in range(UNSENT):
            port = next(SOURCES)
            talk = self.peer.connection(self.hidden_port, port)
            self.note("syn_unsent", talk)
            self.sockets.append(client_of(self.lab.a, self.family,
                                          (self.peer.address, self.hidden_port),
                                          (self.address, port), timeout=0))

    def peers_that_go_on(self):
        for _ in range(UNAWARE):
            sock, talk = self.opened("peer_unaware")
            close_rst(sock)
            talk.expect("RA")
            self.insistent.append(talk)

    def stuck_owners(self):
        for _ in range(STUCK):
            sock, talk = self.opened("stuck_owner")
            talk.send("PA", b"to be copied")
            wait_until(lambda sock=sock: sock.recv(16, socket.MSG_PEEK | socket.MSG_DONTWAIT),
                       "no data to copy")
            held = HeldSocket(sock)
            self.held.append(held)
            held.hold()
            talk.send("FA")

    def _found(self, daemon, amount):
        for talk in self.insistent:
            talk.send("PA", b"still there?", seq=talk.seq)
        rows = daemon.problems()
        return rows if len(rows) >= amount else None

    def expect_found(self, daemon, known=(), seconds=120):
        """Every one is reported, on the right tuple, and no other problem but KNOWN ones."""
        check_equal("faults made", len(self.want), BATCH)
        check_equal("kinds made", {kind for kind, _, _ in self.want},
                    {kind for kind, (kind_class, _) in KINDS.items()
                     if kind_class == "problem"} - ELSEWHERE)
        want = sorted([*known, *self.want])

        def missing():
            have = {(row["kind"], row["local"], row["remote"]) for row in daemon.problems()}
            return f"of {len(want)} faults not found: {sorted(set(want) - have)}"
        found = wait_until(lambda: self._found(daemon, len(want)), missing, seconds, AGAIN_S)
        check_equal("faults found on the right tuples",
                    sorted((row["kind"], row["local"], row["remote"]) for row in found), want)

    def close(self):
        self.lab.a.nft()
        for held in self.held:
            held.release()
        for talk in self.talks:
            talk.send("R")
        for sock in self.sockets:
            sock.close()
        self.peer.close()
