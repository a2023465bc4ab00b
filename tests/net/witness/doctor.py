# SPDX-License-Identifier: GPL-2.0-only
"""What `tcpwitness doctor` says of this kernel: tests ask it, never the kernel's version."""

import functools
import json
import subprocess

from .daemon import BINARY
from .runner import Failure, Skip


@functools.cache
def _rows():
    """{name: None where it is there, else what is lost without it}."""
    text = subprocess.run([BINARY, "doctor", "--json"], capture_output=True, text=True,
                          check=False).stdout
    return {row["name"]: row["without"] for row in json.loads(text)["checks"]}


def lacks():
    """{name: what is lost without it}, of what the programs want of this kernel."""
    names = list(_rows())
    return {name: _rows()[name] for name in names[names.index("programs") + 1:]
            if _rows()[name] is not None}


def has(name):
    """Does this kernel have what doctor lists as NAME?"""
    if name not in _rows():
        raise Failure(f"doctor has no row {name!r}, but {sorted(_rows())}")
    return _rows()[name] is None


def needs(name):
    """Skips the case where this kernel lacks NAME, with doctor's reason."""
    if not has(name):
        raise Skip(f"this kernel has no {name}: {_rows()[name]}")
