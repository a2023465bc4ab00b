#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 600
"""Captures replayed: what was seen live, and the same from every kind of capture.

Runs the cases of those two tests with a capture beside each daemon, as every test does whose
daemons are both_ends(); here more is asked of it than that replay tells the same.
"""

import json
import os
import shutil
import signal
import struct
import subprocess
import sys

import test_lifecycle  # registers its cases
import test_resets  # the same
from witness import (
    BINARY, IPV4, IPV6, Pair, Skip, case, check, check_equal, close_rst, execute, main,
    wait_until,
)
from witness import tshark
from witness.daemon import ROOT
from witness.ends import PORTS, both_ends
from witness.replayed import replay, replayed

CORPUS = os.path.join(ROOT, "tests", "fuzz", "corpus", "pcap")


@case("replayed captures tell what was seen live")
def captures_agree(world):
    for space, (ended, compared) in world.captures.compare(world.daemons).items():
        check(compared > ended * 3 // 4,
              f"{space.name}: only {compared} of {ended} connections were compared")


@case("a pipe, a file and another run of it print the same")
def pipe_and_file(world):
    path = world.captures.paths[world.lab.a]
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


def by_family(ipv4, ipv6):
    """A link layer that says which IP follows."""
    return {b"\x08\x00": ipv4, b"\x86\xdd": ipv6}.__getitem__


ADDRESSES = bytes(12)
LINK_TYPES = {
    "raw IP": (101, lambda _: b""),
    "SLL": (113, lambda kind: bytes(14) + kind),
    "SLL2": (276, lambda kind: kind + bytes(18)),
    "VLAN": (1, lambda kind: ADDRESSES + b"\x81\x00\x00\x0a" + kind),
    "QinQ": (1, lambda kind: ADDRESSES + b"\x88\xa8\x00\x14\x81\x00\x00\x0a" + kind),
    "null": (0, by_family(struct.pack("=I", 2), struct.pack("=I", 30))),
    "loop": (108, by_family(struct.pack(">I", 2), struct.pack(">I", 24))),
    "PPP": (9, by_family(b"\xff\x03\x00\x21", b"\xff\x03\x00\x57")),
}


@case("other link types tell the same")
def other_link_types(world):
    path = world.captures.paths[world.lab.a]
    first = replay(path)
    for name, (linktype, header) in LINK_TYPES.items():
        check_equal(name, replay(rewritten(path, linktype, header)), first)


@case("pcapng tells the same")
def as_pcapng(world):
    if not shutil.which("editcap"):
        raise Skip("editcap is not installed")
    path = world.captures.paths[world.lab.a]
    execute("editcap", "-F", "pcapng", path, path + ".ng")
    check_equal("pcapng", replay(path + ".ng"), replay(path))


@case("dumpcap on any device")
def captured_on_any(world):
    """A pcapng of another program, of a link type without Ethernet, while it is written."""
    if not shutil.which("dumpcap"):
        raise Skip("dumpcap is not installed")
    space = world.lab.a
    path = world.captures.paths[space] + ".any"
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
            wait_until(complete, lambda: f"expected {ends}, got {told}")
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


@case("tshark agrees on the captures in the tree")
def tshark_agrees(_):
    """On those of live scenarios it was asked already."""
    if not shutil.which("tshark"):
        raise Skip("tshark is not installed")
    compared = 0
    for name in sorted(os.listdir(CORPUS)):
        path = os.path.join(CORPUS, name)
        # inputs of the fuzzer end in the middle of a packet, or are of what tshark cannot read
        try:
            told = replayed(path)
        except RuntimeError:
            continue
        check_equal(name, tshark.differences(path, told), [])
        compared += len(told)
    check(compared > 10, f"only {compared} connections were compared")


@case("a gigabyte needs no gigabyte")
def gigabyte(world):
    """A capture through a pipe: of what went by, only the connections are kept."""
    path = world.captures.paths[world.lab.a]
    with open(path, "rb") as file:
        header, packets = file.read(24), file.read()
    header = header[:16] + struct.pack("=I", 65535) + header[20:]  # the snap length
    # jumbo frames: each packet is filled up to 9000 octets, which the IP header says nothing of
    filled, at = bytearray(), 0
    while at < len(packets):
        seconds, nanoseconds, captured, length = struct.unpack("=IIII", packets[at:at + 16])
        frame = packets[at + 16:at + 16 + captured]
        at += 16 + captured
        filled += struct.pack("=IIII", seconds, nanoseconds, 9000, max(length, 9000))
        filled += frame + bytes(9000 - captured)
    times = (1 << 30) // len(filled) + 1
    with subprocess.Popen([BINARY, "replay", "-"], stdin=subprocess.PIPE,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        process.stdin.write(header)
        for _ in range(times):
            process.stdin.write(filled)
        process.stdin.close()
        told = process.stderr.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    check_equal(f"exit status ({told})", process.returncode, 0)
    check(usage.ru_maxrss < 64 << 10, f"{usage.ru_maxrss} KiB for {times * len(filled)} octets")
    print(f"# {usage.ru_maxrss} KiB for {times * len(filled) >> 20} MiB")


if __name__ == "__main__":
    sys.exit(main(lambda: both_ends(patient=True)))
