"""
### A run that is watched for so long and no longer

Shows `run_timeout` and what a person sees when it passes: the workflow waits for an event that never comes. After four
seconds Flows is asked to cancel (the known servers ignore it), then `pay` fails without a retry and says that the
instance goes on. `give_up` runs because `pay` failed, and asks once more by `CancelWorkflowOperator`, which only warns.
"""

from __future__ import annotations

from airflow.sdk import dag, task

from airflow_provider_orchestration.hooks.orchestration import OrchestrationHook
from airflow_provider_orchestration.operators.cancel_workflow import CancelWorkflowOperator
from airflow_provider_orchestration.operators.run_workflow import RunWorkflowOperator

WORKFLOW = {"name": "run_with_deadline", "stages": [{"wait_event": {"event": "never-${airflow_run_key}"}}]}


@dag(schedule=None, doc_md=__doc__, tags=["formance"])
def run_with_deadline():
    @task
    def deploy() -> str:
        """Create the workflow and return its id."""
        return OrchestrationHook().create_workflow(WORKFLOW).id

    pay = RunWorkflowOperator(
        task_id="pay",
        workflow_id=deploy(),
        deferrable=True,
        poll_interval=1.0,
        run_timeout=4.0,
        cancel_on_timeout=True,
        cancel_timeout=2.0,
        retries=2,
    )
    give_up = CancelWorkflowOperator(
        task_id="give_up",
        instance_id="{{ ti.xcom_pull('pay', key='instance_id') }}",
        cancel_timeout=2.0,
        poll_interval=1.0,
        on_ignored="warn",
        trigger_rule="one_failed",
    )
    pay >> give_up


run_with_deadline()
