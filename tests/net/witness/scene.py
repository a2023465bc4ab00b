# SPDX-License-Identifier: GPL-2.0-only
"""One fault at a time, or many beside each other: what the daemon must report of each, and that
it reports nothing else.

A Scene has ports and a raw peer of its own, so scenes run beside each other. Each writes into the
ledger of its daemon what it provoked; the last case of a file compares the ledger with all that
the daemon reported, in its events and in its metrics.
"""

import collections
import contextlib
import itertools
import os
import re
import threading

from .daemon import ROOT
from .ends import FAMILIES, PORTS, both_ends, compare, space_of
from .lab import endpoint
from .raw import RawPeer
from .runner import PATIENCE_S, alone, case, check, check_equal, run_rows, wait_until
from .sockets import accept, client_of, listener, local_of

HOSTS = itertools.count()
TABLES = itertools.count()
CLOSED_WITHIN_S = 75.0  # an overflow of the bucket table is over after 30 s of quiet
_FIELD = re.compile(r'X\((\w+), "(\w+)", (\w+), (\w+),')


def _kinds():
    """{label: (class, severity)}, from the one list there is."""
    with open(os.path.join(ROOT, "daemon/track/kinds.h"), encoding="ascii") as file:
        rows = _FIELD.findall(file.read())
    return {label: (kind_class.lower(), severity.lower())
            for _, label, kind_class, severity in rows}


KINDS = _kinds()


class Ledger:
    """Which divergences a daemon has to have reported: (kind, local, remote), as often as noted."""

    def __init__(self):
        self._lock = threading.Lock()
        self._rows = collections.Counter()

    def note(self, row):
        with self._lock:
            self._rows[row] += 1

    def rows(self):
        return sorted(self._rows.elements())


def ledger_of(daemon):
    if not hasattr(daemon, "ledger"):
        daemon.ledger = Ledger()
    return daemon.ledger


class Talk:
    """A tuple as the watched host has it, by the names that RawConnection has."""

    def __init__(self, kernel_at, me_at):
        self.kernel_at, self.me_at = kernel_at, me_at


