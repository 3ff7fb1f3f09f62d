"""Tasks that are cleared while they run after a deferral, each on a stack of its own; see tests/e2e/test_resumes.py."""

from datetime import timedelta
from typing import Any

from airflow.sdk import dag

from airflow_provider_orchestration.operators.cancel_workflow import CancelWorkflowOperator
from airflow_provider_orchestration.operators.run_workflow import RunWorkflowOperator
from airflow_provider_orchestration.operators.send_event import SendEventOperator
from airflow_provider_orchestration.sensors.instance import WorkflowInstanceSensor


def _settings(task_id: str) -> dict[str, Any]:
    return {
        "task_id": task_id,
        "formance_conn_id": f"resumes_{task_id}",
        "deferrable": True,
        "retries": 5,
        "retry_delay": timedelta(seconds=1),
    }


def _of(task_id: str, what: str) -> str:
    return f"{{{{ dag_run.conf['{task_id}']['{what}'] }}}}"


@dag(schedule=None)
def resumes():
    for task_id, recovery_timeout in (
        ("run_green", 60.0),
        ("run_red", 60.0),
        ("recovery_green", 60.0),
        ("recovery_red", 60.0),
        ("recovery_unknown", 4.0),
    ):
        RunWorkflowOperator(
            workflow_id=_of(task_id, "workflow_id"),
            variables={"payee": "users:e2e", "payout": _of(task_id, "payout")},
            poll_interval=0.5,
            run_timeout=300.0,
            recovery_timeout=recovery_timeout,
            **_settings(task_id),
        )
    for task_id in ("send_green", "send_sent_green", "send_red"):
        SendEventOperator(instance_id=_of(task_id, "instance_id"), event="go", poll_interval=0.5, **_settings(task_id))
    for task_id, cancel_timeout in (("cancel_green", 120.0), ("cancel_red", 6.0)):
        CancelWorkflowOperator(
            instance_id=_of(task_id, "instance_id"),
            cancel_timeout=cancel_timeout,
            poll_interval=0.5,
            **_settings(task_id),
        )
    for task_id in ("sensor_green", "sensor_red"):
        WorkflowInstanceSensor(
            instance_id=_of(task_id, "instance_id"),
            poke_interval=0.5,
            timeout=200.0,
            end_from_trigger=False,
            **_settings(task_id),
        )


resumes()
