#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Every query of every panel of dashboards/grafana, asked of a Prometheus that scraped a daemon
with real traffic: each returns numbers, and more than zeros where there was something to see.

With DASHBOARDS_KEEP=FILE in the environment the answers go there too, for whoever wants to draw
them.
"""

import contextlib
import json
import math
import os
import shutil
import socket
import sys
import time

from witness import (
    IPV4, Daemon, Lab, RawPeer, Skip, accept, case, check, check_equal, client_of, close_rst,
    listener, main, wait_until,
)
from witness.daemon import ROOT, WEB_PORT
from witness.load import connload
from witness.prometheus import Prometheus

BOARDS = os.path.join(ROOT, "dashboards/grafana")
# what Grafana puts in the place of its variables when all is chosen, and a scrape is a second
VARIABLES = {"$__rate_interval": "5s", "$__range": "60s", "$job": ".+", "$instance": ".+",
             "$netns": ".*", "$listener": ".+"}
# panels that should be zero where nothing is wrong, or without kernel.bpf_stats_enabled
ZERO = {"Programs not attached", "Records lost", "Stuck connections", "CPU of the BPF programs",
        "Unexplained drops", "Not judged", "Flood suspected"}
LISTENERS = ((7201, 2, ()), (7202, 4, ()),
             (7203, 16, [(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 30)]), (7204, 64, ()))
KEEP = os.environ.get("DASHBOARDS_KEEP")


class World:
    def __init__(self, lab, daemon, prometheus):
        self.lab, self.daemon, self.prometheus = lab, daemon, prometheus
        self.since = time.time()
        self.kept = {}

    def ask(self, expression):
        """[(labels, [(time, value)])] of the time of the traffic."""
        for name, value in VARIABLES.items():
            expression = expression.replace(name, value)
        check("$" not in expression, f"a variable is left: {expression}")
        return self.prometheus.query_range(expression, self.since, time.time())


def overflow(lab, address, _):
    """A queue of two, with more clients than it holds."""
    return [client_of(lab.b, IPV4, (address, 7201), timeout=0) for _ in range(8)]


def cookies(lab, *_):
    """SYNs beyond a SYN queue of four."""
    peer = RawPeer(lab, lab.a, IPV4)
    for number in range(40):
        peer.connection(30000 + number, 7202).send("S")
    for _ in range(3):
        peer.connection(30100, 7202).send("R")
    return [peer]


def deferred(lab, address, _):
    """Clients that say nothing."""
    return [client_of(lab.b, IPV4, (address, 7203)) for _ in range(3)]


def odd_ends(lab, address, sock):
    """Resets both ways, a refused connect(), resets out of window."""
    for ours in (True, False) * 5:
        client = client_of(lab.b, IPV4, (address, 7204))
        ends = [accept(sock), client]
        close_rst(ends.pop(0 if ours else 1))
        ends[0].close()
    with contextlib.suppress(ConnectionRefusedError):
        client_of(lab.a, IPV4, (lab.ip(lab.b, IPV4), 7999))
    peer = RawPeer(lab, lab.a, IPV4)
    talk = peer.connection(31000, 7204)
    talk.open()
    for _ in range(3):
        talk.send("R", seq=talk.seq + (1 << 20))
    return [peer]


@contextlib.contextmanager
def world():
    if not shutil.which("prometheus"):
        raise Skip("prometheus is not installed")
    with contextlib.ExitStack() as stack:
        lab = stack.enter_context(Lab("boards"))
        daemon = stack.enter_context(Daemon(lab.a))
        prometheus = stack.enter_context(Prometheus(lab.a, {"tcpwitness": WEB_PORT}))
        prometheus.wait_scraped()
        state = World(lab, daemon, prometheus)
        address = lab.ip(lab.a, IPV4)
        listeners = [listener(lab.a, address, port, backlog, options)
                     for port, backlog, options in LISTENERS]
        for sock in listeners:
            stack.callback(sock.close)
        # what is counted before the first scrape is no increase
        wait_until(lambda: len(prometheus.query(
            'tcpwitness_listener_syns_total{listener=~".*:72.."}')) == len(LISTENERS),
            "the listeners are not scraped")
        for make in (overflow, cookies, deferred, odd_ends):
            for thing in make(lab, address, listeners[-1]):
                stack.callback(thing.close)
        for mode in ("client", "server", "client-rst"):
            connload(lab.b, lab.a, address, mode, 2000, rate=1000, quiet=True)
        connload(lab.a, lab.b, lab.ip(lab.b, IPV4), "half", 1000, rate=1000, quiet=True)
        yield state
        if KEEP:
            with open(KEEP, "w", encoding="utf-8") as file:
                json.dump(state.kept, file)


def panels():
    for name in sorted(os.listdir(BOARDS)):
        with open(os.path.join(BOARDS, name), encoding="utf-8") as file:
            board = json.load(file)
        for panel in board["panels"]:
            if panel["type"] != "row":
                yield name.removesuffix(".json"), panel


@case("the variables have values")
def variables(state):
    for name in ("job", "instance", "netns"):
        check(state.prometheus.ask(f"label/{name}/values", **{"match[]": "tcpwitness_connections"}),
              f"${name} has no values")
    check(state.prometheus.ask("label/listener/values", **{
        "match[]": "tcpwitness_listener_syns_total"}), "$listener has no values")


def panel_has_data(state, board, panel):
    def numbers():
        answers = [state.ask(target["expr"]) for target in panel["targets"]]
        state.kept[f"{board}/{panel['title']}"] = answers
        finite = [[value for _, samples in answer for _, value in samples
                   if math.isfinite(value)] for answer in answers]
        return (finite if all(finite) and (panel["title"] in ZERO or any(
            value for values in finite for value in values)) else None)
    wait_until(numbers, lambda: f"no data, or nothing but zeros: "
               f"{[target['expr'] for target in panel['targets']]}", pause=0.5)
    if panel["title"] in ("Records lost", "Programs not attached"):
        check_equal(panel["title"], {value for values in numbers() for value in values}, {0.0})


for _board, _panel in panels():
    case(f"{_board}: {_panel['title']}", _board, _panel)(panel_has_data)


@case("what was provoked is what the boards show")
def provoked(state):
    """A few panels by their values: a query that answers is not yet the right one."""
    refused = state.ask('max_over_time(sum by (listener) (rate(tcpwitness_listener_drops_total{'
                        'reason!~"filtered|cookie_invalid"}[5s]))[60s:1s]) > 0')
    check_equal("listeners that refused", sorted(row["listener"].rsplit(":", 1)[1]
                                                 for row, _ in refused), ["7201"])


if __name__ == "__main__":
    sys.exit(main(world))
