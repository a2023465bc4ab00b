# SPDX-License-Identifier: GPL-2.0-only
"""Many connections by the C load generator, client and server in their namespaces."""

import os
import subprocess

from .daemon import ROOT
from .runner import Failure, Skip

CONNLOAD = os.environ.get("CONNLOAD", os.path.join(ROOT, ".output/tests/bench/connload"))


def connload(client_space, server_space, address, mode, count, concurrency=64, ports="8000-8003",
             timeout=300, quiet=False, **options):
    """Runs COUNT connections; returns the client's report as a dict. MODE says who closes how."""
    if not os.access(CONNLOAD, os.X_OK):
        raise Skip(f"{CONNLOAD} is not built")
    common = ["--address", address, "--ports", ports, "--mode", mode]
    for name, value in options.items():
        common += [f"--{name}", str(value)]
    server = subprocess.Popen(
        server_space.command(CONNLOAD, "server", *common), stdout=subprocess.PIPE, text=True)
    try:
        if server.stdout.readline() != "ready\n":
            raise Failure("connload server did not come up")
        done = subprocess.run(
            client_space.command(CONNLOAD, "client", *common, "--count", str(count),
                                 "--concurrency", str(concurrency)),
            stdout=subprocess.PIPE, text=True, timeout=timeout, check=False)
    finally:
        server.terminate()
        served, _ = server.communicate(timeout=20)
    if done.returncode:
        raise Failure(f"connload: {done.stdout.strip() or done.returncode}; {served.strip()}")
    if not quiet:
        print(f"# {done.stdout.strip()}")
    return parse(done.stdout)


def parse(line):
    report = dict(item.split("=", 1) for item in line.split())
    return {key: value if key in ("role", "mode") else float(value)
            for key, value in report.items()}
