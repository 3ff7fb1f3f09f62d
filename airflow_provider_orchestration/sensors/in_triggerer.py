"""How much of a sensor's life the triggerer can lead: its waiting always, its end and its beginning often."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_orchestration.run.submit.door import BEGIN

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.triggers.base import StartTriggerArgs

    from airflow_provider_orchestration.sensors.instance import WorkflowInstanceSensor
    from airflow_provider_orchestration.triggers.instance import InstanceEndTrigger

#: Looks that must all say "no such instance" before it is believed.
NOT_FOUND_LOOKS = 3
#: Seconds for which Airflow lets a trigger that it began itself live beyond the sensor's own timeout.
_MARGIN = 600.0
#: Seconds from which a timeout is left to workers: Airflow's scheduler has to be able to add it to today.
_TOO_LONG = 10 * 365 * 86400.0
#: Attributes of a task that only workers do, at its end and at its beginning.
_AT_THE_END = (
    "on_success_callback",
    "on_skipped_callback",
    "outlets",
    "multiple_outputs",
    "_post_execute_hook",
    "operator_extra_links",
)
_AT_THE_BEGINNING = ("on_execute_callback", "inlets", "map_index_template", "_pre_execute_hook")
#: Methods that only workers call; a subclass may have its own.
_METHODS = ("pre_execute", "execute", "poke", "execute_complete", "post_execute")


def ends_in_triggerer(sensor: WorkflowInstanceSensor) -> bool:
    """Tell whether nothing is missed where no worker ends this sensor, as far as the sensor itself tells."""
    from airflow_provider_orchestration.sensors.instance import WorkflowInstanceSensor

    own = any(getattr(type(sensor), name) is not getattr(WorkflowInstanceSensor, name) for name in _METHODS)
    return sensor.end_from_trigger and not own and not any(getattr(sensor, name) for name in _AT_THE_END)


def trigger_of(sensor: WorkflowInstanceSensor, context: Context) -> tuple[type[InstanceEndTrigger], dict[str, Any]]:
    """Return the class of the trigger that a worker defers to, and those of its arguments that the sensor knows."""
    from airflow_provider_orchestration.triggers.instance import InstanceEndTrigger
    from airflow_provider_orchestration.triggers.sensor import InstanceSensorTrigger

    ti: Any = context["ti"]
    dag = sensor.get_dag()
    # A worker tells Airflow the length of what another task is mapped over.
    is_mapped_over = dag is not None and ti.map_index < 0 and next(sensor.iter_mapped_dependants(), None) is not None
    if ends_in_triggerer(sensor) and not is_mapped_over:
        return InstanceSensorTrigger, {**_arguments(sensor), **_of_the_end(sensor)}
    return InstanceEndTrigger, _arguments(sensor)


def begin_in_triggerer(sensor: WorkflowInstanceSensor) -> StartTriggerArgs | None:
    """Return what Airflow needs to begin this sensor without a worker; None where a worker must begin it."""
    from airflow.triggers.base import StartTriggerArgs

    names = {name: _template(getattr(sensor, name)) for name in ("instance_id", "formance_conn_id")}
    if None in names.values() or sensor.timeout > _TOO_LONG:
        return None
    if any(getattr(sensor, name) for name in _AT_THE_BEGINNING) or not ends_in_triggerer(sensor):
        return None
    airflow_timeout = sensor.timeout + _MARGIN
    if limit := sensor.execution_timeout:
        airflow_timeout = min(airflow_timeout, limit.total_seconds())
    own = {**names, "workflow_id": None, "airflow_timeout": airflow_timeout}
    return StartTriggerArgs(
        trigger_cls="airflow_provider_orchestration.triggers.sensor.InstanceSensorTrigger",
        trigger_kwargs={**_arguments(sensor), **_of_the_end(sensor), **own},
        next_method=BEGIN,
        timeout=timedelta(seconds=sensor.timeout + _MARGIN),
    )


def _arguments(sensor: WorkflowInstanceSensor) -> dict[str, Any]:
    return {
        "formance_conn_id": sensor.formance_conn_id,
        "instance_id": sensor.instance_id,
        "poll_interval": sensor.poke_interval,
        "not_found_after": NOT_FOUND_LOOKS,
        "exponential_backoff": sensor.exponential_backoff,
        "longest_interval": sensor.max_wait.total_seconds() if sensor.max_wait else None,
    }


def _of_the_end(sensor: WorkflowInstanceSensor) -> dict[str, Any]:
    return {"timeout": sensor.timeout, "skip": sensor.soft_fail or sensor.never_fail, "push": sensor.do_xcom_push}


def _template(value: Any) -> str | None:
    """Return the text that the triggerer can render; None where there is none."""
    from airflow.sdk.definitions.xcom_arg import PlainXComArg

    if isinstance(value, PlainXComArg):
        if value.operator.is_mapped or value.operator.get_closest_mapped_task_group() is not None:
            return None
        return str(value).replace(") }}", ", map_indexes=-1) }}")
    # Airflow 3.3 waits for ever there for an XCom of no certain map index: its supervisor does not know the question.
    return value if isinstance(value, str) and ("xcom_pull" not in value or "map_indexes" in value) else None
