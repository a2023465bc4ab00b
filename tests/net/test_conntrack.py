#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 600
"""Netfilter's connection tracking, as a second opinion: its events of every live scenario come in
the order that the wire's view of the same connection implies.

Runs the cases of those two tests with `conntrack -E` beside each daemon, adds three of its own,
and compares afterwards. WIRE says what conntrack must have called each step of a path, KNOWN is
the whole list of where the two may differ. Anything else is a failure.
"""

import contextlib
import os
import shutil
import socket
import sys
from collections import Counter

import test_lifecycle  # registers its cases
import test_resets  # the same
from witness import (
    Daemon, Lab, RawPeer, accept, case, check, check_equal, close_rst, listener, main,
    wait_kernel_state, wait_until,
)
from witness.conntrack import Conntrack
from witness.ends import (
    PORTS, World, both_ways, each_end, inner, raw_server_side, space_of, watched_pair,
)
from witness.runner import SKIP_ALL

# conntrack's states are those of the connection, in the middle, after the segment it saw last
# (linux net/netfilter/nf_conntrack_proto_tcp.c:tcp_conntracks); a life goes through them in this
# order and never back. By the RFC's names, but not with its meaning: FIN_WAIT is "a FIN was seen,
# whosever it is", CLOSE_WAIT "an ACK after it", LAST_ACK "the other FIN", TIME_WAIT "its ACK".
RISING = ["SYN_SENT", "SYN_SENT2", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK",
          "TIME_WAIT", "CLOSE"]

# A step of one end, from our path: the segment that it was the effect of, by conntrack's name.
# What of tcp_conntracks' cells says so stands beside it, as [segment][state before].
WIRE = {
    (None, "SYN_SENT"): ["SYN_SENT"],  # the SYN: [syn][NONE]
    # The peer's SYN crosses ours, [syn, reply][SYN_SENT], and is answered, [synack][SYN_SENT2].
    ("SYN_SENT", "SYN_RECEIVED"): ["SYN_SENT2", "SYN_RECV"],
    (None, "SYN_RECEIVED"): ["SYN_RECV"],  # entered by sending the SYN-ACK: [synack][SYN_SENT]
    ("SYN_SENT", "ESTABLISHED"): ["SYN_RECV"],  # the SYN-ACK arrives: the same segment
    ("SYN_RECEIVED", "ESTABLISHED"): ["ESTABLISHED"],  # the ACK of our SYN: [ack][SYN_RECV]
    ("ESTABLISHED", "FIN_WAIT_1"): ["FIN_WAIT"],  # the first FIN, ours: [fin][ESTABLISHED]
    ("ESTABLISHED", "CLOSE_WAIT"): ["FIN_WAIT"],  # the first FIN, the peer's: the same
    ("FIN_WAIT_1", "FIN_WAIT_2"): ["CLOSE_WAIT"],  # the ACK of it: [ack][FIN_WAIT]
    ("CLOSE_WAIT", "LAST_ACK"): ["LAST_ACK"],  # the second FIN, ours: [fin][CLOSE_WAIT]
    ("FIN_WAIT_2", "TIME_WAIT"): ["LAST_ACK"],  # the second FIN, the peer's: the same
    ("FIN_WAIT_1", "CLOSING"): ["LAST_ACK"],  # two FINs, no ACK between them: [fin][FIN_WAIT]
    ("CLOSING", "TIME_WAIT"): ["TIME_WAIT"],  # the ACK of a FIN after both: [ack][LAST_ACK]
    ("LAST_ACK", "CLOSED"): ["TIME_WAIT"],  # the same
    ("TIME_WAIT", "CLOSED"): [],  # 2 MSL: a timer of the end's own, conntrack has another
}
# [rst][any]; and no other segment closes an end that has neither both FINs nor their ACKs.
RESET = ["CLOSE"]
BY_RESET = {"local_reset", "remote_reset", "refused", "killed"}


def translated(path, reset):
    """One end's path by conntrack's names."""
    steps = [state for state in path if state != "LISTEN"]
    if steps[:1] == ["CLOSED"]:  # where it came from, or, alone, where a refusal comes from
        steps = steps[1:]
    names, before = [], None
    for state in steps:
        if state == "CLOSED" and (reset or (before, state) not in WIRE):
            names += RESET
        else:
            check((before, state) in WIRE, f"no such step: {before} to {state} in {path}")
            names += WIRE[(before, state)]
        before = state
    check(names == sorted(names, key=RISING.index), f"{path} goes back: {names}")
    return names


# What an end sends without a step of its own. The local end's path, beside which we sit, tells all
# the rest, so it is held to that alone, too: merged, one path might hide what the other lacks.
MUTE = (
    ("SYN_SENT", "ESTABLISHED"),  # the ACK of the SYN-ACK: it is ESTABLISHED by what it answers
    ("CLOSE_WAIT", "CLOSE_WAIT"),  # the ACK of the first FIN
    ("FIN_WAIT_1", "TIME_WAIT"),  # the ACK of the second FIN
)
LISTENS = "SYN_SENT"  # what comes to LISTEN moves nothing before it is answered


