# SPDX-License-Identifier: GPL-2.0-only
"""A second look at what was seen live: captures made beside the daemons, replayed.

Whatever a scenario is about, `tcpwitness replay` must tell of each connection what the daemon told,
and tshark must have seen the segments that replay saw. Where they may differ is listed: KNOWN.
"""

import contextlib
import json
import os
import shutil
import tempfile
from collections import Counter

from . import tshark
from .daemon import BINARY
from .lab import IPV4, IPV6, execute
from .recorder import Recorder
from .runner import check, check_equal
from .states import inner

ONLY_CAPTURED = {"ack", "data"}  # kinds of segments most of which are not recorded live
PATHS = ("local_path", "remote_path")


def replay(*args, **options):
    return execute(BINARY, "replay", *args, **options)


def replayed(path, *addresses):
    """{(local, remote): [event, ...]} of a capture."""
    lives = {}
    for line in replay("--json", *(f"--local={address}" for address in addresses),
                       path).splitlines():
        event = json.loads(line)
        check_equal("event", (event["event"], event["kernel_path"], event["divergences"]),
                    ("connection", [], []))
        lives.setdefault((event["local"], event["remote"]), []).append(event)
    return lives


def live(daemon):
    lives = {}
    for event in daemon.find("connection"):
        lives.setdefault((event["local"], event["remote"]), []).append(event)
    return lives


def summary(event):
    """What of an event the wire alone can tell."""
    return {"ended": event["ended"], "role": event["role"],
            **{path: inner(event[path]) for path in PATHS},
            "seen": sorted(set(event["seen"]) - ONLY_CAPTURED)}


def goes_on(seen, told):
    """All that was seen live, and perhaps more."""
    return set(seen["seen"]) <= set(told["seen"]) and all(
        inner(told[path])[:len(inner(seen[path]))] == inner(seen[path]) for path in PATHS)


# Each is asked about one connection: may replay differ from what was seen live, and in what?

def only_the_kernel_knows(seen, told):
    """It waits no longer, was told by ICMP or killed, or keeps no TIME_WAIT: no segment says so,
    and what comes after that belongs to nobody."""
    given_up = (seen["ended"] in ("killed", "timeout", "handshake_timeout", "refused") or
                {"fin_wait_2_timeout", "time_wait_missing"} & set(seen["divergences"]))
    return {"ended", *PATHS, "seen"} if given_up and goes_on(seen, told) else set()


def reset_at_a_sack_edge(seen, told):
    """Linux takes it, RFC 5961 challenges it, and SACK blocks are not recorded."""
    resets = (seen["ended"], told["ended"]) == ("remote_reset", "unknown")
    return {"ended"} if resets and "rst_in_window" in told["anomalies"] else set()


def answered_too_late(seen, told):
    """The socket in SYN_SENT, or the request, had gone in silence: the answer came to nobody, and
    of such segments only SYN, FIN and RST are recorded."""
    gone = seen["kernel_path"] in (["SYN_SENT", "CLOSE"], ["NEW_SYN_RECV"])
    return {"ended", *PATHS, "seen"} if gone and goes_on(seen, told) else set()


def beyond_the_window(_, told):
    """Live, the window is not known: a FIN from beyond it is believed to be the peer's."""
    return {"remote_path"} if "out_of_window" in told["anomalies"] else set()


def fin_acknowledged_by_data(seen, told):
    """Data is not recorded live, nor what it acknowledges; the next segment would have told."""
    return {"remote_path"} if inner(told["remote_path"]) == [
        *inner(seen["remote_path"]), "FIN_WAIT_2"] else set()


KNOWN = (only_the_kernel_knows, reset_at_a_sack_edge, answered_too_late, beyond_the_window,
         fin_acknowledged_by_data)


class Comparison:
    """Of what was seen live and what replay tells of the same time: what is wrong, and how often
    which known difference was met."""

    def __init__(self):
        self.wrong, self.known, self.compared = [], Counter(), 0

    def connection(self, name, seen, told):
        self.compared += 1
        first, second = summary(seen), summary(told)
        differ = {key for key, value in first.items() if second[key] != value}
        for known in KNOWN:
            if differ & known(seen, told):
                self.known[known.__name__] += 1
                differ -= known(seen, told)
        self.wrong += [f"{name}: {key} {second[key]}, live {first[key]} (kernel "
                       f"{seen['kernel_path']}, {seen['divergences']}, {seen['anomalies']})"
                       for key in sorted(differ)]

    def all(self, seen, told):
        for ends, events in seen.items():
            name, ours = " ".join(ends), told.get(ends, [])
            # what the daemon itself was not sure of is no yardstick
            if not all(event["observable"] for event in events):
                continue
            # one that went on when the daemon was asked last is at the end, if there is one
            if len(ours) < len(events):
                self.wrong.append(f"{name}: {len(ours)} lives, live {len(events)}")
                continue
            for one, other in zip(events, ours):
                self.connection(name, one, other)


def compare(path, space, lab, seen):
    """Replays a capture made beside a daemon that saw SEEN. Returns how many were compared."""
    told = replayed(path, *(lab.ip(space, family) for family in (IPV4, IPV6)))
    found = Comparison()
    found.all(seen, told)
    found.wrong += tshark.differences(path, told)
    for text in found.wrong:
        print("#", text)
    check(not found.wrong, f"{len(found.wrong)} differences, the first: {found.wrong[:1]}")
    print(f"# {space.name}: {found.compared} of {sum(map(len, seen.values()))} connections were "
          f"the same in the replayed capture, but for {dict(found.known)}", flush=True)
    return found.compared


class Captures:
    """The captures beside the daemons of a lab, by namespace."""

    def __init__(self, lab, spaces, directory):
        self.lab = lab
        self.paths = {space: os.path.join(directory, space.name) for space in spaces}
        self.recorders = {space: Recorder(space, lab.device(space), path)
                          for space, path in self.paths.items()}

    def stop(self):
        recorders, self.recorders = self.recorders, {}
        return sum(recorder.stop() for recorder in recorders.values())

    def compare(self, daemons):
        """Ends the captures. {namespace: (connections that ended, compared)}"""
        # in this order, so that a capture has all that its daemon has told of
        seen = {}
        for space, daemon in daemons.items():
            daemon.settled()
            seen[space] = live(daemon)
        check_equal("packets the recorders lost", self.stop(), 0)
        return {space: (sum(map(len, lives.values())),
                        compare(self.paths[space], space, self.lab, lives))
                for space, lives in seen.items()}


@contextlib.contextmanager
def captured(lab, *spaces):
    directory = tempfile.mkdtemp(prefix="tcpwitness-captures-")
    try:
        captures = Captures(lab, spaces, directory)
        try:
            yield captures
        finally:
            captures.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
