# SPDX-License-Identifier: GPL-2.0-only
"""Debian's Alertmanager in a namespace, and the webhook it calls: what whoever is on call gets."""

import http.server
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading

from .runner import wait_until

PORT, HOOK_PORT = 9093, 9094
ROUTE = {"receiver": "hook", "group_by": ["..."], "group_wait": "1s", "group_interval": "1s",
         "repeat_interval": "1h"}


class Alertmanager:
    """Starts both. `received`: [(status, labels)] as they came."""

    def __init__(self, space):
        self.directory = tempfile.mkdtemp(prefix="tcpwitness-alertmanager-")
        self.received = []
        with space:
            self._hook = http.server.ThreadingHTTPServer(("127.0.0.1", HOOK_PORT), self._handler())
        self._thread = threading.Thread(target=self._hook.serve_forever, daemon=True)
        self._thread.start()
        config = os.path.join(self.directory, "alertmanager.yml")
        with open(config, "w", encoding="ascii") as file:
            json.dump({"route": ROUTE, "receivers": [{"name": "hook", "webhook_configs": [{
                "url": f"http://127.0.0.1:{HOOK_PORT}/", "send_resolved": True}]}]}, file)
        self.log_path = os.path.join(self.directory, "log")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(space.command(
                "prometheus-alertmanager", f"--config.file={config}",
                f"--storage.path={self.directory}/data", "--cluster.listen-address=",
                f"--web.listen-address=127.0.0.1:{PORT}"),
                stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def _handler(self):
        received = self.received

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                received.extend((row["status"], row["labels"]) for row in body["alerts"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass
        return Handler

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._hook.shutdown()
        self._hook.server_close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def wait(self, status, alert, **labels):
        """Until the webhook was told that ALERT with these labels is STATUS."""
        want = {"alertname": alert, **labels}

        def told():
            return any(have == status and want.items() <= row.items()
                       for have, row in list(self.received))
        wait_until(told, lambda: f"no {status} {want} among {self.received}; {self.log()[-400:]}",
                   60, 0.1)
