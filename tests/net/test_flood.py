#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# alone: it saturates every core
"""Floods from spoofed sources as fast as a core can make them, by XDP and by tcx, IPv4 and IPv6.

Every segment is counted, by kind and by listener, as the generator, the kernel's counters and the
device say; state changes are never lost, and what is lost of the segments is counted; an honest
client that connects before, during and after each flood is never called divergent; memory has a
bound, and a minute later nothing is left of it all.
"""

import contextlib
import resource
import sys
from dataclasses import dataclass

from witness import (
    IPV4, IPV6, Daemon, Failure, Lab, case, check, check_equal, endpoint, listener, main,
    wait_until,
)
from witness.ends import PORTS, expect_next_is_judged
from witness.flood import Client, Generator, Service, ask

COUNT = 40_000
FLOWS_MAX = 131_072
CALM_PORT = 7099
LINGER_S = 1.5  # a SYN-ACK comes again after a second
MIBS = ("ListenOverflows", "ListenDrops", "TCPReqQFullDrop", "TCPReqQFullDoCookies",
        "SyncookiesSent", "SyncookiesRecv", "SyncookiesFailed")
# Of the namespace's counters of listeners that ours may leave unexplained: XDP sees batches.
UNEXPLAINED = {"tcx": 0.01, "xdp": 0.1}
# All that a flow takes, and what the daemon may grow by besides: rings and buffers.
FLOW_BYTES, ROOM_BYTES = 600, 64 << 20


@dataclass
class Flood:
    """What comes, and how the listeners that it comes for are set up."""
    kind: str
    cookies: int = 1
    backlog: int = 128
    answer: str = "none"
    is_open: bool = True  # somebody listens on the flooded port
    honest: bool = True  # the honest client goes to the flooded listener, too


FLOODS = {
    "syn, no cookies, backlog 8": Flood("syn", cookies=0, backlog=8, honest=False),
    "syn, no cookies, backlog 1024": Flood("syn", cookies=0, backlog=1024, honest=False),
    "syn, cookies, backlog 8": Flood("syn", backlog=8),
    "syn, cookies, backlog 1024": Flood("syn", backlog=1024),
    "syn, cookies always": Flood("syn", cookies=2),
    "syn, completed": Flood("syn", answer="ack-rst", honest=False),
    "syn, completed by cookies": Flood("syn", cookies=2, answer="ack-rst", honest=False),
    "syn to closed ports": Flood("syn", is_open=False),
    "ack": Flood("ack"),
    "ack to closed ports": Flood("ack", is_open=False),
    "rst": Flood("rst"),
    "fin": Flood("fin"),
    "all at once": Flood("syn,ack,rst,fin", honest=False),
}


