"""The life of a task whose executions and triggers are real processes, and what Airflow's API server is to them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil

from airflow_provider_orchestration.emulator.testing import wait_for
from tests.support.task_life import StaleExecutionError, StateStore

ROOT = Path(__file__).resolve().parents[2]


class ApiServer:
    """
    The state store, XComs and reports of one task, over HTTP.

    A call can be held at a point, before or after it took effect, while the process that made it waits for its answer.
    """

    def __init__(self) -> None:
        self.store = StateStore()
        self.xcoms: dict[str, Any] = {}
        self.reports: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._hold_at = ""
        self._held = threading.Event()
        self._go_on = threading.Event()
        self._drop = False
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def close(self) -> None:
        self.go_on(drop=True)
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def hold_at(self, point: str) -> None:
        """Hold the next call that comes to a point, e.g. ``after write intent``."""
        self._hold_at = point
        self._held.clear()
        self._go_on.clear()

    def wait_until_held(self) -> None:
        assert self._held.wait(30), f"no call came to {self._hold_at!r}"

    def go_on(self, *, drop: bool = False) -> None:
        """Let the call that is held go on; `drop` forgets it: who made it is dead."""
        self._hold_at, self._drop = "", drop
        self._go_on.set()

    def _point(self, point: str) -> None:
        if point == self._hold_at:
            self._hold_at = ""
            self._held.set()
            assert self._go_on.wait(60)
            if self._drop:
                raise ConnectionAbortedError

    def answer(self, path: str, call: dict[str, Any]) -> Any:
        """Do what a call wants."""
        accessor = self.store.accessor(call["execution"])
        if path == "/get":
            with self._lock:
                return accessor.get(call["key"])
        if path == "/set":
            self._point(f"before write {call['value'].get('phase', 'deferral')}")
            with self._lock:
                accessor.set(call["key"], call["value"])
            self._point(f"after write {call['value'].get('phase', 'deferral')}")
            return None
        if path == "/report":
            self._point(f"report {call['state']}")
        with self._lock:
            if call["execution"] != self.store.current:
                raise StaleExecutionError("404: not the current execution")
            if path == "/report":
                self.reports.append(call)
            else:
                self.xcoms[call["key"]] = call["value"]
        return None


def _handler(api: ApiServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            call = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status = 200
            try:
                answer = api.answer(self.path, call)
            except ConnectionAbortedError:
                return
            except StaleExecutionError as error:
                status, answer = 404, str(error)
            with contextlib.suppress(OSError):
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler


@dataclass
class Process:
    """One process of a task or of a triggerer."""

    pid: int

    @property
    def alive(self) -> bool:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.signal(signal.SIGKILL)
        self.wait()

    def stop(self) -> None:
        """SIGSTOP, and wait until it stands."""
        self.signal(signal.SIGSTOP)
        wait_for(lambda: psutil.Process(self.pid).status() == psutil.STATUS_STOPPED)

    def go_on(self) -> None:
        """SIGCONT."""
        self.signal(signal.SIGCONT)

    def wait(self) -> None:
        wait_for(lambda: not self.alive)


class Forks:
    """The process that forks all others, see :mod:`tests.faults.task_process`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.task_process"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._forked: list[Process] = []
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def start(self, order: dict[str, Any]) -> Process:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(order) + "\n")
        stdin.flush()
        process = Process(int(stdout.readline()))
        self._forked.append(process)
        return process

    def end_all(self) -> None:
        """End all processes that were forked."""
        for process in self._forked:
            process.kill()
        self._forked.clear()

    def close(self) -> None:
        self.end_all()
        self._process.communicate(timeout=10)


class ProcessLife:
    """
    The life of one task in real processes; its names are those of :class:`tests.support.task_life.TaskLife`.

    :param operator: arguments of its `RunWorkflowOperator`.
    :param env: the connection.
    """

    def __init__(self, forks: Forks, operator: dict[str, Any], env: dict[str, str], retries: int = 2) -> None:
        self.api = ApiServer()
        self.forks = forks
        self.operator = operator
        self.env = env
        self.retries = self.max_tries = retries
        self.try_number = 0
        self.state: str | None = None
        self.error: str | None = None
        self.settings: dict[str, Any] = {}
        self._deferral: dict[str, Any] = {}

    @property
    def record(self) -> dict[str, Any]:
        record: dict[str, Any] = self.api.store.rows["formance_run"]
        return record

    @property
    def xcoms(self) -> dict[str, Any]:
        return self.api.xcoms

    def begin(self) -> Process:
        """Start the next try."""
        self.try_number += 1
        self.state = "running"
        return self._start(method="execute", kwargs={})

    def fire(self) -> Process:
        """Start the trigger of the deferred task."""
        return self._start(trigger=self._deferral["trigger"])

    def resume(self, event: Any) -> Process:
        """Start what goes on after the trigger's event."""
        self.state = "running"
        return self._start(method=self._deferral["method"], kwargs={**self._deferral["kwargs"], "event": event})

    def _start(self, **order: Any) -> Process:
        self.api.store.current += 1
        names = ("dag_id", "run_id", "task_id", "map_index", "try_number", "max_tries")
        ti = dict(zip(names, ("dag", "run", "task", -1, self.try_number, self.max_tries), strict=True))
        return self.forks.start(
            {
                "url": self.api.url,
                "execution": self.api.store.current,
                "operator": self.operator,
                "ti": ti,
                "env": self.env,
                "settings": self.settings,
                **order,
            }
        )

    def take_report(self, process: Process) -> dict[str, Any]:
        """Wait for the end of a process, and return what it reported."""
        process.wait()
        report = self.api.reports.pop()
        self.state, self.error = report["state"], report.get("error")
        if self.state == "deferred":
            self._deferral = report
        elif self.state == "up_for_retry" and self.try_number > self.max_tries:
            self.state = "failed"
        return report

    def resume_after(self, trigger: Process) -> Process:
        """Wait for the end of a trigger, and start what goes on after its event."""
        trigger.wait()
        return self.resume(self.api.reports.pop()["event"])

    def finish(self, process: Process) -> str:
        """Let a process go to its end, and the task with it: deferrals and retries included."""
        self.take_report(process)
        while self.state in ("deferred", "up_for_retry"):
            process = self.begin() if self.state == "up_for_retry" else self.resume_after(self.fire())
            self.take_report(process)
        assert self.state is not None
        return self.state

    def lose(self) -> None:
        """Give up the present process, as Airflow does without a heartbeat."""
        self.api.store.current += 1
        self.state = "up_for_retry" if self.try_number <= self.max_tries else "failed"

    def clear(self) -> None:
        self.api.store.current += 1
        self.max_tries = self.try_number + self.retries
        self.state = None
