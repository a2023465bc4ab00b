# SPDX-License-Identifier: GPL-2.0-only
"""Paths of states, as events tell them."""

import itertools

RFC_NAMES = {
    "SYN_RECV": "SYN_RECEIVED", "NEW_SYN_RECV": "SYN_RECEIVED", "FIN_WAIT1": "FIN_WAIT_1",
    "FIN_WAIT2": "FIN_WAIT_2", "CLOSE": "CLOSED",
}


def inner(path):
    """A path without the CLOSED or LISTEN it came from and the CLOSED it goes to: whether those
    two are named is the event log's choice, the states between them are not."""
    path = list(path)
    while path and path[0] in ("CLOSED", "LISTEN", "CLOSE"):
        path.pop(0)
    while path and path[-1] in ("CLOSED", "CLOSE"):
        path.pop()
    return path


def inner_kernel(path):
    """As inner(), by RFC names; the kernel's two states of a handshake at a server, NEW_SYN_RECV
    (request socket) and SYN_RECV (child), are one."""
    names = [RFC_NAMES.get(name, name) for name in inner(path)]
    return [name for name, _ in itertools.groupby(names)]
