"""Sensors that end, or live all their life, in the triggerer; looked at by tests/e2e/test_sensors.py."""

from datetime import timedelta
from typing import Any

from airflow.sdk import dag, task, task_group

from airflow_provider_orchestration.hooks.orchestration import OrchestrationHook
from airflow_provider_orchestration.sensors.instance import WorkflowInstanceSensor

SEND = {
    "source": {"account": {"id": "world", "ledger": "default"}},
    "destination": {"account": {"id": "users:sensors", "ledger": "default"}},
    "amount": {"amount": "${amount}", "asset": "EUR/2"},
}
STAGES = [{"wait_event": {"event": "go"}}, {"send": SEND}]
WAYS: dict[str, dict[str, Any]] = {"ends": {}, "starts": {"start_from_trigger": True}}
KINDS: dict[str, dict[str, Any]] = {
    "green": {},
    "failed": {},
    "skipped": {"soft_fail": True},
    "timeout": {"timeout": 8.0},
    "called": {"on_success_callback": print},
}
NAMES = [f"{kind}_{way}" for kind in KINDS for way in WAYS] + ["mapped_0", "mapped_1", "in_group_0", "in_group_1"]


def sensor(task_id: str, **settings: Any) -> Any:
    """Return a sensor, or one that is to be mapped."""
    defaults = {"poke_interval": 0.5, "timeout": 200.0, "retries": 2, "retry_delay": timedelta(seconds=1)}
    arguments = {"task_id": task_id, "deferrable": True, **defaults, **settings}
    return (
        WorkflowInstanceSensor(**arguments)
        if "instance_id" in settings
        else WorkflowInstanceSensor.partial(**arguments)
    )


@dag(schedule=None)
def sensors():
    @task(multiple_outputs=True)
    def begin():
        """Start, as somebody else than Airflow, what they wait for."""
        hook = OrchestrationHook()
        workflow = hook.create_workflow({"name": "sensors", "stages": STAGES}).id
        bad = ("failed", "skipped")
        return {name: hook.run_workflow(workflow, {} if name.startswith(bad) else {"amount": "1"}).id for name in NAMES}

    @task
    def several(begun, name):
        return [begun[f"{name}_0"], begun[f"{name}_1"]]

    begun = begin()
    green = {}
    for way, settings in WAYS.items():
        for kind, more in KINDS.items():
            made = sensor(f"{kind}_{way}", instance_id=begun[f"{kind}_{way}"], **settings, **more)
            if kind == "green":
                green[way] = made
    sensor("mapped", start_from_trigger=True).expand(instance_id=several.override(task_id="of_mapped")(begun, "mapped"))

    @task_group
    def group(one):
        # Airflow has no text for `one`: a worker would begin the sensor.
        sensor(
            "in_group",
            instance_id="{{ ti.xcom_pull(task_ids='begin', map_indexes=-1)['in_group_' ~ ti.map_index] }}",
            start_from_trigger=True,
        )

    group.expand(one=several.override(task_id="of_group")(begun, "in_group"))

    @task(trigger_rule="all_done")
    def pulled(begun, ti=None):
        """Return what other tasks get of a sensor that has ended without a worker."""
        return {way: ti.xcom_pull(task_ids=f"green_{way}")["state"] for way in WAYS}

    after = pulled(begun)
    for way in WAYS:
        green[way] >> after


sensors()
