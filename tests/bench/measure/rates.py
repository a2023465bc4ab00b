# SPDX-License-Identifier: GPL-2.0-only
"""The connection rate that is kept, by us and by other tools; and what a connection costs us."""

import contextlib
import functools
import os
import shutil
import subprocess
import tempfile
import time

from witness.runner import Skip, wait_until

from .figures import AT_LEAST, AT_MOST, Figure
from .scene import (
    DEVICE, Programs, bench_lab, connload_run, connload_server, cpu_ns, daemon_cpu_ns, kept,
    nobody, program, settled, started, watching,
)

CONTROL = "tcp[tcpflags] & (tcp-syn|tcp-fin|tcp-rst) != 0"
COUNTING = "tracepoint:sock:inet_sock_set_state { @ = count(); }"
QUIET_S = 0.5
HOW = {"fin": "client", "rst": "client-rst"}  # who ends a connection: connload --mode


def opened(process):
    with contextlib.suppress(OSError):
        return sorted(os.listdir(f"/proc/{process.pid}/fd"))
    return []


@contextlib.contextmanager
def tool(space, *command):
    """A tracer at work, its output thrown away. It has begun when it opens nothing more."""
    if not shutil.which(command[0]):
        raise Skip(f"{command[0]} is not installed")
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(space.command(*command), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=errors)
        since = [time.monotonic(), []]

        def begun():
            if process.poll() is not None:
                errors.seek(0)
                said = errors.read().strip().splitlines()
                raise Skip(said[-1] if said else f"{command[0]} ended by itself")
            now = opened(process)
            if now != since[1]:
                since[:] = time.monotonic(), now
            return len(now) > 3 and time.monotonic() - since[0] > QUIET_S
        try:
            wait_until(begun, f"{command[0]} did not begin", 20)
            yield functools.partial(cpu_ns, process.pid)
        finally:
            process.terminate()
            process.wait(30)


@contextlib.contextmanager
def conntrack(lab):
    """Tracking on, as a firewall with `ct state` has it, and somebody who listens to its events."""
    lab.a.nft("ct state invalid drop")
    try:
        # its table must not fill: it cannot be made larger from within a namespace
        lab.a.sysctl(netfilter__nf_conntrack_tcp_timeout_time_wait=1)
        with tool(lab.a, "conntrack", "-E") as cpu:
            yield cpu
    finally:
        lab.a.nft()


def empty_hooks(lab, mode):
    """Programs that do nothing, on the daemon's hooks. Yields the process that holds them."""
    return started(lab.a, program("empty_hooks"), DEVICE, mode, until="ready")


def others(lab):
    """Beside us: {name: (what it is, context manager's function)}."""
    def of(*command):
        return functools.partial(tool, lab.a, *command)

    @contextlib.contextmanager
    def hooks(mode):
        with empty_hooks(lab, mode) as process:
            yield functools.partial(cpu_ns, process.pid)

    def empty(mode):
        return functools.partial(hooks, mode)
    return {
        "empty.tcx": ("programs that do nothing on the same hooks, tcx", empty("tcx")),
        "empty.xdp": ("programs that do nothing on the same hooks, XDP", empty("xdp")),
        "bpftrace": ("bpftrace that counts inet_sock_set_state",
                     of("bpftrace", "-e", COUNTING)),
        "tcpdump": ("tcpdump of SYN, FIN and RST into nothing",
                    of("tcpdump", "-i", DEVICE, "-w", "/dev/null", CONTROL)),
        "conntrack": ("conntrack -E", functools.partial(conntrack, lab)),
        "tcplife": ("tcplife of libbpf-tools", of("tcplife")),
        "tcpstates": ("tcpstates of libbpf-tools", of("tcpstates")),
    }


class Watched:
    """The daemon during runs of load, and its account of them."""

    def __init__(self, lab, mode):
        self.lab, self.mode = lab, mode
        self.lost, self.odd, self.left_out = 0, 0, 0

    @contextlib.contextmanager
    def __call__(self):
        with watching(self.lab, mode=self.mode) as daemon:
            yield functools.partial(daemon_cpu_ns, daemon)
            metrics = settled(daemon)
            self.lost += metrics("records_lost_total")
            self.odd += metrics("divergences_total")
            self.left_out += sum(value for _, value in metrics.series(
                "sampling_suppressed_records_total"))


