#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The daemon's own life: how it starts, fails to start, ends and is killed; what it leaves, what
it never touches; interfaces that come and go; what was there before it.
"""

import contextlib
import gzip
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

from witness import (
    BINARY, IPV4, Daemon, Failure, Lab, Pair, RawPeer, Skip, accept, attached, case, check,
    check_equal, client_of, doctor, execute, listener, local_of, main, wait_kernel_state, wait_until,
)
from witness.daemon import WEB_PORT
from witness.ends import FAMILIES, SERVER_OPEN, inner_kernel
from witness.raw import overflow

MODES = ("xdp", "xdp-generic", "tcx", "clsact")
HOOKS = {"xdp": "xdp_native", "xdp-generic": "xdp_generic", "tcx": "tcx", "clsact": "clsact"}


def short_connection(lab, daemon, port, family=IPV4):
    """One connection to a; its event must be an ordinary one."""
    pair = Pair(lab, lab.a, family, port)
    pair.client.close()
    check_equal("end of stream", pair.server.recv(1), b"")
    pair.server.close()
    event = daemon.wait_event("connection", local=pair.server_at, remote=pair.client_at)
    check_equal("observable", (event["observable"], event["why"]), (True, None))
    check_equal("divergences", event["divergences"], [])
    return event


# -- ends


@case("end SIGTERM xdp", "xdp")
@case("end SIGTERM xdp-generic", "xdp-generic")
@case("end SIGTERM tcx", "tcx")
@case("end SIGTERM clsact", "clsact")
def sigterm(lab, mode):
    """Everything is attached as asked, traffic is seen, and nothing is left."""
    if mode == "tcx":
        doctor.needs("tcx")
    with Daemon(lab.a, device="v0", mode=mode) as daemon:
        info = daemon.metrics().series("interface_info", interface="v0")
        modes = {have["hook"]: have["mode"] for have, _ in info}
        check_equal("ingress mode", modes.get("ingress"), HOOKS[mode])
        check_equal("egress mode", modes.get("egress"),
                    "tcx" if mode != "clsact" and doctor.has("tcx") else "clsact")
        check(attached(lab.a), "nothing is attached while it runs")
        short_connection(lab, daemon, 7700)
    check_equal("attached", attached(lab.a), [])


@case("end SIGINT")
def sigint(lab):
    with Daemon(lab.a, device="v0") as daemon:
        daemon.stop(signal.SIGINT)


@case("end kill -9 xdp", "xdp")
@case("end kill -9 tcx", "tcx")
def killed(lab, mode):
    doctor.needs("tcx")
    with Daemon(lab.a, device="v0", mode=mode) as daemon:
        check(attached(lab.a), "nothing is attached while it runs")
        daemon.kill()
        wait_until(lambda: not attached(lab.a), lambda: f"left: {attached(lab.a)}")


@case("end kill -9 clsact, gone at the next start")
def killed_clsact_next_start(lab):
    with Daemon(lab.a, device="v0", mode="clsact") as daemon:
        daemon.kill()
    check_equal("left by the dead daemon", attached(lab.a), ["v0 clsact filter"])
    with Daemon(lab.a, device="v0", mode="tcx") as daemon:
        if doctor.has("tcx"):
            check("v0 clsact filter" not in attached(lab.a), "the old filters are still there")
        short_connection(lab, daemon, 7701)


@case("end kill -9 clsact, gone by detach")
def killed_clsact_detach(lab):
    with Daemon(lab.a, device="v0", mode="clsact") as daemon:
        daemon.kill()
    check_equal("left by the dead daemon", attached(lab.a), ["v0 clsact filter"])
    lab.a.run(BINARY, "detach")
    check_equal("after detach", attached(lab.a), [])


@case("end --duration")
def duration(lab):
    done = subprocess.run(lab.a.command(BINARY, "run", "--device=v0", "--duration=1",
                                        f"--web.listen-address=127.0.0.1:{WEB_PORT}",
                                        f"--api.socket={tempfile.mktemp()}"),
                          capture_output=True, text=True, timeout=30, check=False)
    check_equal("exit status", (done.returncode, done.stderr[-200:] if done.returncode else ""),
                (0, ""))
    check_equal("attached", attached(lab.a), [])


# -- others' programs


XDP_PASS = """
__attribute__((section("xdp"), used)) int foreign(void *ctx) { return 2; }
char terms[] __attribute__((section("license"), used)) = "GPL";
"""


@contextlib.contextmanager
def foreign_xdp(lab):
    if not shutil.which("clang"):
        raise Skip("no clang to make a foreign program with")
    with tempfile.TemporaryDirectory() as folder:
        source, target = f"{folder}/foreign.c", f"{folder}/foreign.o"
        with open(source, "w", encoding="ascii") as file:
            file.write(XDP_PASS)
        execute("clang", "-target", "bpf", "-O2", "-g", "-c", source, "-o", target)
        lab.a.run("ip", "link", "set", "dev", "v0", "xdpdrv", "obj", target, "sec", "xdp")
        try:
            yield lambda: json.loads(lab.a.run("ip", "-j", "link", "show", "dev",
                                               "v0"))[0]["xdp"]["prog"]["id"]
        finally:
            lab.a.run("ip", "link", "set", "dev", "v0", "xdpdrv", "off")


@case("foreign XDP program survives")
def foreign_survives(lab):
    with foreign_xdp(lab) as number:
        before = number()
        with Daemon(lab.a, device="v0", mode="auto") as daemon:
            check_equal("the program while the daemon runs", number(), before)
            short_connection(lab, daemon, 7702)
            daemon.stop(leaves=["v0 xdp"])
            check_equal("the program afterwards", number(), before)


# -- interfaces


@case("interface hot-plug and removal")
def hot_plug(lab):
    """Without --device: interfaces with local addresses, as they come and go."""
    with Daemon(lab.a) as daemon:
        def watched():
            return {have["interface"] for have, _ in daemon.metrics().series("interface_info")}
        wait_until(lambda: "v0" in watched(), lambda: f"watched: {watched()}")
        new = lab.namespace("n")
        lab.join(lab.a, "v8", new, "v9")
        lab.address(lab.a, "v8", 1, subnet=8)
        lab.address(new, "v9", 2, subnet=8)
        wait_until(lambda: "v8" in watched(), lambda: f"watched: {watched()}")
        listening = listener(lab.a, "10.9.8.1", 7703)
        sock = client_of(new, IPV4, ("10.9.8.1", 7703))
        child, here = accept(listening), local_of(sock)
        sock.close()
        wait_kernel_state(child, "CLOSE_WAIT")
        child.close()
        listening.close()
        event = daemon.wait_event("connection", local="10.9.8.1:7703", remote=here)
        check_equal("observable", event["observable"], True)
        lab.a.run("ip", "link", "del", "v8")
        wait_until(lambda: "v8" not in watched(), lambda: f"watched: {watched()}")
        short_connection(lab, daemon, 7704)
        check_equal("problems", daemon.problems(), [])


@case("interface down and up")
def down_and_up(lab):
    with Daemon(lab.a) as daemon:
        lab.a.run("ip", "link", "set", "v0", "down")
        lab.a.run("ip", "link", "set", "v0", "up")
        lab.a.run("ip", "addr", "add", "fd09::1/64", "dev", "v0", "nodad")  # it went with down
        lab.wait_up()
        wait_until(lambda: daemon.metrics().series("interface_info", interface="v0"),
                   "v0 is not watched again")
        short_connection(lab, daemon, 7705)


@case("device exclude")
def excluded(lab):
    with Daemon(lab.a, "--device.exclude=v0") as daemon:
        check_equal("watched", daemon.metrics().series("interface_info", interface="v0"), [])


@case("device lo: the others are untapped, none divergent")
def only_lo(lab):
    with Daemon(lab.a, device="lo") as daemon:
        for name, family in FAMILIES.items():
            pair = Pair(lab, lab.a, family, 7706)
            pair.client.sendall(b"unseen")
            check_equal("octets", pair.server.recv(10), b"unseen")
            pair.client.close()
            wait_kernel_state(pair.server, "CLOSE_WAIT")
            pair.server.close()
            event = daemon.wait_event("connection", local=pair.server_at)
            check_equal(f"{name} observable", (event["observable"], event["why"]),
                        (False, "untapped"))
            inside = listener(lab.a, "127.0.0.1" if family == IPV4 else "::1", 7707)
            sock = client_of(lab.a, family, inside.getsockname()[:2])
            child = accept(inside)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            sock.close()
            wait_kernel_state(child, "CLOSED")
            child.close()
            inside.close()
        now = daemon.settled()
        check(now("unobservable_connections_total", reason="untapped") >= 2, "none untapped")
        wait_until(lambda: len([row for row in daemon.find("connection")
                                if row["local"].endswith(":7707") and row["observable"]]) == 2,
                   lambda: f"loopback: {daemon.find('connection')[-3:]}")
        check_equal("divergences", daemon.find("divergence_open"), [])


# -- what was there before


@case("sockets from before the start are seeded and shown")
def seeded(lab):
    before = Pair(lab, lab.a, IPV4, 7708)
    half = Pair(lab, lab.a, IPV4, 7709)
    half.client.shutdown(socket.SHUT_WR)
    wait_kernel_state(half.server, "CLOSE_WAIT")
    quiet = listener(lab.a, "10.9.0.1", 7710)
    try:
        with Daemon(lab.a, device="v0") as daemon:
            rows = wait_until(lambda: len(daemon.connections()) >= 2 and daemon.connections(),
                              lambda: f"shown: {daemon.connections()}")
            for pair, state in ((before, "ESTABLISHED"), (half, "CLOSE_WAIT")):
                row = rows[(pair.server_at, pair.client_at)]
                check_equal("state", row["kernel_state"], state)
            check(daemon.metrics().series("listener_accept_queue_limit",
                                          listener="10.9.0.1:7710"), "the listener is not shown")
            for pair in (before, half):
                pair.client.close()
                pair.server.close()
                event = daemon.wait_event("connection", local=pair.server_at,
                                          remote=pair.client_at)
                check_equal("observable", (event["observable"], event["why"]),
                            (False, "adopted"))
            check_equal("problems", daemon.problems(), [])
    finally:
        for sock in (before.client, before.server, half.client, half.server, quiet):
            sock.close()


# -- refusals


def refused(command, text, env=None):
    """The command fails with exactly one line on standard error that matches TEXT."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False,
                          env=env)
    check(done.returncode != 0, f"{command} succeeded")
    lines = done.stderr.strip().splitlines()
    check(len(lines) == 1 and re.search(text, lines[0], re.I),
          f"status {done.returncode}, not one line with /{text}/: {done.stderr[-500:]!r}")