class Scene:
    """A listener of one end (unless BACKLOG is None), a raw peer, and what is reported of them:
    when it is STRICT, what was expected and nothing else."""

    def __init__(self, world, end, family, backlog=16, options=(), strict=True):
        self.world, self.family, self.strict = world, family, strict
        self.space = space_of(world, end)
        self.daemon = world.daemon(self.space)
        self.ledger = ledger_of(self.daemon)
        self.port = next(PORTS)
        self.address = world.lab.ip(self.space, family)
        self.expected = []
        self.seen = set()
        self.talks = []
        self._stack = contextlib.ExitStack()
        self.peer = RawPeer(world.lab, self.space, family, host=20 + next(HOSTS) % 200)
        self._stack.callback(self.peer.close)
        self.listener = None
        if backlog is not None:
            self.listener = listener(self.space, self.address, self.port, backlog, options)
            self._stack.callback(self.listener.close)
        self._stack.callback(self._reset_talks)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self._stack.close()
        if kind is None and self.strict:
            self.expect_only()

    def _reset_talks(self):
        """Those that the kernel still has, but in TIME_WAIT: that would be another fault."""
        there = {remote for state, _, remote in self.space.sockets(self.port)
                 if state != "TIME_WAIT"}
        for talk in self.talks:
            if talk.me_at in there:
                talk.send("R")

    # -- what is provoked

    def on_exit(self, function, *args):
        self._stack.callback(function, *args)

    def talk(self, **options):
        """A raw client of the listener; it is reset at the end of the scene."""
        talk = self.peer.connection(20000 + self.port + 100 * len(self.talks), self.port,
                                    **options)
        self.talks.append(talk)
        return talk

    def own(self, sock):
        """SOCK is closed at the end of the scene."""
        self._stack.callback(sock.close)
        return sock

    def accept(self):
        return self.own(accept(self.listener))

    def opened(self, **options):
        """An accepted connection with a raw client: (socket, talk)."""
        talk = self.talk()
        talk.open()
        sock = self.accept()
        for name, value in options.items():
            sock.setsockopt(*name, value)
        return sock, talk

    def in_time_wait(self):
        """A talk whose connection the kernel closed first."""
        sock, talk = self.opened()
        sock.close()
        talk.expect("FA")
        talk.send("FA")
        talk.expect("A")
        return talk

    def connecting(self, options=(), bound=True):
        """A socket that connects to a port of the raw peer, which is silent: (socket, talk)."""
        port = next(PORTS)
        source = (self.address, next(PORTS)) if bound else None
        sock = self.own(client_of(self.space, self.family, (self.peer.address, port), source,
                                  timeout=0, options=options))
        talk = self.peer.connection(port, sock.getsockname()[1])
        return sock, talk

    def filter(self, rules, chain="input", kind="filter", priority=0):
        """An nft chain of this scene's own; returns the function that removes it."""
        table = f"inet scene_{self.port}_{next(TABLES)}"
        self.space.run("nft", "-f", "-", input=f"""
            table {table} {{
                chain {chain} {{
                    type {kind} hook {chain} priority {priority}; policy accept;
                    {rules}
                }}
            }}""")
        held = contextlib.ExitStack()
        held.callback(self.space.run, "nft", "delete", "table", *table.split())
        self._stack.push(held)
        return held.close

    def kill(self, talk):
        """ss -K of the watched end's socket, which is there before and not after."""
        (local, local_port), (remote, remote_port) = (
            text.rsplit(":", 1) for text in (talk.kernel_at, talk.me_at))
        rows = self.space.run("ss", "-KtanH", "src", local, "sport", "=", f":{local_port}",
                              "dst", remote, "dport", "=", f":{remote_port}")
        check_equal("sockets killed", len(rows.splitlines()), 1)

    # -- what is reported

    def _rows(self, event="divergence_open"):
        """Of this scene: its port is at either end, or its peer's address is."""
        rows = []
        for row in self.daemon.find(event):
            ends = (row["local"], row["remote"])
            hosts = [text.rsplit(":", 1)[0].strip("[]") for text in ends]
            if row["local"] == endpoint(self.address, self.port) or \
                    self.peer.address in hosts or any(end in self.seen for end in ends):
                rows.append(row)
        return rows

    def expect(self, kind, *talks, seconds=PATIENCE_S, **fields):
        """KIND opens on the tuple of each talk, with its class and severity, and FIELDS. Returns
        the (last) event."""
        row = None
        for talk in talks:
            want = (kind, talk.kernel_at, talk.me_at)
            already = self.expected.count(want)

            def found(talk=talk, already=already):
                rows = self.daemon.find("divergence_open", kind=kind, local=talk.kernel_at,
                                        remote=talk.me_at)
                return rows[already:]
            row = wait_until(found, lambda talk=talk: f"no {kind} {talk.kernel_at} {talk.me_at}, "
                             f"but {self._told()}", seconds)[0]
            check_equal("class and severity",
                        (row["class"], row["severity"]), KINDS[kind])
            check(row["role"] in ("client", "server"), f"{kind}: role {row['role']}")
            self._expect_listener(row)
            self._expect_evidence(row)
            compare(row, fields)
            self.expected.append(want)
            self.ledger.note(want)
            self.seen.add(talk.kernel_at)
        return row

    def _expect_listener(self, row):
        """The listening socket behind a server's connection, and its owner: this process."""
        if row["role"] != "server":
            check_equal(f"{row['kind']}: listener of a client", row["listener"], None)
            return
        check_equal(f"{row['kind']}: listener", row["listener"], row["local"])
        check_equal(f"{row['kind']}: owner", (row["owner"] or {}).get("pid"), os.getpid())

    @staticmethod
    def _expect_evidence(row):
        """It rests on something: a segment, a state change, or what a look found."""
        evidence = row["evidence"]
        check(any(evidence[name] for name in ("segment", "change", "look")),
              f"{row['kind']}: no evidence: {evidence}")
        if row["kind"] in ("segment_filtered", "syn_unsent"):
            check_equal("drop reason", evidence["drop_reason"], row["reason"])

    def unexpected(self):
        """Events of divergences that opened in this scene and were not expected."""
        return [row for row in self._rows()
                if (row["kind"], row["local"], row["remote"]) not in self.expected]

    def _told(self):
        """What was reported and not expected."""
        return [(row["event"].split("_")[1], row["kind"], row["remote"], row.get("reason"))
                for event in ("divergence_open", "divergence_close") for row in self._rows(event)
                if (row["kind"], row["local"], row["remote"]) not in self.expected]

    def expect_closed(self, kind, *talks, seconds=PATIENCE_S):
        """As many as opened have closed."""
        for talk in talks:
            want = (kind, talk.kernel_at, talk.me_at)
            wait_until(lambda talk=talk, want=want: len(self.daemon.find(
                "divergence_close", kind=kind, local=talk.kernel_at,
                remote=talk.me_at)) == self.expected.count(want),
                lambda talk=talk: f"{kind} {talk.kernel_at} {talk.me_at} stays open: "
                f"{self._told()}", seconds)

    def expect_only(self):
        """What was opened in this scene is what was expected."""
        check_equal("divergences", sorted((row["kind"], row["local"], row["remote"])
                                          for row in self._rows()), sorted(self.expected))

    def expect_condition(self, name, seconds=PATIENCE_S):
        """The condition is shown: of this connection or of another in the same trouble."""
        wait_until(lambda: self.daemon.metrics()("connections_stuck", condition=name) > 0,
                   f"no connection is shown as {name}", seconds)

    @contextlib.contextmanager
    def transient(self, cause):
        """What happens inside is settled by itself, and counted as such. Other scenes may count
        the same cause, so it is at least one."""
        before = self.daemon.metrics()("transients_total", cause=cause)
        yield
        wait_until(lambda: self.daemon.metrics()("transients_total", cause=cause) > before,
                   f"no transient {cause} was counted")

    def expect_end(self, talk, *kinds, seconds=PATIENCE_S, **want):
        """The connection's event: it had these kinds, and WANT. Returns it."""
        event = self.daemon.wait_event("connection", seconds, local=talk.kernel_at,
                                       remote=talk.me_at)
        check_equal("divergences of its life", sorted(event["divergences"]), sorted(kinds))
        compare(event, want)
        return event

    def wait_views(self, talk, wire, kernel=None, seconds=PATIENCE_S):
        """Until the listing of connections shows these states of the local end."""
        def shown():
            row = self.daemon.connections().get((talk.kernel_at, talk.me_at), {})
            return (row.get("wire_state"), row.get("kernel_state"))
        wait_until(lambda: shown() == (wire, kernel or wire),
                   lambda: f"{talk.kernel_at} {talk.me_at}: views {shown()}, expected "
                   f"{(wire, kernel or wire)}", seconds)

    def story(self, talk):
        """The entries of the tuple's newest life, as `explain --json` has them."""
        text = f"{talk.kernel_at}-{talk.me_at}".replace("[", "%5B").replace("]", "%5D")
        return self.daemon.api(f"explain?tuple={text}")["connections"][-1]["entries"]

    def settle(self):
        """Until the daemon has judged all that happened so far: a marker fault, made now, is
        found only when it has outlived the settle time."""
        port = next(PORTS)
        marker = listener(self.space, self.address, port)
        remove = self.filter(f"tcp dport {port} drop")
        try:
            talk = self.peer.connection(20000 + port, port)
            talk.send("S")
            self.expect("segment_filtered", talk, reason="NETFILTER_DROP")
        finally:
            remove()
            marker.close()


