#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 300
"""Interfaces under a running daemon: they flap, change MTU, name and namespace, are deleted and made
again, become bridge ports, come and go by the dozen; and two of them see the same segments. What
hangs where follows, connections go on, nothing leaks and nobody shouts."""

import contextlib
import json
import os
import sys

from witness import (
    IPV4, Daemon, Lab, Pair, attached, case, check, check_equal, client_of, accept, endpoint,
    listener, local_of, main, remote_of, wait_kernel_state, wait_until,
)

MODES = ("tcx", "xdp")  # where there is no tcx, clsact


def watched(daemon):
    return {have["interface"] for have, _ in daemon.metrics().series("interface_info")}


def wait_for(daemon, present=(), absent=()):
    wait_until(lambda: set(present) <= watched(daemon) and not set(absent) & watched(daemon),
               lambda: f"watched: {watched(daemon)}, wanted {present}, not {absent}; "
               f"{daemon.log()[-400:]}")


def links_of(daemon):
    """BPF links that the daemon holds: a leak would show."""
    directory = f"/proc/{daemon.process.pid}/fd"
    count = 0
    for name in os.listdir(directory):
        with contextlib.suppress(FileNotFoundError):
            count += "bpf_link" in os.readlink(f"{directory}/{name}")
    return count


def complaints(daemon):
    return [line for line in daemon.log().splitlines() if "error:" in line]


def close_and_check(daemon, pair, observable=True):
    """Ends the connection by its server's FIN, and a's end has a whole story."""
    here, there = local_of(pair.server), remote_of(pair.server)
    pair.client.close()
    wait_kernel_state(pair.server, "CLOSE_WAIT")
    pair.server.close()
    event = daemon.wait_event("connection", local=here, remote=there)
    check_equal("observable, anomalies, divergences",
                (event["observable"], event["anomalies"], event["divergences"]),
                (observable, [], []))


def talk(pair):
    pair.client.sendall(b"still there")
    check_equal("octets", pair.server.recv(100), b"still there")


@contextlib.contextmanager
def lab_with_daemon(mode, *flags, device=None):
    with Lab("live", patient=True) as lab, Daemon(lab.a, *flags, mode=mode, device=device) as daemon:
        yield lab, daemon
        check_equal("complaints", complaints(daemon), [])
        check_equal("divergences", daemon.find("divergence_open"), [])


def flap(mode):
    with lab_with_daemon(mode) as (lab, daemon):
        links = links_of(daemon)
        pair = Pair(lab, lab.a, IPV4, 7800)
        for _ in range(3):
            lab.a.run("ip", "link", "set", "v0", "down")
            lab.a.run("ip", "link", "set", "v0", "up")
        lab.wait_up()
        talk(pair)
        lab.a.run("ip", "link", "set", "v0", "mtu", "1400")
        talk(pair)
        lab.a.run("ip", "link", "set", "v0", "mtu", "9000")
        lab.b.run("ip", "link", "set", "v1", "mtu", "9000")
        pair.client.sendall(bytes(100000))
        left = 100000
        while left:
            left -= len(pair.server.recv(left))
        close_and_check(daemon, pair)
        check_equal("links", links_of(daemon), links)


def renamed(mode):
    with lab_with_daemon(mode) as (lab, daemon):
        links = links_of(daemon)
        pair = Pair(lab, lab.a, IPV4, 7801)
        before = daemon.settled()
        lab.a.run("ip", "link", "set", "v0", "down")
        lab.a.run("ip", "link", "set", "v0", "name", "w0")
        lab.a.run("ip", "link", "set", "w0", "up")
        wait_for(daemon, ["w0"], ["v0"])
        wait_until(lambda: json.loads(lab.a.run("ip", "-j", "link", "show", "dev",
                                                "w0"))[0]["operstate"] == "UP", "w0 is not up")
        talk(pair)
        close_and_check(daemon, pair)
        after = daemon.settled()
        check_equal("segments of the one interface", after("interface_segments_total",
                                                           interface="w0", direction="received") -
                    before("interface_segments_total", interface="v0", direction="received"),
                    after("received_segments_total") - before("received_segments_total"))
        check_equal("links", links_of(daemon), links)


