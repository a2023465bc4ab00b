#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""`tcpwitness divergences`: a full accept queue, listed while it lasts and afterwards, followed as
it opens and closes, with its evidence, its listener and the listener's owner; and what the metrics
say of it."""

import json
import os
import re
import signal
import subprocess
import sys

from witness import (
    BINARY, IPV4, Daemon, Lab, RawPeer, accept, case, check, check_equal, doctor, listener,
    main, wait_until,
)
from witness.raw import overflow
from witness.scene import KINDS

PORT = 7400
KIND = "accept_queue_overflow"


def command(daemon, *arguments, status=0):
    """What it prints; on stderr when it fails."""
    address = [f"--api.socket={daemon.socket_path}"] if daemon else []
    done = subprocess.run([BINARY, "divergences", *address, *arguments], capture_output=True,
                          text=True, timeout=60, check=False)
    check_equal(f"exit status of divergences {' '.join(arguments)} ({done.stderr.strip()})",
                done.returncode, status)
    return done.stderr if status else done.stdout


class Follower:
    """`tcpwitness divergences --follow`, and what it has printed so far."""

    def __init__(self, daemon, *arguments):
        self.path = os.path.join(daemon.directory, f"follow{len(arguments)}")
        with open(self.path, "wb") as out:
            self.process = subprocess.Popen(
                [BINARY, "divergences", "--follow", f"--api.socket={daemon.socket_path}",
                 *arguments], stdout=out, stderr=out)

    def lines(self):
        with open(self.path, encoding="utf-8") as file:
            return file.read().splitlines()

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        check_equal("what ended --follow", self.process.wait(10), -signal.SIGINT)
        return self.lines()


class Overflow:
    """One peer whose final ACK was refused: it believes that it is connected."""

    def __init__(self, lab, port):
        self.peer = RawPeer(lab, lab.a, IPV4)
        self.talks = []
        self.port = port
        self.listener = listener(lab.a, lab.ip(lab.a, IPV4), port, backlog=1)
        self.refused = overflow(lab.a, port, 1, self.talk)[0]
        self.accepted = []

    def talk(self):
        self.talks.append(self.peer.connection(31000 + len(self.talks), self.port))
        return self.talks[-1]

    def heal(self):
        self.accepted = [accept(self.listener) for _ in range(2)]
        self.refused.send("A")
        self.accepted.append(accept(self.listener))

    def end(self):
        for talk in self.talks:
            talk.send("R")
        for sock in (*self.accepted, self.listener):
            sock.close()
        self.peer.close()


def log_lines(daemon):
    """The event log's lines about divergences, as they are."""
    with open(daemon.events_path, encoding="utf-8") as file:
        return [line for line in file.read().splitlines() if '"event":"divergence_' in line]


def check_event(event, scene):
    """All that a line of the log says of it."""
    check_equal("the words", (event["class"], event["severity"], event["reason"]),
                ("problem", "critical", "accept_queue_full"))
    check("the accept queue had no room" in event["text"] and event["look_at"], event)
    check_equal("the listener", event["listener"], scene.refused.kernel_at)
    owner = event["owner"]
    check_equal("the owner", (owner["pid"], owner["command"]),
                (os.getpid(), open("/proc/self/comm", encoding="utf-8").read().strip()))
    check(owner["cgroup_id"] > 0, f"the owner is {owner}")
    evidence = event["evidence"]
    look = evidence["look"]
    check_equal("the look", (look["state"], look["owned"], look["queues"]["accept_limit"]),
                ("NEW_SYN_RECV", False, 1))
    check(look["queues"]["accept_length"] > 1, f"the accept queue was full: {look}")
    check_equal("the drop reason", evidence["drop_reason"],
                "TCP_LISTEN_OVERFLOW" if doctor.has("refusal reason") else "NOT_SPECIFIED")
    check_equal("the segment", (evidence["segment"]["sent"], evidence["segment"]["flags"]),
                (False, "ACK"))


