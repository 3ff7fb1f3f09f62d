"""One mapped task, or group of one, that waits for many runs, for `benchmarks/waiting_parts/triggerer.py`."""

from __future__ import annotations

import os
from typing import Any

from airflow.sdk import dag, task_group

from airflow_provider_orchestration.operators.run_workflow import RunWorkflowOperator
from airflow_provider_orchestration.sensors.instance import WorkflowInstanceSensor

KIND = os.environ["WAITING_KIND"]
NUMBERS = range(int(os.environ["WAITING_TASKS"]))
SENSOR: dict[str, Any] = {"task_id": "wait", "deferrable": True, "timeout": 86400.0, "retries": 2}
ONE_OF_MANY = "{{ dag_run.conf['instances'][%s] }}"


@dag(schedule=None, max_active_tasks=10_000)
def waiting_mapped() -> None:
    """Run the workflow that the environment names, so many times, or wait for so many that run already."""
    if KIND == "run":
        RunWorkflowOperator.partial(
            task_id="pay", workflow_name="waiting_mapped", deferrable=True, run_timeout=86400.0, retries=2
        ).expand(variables=[{"number": number} for number in NUMBERS])
    elif KIND == "sensor_started":

        @task_group
        def one(number: int) -> None:
            WorkflowInstanceSensor(instance_id=ONE_OF_MANY % "ti.map_index", start_from_trigger=True, **SENSOR)

        one.expand(number=list(NUMBERS))
    else:
        ends = KIND == "sensor"
        WorkflowInstanceSensor.partial(**SENSOR, end_from_trigger=ends).expand(
            instance_id=[ONE_OF_MANY % number for number in NUMBERS]
        )


waiting_mapped()
