# SPDX-License-Identifier: GPL-2.0-only
"""The daemon's raw record log (`run --record FILE`), read while it is written.

A second reader of include/record.h and daemon/capture/recordlog.c, so that what the tests assert
is what BPF wrote, and not what the daemon made of it.
"""

import errno
import socket
import struct
import threading
from collections import namedtuple

from .runner import Failure

MAGIC = b"tcpwlog\n"
VERSION = 1
HEAD = struct.Struct("=8sIHHIIq")
REASON_BYTES, REASONS = 48, 256
FRAME = struct.Struct("=II")
RECORD = struct.Struct("=BBHIQ")
SNAPSHOT = "QBBBxI4I"
IPV6, SENT = 1, 2
QUEUES = 0x04  # the snapshot's union holds the listener's queues

KERNEL_STATES = ("-", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT",
                 "CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING", "NEW_SYN_RECV")
LETTERS = (("F", 0x01), ("S", 0x02), ("R", 0x04), ("A", 0x10))

# what stands in the log: who, and what as one line; `full` tells a listener's queues as well
Record = namedtuple("Record", "ns local local_port remote remote_port text full")


def _flags(bits, payload):
    return "".join(letter for letter, bit in LETTERS if bits & bit) + ("+" if payload else "")


def _way(flags):
    return ">" if flags & SENT else "<"


def _segment(_, flags, fields):
    (_, state, substate, bits, _, *union), (_, local, remote, _, _, payload), tcp = (
        fields[:9], fields[9:15], fields[21])
    found = KERNEL_STATES[state] + ("/" + KERNEL_STATES[substate] if substate else "")
    text = f"{_way(flags)} {_flags(tcp, payload)} {found}"
    # accept queue, its limit, SYN queue
    return local, remote, text, text + (" {}/{} {}".format(*union[:3]) if bits & QUEUES else "")


def _drop(log, flags, fields):
    _, reason, local, remote, _, _, payload, tcp, _ = fields
    text = f"drop {_way(flags)} {_flags(tcp, payload)} {log.reasons[reason]}"
    return local, remote, text, text


def _retransmit(_log, _flags_, fields):
    _, local, remote, _, state, tcp = fields
    text = f"again {_flags(tcp, 0)} {KERNEL_STATES[state]}"
    return local, remote, text, text


def _reset(_, flags, fields):
    _, _, local, remote, state = fields
    text = f"reset {_way(flags)} {KERNEL_STATES[state]}"
    return local, remote, text, text


def _state(_log, _flags_, fields):
    *_, local, remote, error, old, new, _, _ = fields
    text = f"{KERNEL_STATES[old]}>{KERNEL_STATES[new]}"
    text += f" {errno.errorcode[error]}" if error else ""
    return local, remote, text, text


def _listen(_log, _flags_, fields):
    *_, limit, local, _ = fields
    text = f"listen {limit}"
    return local, 0, text, text


# by type: the fields behind the header, and what becomes of them
TYPES = {
    1: (struct.Struct("=" + SNAPSHOT + "IHHIIIIIHHHHBBBBB7x"), _segment),
    2: (struct.Struct("=IIHHIIIBB6x"), _drop),
    3: (struct.Struct("=QHHBBBx"), _retransmit),
    4: (struct.Struct("=QIHHB7x"), _reset),
    5: (struct.Struct("=QIIIIHHHBBBB6x"), _state),
    6: (struct.Struct("=QQIIH6x16s"), _listen),
}


class RecordLog:
    """The ring records of a log so far, in the daemon's order. Several threads may ask."""

    def __init__(self, path):
        self._file = open(path, "rb")
        self._rest = b""
        self._records = []
        self._lock = threading.Lock()
        self.reasons = ()

    def close(self):
        self._file.close()

    def records(self):
        with self._lock:
            self._rest += self._file.read()
            self._parse()
            return self._records[:]

    def _parse(self):
        at = 0
        if not self.reasons:
            at = HEAD.size + REASONS * REASON_BYTES
            if len(self._rest) < at:
                return
            magic, _, version, record_version, *_ = HEAD.unpack_from(self._rest)
            if (magic, version, record_version) != (MAGIC, VERSION, VERSION):
                raise Failure(f"record log {magic} {version} {record_version}")
            self.reasons = tuple(
                self._rest[start:start + REASON_BYTES].rstrip(b"\0").decode()
                for start in range(HEAD.size, at, REASON_BYTES))
        while len(self._rest) - at >= FRAME.size:
            size, _ = FRAME.unpack_from(self._rest, at)
            end = at + FRAME.size + (size + 7) // 8 * 8
            if end > len(self._rest):
                break
            self._take(self._rest[at + FRAME.size:at + FRAME.size + size])
            at = end
        self._rest = self._rest[at:]

    def _take(self, data):
        kind, _, flags, _, ns = RECORD.unpack_from(data)
        if kind not in TYPES:
            return  # the daemon's own: looks, sweeps, ticks
        fields, text_of = TYPES[kind]
        local_port, remote_port, text, full = text_of(
            self, flags, fields.unpack_from(data, RECORD.size))
        size, family = (16, socket.AF_INET6) if flags & IPV6 else (4, socket.AF_INET)
        if len(data) != RECORD.size + fields.size + 2 * size:
            raise Failure(f"a record of type {kind} has {len(data)} bytes")
        local, remote = (socket.inet_ntop(family, part)
                         for part in (data[-2 * size:-size], data[-size:]))
        self._records.append(Record(ns, local, local_port, remote, remote_port, text, full))

