"""What all tests share: an Airflow configuration of their own, the emulator, and an eye on processes left behind."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from hypothesis import HealthCheck, settings

from tools.processes import Guard

if TYPE_CHECKING:
    from airflow_provider_orchestration.emulator.testing import EmulatorProcess


def _own_airflow() -> Path:
    """Point Airflow, which reads its settings when it is imported, to an empty folder, not to the developer's."""
    for key in [key for key in os.environ if key.startswith(("AIRFLOW_", "FORMANCE_"))]:
        del os.environ[key]
    home = Path(tempfile.mkdtemp(prefix="tests-airflow-"))
    (home / "dags").mkdir()
    os.environ |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        # A proxy or a CA bundle of the developer's machine has no say about servers on it.
        "NO_PROXY": "127.0.0.1,localhost",
    }
    os.environ.pop("REQUESTS_CA_BUNDLE", None)
    os.environ.pop("CURL_CA_BUNDLE", None)
    return home


# Before anything imports Airflow, so not in a fixture.
AIRFLOW_HOME = _own_airflow()
# Ends what still runs in this environment, and removes the folder, also where the tests are killed.
GUARD = Guard(AIRFLOW_HOME)
# Every process that a test starts inherits it, however far it strays from its parent. Workers of pytest-xdist have that
# of the process which started them, so that it sees what they leave behind.
MARKER = ("ORCHESTRATION_TESTS", os.environ.get("ORCHESTRATION_TESTS", uuid.uuid4().hex))
os.environ[MARKER[0]] = MARKER[1]

# How long an example takes says something about what else the machine does, and nothing about the code.
settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")

pytest_plugins = ["tests.support.airflow_fixtures", "tests.support.scheduling"]


@pytest.fixture(scope="session")
def airflow_db() -> None:
    """Airflow's database, in this process' own AIRFLOW_HOME: for tests that run a DAG or a task in process."""
    from airflow.utils import db

    db.initdb()


@pytest.fixture(scope="session")
def flows_server(request: pytest.FixtureRequest) -> str:
    """Whose answers the emulator gives: ``2.6``, or what a test is parametrized with, `on_next` and `on_both`."""
    return str(getattr(request, "param", "2.6"))


@pytest.fixture(scope="session")
def emulator_process(flows_server: str) -> Iterator[EmulatorProcess]:
    """The session's Flows emulator, ten times as fast as the real server. Tests take `emulator`."""
    from airflow_provider_orchestration.emulator.testing import EmulatorProcess

    with EmulatorProcess("--time-scale", "0.1", server=flows_server) as process:
        yield process


@pytest.fixture
def emulator(emulator_process: EmulatorProcess) -> Iterator[EmulatorProcess]:
    """The session's emulator with counters at zero and without faults; its workflows and instances stay."""
    emulator_process.clear_faults()
    emulator_process.reset_counters()
    yield emulator_process
    emulator_process.clear_faults()


def _left_behind() -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARKER[0]) == MARKER[1]:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a session that leaves a process behind, and end that process."""
    # The processes of the other workers are no leftovers: the one that started them looks, when they have ended.
    if hasattr(session.config, "workerinput"):
        return
    _, alive = psutil.wait_procs(_left_behind(), timeout=5)
    for process in alive:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        print(f"\nERROR: left behind by the tests: {process.pid} {process.cmdline()}")
        process.kill()


def pytest_unconfigure() -> None:
    """Remove the tests' AIRFLOW_HOME."""
    GUARD.close()
