"""Payments to be disturbed. All want a cancel when they are killed: nothing but a person's wish may do it."""

from datetime import timedelta

from airflow.sdk import dag, get_current_context, task

from airflow_provider_orchestration.operators.run_workflow import RunWorkflowOperator

SETTINGS = {
    "workflow_id": "{{ dag_run.conf['workflow_id'] }}",
    "poll_interval": 0.5,
    "run_timeout": 300.0,
    "recovery_timeout": 60.0,
    "cancel_on_kill": True,
    # Airflow itself uses some up while its API server is away.
    "retries": 5,
    "retry_delay": timedelta(seconds=1),
}
VARIABLES = {"payee": "users:e2e", "payout": "{{ dag_run.conf['payout'] }}"}


@dag(schedule=None)
def pay_deferred():
    RunWorkflowOperator(task_id="pay", variables=VARIABLES, deferrable=True, **SETTINGS)


@dag(schedule=None)
def pay_waiting():
    RunWorkflowOperator(task_id="pay", variables=VARIABLES, deferrable=False, **SETTINGS)


@dag(schedule=None)
def pay_with_execution_timeout():
    RunWorkflowOperator(
        task_id="pay", variables=VARIABLES, deferrable=False, execution_timeout=timedelta(seconds=8), **SETTINGS
    )


@dag(schedule=None)
def pay_mapped():
    @task
    def lines():
        """Name the payees; in another order each time, as a query without ORDER BY may."""
        payees = ["users:anna", "users:ben", "users:cleo"]
        return payees[:: (1 if get_current_context()["ti"].try_number == 1 else -1)]

    RunWorkflowOperator.partial(task_id="pay", deferrable=True, **SETTINGS).expand(
        variables=lines().map(lambda payee: {"payee": payee, "payout": "100"})
    )


pay_deferred()
pay_waiting()
pay_with_execution_timeout()
pay_mapped()
