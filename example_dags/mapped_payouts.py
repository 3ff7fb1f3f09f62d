"""
### One payout for each line of a list

Shows a mapped `RunWorkflowOperator`: one task, and so one instance, for each line. `run_key_name` names a run by its
invoice and not by its place in the list, and `max_active_tis_per_dag` keeps a long list from running all at once.
"""

from __future__ import annotations

from airflow.sdk import dag, task

from airflow_provider_orchestration.hooks.orchestration import OrchestrationHook
from airflow_provider_orchestration.operators.run_workflow import RunWorkflowOperator

WORKFLOW = {
    "name": "mapped_payouts",
    "stages": [
        {
            "send": {
                "source": {"account": {"id": "world", "ledger": "default"}},
                "destination": {"account": {"id": "${payee}", "ledger": "default"}},
                "amount": {"amount": "${amount}", "asset": "EUR/2"},
                "metadata": {"invoice": "${invoice}", "airflow": "${airflow_run_key}"},
            }
        },
    ],
}


@dag(schedule=None, doc_md=__doc__, tags=["formance"])
def mapped_payouts():
    @task
    def deploy() -> str:
        """Create the workflow if it is not there, and return its id."""
        hook = OrchestrationHook()
        for workflow in hook.list_workflows():
            if workflow.to_dict()["config"] == WORKFLOW:
                return workflow.id
        return hook.create_workflow(WORKFLOW).id

    @task
    def invoices() -> list[dict[str, str]]:
        """Return what is to be paid, as a query of a database would."""
        return [
            {"invoice": "2026-001", "payee": "users:alice", "amount": "1250"},
            {"invoice": "2026-002", "payee": "users:bob", "amount": "990"},
            {"invoice": "2026-003", "payee": "users:carol", "amount": "40000"},
        ]

    workflow_id = deploy()
    to_pay = invoices()
    RunWorkflowOperator.partial(
        task_id="pay",
        workflow_id=workflow_id,
        deferrable=True,
        poll_interval=2.0,
        run_timeout=3600.0,
        retries=2,
        map_index_template="{{ task.variables['invoice'] }}",
        max_active_tis_per_dag=16,
    ).expand_kwargs(to_pay.map(lambda line: {"variables": line, "run_key_name": line["invoice"]}))


mapped_payouts()
