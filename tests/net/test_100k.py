#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# alone: it saturates every core
"""100,000 connections, by XDP and by tcx, with 50 real faults among them: every connection is
tracked to its end, nothing is lost, nothing false is reported, every fault is found.

Half of the connections are closed by the client (LAST_ACK at the watched server), half by the
server (TIME_WAIT there): so the watched end waits a minute once, at the end of each run.
"""

import functools
import sys
import threading

from witness import IPV4, IPV6, Daemon, Lab, check_equal, main
from witness.faults import BATCH, Faults
from witness.load import connload
from witness.truth import expect_truth
from witness.turns import side_by_side

HALF = 50_000


def load(lab, daemon, family):
    """The connections, and the faults among them, all of which are found."""
    faults = Faults(lab, family)
    trouble = threading.Thread(target=faults.make)
    trouble.start()
    try:
        for mode_of_close in ("client", "server"):
            report = connload(lab.b, lab.a, lab.ip(lab.a, family), mode_of_close, HALF)
            check_equal("connections finished", report["finished"], HALF)
        trouble.join()
        faults.expect_found(daemon)
    finally:
        trouble.join()
        faults.close()


def hundred_thousand(mode, family, turn):
    with Lab("many") as lab:
        for space in (lab.a, lab.b):
            space.sysctl(ip_local_port_range="10240 65535", tcp_max_tw_buckets=400_000)
        with Daemon(lab.a, "--flows.max=262144", device="v0", mode=mode,
                    connections=False) as daemon:
            before, base = daemon.settled(), lab.a.snmp()
            with turn:
                load(lab, daemon, family)
            expect_truth(lab.a, daemon, before, base, BATCH)
            closed = daemon.metrics().by("connections_closed_total", "how", role="server")
            check_equal("remote_close", closed.get("remote_close"), HALF)
            check_equal("local_close", closed.get("local_close"), HALF)


RUNS = {
    "100,000 connections ipv4 xdp": functools.partial(hundred_thousand, "xdp", IPV4),
    "100,000 connections ipv6 tcx": functools.partial(hundred_thousand, "tcx", IPV6),
}

if __name__ == "__main__":
    sys.exit(main(side_by_side(RUNS)))
