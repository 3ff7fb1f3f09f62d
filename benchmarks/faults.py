"""
What a fault leaves behind: instances, money moved and the task's state, of this provider and of dbt Cloud's.

Each row is one task of one DAG run with two retries, from its first try to its end, in the simulated life of
tests/support/task_life.py, where a retry follows at once; the servers are real: the Flows emulator, and a small one of
dbt Cloud's API. Goal: this provider starts one instance, moves the money once, and is green, in every row but one:
where a 502 hides that nothing was submitted, nobody can know, so it starts none and is red, and a person decides.
Exits 1 where that is missed.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="bench-airflow-"))

import structlog
from rich.console import Console
from rich.table import Table

from airflow_provider_orchestration.emulator.testing import EmulatorProcess, wait_for
from airflow_provider_orchestration.hooks.orchestration import OrchestrationHook
from airflow_provider_orchestration.operators.run_workflow import RunWorkflowOperator
from benchmarks.faults_parts.dbt_cloud import DbtCloudServer
from tests.support.certificates import self_signed
from tests.support.task_life import TaskLife

FAULTS = (
    "none",
    "answer to the submission lost",
    "502 after the submission took effect",
    "502 before it took effect, which looks the same",
    "SIGKILL right after the submission",
    "the same, and the retry comes after the run has ended",
    "three reads of the state answer 503",
)
NONE, LOST, AFTER_502, BEFORE_502, KILLED, KILLED_LATE, READS_503 = FAULTS
#: Seconds after which a run of either server has ended.
LATE = 1.0
Outcome = tuple[int, int | None, str]


class Killed(BaseException):
    """SIGKILL: nothing of the process goes on."""


class MortalLife(TaskLife):
    """A task whose first process is killed when it wants to keep what was submitted."""

    def __init__(self, make_operator: Callable[[], Any], *, fault: str) -> None:
        super().__init__(make_operator)
        self._kill = fault in (KILLED, KILLED_LATE)
        self._retry_delay = LATE if fault == KILLED_LATE else 0.0

    def context(self) -> dict[str, Any]:
        """Return a context in which what was submitted cannot be kept, once."""
        context = super().context()
        push, write = context["ti"].xcom_push, context["task_state_store"].set

        def mortal_push(key: str, value: Any) -> None:
            self._die()
            push(key, value)

        def mortal_write(key: str, value: Any, **options: Any) -> None:
            if value.get("phase") == "submitted":
                self._die()
            write(key, value, **options)

        context["ti"].xcom_push, context["task_state_store"].set = mortal_push, mortal_write
        return context

    def execute(self) -> str:
        """Run one try; where it is killed, the next follows."""
        try:
            return super().execute()
        except Killed:
            threading.Event().wait(self._retry_delay)
            self.state = "up_for_retry"
            return self.state

    def _die(self) -> None:
        if self._kill:
            self._kill = False
            raise Killed


def ours(emulator: EmulatorProcess, fault: str, deferrable: bool) -> Outcome:
    """Let a task pay by Flows while something goes wrong."""
    hook = OrchestrationHook()
    payee = f"users:{len(emulator.runs())}"
    send = {
        "source": {"account": {"id": "world"}},
        "destination": {"account": {"id": payee}},
        "amount": {"amount": "100", "asset": "EUR/2"},
        "metadata": {"airflow": "${airflow_run_key}"},
    }
    workflow = hook.create_workflow({"name": "pay", "stages": [{"send": send}, {"delay": {"duration": "5s"}}]})
    before = len(emulator.runs())
    emulator.clear_faults()
    if fault == LOST:
        emulator.fault("run_workflow", "reset_after")
    elif fault == AFTER_502:
        emulator.fault("run_workflow", "status_after", status=502)
    elif fault == BEFORE_502:
        emulator.fault("run_workflow", "status", status=502)
    elif fault == READS_503:
        emulator.fault("get_instance", "status", 3, status=503)

    def operator() -> Any:
        return RunWorkflowOperator(
            task_id="task",
            retries=2,
            workflow_id=workflow.id,
            deferrable=deferrable,
            poll_interval=0.1,
            recovery_timeout=3.0,
            run_timeout=60.0,
        )

    life = MortalLife(operator, fault=fault)
    state = life.execute_to_end()
    instances = [run["instance"] for run in emulator.runs()[before:]]
    wait_for(lambda: all(hook.get_instance(instance).terminated for instance in instances))
    return len(instances), emulator.account("default", payee)["balances"].get("EUR/2", 0) // 100, state


def dbt_cloud(certificate: Path, fault: str, deferrable: bool, reuse: bool) -> Outcome:
    """Let a task run a job of dbt Cloud while the same goes wrong."""
    from airflow.providers.dbt.cloud.operators.dbt import DbtCloudRunJobOperator

    with DbtCloudServer(certificate) as server:
        connection = {"conn_type": "dbt_cloud", "host": server.host, "login": "1", "password": "no secret"}
        os.environ["AIRFLOW_CONN_DBT_CLOUD_DEFAULT"] = json.dumps(connection)
        if fault == LOST:
            server.faults["POST"] = ["lost"]
        elif fault == AFTER_502:
            server.faults["POST"] = ["502"]
        elif fault == BEFORE_502:
            server.faults["POST"] = ["502 before"]

        def operator() -> Any:
            return DbtCloudRunJobOperator(
                task_id="task",
                retries=2,
                job_id=7,
                trigger_reason="benchmark",
                check_interval=1,
                deferrable=deferrable,
                reuse_existing_run=reuse,
            )

        life = MortalLife(operator, fault=fault)
        if fault == READS_503:
            begin = life.context

            def context() -> dict[str, Any]:
                if not server.started:
                    server.faults["GET"] = ["503"] * 3
                return begin()

            life.context = context  # type: ignore[method-assign]
        state = life.execute_to_end()
        return len(server.started), None, state


def main() -> int:
    """Run the matrix, print it, and return 0 if the goal was met."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    table = Table(title="one task, two retries: instances / times the money moved / state of the task")
    for column in ("fault", "mode", "this provider", "dbt-cloud", "dbt-cloud, reuse_existing_run"):
        table.add_column(column)
    kept = True
    with tempfile.TemporaryDirectory() as folder, EmulatorProcess("--time-scale", "0.05") as emulator:
        certificate = self_signed(Path(folder))
        os.environ |= {
            "REQUESTS_CA_BUNDLE": str(certificate),
            "SSL_CERT_FILE": str(certificate),
            "NO_PROXY": "127.0.0.1",
        }
        connection = {"conn_type": "formance", "host": emulator.url, "login": "demo", "password": "demo"}
        os.environ["AIRFLOW_CONN_FORMANCE_DEFAULT"] = json.dumps(connection)
        for fault in FAULTS:
            for deferrable in (False, True):
                mine = ours(emulator, fault, deferrable)
                kept &= mine == ((0, 0, "failed") if fault == BEFORE_502 else (1, 1, "success"))
                peers = [dbt_cloud(certificate, fault, deferrable, reuse) for reuse in (False, True)]
                mode = "deferrable" if deferrable else "waiting"
                table.add_row(fault, mode, *(show(outcome) for outcome in (mine, *peers)))
    Console(width=130).print(table)
    print(
        f"goal {'met' if kept else 'MISSED'}: one instance, the money moved once, and the task is green; where nobody "
        "can know, none and red"
    )
    return 0 if kept else 1


def show(outcome: Outcome) -> str:
    """Return an outcome for the table; dbt Cloud moves no money."""
    instances, moved, state = outcome
    return f"{instances} / {'-' if moved is None else moved} / {state}"


if __name__ == "__main__":
    sys.exit(main())
