# SPDX-License-Identifier: GPL-2.0-only
"""Ordinary connections in great number with real faults among them: all the faults are found and
nothing else is."""

import contextlib
import itertools
import threading
import time

from .daemon import Daemon
from .faults import BATCH, Faults
from .lab import IPV4, IPV6, Lab, endpoint
from .mixed import WEB_PORT, Mixed
from .runner import Failure, check, check_equal, wait_until
from .truth import expect_truth

FAULT_PORT = 9001
TW_BUCKETS = 4_000_000


@contextlib.contextmanager
def roomy_lab(label="soak", buckets=TW_BUCKETS):
    """Two namespaces that hold the TIME_WAITs of a minute; the watched one only as many as there
    are BUCKETS, or as many as the kernel has it (0). Servers' ports are below clients'."""
    with Lab(label) as lab:
        for space in (lab.a, lab.b):
            space.sysctl(ip_local_port_range="10240 65535", tcp_tw_reuse=1)
        lab.b.sysctl(tcp_max_tw_buckets=TW_BUCKETS)
        if buckets:
            lab.a.sysctl(tcp_max_tw_buckets=buckets)
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
                connections=False, sweep=None) as daemon:
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


def told_of(daemon):
    """The listeners whose TIME_WAITs are missing. Each is told once until it is over, which is
    when none was missed for half a minute; and no other problem is."""
    listeners, opened = set(), set()
    for row in daemon.read_events():
        if row.get("class") != "problem":
            continue
        check_equal("kind", row["kind"], "time_wait_missing")
        if row["event"] == "divergence_close":
            opened.remove(row["local"])
            continue
        check(row["local"] not in opened, f"{row['local']} is told again")
        opened.add(row["local"])
        listeners.add(row["local"])
    return listeners


def too_few_buckets(lab, mode, too_many, most, round_size, turn=contextlib.nullcontext()):
    """The same load on a table of TIME_WAIT that is full: TOO_MANY find no room, which takes no
    more than MOST connections. Each listener is told of, see told_of()."""
    with Daemon(lab.a, "--flows.max=2097152", device="v0", mode=mode,
                connections=False, sweep=None) as daemon, turn, Mixed(lab, ports=8) as load:
        base, begin = lab.a.snmp()["TCPTimeWaitOverflow"], time.monotonic()

        def overflows():
            return lab.a.snmp()["TCPTimeWaitOverflow"] - base
        addresses = [lab.ip(lab.a, family) for family in (IPV4, IPV6)]
        least = {endpoint(address, port) for address in addresses for port in load.doors()}
        # nginx ends some connections, and as a client the namespace ends some: of any port
        may = least | {endpoint(address, port) for address in addresses for port in (WEB_PORT, 0)}
        while overflows() < too_many or not least <= told_of(daemon):
            if load.made() > most:
                raise Failure(f"{load.made()} connections made {overflows()} overflows, "
                              f"told of {sorted(told_of(daemon))}")
            load.round(round_size)
        made, seconds = load.made(), time.monotonic() - begin
        daemon.settled(30)
        check_equal("told of others", sorted(told_of(daemon) - may), [])
        wait_until(lambda: daemon.metrics()("divergences_open") == 0, "an overflow stays open",
                   90, 0.5)
        return {"mode": mode, "connections": made, "overflows": overflows(),
                "buckets": int(lab.a.sysctl_read("tcp_max_tw_buckets")),
                "connections_per_second": round(made / seconds), "listeners": len(told_of(daemon)),
                "told": len(daemon.problems())}
