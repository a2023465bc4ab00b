# SPDX-License-Identifier: GPL-2.0-only
"""What an honest client feels of a flood, with and without the daemon, and what it costs us."""

import contextlib
import functools
import resource
import statistics
import threading
import time

from witness import IPV4
from witness.flood import Generator
from witness.runner import Failure
from witness.sockets import client_of

from .figures import AT_LEAST, AT_MOST, Figure
from .scene import (
    REPLY, REQUEST, bench_lab, connload_server, daemon_cpu_ns, kept, nobody, settled, watching,
)

PORT = 8000  # of connload's server
CLOSED_PORT = 9000
PATIENCE_S = 1  # a connection that takes longer has failed: its SYN or its last ACK was lost
PAUSE_S = 0.002
FLOODS = {
    "syn": ("SYNs to a listener that answers by cookies", "syn", PORT),
    "ack": ("ACKs to a listener", "ack", PORT),
    "closed": ("SYNs to closed ports", "syn", CLOSED_PORT),
}


class Honest:
    """One connection after another, each with a request and a reply, until the block ends."""

    def __init__(self, lab):
        self.lab, self.tried, self.latencies = lab, 0, []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _loop(self):
        address = self.lab.ip(self.lab.a, IPV4), PORT
        while not self._stop.wait(PAUSE_S):
            self.tried += 1
            begin = time.perf_counter()
            with contextlib.suppress(OSError), client_of(self.lab.b, IPV4, address,
                                                         timeout=PATIENCE_S) as sock:
                self.latencies.append(time.perf_counter() - begin)
                sock.sendall(bytes(REQUEST))
                left = REPLY
                while left and (octets := sock.recv(left)):
                    left -= len(octets)


def children_s():
    """CPU time of the processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class Flood:
    """The flood for so many seconds, as fast as one core makes it, and the honest client beside
    it. A run's numbers, more is better: how many connections came about, how quick half of them
    were, and how many segments of the flood a second of CPU time paid for: the generator's, in
    whose time the victim's kernel takes them in, and that of whoever watches. And the flood's
    rate."""

    def __init__(self, lab, seconds, kind, port):
        self.lab, self.seconds, self.kind, self.port = lab, seconds, kind, port
        self.generator, self.seed = Generator(lab), 0

    def __call__(self, cpu=nobody):
        self.seed += 1
        before = children_s() + cpu() / 1e9
        process = self.generator.start((IPV4,), self.port, kind=self.kind, seconds=self.seconds,
                                       count=100_000_000, seed=self.seed)
        with Honest(self.lab) as client:
            report = self.generator.report(process)
        if not client.latencies:
            raise Failure("no honest connection came about")
        spent = children_s() + cpu() / 1e9 - before
        return (len(client.latencies) / client.tried, 1 / statistics.median(client.latencies),
                sum(report["sent"].values()) / spent, report["per_second"])


class Watched:
    """The daemon during floods, and its account of them."""

    def __init__(self, lab, mode):
        self.lab, self.mode = lab, mode
        self.cores, self.lost = [], {"kernel": 0, "segment": 0}

    @contextlib.contextmanager
    def __call__(self):
        with watching(self.lab, mode=self.mode) as daemon:
            before, began = daemon_cpu_ns(daemon), time.monotonic_ns()
            yield functools.partial(daemon_cpu_ns, daemon)
            self.cores.append((daemon_cpu_ns(daemon) - before) / (time.monotonic_ns() - began))
            metrics = settled(daemon)
            for ring in self.lost:
                self.lost[ring] += metrics("records_lost_total", ring=ring)


def one_flood(name, options):
    what, kind, port = FLOODS[name]
    with bench_lab() as lab, connload_server(lab):
        ours = {mode: Watched(lab, mode) for mode in ("tcx", "xdp")}
        ratios, off = kept(Flood(lab, options.seconds(2), kind, port), ours, options.rounds(5))
    for mode, watched in ours.items():
        success, median, paid, _ = ratios[mode]
        at = f"flood.{name}.{mode}"
        under = f"under a flood of {what}, captured by {mode}"
        yield Figure(f"{at}.success", f"honest connections that come about {under}, kept",
                     "ratio", success, (AT_LEAST, 0.97))
        yield Figure(f"{at}.latency", f"how quick half of them are {under}, kept", "ratio",
                     median, (AT_LEAST, 0.97))
        yield Figure(f"{at}.cpu", f"segments that the same CPU time takes in {under}, kept: the "
                     "stack's and ours", "ratio", paid)
        yield Figure(f"{at}.daemon", f"the daemon's CPU {under}", "cores", watched.cores)
        for ring, lost in watched.lost.items():
            yield Figure(f"{at}.lost.{ring}", f"records of the {ring} ring lost {under}", "count",
                         [lost], (AT_MOST, 0) if ring == "kernel" else None)
    yield Figure(f"flood.{name}.off", f"a flood of {what} without us", "per second",
                 [row[3] for row in off])
    yield Figure(f"flood.{name}.off.latency", "an honest connect() in it, the median", "µs",
                 [1e6 / row[1] for row in off])


def syn_flood(options):
    """What an honest client feels of a SYN flood, with and without the daemon."""
    yield from one_flood("syn", options)


def ack_flood(options):
    """The same of ACKs that belong to nothing."""
    yield from one_flood("ack", options)


def closed_port_flood(options):
    """The same of SYNs to closed ports."""
    yield from one_flood("closed", options)


BENCHES = [
    ("syn_flood", 120, syn_flood),
    ("ack_flood", 120, ack_flood),
    ("closed_port_flood", 120, closed_port_flood),
]