def real_client(scene, **options):
    """A kernel's client of the scene's listener, in the other namespace: (socket, talk)."""
    other = scene.world.lab.other(scene.space)
    sock = scene.own(client_of(other, scene.family, (scene.address, scene.port), **options))
    return sock, Talk(endpoint(scene.address, scene.port), local_of(sock))


def expect_balanced_books(world):
    """The daemons reported what the ledgers have, in events and metrics; everything is closed."""
    for space, daemon in world.daemons.items():
        want = ledger_of(daemon).rows()
        told = sorted((row["kind"], row["local"], row["remote"])
                      for row in daemon.find("divergence_open"))
        missing = collections.Counter(want) - collections.Counter(told)
        extra = collections.Counter(told) - collections.Counter(want)
        check(not missing and not extra,
              f"{space.name}: reported and not provoked {sorted(extra.elements())}, "
              f"provoked and not reported {sorted(missing.elements())}")
        check(want, f"{space.name}: nothing was provoked")
        wait_until(lambda: daemon.metrics()("divergences_open") == 0,
                   lambda: f"{space.name}: open {daemon.api('divergences')}", CLOSED_WITHIN_S)
        now = daemon.metrics()
        print(f"# {space.name}: {len(want)} divergences, unobservable "
              f"{now.by('unobservable_connections_total', 'reason')}, transients "
              f"{now.by('transients_total', 'cause')}", flush=True)
        counted = collections.Counter(kind for kind, _, _ in want)
        for kind, (kind_class, _) in KINDS.items():
            check_equal(f"{space.name}: divergences_total of {kind}",
                        now("divergences_total", **{"kind": kind, "class": kind_class}),
                        counted[kind])


def books_balance():
    """Registers the last case of a file whose cases share their world."""
    case("nothing else was reported")(alone(expect_balanced_books))


@contextlib.contextmanager
def ends_with(**sysctls):
    """both_ends() with settings of both namespaces."""
    with both_ends() as world:
        for space in world.daemons:
            space.sysctl(**sysctls)
        yield world


def own_world(**sysctls):
    """Registers FUNCTION(world, end, family) as each_end() does, in a world of its own that has
    these settings."""
    def register(function):
        name = function.__name__
        rows = [(f"{name} {label} at={end}", function, (end, family))
                for label, family in FAMILIES.items() for end in "ab"]

        def run(*_):
            with ends_with(**sysctls) as world:
                check(all(run_rows(rows, len(rows), world)), "see above")
                expect_balanced_books(world)
        case(f"{name}: nothing else was reported")(run)
        return function
    return register
