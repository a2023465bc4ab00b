# SPDX-License-Identifier: GPL-2.0-only
"""Long runs side by side: their loads take turns, their minutes of TIME_WAIT overlap."""

import concurrent.futures
import contextlib
import threading

from .runner import case


def side_by_side(jobs):
    """JOBS: {name: function(turn)}, where the load is made `with turn:`. Registers a case for each
    and returns the setup that runs them."""
    for name in jobs:
        case(name, name)(lambda outcome, which: outcome(which))

    @contextlib.contextmanager
    def setup():
        turn = threading.Lock()
        with concurrent.futures.ThreadPoolExecutor(len(jobs)) as pool:
            futures = {name: pool.submit(job, turn) for name, job in jobs.items()}
            yield lambda name: futures[name].result()
    return setup
