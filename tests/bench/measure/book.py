# SPDX-License-Identifier: GPL-2.0-only
"""The list of all benchmarks, and the book of their results: tests/bench/results.jsonl, of which
README's tables are made."""

import datetime
import os
import subprocess

from . import alone, figures, floods, many, rates, scaling, throughput

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TOP = os.path.dirname(os.path.dirname(HERE))
RESULTS = os.path.join(HERE, "results.jsonl")


def every():
    """(name, seconds it may take, function) of all of make bench's, in the order they run."""
    return [row for module in (rates, throughput, floods, alone, many) for row in module.BENCHES]


def derived(rows):
    """Rows that follow from others."""
    return list(scaling.derived(rows))


def machine(quick=False):
    """Where and of what the figures are, and whether of short runs."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    version = subprocess.run(["git", "describe", "--tags", "--always", "--dirty"], cwd=TOP,
                             stdout=subprocess.PIPE, text=True, check=False).stdout.strip()
    return {"machine": (models or [os.uname().machine])[0], "cores": os.cpu_count(),
            "kernel": os.uname().release.split("-")[0],
            "version": f"{version}, short runs" if quick else version,
            "date": datetime.date.today().isoformat()}


def where(header):
    """A word on each row, because those of one run may stand beside those of another."""
    return (f"{header['version']}, {header['date']}; {header['machine']}, {header['cores']} cores, "
            f"kernel {header['kernel']}")


def record(header, rows):
    """Benchmarks that were run take the place of what they had measured before."""
    known = []
    if os.path.exists(RESULTS):
        known = figures.read(RESULTS)
    rows = [{**row, "where": where(header)} for row in rows]
    ran = {row["bench"] for row in rows}
    order = [name for name, _, _ in every()] + ["soak"]
    merged = [row for row in known if row["bench"] not in ran and row["bench"] in order] + rows
    merged.sort(key=lambda row: order.index(row["bench"]))
    figures.write(RESULTS, merged + derived(merged))
    lint = os.path.join(TOP, "tests/lint/readme")
    subprocess.run([lint, "--write"], stdout=subprocess.DEVNULL, check=False)
    subprocess.run([lint], check=True)
