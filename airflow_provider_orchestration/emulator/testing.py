"""Starts an emulator for a test or a demonstration, and ends it for sure."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import quote

_START_SECONDS = 30.0
_END_SECONDS = 10.0
_CONTROL_SECONDS = 30.0
T = TypeVar("T")


class EmulatorProcess:
    """An emulator in a process of its own, on a free port; a context manager.

    :param options: further options of the command line, e.g. ``"--time-scale", "0.1"``.
    :param port: port to listen at; 0 (the default) takes a free one.
    :param server: whose answers it gives: ``2.6`` (the default), or ``next``.
    :param python: interpreter to use; this one by default.
    :raises RuntimeError: on entering, if it does not listen within 30 seconds; the message holds what it said.
    """

    def __init__(self, *options: str | Path, port: int = 0, python: str = sys.executable, server: str = "2.6") -> None:
        self._command = [python, "-m", "airflow_provider_orchestration.emulator", "--port", str(port)]
        self._command += ["--server", server]
        self._command += [str(option) for option in options]
        self._process: subprocess.Popen[str] | None = None
        self._said: list[str] = []
        self.url = ""
        self.client_id = ""
        self.client_secret = ""

    def __enter__(self) -> EmulatorProcess:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise RuntimeError("the emulator has not been started")
        return self._process

    @property
    def pid(self) -> int:
        """The process id."""
        return self._running().pid

    @property
    def flows_url(self) -> str:
        """Where Flows is in this stack."""
        return f"{self.url}/api/orchestration"

    @property
    def token_url(self) -> str:
        """Where tokens are given."""
        return f"{self.url}/api/auth/oauth/token"

    def start(self) -> EmulatorProcess:
        """Start it and wait until it listens."""
        self._said.clear()
        self._process = process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            self._command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
        )
        reader = threading.Thread(target=self._said.extend, args=(process.stderr or (),), daemon=True)
        reader.start()
        timer = threading.Timer(_START_SECONDS, process.kill)
        timer.start()
        try:
            line = process.stdout.readline() if process.stdout else ""
        finally:
            timer.cancel()
        if not line:
            process.wait()
            reader.join()
            self.stop()
            raise RuntimeError(f"the emulator did not start: {''.join(self._said).strip()}")
        told = json.loads(line)
        self.url, self.client_id, self.client_secret = told["url"], told["client_id"], told["client_secret"]
        return self

    def kill(self) -> None:
        """End it as a crash would."""
        self._running().kill()
        self._running().wait()

    def wait(self, seconds: float) -> int:
        """Wait for its end, so long at most; gives its exit code.

        :raises subprocess.TimeoutExpired: it goes on.
        """
        return self._running().wait(seconds)

    def stop(self) -> int | None:
        """End it, by force if it does not end by itself; gives its exit code."""
        process, self._process = self._process, None
        if process is None:
            return None
        process.terminate()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        return process.returncode

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Call a control route.

        :param path: what follows ``/_emulator/``.
        :raises ValueError: the emulator refused; the message says why.
        """
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 - the emulator's own address
            f"{self.url}/_emulator/{path}", data, method=method
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), *self._tls())
        try:
            with opener.open(request, timeout=_CONTROL_SECONDS) as answer:
                text = answer.read()
        except urllib.error.HTTPError as problem:
            with problem:
                raise ValueError(f"{method} {path}: {problem.code} {problem.read().decode()}") from None
        return json.loads(text) if text else None

    def _tls(self) -> list[urllib.request.BaseHandler]:
        if not self.url.startswith("https"):
            return []
        import ssl

        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return [urllib.request.HTTPSHandler(context=context)]

    def counters(self) -> dict[str, Any]:
        """``{"requests": {name: count}, "tokens": …, "connections": …, "instances": …}``."""
        counters: dict[str, Any] = self.control("GET", "counters")
        return counters

    def reset_counters(self) -> None:
        """Set the counters to zero."""
        self.control("DELETE", "counters")

    def reset(self) -> None:
        """Forget everything: definitions, instances, balances, faults, counters, tokens."""
        self.control("POST", "reset")

    def fault(self, operation: str, kind: str, times: int | str | None = None, **settings: Any) -> None:
        """Ask for a fault.

        :param operation: the name of an operation, ``token``, or ``*`` for all of them.
        :param kind: one of the kinds of the module ``faults``.
        :param times: how often, or ``"always"``: until the faults are cleared. By default once; ``worker_down`` and
            ``rate_limit`` last.
        :param settings: what the kind needs: ``status``, ``headers``, ``body``; ``seconds``; ``per_second``.
        :raises ValueError: there is no such fault; the message says what is wrong.
        """
        wish = {"operation": operation, "kind": kind, **settings}
        self.control("POST", "faults", wish if times is None else {**wish, "times": times})

    def clear_faults(self) -> None:
        """End all faults."""
        self.control("DELETE", "faults")

    def engine(self, instance_id: str, what: str) -> None:
        """Do to the engine behind an instance: ``cancel``, ``terminate`` or ``purge_history``."""
        self.control("POST", f"instances/{quote(instance_id, safe='')}", {"engine": what})

    def account(self, ledger: str, account: str) -> dict[str, Any]:
        """``{"balances": {"EUR/2": 100}, "metadata": {…}}`` of an account."""
        found: dict[str, Any] = self.control("GET", f"ledgers/{quote(ledger)}/accounts/{quote(account)}")
        return found

    def transactions(self, ledger: str = "default") -> list[dict[str, Any]]:
        """All transactions of a ledger, the oldest first."""
        found: list[dict[str, Any]] = self.control("GET", f"ledgers/{quote(ledger)}/transactions")["data"]
        return found

    def make_ledger(self, name: str) -> None:
        """Make a ledger if it is not there."""
        self.control("POST", f"ledgers/{quote(name)}")

    def publish(self, event_type: str, payload: Any = None, version: str = "", app: str = "") -> None:
        """Put an event on the stack's bus."""
        self.control("POST", "events", {"type": event_type, "version": version, "app": app, "payload": payload})

    def runs(self) -> list[dict[str, Any]]:
        """Every run that was ever started: ``{"instance": id, "workflow": id, "variables": {…}}``."""
        found: list[dict[str, Any]] = self.control("GET", "runs")["data"]
        return found


def wait_for(look: Callable[[], T], seconds: float = 30.0, pause: float = 0.02) -> T:
    """Look again and again until what is seen is true, and give it.

    :raises TimeoutError: it was not seen in time; the message holds what was seen last.
    """
    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise TimeoutError(f"not seen within {seconds} s; last seen: {seen!r}")
        threading.Event().wait(pause)
