"""What a fault leaves behind in dbt Cloud: runs of a job and the state of the task. Its operator is the real one."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.faults_parts.dbt_cloud import ERROR, RUNNING, DbtCloudServer
from benchmarks.faults_parts.flows import Outcome
from benchmarks.faults_parts.lives import PAYEES, ClearedLife, Item, map_and_reorder


@contextmanager
def connected(certificate: Path) -> Iterator[DbtCloudServer]:
    """Yield a server that the operator's connection names."""
    with DbtCloudServer(certificate) as server:
        connection = {"conn_type": "dbt_cloud", "host": server.host, "login": "1", "password": "no secret"}
        os.environ["AIRFLOW_CONN_DBT_CLOUD_DEFAULT"] = json.dumps(connection)
        yield server


def run_job(*, deferrable: bool, reuse: bool, **arguments: Any) -> Any:
    """Return a new operator, as each execution has its own."""
    from airflow.providers.dbt.cloud.operators.dbt import DbtCloudRunJobOperator

    return DbtCloudRunJobOperator(
        task_id="task",
        retries=2,
        job_id=7,
        trigger_reason="benchmark",
        check_interval=1,
        deferrable=deferrable,
        reuse_existing_run=reuse,
        **arguments,
    )


def cleared_while_resumed(certificate: Path, *, reuse: bool) -> Outcome:
    """The same as with Flows, but that only the first run fails: each failed run is followed by another by design."""
    with connected(certificate) as server:
        server.told[1] = RUNNING
        life = ClearedLife(
            lambda: run_job(deferrable=True, reuse=reuse),
            deadline="end_time",
            cleared=lambda: server.told.update({1: ERROR}),
        )
        state = life.execute_to_end()
        return len(server.started), None, state


def reordered(certificate: Path, *, deferrable: bool, reuse: bool) -> list[Outcome]:
    """The same as with Flows: each payee is a variable of the job."""
    with connected(certificate) as server:

        def operator(item: Item) -> Any:
            step = f"dbt run --vars '{{payee: {item[0]}, amount: {item[1]}}}'"
            return run_job(deferrable=deferrable, reuse=reuse, steps_override=[step])

        states = map_and_reorder(operator)
        return [(sum(f"payee: {payee}," in body for body in server.asked), None, states[payee]) for payee in PAYEES]
