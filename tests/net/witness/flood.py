# SPDX-License-Identifier: GPL-2.0-only
"""Floods from spoofed sources by the C generator, and an honest client beside them."""

import contextlib
import json
import os
import selectors
import subprocess
import threading

from .daemon import ROOT
from .lab import IPV4, IPV6
from .runner import Failure, Skip
from .sockets import client_of, local_of

FLOOD = os.environ.get("FLOOD", os.path.join(ROOT, ".output/tests/bench/flood"))
SOURCES = {IPV4: "10.77.0.0/16", IPV6: "fd77::/64"}
GATEWAYS = {IPV4: "10.9.0.77", IPV6: "fd09::77"}


class Generator:
    """Makes namespace a of a lab believe that the spoofed sources are behind b. What a answers them
    b drops, as the internet would: nobody there asked for it."""

    def __init__(self, lab):
        if not os.access(FLOOD, os.X_OK):
            raise Skip(f"{FLOOD} is not built")
        self.lab = lab
        self._mac = self._address(lab.a, "v0")
        for family, gateway in GATEWAYS.items():
            lab.a.run("ip", "neigh", "replace", gateway, "lladdr", self._address(lab.b, "v1"),
                      "dev", "v0")
            lab.a.run("ip", "route", "replace", SOURCES[family], "via", gateway)

    @staticmethod
    def _address(space, device):
        return json.loads(space.run("ip", "-j", "link", "show", "dev", device))[0]["address"]

    def start(self, families, ports, **options):
        """A Popen; its report comes by report(). Options are those of tests/bench/flood.c."""
        command = [FLOOD, "--device", "v1", "--mac", self._mac, "--ports", str(ports)]
        for family in families:
            command += ["--target", self.lab.ip(self.lab.a, family), "--source", SOURCES[family]]
        for name, value in options.items():
            command += [f"--{name}", str(value)]
        return subprocess.Popen(self.lab.b.command(*command), stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    @staticmethod
    def report(process, timeout=120):
        try:
            out, err = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            process.wait()
            raise
        if process.returncode:
            raise Failure(f"flood: {err.strip() or process.returncode}")
        return json.loads(out)

    def run(self, families, ports, **options):
        return self.report(self.start(families, ports, **options))


class Service:
    """Accepts on a listening socket and answers octets by as many, until the client closes."""

    def __init__(self, listening):
        self._listening = listening
        self._listening.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(listening, selectors.EVENT_READ)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        while not self._stop.is_set():
            for key, _ in self._selector.select(0.05):
                with contextlib.suppress(OSError):
                    self._handle(key.fileobj)
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()
        self._selector.close()

    def _handle(self, sock):
        if sock is self._listening:
            child, _ = sock.accept()
            child.setblocking(False)
            self._selector.register(child, selectors.EVENT_READ)
            return
        try:
            octets = sock.recv(64)
            sock.sendall(octets)
        except OSError:
            octets = b""
        if not octets:
            self._selector.unregister(sock)
            sock.close()

    def close(self):
        self._stop.set()
        self._thread.join()


class Client:
    """Honest connections to a Service, one after another, until stop()."""

    def __init__(self, lab, family, target):
        self._lab, self._family, self._target = lab, family, target
        self._stop = threading.Event()
        self.tuples, self.errors = [], []
        self._thread = threading.Thread(target=self._loop)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _loop(self):
        while not self._stop.is_set():
            try:
                with self.connect() as sock:
                    ask(sock)
            except OSError as error:
                self.errors.append(str(error))

    def connect(self):
        sock = client_of(self._lab.b, self._family, self._target)
        self.tuples.append(local_of(sock))
        return sock


def ask(sock):
    sock.sendall(b"q")
    if sock.recv(1) != b"q":
        raise Failure("the service does not answer")
