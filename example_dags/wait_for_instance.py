"""
### Wait for an instance that somebody else started

Shows the `WorkflowInstanceSensor`: the instance was started outside of Airflow (here by a call of the hook, as a Flows
trigger or another system would), and the DAG goes on when it has ended. A client that may only read is enough for it.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import dag, task

from airflow_provider_orchestration.hooks.orchestration import OrchestrationHook
from airflow_provider_orchestration.sensors.instance import WorkflowInstanceSensor

WORKFLOW = {"name": "wait_for_instance", "stages": [{"delay": {"duration": "5s"}}, {"noop": {}}]}


@dag(schedule=None, doc_md=__doc__, tags=["formance"])
def wait_for_instance():
    @task
    def somebody_else() -> str:
        """Start an instance and return its id, as something else than Airflow would."""
        hook = OrchestrationHook()
        return hook.run_workflow(hook.create_workflow(WORKFLOW).id).id

    wait = WorkflowInstanceSensor(
        task_id="wait",
        instance_id=somebody_else(),
        poke_interval=1.0,
        timeout=300.0,
        deferrable=True,
    )

    @task
    def report(result: dict[str, Any]) -> str:
        """Use what the sensor gives."""
        return f"instance {result['instance_id']} {result['state']}"

    report(wait.output)


wait_for_instance()
