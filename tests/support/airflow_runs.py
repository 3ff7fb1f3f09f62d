"""A real Airflow with the stack's connections in its database, and runs of its DAGs to be looked at."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_orchestration.emulator.testing import wait_for
from tools.airflow_api import RUN_ENDED, TASK_ENDED, AirflowApi
from tools.airflow_stack import AIRFLOW, ROOT, AirflowStack
from tools.processes import Component, free_port

if TYPE_CHECKING:
    from airflow_provider_orchestration.emulator.testing import EmulatorProcess

DAGS = Path(__file__).parents[1] / "e2e" / "dags"
#: The connections of the tests: all in Airflow's database, but for one that only a secrets backend knows.
CONNECTION = "formance_default"
READER = "formance_reader"
FROM_FILE = "formance_from_file"


@dataclass
class Run:
    """A run of a DAG, to be looked at while it goes and after it."""

    api: AirflowApi
    dag_id: str
    run_id: str

    def wait(self, timeout: float = 90) -> str:
        """Wait for its end (seconds) and return its state."""
        return self.api.wait_for_run(self.dag_id, self.run_id, timeout, RUN_ENDED)

    def wait_for_task(self, task_id: str, *states: str, **options: Any) -> dict[str, Any]:
        """Wait for one of these states (any that is an end, if none is named) and return the task instance."""
        return self.api.wait_for_task(self.dag_id, self.run_id, task_id, states or TASK_ENDED, **options)

    @property
    def states(self) -> dict[str, str | None]:
        """State of each task instance, by task id (with [map index])."""
        return self.api.states(self.dag_id, self.run_id)

    def task(self, task_id: str, map_index: int = -1) -> dict[str, Any]:
        """Return a task instance, as the API gives it."""
        return self.api.task_instance(self.dag_id, self.run_id, task_id, map_index)

    def xcom(self, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """Return an XCom of a task, or None."""
        return self.api.xcom(self.dag_id, self.run_id, task_id, key, map_index)

    def log(self, task_id: str, try_number: int = 1, map_index: int = -1) -> str:
        """Return the log of a try as text."""
        return self.api.log(self.dag_id, self.run_id, task_id, try_number, map_index)

    def record(self, task_id: str, map_index: int = -1) -> dict[str, Any]:
        """Return the record of the task's run in Airflow's task state store."""
        value = self.api.state_store(self.dag_id, self.run_id, task_id, map_index)["formance_run"]
        return dict(json.loads(value) if isinstance(value, str) else value)

    def clear(self, task_id: str, *more: str, map_index: int = -1) -> int:
        """
        Clear a task, and more, as a person does; return the number of the first task's next try.

        It is counted from what is there: under load Airflow loses a try now and then, and retries.
        """
        next_try = int(self.task(task_id, map_index)["try_number"]) + 1
        self.api.clear(self.dag_id, self.run_id, [task_id if map_index < 0 else (task_id, map_index), *more])
        return next_try

    def story(self, task_id: str | None = None) -> str:
        """Return states and logs of all tries, of one task or of all, for a person who looks for a reason."""
        parts = [f"=== {self.dag_id} {self.run_id}: {self.states}"]
        for task in self.api.task_instances(self.dag_id, self.run_id):
            name, index = task["task_id"], task["map_index"]
            if task_id not in (None, name):
                continue
            for number in range(1, task["try_number"] + 1):
                parts += [f"--- {name} {index} try {number}", self.log(name, number, index)]
        return "\n".join(parts)

    def mark(self, task_id: str, state: str) -> None:
        """Mark a task as success or failed, as a person does."""
        self.api.set_task_state(self.dag_id, self.run_id, task_id, state)


def start(stack: AirflowStack, dag_id: str, conf: Mapping[str, object] | None = None, run_id: str | None = None) -> Run:
    """Trigger a DAG, once it is known, with a conf."""
    stack.check()
    stack.api.wait_for_dag(dag_id)
    return Run(stack.api, dag_id, stack.api.trigger(dag_id, conf, run_id))


def address(emulator: EmulatorProcess) -> dict[str, str]:
    """Return the fields of a connection to an emulator."""
    return {"host": emulator.url, "login": emulator.client_id, "password": emulator.client_secret}


@contextlib.contextmanager
def airflow_with_connections(
    emulator: EmulatorProcess, secrets_file: Path, env: Mapping[str, str | None] | None = None
) -> Iterator[AirflowStack]:
    """
    Yield a healthy Airflow with the example DAGs and those of the tests.

    On SQLite, or on the empty PostgreSQL database that TEST_POSTGRES_URL names.

    :param secrets_file: written here, and read by Airflow's secrets backend.
    :param env: further environment variables of Airflow.
    """
    secrets_file.write_text(json.dumps({FROM_FILE: {"conn_type": "formance", **address(emulator)}}))
    secrets = {
        "AIRFLOW__SECRETS__BACKEND": "airflow.secrets.local_filesystem.LocalFilesystemBackend",
        "AIRFLOW__SECRETS__BACKEND_KWARGS": json.dumps({"connections_file_path": str(secrets_file)}),
    }
    database = os.environ.get("TEST_POSTGRES_URL")
    with AirflowStack(
        [ROOT / "example_dags", DAGS], sql_alchemy_conn=database, env={**secrets, **(env or {})}
    ) as stack:
        stack.api.add_connection(CONNECTION, "formance", **address(emulator))
        reader = {"login": "demo-reader", "password": "demo-reader"}
        stack.api.add_connection(READER, "formance", **{**address(emulator), **reader})
        yield stack


@contextlib.contextmanager
def second_triggerer(airflow: AirflowStack) -> Iterator[None]:
    """Run another triggerer beside that of the stack, as if on another machine."""
    env = {**airflow.env, "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port())}
    component = Component("triggerer-2", [*AIRFLOW, "triggerer"], env, airflow.home / "triggerer-2.log")
    component.start()
    try:
        wait_for(lambda: "Starting the triggerer" in component.log_tail(200), 60)
        yield
    finally:
        component.kill()
