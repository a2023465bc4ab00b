# SPDX-License-Identifier: GPL-2.0-only
"""tshark's opinion of which kinds of segments a connection had: tcp.completeness."""

import collections
import datetime
import functools
import shutil

from .lab import execute

BITS = {"syn": 1, "synack": 2, "ack": 4, "data": 8, "fin": 16, "rst": 32}
FIN, ACK = 0x01, 0x10
ONLY_TCP = "tcp.completeness and not icmp and not icmpv6"  # which quote segments
FIELDS = ("ip.src", "ipv6.src", "tcp.srcport", "ip.dst", "ipv6.dst", "tcp.dstport", "tcp.stream",
          "tcp.completeness", "tcp.flags", "frame.time_epoch")


class Stream:
    """What tshark takes for one connection."""

    def __init__(self, time):
        self.bits, self.first, self.last, self.bare_fin = 0, time, time, False

    def joined(self, other):
        self.bits |= other.bits
        self.last = max(self.last, other.last)
        self.bare_fin |= other.bare_fin
        return self


def streams(path):
    """{the two ends: [stream, ...]}, in their order."""
    found = collections.defaultdict(dict)
    wanted = [word for name in FIELDS for word in ("-e", name)]
    for line in execute("tshark", "-n", "-2", "-r", path, "-Y", ONLY_TCP, "-T", "fields",
                        *wanted).splitlines():
        v4, v6, port, to_v4, to_v6, to_port, number, bits, flags, time = line.split("\t")
        ends = frozenset({(v4 or v6, port), (to_v4 or to_v6, to_port)})
        stream = found[ends].setdefault(int(number), Stream(float(time)))
        stream.bits, stream.last = int(bits), float(time)
        stream.bare_fin |= int(flags, 16) & (FIN | ACK) == FIN
    return {ends: [rows[number] for number in sorted(rows)] for ends, rows in found.items()}


def seconds(time):
    """An event's time of day as tshark's."""
    whole, fraction = time.rstrip("Z").split(".")
    whole = datetime.datetime.fromisoformat(whole).replace(tzinfo=datetime.timezone.utc)
    return whole.timestamp() + float(f"0.{fraction}")


def difference(event, stream):
    """The names of what replay saw and tshark did not, or the other way round."""
    ours = sum(BITS[name] for name in event["seen"])
    other = ours ^ stream.bits
    if stream.bare_fin:  # to tshark a FIN without ACK is none
        other &= ~BITS["fin"]
    if not ours & (BITS["syn"] | BITS["synack"]):  # picked up in mid-life: of the first it is sure
        other &= ~BITS["ack"]
    if stream.last > seconds(event["closed"]):  # what came after the end; to us it is a stray
        other &= ours
    return [name for name, bit in BITS.items() if other & bit]


def by_life(events, rows):
    """[(event, its streams), ...]: a stream is of the life in which it begins."""
    begins = [seconds(event["opened"]) for event in events[1:]]
    found = [(event, []) for event in events]
    for stream in rows:
        # neither clock has more than a float's microsecond
        found[sum(begin <= stream.first + 1e-6 for begin in begins)][1].append(stream)
    return found


def differences(path, told):
    """Texts; none where tshark is not installed. TOLD: {(local, remote): [event, ...]}."""
    if not shutil.which("tshark"):
        return []
    theirs, wrong = streams(path), []
    for (local, remote), events in told.items():
        ends = frozenset(tuple(text.replace("[", "").replace("]", "").rsplit(":", 1))
                         for text in (local, remote))
        events = sorted(events, key=lambda event: event["opened"])
        for event, rows in by_life(events, theirs.get(ends, [])):
            # to tshark another SYN begins a stream; a live connection challenges it (RFC 5961 §4)
            if len(rows) != 1 and not (rows and "syn_in_window" in event["anomalies"]):
                wrong.append(f"{local} {remote}: {len(rows)} streams of tshark's in one life")
                continue
            names = difference(event, functools.reduce(Stream.joined, rows))
            if names:
                wrong.append(f"{local} {remote}: saw {event['seen']}, tshark begs to differ in "
                             f"{names}")
    return wrong
