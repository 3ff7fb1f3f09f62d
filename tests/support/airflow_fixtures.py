"""A real Airflow for all tests of a session that want one, with the example and the test DAGs, and the emulator."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from typing import TYPE_CHECKING

import pytest

from tests.support.airflow_runs import Run, airflow_with_connections, start
from tests.support.payments import Payments, client_of

if TYPE_CHECKING:
    from airflow_provider_orchestration.api.client import FlowsClient
    from airflow_provider_orchestration.emulator.testing import EmulatorProcess
    from tools.airflow_stack import AirflowStack


FAILED = pytest.StashKey[bool]()


@pytest.fixture(scope="session")
def airflow(emulator_process: EmulatorProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowStack]:
    """A healthy Airflow, the connection to the emulator in its database."""
    with airflow_with_connections(emulator_process, tmp_path_factory.mktemp("secrets") / "connections.json") as stack:
        yield stack


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember of a test whether it failed, for its fixtures."""
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report


@pytest.fixture
def start_dag(airflow: AirflowStack, request: pytest.FixtureRequest) -> Iterator[Callable[..., Run]]:
    """Return a function that triggers a DAG, once it is known, with a conf; a test that fails tells its runs' logs."""
    runs = []

    def start_it(dag_id: str, conf: Mapping[str, object] | None = None, run_id: str | None = None) -> Run:
        runs.append(start(airflow, dag_id, conf, run_id))
        return runs[-1]

    yield start_it
    if request.node.stash.get(FAILED, False):
        for run in runs:
            print(run.story())


@pytest.fixture(scope="session")
def flows(emulator_process: EmulatorProcess) -> Iterator[FlowsClient]:
    """A client of the emulator, for what somebody else than Airflow does to the stack."""
    with client_of(emulator_process) as client:
        yield client


@pytest.fixture
def payments(emulator: EmulatorProcess, flows: FlowsClient, start_dag: Callable[..., Run]) -> Payments:
    """The payments that the DAGs of `pay.py` make: to start them, to let them go on, and to count them."""
    return Payments(emulator, flows, start_dag)
