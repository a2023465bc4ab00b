#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Is it right at scale? CONNECTIONS ordinary connections (10,000,000), half of them watched by XDP
and half by tcx, and FAULTS real faults among them (1,000): every fault must be found on its tuple
and nothing else be reported. One JSON line a half; exit status 1 when anything did not hold.

usage: O=.output tests/bench/soak.py [--record] [CONNECTIONS [FAULTS]]

  --record  put the figures into tests/bench/results.jsonl, and from there into README
"""

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
from witness.soak import roomy_lab, soak  # noqa: E402

ROUND = 100_000


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
            ("found", "real faults among them, of nine kinds, found on their tuples", "ratio",
             summary["problems"] / summary["faults"], (AT_LEAST, 1)),
            ("false", "divergences of class problem beside those", "count",
             summary["problems"] - summary["faults"], (AT_MOST, 0))):
        figure = Figure(f"soak.{mode}.{name}", f"{mode}: {text}", unit, [value], budget)
        figure.bench, figure.command = "soak", "make soak"
        yield figure.row()


def main():
    words = [word for word in sys.argv[1:] if word != "--record"]
    connections, faults = (int(text) for text in (words + ["10000000", "1000"])[:2])
    rows = []
    for mode in ("xdp", "tcx"):
        with roomy_lab() as lab:
            try:
                summary = soak(lab, mode, connections // 2, -(-faults // (2 * BATCH)), ROUND,
                               lambda made: print(f"# {made} connections", flush=True))
            except Failure as error:
                print(f"soak: {mode}: {error}", file=sys.stderr)
                return 1
        print(json.dumps({"benchmark": "soak", **summary}), flush=True)
        rows += figures(summary)
    if "--record" in sys.argv[1:]:
        book.record(book.machine(), rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
