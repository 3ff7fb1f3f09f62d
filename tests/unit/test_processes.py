"""The processes of a stack end for sure, also where their parents or we ourselves are gone."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tools.airflow_api import WaitError, wait_until
from tools.processes import Component, Guard, ProcessError, check_port, free_port, marked, sigterm_as_exit

ROOT = Path(__file__).resolve().parents[2]
# A process whose child leaves its process group, as Airflow's task processes do.
STRAYING = """
import os, sys, time
if os.fork() == 0:
    os.setpgid(0, 0)
print("ready", flush=True)
while True:
    time.sleep(60)
"""


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def straying(home: Path, log: Path) -> Component:
    component = Component("sleeper", [sys.executable, "-c", STRAYING], {"AIRFLOW_HOME": str(home)}, log)
    component.start()
    wait_until(lambda: log.read_text().count("ready") == 2, 10, "both processes")
    return component


def test_a_killed_component_takes_its_strayed_child_along(home, tmp_path):
    component = straying(home, tmp_path / "log")
    assert len(marked(home)) == 2
    component.kill()
    assert marked(home) == []
    assert component.exit_code() == -signal.SIGKILL


def test_the_guard_ends_what_is_marked_and_removes_the_folder(home, tmp_path):
    guard = Guard(home)
    component = straying(home, tmp_path / "log")
    guard.close()
    component.reap()
    assert marked(home) == []
    assert not home.exists()


def test_the_guard_acts_when_we_are_killed(home, tmp_path):
    script = f"""
import pathlib, sys
sys.path[:0] = [{str(ROOT)!r}, {str(Path(__file__).parent)!r}]
from tools.processes import Guard
from test_processes import straying
guard = Guard(pathlib.Path({str(home)!r}))
straying(pathlib.Path({str(home)!r}), pathlib.Path({str(tmp_path / "log")!r}))
print("ready", flush=True)
sys.stdin.read()
"""
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert len(marked(home)) == 2
        process.kill()
    wait_until(lambda: not marked(home) and not home.exists(), 10, lambda: f"the end of {marked(home)}")


def test_sigterm_leaves_the_block_as_an_exception():
    with pytest.raises(SystemExit) as ended, sigterm_as_exit():
        os.kill(os.getpid(), signal.SIGTERM)
    assert ended.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_component_that_ended_is_reported_with_its_log(home, tmp_path):
    command = [sys.executable, "-c", "print('no such table'); raise SystemExit(3)"]
    component = Component("scheduler", command, {"AIRFLOW_HOME": str(home)}, tmp_path / "log")
    with pytest.raises(ProcessError, match="scheduler was not started"):
        component.kill()
    component.start()
    component.reap()
    with pytest.raises(ProcessError, match=r"(?s)scheduler ended with exit code 3.*no such table"):
        component.check()


def test_a_free_port_is_free_and_a_taken_one_is_not():
    port = free_port()
    with socket.socket() as server:
        server.bind(("127.0.0.1", port))
        server.listen()
        with pytest.raises(OSError, match="in use"):
            check_port(port)
    check_port(port)


def test_waiting_ends_with_what_was_seen():
    with pytest.raises(WaitError, match=r"waited 0 s for the end: running"):
        wait_until(lambda: None, 0.05, lambda: "the end: running", interval=0.01)


def test_processes_of_others_are_left_alone(home):
    assert psutil.Process() not in marked(home)
    assert marked(home) == []
