#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Past each limit of the daemon: it goes on, says so in /-/ready and in metrics, counts what it could
not do, calls nothing divergent, and is as before when the trouble is over.

Full rings under load are in test_loss, a daemon that is stopped in test_lag, events that explain
has forgotten in test_explain, and listeners under `other` in test_listeners_life.
"""

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile

from witness import (
    BINARY, IPV4, Daemon, Lab, Pair, case, check, check_equal, execute, listener, main,
    wait_until,
)
from witness.daemon import WEB_PORT
from witness.ends import PORTS, expect_next_is_judged
from witness.flood import Generator
from witness.load import connload
from witness.runner import PATIENCE_S

REMEMBERED_S = 60  # how long /-/ready says that a limit was passed


def degraded(daemon):
    """The limits that /-/ready and the metrics say were passed: the same ones."""
    def same():
        body = daemon.get("/-/ready")
        check(body.startswith("ready\n"), f"/-/ready: {body}")
        told = sorted(line.split(": ")[1] for line in body.splitlines()[1:])
        shown = sorted(have["limit"] for have, value in
                       daemon.metrics().series("degraded") if value)
        return (told,) if told == shown else None  # one may pass in between
    return wait_until(same, lambda: f"/-/ready and the metrics differ: {daemon.get('/-/ready')}")[0]


def wait_degraded(daemon, *limits, seconds=PATIENCE_S):
    wait_until(lambda: degraded(daemon) == sorted(limits),
               lambda: f"degraded: {degraded(daemon)}, expected {sorted(limits)}", seconds, 0.1)


def expect_recovered(lab, daemon):
    """A minute later nothing is said any more; and the next connection is judged as ever."""
    wait_degraded(daemon, seconds=REMEMBERED_S + 30)
    expect_judged(lab, daemon)


def expect_judged(lab, daemon):
    expect_next_is_judged(lab, daemon)
    check_equal("problems", daemon.problems(), [])


@contextlib.contextmanager
def small_disk(octets):
    """A directory on a file system of that size; yields (path, function that fills it up, function
    that makes room again)."""
    directory = tempfile.mkdtemp(prefix="tcpwitness-disk-")
    filler = os.path.join(directory, "filler")

    def fill():
        with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(4096)):
                pass
    execute("mount", "-t", "tmpfs", "-o", f"size={octets}", "none", directory)
    try:
        yield directory, fill, lambda: os.unlink(filler)
    finally:
        execute("umount", "-l", directory)
        os.rmdir(directory)


@contextlib.contextmanager
def watched(*flags, **options):
    with Lab("limit") as lab, Daemon(lab.a, *flags, device="v0", mode="tcx", **options) as daemon:
        yield lab, daemon


@case("nothing is passed")
def nothing_passed():
    with watched() as (lab, daemon):
        expect_judged(lab, daemon)
        check_equal("/-/ready", daemon.get("/-/ready"), "ready\n")
        check_equal("degraded", degraded(daemon), [])


@case("rings full while the daemon is stopped")
def rings_full():
    with watched("--ring.bytes=4096") as (lab, daemon):
        daemon.process.send_signal(signal.SIGSTOP)
        try:
            connload(lab.b, lab.a, lab.ip(lab.a, IPV4), "client", 400, quiet=True)
        finally:
            daemon.process.send_signal(signal.SIGCONT)
        now = daemon.settled()
        for ring in ("segment", "kernel"):
            check(now("records_lost_total", ring=ring) > 0, f"{ring}: nothing was lost")
        wait_degraded(daemon, "segment_ring", "kernel_ring")
        expect_recovered(lab, daemon)


@case("flow table full")
def flow_table_full():
    """Half-open connections give way, those that are open do not."""
    with watched("--flows.max=1024", "--flood.budget=0") as (lab, daemon):
        lab.a.sysctl(tcp_synack_retries=0, tcp_max_syn_backlog=4096)
        generator = Generator(lab)
        pairs = [Pair(lab, lab.a, IPV4, next(PORTS)) for _ in range(20)]
        with listener(lab.a, lab.ip(lab.a, IPV4), next(PORTS), 4096) as flooded:
            def moved_in_time():
                """A busy machine takes longer than a request lives: then once more."""
                before = daemon.settled()
                generator.run((IPV4,), flooded.getsockname()[1], count=3000)
                after = daemon.settled()
                check("flow_table" in degraded(daemon), f"{degraded(daemon)}")
                wait_until(lambda: daemon.metrics()("flow_table_entries") == len(pairs),
                           "half-open ones stay", 90, 0.5)

                def moved(name, **labels):
                    return after(name, **labels) - before(name, **labels)
                expired = moved("connections_closed_total", how="handshake_timeout")
                return moved if not expired else None
            moved = wait_until(moved_in_time, "requests expire before they are counted", 300)
            check_equal("entries", moved("flow_table_entries"), 1024 - len(pairs))
            evicted = 3000 + len(pairs) - 1024
            check_equal("evictions", moved("flow_table_evictions_total"), evicted)
            check_equal("unobservable", moved("unobservable_connections_total", reason="evicted"),
                        evicted)
        check_equal("open", {local for local, _ in daemon.connections()},
                    {pair.server_at for pair in pairs})
        for pair in pairs:
            pair.client.close()
            check_equal("end of stream", pair.server.recv(1), b"")
            pair.server.close()
            event = daemon.wait_event("connection", local=pair.server_at)
            check_equal("observable", event["observable"], True)
        expect_recovered(lab, daemon)


@case("more listeners than labels")
def listeners_beyond_labels():
    with watched("--listeners.max=1") as (lab, daemon):
        socks = [listener(lab.a, lab.ip(lab.a, IPV4), next(PORTS)) for _ in range(3)]
        wait_degraded(daemon, "listeners")
        check_equal("listeners, the daemon's own included", daemon.metrics()("listeners"), 4)
        for sock in socks:
            sock.close()
        expect_recovered(lab, daemon)


@case("event log on a full disk")
def events_on_a_full_disk():
    """What waits is written when there is room again; no line is torn, none is uncounted."""
    with small_disk(1 << 20) as (directory, fill, make_room):
        path = os.path.join(directory, "events")
        with watched(f"--events.file={path}") as (lab, daemon):
            fill()
            connload(lab.b, lab.a, lab.ip(lab.a, IPV4), "client-rst", 300, quiet=True)
            wait_until(lambda: daemon.metrics()("connections_closed_total") == 300,
                       "not all have ended")
            make_room()

            def lines():
                with open(path, encoding="utf-8") as file:
                    return file.read().splitlines(keepends=True)
            daemon.settled()
            wait_until(lambda: len(lines()) + daemon.metrics()("events_dropped_total") >= 300,
                       lambda: f"{len(lines())} lines")
            check(all(line.endswith("\n") for line in lines()), "a line is torn")
            events = [json.loads(line) for line in lines()]
            now = daemon.metrics()
            check_equal("written and dropped", now("events_written_total") +
                        now("events_dropped_total"), 300)
            check_equal("written", len(events), now("events_written_total"))
            daemon.events_path = path
            expect_judged(lab, daemon)


@case("record log on a full disk")
def record_log_on_a_full_disk():
    """It ends there, for a log with a hole cannot be replayed; the daemon goes on."""
    with small_disk(128 << 10) as (directory, _, _):
        path = os.path.join(directory, "log")
        with watched(f"--record={path}") as (lab, daemon):
            connload(lab.b, lab.a, lab.ip(lab.a, IPV4), "client-rst", 1000, quiet=True)
            wait_degraded(daemon, "record_log")
            check("nothing more is recorded" in daemon.log(), daemon.log())
            expect_judged(lab, daemon)
            daemon.process.terminate()
            check_equal("exit status", daemon.process.wait(20), 1)
            daemon.kill()
        done = subprocess.run([BINARY, "replay", path], capture_output=True, text=True,
                              timeout=60, check=False)
        check_equal("a log that was cut off", (done.returncode, "cut off" in done.stderr),
                    (1, True))


@case("memory refused at the start")
def memory_refused_at_the_start():
    """One clear line, whatever it was that found no memory."""
    with Lab("limit") as lab, tempfile.TemporaryDirectory() as directory:
        said = set()
        for mebioctets in (24, 48, 96, 144):
            octets = mebioctets << 20
            done = subprocess.run(
                lab.a.command(BINARY, "run", "--device=v0", "--web.listen-address=127.0.0.1:10293",
                              f"--api.socket={directory}/socket", "--duration=1"),
                preexec_fn=lambda size=octets: resource.setrlimit(resource.RLIMIT_AS, (size, size)),
                capture_output=True, text=True, timeout=60, check=False)
            check(done.returncode in (0, 1, 127), f"{mebioctets} MiB: {done.returncode}")
            check(done.returncode == 0 or done.stderr.strip(), "not a word")
            said.add(done.stderr.strip().splitlines()[-1] if done.returncode else "none")
        print(f"# {sorted(said)}")


@case("memory refused while it runs")
def memory_refused():
    """Answers that need memory are refused, by an error or by 5xx; connections are judged on."""
    with watched() as (lab, daemon):
        pid = daemon.process.pid
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            now = int(file.read().split()[0]) * resource.getpagesize()
        resource.prlimit(pid, resource.RLIMIT_AS, (now, resource.RLIM_INFINITY))
        connload(lab.b, lab.a, lab.ip(lab.a, IPV4), "client-rst", 2000, quiet=True)
        refused = 0
        for _ in range(20):
            try:
                status, _, body = daemon.web("/api/v1/connections?limit=10000")
            except OSError:
                refused += 1
                continue
            check(status in (200, 500, 503), f"{status}: {body}")
            refused += status != 200
        print(f"# {refused} of 20 requests were refused")
        resource.prlimit(pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
        check_equal("alive", daemon.process.poll(), None)
        daemon.settled()
        now = daemon.metrics()
        closed, evicted = (now("connections_closed_total"),
                           now("unobservable_connections_total", reason="evicted"))
        print(f"# {closed:.0f} closed, {evicted:.0f} evicted")
        check_equal("ended, judged or not", closed + evicted, 2000)
        expect_judged(lab, daemon)


@contextlib.contextmanager
def few_files():
    """What begins inside has the soft limit of open files that a login has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@case("more interfaces than counters")
