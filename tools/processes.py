"""Processes that end for sure: each in a session of its own, all of one stack known by a marker in their environment.

The marker is AIRFLOW_HOME: Airflow's children (task processes, log servers, executor workers) leave their parent's
process group, but nothing takes the variable from them. A guard process holds the reading end of a pipe of ours; where
we die without a word (SIGKILL, os._exit), it reads the pipe's end, ends what carries the marker, removes the folder.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

MARKER = "AIRFLOW_HOME"


class ProcessError(Exception):
    """A process ended that should run, or one runs that should have ended; the text holds the end of its log."""


def marked(home: Path) -> list[psutil.Process]:
    """Return the running processes, ours excepted, whose AIRFLOW_HOME is this folder."""
    return [process for process in _others() if _environment(process).get(MARKER) == str(home)]


def members(session_id: int) -> list[psutil.Process]:
    """Return the running processes of a session, whichever process group they have moved to."""
    return [process for process in _others() if _session(process) == session_id]


def kill(find: Callable[[], list[psutil.Process]], timeout: float = 10.0) -> None:
    """SIGKILL what `find` finds until it finds nothing (a process may fork while we look).

    :param timeout: seconds after which ProcessError is raised, with what still runs.
    """
    deadline = time.monotonic() + timeout
    while found := find():
        if time.monotonic() > deadline:
            raise ProcessError(f"still running after {timeout:.0f} s of SIGKILL: {found}")
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        # Not psutil's wait: it would take the exit code from a child's Popen.
        threading.Event().wait(0.02)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing listens on, for a server that cannot take port 0."""
    # Below the ports that the system gives to outgoing connections: these would take one before the server does.
    for port in (20_000 + int.from_bytes(os.urandom(2)) % 12_000 for _ in range(100)):
        with contextlib.suppress(OSError):
            check_port(port)
            return port
    raise ProcessError("found no free port between 20000 and 32000")


def check_port(port: int) -> None:
    """Raise OSError where something listens on this port of 127.0.0.1."""
    with socket.socket() as probe:
        # As servers do it: connections that ended a moment ago do not keep the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))


class Component:
    """One long-running command in a session of its own, with a log file."""

    def __init__(self, name: str, command: list[str], env: dict[str, str], log: Path) -> None:
        """Remember what to run; `start` runs it."""
        self.name = name
        self.log = log
        self._command = command
        self._env = env
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id of the component, which is also its session's and its process group's id."""
        if self._process is None:
            raise ProcessError(f"{self.name} was not started")
        return self._process.pid

    def start(self) -> None:
        """Start it; its output is added to the log."""
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                self._command,
                env=self._env,
                cwd=self.log.parent,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def exit_code(self) -> int | None:
        """Return its exit code, or None while it runs."""
        return self._process.poll() if self._process else None

    def kill(self) -> None:
        """SIGKILL it and all of its session, as if its machine had gone."""
        session_id = self.pid
        kill(lambda: members(session_id))
        self.reap()

    def reap(self) -> None:
        """Wait until it has ended."""
        if self._process:
            self._process.wait()

    def log_tail(self, lines: int = 30) -> str:
        """Return the last lines of its log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def check(self) -> None:
        """Raise ProcessError, with the end of the log, where it has ended."""
        if (code := self.exit_code()) is not None:
            raise ProcessError(
                f"Airflow's {self.name} ended with exit code {code}. The end of its log:\n{self.log_tail()}"
            )


class Guard:
    """A process that ends what carries the marker, and removes the folder, where we die without doing it."""

    def __init__(self, home: Path) -> None:
        """Start it."""
        # Not marked, and in a session of its own: it must outlive what it ends, and a Ctrl-C for us.
        env = {key: value for key, value in os.environ.items() if key != MARKER}
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), str(home)],
            env=env,
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def close(self) -> None:
        """End what carries the marker now, remove the folder, and wait until that is done."""
        self._process.communicate()


@contextlib.contextmanager
def sigterm_as_exit() -> Iterator[None]:
    """Let SIGTERM leave the block as an exception does, so that everything in it is closed."""

    def leave(signum: int, _frame: object) -> None:
        raise SystemExit(128 + signum)

    previous = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _others() -> Iterator[psutil.Process]:
    return (process for process in psutil.process_iter() if process.pid != os.getpid())


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        # A zombie has ended; only its parent has not looked yet.
        return {} if process.status() == psutil.STATUS_ZOMBIE else process.environ()
    except (psutil.Error, OSError):
        return {}


def _session(process: psutil.Process) -> int | None:
    try:
        return None if process.status() == psutil.STATUS_ZOMBIE else os.getsid(process.pid)
    except (psutil.Error, OSError):
        return None


def _guard(home: Path) -> None:
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    sys.stdin.buffer.read()
    kill(lambda: marked(home))
    shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    _guard(Path(sys.argv[1]))
