#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Is it right at scale? CONNECTIONS ordinary connections (10,000,000), half of them watched by XDP
and half by tcx, and FAULTS real faults among them (1,000): every fault must be found on its tuple
and nothing else be reported. One JSON line a half; exit status 1 when anything did not hold.

usage: O=.output tests/bench/soak.py [CONNECTIONS [FAULTS]]
"""

import json
import os
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OUT = os.path.join(TOP, os.environ.get("O", ".output"))
os.environ.setdefault("TCPWITNESS", os.path.join(OUT, "tcpwitness"))
os.environ.setdefault("CONNLOAD", os.path.join(OUT, "tests/bench/connload"))
sys.path.insert(0, os.path.join(TOP, "tests/net"))

from witness import Failure  # noqa: E402  (the path comes first)
from witness.faults import BATCH  # noqa: E402
from witness.soak import roomy_lab, soak  # noqa: E402

ROUND = 100_000


def main():
    connections, faults = (int(text) for text in (sys.argv[1:] + ["10000000", "1000"])[:2])
    for mode in ("xdp", "tcx"):
        with roomy_lab() as lab:
            try:
                summary = soak(lab, mode, connections // 2, -(-faults // (2 * BATCH)), ROUND,
                               lambda made: print(f"# {made} connections", flush=True))
            except Failure as error:
                print(f"soak: {mode}: {error}", file=sys.stderr)
                return 1
        print(json.dumps({"benchmark": "soak", **summary}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
