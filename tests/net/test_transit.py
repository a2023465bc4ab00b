#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""A host that forwards: transit is counted as ignored and never tracked; its own traffic is."""

import contextlib
import sys

from witness import (
    Daemon, Lab, Pair, accept, case, check, check_equal, client_of, listener,
    local_of, main, wait_kernel_state,
)
from witness.ends import FAMILIES
from witness.router import Router


def forwarded(world, mode, family):
    router = world
    lab = router.lab
    with Daemon(lab.a, "--device=v2", device="v0", mode=mode) as daemon:
        before = daemon.settled()
        base = lab.a.snmp()
        listening = listener(router.c, router.far[family], 7500)
        for _ in range(5):
            sock = client_of(lab.b, family, (router.far[family], 7500))
            child = accept(listening)
            sock.sendall(b"through the router")
            check_equal("octets", child.recv(100), b"through the router")
            child.close()
            sock.close()
        listening.close()
        after = daemon.settled()

        def moved(name, **labels):
            return after(name, **labels) - before(name, **labels)

        check_equal("the router's own TCP", lab.a.snmp()["InSegs"] - base["InSegs"], 0)
        check(moved("ignored_segments_total", reason="transit") >= 5 * 8,
              f"transit counted {moved('ignored_segments_total', reason='transit')} times")
        for name in ("received_segments_total", "sent_segments_total",
                     "connections_opened_total", "flow_table_entries"):
            check_equal(name, moved(name), 0)
        check_equal("events", [row for row in daemon.read_events()], [])
        check_equal("connections", daemon.connections(), {})

        pair = Pair(lab, lab.a, family, 7501)
        here, there = pair.server_at, local_of(pair.client)
        pair.client.close()
        wait_kernel_state(pair.server, "CLOSE_WAIT")
        pair.server.close()
        event = daemon.wait_event("connection", local=here, remote=there)
        check_equal("observable", event["observable"], True)


for _mode in ("xdp", "tcx"):
    for _name, _family in FAMILIES.items():
        case(f"transit {_name} {_mode}", _mode, _family)(forwarded)


@contextlib.contextmanager
def routed():
    with Lab("transit", patient=True) as lab:
        yield Router(lab)


if __name__ == "__main__":
    sys.exit(main(routed))
