# SPDX-License-Identifier: GPL-2.0-only
"""Ordinary load of every kind, in rounds, between the two namespaces of a lab.

Both ends close first, half-close, abort; both are server and client; IPv4 and IPv6; connections
of one request and of many (wrk on nginx, redis-benchmark), and some that last from the first
round to the last. Nothing here is a fault: whatever is reported about it is false.
"""

import contextlib
import itertools
import os
import queue
import shutil
import subprocess
import tempfile
import threading

from .lab import IPV4, IPV6, execute
from .load import connload
from .runner import Failure, Skip, wait_until
from .sockets import Pair

MODES = ("client", "server", "half", "client-rst", "server-rst")
FIRST_PORT, WEB_PORT, REDIS_PORT, LASTING_PORT = 8000, 8200, 8201, 8300
LASTING = 20
WORKERS = 2
TOOLS = ("nginx", "wrk", "redis-server", "redis-benchmark")


def url_host(address):
    return f"[{address}]" if ":" in address else address


class Mixed:
    """The servers of the watched namespace, and rounds of load, whose workers have PORTS each. A
    context manager."""

    def __init__(self, lab, ports=40):
        missing = [tool for tool in TOOLS if not shutil.which(tool)]
        if missing:
            raise Skip(f"not installed: {' '.join(missing)}")
        self.lab, self.ports = lab, ports
        self.base = self._made()
        self._cleanup = contextlib.ExitStack()
        self._lasting = []

    def __enter__(self):
        try:
            self._directory = tempfile.mkdtemp(prefix="tcpwitness-load-")
            self._cleanup.callback(shutil.rmtree, self._directory, True)
            # workers of nginx are not root
            os.chmod(self._directory, 0o755)
            self._start_nginx()
            self._start_redis()
            ports = itertools.count(LASTING_PORT)
            for family in (IPV4, IPV6):
                for space in (self.lab.a, self.lab.b):
                    for _ in range(LASTING // 4):
                        self._lasting.append(Pair(self.lab, space, family, next(ports)))
        except BaseException:
            self._cleanup.close()
            raise
        return self

    def __exit__(self, *_):
        self.end_lasting()
        self._cleanup.close()

    def end_lasting(self):
        while self._lasting:
            self._lasting.pop().close()

    def _start(self, port, *command):
        with open(f"{self._directory}/log-{port}", "wb") as log:
            process = subprocess.Popen(self.lab.a.command(*command), stdout=log, stderr=log,
                                       stdin=subprocess.DEVNULL)
        self._cleanup.callback(self._end, process)
        wait_until(lambda: self.lab.a.in_state(port, "LISTEN") >= 2,
                   f"nobody listens on port {port}")

    @staticmethod
    def _end(process):
        process.terminate()
        process.wait(20)

    def _start_nginx(self):
        path = f"{self._directory}/nginx.conf"
        with open(f"{self._directory}/index.html", "w", encoding="ascii") as file:
            file.write("tcpwitness\n" * 40)
        with open(path, "w", encoding="ascii") as file:
            file.write(f"""daemon off; worker_processes 1; pid {self._directory}/pid;
error_log {self._directory}/error.log;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 200;
server {{ listen 0.0.0.0:{WEB_PORT}; listen [::]:{WEB_PORT}; root {self._directory}; }} }}
""")
        self._start(WEB_PORT, "nginx", "-p", self._directory, "-e",
                    f"{self._directory}/error.log", "-c", path)

    def _start_redis(self):
        self._start(REDIS_PORT, "redis-server", "--port", str(REDIS_PORT), "--bind", "0.0.0.0",
                    "::", "--save", "", "--appendonly", "no", "--protected-mode", "no",
                    "--dir", self._directory)

    # -- the load

    def _made(self):
        counters = self.lab.a.snmp()
        return counters["PassiveOpens"] + counters["ActiveOpens"]

    def made(self):
        """Connections of the watched namespace since the beginning."""
        return self._made() - self.base

    def doors(self):
        """The ports of the watched namespace that every kind of connection comes to."""
        return range(FIRST_PORT, FIRST_PORT + WORKERS * self.ports)

    def round(self, amount):
        """About AMOUNT connections, WORKERS kinds of load at a time."""
        jobs, errors = queue.Queue(), []
        share = max(amount // (len(MODES) * 4), 50)
        for family in (IPV4, IPV6):
            for mode in MODES:
                for server in (self.lab.a, self.lab.b):
                    jobs.put((self._connections, server, family, mode, share))
            jobs.put((self._web, family, share))
            jobs.put((self._redis, family, share))
        workers = [threading.Thread(target=self._work, args=(jobs, errors, number))
                   for number in range(WORKERS)]
        for worker in workers:
            worker.start()
        self._use_lasting()
        for worker in workers:
            worker.join()
        if errors:
            raise errors[0]

    @staticmethod
    def _work(jobs, errors, number):
        while not errors:
            try:
                job, *args = jobs.get_nowait()
            except queue.Empty:
                return
            try:
                job(number, *args)
            except Exception as error:  # told by round()
                errors.append(error)

    def _connections(self, number, server, family, mode, amount):
        first = FIRST_PORT + self.ports * number
        report = connload(self.lab.other(server), server, self.lab.ip(server, family), mode,
                          amount, ports=f"{first}-{first + self.ports - 1}", quiet=True,
                          request=100, reply=200)
        if report["finished"] != amount:
            raise Failure(f"{report['finished']:.0f} of {amount} connections finished")

    def _web(self, _number, family, amount):
        url = f"http://{url_host(self.lab.ip(self.lab.a, family))}:{WEB_PORT}/"
        seconds = "1s" if amount < 5000 else "3s"
        for header in ("X-Kept: alive", "Connection: close"):
            execute(*self.lab.b.command("wrk", "-t1", "-c32", f"-d{seconds}", "-H", header, url))

    def _redis(self, _number, family, amount):
        address = self.lab.ip(self.lab.a, family)
        for keep in ("1", "0"):
            execute(*self.lab.b.command("redis-benchmark", "-h", address, "-p", str(REDIS_PORT),
                                        "-c", "32", "-n", str(amount), "-t", "set,get", "-q",
                                        "-k", keep), timeout=300)

    def _use_lasting(self):
        for pair in self._lasting:
            for sender, receiver in ((pair.client, pair.server), (pair.server, pair.client)):
                sender.sendall(b"still here")
                receiver.recv(64)
