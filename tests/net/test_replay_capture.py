#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 600
"""A capture of every live scenario, replayed, gives the paths that the live capture gave.

Runs the cases of those two tests with a recorder beside each daemon, then asks
`tcpwitness replay` and compares it, connection by connection, with the daemons' own events.
"""

import contextlib
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile

import test_lifecycle  # registers its cases
import test_resets  # the same
from witness import (
    BINARY, IPV4, IPV6, Failure, Pair, Skip, case, check, check_equal, close_rst, execute, main,
    wait_until,
)
from witness.ends import PORTS, both_ends, inner
from witness.recorder import Recorder

# What only the kernel can tell: why it sent a RST, and that it waits no longer for an answer.
ENDS_ALIKE = {
    "killed": {"local_reset"},
    "timeout": {"local_reset", "unknown"},
    "handshake_timeout": {"handshake_timeout", "unknown"},
}


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


def differences(seen, told):
    """What is different about two events of one connection."""
    if told["ended"] not in ENDS_ALIKE.get(seen["ended"], {seen["ended"]}):
        yield f"ended {told['ended']}, live {seen['ended']}"
    if told["role"] != seen["role"]:
        yield f"role {told['role']}, live {seen['role']}"
    # Live, the window is not known: a FIN from beyond it is believed to be the peer's.
    paths = (("local_path",) if "out_of_window" in told["anomalies"]
             else ("local_path", "remote_path"))
    for path in paths:
        if inner(told[path]) != inner(seen[path]):
            yield f"{path} {inner(told[path])}, live {inner(seen[path])}"


