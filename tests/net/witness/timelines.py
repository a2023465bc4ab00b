# SPDX-License-Identifier: GPL-2.0-only
"""Scenarios that are told record by record: an action, then exactly the records it makes.

A record's line, as recordlog.py writes it:

  < FLAGS STATE      a segment arrived ("+": with data); the kernel's state for it at that instant,
  > FLAGS STATE      or one left. "-": no socket. TIME_WAIT has its substate behind a slash
  OLD>NEW [ERRNO]    the kernel changed its state
  drop < FLAGS WHY   the kernel threw a segment away
  reset > STATE      it sent a RST for a socket in that state; "reset <": it took one in
  again FLAGS STATE  it retransmitted

All scenarios of a file are played first, by several threads, since most of them wait for timers of
the kernel; then each is a case. They keep apart by their port, which is why it tells whose a record
is, and only those with the same sysctls are played at the same time.
"""

import contextlib
import functools
import itertools
import os
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor

from .daemon import Daemon
from .lab import IPV4, IPV6, Lab
from .raw import RawPeer
from .recordlog import RecordLog
from .replayed import captured
from .runner import PATIENCE_S, Failure, case, check, main, wait_until
from .sockets import accept, client_of, listener

FAMILIES = {"ipv4": IPV4, "ipv6": IPV6}
MODES = ("tcx", "xdp")
THREADS = 8
TRIES = 3

# of a connection: of the watched host's port that listens, and of its active open
OPEN = ["< S LISTEN", "> SA NEW_SYN_RECV", "< A NEW_SYN_RECV", "SYN_RECV>ESTABLISHED"]
CALL = ["CLOSE>SYN_SENT", "> S SYN_SENT", "< SA SYN_SENT", "SYN_SENT>ESTABLISHED",
        "> A ESTABLISHED"]

_timelines = []


class Slow(Failure):
    """The kernel retransmitted because this machine was too slow: nothing is wrong with it."""


class World:
    """A lab, watched at a, and the log of what is recorded there."""

    def __init__(self, lab, daemon, log):
        self.lab, self.daemon, self.log = lab, daemon, log
        self.space = lab.a
        self._filter = threading.Lock()
        self._hosts, self._ports = itertools.count(10), itertools.count(7500)

    @contextlib.contextmanager
    def filtered(self, *rules):
        """These nftables rules hold on the input; one scenario after the other."""
        with self._filter:
            self.space.nft(*rules)
            try:
                yield
            finally:
                self.space.nft()

    def address(self, family):
        return self.lab.ip(self.lab.a, family)

    def check_all_local(self):
        """Nothing is recorded of the other host, though it is the same kernel's."""
        ours = {self.address(family) for family in FAMILIES.values()}
        foreign = [record for record in self.log.records()
                   if record.remote_port and record.local not in ours]
        check(not foreign, f"records of elsewhere: {foreign[:3]}")

    def missed(self):
        """Events by program that came while it ran on the same CPU: the kernel leaves them out."""
        return self.daemon.metrics().by("program_misses_total", "program")

    def port(self):
        return next(self._ports)

    def peer(self, family):
        return RawPeer(self.lab, self.lab.a, family, host=next(self._hosts))


