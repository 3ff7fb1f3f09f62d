"""
A small server of dbt Cloud's API over TLS: jobs that run for half a second, and faults when they are submitted or read.

As far as the provider's run operator uses it: trigger a job, list runs, read a run. A run that was asked for with the
word ``nonsense`` fails.
"""

from __future__ import annotations

import json
import re
import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

RUNS_FOR = 0.5  # seconds
RUNNING, SUCCESS, ERROR = 3, 10, 20


class DbtCloudServer:
    """
    Runs in threads of its own; a context manager.

    :param certificate: PEM file with a certificate for 127.0.0.1 and its key.
    """

    def __init__(self, certificate: Path) -> None:
        server = self
        self.started: list[float] = []
        #: What each run was asked for with, and states of runs (by their ids) that are not left to time.
        self.asked: list[str] = []
        self.told: dict[int, int] = {}
        #: How many of the next submissions, or reads, go wrong, and how.
        self.faults: dict[str, list[str]] = {"POST": [], "GET": []}

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                self._answer(lambda: server.submit(body))

            def do_GET(self) -> None:
                self._answer(lambda: server.read(self.path))

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

            def _answer(self, work: Callable[[], Any]) -> None:
                fault = server.next_fault(self.command)
                data = None if fault == "502 before" else work()
                if fault == "lost":
                    self.close_connection = True
                    return
                body = b"" if fault else json.dumps({"data": data}).encode()
                self.send_response(int(fault[:3]) if fault else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate)
        self._http.socket = tls.wrap_socket(self._http.socket, server_side=True)
        self.host = f"127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)

    def __enter__(self) -> DbtCloudServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def next_fault(self, method: str) -> str | None:
        """Return what goes wrong with this request: a status (``502 before``: no effect), or ``lost``: no answer."""
        return self.faults[method].pop() if self.faults[method] else None

    def submit(self, body: str) -> dict[str, Any]:
        """Start a run."""
        self.asked.append(body)
        self.started.append(time.monotonic())
        return self.run(len(self.started))

    def read(self, path: str) -> Any:
        """Return a run by its id, or all that are not at their end."""
        if found := re.search(r"/runs/(\d+)/", path):
            return self.run(int(found[1]))
        runs = [self.run(number) for number in range(len(self.started), 0, -1)]
        return [run for run in runs if run["status"] == RUNNING]

    def run(self, number: int) -> dict[str, Any]:
        """Return a run as the API tells it."""
        end = ERROR if "nonsense" in self.asked[number - 1] else SUCCESS
        by_time = end if time.monotonic() - self.started[number - 1] > RUNS_FOR else RUNNING
        status = self.told.get(number, by_time)
        href = f"https://{self.host}/runs/{number}/"
        return {"id": number, "account_id": 1, "job_definition_id": 7, "status": status, "href": href}
