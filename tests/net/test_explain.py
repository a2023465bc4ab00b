#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""`tcpwitness explain`: the story of a real connection, the same from the running daemon, from its
record log and, as far as the wire goes, from a capture."""

import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile

from witness import (
    BINARY, IPV4, IPV6, Daemon, Lab, Pair, RawPeer, case, check, check_equal, doctor,
    listener, main, wait_kernel_state, wait_until,
)
from witness.raw import overflow

PORT = 7300
ETH_P_ALL = 3
PCAP_ETHERNET = struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1)


def explain(*arguments, status=0):
    """What the command prints; on stderr when it fails."""
    done = subprocess.run([BINARY, "explain", *arguments], capture_output=True, text=True,
                          timeout=60, check=False)
    check_equal(f"exit status of explain {' '.join(arguments)} ({done.stderr.strip()})",
                done.returncode, status)
    return done.stderr if status else done.stdout


def rows(table):
    """(client, segment, server, kernel, remark) of each line, from where the columns are."""
    lines = table.splitlines()
    start = next(i for i, line in enumerate(lines) if line.lstrip().startswith("seconds"))
    found = []
    for line in lines[start + 1:]:
        cells = [line[a:b].strip() for a, b in ((0, 11), (13, 25), (26, 64), (65, 77), (79, 91),
                                                (93, None))]
        if cells[1]:
            found.append(tuple(cells[1:]))
    return found


def wire(table):
    """(client, flags, server) of the segments."""
    return [(client, segment.strip("<->").split()[0], server)
            for client, segment, server, _, _ in rows(table) if "seq=" in segment]


# Tables A and B as a tap at the server sees them: a state is reached when the segment that tells
# of it passes.
CLIENT_CLOSES = [
    ("SYN_SENT", "SYN", "LISTEN"), ("SYN_SENT", "SYN,ACK", "SYN_RECEIVED"),
    ("ESTABLISHED", "ACK", "ESTABLISHED"), ("FIN_WAIT_1", "FIN,ACK", "CLOSE_WAIT"),
    ("FIN_WAIT_2", "ACK", "CLOSE_WAIT"), ("FIN_WAIT_2", "FIN,ACK", "LAST_ACK"),
    ("TIME_WAIT", "ACK", "CLOSED"),
]


@contextlib.contextmanager
def captured(space, device, path):
    """What passes the device meanwhile, as a pcap file."""
    with space:
        tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    tap.setsockopt(socket.SOL_SOCKET, 35, 1)  # SO_TIMESTAMPNS
    tap.bind((device, ETH_P_ALL))
    tap.setblocking(False)
    yield
    with open(path, "wb") as file:
        file.write(PCAP_ETHERNET)
        with contextlib.suppress(BlockingIOError):
            while True:
                frame, control, _, _ = tap.recvmsg(65536, 64)
                seconds, ns = struct.unpack("qq", control[0][2])
                file.write(struct.pack("<IIII", seconds, ns // 1000, len(frame), len(frame)))
                file.write(frame)
    tap.close()


@case("the same from daemon, log and capture, IPv6", IPV6)
@case("the same from daemon, log and capture, IPv4", IPV4)
def same_from_everywhere(lab, family):
    with tempfile.TemporaryDirectory() as directory:
        log, capture = os.path.join(directory, "log"), os.path.join(directory, "pcap")
        with Daemon(lab.a, f"--record={log}", device="v0", mode="tcx") as daemon:
            with captured(lab.a, "v0", capture):
                pair = Pair(lab, lab.a, family, PORT)
                pair.client.close()
                wait_kernel_state(pair.server, "CLOSE_WAIT")
                # the delayed ACK of the FIN, so that it does not ride on ours
                address = f"--api.socket={daemon.socket_path}"
                tuple_ = f"{pair.server_at}-{pair.client_at}"
                wait_until(lambda: ("FIN_WAIT_2", "ACK", "CLOSE_WAIT") in
                           wire(explain(address, tuple_)), "the FIN is not acknowledged")
                pair.server.close()
                daemon.wait_event("connection", local=pair.server_at, remote=pair.client_at)
            live = explain(address, tuple_)
            turned = explain(address, f"{pair.client_at}-{pair.server_at}")
            answer = json.loads(explain("--json", address, tuple_))
        check_equal("the other order", turned, live)
        check_equal("the segments", wire(live), CLIENT_CLOSES)
        check_equal("the beginning", rows(live)[0], ("CLOSED", "", "LISTEN", "", ""))
        check_equal("the end", rows(live)[-1],
                    ("TIME_WAIT", "ended: remote_close", "CLOSED", "CLOSE", ""))
        check("kernel: CLOSE_WAIT to LAST_ACK" in live, "the kernel's moves are missing")
        check(f"client {pair.client_at}, server {pair.server_at} (here), from " in live,
              f"the heading is {live.splitlines()[0]!r}")
        check_equal("the record log's table", explain(f"--record={log}", tuple_), live)
        check_equal("the record log's entries",
                    json.loads(explain("--json", f"--record={log}", tuple_))["connections"],
                    answer["connections"])
        check_equal("role, end", [(row["role"], row["how"], row["complete"])
                                  for row in answer["connections"]],
                    [("server", "remote_close", True)])
        local = lab.ip(lab.a, family)
        check_equal("the capture's segments",
                    wire(explain(f"--capture={capture}", f"--local={local}", tuple_)),
                    CLIENT_CLOSES)


@case("a divergence and its rule")
def divergence_with_its_rule(lab):
    with tempfile.TemporaryDirectory() as directory:
        log = os.path.join(directory, "log")
        with Daemon(lab.a, f"--record={log}", device="v0") as daemon:
            address = lab.ip(lab.a, IPV4)
            peer = RawPeer(lab, lab.a, IPV4)
            ports = iter(range(30000, 30100))
            with listener(lab.a, address, PORT + 1, backlog=2):
                refused = overflow(lab.a, PORT + 1, 2,
                                   lambda: peer.connection(next(ports), PORT + 1))
                event = daemon.wait_event("divergence_open", kind="accept_queue_overflow")
                tuple_ = f"{event['local']}-{event['remote']}"
                for talk in refused:
                    talk.send("R")
            daemon.wait_event("connection", local=event["local"], remote=event["remote"])
            peer.close()
            text = explain(f"--api.socket={daemon.socket_path}", tuple_)
        found = [row for row in rows(text) if row[1] == "** accept_queue_overflow **"]
        check_equal("the divergence's line", [row[:4] for row in found],
                    [("ESTABLISHED", "** accept_queue_overflow **", "ESTABLISHED",
                      "NEW_SYN_RECV")])
        notes = {line.split()[0]: line for line in text.splitlines() if line[:26].isspace()}
        check("accept queue had no room" in notes["means"], notes)
        check("accept_queue_full; the views parted at" in notes["evidence"], notes)
        check("why the application does not accept()" in notes["look"], notes)
        reason = "TCP_LISTEN_OVERFLOW" if doctor.has("refusal reason") else "NOT_SPECIFIED"
        check(reason in text, "the dropped ACK is missing")
        # its names are those of the kernel that recorded
        check_equal("the record log's table", explain(f"--record={log}", tuple_), text)


@case("a short history, wrong questions")
def refusals(lab):
    with Daemon(lab.a, "--history.events=6", device="v0") as daemon:
        address = f"--api.socket={daemon.socket_path}"
        pair = Pair(lab, lab.a, IPV4, PORT + 2)
        tuple_ = f"{pair.server_at}-{pair.client_at}"
        wait_until(lambda: ("ESTABLISHED", "ACK", "ESTABLISHED") in wire(explain(address, tuple_)),
                   "not established")
        listed = explain(address, pair.server_at)
        check(listed.startswith(f"{tuple_}  server  from "), f"the list is {listed!r}")
        pair.close()
        daemon.wait_event("connection", local=pair.server_at, remote=pair.client_at)
        text = explain(address, tuple_)
        check("the beginning is missing" in text.splitlines()[0],
              f"nothing is said of the beginning: {text.splitlines()[0]}")
        check_equal("the end of it", rows(text)[-1][1], "ended: remote_close")
        metrics = daemon.metrics()
        check_equal("history_limit", metrics("history_limit"), 6)
        check_equal("history_entries", metrics("history_entries"), 6)
        check(metrics("history_overwritten_total") > 0, "nothing was overwritten")
        unknown = explain(address, "192.0.2.1:1-192.0.2.2:2", status=1)
        check("nothing is known of 192.0.2.1:1-192.0.2.2:2" in unknown, unknown)
        status, _, body = daemon.web("/api/v1/explain?tuple=nonsense")
        check_equal("a bad tuple", status, 400)
        check("ADDR:PORT" in json.loads(body)["error"], body)
        check_equal("a bad format",
                    daemon.web(f"/api/v1/explain?tuple={tuple_}&format=x")[0], 400)
        check_equal("another Host", daemon.web(f"/api/v1/explain?tuple={tuple_}", over_tcp=True,
                                               headers={"Host": "evil.example"})[0], 403)
    check("is not ADDR:PORT" in explain("nonsense", status=2), "a bad tuple was taken")


@case("no history")
def no_history(lab):
    with Daemon(lab.a, "--history.events=0", device="v0") as daemon:
        address = f"--api.socket={daemon.socket_path}"
        pair = Pair(lab, lab.a, IPV4, PORT + 3)
        tuple_ = f"{pair.server_at}-{pair.client_at}"
        wait_until(lambda: (pair.server_at, pair.client_at) in daemon.connections(), "not seen")
        check("nothing of it is left" in explain(address, tuple_), "an open connection's story")
        pair.close()
        daemon.wait_event("connection", local=pair.server_at, remote=pair.client_at)
        check("no history is kept" in explain(address, tuple_, status=1), "a closed one's")


if __name__ == "__main__":
    sys.exit(main(lambda: Lab("explain", patient=True)))