class Talk:
    """A port of the watched host, raw peers at the other end, and the records told so far.

    With WHOLE, all records of the port count: each line begins with the name of its connection, a
    b c in the order in which connection() made them, or * for the listener, and ends with the
    listener's queues where the record has them: "accept queue/its limit SYN queue". Without, those
    of the first connection do, alone."""

    def __init__(self, world, family, whole=False, listens=True, **options):
        self.world, self.family, self.whole, self.port = world, family, whole, world.port()
        self.remotes, self.told = [], []
        self.listener = None
        self._listens, self._options = listens, options
        self._address = options.pop("address", world.address(family))

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.peer = self.world.peer(self.family)
            stack.callback(self.peer.close)
            if self._listens:
                self.listener = listener(self.world.space, self._address, self.port,
                                         **self._options)
                stack.callback(self.listener.close)
            self.raw = self.connection() if not self.whole else None
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.close()

    def watch(self, remote_port):
        """Records with that remote port are the next connection's."""
        self.remotes.append(remote_port)

    def connection(self):
        """One more connection of the raw peer's; nothing is sent yet."""
        raw = self.peer.connection(20000 + 10 * self.port % 40000 + len(self.remotes), self.port)
        self.watch(raw.my_port)
        return raw

    def keep(self, sock):
        """Closes it in the end."""
        self.stack.callback(sock.close)
        return sock

    def accept(self):
        return self.keep(accept(self.listener))

    def open(self):
        """The raw peer connects; the watched host's socket."""
        self.raw.open()
        sock = self.accept()
        self.then(*OPEN)
        return sock

    def call(self, options=()):
        """The watched host's socket that begins to connect to the raw peer."""
        sock = client_of(self.world.space, self.family, (self.peer.address, self.raw.my_port),
                         source=(self.world.address(self.family), self.port), timeout=0,
                         options=options)
        return self.keep(sock)

    def _line(self, record):
        if not self.whole:
            return record.text if record.remote_port == self.remotes[0] else None
        if not record.remote_port:
            return f"* {record.full}"
        return f"{'abcdefghijklm'[self.remotes.index(record.remote_port)]} {record.full}"

    def lines(self):
        """What was recorded so far, whether told or not."""
        lines = [self._line(record) for record in self.world.log.records()
                 if record.local_port == self.port]
        return [line for line in lines if line]

    def then(self, *lines, seconds=PATIENCE_S):
        """These records come, now or soon, behind those told before, and no others."""
        self.told += lines
        try:
            wait_until(lambda: self.lines() == self.told, self._difference, seconds)
        except Failure as failure:
            if self._retransmitted(self.lines()) > self._retransmitted(self.told):
                raise Slow(str(failure)) from None
            raise

    @staticmethod
    def _retransmitted(lines):
        return sum("again " in line for line in lines)

    def _difference(self):
        have = self.lines()
        same = len(os.path.commonprefix([have, self.told]))
        return (f"after {same} records as told came {have[same:]}, expected {self.told[same:]}; "
                f"passed by: {self.world.missed()}")


def timeline(**sysctls):
    """Registers FUNCTION(world, family) for each way to capture and each family; SYSCTLS hold at
    the watched host meanwhile."""
    def register(function):
        for mode, (name, family) in itertools.product(MODES, FAMILIES.items()):
            row = (f"{function.__name__} {name} {mode}", mode, function, family, sysctls)
            _timelines.append(row)
            case(row[0], row[0])(lambda played, key: played[key]())
        return function
    return register


def _play(world, function, family):
    """What the case's verdict will be, as a function."""
    for left in reversed(range(TRIES)):
        try:
            function(world, family)
            return lambda: None
        except Slow as error:
            if not left:
                return functools.partial(_raise, error)
        except Exception as error:  # the case's, not ours
            return functools.partial(_raise, error)
    raise AssertionError("unreachable")


def _raise(error):
    raise error


@contextlib.contextmanager
def _settings(space, sysctls):
    before = {name: space.sysctl_read(name) for name in sysctls}
    space.sysctl(**sysctls)
    try:
        yield
    finally:
        space.sysctl(**before)


def _play_all(world, rows):
    played = {}
    rows = sorted(rows, key=lambda row: sorted(row[4].items()))
    with ThreadPoolExecutor(THREADS) as threads:
        for sysctls, group in itertools.groupby(rows, key=lambda row: row[4]):
            group = list(group)
            with _settings(world.space, sysctls):
                played.update(zip(
                    [row[0] for row in group],
                    threads.map(lambda row: _play(world, row[2], row[3]), group)))
    return played


@contextlib.contextmanager
def _watched(mode, patient, sysctls):
    with Lab("lines", patient) as lab, tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "log")
        lab.a.sysctl(**sysctls)
        with captured(lab, lab.a) as captures, \
                Daemon(lab.a, f"--record={path}", device="v0", mode=mode) as daemon:
            log = RecordLog(path)
            try:
                yield World(lab, daemon, log)
            finally:
                log.close()
            captures.compare({lab.a: daemon})


def play(patient=True, **sysctls):
    """Plays the file's timelines; exit status. PATIENT: they are not about retransmissions."""
    chosen = [row for row in _timelines
              if not sys.argv[1:] or any(text in row[0] for text in sys.argv[1:])]

    @contextlib.contextmanager
    def played():
        verdicts = {}
        for mode in MODES:
            rows = [row for row in chosen if row[1] == mode]
            if rows:
                with _watched(mode, patient, sysctls) as world:
                    verdicts.update(_play_all(world, rows))
                    world.check_all_local()
        yield verdicts
    return main(played)
