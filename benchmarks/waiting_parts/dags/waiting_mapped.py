"""One mapped task that waits for many runs, for `benchmarks/waiting_parts/airflow.py`."""

from __future__ import annotations

import os

from airflow.sdk import dag

from airflow_provider_orchestration.operators.run_workflow import RunWorkflowOperator


@dag(schedule=None, max_active_tasks=10_000)
def waiting_mapped() -> None:
    """Run the workflow that the environment names, so many times."""
    RunWorkflowOperator.partial(
        task_id="pay", workflow_name="waiting_mapped", deferrable=True, run_timeout=86400.0, retries=2
    ).expand(variables=[{"number": number} for number in range(int(os.environ["WAITING_TASKS"]))])


waiting_mapped()
