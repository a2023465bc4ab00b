# SPDX-License-Identifier: GPL-2.0-only
"""What the benchmarks share: two namespaces over veth, load, the daemon, and what it consumes."""

import contextlib
import json
import os
import resource
import statistics
import subprocess
import time

from witness import IPV4, Daemon, Lab
from witness.daemon import CONNLOAD
from witness.load import parse
from witness.runner import Failure, Skip, wait_until

OUT = os.path.dirname(os.path.dirname(os.path.dirname(CONNLOAD)))
PORTS = "8000-8015"
REQUEST, REPLY = 100, 1000
CONCURRENCY = 64
DEVICE = "v0"


class Options:
    """quick: fewer and shorter runs, for trying it out; their figures are worth little."""

    def __init__(self, quick):
        self.quick = quick

    def rounds(self, usual):
        return min(usual, 2) if self.quick else usual

    def seconds(self, usual):
        return usual / 4 if self.quick else usual


def program(name):
    """A program of tests/bench."""
    path = os.path.join(OUT, "tests/bench", name)
    if not os.access(path, os.X_OK):
        raise Skip(f"{path} is not built")
    return path


@contextlib.contextmanager
def bench_lab():
    """Clients live in b, the watched servers in a. No TIME_WAIT stays in b, so that a run finds
    the same world as the one before it."""
    with Lab("bench") as lab:
        for space in (lab.a, lab.b):
            space.sysctl(ip_local_port_range="10240 65535", tcp_max_tw_buckets=1_000_000,
                         core__somaxconn=4096)
        lab.b.sysctl(tcp_max_tw_buckets=0)
        yield lab


def watching(lab, *flags, mode="tcx", **options):
    return Daemon(lab.a, *flags, device=DEVICE, mode=mode, connections=False, sweep=None,
                  **options)


@contextlib.contextmanager
def started(space, *command, until=None, **options):
    """COMMAND in SPACE for as long as the block lasts; ready when it prints the line UNTIL."""
    process = subprocess.Popen(space.command(*command), stdout=subprocess.PIPE, text=True,
                               stdin=subprocess.DEVNULL, **options)
    try:
        if until is not None and process.stdout.readline().strip() != until:
            raise Failure(f"{' '.join(command)} did not come up")
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.stdout.close()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def connload_server(lab, how="client"):
    """Yields its pid."""
    with started(lab.a, CONNLOAD, "server", "--address", lab.ip(lab.a, IPV4), "--ports", PORTS,
                 "--mode", how, "--count", "0", "--request", str(REQUEST), "--reply", str(REPLY),
                 until="ready") as process:
        yield process.pid


