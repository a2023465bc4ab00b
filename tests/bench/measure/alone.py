# SPDX-License-Identifier: GPL-2.0-only
"""Parts by themselves: the reference, user space fed with made-up records, a capture replayed,
BPF programs run on made-up segments. Each is a program that prints JSON lines."""

import json
import os
import subprocess

from witness.runner import Failure

from .figures import AT_LEAST, AT_MOST, Figure
from .scene import OUT, program

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# for the kinds of segments that bench_programs tries: what is added to the bare program's time
PLAIN, CONTROL = (AT_MOST, 40), (AT_MOST, 120)
HEADLINES = ("data", "data on a closing connection", "udp", "syn on listen", "final ack", "fin",
             "rst")
CONTROL_CASES = ("syn", "final ack", "fin", "rst", "ack of our fin")


def lines(*command, **environment):
    """What COMMAND prints, line by line."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=300, check=False, env={**os.environ, **environment})
    if done.returncode:
        raise Failure(f"{os.path.basename(command[0])}: {done.stderr.strip()[-300:]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def reference(options):
    """The reference state machine, 10 million segments."""
    rows = [lines(program("bench_reference"))[0] for _ in range(options.rounds(5))]
    yield Figure("reference", "the reference, both ends: ns a segment", "ns",
                 [row["ns_per_segment"] for row in rows])


def replay(options):
    """`tcpwitness replay` of a capture."""
    rows = [lines(os.path.join(HERE, "replay.sh"), O=OUT,
                  PACKETS="200000" if options.quick else "1000000")[0]
            for _ in range(options.rounds(3))]
    yield Figure("replay", "packets of a capture that `tcpwitness replay` reads in a second",
                 "M/s", [row["packets_per_second"] / 1e6 for row in rows])


def pipeline(options):
    """User space alone, by how many connections live."""
    records = "200000" if options.quick else "1000000"
    for stage in ("merge", "decode"):
        row = lines(program("bench_pipeline"), f"--stage={stage}", f"--records={records}")[0]
        through = "merge" if stage == "merge" else "merge and decode"
        yield Figure(f"pipeline.{stage}", f"{through} alone: ns a record", "ns",
                     row["ns_per_record"])
    for live in (1000, 100_000, 1_000_000):
        row = lines(program("bench_pipeline"), f"--live={live}", f"--records={records}",
                    f"--rounds={options.rounds(5)}")[0]
        yield Figure(f"pipeline.{live}", f"all of user space with {live:,} connections: records a "
                     "second on one core", "M/s", [1e3 / ns for ns in row["ns_per_record"]],
                     (AT_LEAST, 5))
        yield Figure(f"pipeline.{live}.ns", "the same: ns a record", "ns", row["ns_per_record"])
        if row["cache_misses_per_record"] is None:
            yield Figure.skip(f"pipeline.{live}.misses", "the same: cache misses a record",
                              "no hardware counters here", detail=True)
        else:
            yield Figure(f"pipeline.{live}.misses", "the same: cache misses a record", "count",
                         [row["cache_misses_per_record"]])


def budget_of(case):
    return CONTROL if case.startswith(CONTROL_CASES) else PLAIN


def program_figure(key, values):
    """HOOK, MODE ("cold": each run meets another of a million flows), CASE."""
    hook, mode, case = key
    name = ".".join(part.replace(" ", "_").replace(",", "") for part in key)
    met = "nothing of its flow cached" if mode == "cold" else mode
    return Figure(f"program.{name}", f"`{hook}` program, {case}, {met}: added to the time of one "
                  "that does nothing (BPF_PROG_TEST_RUN)", "ns", values,
                  None if mode == "cold" else budget_of(case),
                  detail=mode == "several namespaces" or ", ipv6" in case or
                  case not in HEADLINES)


def programs(options):
    """BPF_PROG_TEST_RUN over segments of every kind."""
    seen = {}
    for turn in range(options.rounds(3)):
        flows = "0" if turn or options.quick else "1000000"
        for row in lines(program("bench_programs"), FLOWS=flows):
            cold = row["benchmark"] == "program_cold"
            key = (row["hook"], "cold" if cold else row["mode"], row["case"])
            # of many rounds their median; of a cold run all there is
            seen.setdefault(key, []).append(row["added_ns" if cold else "added_median_ns"])
    for key, values in seen.items():
        yield program_figure(key, values)


BENCHES = [
    ("reference", 30, reference),
    ("replay", 60, replay),
    ("pipeline", 90, pipeline),
    ("programs", 300, programs),
]