def moved(mode):
    """To another namespace, with the programs of this one on it, and back."""
    with lab_with_daemon(mode) as (lab, daemon):
        links = links_of(daemon)
        other = lab.namespace("other")
        lab.a.run("ip", "link", "set", "v0", "netns", other.name)
        wait_for(daemon, absent=["v0"])
        wait_until(lambda: not attached(other), lambda: f"stays on it: {attached(other)}")
        other.run("ip", "link", "set", "v0", "netns", lab.a.name)
        lab.a.run("ip", "link", "set", "v0", "up")
        lab.address(lab.a, "v0", 1)
        wait_for(daemon, ["v0"])
        lab.wait_up()
        pair = Pair(lab, lab.a, IPV4, 7802)
        close_and_check(daemon, pair)
        check_equal("links", links_of(daemon), links)


def made_again(mode):
    """Deleted and made again in one go, by the same name and number: nothing hangs on the new one
    but what is attached anew."""
    with lab_with_daemon(mode) as (lab, daemon):
        links = links_of(daemon)
        hooks = [text for text in attached(lab.a) if text.startswith("v0")]
        check(hooks, "nothing hangs on v0")
        for _ in range(3):
            index = json.loads(lab.a.run("ip", "-j", "link", "show", "dev", "v0"))[0]["ifindex"]
            lab.a.run("ip", "-batch", "-", input=(
                "link del v0\n"
                f"link add v0 index {index} type veth peer name v1 netns {lab.b.name}\n"
                "addr add 10.9.0.1/24 dev v0\nlink set v0 up\n"))
            lab.b.run("ip", "addr", "add", "10.9.0.2/24", "dev", "v1")
            lab.b.run("ip", "link", "set", "v1", "up")
            wait_until(lambda: [text for text in attached(lab.a) if text.startswith("v0")] == hooks,
                       lambda: f"attached: {attached(lab.a)}; {daemon.log()[-300:]}")
            lab.wait_up()
            pair = Pair(lab, lab.a, IPV4, 7803)
            close_and_check(daemon, pair)
        wait_until(lambda: links_of(daemon) == links,
                   lambda: f"{links_of(daemon)} links, {links} before")


def enslaved(mode):
    """v0 becomes a port, its address the bridge's."""
    with lab_with_daemon(mode) as (lab, daemon):
        links = links_of(daemon)
        lab.a.run("ip", "-batch", "-", input=(
            "link add br0 type bridge\nlink set br0 up\naddr flush dev v0 scope global\n"
            "link set v0 master br0\naddr add 10.9.0.1/24 dev br0\n"))
        wait_for(daemon, ["br0"], ["v0"])
        pair = Pair(lab, lab.a, IPV4, 7804)
        close_and_check(daemon, pair)
        lab.a.run("ip", "link", "del", "br0")
        lab.address(lab.a, "v0", 1)
        wait_for(daemon, ["v0"], ["br0"])
        pair = Pair(lab, lab.a, IPV4, 7805)
        close_and_check(daemon, pair)
        check_equal("links", links_of(daemon), links)


def seen_twice(mode):
    """Bridge and port are both watched: each segment counts at both, and moves the machine once."""
    with Lab("live", patient=True) as lab:
        lab.a.run("ip", "-batch", "-", input=(
            "link add br0 type bridge\nlink set br0 up\naddr flush dev v0 scope global\n"
            "link set v0 master br0\naddr add 10.9.0.1/24 dev br0\n"))
        with Daemon(lab.a, "--device=br0", device="v0", mode=mode) as daemon:
            before, base = daemon.settled(), lab.a.snmp()
            for number in range(20):
                pair = Pair(lab, lab.a, IPV4, 7810 + number)
                if number % 2:
                    talk(pair)
                close_and_check(daemon, pair)
            after, now = daemon.settled(), lab.a.snmp()
            for device in ("br0", "v0"):
                for direction, name in (("received", "InSegs"), ("sent", "OutSegs")):
                    check_equal(f"{direction} at {device}",
                                after("interface_segments_total", interface=device,
                                      direction=direction) -
                                before("interface_segments_total", interface=device,
                                       direction=direction), now[name] - base[name])
            check_equal("opened", after("connections_opened_total", role="server") -
                        before("connections_opened_total", role="server"), 20)
            check_equal("anomalies", after.by("anomalies_total", "anomaly"), {})
            check_equal("divergences", daemon.find("divergence_open"), [])


