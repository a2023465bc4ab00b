#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Rings far too small for the load: records are lost and counted, nothing false is reported,
and afterwards everything is watched again."""

import contextlib
import itertools
import pathlib
import sys

from witness import IPV4, Daemon, Lab, Pair, case, check, check_equal, main, wait_until
from witness.load import connload

CONNECTIONS = 20_000


def lost(metrics):
    return metrics("records_lost_total")


def check_by_cpu(daemon, metrics):
    """A series for each ring and CPU, whose sums over the CPUs are what the status tells."""
    cpus = [str(cpu) for first, _, last in (
        part.partition("-") for part in pathlib.Path("/sys/devices/system/cpu/online").read_text()
        .strip().split(",")) for cpu in range(int(first), int(last or first) + 1)]
    rows = metrics.series("records_lost_total")
    check_equal("series", sorted((have["ring"], have["cpu"]) for have, _ in rows),
                sorted(itertools.product(daemon.rings(metrics), cpus)))
    told = daemon.api("status")["records"]
    for ring in daemon.rings(metrics):
        check_equal(f"{ring}: lost, over its CPUs", metrics("records_lost_total", ring=ring),
                    told[ring]["lost"])


def loss_and_recovery(lab, mode):
    with Daemon(lab.a, "--ring.bytes=4096", device="v0", mode=mode) as daemon:
        at_rest = daemon.settled()
        check_by_cpu(daemon, at_rest)
        check_equal("lost at the start", lost(at_rest), 0)
        report = connload(lab.b, lab.a, lab.ip(lab.a, IPV4), "client", CONNECTIONS)
        check_equal("finished", report["finished"], CONNECTIONS)
        after = daemon.settled()
        check(lost(after) > 0, "nothing was lost: the load does not test what it should")
        check_by_cpu(daemon, after)
        for ring in daemon.rings(after):
            check_equal(f"{ring}: attempted", after("records_attempted_total", ring=ring),
                        after("records_decoded_total", ring=ring) +
                        after("records_rejected_total", ring=ring) +
                        after("records_lost_total", ring=ring))
        print(f"# lost {lost(after):.0f} of {after('records_attempted_total'):.0f} records")

        for port in range(7600, 7605):
            pair = Pair(lab, lab.a, IPV4, port)
            pair.client.close()
            check_equal("end of stream", pair.server.recv(1), b"")
            pair.server.close()
            event = daemon.wait_event("connection", local=pair.server_at, remote=pair.client_at)
            check_equal("observable", (event["observable"], event["why"]), (True, None))
            check_equal("divergences", event["divergences"], [])
        check_equal("lost meanwhile", lost(daemon.settled()) - lost(after), 0)

        check_equal("problems", daemon.problems()[:3], [])
        check_equal("divergences_total{class=problem}",
                    daemon.metrics()("divergences_total", **{"class": "problem"}), 0)
        check(daemon.metrics()("unobservable_connections_total", reason="loss") > 0,
              "no connection was marked unobservable(loss)")
        wait_until(lambda: daemon.metrics()("flow_table_entries") == 0,
                   lambda: f"{daemon.metrics()('flow_table_entries'):.0f} entries stay", 90, 0.5)


for _mode in ("xdp", "tcx"):
    case(f"loss {_mode}", _mode)(loss_and_recovery)


@contextlib.contextmanager
def roomy_lab():
    with Lab("loss") as lab:
        lab.b.sysctl(ip_local_port_range="1024 65535", tcp_max_tw_buckets=400_000)
        yield lab


if __name__ == "__main__":
    sys.exit(main(roomy_lab))