def interfaces_beyond_counters():
    """Those beyond share one; the sums stay exact, and so are the others' own. They take more files
    than the soft limit has."""
    first, count = 1000, 516
    with Lab("limit") as lab:
        lab.a.run("ip", "-batch", "-", input="".join(
            f"link add d{one} index {one} type veth peer name d{two} index {two}\n" + "".join(
                f"addr add 10.8.{number >> 8}.{number & 255}/32 dev d{number}\n"
                f"link set d{number} up\n" for number in (one, two))
            for one, two in zip(range(first, first + count, 2),
                                range(first + 1, first + count, 2))))
        with few_files(), Daemon(lab.a, mode="tcx") as daemon:
            def watched_now():
                return len({have["interface"] for have, value in
                            daemon.metrics().series("interface_info") if value} - {"lo"})
            wait_until(lambda: watched_now() == count + 1,
                       lambda: f"{watched_now()} of {count + 1} are watched", 60, 0.5)
            before, base = daemon.settled(), lab.a.snmp()
            connload(lab.b, lab.a, lab.ip(lab.a, IPV4), "client", 100, quiet=True)
            now = daemon.settled()
            received = lab.a.snmp()["InSegs"] - base["InSegs"]
            check_equal("segments received", now("received_segments_total") -
                        before("received_segments_total"), received)
            check_equal("of v0", now("interface_segments_total", interface="v0",
                                     direction="received"), received)
            expect_judged(lab, daemon)
            daemon.kill()  # a thousand programs are detached by the kernel, one at a time


@case("too many requests at once")
def too_many_requests():
    """A client that does not take its answer has the only place."""
    with watched("--web.max-requests=1") as (lab, daemon):
        lab.a.sysctl(tcp_wmem="4096 4096 4096")
        with contextlib.ExitStack() as place:

            def is_taken():
                """The one before may still have it, and the slow client be the one refused."""
                place.close()
                slow = place.enter_context(lab.a.socket(socket.AF_INET))
                slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
                slow.connect(("127.0.0.1", WEB_PORT))
                slow.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
                return daemon.web("/metrics")[0] == 503

            wait_until(is_taken, "nothing is refused")
            check("degraded: http: " in daemon.get("/-/ready"), daemon.get("/-/ready"))
        wait_until(lambda: daemon.web("/metrics")[0] == 200, "all is refused")
        check(daemon.metrics()("http_requests_refused_total") > 0, "nobody counts them")
        check_equal("degraded", degraded(daemon), ["http"])
        expect_recovered(lab, daemon)


if __name__ == "__main__":
    sys.exit(main(threads=4))
