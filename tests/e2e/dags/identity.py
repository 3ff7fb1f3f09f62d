"""Whose a payment is: lists in another order, shared names, and texts; see tests/e2e/test_identity.py."""

from datetime import timedelta
from typing import Any

from airflow.sdk import dag, get_current_context, task

from airflow_provider_orchestration.operators.run_workflow import RunWorkflowOperator

SETTINGS: dict[str, Any] = {
    "poll_interval": 0.5,
    "run_timeout": 300.0,
    "deferrable": True,
    "retries": 3,
    "retry_delay": timedelta(seconds=1),
}
WORKFLOW_ID = "{{ dag_run.conf['workflow_id'] }}"


@dag(schedule=None)
def identity_list():
    @task
    def lines():
        """Name the payees; the other way round from the second try on, as a query without ORDER BY may."""
        payees = ["users:anna", "users:ben"]
        return payees[:: (1 if get_current_context()["ti"].try_number == 1 else -1)]

    RunWorkflowOperator.partial(task_id="pay", workflow_id=WORKFLOW_ID, **SETTINGS).expand(
        variables=lines().map(lambda payee: {"payee": payee, "payout": "100"})
    )


@dag(schedule=None, params={"invoice": "2026-0042"})
def identity_shared_name():
    RunWorkflowOperator.partial(
        task_id="pay",
        workflow_id=WORKFLOW_ID,
        run_key_name="{{ params.invoice }}",
        # Index 1 dies of it on its first try, before anything is written.
        formance_conn_id=(
            "{{ 'formance_default' if ti.map_index == 0 or (1 // (ti.try_number - 1)) is number else '' }}"
        ),
        **SETTINGS,
    ).expand(variables=[{"payee": f"users:{name}", "payout": "100"} for name in ("anna", "ben")])


@dag(schedule=None)
def identity_by_name():
    RunWorkflowOperator(
        task_id="pay",
        workflow_name="{{ dag_run.conf['workflow_name'] }}",
        variables={"payee": "users:e2e", "payout": "100"},
        **SETTINGS,
    )


@dag(schedule=None)
def identity_other_values():
    RunWorkflowOperator(
        task_id="pay",
        workflow_id=WORKFLOW_ID,
        variables={"payee": "users:e2e{{ '' if ti.try_number == 1 else ':other' }}", "payout": "100"},
        **SETTINGS,
    )


@dag(schedule=None)
def identity_corrected_while_running():
    RunWorkflowOperator.partial(task_id="pay", workflow_id=WORKFLOW_ID, **{**SETTINGS, "deferrable": False}).expand(
        variables=[
            {"payee": f"users:{name}{{{{ '' if ti.try_number == 1 else ':other' }}}}", "payout": "100"}
            for name in ("anna", "ben", "cleo")
        ]
    )


TEXTS = {"payee": "users:12_34", "hex": "0x10", "plus": "+5", "digits": "12_34", "zeros": "0012", "list": "[1, 2]"}


def _texts() -> None:
    settings = {"workflow_id": WORKFLOW_ID, **SETTINGS}
    notes = {name: f"{{{{ params.{name} }}}}" for name in TEXTS}
    RunWorkflowOperator(task_id="pay", variables=notes, run_key_name="{{ params.digits }}", **settings)
    for task_id, payee in (
        ("to_nobody", "{{ ti.xcom_pull(task_ids='pay', key='nothing') }}"),
        ("to_nobody_of_users", "users:{{ ti.xcom_pull(task_ids='pay', key='nothing') }}"),
    ):
        RunWorkflowOperator(task_id=task_id, variables={**notes, "payee": payee}, **settings)
    RunWorkflowOperator(task_id="for_no_invoice", variables=notes, run_key_name="{{ none }}", **settings)


@dag(schedule=None, params=TEXTS)
def identity_texts():
    _texts()


@dag(schedule=None, params=TEXTS, render_template_as_native_obj=True)
def identity_native_texts():
    _texts()


identity_list()
identity_shared_name()
identity_by_name()
identity_other_values()
identity_corrected_while_running()
identity_texts()
identity_native_texts()