def two_ways(mode):
    """Asymmetric: requests come by v0, answers leave by w0."""
    with Lab("live", patient=True) as lab:
        lab.join(lab.a, "w0", lab.b, "w1")
        lab.address(lab.a, "w0", 1, subnet=2)
        lab.address(lab.b, "w1", 2, subnet=2)
        for space in (lab.a, lab.b):
            for name in ("all", "default", *(device for device in ("v0", "v1", "w0", "w1")
                                             if device[1] == ("0" if space is lab.a else "1"))):
                space.sysctl(**{f"ipv4__conf__{name}__rp_filter": 0})
        lab.b.run("ip", "addr", "add", "10.9.8.2/32", "dev", "lo")
        lab.a.run("ip", "route", "add", "10.9.8.2/32", "via", "10.9.2.2")
        with Daemon(lab.a, "--device=w0", device="v0", mode=mode) as daemon:
            before, base = daemon.settled(), lab.a.snmp()
            with listener(lab.a, "10.9.0.1", 7840) as listening:
                client = client_of(lab.b, IPV4, ("10.9.0.1", 7840), source=("10.9.8.2", 0))
                server = accept(listening)
            client.close()
            wait_kernel_state(server, "CLOSE_WAIT")
            there = remote_of(server)
            server.close()
            event = daemon.wait_event("connection", local=endpoint("10.9.0.1", 7840), remote=there)
            check_equal("observable, anomalies", (event["observable"], event["anomalies"]),
                        (True, []))
            after, now = daemon.settled(), lab.a.snmp()
            check_equal("received", after("interface_segments_total", interface="v0",
                                          direction="received") -
                        before("interface_segments_total", interface="v0", direction="received"),
                        now["InSegs"] - base["InSegs"])
            check_equal("sent", after("interface_segments_total", interface="w0",
                                      direction="sent") -
                        before("interface_segments_total", interface="w0", direction="sent"),
                        now["OutSegs"] - base["OutSegs"])


def dozens(mode):
    """Fifty at a time, some gone before anybody could look at them."""
    with lab_with_daemon(mode) as (lab, daemon):
        links = links_of(daemon)
        names = [f"many{number}" for number in range(50)]
        for _ in range(2):
            lab.a.run("ip", "-batch", "-", input="".join(
                f"link add {name} type veth peer name peer{name[4:]}\n"
                f"addr add 10.8.{name[4:]}.1/24 dev {name}\nlink set {name} up\n"
                for name in names))
            wait_for(daemon, names)
            linked = [have for have, _ in daemon.metrics().series("interface_info")
                      if have["interface"] in names and have["mode"] != "clsact"]
            check_equal("links", links_of(daemon), links + len(linked))
            lab.a.run("ip", "-batch", "-", input="".join(f"link del {name}\n" for name in names))
            wait_for(daemon, absent=names)
        for number in range(50):
            lab.a.run("ip", "-batch", "-", input=(
                f"link add brief{number} type veth peer name other{number}\n"
                f"addr add 10.8.{number}.1/24 dev brief{number}\nlink set brief{number} up\n"
                f"link del brief{number}\n"))
        lab.a.run("ip", "addr", "add", "192.0.2.1/32", "dev", "lo")
        wait_for(daemon, ["v0"], [f"brief{number}" for number in range(50)])
        wait_until(lambda: links_of(daemon) == links,
                   lambda: f"{links_of(daemon)} links, {links} before")
        pair = Pair(lab, lab.a, IPV4, 7850)
        close_and_check(daemon, pair)
        check(len(daemon.log().splitlines()) < 100 + 4 * 2 * len(names) + 3 * 50,
              f"{len(daemon.log().splitlines())} lines of log")


for _function in (flap, renamed, moved, made_again, enslaved, seen_twice, two_ways, dozens):
    for _mode in MODES:
        case(f"{_function.__name__} {_mode}", _mode)(_function)
case("made_again clsact", "clsact")(made_again)


if __name__ == "__main__":
    sys.exit(main(threads=2))