BAD_FLAGS = (
    ("--no.such.flag", "no.such.flag"),
    ("--capture.mode=sideways", "capture.mode|sideways"),
    ("--flows.max=0", "flows.max"),
    ("--flows.max=many", "flows.max"),
    ("--ring.bytes=4097", "ring.bytes"),
    ("--settle=-1", "settle"),
    ("--web.listen-address=nonsense:port", "web.listen-address|nonsense"),
    ("--log.level=loud", "log.level|loud"),
    ("superfluous", "superfluous"),
)


@case("refuses bad flags")
def bad_flags(lab):
    for flag, text in BAD_FLAGS:
        refused(lab.a.command(BINARY, "run", flag), text)
    refused(lab.a.command(BINARY, "frobnicate"), "frobnicate")
    check_equal("attached", attached(lab.a), [])


@case("refuses a port in use")
def port_in_use(lab):
    with contextlib.closing(listener(lab.a, "127.0.0.1", WEB_PORT)):
        refused(lab.a.command(BINARY, "run", "--device=v0", f"--api.socket={tempfile.mktemp()}",
                              f"--web.listen-address=127.0.0.1:{WEB_PORT}"), f"{WEB_PORT}.*use")
    check_equal("attached", attached(lab.a), [])


@case("refuses an unknown interface")
def unknown_interface(lab):
    refused(lab.a.command(BINARY, "run", "--device=nosuch0"), "nosuch0")


