#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Every ordinary kind of connection mixed, both cores saturated, faults among them, by XDP and by
tcx: the short form of `make soak`."""

import sys

from witness import case, main
from witness.soak import roomy_lab, soak

CONNECTIONS, ROUND = 60_000, 20_000


@case("mixed load xdp", "xdp")
@case("mixed load tcx", "tcx")
def mixed_load(lab, mode):
    soak(lab, mode, CONNECTIONS, 1, ROUND)


if __name__ == "__main__":
    sys.exit(main(roomy_lab))
