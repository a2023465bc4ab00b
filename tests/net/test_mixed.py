#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# alone: it saturates every core
"""Every ordinary kind of connection mixed, both cores saturated, faults among them, by XDP and by
tcx: the short form of `make soak`. And one fault that belongs to listeners, not to connections."""

import functools
import sys

from witness import IPV4, Daemon, check, check_equal, endpoint, main, wait_until
from witness.load import connload
from witness.soak import roomy_lab, soak
from witness.turns import side_by_side

CONNECTIONS, ROUND = 60_000, 20_000
PORTS, TW_BUCKETS, TOO_MANY = (8000, 8003), 2000, 12_000


def mixed_load(mode, turn):
    with roomy_lab() as lab:
        soak(lab, mode, CONNECTIONS, 1, ROUND, turn=turn)


def too_few_buckets(turn):
    """It is the listener's trouble: told once for each, however many connections it meets."""
    with roomy_lab() as lab, Daemon(lab.a, device="v0", connections=False) as daemon:
        lab.a.sysctl(tcp_max_tw_buckets=TW_BUCKETS)
        address = lab.ip(lab.a, IPV4)
        want = sorted(("time_wait_missing", endpoint(address, port))
                      for port in range(PORTS[0], PORTS[1] + 1))
        with turn:
            connload(lab.b, lab.a, address, "server", TOO_MANY, ports=f"{PORTS[0]}-{PORTS[1]}")
            overflows = lab.a.snmp()["TCPTimeWaitOverflow"]
            check(overflows >= TOO_MANY / 2, f"only {overflows} TIME_WAITs found no room")
            wait_until(lambda: len(daemon.problems()) >= len(want),
                       lambda: f"only {daemon.problems()} is told", 30)
        daemon.settled(30)
        check_equal("told", sorted((row["kind"], row["local"]) for row in daemon.problems()),
                    want)


RUNS = {
    "mixed load xdp": functools.partial(mixed_load, "xdp"),
    "mixed load tcx": functools.partial(mixed_load, "tcx"),
    "more TIME_WAITs than buckets": too_few_buckets,
}

if __name__ == "__main__":
    sys.exit(main(side_by_side(RUNS)))