@case("refuses to run without privileges")
def no_privileges(lab):
    refused(lab.a.command("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                          "--bounding-set=-all", "--inh-caps=-all", copy_for_all(lab), "run"),
            "privilege|CAP_|permi|root")


def copy_for_all(lab):
    """The binary where nobody may reach it."""
    folder = tempfile.mkdtemp(prefix="tcpwitness-copy-", dir="/tmp")
    os.chmod(folder, 0o755)
    lab.on_exit(execute, "rm", "-rf", folder)
    execute("cp", BINARY, f"{folder}/tcpwitness")
    os.chmod(f"{folder}/tcpwitness", 0o755)
    return f"{folder}/tcpwitness"


@case("refuses to run without BTF")
def no_btf(lab):
    """An empty folder over /sys/kernel/btf, in a mount namespace of its own."""
    script = f"mount -t tmpfs none /sys/kernel/btf && exec {BINARY} run --device=v0"
    refused(lab.a.command("unshare", "--mount", "sh", "-c", script), "BTF")
    check_equal("attached", attached(lab.a), [])


# -- commands


@case("status asks the running daemon")
def status(lab):
    with Daemon(lab.a, device="v0") as daemon:
        text = lab.a.run(BINARY, "status", f"--api.socket={daemon.socket_path}")
        check("v0" in text, f"status does not name the interface: {text}")
    refused(lab.a.command(BINARY, "status", f"--api.socket={daemon.socket_path}"), "api.sock")


@case("version, help, fsm, doctor")
def small_commands(lab):
    check("tcpwitness" in execute(BINARY, "version"), "version does not name itself")
    for name in ("run", "replay", "status", "doctor", "detach", "fsm"):
        check(name in execute(BINARY, "help"), f"help does not name {name}")
    check("TIME_WAIT" in execute(BINARY, "fsm", "--table"), "fsm --table shows no TIME_WAIT")
    check("digraph" in execute(BINARY, "fsm", "--dot"), "fsm --dot is no graph")
    words = lab.a.run(BINARY, "doctor")
    check("/sys/kernel/btf" in words, "doctor says nothing of BTF")
    told = json.loads(lab.a.run(BINARY, "doctor", "--json"))
    check_equal("can run", told["can_run"], words.endswith("\ntcpwitness can run here\n"))
    check_equal("rows", [line.split("  ")[0] for line in words.splitlines()
                         if line.startswith(("ok ", "less ", "FAIL "))],
                [row["verdict"] for row in told["checks"]])
    check_equal("interfaces", [row["name"] for row in told["interfaces"]], ["lo", "v0"])
    check(all(row["path"] for row in told["namespaces"]), f"namespaces {told['namespaces']}")


@case("the log tells what this kernel lacks, as doctor does")
def lacks(lab):
    with Daemon(lab.a, device="v0") as daemon:
        told = re.findall(r"this kernel has no ([^:]*): (.*)", daemon.log())
    check_equal("lacks", dict(told), doctor.lacks())


@case("replay prints the same events")
def replay(lab):
    """A recorded run with ordinary connections, resets and three kinds of divergence."""
    with tempfile.TemporaryDirectory() as folder:
        log = f"{folder}/records"
        with Daemon(lab.a, f"--record={log}", device="v0") as daemon:
            for port in range(7711, 7715):
                short_connection(lab, daemon, port)
            make_trouble(lab, daemon)
            daemon.stop()
            with open(daemon.events_path, encoding="utf-8") as file:
                live = file.read()
        first = execute(BINARY, "replay", "--events.connections", log)
        second = execute(BINARY, "replay", "--events.connections", log)
    check(first == second, "two replays differ")
    check("divergence_open" in live and '"connection"' in live, "the run recorded too little")
    if first != live:
        pairs = zip(first.splitlines() + ["(end)"], live.splitlines() + ["(end)"])
        replayed, printed = next(pair for pair in pairs if pair[0] != pair[1])
        raise Failure(f"replay differs from the run: {replayed} | live: {printed}")


def make_trouble(lab, daemon):
    peer = RawPeer(lab, lab.a, IPV4)
    full = listener(lab.a, "10.9.0.1", 7720, backlog=2)
    hidden = listener(lab.a, "10.9.0.1", 7721)
    numbers = iter(range(21000, 21100))
    try:
        refused_talks = overflow(lab.a, 7720, 2, lambda: peer.connection(next(numbers), 7720))
        for talk in refused_talks:
            daemon.wait_event("divergence_open", remote=talk.me_at)
        lab.a.nft("tcp dport 7721 drop")
        talk = peer.connection(next(numbers), 7721)
        talk.send("S")
        daemon.wait_event("divergence_open", remote=talk.me_at)
        lab.a.nft()
        talk.send("S", seq=talk.seq - 1)
        talk.expect("SA")
        daemon.wait_event("divergence_close", remote=talk.me_at)
        talk.send("R")
        daemon.wait_event("connection", remote=talk.me_at)
    finally:
        lab.a.nft()
        full.close()
        hidden.close()
        peer.close()


# -- the doors


@case("doors over loopback HTTP")
def doors(lab):
    with Daemon(lab.a, device="v0") as daemon:
        for path, want in (("/", 200), ("/metrics", 200), ("/-/healthy", 200),
                           ("/-/ready", 200), ("/nowhere", 404)):
            check_equal(path, daemon.web(path, over_tcp=True)[0], want)
        check_equal("HEAD /metrics", daemon.web("/metrics", "HEAD", over_tcp=True)[2], b"")
        check_equal("POST /metrics", daemon.web("/metrics", "POST", over_tcp=True)[0], 405)
        _, headers, body = daemon.web("/metrics", headers={"Accept-Encoding": "gzip"},
                                      over_tcp=True)
        check_equal("encoding", headers.get("Content-Encoding"), "gzip")
        check(b"tcpwitness_build_info" in gzip.decompress(body), "gzip holds no metrics")
        check_equal("api", daemon.web("/api/v1/status", over_tcp=True,
                                      headers={"Host": f"127.0.0.1:{WEB_PORT}"})[0], 200)
        check_equal("api under another Host", daemon.web(
            "/api/v1/connections", headers={"Host": "rebound.example"}, over_tcp=True)[0], 403)
        event = short_connection(lab, daemon, 7722)
        check_equal("kernel path", inner_kernel(event["kernel_path"]),
                    SERVER_OPEN + ["CLOSE_WAIT", "LAST_ACK"])


@contextlib.contextmanager
def plain_lab():
    with Lab("daemon", patient=True) as lab:
        yield lab


if __name__ == "__main__":
    if not os.access(BINARY, os.X_OK):
        raise SystemExit(f"not ok all - {BINARY} is not built")
    sys.exit(main(plain_lab))
