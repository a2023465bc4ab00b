#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""A real Prometheus scrapes the daemon, in both formats, and ends up with what the daemon said.

Prometheus 2.42 always prefers OpenMetrics; a small relay in front of the daemon asks for the text
format in its place. Beside it, promtool and the strict OpenMetrics checker read a live scrape.
"""

import contextlib
import http.server
import re
import shutil
import subprocess
import sys
import threading

import openmetrics
from witness import (
    IPV4, IPV6, Daemon, Lab, Pair, Skip, case, check, check_equal, main, wait_until,
)
from witness.daemon import WEB_PORT
from witness.prometheus import Prometheus

TEXT = "text/plain;version=0.0.4"
OPENMETRICS = "application/openmetrics-text;version=1.0.0"
CONTENT_TYPES = {
    TEXT: "text/plain; version=0.0.4; charset=utf-8",
    OPENMETRICS: "application/openmetrics-text; version=1.0.0; charset=utf-8",
}
RELAY_PORT, OPEN_PORT = 9091, 10294


class Relay:
    """Passes every GET on to the daemon, asking for the text format."""

    def __init__(self, space, daemon):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                status, headers, body = daemon.web(self.path, headers={"Accept": TEXT})
                self.send_response(status)
                self.send_header("Content-Type", headers["Content-Type"])
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        with space:
            self.server = http.server.ThreadingHTTPServer(("127.0.0.1", RELAY_PORT), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@contextlib.contextmanager
def world():
    if not shutil.which("prometheus") or not shutil.which("promtool"):
        raise Skip("prometheus is not installed")
    with contextlib.ExitStack() as stack:
        lab = stack.enter_context(Lab("prometheus"))
        # every interface, and a second address that other hosts reach
        daemon = stack.enter_context(Daemon(
            lab.a, f"--web.listen-address=[::]:{OPEN_PORT}"))
        for space in (lab.a, lab.b):
            Pair(lab, space, IPV4, 7600).close()
        daemon.settled()
        relay = Relay(lab.a, daemon)
        stack.callback(relay.close)
        prometheus = stack.enter_context(Prometheus(
            lab.a, {"openmetrics": WEB_PORT, "text": RELAY_PORT}))
        prometheus.wait_scraped()
        yield lab, daemon, prometheus


def scrape(daemon, accept, **headers):
    status, answered, body = daemon.web("/metrics", headers={"Accept": accept, **headers},
                                        over_tcp=True)
    check_equal("status", status, 200)
    check_equal("Content-Type", answered["Content-Type"], CONTENT_TYPES[accept])
    return body


@case("promtool check metrics finds nothing in a live scrape")
def promtool(state):
    _, daemon, _ = state
    done = subprocess.run(["promtool", "check", "metrics"], input=scrape(daemon, TEXT),
                          capture_output=True, check=False)
    check(done.returncode == 0 and not done.stderr.strip(),
          f"promtool: {done.returncode} {(done.stdout + done.stderr).decode()}")


@case("the strict checker finds nothing in a live OpenMetrics scrape")
def strict(state):
    _, daemon, _ = state
    check_equal("errors", openmetrics.check(scrape(daemon, OPENMETRICS)), [])


@case("gzip: smaller, and the same metrics")
def gzipped(state):
    _, daemon, _ = state
    packed = subprocess.run(["gzip", "-dc"], check=True, capture_output=True, input=scrape(
        daemon, OPENMETRICS, **{"Accept-Encoding": "gzip"})).stdout
    check_equal("errors", openmetrics.check(packed), [])


def names_of(text):
    return {line.split("{")[0].split(" ")[0] for line in text.decode().splitlines()
            if line and not line.startswith("#")}


@case("both formats carry the same series")
def same_series(state):
    _, daemon, _ = state

    def series(body):
        # le is a canonical float in one of them: 1.6e-05 beside 0.000016
        return sorted(re.sub(r'le="([0-9.e-]+)"', lambda le: f'le="{float(le[1])}"',
                             line.rsplit(" ", 1)[0])
                      for line in body.decode().splitlines() if not line.startswith("#"))
    def differ():
        return set(series(scrape(daemon, TEXT))) ^ set(series(scrape(daemon, OPENMETRICS)))
    # a listener that has just come may have its series in the second scrape only
    wait_until(lambda: not differ(), lambda: f"in one only: {sorted(differ())[:5]}")
    check(series(scrape(daemon, TEXT)), "there are no series at all")


@case("Prometheus has every sample of OpenMetrics, none refused", "openmetrics")
@case("Prometheus has every sample of the text format, none refused", "text")
def all_samples(state, job):
    _, daemon, prometheus = state
    def complete():
        offered = scrape(daemon, TEXT)
        lines = sum(1 for line in offered.decode().splitlines() if not line.startswith("#"))
        taken = prometheus.query(f'scrape_samples_scraped{{job="{job}"}}')
        kept = {row["__name__"] for row, _ in prometheus.query(
            f'{{__name__=~"tcpwitness_.+|process_.+",job="{job}"}}')}
        return taken and taken[0][1] == lines and not names_of(offered) - kept
    wait_until(complete, lambda: f"{prometheus.query('scrape_samples_scraped')} is not all")
    check("level=warn" not in prometheus.log() and "level=error" not in prometheus.log(),
          f"Prometheus complains: {prometheus.log()}")


@case("the values are the daemon's, by job openmetrics", "openmetrics")
@case("the values are the daemon's, by job text", "text")
def values(state, job):
    _, daemon, prometheus = state
    # counters, which asking Prometheus itself moves on: what it has was true in between
    truth = daemon.metrics()
    for name, labels in (("connections_opened_total", {"role": "client"}),
                         ("connections_opened_total", {"role": "server"}),
                         ("received_segments_total", {"kind": "synack"}),
                         ("divergences_total", {"kind": "syn_dropped"}),
                         ("handshake_duration_seconds_count", {"role": "client"}),
                         ("flow_table_limit", {}), ("ready", {}),
                         ("records_decoded_total", {"ring": "segment"}),
                         ("records_lost_total", {"ring": "segment"})):
        matcher = ",".join([f'job="{job}"'] + [f'{k}="{v}"' for k, v in labels.items()])
        expression = f"sum(tcpwitness_{name}{{{matcher}}})"
        low = truth(name, **labels)
        got = wait_until(lambda: [value for _, value in prometheus.query(expression)
                                  if value >= low],
                         lambda: f"{expression} is {prometheus.query(expression)}, not {low}")
        high = daemon.metrics()(name, **labels)
        check(got[0] <= high, f"{expression} is {got[0]}, more than {high}")
    check(truth("connections_opened_total") > 0, "no connection was counted at all")
    quantile = prometheus.query(
        f'histogram_quantile(0.5, tcpwitness_handshake_duration_seconds_bucket{{job="{job}"}})')
    check(len(quantile) == 2, f"quantiles by role: {quantile}")


@case("no counter ever went back")
def monotonic(state):
    _, _, prometheus = state
    counters = [name for name in prometheus.ask("label/__name__/values")
                if re.fullmatch(r"(tcpwitness|process)_.+_(total|bucket|count|sum)", name)]
    # one by one: series of two names may differ in nothing else, and resets() drops the name
    went_back = [(name, row) for name in counters
                 for row, _ in prometheus.query(f"resets({name}[5m]) > 0")]
    check_equal("resets", went_back, [])
    check(len(counters) > 50, f"only {len(counters)} counters")


@case("Prometheus knows types, units and helps from OpenMetrics")
def metadata(state):
    _, _, prometheus = state

    def of(metric):
        rows = prometheus.ask("targets/metadata", match_target='{job="openmetrics"}',
                              metric=metric) or []
        return [(row["type"], row["unit"], bool(row["help"])) for row in rows]
    for metric, want in (("tcpwitness_divergences", ("counter", "", True)),
                         ("tcpwitness_connections", ("gauge", "", True)),
                         ("tcpwitness_handshake_duration_seconds",
                          ("histogram", "seconds", True)),
                         ("tcpwitness_interface", ("info", "", True))):
        wait_until(lambda: of(metric),
                   f"no metadata of {metric}")
        check_equal(metric, of(metric), [want])


@case("HEAD, 404 and 405 over TCP")
def methods(state):
    _, daemon, _ = state
    status, headers, body = daemon.web("/metrics", method="HEAD", over_tcp=True)
    check_equal("HEAD", (status, body), (200, b""))
    check(int(headers["Content-Length"]) > 1000, f"HEAD's length {headers}")
    check_equal("404", daemon.web("/nothing", over_tcp=True)[0], 404)
    status, headers, _ = daemon.web("/metrics", method="POST", over_tcp=True)
    check_equal("POST", (status, headers.get("Allow")), (405, "GET, HEAD"))


@case("metrics for everybody, connections for this host only, by IPv4 and IPv6")
def peers(state):
    lab, _, _ = state

    def status(space, address, path, host):
        return int(space.run("curl", "-s", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}",
                             "-H", f"Host: {host}", f"http://{address}:{OPEN_PORT}{path}"))
    for address, loopback in ((lab.ip(lab.a, IPV4), "127.0.0.1"),
                              (f"[{lab.ip(lab.a, IPV6)}]", "[::1]")):
        local = f"localhost:{OPEN_PORT}"
        check_equal(f"{address}: metrics", status(lab.b, address, "/metrics", local), 200)
        check_equal(f"{address}: API", status(lab.b, address, "/api/v1/connections", local), 403)
        check_equal(f"{loopback}: API", status(lab.a, loopback, "/api/v1/connections", local), 200)
        # this host, but not by loopback: what it asked for is an address others have, too
        check_equal(f"{address}: API from this host",
                    status(lab.a, address, "/api/v1/connections", local), 403)


@case("the API answers this host, and nobody who was sent here by another name")
def hosts(state):
    _, daemon, _ = state
    check_equal("loopback", daemon.web("/api/v1/status", over_tcp=True)[0], 200)
    check_equal("rebinding", daemon.web("/api/v1/connections", over_tcp=True,
                                        headers={"Host": "evil.example:10293"})[0], 403)


if __name__ == "__main__":
    sys.exit(main(world))