def resident(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


class Field:
    """A lab with its daemon, and what lasts from the first flood to the last."""

    def __init__(self, mode, stack, *flags):
        self.mode = mode
        self.lab = stack.enter_context(Lab("flood"))
        self.lab.a.sysctl(tcp_synack_retries=1, tcp_max_syn_backlog=4096)
        self.lab.b.sysctl(ip_local_port_range="10240 32767")
        self.generator = Generator(self.lab)
        self.daemon = stack.enter_context(Daemon(self.lab.a, f"--flows.max={FLOWS_MAX}",
                                                 *flags, device="v0", mode=mode))
        self.resident = resident(self.daemon.process.pid)
        self.calm = listener(self.lab.a, self.lab.ip(self.lab.a, IPV4), CALM_PORT)
        stack.enter_context(contextlib.closing(Service(self.calm)))


@contextlib.contextmanager
def fields():
    with contextlib.ExitStack() as stack:
        yield {mode: Field(mode, stack) for mode in UNEXPLAINED}


class Counts:
    """What daemon, namespaces and device count, now."""

    def __init__(self, field):
        self.metrics = field.daemon.settled(60)
        self.here, self.there = field.lab.a.snmp(), field.lab.b.snmp()
        self.devices = {"here": field.lab.a.device_counters("v0"),
                        "there": field.lab.b.device_counters("v1")}


class Moved:
    """By how much each moved between two Counts."""

    def __init__(self, before, after):
        self.before, self.after = before, after

    def __call__(self, name, **labels):
        return int(self.after.metrics(name, **labels) - self.before.metrics(name, **labels))

    def here(self, *names):
        return sum(self.after.here[name] - self.before.here[name] for name in names)

    def there(self, *names):
        return sum(self.after.there[name] - self.before.there[name] for name in names)

    def missed(self):
        """Runs of tracing programs that the kernel left out, by program."""
        return {have["program"]: int(value) for have, value in
                self.after.metrics.series("program_misses_total") if value}

    def refused(self, side):
        """Frames that the device on that side had no room for, and told so whoever sent them."""
        return (self.after.devices[side]["tx"]["dropped"] -
                self.before.devices[side]["tx"]["dropped"])


def expect_about(what, got, want, less):
    """WANT, or up to LESS less than that."""
    check(want - less <= got <= want, f"{what}: {got}, expected {want}" +
          (f" or up to {less} less" if less else ""))


def expect_segments(moved, flood, report):
    """Every segment that came is counted, by its kind; b's own sockets sent the honest ones, of
    which its device may have refused some."""
    sent, refused = report["sent"], moved.refused("there") - report["refused"]
    resets = report["answers"] // 2 if flood.answer == "ack-rst" else 0
    expect_about("SYNs", moved("received_segments_total", kind="syn"),
                 sent["syn"] + moved.there("ActiveOpens", "TCPSynRetrans"), refused)
    expect_about("RSTs", moved("received_segments_total", kind="rst"),
                 sent["rst"] + resets + moved.there("OutRsts"), refused)
    check_equal("segments received = InSegs", moved("received_segments_total"),
                moved.here("InSegs"))
    # tcp_make_synack() counts a retransmitted SYN-ACK in OutSegs, tcp_rtx_synack() once more
    check_equal("segments sent = OutSegs", moved("sent_segments_total"),
                moved.here("OutSegs", "RetransSegs") - moved.here("TCPSynRetrans"))
    check_equal("RSTs sent = OutRsts", moved("sent_segments_total", kind="rst"),
                moved.here("OutRsts"))


def expect_listeners(moved, names, flood, report, client):
    """Each SYN is some listener's, and had an answer or a reason why not."""
    def total(name, **labels):
        return sum(moved(f"listener_{name}_total", listener=listener_name, **labels)
                   for listener_name in names)
    syns, synacks, again = total("syns"), total("synacks"), total("retransmitted_synacks")
    expect_about("listeners' SYNs", syns, (report["sent"]["syn"] if flood.is_open else 0) +
                 moved.there("ActiveOpens", "TCPSynRetrans"),
                 moved.refused("there") - report["refused"])
    check_equal("handshakes = PassiveOpens",
                total("handshakes") + moved("duplicate_children_total"),
                moved.here("PassiveOpens"))
    check_equal(f"SYN-ACKs sent again, by anyone (misses: {moved.missed()})",
                moved("retransmitted_segments_total", kind="synack"), moved.here("TCPSynRetrans"))
    check_equal("SYN-ACKs sent again", again, moved.here("TCPSynRetrans"))
    expect_about("SYN-ACKs that came back", report["synacks"] + len(client.tuples), synacks,
                 moved.refused("here"))
    # one that the device refuses is not told as sent again
    expect_about("SYNs less drops", syns - sum(total("drops", reason=reason) for reason in (
        "accept_queue_full", "syn_queue_full", "last_quarter", "filtered", "other")),
                 synacks - again, moved.refused("here"))


def expect_explained(moved, mode):
    """Our counters of listeners against the namespace's."""
    left = {mib: moved("listener_drops_unexplained", counter=mib) for mib in MIBS}
    most = UNEXPLAINED[mode] * sum(moved.here(mib) for mib in MIBS)
    check(sum(map(abs, left.values())) <= most, f"unexplained: {left}, at most {most:.0f}")


def expect_records(daemon, moved):
    """State changes are never lost; of the segments' records each is accounted for."""
    check_equal("kernel ring: lost", moved("records_lost_total", ring="kernel"), 0)
    for ring in daemon.rings(moved.after.metrics):
        check_equal(f"{ring}: attempted", moved("records_attempted_total", ring=ring),
                    moved("records_decoded_total", ring=ring) +
                    moved("records_rejected_total", ring=ring) +
                    moved("records_lost_total", ring=ring))
        check_equal(f"{ring}: rejected", moved("records_rejected_total", ring=ring), 0)


def expect_no_problem(daemon, client):
    """On none of the honest client's connections."""
    mine = set(client.tuples)
    check_equal("problems of the honest client", [
        (row["kind"], row["local"], row["remote"]) for row in daemon.problems()
        if row["remote"] in mine], [])


def open_listeners(field, flood, stack):
    """On both addresses of one port; returns the port and their names."""
    port = next(PORTS)
    if not flood.is_open:
        return port, []
    addresses = [field.lab.ip(field.lab.a, family) for family in (IPV4, IPV6)]
    for address in addresses:
        stack.enter_context(contextlib.closing(Service(
            listener(field.lab.a, address, port, flood.backlog))))
    names = [endpoint(address, port) for address in addresses]
    wait_until(lambda: all(field.daemon.metrics().series("listener_syns_total", listener=name)
                           for name in names), "the listeners are not shown")
    return port, names


def flooded(world, mode, name, flood):
    """One flood, with an honest client before, during and after; then everything is compared."""
    field = world[mode]
    lab, daemon = field.lab, field.daemon
    address = lab.ip(lab.a, IPV4)
    with contextlib.ExitStack() as stack:
        wait_until(lambda: daemon.metrics()("sampling_sites") == 0, "it is still sampled")
        lab.a.sysctl(tcp_syncookies=flood.cookies)
        port, names = open_listeners(field, flood, stack)
        to_flooded = flood.is_open and flood.honest
        before = Counts(field)
        client = Client(lab, IPV4, (address, port if to_flooded else CALM_PORT))
        lasting = stack.enter_context(client.connect())
        ask(lasting)
        process = field.generator.start((IPV4, IPV6), port, kind=flood.kind, count=COUNT,
                                        seconds=20, answer=flood.answer, seed=port,
                                        linger=LINGER_S)
        with client:
            report = field.generator.report(process)
            ask(lasting)
        check_equal("errors of the honest client", client.errors, [])
        with client.connect() as last:
            ask(last)
        lasting.close()
        wait_until(lambda: lab.a.in_state(port, "SYN_RECEIVED") == 0, "requests stay", pause=0.2)
        names.append(endpoint(address, CALM_PORT))
        compare(field, name, flood, before, names, report, client)


def tell(field, name, report, moved, client):
    print(f"# {field.mode}: {name}: {report['per_second']} a second, {len(client.tuples)} honest "
          f"connections, {moved('records_lost_total')} of {moved('records_attempted_total')} "
          f"records lost, {moved.after.metrics('flow_table_entries'):.0f} flows, "
          f"{resident(field.daemon.process.pid) / 2**20:.0f} MiB", flush=True)


def compare(field, name, flood, before, names, report, client):
    """What a drop was is told a second or two later, so that is waited for."""
    moved = why = None

    def told():
        nonlocal moved, why
        moved = Moved(before, Counts(field))
        try:
            expect_listeners(moved, names, flood, report, client)
            expect_explained(moved, field.mode)
        except Failure as failure:
            why = failure
            return False
        return True
    try:
        wait_until(told, lambda: str(why), pause=0.2)
    finally:
        tell(field, name, report, moved, client)
    check_equal("missed by the generator", report["missed"], 0)
    expect_segments(moved, flood, report)
    expect_records(field.daemon, moved)
    expect_no_problem(field.daemon, client)


def nothing_stays(world, mode):
    """All requests are gone, and in the end all flows: then it is as at the beginning."""
    field = world[mode]
    daemon = field.daemon
    wait_until(lambda: daemon.metrics()("flow_table_entries") == 0,
               lambda: f"{daemon.metrics()('flow_table_entries'):.0f} flows stay, e.g. "
               f"{list(daemon.connections().values())[:2]}", 120, 0.5)
    now = daemon.settled(60)
    check_equal("divergences open", now("divergences_open"), 0)
    check(resident(daemon.process.pid) - field.resident <
          FLOWS_MAX * FLOW_BYTES + ROOM_BYTES, "memory has no bound")
    expect_next_is_judged(field.lab, daemon)


def sampled_and_back(_, mode):
    """Normal, sampling, normal: told at each step, and every SYN counted all along."""
    with contextlib.ExitStack() as stack:
        field = Field(mode, stack, "--flood.budget=2000")
        lab, daemon = field.lab, field.daemon
        flood = Flood("syn")
        port, names = open_listeners(field, flood, stack)
        check_equal("sites sampled", daemon.metrics()("sampling_sites"), 0)
        process = field.generator.start((IPV4, IPV6), port, kind=flood.kind, count=COUNT,
                                        seconds=20, seed=port)
        try:
            wait_until(lambda: daemon.metrics()("listener_sampling_shift", listener=names[0]) > 0,
                       "nothing is sampled")
            check("degraded: sampling: " in daemon.get("/-/ready"), daemon.get("/-/ready"))
        finally:
            report = field.generator.report(process)
        wait_until(lambda: daemon.metrics()("sampling_sites") == 0, "it is sampled on")
        now = daemon.settled(60)
        check_equal("shift", now("listener_sampling_shift", listener=names[0]), 0)
        check(now("sampling_suppressed_records_total") > 0, "nothing was left out")
        for direction in ("raise", "lower"):
            check(now("sampling_changes_total", direction=direction) > 0, f"no {direction}")
        check_equal("SYNs", sum(now("listener_syns_total", listener=name) for name in names),
                    report["sent"]["syn"])
        expect_next_is_judged(lab, daemon)


for _mode in UNEXPLAINED:
    case(f"sampled, and back {_mode}", _mode)(sampled_and_back)
for _mode in UNEXPLAINED:
    for _name, _flood in FLOODS.items():
        case(f"{_name} {_mode}", _mode, _name, _flood)(flooded)
for _mode in UNEXPLAINED:
    case(f"nothing stays {_mode}", _mode)(nothing_stays)


if __name__ == "__main__":
    sys.exit(main(fields))
