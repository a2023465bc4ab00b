# SPDX-License-Identifier: GPL-2.0-only
"""End-to-end tests of the daemon: namespaces, real sockets, a raw peer, the daemon's outputs.

A test reads: lay out a Lab, start a Daemon in it, make traffic, wait for what the kernel says is
true, then ask the daemon. Nothing sleeps for luck: every wait names its condition and deadline.
"""

from . import doctor
from .daemon import BINARY, Daemon, Metrics
from .lab import IPV4, IPV6, Lab, Namespace, attached, endpoint, execute
from .raw import RawPeer
from .runner import Failure, Skip, alone, case, check, check_equal, main, wait_until
from .sockets import (
    Pair, accept, client_of, close_rst, kernel_state, listener, local_of, remote_of,
    wait_kernel_state,
)

__all__ = [
    "BINARY", "doctor", "Daemon", "Metrics", "IPV4", "IPV6", "Lab", "Namespace", "attached",
    "endpoint", "execute", "RawPeer", "Failure", "Skip", "alone", "case", "check",
    "check_equal", "main", "wait_until", "Pair", "accept", "client_of", "close_rst",
    "kernel_state", "listener", "local_of", "remote_of", "wait_kernel_state",
]
