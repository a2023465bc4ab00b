# SPDX-License-Identifier: GPL-2.0-only
"""The daemon under test: started in a namespace, asked by HTTP and by its files, stopped."""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading

from .lab import attached
from .runner import PATIENCE_S, Failure, check, check_equal, wait_until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__)))))
BINARY = os.environ.get("TCPWITNESS", os.path.join(ROOT, ".output", "tcpwitness"))
CONNLOAD = os.environ.get("CONNLOAD", os.path.join(ROOT, ".output/tests/bench/connload"))
WEB_PORT = 10293

_SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)(?: \S+)?$")
_LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"')


class Metrics:
    """One scrape. m("closed_total", how="refused") adds up the series that carry those labels."""

    def __init__(self, text):
        self.text = text
        self.rows = []
        for line in text.splitlines():
            if not line or line.startswith("#"):
                continue
            match = _SAMPLE.match(line)
            if not match:
                raise Failure(f"a line of /metrics cannot be parsed: {line}")
            name, labels, value = match.groups()
            self.rows.append((name, dict(_LABEL.findall(labels or "")), float(value)))

    def series(self, name, **labels):
        name = "tcpwitness_" + name
        return [(have, value) for row, have, value in self.rows
                if row == name and all(have.get(key) == want for key, want in labels.items())]

    def __call__(self, name, **labels):
        rows = self.series(name, **labels)
        if not rows:
            raise Failure(f"/metrics has no tcpwitness_{name} {labels or ''}")
        return sum(value for _, value in rows)

    def by(self, name, label, **labels):
        """{label's value: sum}, without the zeroes."""
        sums = {}
        for have, value in self.series(name, **labels):
            if value:
                sums[have.get(label)] = sums.get(have.get(label), 0) + value
        return sums


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=PATIENCE_S)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE_S)
        self.sock.connect(self._path)


class _SpaceConnection(http.client.HTTPConnection):
    def __init__(self, space, port):
        super().__init__("127.0.0.1", port, timeout=PATIENCE_S)
        self._space = space

    def connect(self):
        self.sock = self._space.socket(socket.AF_INET)
        self.sock.settimeout(PATIENCE_S)
        self.sock.connect((self.host, self.port))


class Daemon:
    """`tcpwitness run` in a namespace. Leaving the with block stops it by SIGTERM and asserts a
    clean exit with nothing left attached, unless an exception is on its way. It sweeps more often
    than by default, so that tests need not wait for it; SWEEP None: as it does by default."""

    def __init__(self, space, *flags, device=None, mode=None, connections=True, wait=True, sweep=1):
        self.space = space
        self.directory = tempfile.mkdtemp(prefix="tcpwitness-net-")
        self.events_path = os.path.join(self.directory, "events")
        self.socket_path = os.path.join(self.directory, "api.sock")
        self.log_path = os.path.join(self.directory, "log")
        command = [BINARY, "run", f"--events.file={self.events_path}",
                   f"--web.listen-address=127.0.0.1:{WEB_PORT}",
                   f"--api.socket={self.socket_path}"]
        command += [f"--device={device}"] if device else []
        command += [f"--capture.mode={mode}"] if mode else []
        command += ["--events.connections"] if connections else []
        command += [f"--sweep.interval={sweep}"] if sweep is not None else []
        if not os.access(BINARY, os.X_OK):
            raise Failure(f"{BINARY} is not built")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(space.command(*command, *flags), stdout=log,
                                            stderr=log, stdin=subprocess.DEVNULL)
        self.events = []
        self._offset = 0
        self._reading = threading.Lock()
        self._ended = False
        if wait:
            try:
                wait_until(self._ready, lambda: f"not ready: {self.log()[-600:]}", 2 * PATIENCE_S)
            except BaseException:
                self.kill()
                shutil.rmtree(self.directory, ignore_errors=True)
                raise

    def _ready(self):
        if self.process.poll() is not None:
            raise Failure(f"the daemon ended with {self.process.returncode}: {self.log()[-600:]}")
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.web("/-/ready")[0] == 200
        return False

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None and not self._ended:
                self.stop()
            elif kind is not None:
                print("# daemon's log:", *self.log().splitlines()[-15:], sep="\n#   ")
        finally:
            self.kill()
            shutil.rmtree(self.directory, ignore_errors=True)

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def stop(self, number=signal.SIGTERM, leaves=()):
        """Ends it by a signal: exit status 0, and nothing attached but LEAVES."""
        self._ended = True
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            status = self.process.wait(2 * PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise Failure(f"signal {number} did not end the daemon: {self.log()[-300:]}") from None
        check(status == 0, f"exit status {status} after signal {number}: {self.log()[-600:]}")
        check_equal("attached after the end", attached(self.space), list(leaves))

    def kill(self):
        self._ended = True
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    # -- HTTP

    def web(self, path, method="GET", headers=None, over_tcp=False):
        """(status, headers, body). By the Unix socket, which answers the same as the TCP port:
        asking must not add TCP connections to what is measured."""
        connection = (_SpaceConnection(self.space, WEB_PORT) if over_tcp
                      else _UnixConnection(self.socket_path))
        try:
            connection.request(method, path, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def get(self, path, **options):
        status, _, body = self.web(path, **options)
        check_equal(f"GET {path}", status, 200)
        return body.decode()

    def metrics(self, over_tcp=False):
        return Metrics(self.get("/metrics", over_tcp=over_tcp))

    def api(self, what):
        return json.loads(self.get(f"/api/v1/{what}"))

    def connections(self):
        """The live connections, by (local, remote)."""
        answer = self.api("connections")
        rows = answer["connections"] if isinstance(answer, dict) else answer
        return {(row["local"], row["remote"]): row for row in rows}

    # -- events

    def read_events(self):
        """All events so far; every line must be JSON with the fields of its kind."""
        if os.path.exists(self.events_path):
            with self._reading, open(self.events_path, encoding="utf-8") as file:
                file.seek(self._offset)
                while True:
                    line = file.readline()
                    if not line.endswith("\n"):
                        break
                    self._offset += len(line.encode())
                    self.events.append(json.loads(line))
        return list(self.events)

    def find(self, event, **fields):
        return [row for row in self.read_events() if row.get("event") == event
                and all(row.get(key) == want for key, want in fields.items())]

    def wait_event(self, event, seconds=PATIENCE_S, **fields):
        """The first such event, waited for."""
        rows = wait_until(
            lambda: self.find(event, **fields),
            lambda: f"no event {event} {fields}; the last ones: {self.read_events()[-3:]}",
            seconds)
        return rows[0]

    def problems(self):
        return [row for row in self.find("divergence_open") if row.get("class") == "problem"]

    # -- quiescence

    def settled(self, seconds=PATIENCE_S):
        """Scrapes until two in a row agree on what was recorded, and nothing is pending."""
        def once():
            now = self.metrics()
            rings = [sum(now(name, ring=ring) for name in (
                "records_decoded_total", "records_rejected_total", "records_lost_total"))
                for ring in self.rings(now)]
            tried = [now("records_attempted_total", ring=ring) for ring in self.rings(now)]
            same = tried == self._tried and tried == rings
            self._tried = tried
            return now if same else None
        self._tried = None
        return wait_until(once, lambda: f"records still pending, attempted {self._tried}",
                          seconds, pause=0.06)

    @staticmethod
    def rings(metrics):
        return sorted({have["ring"] for have, _ in metrics.series("records_attempted_total")})