class Load:
    """Connections as fast as they go, for about so many seconds. A run's numbers: connections a
    second, and connections that a second of CPU time pays for: that of both ends and of whoever
    watches. The second is the first on a machine that is busy with nothing else, and is hardly
    disturbed on one that is not."""

    def __init__(self, lab, server, seconds, how):
        self.lab, self.server, self.how = lab, server, how
        self.count = int(max(connload_run(lab, 5000, how)["rate"], 1000) * seconds)

    def __call__(self, cpu=nobody):
        before = cpu_ns(self.server) + cpu()
        report = connload_run(self.lab, self.count, self.how)
        spent_ns = report["cpu_ns"] + cpu_ns(self.server) + cpu() - before
        return report["rate"], report["finished"] * 1e9 / spent_ns


def rate_figures(name, what, ratios, budget=None):
    """Of one watcher: both numbers."""
    if isinstance(ratios, Exception):
        yield Figure.skip(f"rate.{name}", what, ratios)
        return
    yield Figure(f"rate.{name}", what, "ratio", ratios[0], budget)
    yield Figure(f"rate.{name}.cpu", "the same for the same CPU time", "ratio", ratios[1])


def connection_rate(options):
    """We and the others, one after the other, again and again."""
    with bench_lab() as lab, connload_server(lab) as server:
        ours = {mode: Watched(lab, mode) for mode in ("tcx", "xdp")}
        beside = others(lab)
        load = Load(lab, server, options.seconds(1), HOW["fin"])
        ratios, off = kept(load, {**ours, **{name: row[1] for name, row in beside.items()}},
                           options.rounds(3))
        more, off_again = kept(load, ours, options.rounds(4))
    for mode in ours:
        yield from rate_figures(mode, f"kept by the daemon ({mode}) of a saturating "
                                "connect/request/close load",
                                [old + new for old, new in zip(ratios[mode], more[mode])],
                                (AT_LEAST, 0.90))
    for name, (what, _) in beside.items():
        yield from rate_figures(name, f"kept by {what}", ratios[name])
    yield Figure("rate.off", "connections a second without any of them, both ends on this machine",
                 "per second", [row[0] for row in off + off_again])
    yield Figure("rate.lost", "records lost in all those runs", "count",
                 [sum(watched.lost for watched in ours.values())], (AT_MOST, 0))
    yield Figure("rate.sampled", "records not made in all those runs, because not every connection "
                 "was followed", "count", [sum(watched.left_out for watched in ours.values())],
                 (AT_MOST, 0))
    yield Figure("rate.divergences", "divergences reported in all those runs", "count",
                 [sum(watched.odd for watched in ours.values())], (AT_MOST, 0))


def aborted_rate(options):
    """The same where clients abort."""
    with bench_lab() as lab, connload_server(lab, HOW["rst"]) as server:
        watched = Watched(lab, "tcx")
        ratios, _ = kept(Load(lab, server, options.seconds(1), HOW["rst"]), {"tcx": watched},
                         options.rounds(5))
    yield from rate_figures("rst.tcx", "kept by the daemon (tcx) where clients abort",
                            ratios["tcx"], (AT_LEAST, 0.90))
    yield Figure("rate.rst.lost", "records lost in those runs", "count", [watched.lost],
                 (AT_MOST, 0))