def local_share(event, names):
    """NAMES without those of segments that the local end took no step by."""
    path = event["local_path"]
    mute = {name for state, name in MUTE if state in path}
    if "SYN_SENT" not in path:
        mute.add(LISTENS)
    if "SYN_RECEIVED" in path:
        mute.discard("ESTABLISHED")  # by the ACK of its own SYN, crossed or not
    return [name for name in names if name not in mute]


def is_reset(event):
    # RFC 1337: how the connection ended was settled before, and so was the far end's LAST_ACK
    return event["ended"] in BY_RESET or "time_wait_assassinated" in event["anomalies"]


def wire_view(event):
    """Both paths of a connection as one, as a middlebox would name it. Each end saw some of the
    segments in their order; a life never goes back in RISING, so that order merges them."""
    names = {*translated(event["local_path"], is_reset(event)),
             *translated(event["remote_path"], event["ended"] in BY_RESET)}
    return sorted(names, key=RISING.index)


# -- the known differences


def as_it_is(_event, names):
    return names


def one_segment(event, names):
    """A segment is one event to conntrack, and its FIN counts before its ACK (get_conntrack_index):
    a FIN that brings the first ACK of the other FIN leads from FIN_WAIT to LAST_ACK. To the RFC it
    is two steps, FIN_WAIT_2 by the ACK (§3.10.7.4, 5th), then TIME_WAIT by the FIN (8th)."""
    if "LAST_ACK" in names:
        return [name for name in names if name != "CLOSE_WAIT"]
    return names


def fin_beyond_window(event, names):
    """A FIN beyond the window is nothing to conntrack (tcp_in_window). Live the window is not
    known: the peer is believed to have sent it, though the local end never took it in."""
    if inner(event["remote_path"])[-1:] == ["FIN_WAIT_1"] and \
            inner(event["local_path"])[-1:] == ["ESTABLISHED"]:
        return [name for name in names if name != "FIN_WAIT"]
    return names


def ack_on_data(event, names):
    """Live, segments with data are counted, not recorded. When what we sent acknowledges the
    peer's FIN with data only, and a RST comes next, its path has no FIN_WAIT_2."""
    if inner(event["remote_path"])[-1:] == ["FIN_WAIT_1"] and \
            inner(event["local_path"])[-1:] == ["CLOSE_WAIT"]:
        return sorted({*names, "CLOSE_WAIT"}, key=RISING.index)
    return names


KNOWN = (one_segment, fin_beyond_window, ack_on_data)


def refused_here(life):
    """A SYN to a closed port: an entry to conntrack, which the RST destroys at once (tcp_packet,
    no IPS_SEEN_REPLY). To us it is a stray segment, counted, of no connection."""
    return life.states == ["SYN_SENT", "CLOSE"]


# -- the comparison


class Opinions:
    """What was found, of one space; `used` counts each known difference by its name."""

    def __init__(self, space, daemon, track):
        self.wrong, self.used, self.same, self.compared = [], Counter(), 0, 0
        told = {}
        for event in daemon.find("connection"):
            told.setdefault((event["local"], event["remote"]), []).append(event)
        for (local, remote), events in told.items():
            lives = track.lives(local, remote)
            if len(events) != len(lives):
                self._say(space, local, remote,
                          f"{len(events)} lives, conntrack {[life.states for life in lives]}")
            for event, life in zip(events, lives):
                for why in self._compare(event, life):
                    self._say(space, local, remote, why)
        for life in track.all():
            if (life.opener, life.answerer) in told or (life.answerer, life.opener) in told:
                continue
            if refused_here(life):
                self.used[refused_here.__name__] += 1
            else:
                self._say(space, life.answerer, life.opener, f"only conntrack has {life.states}")

    def _say(self, space, local, remote, why):
        self.wrong.append(f"{space.name} {local} {remote}: {why}")

    def _compare(self, event, life):
        self.compared += 1
        opener = {"client": event["local"], "server": event["remote"]}.get(event["role"])
        if life.opener != opener:
            yield f"role {event['role']}, but conntrack says {life.opener} opened"
        names = wire_view(event)
        local = translated(event["local_path"], is_reset(event))
        share = local_share(event, life.states)
        if share not in [local_share(event, known(event, local)) for known in (as_it_is, *KNOWN)]:
            yield f"conntrack {share}, but {local} of the local path {event['local_path']}"
        if life.states == names:
            self.same += 1
            return
        for known in KNOWN:
            if life.states == known(event, names):
                self.used[known.__name__] += 1
                return
        yield (f"conntrack {life.states}, wire {names} of {event['local_path']} and "
               f"{event['remote_path']}, {event['ended']}, anomalies {event['anomalies']}")


