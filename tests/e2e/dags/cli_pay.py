"""Payments of which it is not known whether they were submitted, for the commands of `airflow formance`."""

from datetime import timedelta

from airflow.sdk import dag

from airflow_provider_orchestration.operators.run_workflow import RunWorkflowOperator

SETTINGS = {
    "workflow_id": "{{ dag_run.conf['workflow_id'] }}",
    "deferrable": True,
    "poll_interval": 0.5,
    "run_timeout": 300.0,
    "retries": 2,
    "retry_delay": timedelta(seconds=1),
}


@dag(schedule=None)
def cli_pay():
    RunWorkflowOperator(task_id="pay", **SETTINGS)


@dag(schedule=None)
def cli_pay_mapped():
    RunWorkflowOperator.partial(task_id="pay", **SETTINGS).expand(variables=[{"payee": "ann"}, {"payee": "ben"}])


cli_pay()
cli_pay_mapped()
