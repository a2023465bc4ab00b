# SPDX-License-Identifier: GPL-2.0-only
"""What `make bench` measures: one module a subject, and the frame they share (figures, scene).

A benchmark is a generator of Figures; a module's BENCHES lists its own as
(name, seconds it may take, function)."""

from . import alone, many, rates, throughput


def every():
    """All benchmarks, in the order they run."""
    return [row for module in (rates, throughput, alone, many) for row in module.BENCHES]