@case("listed, followed, over")
def life(lab):
    with Daemon(lab.a, device="v0") as daemon:
        check_equal("nothing yet", command(daemon),
                    "open now: 0 critical, 0 warning, 0 info; over: 0 kept, 0 forgotten; since=0\n")
        people, machines = Follower(daemon), Follower(daemon, "--json")
        scene = Overflow(lab, PORT)
        opened = daemon.wait_event("divergence_open", kind=KIND)
        check_event(opened, scene)

        heading, row, *details, counts = command(daemon).splitlines()
        check_equal("the heading", heading.split(), [
            "id", "since", "state", "lasted", "kind", "class/severity", "local", "remote",
            "wire|kernel", "reason", "listener"])
        cells = re.split(r" {2,}", row)
        check_equal("the row", cells[:1] + cells[2:3] + cells[4:], [
            str(opened["id"]), "open", KIND, "problem/critical", scene.refused.kernel_at,
            scene.refused.me_at, "ESTABLISHED|NEW_SYN_RECV", "accept_queue_full",
            f"{scene.refused.kernel_at} {opened['owner']['command']}[{os.getpid()}]"])
        check_equal("the details of the only one", [line.split()[0] for line in details][:3],
                    ["means", "look", "segment"])
        check("1 critical, 0 warning, 0 info" in counts, counts)
        check_equal("of another kind", len(command(daemon, "--kind=killed").splitlines()), 1)
        check_equal("of its class", command(daemon, "--class=problem").splitlines()[1].split()[0],
                    str(opened["id"]))
        status = daemon.api("status")
        check_equal("status", status["divergences_open"],
                    {"critical": 1, "warning": 0, "info": 0})
        check("Divergences open now: 1 critical" in daemon.get("/"), "the page does not say so")

        wait_until(lambda: people.lines()[1:], "--follow does not print what opened")
        scene.heal()
        closed = daemon.wait_event("divergence_close", kind=KIND)
        check_equal("one number", closed["id"], opened["id"])
        check_equal("how it ended", closed["explained_as"], None)
        over = command(daemon)
        check_equal("nothing is open", len(over.splitlines()), 1)
        check("over: 1 kept, 0 forgotten" in over, over)
        row = re.split(r" {2,}", command(daemon, "--all").splitlines()[1])
        check_equal("the row of what is over", (row[0], row[2], row[4]),
                    (str(opened["id"]), "over", KIND))
        check_equal("the lines, as logged", command(daemon, "--json", "--all").splitlines(),
                    log_lines(daemon))
        wait_until(lambda: len(machines.lines()) == 2, lambda: f"followed: {machines.lines()}")
        check_equal("the lines, followed", machines.stop(), log_lines(daemon))
        rows = wait_until(lambda: people.lines()[2:] and people.lines(),
                          lambda: f"followed: {people.lines()}")
        people.stop()
        metrics = daemon.metrics()
        check_equal("its duration is counted",
                    metrics("divergence_duration_seconds_count", kind=KIND), 1)
        check_equal("the rows, followed", [line.split()[2] for line in rows],
                    ["state", "open", "over"])
        scene.end()


@case("questions")
def questions(lab):
    with Daemon(lab.a, device="v0") as daemon:
        scene = Overflow(lab, PORT + 1)
        opened = daemon.wait_event("divergence_open", kind=KIND)
        answer = daemon.api("divergences")
        check_equal("one is open", [row["id"] for row in answer["divergences"]], [opened["id"]])
        check_equal("the evidence", answer["divergences"][0]["evidence"], opened["evidence"])
        check_equal("nothing since", daemon.api(f"divergences?since={answer['last']}&state=all")
                    ["divergences"], [])
        scene.heal()
        daemon.wait_event("divergence_close", kind=KIND)
        news = daemon.api(f"divergences?since={answer['last']}&state=all")
        check_equal("its end since", [(row["id"], row["closed"] is None)
                                      for row in news["divergences"]], [(opened["id"], False)])
        for question in ("state=shut", "kind=nonsense", "class=x", "since=x", "limit=0",
                         "format=xml", "details=2"):
            status, _, body = daemon.web(f"/api/v1/divergences?{question}")
            check_equal(question, status, 400)
            check(json.loads(body)["error"].startswith(question.split("=", 1)[0]), body)
        check_equal("another Host", daemon.web("/api/v1/divergences", over_tcp=True,
                                               headers={"Host": "evil.example"})[0], 403)
        check("is none" in command(daemon, "--kind=nonsense", status=2), "a bad kind was taken")
        check("problem or expected" in command(daemon, "--class=x", status=2), "a bad class")
        scene.end()


@case("the words")
def words(_lab):
    text = command(None, "--kinds")
    for kind, (_, severity) in KINDS.items():
        check(re.search(rf"^  {kind} +{severity}$", text, re.M), f"{kind} is not explained")


@case("no daemon")
def no_daemon(_lab):
    check("no daemon answers at /nonexistent" in
          command(None, "--api.socket=/nonexistent/api.sock", status=1), "it says nothing")


if __name__ == "__main__":
    sys.exit(main(lambda: Lab("divergences")))
