#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# How fast `tcpwitness replay` reads a capture: whole connections of ten segments, timestamps on. Of
# CPU time, the kernel's reading of the file included.
set -euo pipefail

packets=${PACKETS:-2000000}
capture=$(mktemp /tmp/tcpwitness-bench-XXXXXX)
trap 'rm -f "$capture" "$capture.told"' EXIT

python3 - "$capture" "$packets" <<'PYTHON'
import struct, sys

path, packets = sys.argv[1], int(sys.argv[2])
S, A, F = 2, 16, 1
LIFE = ((0, S, 100, 0, 0), (1, S | A, 500, 101, 0), (0, A, 101, 501, 0), (0, A, 101, 501, 300),
        (1, A, 501, 401, 0), (1, A, 501, 401, 1000), (1, F | A, 1501, 401, 0),
        (0, A, 401, 1502, 0), (0, F | A, 401, 1502, 0), (1, A, 1502, 402, 0))
ends = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))
with open(path, "wb") as file:
    file.write(struct.pack("=IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 80, 101))
    for life in range(packets // 10):
        port, now = 1024 + life % 60000, 1_700_000_000_000_000_000 + life * 100_000
        now += life // 60000 * 130_000_000_000  # a port comes back when nobody remembers it
        for step, (server, flags, seq, ack, size) in enumerate(LIFE):
            ports = (443, port) if server else (port, 443)
            packet = struct.pack("!BBHIBBH4s4s", 0x45, 0, 52 + size, 0x4000, 64, 6, 0, ends[server],
                                 ends[not server]) + struct.pack(
                "!HHIIBBHIIII", *ports, seq, ack, 0x80, flags, 64240, 0, 0x0101080A, 1000, 2000)
            at = now + step * 1000
            file.write(struct.pack("=IIII", at // 10**9, at % 10**9, 52, 52 + size) + packet)
PYTHON

export TIMEFORMAT='%3U %3S'
spent=$({ time "${O:-.output}/tcpwitness" replay "$capture" 2>/dev/null >"$capture.told"; } 2>&1)
[ "$(wc -l <"$capture.told")" -eq $((packets / 10)) ]
awk -v packets="$packets" -v spent="$spent" 'BEGIN {
	split(spent, part)
	seconds = part[1] + part[2]
	printf "{\"bench\":\"replay_capture\",\"packets\":%d,\"seconds\":%.3f,", packets, seconds
	printf "\"packets_per_second\":%d}\n", packets / seconds
}'