def compare(path, space, lab, daemon):
    """Replays the capture made beside DAEMON; returns how many connections were the same."""
    told = replayed(path, *(lab.ip(space, family) for family in (IPV4, IPV6)))
    wrong, compared = [], 0
    lives = {key: events for key, events in live(daemon).items()
             # what the daemon itself was not sure of is no yardstick
             if all(event["observable"] for event in events)}
    for key, events in lives.items():
        ours = told.get(key, [])
        if len(ours) != len(events):
            wrong.append(f"{key}: {len(ours)} lives, live {len(events)}")
            continue
        compared += len(events)
        for seen, one in zip(events, ours):
            wrong += [f"{key}: {text}" for text in differences(seen, one)]
    for text in wrong:
        print("#", text)
    check(not wrong, f"{len(wrong)} differences, the first: {wrong[:1]}")
    total = len(daemon.find("connection"))
    check(compared > total * 3 // 4, f"only {compared} of {total} connections were compared")
    return compared


class Captured:
    """The captures beside the two daemons."""

    def __init__(self, lab, directory):
        self.paths = {space: os.path.join(directory, space.name) for space in (lab.a, lab.b)}
        self.recorders = {space: Recorder(space, lab.device(space), path)
                          for space, path in self.paths.items()}

    def stop(self):
        lost = [recorder.stop() for recorder in self.recorders.values()]
        self.recorders = {}
        check_equal("packets the recorders lost", lost, [0] * len(lost))


@contextlib.contextmanager
def recorded_ends():
    directory = tempfile.mkdtemp(prefix="tcpwitness-replay-")
    try:
        with both_ends() as world:
            world.captured = Captured(world.lab, directory)
            try:
                yield world
            finally:
                for recorder in world.captured.recorders.values():
                    recorder.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@case("replayed captures tell what was seen live")
def captures_agree(world):
    world.captured.stop()
    for space, daemon in world.daemons.items():
        daemon.settled()
        compared = compare(world.captured.paths[space], space, world.lab, daemon)
        print(f"# {space.name}: {compared} connections")


@case("a pipe, a file and another run of it print the same")
def pipe_and_file(world):
    path = world.captured.paths[world.lab.a]
    first = replay(path)
    check(first, "nothing was printed")
    check_equal("a second run", replay(path), first)
    with open(path, "rb") as file:
        check_equal("standard input", replay("-", stdin=file), first)
    piped = execute("sh", "-c", f'cat "$1" | {BINARY} replay -', "sh", path)
    check_equal("a pipe", piped, first)


def rewritten(path, linktype, header):
    """Copies a capture of Ethernet frames; HEADER(ethertype) takes the place of theirs."""
    copy = f"{path}.{linktype}"
    with open(path, "rb") as source, open(copy, "wb") as target:
        target.write(source.read(20) + struct.pack("=I", linktype))
        source.read(4)
        while head := source.read(16):
            seconds, nanoseconds, captured, length = struct.unpack("=IIII", head)
            frame = source.read(captured)
            if frame[12:14] not in (b"\x08\x00", b"\x86\xdd"):
                continue
            new = header(frame[12:14])
            target.write(struct.pack("=IIII", seconds, nanoseconds, captured - 14 + len(new),
                                     length - 14 + len(new)) + new + frame[14:])
    return copy


LINKTYPE_RAW, LINKTYPE_LINUX_SLL, LINKTYPE_LINUX_SLL2 = 101, 113, 276


@case("other link types tell the same")
def other_link_types(world):
    path = world.captured.paths[world.lab.a]
    first = replay(path)
    check_equal("raw IP", replay(rewritten(path, LINKTYPE_RAW, lambda _: b"")), first)
    check_equal("SLL", replay(rewritten(path, LINKTYPE_LINUX_SLL,
                                        lambda kind: bytes(14) + kind)), first)
    check_equal("SLL2", replay(rewritten(path, LINKTYPE_LINUX_SLL2,
                                         lambda kind: kind + bytes(18))), first)


@case("pcapng tells the same")
def as_pcapng(world):
    if not shutil.which("editcap"):
        raise Skip("editcap is not installed")
    path = world.captured.paths[world.lab.a]
    execute("editcap", "-F", "pcapng", path, path + ".ng")
    check_equal("pcapng", replay(path + ".ng"), replay(path))


@case("dumpcap on any device")
def captured_on_any(world):
    """A pcapng of another program, of a link type without Ethernet, while it is written."""
    if not shutil.which("dumpcap"):
        raise Skip("dumpcap is not installed")
    space = world.lab.a
    path = world.captured.paths[space] + ".any"
    with subprocess.Popen(space.command("dumpcap", "-q", "-i", "any", "-w", path),
                          stderr=subprocess.PIPE, text=True) as dumpcap:
        try:
            for line in dumpcap.stderr:
                if line.startswith("File:"):
                    break
            ends = {}
            for family in (IPV4, IPV6):
                for reset in (False, True):
                    pair = Pair(world.lab, space, family, next(PORTS))
                    if reset:
                        close_rst(pair.server)
                    else:
                        pair.server.close()
                        check_equal("read", pair.client.recv(1), b"")
                    pair.client.close()
                    ends[(pair.server_at, pair.client_at)] = (
                        "local_reset" if reset else "local_close")
            told = {}

            def complete():
                told.update(replayed_so_far(path, *(world.lab.ip(space, family)
                                                    for family in (IPV4, IPV6))))
                return all(told.get(key, [{}])[0].get("ended") == end
                           for key, end in ends.items())
            wait_until(complete, lambda: f"expected {ends}, got {told}", 20)
        finally:
            dumpcap.send_signal(signal.SIGINT)
            dumpcap.stderr.read()
            dumpcap.wait(10)
    lives = replayed(path, *(world.lab.ip(space, family) for family in (IPV4, IPV6)))
    for key, end in ends.items():
        check_equal(f"lives of {key}", [event["ended"] for event in lives.get(key, [])], [end])


def replayed_so_far(path, *addresses):
    """replayed() of a file that is being written, and may end within a block."""
    try:
        return replayed(path, *addresses)
    except RuntimeError:
        return {}


@case("tshark agrees on what was seen of each connection")
def tshark_agrees(world):
    """tcp.completeness: 1 SYN, 2 SYN-ACK, 4 ACK, 8 data, 16 FIN, 32 RST."""
    if not shutil.which("tshark"):
        raise Skip("tshark is not installed")
    path = world.captured.paths[world.lab.a]
    fields = [word for name in ("ip.src", "ipv6.src", "tcp.srcport", "ip.dst", "ipv6.dst",
                                "tcp.dstport", "tcp.stream", "tcp.completeness")
              for word in ("-e", name)]
    streams = {}
    for line in execute("tshark", "-2", "-r", path, "-Y", "tcp", "-T", "fields",
                        *fields).splitlines():
        v4, v6, port, to_v4, to_v6, to_port, stream, bits = line.split("\t")
        ends = frozenset({(v4 or v6, port), (to_v4 or to_v6, to_port)})
        streams.setdefault(ends, {})[stream] = int(bits)
    compared = 0
    told = replayed(path, world.lab.ip(world.lab.a, IPV4), world.lab.ip(world.lab.a, IPV6))
    for (local, remote), lives in told.items():
        ends = frozenset((text.rsplit(":", 1)[0].strip("[]"), text.rsplit(":", 1)[1])
                         for text in (local, remote))
        bits = streams.get(ends)
        if bits is None:
            raise Failure(f"tshark has no stream {local} {remote}")
        # tshark may part or join lives of one tuple where we do not: only single ones compare
        if len(lives) > 1 or len(bits) > 1:
            continue
        compared += 1
        completeness, event = next(iter(bits.values())), lives[0]
        states = set(event["local_path"] + event["remote_path"])
        check_equal(f"FIN seen: {event}", bool(completeness & 16),
                    bool(states & {"FIN_WAIT_1", "LAST_ACK", "CLOSE_WAIT", "CLOSING"}))
        check(event["ended"] not in ("local_reset", "remote_reset", "refused") or
              completeness & 32, f"tshark saw no RST: {event}")
        check(event["role"] == "unknown" or completeness & 3, f"tshark saw no SYN: {event}")
        check("ESTABLISHED" not in event["local_path"] or event["why"] or
              completeness & 2, f"tshark saw no SYN-ACK: {event}")
    check(compared > len(told) * 3 // 4, f"only {compared} of {len(told)} were compared")


if __name__ == "__main__":
    sys.exit(main(recorded_ends))
