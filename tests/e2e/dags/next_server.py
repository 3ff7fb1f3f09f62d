"""Payments on the next generation of Flows, by the name of their workflow; and what cancels one."""

from datetime import timedelta

from airflow.sdk import dag

from airflow_provider_orchestration.operators.cancel_workflow import CancelWorkflowOperator
from airflow_provider_orchestration.operators.run_workflow import RunWorkflowOperator

SETTINGS = {"formance_conn_id": "formance_next", "poll_interval": 0.5, "deferrable": True}


@dag(schedule=None)
def pay_on_next():
    RunWorkflowOperator(
        task_id="pay",
        workflow_name="{{ dag_run.conf['workflow_name'] }}",
        variables={"payee": "users:e2e", "payout": "{{ dag_run.conf['payout'] }}"},
        retries=3,
        retry_delay=timedelta(seconds=1),
        **SETTINGS,
    )


@dag(schedule=None)
def cancel_on_next():
    CancelWorkflowOperator(task_id="cancel", instance_id="{{ dag_run.conf['instance_id'] }}", **SETTINGS)


pay_on_next()
cancel_on_next()
