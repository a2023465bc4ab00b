#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""No room for those that are closed and not yet gone. The limit is the whole machine's: tried only
where that machine is ours (tests/vm). The number is the row of the taxonomy that a scenario
provokes. XDP at a, tcx at b, IPv4 and IPv6.
"""

import contextlib
import os
import sys

from witness import main, wait_until
from witness.ends import both_ends, each_end
from witness.runner import SKIP_ALL
from witness.scene import Scene, books_balance

MAX_ORPHANS = "/proc/sys/net/ipv4/tcp_max_orphans"


@contextlib.contextmanager
def orphans_at_most(number):
    with open(MAX_ORPHANS, encoding="ascii") as file:
        before = file.read()
    try:
        with open(MAX_ORPHANS, "w", encoding="ascii") as file:
            file.write(str(number))
        yield
    finally:
        with open(MAX_ORPHANS, "w", encoding="ascii") as file:
            file.write(before)


@each_end
def too_many_orphans(world, end, family):
    """Row 20: tcp_max_orphans=0: one is cut short when its FIN is to be sent again, and the next
    as it is closed (linux net/ipv4/tcp.c:tcp_check_oom)."""
    with Scene(world, end, family) as scene:
        (first, first_talk), (second, second_talk) = scene.opened(), scene.opened()
        before = scene.space.snmp()["TCPAbortOnMemory"]
        with orphans_at_most(0):
            first.close()
            first_talk.expect("FA")
            first_talk.expect("RA")
            # the kernel counts them anew ten times a second (tcp_orphan_update)
            third, third_talk = scene.opened()
            third.close()
            third_talk.expect("FA")
            second.close()
            second_talk.expect("FA")
            for talk in (second_talk, third_talk):
                talk.expect("RA")
        for talk in (first_talk, second_talk, third_talk):
            scene.expect("orphan_aborted", talk, role="server")
            scene.expect_closed("orphan_aborted", talk)
            scene.expect_end(talk, "orphan_aborted", ended="local_reset")
        wait_until(lambda: scene.space.snmp()["TCPAbortOnMemory"] - before == 3,
                   "another reason than memory")


books_balance()


def where_it_is_ours():
    if "TCPWITNESS_GUEST" in os.environ:
        return main(both_ends)
    print("skip all sets tcp_max_orphans of the whole machine: only in a virtual one")
    return SKIP_ALL


if __name__ == "__main__":
    sys.exit(where_it_is_ours())
