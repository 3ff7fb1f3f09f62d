"""A real Airflow for all end-to-end tests of a session, with the example DAGs and those in `dags`, and the emulator."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tools.airflow_api import AirflowApi
from tools.airflow_stack import ROOT, AirflowStack

if TYPE_CHECKING:
    from airflow_provider_orchestration.emulator.testing import EmulatorProcess

CONNECTION = "formance_default"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this folder, so that `-m "not e2e"` leaves them out."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            # The first one pays for the start of Airflow.
            item.add_marker(pytest.mark.timeout(300))


@dataclass
class Run:
    """A run of a DAG, to be looked at while it goes and after it."""

    api: AirflowApi
    dag_id: str
    run_id: str

    def wait(self, timeout: float = 90) -> str:
        """Wait for its end (seconds) and return its state."""
        return self.api.wait_for_run(self.dag_id, self.run_id, timeout)

    def wait_for_task(self, task_id: str, *states: str, **options: Any) -> dict[str, Any]:
        """Wait for one of these states (any that is an end, if none is named) and return the task instance."""
        return self.api.wait_for_task(self.dag_id, self.run_id, task_id, *([states] if states else []), **options)

    @property
    def states(self) -> dict[str, str | None]:
        """State of each task instance, by task id (with [map index])."""
        return self.api.states(self.dag_id, self.run_id)

    def xcom(self, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """An XCom of a task, or None."""
        return self.api.xcom(self.dag_id, self.run_id, task_id, key, map_index)

    def log(self, task_id: str, try_number: int = 1, map_index: int = -1) -> str:
        """The log of a try as text."""
        return self.api.log(self.dag_id, self.run_id, task_id, try_number, map_index)


@pytest.fixture(scope="session")
def airflow(emulator_process: EmulatorProcess) -> Iterator[AirflowStack]:
    """A healthy Airflow, the connection to the emulator in its database.

    On SQLite, or on the empty PostgreSQL database that TEST_POSTGRES_URL names.
    """
    folders = [folder for folder in (ROOT / "example_dags", Path(__file__).parent / "dags") if folder.exists()]
    with AirflowStack(folders, sql_alchemy_conn=os.environ.get("TEST_POSTGRES_URL")) as stack:
        stack.api.add_connection(
            CONNECTION,
            "formance",
            host=emulator_process.url,
            login=emulator_process.client_id,
            password=emulator_process.client_secret,
        )
        yield stack


@pytest.fixture
def start_dag(airflow: AirflowStack) -> Callable[..., Run]:
    """Return a function that triggers a DAG, once it is known, with a conf."""

    def start(dag_id: str, conf: Mapping[str, object] | None = None) -> Run:
        airflow.check()
        airflow.api.wait_for_dag(dag_id)
        return Run(airflow.api, dag_id, airflow.api.trigger(dag_id, conf))

    return start
