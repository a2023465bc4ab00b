#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Is it right at scale? CONNECTIONS ordinary connections (10,000,000), half of them watched by XDP
and half by tcx, and FAULTS real faults among them (1,000): every fault must be found on its tuple
and nothing else be reported. One JSON line a half; exit status 1 when anything did not hold.

Then the same load once more, by tcx, in a namespace that has this kernel's own tcp_max_tw_buckets:
its table of TIME_WAIT fills up, which must be told once of each listener, and nothing else.

usage: O=.output tests/bench/soak.py [--record] [--overflow[=BUCKETS]] [CONNECTIONS [FAULTS]]

  --record    put the figures into tests/bench/results.jsonl, and from there into README
  --overflow  only the last; with so many buckets, where the machine is too slow to fill a table of
              131,072 within the minute that they last
"""

import argparse
import json
import os
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OUT = os.path.join(TOP, os.environ.get("O", ".output"))
os.environ.setdefault("TCPWITNESS", os.path.join(OUT, "tcpwitness"))
os.environ.setdefault("CONNLOAD", os.path.join(OUT, "tests/bench/connload"))
sys.path[:0] = [os.path.join(TOP, "tests/bench"), os.path.join(TOP, "tests/net")]

from measure import book  # noqa: E402  (the path comes first)
from measure.figures import AT_LEAST, AT_MOST, Figure  # noqa: E402
from witness import Failure  # noqa: E402
from witness.faults import BATCH  # noqa: E402
from witness.soak import roomy_lab, soak, too_few_buckets  # noqa: E402

ROUND = 100_000
OVERFLOWS, OVERFLOW_CONNECTIONS, OVERFLOW_ROUND = 20_000, 1_000_000, 20_000


def row(part, name, text, unit, value, budget):
    figure = Figure(f"soak.{part}.{name}", f"{part}: {text}", unit, [value], budget)
    figure.bench, figure.command = "soak", "make soak"
    return figure.row()


def half(mode, connections, faults):
    with roomy_lab() as lab:
        return soak(lab, mode, connections // 2, -(-faults // (2 * BATCH)), ROUND,
                    lambda made: print(f"# {made} connections", flush=True))


def overflow(buckets):
    with roomy_lab(buckets=buckets) as lab:
        return too_few_buckets(lab, "tcx", OVERFLOWS, OVERFLOW_CONNECTIONS, OVERFLOW_ROUND)


def overflow_figures(summary):
    yield row("overflow", "missing", f"TIME_WAITs without room among {summary['buckets']}",
              "count", summary["overflows"], None)
    yield row("overflow", "listeners", "listeners that this was told of", "count",
              summary["listeners"], None)
    yield row("overflow", "told", "how often it was told of each", "ratio",
              summary["told"] / summary["listeners"], None)


def figures(summary):
    """One half's, as make bench has them."""
    mode, closed = summary["mode"], summary["closed"]
    for name, text, unit, value, budget in (
            ("connections", "connections, of every ordinary kind, both cores saturated", "count",
             summary["connections"], None),
            ("rate", "of them in a second", "per second", summary["connections_per_second"], None),
            ("compared", "share compared in two states or more", "%",
             100 * summary["compared"] / closed, (AT_LEAST, 99.9)),
            ("unobservable", "share unobservable", "%", 100 * summary["unobservable"] / closed,
             (AT_MOST, 0.1)),
            ("found", "real faults among them, of ten kinds, found on their tuples", "ratio",
             summary["problems"] / summary["faults"], (AT_LEAST, 1)),
            ("false", "divergences of class problem beside those", "count",
             summary["problems"] - summary["faults"], (AT_MOST, 0))):
        yield row(mode, name, text, unit, value, budget)


def main():
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--overflow", type=int, nargs="?", const=0, metavar="BUCKETS")
    parser.add_argument("connections", type=int, nargs="?", default=10_000_000)
    parser.add_argument("faults", type=int, nargs="?", default=1000)
    asked = parser.parse_args()
    rows = []
    try:
        for mode in ("xdp", "tcx") if asked.overflow is None else ():
            summary = half(mode, asked.connections, asked.faults)
            print(json.dumps({"benchmark": "soak", **summary}), flush=True)
            rows += figures(summary)
        summary = overflow(asked.overflow)
        print(json.dumps({"benchmark": "overflow", **summary}), flush=True)
        rows += overflow_figures(summary)
    except Failure as error:
        print(f"soak: {error}", file=sys.stderr)
        return 1
    if asked.record:
        book.record(book.machine(), rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
