# SPDX-License-Identifier: GPL-2.0-only
"""What the daemon leaves of bulk throughput and of requests on connections that stay open."""

import contextlib
import functools
import json
import os
import re
import resource
import shutil
import subprocess
import tempfile

from witness import IPV4
from witness.runner import Failure, Skip, wait_until

from .figures import AT_LEAST, Figure
from .scene import bench_lab, daemon_cpu_ns, family_cpu_ns, kept, nobody, watching

BULK_PORT, WEB_PORT, REDIS_PORT = 5201, 8200, 8201
MODES = ("tcx", "xdp", "xdp-generic")
BUDGETS = {"tcx": (AT_LEAST, 0.98)}


def watchers(lab):
    @contextlib.contextmanager
    def watched(mode):
        with watching(lab, mode=mode) as daemon:
            yield functools.partial(daemon_cpu_ns, daemon)
    return {mode: functools.partial(watched, mode) for mode in MODES}


@contextlib.contextmanager
def serving(space, port, *command):
    """COMMAND in SPACE until the block ends; it is ready when it listens on PORT."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(space.command(*command), stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=log)
        try:
            wait_until(lambda: space.in_state(port, "LISTEN"), f"nobody listens on port {port}")
            yield process.pid
        finally:
            process.terminate()
            process.wait(30)


def output(space, *command):
    done = subprocess.run(space.command(*command), stdout=subprocess.PIPE, text=True, timeout=60,
                          stderr=subprocess.PIPE, check=False)
    if done.returncode:
        raise Failure(f"{command[0]}: {(done.stderr or done.stdout).strip()[-300:]}")
    return done.stdout


def needs(*tools):
    missing = [tool for tool in tools if not shutil.which(tool)]
    if missing:
        raise Skip(f"not installed: {' '.join(missing)}")


class Work:
    """CLIENT() does some and returns how much a second and how much in all. A run's numbers: what
    it does a second, and for a second of CPU time, of client, server and watcher together."""

    def __init__(self, server, client):
        self.server, self.client = server, client

    def spent_ns(self, cpu):
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        return cpu() + family_cpu_ns(self.server) + (ended.ru_utime + ended.ru_stime) * 1e9

    def __call__(self, cpu=nobody):
        before = self.spent_ns(cpu)
        rate, done = self.client()
        return rate, done * 1e9 / (self.spent_ns(cpu) - before)


def figures(name, what, ratios, budgets=None):
    for mode, values in ratios.items():
        label = {"xdp": "native XDP", "xdp-generic": "generic XDP"}.get(mode, mode)
        yield Figure(f"{name}.{mode}", f"kept by the daemon ({label}) of {what}", "ratio",
                     values[0], (budgets or {}).get(mode))
        yield Figure(f"{name}.{mode}.cpu", "the same for the same CPU time", "ratio", values[1])


def bulk(options):
    """iperf3, one stream towards the watched end."""
    needs("iperf3")
    with bench_lab() as lab, serving(lab.a, BULK_PORT, "iperf3", "-s", "-p", str(BULK_PORT)) as pid:
        def run():
            report = json.loads(output(
                lab.b, "iperf3", "-c", lab.ip(lab.a, IPV4), "-p", str(BULK_PORT), "-J",
                "-t", str(max(round(options.seconds(2)), 1))))
            total = report["end"]["sum_received"]
            return total["bits_per_second"] / 1e9, total["bytes"]
        ratios, off = kept(Work(pid, run), watchers(lab), options.rounds(5))
    yield from figures("bulk", "bulk throughput (iperf3)", ratios, BUDGETS)
    yield Figure("bulk.off", "Gbit/s without it", "count", [row[0] for row in off])


@contextlib.contextmanager
def nginx(lab):
    with tempfile.TemporaryDirectory(prefix="tcpwitness-bench-") as directory:
        os.chmod(directory, 0o755)  # workers of nginx are not root
        with open(f"{directory}/index.html", "w", encoding="ascii") as file:
            file.write("tcpwitness\n" * 40)
        with open(f"{directory}/nginx.conf", "w", encoding="ascii") as file:
            file.write(f"""daemon off; worker_processes 1; pid {directory}/pid;
error_log {directory}/error.log;
events {{ worker_connections 1024; }}
http {{ access_log off; keepalive_requests 100000000;
server {{ listen 0.0.0.0:{WEB_PORT}; root {directory}; }} }}
""")
        with serving(lab.a, WEB_PORT, "nginx", "-p", directory, "-e", f"{directory}/error.log",
                     "-c", f"{directory}/nginx.conf") as pid:
            yield pid


def requests(options):
    """wrk on nginx, connections kept alive."""
    needs("nginx", "wrk")
    with bench_lab() as lab, nginx(lab) as pid:
        def run():
            said = output(lab.b, "wrk", "-t1", "-c32", f"-d{max(round(options.seconds(2)), 1)}s",
                          f"http://{lab.ip(lab.a, IPV4)}:{WEB_PORT}/")
            return (float(re.search(r"Requests/sec:\s*([\d.]+)", said).group(1)),
                    int(re.search(r"(\d+) requests in", said).group(1)))
        ratios, off = kept(Work(pid, run), watchers(lab), options.rounds(4))
    yield from figures("requests.nginx", "requests on kept-alive connections (wrk on nginx)",
                       ratios)
    yield Figure("requests.nginx.off", "requests a second without it", "per second",
                 [row[0] for row in off])


def redis(options):
    """redis-benchmark, connections kept."""
    needs("redis-server", "redis-benchmark")
    count = int(100_000 * options.seconds(1))
    with bench_lab() as lab, serving(
            lab.a, REDIS_PORT, "redis-server", "--port", str(REDIS_PORT), "--bind", "0.0.0.0",
            "--save", "", "--appendonly", "no", "--protected-mode", "no") as pid:
        def run():
            said = output(lab.b, "redis-benchmark", "-h", lab.ip(lab.a, IPV4), "-p",
                          str(REDIS_PORT), "-c", "32", "-n", str(count), "-t", "get", "--csv")
            return float(said.strip().splitlines()[-1].split('","')[1]), count
        ratios, off = kept(Work(pid, run), watchers(lab), options.rounds(4))
    yield from figures("requests.redis", "requests on kept connections (redis-benchmark)", ratios)
    yield Figure("requests.redis.off", "requests a second without it", "per second",
                 [row[0] for row in off])


BENCHES = [
    ("bulk", 120, bulk),
    ("requests", 120, requests),
    ("redis", 200, redis),
]
