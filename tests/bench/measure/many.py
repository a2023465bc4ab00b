# SPDX-License-Identifier: GPL-2.0-only
"""Many connections that stay open: memory, scrapes, and a start that finds them there."""

import contextlib
import resource
import socket
import threading
import time

from witness import IPV4, Metrics
from witness.daemon import CONNLOAD
from witness.runner import Failure, Skip

from .figures import AT_MOST, Figure
from .scene import (
    bench_lab, connload_run, connload_server, context_switches, cpu_ns, daemon_cpu_ns,
    map_bytes, resident_bytes, settled, started, wait_connections, watching,
)

SIZES = (1000, 10_000, 100_000, 1_000_000)
BYTES_A_PAIR = 9000  # of kernel memory, both ends
RESERVE = 2 << 30
FIRST_PORT = 8000


def available_bytes():
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return 0


class Crowd:
    """Connections that b's clients hold open with a's servers, as many as are asked for, more and
    more. A pair of processes has as many as its descriptors allow, on a port of its own."""

    def __init__(self, lab, stack):
        self.lab, self.stack, self.count, self.processes = lab, stack, 0, []
        self.each = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 500, 50_000)

    def grow(self, count):
        """Until there are COUNT."""
        if (count - self.count) * BYTES_A_PAIR + RESERVE > available_bytes():
            raise Skip(f"no memory for {count:,} pairs of sockets: {available_bytes() >> 20} MiB")
        while self.count < count:
            more = min(count - self.count, self.each)
            self._pair(more)
            self.count += more

    def _pair(self, count):
        common = ("--address", self.lab.ip(self.lab.a, IPV4), "--ports",
                  str(FIRST_PORT + len(self.processes) // 2), "--hold")
        server = self.stack.enter_context(started(self.lab.a, CONNLOAD, "server", *common,
                                                  "--count", "0", until="ready"))
        client = self.stack.enter_context(started(
            self.lab.b, CONNLOAD, "client", *common, "--count", str(count), "--concurrency",
            "512"))
        self.processes += [server, client]
        report = client.stdout.readline()
        if f"finished={count} " not in report:
            raise Failure(f"connload: {report.strip()}")

    def end(self):
        """All of them at once: each has many sockets to close."""
        for process in self.processes:
            process.terminate()


@contextlib.contextmanager
def crowd_in(lab):
    with contextlib.ExitStack() as stack:
        crowd = Crowd(lab, stack)
        try:
            yield crowd
        finally:
            crowd.end()


class Scrapes:
    """So many of /metrics: CPU of the daemon, latency, and how long its data thread was away."""

    def __init__(self, daemon, count):
        self.cpu_ms, self.latency_ms, self.away_ms = [], [], []
        daemon.metrics()
        for _ in range(count):
            before, begin = cpu_ns(daemon.process.pid), time.perf_counter()
            text = daemon.get("/metrics")
            self.latency_ms.append((time.perf_counter() - begin) * 1e3)
            self.cpu_ms.append((cpu_ns(daemon.process.pid) - before) / 1e6)
            self.away_ms.append(Metrics(text)("scrape_duration_seconds") * 1e3)

    def figures(self, name, what, budget=None):
        yield Figure(f"scrape.{name}.cpu", f"CPU of a scrape, {what}", "ms", self.cpu_ms, budget)
        yield Figure(f"scrape.{name}.latency", f"latency of a scrape, {what}", "ms",
                     self.latency_ms)
        yield Figure(f"scrape.{name}.away", f"how long a scrape keeps the data thread from the "
                     f"rings, {what}", "ms", self.away_ms)


class Start:
    """How long a daemon needs until it knows every socket there is, and the sweep it does it by."""

    def __init__(self, lab):
        begin = time.monotonic()
        with watching(lab) as daemon:
            self.seconds = time.monotonic() - begin
            metrics = daemon.metrics()
            self.sweep_us = (metrics("sweep_cost_seconds") * 1e6 /
                             max(metrics("sweep_sockets"), 1))


def start_figures(options, lab, size):
    runs = [Start(lab) for _ in range(options.rounds(3))]
    yield Figure(f"start.{size}", f"start until ready, {size:,} connections there", "s",
                 [run.seconds for run in runs])
    if size:
        yield Figure(f"sweep.{size}", f"CPU of a sweep for a socket, {size:,} connections", "µs",
                     [run.sweep_us for run in runs])


def all_bytes(daemon):
    return resident_bytes(daemon) + map_bytes(daemon)


def grow_watched(daemon, crowd, sizes, empty):
    """Memory and scrapes at each of SIZES; EMPTY: bytes of a daemon without connections."""
    for size in sizes:
        crowd.grow(size)
        wait_connections(daemon, size)
        total = all_bytes(daemon)
        if size >= 10_000:
            yield Figure(f"memory.{size}", f"memory added by each of {size:,} connections (RSS "
                         "and BPF maps)", "bytes", [(total - empty) / size])
        if size == SIZES[-1]:
            yield Figure("memory.all", f"all memory of the daemon and its maps, over {size:,} "
                         "connections", "bytes", [total / size], (AT_MOST, 200))
        if size in (SIZES[0], SIZES[-1]):
            yield from Scrapes(daemon, 20).figures(f"{size}", f"{size:,} connections",
                                                   (AT_MOST, 5) if size == SIZES[-1] else None)
    yield Figure(f"memory.{size}.lost", "records lost while they opened", "count",
                 [settled(daemon)("records_lost_total")], (AT_MOST, 0))


def population(options):
    """Memory, scrapes and start-up, from 1 K to 1 M connections."""
    # no sweeps between: what they find is not what is measured
    flags = ("--sweep.interval=0",)
    with bench_lab() as lab, crowd_in(lab) as crowd:
        yield from start_figures(options, lab, 0)
        with watching(lab, *flags) as daemon:
            empty = all_bytes(daemon)
            yield Figure("memory.maps", "BPF maps, rings included", "MiB",
                         [map_bytes(daemon) / 2**20])
            yield from grow_watched(daemon, crowd, SIZES[:3], empty)
        yield from start_figures(options, lab, crowd.count)
        if options.quick:
            return
        with watching(lab, *flags) as daemon:
            yield from grow_watched(daemon, crowd, SIZES[3:], empty)
        yield from start_figures(options, lab, crowd.count)


def listeners(options):
    """Scrapes with 10 and with 1,000 listening sockets, each with a label."""
    count = options.rounds(20)
    for number in (10, 1000):
        with bench_lab() as lab, contextlib.ExitStack() as stack:
            for port in range(number):
                listening = stack.enter_context(lab.a.socket(socket.AF_INET))
                listening.bind((lab.ip(lab.a, IPV4), 20_000 + port))
                listening.listen(16)
            with watching(lab, "--listeners.max=1000") as daemon:
                yield from Scrapes(daemon, count).figures(f"listeners.{number}",
                                                          f"{number:,} listeners")


class Scraper(threading.Thread):
    """Scrapes every PAUSE seconds, and keeps the longest lag of a ring that it saw."""

    def __init__(self, daemon, pause):
        super().__init__()
        self.daemon_, self.pause, self.stop = daemon, pause, threading.Event()
        self.lag_ms, self.error = 0, None

    def run(self):
        try:
            while not self.stop.wait(self.pause):
                metrics = self.daemon_.metrics()
                self.lag_ms = max([self.lag_ms] + [value * 1e3 for _, value in
                                                   metrics.series("ring_lag_seconds")])
        except Exception as error:  # told by lag()
            self.error = error


def lag(options):
    """What scrapes do to the lag of the rings, under 5,000 connections a second."""
    seen, lost = {}, 0
    rate, pauses = 5000, {"rare": (1.0, "one scrape a second"),
                          "often": (0.05, "20 scrapes a second")}
    with bench_lab() as lab, connload_server(lab):
        for _ in range(options.rounds(3)):
            for name, (pause, _) in pauses.items():
                with watching(lab) as daemon:
                    scraper = Scraper(daemon, pause)
                    scraper.start()
                    connload_run(lab, rate * options.seconds(4), rate=rate)
                    scraper.stop.set()
                    scraper.join()
                    if scraper.error:
                        raise scraper.error
                    seen.setdefault(name, []).append(scraper.lag_ms)
                    lost += settled(daemon)("records_lost_total")
    for name, (_, what) in pauses.items():
        yield Figure(f"lag.{name}", f"longest lag of a ring, 5,000 connections a second and {what}",
                     "ms", seen[name])
    yield Figure("lag.lost", "records lost in those runs", "count", [lost], (AT_MOST, 0))


def idle(options):
    """Nothing happens: CPU and memory all the same."""
    seconds = options.seconds(20)
    with bench_lab() as lab, watching(lab) as daemon:
        begin, cpu = time.monotonic(), daemon_cpu_ns(daemon)
        waits = context_switches(daemon)
        time.sleep(seconds)
        spent = time.monotonic() - begin
        yield Figure("idle.cpu", "CPU seconds of an hour without traffic", "s",
                     [(daemon_cpu_ns(daemon) - cpu) / 1e9 * 3600 / spent])
        yield Figure("idle.wakes", "wake-ups a second without traffic", "per second",
                     [(context_switches(daemon) - waits) / spent])
        yield Figure("idle.memory", "memory without traffic (RSS, without maps)", "MiB",
                     [resident_bytes(daemon) / 2**20])


BENCHES = [
    ("population", 360, population),
    ("listeners", 30, listeners),
    ("lag", 60, lag),
    ("idle", 40, idle),
]
