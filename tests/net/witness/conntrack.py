# SPDX-License-Identifier: GPL-2.0-only
"""What the connection tracking of a namespace's own netfilter tells: `conntrack -E`, by tuple."""

import re
import subprocess
import tempfile
from dataclasses import dataclass, field

from .lab import endpoint
from .runner import check, wait_until

# A rule that asks for the state is what makes a namespace track at all
# (linux net/netfilter/nf_conntrack_proto.c:nf_ct_netns_get).
TRACK = """table inet tcpwitness_track {
chain input {
type filter hook input priority 0; policy accept;
ct state new counter
}
}
"""
BUFFER = 1 << 24
NETLINK_NETFILTER = "12"

_LINE = re.compile(r"^\[[\d.]+\]\s+\[(NEW|UPDATE|DESTROY)\]\s+ipv[46]\s+\d+\s+tcp\s+6\s+(?:\d+\s+)?"
                   r"(?:([A-Z][A-Z_0-9]*)\s+)?"
                   r"src=(\S+)\s+dst=(\S+)\s+sport=(\d+)\s+dport=(\d+)\s")


@dataclass
class Life:
    """One entry of the table: who sent the first segment to whom, and the states since."""
    opener: str
    answerer: str
    states: list = field(default_factory=list)


class Conntrack:
    """Records SPACE's events from now until stop()."""

    def __init__(self, space):
        self.space = space
        self._lives = {}  # (opener, answerer): [Life, ...]
        self._offset = 0
        space.run("nft", "-f", "-", input=TRACK)
        self._out = tempfile.NamedTemporaryFile("w+", prefix="tcpwitness-conntrack-")
        self._err = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(
            space.command("conntrack", "-E", "-p", "tcp", "-b", str(BUFFER),
                          "-o", "timestamp,extended,id"),
            stdout=self._out, stderr=self._err, stdin=subprocess.DEVNULL)
        try:
            wait_until(self._listens, lambda: f"conntrack does not listen: {self.complaints()}")
        except BaseException:
            self.stop()
            raise

    def _listens(self):
        check(self._process.poll() is None, f"conntrack ended: {self.complaints()}")
        return self._sockets()

    def _sockets(self):
        """How many events each netfilter socket of the namespace that is in a group has lost."""
        with self.space, open("/proc/thread-self/net/netlink", encoding="ascii") as file:
            names, *rows = [line.split() for line in file]
        rows = [dict(zip(names, row)) for row in rows]
        return [int(row["Drops"]) for row in rows
                if row["Eth"] == NETLINK_NETFILTER and int(row["Groups"], 16)]

    def lost(self):
        """How many events there was no room for."""
        check(self._process.poll() is None, f"conntrack ended: {self.complaints()}")
        return sum(self._sockets())

    def complaints(self):
        """What it said on standard error, its notice of the buffer's size aside."""
        self._err.seek(0)
        return [line.strip() for line in self._err if line.strip() and "NOTICE" not in line]

    def lives(self, one, other):
        """What it told so far of the connections between two endpoints, in their order."""
        self._read()
        return self._lives.get((one, other), []) + self._lives.get((other, one), [])

    def all(self):
        self._read()
        return [life for lives in self._lives.values() for life in lives]

    def _read(self):
        with open(self._out.name, encoding="ascii") as file:
            file.seek(self._offset)
            while (line := file.readline()).endswith("\n"):
                self._offset += len(line)
                self._take(line)

    def _take(self, line):
        match = _LINE.match(line)
        check(match, f"a line of conntrack cannot be parsed: {line}")
        kind, state, source, target, source_port, target_port = match.groups()
        ends = endpoint(source, source_port), endpoint(target, target_port)
        lives = self._lives.setdefault(ends, [])
        if kind == "NEW":
            lives.append(Life(*ends))
        check(lives, f"conntrack tells no beginning: {line}")
        states = lives[-1].states
        # an event may tell of a mark or of [ASSURED], too: the state is then the same as before
        if state and states[-1:] != [state]:
            states.append(state)

    def stop(self):
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait(10)
        self._out.close()