def connload_run(lab, count, how="client", rate=0):
    """The client's report, and the CPU time it took."""
    command = [CONNLOAD, "client", "--address", lab.ip(lab.a, IPV4), "--ports", PORTS,
               "--mode", how, "--count", str(int(count)), "--concurrency", str(CONCURRENCY),
               "--request", str(REQUEST), "--reply", str(REPLY), "--rate", str(rate)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(lab.b.command(*command), stdout=subprocess.PIPE, text=True, timeout=120,
                          check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise Failure(f"connload: {done.stdout.strip() or done.returncode}")
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {**parse(done.stdout), "cpu_ns": spent * 1e9}


def nobody():
    """The CPU time of a watcher that is not there."""
    return 0


def kept(work, watchers, rounds):
    """How much of what WORK achieves is kept under each of WATCHERS.

    WORK(cpu) does it once and returns numbers of which more is better; cpu() is what the watcher
    has spent so far, in ns. WATCHERS: {name: function that makes a context manager of such a
    cpu()}; one that raises Skip is left out. They take turns, each between two runs without any,
    whose mean it is held against. Returns ({name: [[ratio…] for each number] or the Skip},
    [the numbers of a run without any…])."""
    ratios, plain = {name: [] for name in watchers}, []
    work(nobody)  # warm up
    plain.append(work(nobody))
    for _ in range(rounds):
        for name, watcher in watchers.items():
            if isinstance(ratios[name], Exception):
                continue
            try:
                with watcher() as cpu:
                    values = work(cpu)
            except Skip as why:
                ratios[name] = why
                continue
            plain.append(work(nobody))
            ratios[name].append([value / statistics.mean(pair)
                                 for value, *pair in zip(values, *plain[-2:])])
    return {name: rows if isinstance(rows, Exception) else list(zip(*rows))
            for name, rows in ratios.items()}, plain


def cpu_ns(pid):
    """CPU time that a living process has used, threads that ended included (linux
    include/linux/posix-timers.h: MAKE_PROCESS_CPUCLOCK)."""
    return time.clock_gettime_ns((~pid << 3) | 2)


def children(pid):
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{entry}/stat", encoding="utf-8") as file:
                if int(file.read().rpartition(")")[2].split()[1]) == pid:
                    found.append(int(entry))
    return found


def family_cpu_ns(pid):
    """A process's and its children's, of those that live."""
    total = 0
    for member in [pid, *children(pid)]:
        with contextlib.suppress(OSError):
            total += cpu_ns(member)
    return total


def daemon_cpu_ns(daemon):
    """The daemon's and its sweep reader's."""
    return family_cpu_ns(daemon.process.pid)


def context_switches(daemon):
    """How often a thread of the daemon or of its sweep reader went to sleep by itself."""
    total = 0
    for pid in [daemon.process.pid, *children(daemon.process.pid)]:
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/status", encoding="ascii") as file:
                    total += sum(int(line.split()[1]) for line in file
                                 if line.startswith("voluntary_ctxt_switches"))
    return total


def resident_bytes(daemon):
    """What the daemon has in memory, without the rings that it shares with the kernel: those are
    maps."""
    total = ring = 0
    with open(f"/proc/{daemon.process.pid}/smaps", encoding="utf-8") as file:
        for line in file:
            words = line.split()
            if "-" in words[0] and not words[0].endswith(":"):
                ring = "bpf-map" in line
            elif words[0] == "Rss:" and not ring:
                total += int(words[1]) * 1024
    return total


def descriptors(process):
    """The fdinfo of each of its descriptors, as a dict."""
    directory = f"/proc/{process.pid}/fdinfo"
    for name in os.listdir(directory):
        with contextlib.suppress(OSError), open(f"{directory}/{name}", encoding="utf-8") as file:
            yield dict(line.split(":", 1) for line in file.read().splitlines() if ":" in line)


def map_bytes(daemon):
    """Memory of its BPF maps."""
    maps = {info["map_id"]: int(info["memlock"]) for info in descriptors(daemon.process)
            if "map_id" in info}
    return sum(maps.values())


def settled(daemon):
    """A scrape after everything that was recorded has been decoded."""
    return daemon.settled(20)


class Programs:
    """What kernel.bpf_stats counts of a process's programs. A context manager: the counting
    costs something itself, so it is on only inside."""

    SWITCH = "/proc/sys/kernel/bpf_stats_enabled"

    def __init__(self, process):
        self.process = process

    def __enter__(self):
        with open(self.SWITCH, encoding="ascii") as file:
            self.before = file.read()
        with open(self.SWITCH, "w", encoding="ascii") as file:
            file.write("1")
        self.base = self.read()
        return self

    def __exit__(self, *_):
        with open(self.SWITCH, "w", encoding="ascii") as file:
            file.write(self.before)

    def read(self):
        """{name: (runs, ns)}, of those with one name together"""
        wanted = {int(info["prog_id"]) for info in descriptors(self.process)
                  if "prog_id" in info}
        done = subprocess.run(["bpftool", "prog", "show", "-j"], stdout=subprocess.PIPE,
                              check=True)
        found = {}
        for row in json.loads(done.stdout):
            if row["id"] in wanted:
                runs, ns = found.get(row["name"], (0, 0))
                found[row["name"]] = (runs + row.get("run_cnt", 0), ns + row.get("run_time_ns", 0))
        return found

    def since(self):
        """{name: (runs, ns)} since it was entered, of those that ran."""
        rows = {name: (runs - self.base.get(name, (0, 0))[0], ns - self.base.get(name, (0, 0))[1])
                for name, (runs, ns) in self.read().items()}
        return {name: row for name, row in rows.items() if row[0]}


def wait_connections(daemon, count, seconds=120):
    """Until the daemon's table has COUNT established ones. Those that were there before it are
    known from the kernel alone: no tap has seen anything of them."""
    def there():
        have = daemon.metrics()("connections", view="kernel", state="ESTABLISHED")
        return have >= count
    wait_until(there, f"the daemon does not have {count} connections", seconds, pause=0.1)
