"""Each operator and each mode of the sensor, succeeding and failing; looked at by tests/e2e/test_modes.py."""

from datetime import timedelta

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
}
RETRIES = {"retries": 2, "retry_delay": timedelta(seconds=1)}
SENSORS = {"poke": {"mode": "poke"}, "reschedule": {"mode": "reschedule"}, "deferred": {"deferrable": True}}


@dag(schedule=None, max_active_tasks=3)
def modes():
    @task
    def deploy():
        hook = OrchestrationHook()
        return {name: hook.create_workflow({"name": name, "stages": stages}).id for name, stages in WORKFLOWS.items()}

    @task
    def start(workflows):
        """Start, as somebody else than Airflow, an instance that succeeds, one that fails, and some that wait."""
        hook = OrchestrationHook()
        started = {
            "good": hook.run_workflow(workflows["pays"], {"amount": "1"}),
            "bad": hook.run_workflow(workflows["pays"]),
            **{name: hook.run_workflow(workflows["waits"]) for name in ("first", "second", "third")},
        }
        return {name: instance.id for name, instance in started.items()}

    workflows = deploy()
    instances = start(workflows)
    for name, deferrable in (("waiting", False), ("deferred", True)):
        settings = {"deferrable": deferrable, "poll_interval": 0.5, **RETRIES}
        for outcome, amount in (("good", "5"), ("bad", "")):
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
    for name, mode in SENSORS.items():
        for outcome in ("good", "bad"):
            WorkflowInstanceSensor(
                task_id=f"sensor_{name}_{outcome}",
                instance_id=instances[outcome],
                poke_interval=1.0,
                timeout=120.0,
                **mode,
                **RETRIES,
            )
    WorkflowInstanceSensor(
        task_id="sensor_skips", instance_id=instances["bad"], soft_fail=True, deferrable=True, poke_interval=1.0
    )
    for conn_id in ("formance_reader", "formance_from_file"):
        WorkflowInstanceSensor(
            task_id=f"sensor_by_{conn_id}",
            instance_id=instances["good"],
            formance_conn_id=conn_id,
            poke_interval=1.0,
            timeout=120.0,
            deferrable=True,
        )

    @task
    def by_hook_and_secrets_backend(started):
        return OrchestrationHook("formance_from_file").get_instance(started["good"]).id

    by_hook_and_secrets_backend(instances)


modes()
