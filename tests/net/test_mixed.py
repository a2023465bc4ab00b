#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# alone: it saturates every core
"""Every ordinary kind of connection mixed, both cores saturated, faults among them, by XDP and by
tcx: the short form of `make soak`. And one fault that belongs to listeners, not to connections."""

import functools
import sys

from witness import main
from witness.soak import roomy_lab, soak, too_few_buckets
from witness.turns import side_by_side

CONNECTIONS, ROUND = 60_000, 20_000
TW_BUCKETS, TOO_MANY = 2000, 12_000


def mixed_load(mode, turn):
    with roomy_lab() as lab:
        soak(lab, mode, CONNECTIONS, 1, ROUND, turn=turn)


def overflow(turn):
    """It is the listener's trouble: told once for each, however many connections it meets."""
    with roomy_lab(buckets=TW_BUCKETS) as lab:
        too_few_buckets(lab, "tcx", TOO_MANY, 10 * CONNECTIONS, ROUND, turn)


RUNS = {
    "mixed load xdp": functools.partial(mixed_load, "xdp"),
    "mixed load tcx": functools.partial(mixed_load, "tcx"),
    "more TIME_WAITs than buckets": overflow,
}

if __name__ == "__main__":
    sys.exit(main(side_by_side(RUNS)))
