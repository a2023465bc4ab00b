# SPDX-License-Identifier: GPL-2.0-only
"""Debian's Prometheus in a namespace: scrapes every second, evaluates rules every second."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import urllib.parse

from .runner import Failure, wait_until

PORT = 9090


class Prometheus:
    """JOBS: {job's name: the port it scrapes at 127.0.0.1}. RULES: files. ALERTMANAGER: its port."""

    def __init__(self, space, jobs, rules=(), alertmanager=None):
        self.space, self.jobs = space, jobs
        self.directory = tempfile.mkdtemp(prefix="tcpwitness-prometheus-")
        config = os.path.join(self.directory, "prometheus.yml")
        with open(config, "w", encoding="ascii") as file:
            json.dump({
                "global": {"scrape_interval": "1s", "scrape_timeout": "1s",
                           "evaluation_interval": "1s"},
                "rule_files": list(rules),
                "alerting": {"alertmanagers": [{"static_configs": [
                    {"targets": [f"127.0.0.1:{alertmanager}"]}]}] if alertmanager else []},
                "scrape_configs": [
                    {"job_name": name, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
                    for name, port in jobs.items()],
            }, file)
        self.log_path = os.path.join(self.directory, "log")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(space.command(
                "prometheus", f"--config.file={config}",
                f"--storage.tsdb.path={self.directory}/data",
                f"--web.listen-address=127.0.0.1:{PORT}"),
                stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def ask(self, path, **arguments):
        """The data of an answer; None while there is none."""
        if self.process.poll() is not None:
            raise Failure(f"Prometheus ended: {self.log()[-600:]}")
        url = f"http://127.0.0.1:{PORT}/api/v1/{path}"
        if arguments:
            url += "?" + urllib.parse.urlencode(arguments)
        answer = subprocess.run(self.space.command("curl", "-sf", "-m", "10", url),
                                capture_output=True, check=False)
        return json.loads(answer.stdout)["data"] if answer.returncode == 0 else None

    def query(self, expression, **arguments):
        """[(labels, value)]. No answer is not an empty one."""
        data = self._must("query", query=expression, **arguments)
        return [(row["metric"], float(row["value"][1])) for row in data["result"]]

    def query_range(self, expression, start, end, step=1):
        """[(labels, [(time, value)])]"""
        data = self._must("query_range", query=expression, start=start, end=end, step=step)
        return [(row["metric"], [(when, float(value)) for when, value in row["values"]])
                for row in data["result"]]

    def _must(self, path, **arguments):
        data = self.ask(path, **arguments)
        if data is None:
            raise Failure(f"Prometheus does not answer {path} {arguments}: {self.log()[-300:]}")
        return data

    def targets(self):
        data = self.ask("targets")
        return {row["labels"]["job"]: row for row in data["activeTargets"]} if data else {}

    def wait_scraped(self):
        """Until the last scrape of all jobs went well."""
        def all_up():
            rows = self.targets()
            return len(rows) == len(self.jobs) and all(
                row["health"] == "up" for row in rows.values())
        wait_until(all_up, lambda: "not scraped: " + "; ".join(
            f"{job}: {row['health']} {row['lastError']}"
            for job, row in self.targets().items()), 30, pause=0.2)
