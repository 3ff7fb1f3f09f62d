"""Each operator and each mode of the sensor, succeeding and failing; looked at by tests/e2e/test_modes.py."""

from datetime import timedelta
from typing import Any

from airflow.sdk import dag, task

from airflow_provider_orchestration.hooks.orchestration import OrchestrationHook
from airflow_provider_orchestration.operators.cancel_workflow import CancelWorkflowOperator
from airflow_provider_orchestration.operators.run_workflow import RunWorkflowOperator
from airflow_provider_orchestration.operators.send_event import SendEventOperator
from airflow_provider_orchestration.sensors.instance import WorkflowInstanceSensor

SEND = {
    "source": {"account": {"id": "world", "ledger": "default"}},
    "destination": {"account": {"id": "users:modes", "ledger": "default"}},
    "amount": {"amount": "${amount}", "asset": "EUR/2"},
    "metadata": {"airflow": "${airflow_run_key}"},
}
WORKFLOWS = {
    "pays": [{"send": SEND}, {"delay": {"duration": "10s"}}],
    "waits": [{"wait_event": {"event": "go"}}],
    # An event, and so whoever looks, says when it ends: what waits for it has waited for sure.
    "waits_and_pays": [{"wait_event": {"event": "go"}}, {"send": SEND}],
}
#: A client that may only read, and a connection that only the secrets backend knows.
CONN_IDS = ("formance_reader", "formance_from_file")
RETRIES: dict[str, Any] = {"retries": 2, "retry_delay": timedelta(seconds=1)}
DEFERRED: dict[str, Any] = {"deferrable": True}
MODES: dict[str, dict[str, Any]] = {
    "poke": {"mode": "poke"},
    "reschedule": {"mode": "reschedule"},
    "deferred": DEFERRED,
}
SENSORS: dict[str, dict[str, Any]] = {
    **{f"sensor_{name}_{outcome}": {**mode, **RETRIES} for name, mode in MODES.items() for outcome in ("good", "bad")},
    **{f"sensor_by_{conn_id}": {**DEFERRED, "formance_conn_id": conn_id} for conn_id in CONN_IDS},
    "sensor_skips_bad": {**DEFERRED, "soft_fail": True},
}
CANCELS: dict[str, dict[str, Any]] = {"cancel_waiting_good": {"deferrable": False}, "cancel_deferred_good": DEFERRED}


@dag(schedule=None, max_active_tasks=3)
def modes():
    @task(multiple_outputs=True)
    def deploy():
        hook = OrchestrationHook()
        return {name: hook.create_workflow({"name": name, "stages": stages}).id for name, stages in WORKFLOWS.items()}

    @task(multiple_outputs=True)
    def start(workflows):
        """Start, as somebody else than Airflow, instances that wait; those of a `_bad` sensor fail after it."""
        hook = OrchestrationHook()
        started = {
            **{
                name: hook.run_workflow(workflows["waits_and_pays"], {} if name.endswith("_bad") else {"amount": "1"})
                for name in SENSORS
            },
            **{name: hook.run_workflow(workflows["waits"]) for name in (*CANCELS, "first", "second", "third")},
        }
        return {name: instance.id for name, instance in started.items()}

    workflows = deploy()
    instances = start(workflows)
    for name, deferrable in (("waiting", False), ("deferred", True)):
        settings = {"deferrable": deferrable, "poll_interval": 0.5, **RETRIES}
        for outcome, amount in (("good", "5"), ("bad", "nonsense")):
            RunWorkflowOperator(
                task_id=f"run_{name}_{outcome}",
                workflow_id=workflows["pays"],
                variables={"amount": amount},
                run_timeout=120.0,
                **settings,
            )
        SendEventOperator(
            task_id=f"send_{name}_good",
            instance_id=instances["first" if deferrable else "second"],
            event="go",
            **settings,
        )
        SendEventOperator(task_id=f"send_{name}_bad", instance_id=instances["third"], event="never", **settings)
        CancelWorkflowOperator(
            task_id=f"cancel_{name}_bad", instance_id=instances["third"], cancel_timeout=1.0, **settings
        )
    for name, mode in CANCELS.items():
        # Longer than it takes the test to see it ask, and to let its instance end.
        CancelWorkflowOperator(
            task_id=name, instance_id=instances[name], cancel_timeout=120.0, poll_interval=0.5, **mode, **RETRIES
        )
    for name, settings in SENSORS.items():
        WorkflowInstanceSensor(task_id=name, instance_id=instances[name], poke_interval=1.0, timeout=200.0, **settings)

    @task
    def by_hook_and_secrets_backend(started):
        return OrchestrationHook("formance_from_file").get_instance(started["third"]).id

    by_hook_and_secrets_backend(instances)


modes()