@contextlib.contextmanager
def only(cores):
    """What is started inside runs on the first CORES alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(sorted(before)[:cores]))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Spent:
    """What connections at RATE a second cost (0: as fast as they go), for each of them."""

    def __init__(self, lab, options, rate):
        count = max(rate or 20_000, 2000) * options.seconds(4)
        with watching(lab) as daemon:
            before, cpu = settled(daemon), daemon_cpu_ns(daemon)
            report = connload_run(lab, count, rate=rate)
            self.user_us = (daemon_cpu_ns(daemon) - cpu) / 1e3 / report["finished"]
            after = settled(daemon)
            with Programs(daemon.process) as programs:
                fewer = connload_run(lab, count / 4, rate=rate)["finished"]
                ran = programs.since().values()
                self.runs = sum(row[0] for row in ran) / fewer
                self.bpf_us = sum(row[1] for row in ran) / 1e3 / fewer
        self.records = (after("records_attempted_total") -
                        before("records_attempted_total")) / report["finished"]
        self.lost, self.rate = after("records_lost_total"), report["rate"]


def per_connection(options):
    """What a connection costs the daemon, as the rate grows."""
    lost = 0
    with bench_lab() as lab, connload_server(lab):
        for rate in (1000, 10_000, 0):
            name, pace = (f"{rate}", f"{rate:,} connections a second") if rate else (
                "most", "as many a second as this machine makes")
            runs = [Spent(lab, options, rate) for _ in range(options.rounds(3))]
            lost += sum(run.lost for run in runs)
            yield Figure(f"connection.user.{name}", f"the daemon's CPU time for a connection, at "
                         f"{pace}", "µs", [run.user_us for run in runs],
                         (AT_MOST, 1) if rate == 10_000 else None)
            yield Figure(f"connection.bpf.{name}", f"its BPF programs' time for a connection, at "
                         f"{pace} (kernel.bpf_stats, its own time included)", "µs",
                         [run.bpf_us for run in runs])
    yield Figure("connection.runs", "runs of BPF programs for a connection, both ends' state "
                 "changes among them", "count", [run.runs for run in runs])
    yield Figure("connection.records", "records of a connection that its client closes",
                 "count", [run.records for run in runs])
    yield Figure("connection.rate", "connections a second at the most, watched", "per second",
                 [run.rate for run in runs])
    yield Figure("connection.lost", "records lost in all those runs", "count", [lost],
                 (AT_MOST, 0))


def live_programs(options):
    """ns a run of each program under the saturating load, and of some that do nothing."""
    seen, empty = {}, {}

    def ran(mode, process, rows):
        with Programs(process) as programs:
            load()
            for name, (runs, ns) in programs.since().items():
                if runs >= load.count:
                    rows.setdefault((mode, name), []).append(ns / runs)
    with bench_lab() as lab, connload_server(lab) as server:
        load = Load(lab, server, options.seconds(1), HOW["fin"])
        for _ in range(options.rounds(3)):
            for mode in ("tcx", "xdp"):
                with watching(lab, mode=mode) as daemon:
                    ran(mode, daemon.process, seen)
                with empty_hooks(lab, mode) as process:
                    ran(mode, process, empty)
    for (mode, name), values in sorted(seen.items()):
        yield Figure(f"live.{mode}.{name}", f"`{name}` under the saturating load, capture by "
                     f"{mode}: ns a run (kernel.bpf_stats, its own time included)", "ns", values,
                     (AT_MOST, 250), detail=name.endswith("_nested"))
    for (mode, name), values in sorted(empty.items()):
        yield Figure(f"live.{mode}.{name}", f"a program that does nothing ({name}) in its place, "
                     f"{mode}: ns a run, measured the same way", "ns", values)


def cores(options):
    """The same on one core and on two: what sharing costs."""
    for number in (1, 2):
        if number > len(os.sched_getaffinity(0)):
            raise Skip("this machine has one core")
        what = f"everything on {number} core{'s' if number > 1 else ''}"
        with only(number), bench_lab() as lab, connload_server(lab) as server:
            load = Load(lab, server, options.seconds(1), HOW["fin"])
            ratios, off = kept(load, {"tcx": Watched(lab, "tcx")}, options.rounds(3))
            runs = [Spent(lab, options, 0) for _ in range(options.rounds(3))]
        yield Figure(f"cores.{number}.off", f"connections a second without it, {what}",
                     "per second", [row[0] for row in off], detail=True)
        yield Figure(f"cores.{number}.cpu", f"kept by the daemon (tcx) for the same CPU time, "
                     f"{what}", "ratio", ratios["tcx"][1])
        yield Figure(f"cores.{number}.user", f"the daemon's CPU time for a connection, {what}",
                     "µs", [run.user_us for run in runs])
        yield Figure(f"cores.{number}.bpf", f"its BPF programs' time for a connection, {what}",
                     "µs", [run.bpf_us for run in runs])


BENCHES = [
    ("connection_rate", 240, connection_rate),
    ("aborted_rate", 60, aborted_rate),
    ("per_connection", 200, per_connection),
    ("live_programs", 60, live_programs),
    ("cores", 200, cores),
]
