"""
### A payout that waits for an approval

Shows the usual way: `deploy` creates the workflow if the stack does not have it, `pay` runs it and waits in the
triggerer for its end (pay in, wait for the event `approved`, pay out), and meanwhile `approve` sends that event.

The first stage of the workflow carries `${airflow_run_key}`: by it a run can be found again whose submission's answer
was lost. Retries are safe: they take the instance that is at work over, and never start a second one.
"""

from __future__ import annotations

from airflow.sdk import Param, PokeReturnValue, dag, task

from airflow_provider_orchestration.hooks.orchestration import OrchestrationHook
from airflow_provider_orchestration.operators.run_workflow import RunWorkflowOperator
from airflow_provider_orchestration.operators.send_event import SendEventOperator

WORKFLOW = {
    "name": "payout_with_approval",
    "stages": [
        {
            "send": {
                "source": {"account": {"id": "world", "ledger": "default"}},
                "destination": {"account": {"id": "orders:${order}", "ledger": "default"}},
                "amount": {"amount": "${amount}", "asset": "EUR/2"},
                "metadata": {"airflow": "${airflow_run_key}"},
            }
        },
        {"wait_event": {"event": "approved"}},
        {
            "send": {
                "source": {"account": {"id": "orders:${order}", "ledger": "default"}},
                "destination": {"account": {"id": "${payee}", "ledger": "default"}},
                "amount": {"amount": "${amount}", "asset": "EUR/2"},
            }
        },
    ],
}


@dag(
    schedule=None,
    params={
        "order": Param("42", type="string"),
        "payee": Param("sellers:7", type="string"),
        # Cents: an amount is a whole number in the smallest unit of its asset.
        "amount": Param(1000, type="integer", minimum=1),
    },
    doc_md=__doc__,
    tags=["formance"],
)
def payout_with_approval():
    @task
    def deploy() -> str:
        """Create the workflow if it is not there, and return its id."""
        hook = OrchestrationHook()
        for workflow in hook.list_workflows():
            if workflow.to_dict()["config"] == WORKFLOW:
                return workflow.id
        return hook.create_workflow(WORKFLOW).id

    workflow_id = deploy()

    pay = RunWorkflowOperator(
        task_id="pay",
        workflow_id=workflow_id,
        variables={
            "order": "{{ params.order }}",
            "payee": "{{ params.payee }}",
            "amount": "{{ params.amount }}",
        },
        deferrable=True,
        poll_interval=2.0,
        run_timeout=3600.0,
        retries=2,
    )

    @task.sensor(poke_interval=1, timeout=600)
    def instance_started(ti=None) -> PokeReturnValue:
        """Wait until `pay` knows its instance: it tells so at once, long before it ends."""
        instance_id = ti.xcom_pull(task_ids="pay", key="instance_id")
        return PokeReturnValue(is_done=bool(instance_id), xcom_value=instance_id)

    instance_id = instance_started()

    approve = SendEventOperator(
        task_id="approve",
        instance_id=instance_id,
        event="approved",
        poll_interval=1.0,
        wait_timeout=600.0,
        retries=2,
    )

    workflow_id >> [pay, instance_id]
    instance_id >> approve


payout_with_approval()