# -- scenarios of its own, with what conntrack must say of them word by word

OPEN = ["SYN_SENT", "SYN_RECV", "ESTABLISHED"]


def expect_states(world, space, local, remote, *want, known=as_it_is):
    """conntrack's lives of a connection; and by wire_view(), but for one difference, ours."""
    def events():
        return world.daemon(space).find("connection", local=local, remote=remote)

    def lives():
        return [life.states for life in world.tracks[space].lives(local, remote)]
    wait_until(lambda: len(events()) == len(want), lambda: f"our lives: {events()}")
    wait_until(lambda: lives() == list(want), lambda: f"conntrack: {lives()}, not {want}")
    check_equal("the wire's view", [known(event, wire_view(event)) for event in events()],
                list(want))


@each_end
def fins_and_acks_apart(world, end, family):
    """Four segments: none of conntrack's states is left out."""
    with raw_server_side(world, end, family) as (sock, talk, space):
        talk.send("FA")
        talk.expect("A")
        wait_kernel_state(sock, "CLOSE_WAIT")
        sock.close()
        talk.expect("FA")
        talk.send("A")
        expect_states(world, space, talk.kernel_at, talk.me_at,
                      [*OPEN, "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT"])


@both_ways
def half_close_then_abort(world, server, family):
    """The client's FIN, data the other way, which it must acknowledge, then the server's RST."""
    with watched_pair(world, server, family) as (pair, _, _):
        pair.client.shutdown(socket.SHUT_WR)
        check_equal("read by the server", pair.server.recv(1), b"")
        pair.server.sendall(b"still")
        check_equal("read by the client", pair.client.recv(10), b"still")
        close_rst(pair.server)
        wait_kernel_state(pair.client, "CLOSED")
    want = [*OPEN, "FIN_WAIT", "CLOSE_WAIT", "CLOSE"]
    expect_states(world, pair.client_space, pair.client_at, pair.server_at, want)
    expect_states(world, pair.server_space, pair.server_at, pair.client_at, want,
                  known=ack_on_data)


@each_end
def tuple_reused_after_reset(world, end, family):
    """[syn][CLOSE]: an entry that a RST closed is killed by the opener's next SYN."""
    space, port = space_of(world, end), next(PORTS)
    peer = RawPeer(world.lab, space, family)
    listening = listener(space, world.lab.ip(space, family), port)
    try:
        for _ in range(2):
            talk = peer.connection(20000 + port, port)
            talk.open()
            sock = accept(listening)
            talk.send("R")
            wait_kernel_state(sock, "CLOSED")
            sock.close()
    finally:
        listening.close()
        peer.close()
    expect_states(world, space, talk.kernel_at, talk.me_at, *[[*OPEN, "CLOSE"]] * 2)


@case("conntrack tells the same in the same order")
def opinions_agree(world):
    def ask():
        world.opinions = [Opinions(space, world.daemon(space), track)
                          for space, track in world.tracks.items()]
        return not any(found.wrong for found in world.opinions)

    def why():
        wrong = [text for found in world.opinions for text in found.wrong]
        for text in wrong:
            print("#", text)
        return f"{len(wrong)} differences, the first: {wrong[0]}"
    wait_until(ask, why)
    for space, track in world.tracks.items():
        check_equal(f"events lost in {space.name}", track.lost(), 0)
    for found, space in zip(world.opinions, world.tracks):
        print(f"# {space.name}: {found.compared} connections, {found.same} without any difference, "
              f"known ones: {dict(found.used)}")
        check(found.compared, "nothing was compared")
        check(found.same > found.compared // 2, "the exception is the rule")


@case("each known difference was met")
def known_differences_met(world):
    used = sum((found.used for found in world.opinions), Counter())
    for known in (*KNOWN, refused_here):
        check(used[known.__name__], f"{known.__name__} is no difference")


@contextlib.contextmanager
def tracked_ends():
    with contextlib.ExitStack() as stack:
        lab = stack.enter_context(Lab("conntrack", patient=True))
        tracks = {}
        for space in (lab.a, lab.b):
            tracks[space] = Conntrack(space)
            stack.callback(tracks[space].stop)
        world = World(lab, stack.enter_context(Daemon(lab.a, device="v0", mode="xdp")),
                      stack.enter_context(Daemon(lab.b, device="v1", mode="tcx")))
        world.tracks = tracks
        yield world


def missing():
    """What this machine lacks for it."""
    for tool in ("conntrack", "nft"):
        if not shutil.which(tool):
            return f"{tool} is not installed"
    if not os.path.exists("/proc/sys/net/netfilter/nf_conntrack_events"):
        return "this kernel has no nf_conntrack, or none that tells events"
    return None


if __name__ == "__main__":
    if "--list" not in sys.argv and (reason := missing()):
        print(f"skip all {reason}")
        sys.exit(SKIP_ALL)
    sys.exit(main(tracked_ends))
