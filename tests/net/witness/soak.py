# SPDX-License-Identifier: GPL-2.0-only
"""Ordinary connections in great number with real faults among them: all the faults are found and
nothing else is."""

import contextlib
import itertools
import threading
import time

from .daemon import Daemon
from .faults import BATCH, Faults
from .lab import IPV4, IPV6, Lab
from .mixed import Mixed
from .truth import expect_truth

FAULT_PORT = 9001


@contextlib.contextmanager
def roomy_lab(label="soak"):
    """Two namespaces that hold the TIME_WAITs of a minute. Servers' ports are below clients'."""
    with Lab(label) as lab:
        for space in (lab.a, lab.b):
            space.sysctl(ip_local_port_range="10240 65535", tcp_max_tw_buckets=4_000_000,
                         tcp_tw_reuse=1)
        yield lab


class Trouble(threading.Thread):
    """Batches of faults, one after the other, until the load is over or there are enough."""

    def __init__(self, lab, daemon, batches):
        super().__init__()
        self.lab, self.daemon, self.batches = lab, daemon, batches
        self.want, self.error = [], None

    def run(self):
        families = itertools.cycle((IPV4, IPV6))
        try:
            for number in range(self.batches):
                faults = Faults(self.lab, next(families), FAULT_PORT + 3 * (number % 100))
                try:
                    faults.make()
                    faults.expect_found(self.daemon, self.want)
                    self.want += faults.want
                finally:
                    faults.close()
        except Exception as error:  # raised again by whoever joins
            self.error = error

    def finish(self):
        self.join()
        if self.error:
            raise self.error


def soak(lab, mode, total, batches, round_size, progress=lambda made: None,
         turn=contextlib.nullcontext()):
    """At least TOTAL connections of every ordinary kind, BATCHES of faults, made in its TURN.
    Returns a summary."""
    with Daemon(lab.a, "--flows.max=2097152", device="v0", mode=mode,
                connections=False) as daemon:
        with turn, Mixed(lab) as load:
            before, base, begin = daemon.settled(), lab.a.snmp(), time.monotonic()
            trouble = Trouble(lab, daemon, batches)
            trouble.start()
            try:
                while load.made() < total:
                    load.round(round_size)
                    progress(load.made())
            finally:
                trouble.join()
            trouble.finish()
            made, seconds = load.made(), time.monotonic() - begin
        summary = expect_truth(lab.a, daemon, before, base, batches * BATCH)
        return {"mode": mode, "connections": made, "faults": batches * BATCH,
                "connections_per_second": round(made / seconds), **summary}
