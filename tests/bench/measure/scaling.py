# SPDX-License-Identifier: GPL-2.0-only
"""On paper: what a large host would need, from the figures of this one. Nothing here is measured
at that size: it is this machine's cost times the rate, and holds as long as a connection costs
there what it costs here."""

import os
import re

from .figures import AT_LEAST, Figure

CORES, RATE, LIVE = 64, 1_000_000, 1_000_000
TURN_S = 0.020  # the longest that a busy daemon leaves its rings alone
RECORD_HEADER, ADDRESSES = 8, 8  # of a record in its ring, and of IPv4 in a record
RECORD_H = os.path.join(os.path.dirname(__file__), "../../../include/record.h")
RING_BYTES = 4 << 20  # the largest ring that is taken without --ring.bytes


def record_bytes():
    """What an IPv4 segment takes of its ring; a state change takes less."""
    with open(RECORD_H, encoding="utf-8") as file:
        size = re.search(r"sizeof\(struct rec_segment\) == (\d+)", file.read()).group(1)
    return int(size) + ADDRESSES + RECORD_HEADER


def derived(rows):
    """Figures made of those in ROWS; none where one that is needed is missing."""
    values = {row["figure"]: row["value"] for row in rows if "value" in row}
    needed = ("connection.user.most", "connection.bpf.most", "connection.records",
              f"pipeline.{LIVE}.ns", "pipeline.merge")
    if any(name not in values for name in needed):
        return
    records = values["connection.records"] * RATE

    def figure(name, text, unit, value, limit=None):
        made = Figure(f"scaling.{name}", text, unit, [value], limit)
        made.bench, made.command = "scaling", "make bench"
        return made.row()
    yield figure("records", f"records at {RATE:,} connections a second", "M/s", records / 1e6)
    yield figure("bpf", "cores that the BPF programs take, on all CPUs together "
                 "(connection.bpf.most)", "cores", values["connection.bpf.most"] * RATE / 1e6)
    yield figure("bpf.share", f"share of each of {CORES} cores", "%",
                 values["connection.bpf.most"] * RATE / 1e6 / CORES * 100)
    yield figure("user", "cores that the one data thread would take, system calls included "
                 "(connection.user.most): more than 1 cannot be had", "cores",
                 values["connection.user.most"] * RATE / 1e6)
    yield figure("pipeline", f"cores that the pipeline alone takes with {LIVE:,} live connections "
                 f"(pipeline.{LIVE}.ns)", "cores", values[f"pipeline.{LIVE}.ns"] * records / 1e9)
    yield figure("merge", "of those, what would stay one thread's if the rest were shared out: "
                 "the merge (pipeline.merge)", "cores", values["pipeline.merge"] * records / 1e9)
    yield figure("most", "connections a second at which the data thread is busy all the time",
                 "per second", 1e6 / values["connection.user.most"], (AT_LEAST, 122_000))
    yield figure("ring", "what one CPU's ring takes between two turns of the loop, of its "
                 f"{RING_BYTES >> 20} MiB", "%",
                 records / CORES * record_bytes() * TURN_S / RING_BYTES * 100)
