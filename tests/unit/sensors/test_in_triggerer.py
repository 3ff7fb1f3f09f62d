"""Which sensors end, and begin, in the triggerer, and how a worker takes over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk import DAG, Asset, task
from airflow.sdk.exceptions import AirflowSensorTimeout

from airflow_provider_orchestration.sensors.instance import WorkflowInstanceSensor
from tests.support.flows import delay, wait_event
from tests.support.task_life import TaskLife

pytestmark = pytest.mark.usefixtures("impatient")


class Changed(WorkflowInstanceSensor):
    """A subclass that does something at the end."""

    def post_execute(self, context: Any, result: Any = None) -> None:
        """Do it."""


def sensor(instance_id: Any = "i", made: Any = WorkflowInstanceSensor, **more: Any) -> WorkflowInstanceSensor:
    defaults: dict[str, Any] = {"task_id": "wait", "poke_interval": 0.05, "timeout": 20, "deferrable": True}
    one: WorkflowInstanceSensor = made(**(defaults | more), instance_id=instance_id)
    return one


def noop(*_: Any, **__: Any) -> None:
    """Do nothing."""


AT_THE_END: dict[str, dict[str, Any]] = {
    "argument": {"end_from_trigger": False},
    "on_success_callback": {"on_success_callback": noop},
    "on_skipped_callback": {"on_skipped_callback": noop},
    "outlets": {"outlets": [Asset("a")]},
    "multiple_outputs": {"multiple_outputs": True},
    "post_execute": {"post_execute": noop},
    "subclass": {"made": Changed},
}
AT_THE_BEGINNING: dict[str, dict[str, Any]] = {
    "on_execute_callback": {"on_execute_callback": noop},
    "pre_execute": {"pre_execute": noop},
    "inlets": {"inlets": [Asset("a")]},
    "map_index_template": {"map_index_template": "x"},
    "no text": {"formance_conn_id": None},
    # Airflow's triggerer would wait for ever.
    "an xcom of any map index": {"formance_conn_id": "{{ ti.xcom_pull('begin') }}"},
    "timeout": {"timeout": timedelta(days=300_000)},
}


@pytest.mark.parametrize("more", AT_THE_END.values(), ids=AT_THE_END)
def test_what_only_a_worker_does_at_the_end_is_not_missed(flows, more):
    instance_id = flows.run(delay(4))
    life = TaskLife(lambda: sensor(instance_id, **more), task_id="wait")
    assert life.execute() == "success", life.error
    assert (life.deferred_to, life.ended_by) == (["InstanceEndTrigger"], [])


@pytest.mark.parametrize(
    "more", [*AT_THE_END.values(), *AT_THE_BEGINNING.values()], ids=[*AT_THE_END, *AT_THE_BEGINNING]
)
def test_what_only_a_worker_does_lets_it_begin_there(more):
    one = sensor(start_from_trigger=True, **more)
    assert (one.start_from_trigger, one.start_trigger_args) == (False, None)


@pytest.mark.parametrize("more", [{}, AT_THE_BEGINNING["on_execute_callback"], {"on_failure_callback": noop}])
def test_other_sensors_end_in_the_triggerer(flows, more):
    instance_id = flows.run(delay(4))
    life = TaskLife(lambda: sensor(instance_id, **more), task_id="wait")
    assert life.execute() == "success", life.error
    assert life.ended_by == ["TaskSuccessEvent"]


def test_an_xcom_is_given_to_airflow_as_a_template():
    with DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):

        @task(multiple_outputs=True)
        def begin() -> dict[str, str]:
            return {"a": "i"}

        begun: Any = begin()
        one = sensor(begun["a"], start_from_trigger=True)
    args = one.start_trigger_args
    assert args is not None
    assert args.trigger_kwargs is not None
    pulls = "{{ task_instance.xcom_pull(task_ids='begin', dag_id='d', key='a', map_indexes=-1) }}"
    assert args.trigger_kwargs["instance_id"] == pulls
    assert args.trigger_kwargs["formance_conn_id"] == "formance_default"
    assert one.upstream_task_ids == {"begin"}


@pytest.mark.parametrize(("limit", "seconds"), [(None, 620.0), (5.0, 5.0), (5000.0, 620.0)])
def test_the_beginning_is_known_from_the_time_at_which_airflow_ends_the_trigger(limit, seconds):
    args = sensor(start_from_trigger=True, execution_timeout=limit and timedelta(seconds=limit)).start_trigger_args
    assert args is not None
    assert args.trigger_kwargs is not None
    assert args.timeout == timedelta(seconds=620)
    assert args.trigger_kwargs["airflow_timeout"] == seconds


def test_only_a_deferrable_sensor_can_start_there():
    with pytest.raises(ValueError, match="start_from_trigger=True needs deferrable=True"):
        sensor(deferrable=False, start_from_trigger=True)


def test_a_worker_that_takes_over_waits_for_what_is_left_of_the_timeout(flows):
    instance_id = flows.run(wait_event("never"))
    life = TaskLife(lambda: sensor(instance_id, start_from_trigger=True, timeout=1.0), task_id="wait")
    wait = life.run_trigger
    # The first one hands over at once.
    life.run_trigger = lambda trigger: wait(trigger) if len(life.deferred_to) > 1 else {}  # type: ignore[method-assign]
    assert life.execute() == "failed"
    assert isinstance(life.error, AirflowSensorTimeout)
    assert life.deferred_to == ["InstanceSensorTrigger"] * 2
    took = (datetime.now(life.start_date.tzinfo) - life.start_date).total_seconds()
    assert took < 4


def test_a_trigger_of_airflows_own_that_failed_begins_in_a_worker(flows):
    instance_id = flows.ended(flows.run(delay(0.1))).id
    life = TaskLife(lambda: sensor(instance_id, start_from_trigger=True), task_id="wait")
    life.next = ("__fail__", {"error": "Trigger timeout", "traceback": None})
    assert life.execute() == "success", life.error
    assert life.deferred_to == []


def test_a_timeout_that_passed_while_no_triggerer_was_there_is_not_begun_anew(flows):
    instance_id = flows.run(wait_event("never"))
    life = TaskLife(lambda: sensor(instance_id, start_from_trigger=True), task_id="wait")
    life.start_date -= timedelta(seconds=21)
    life.next = ("__fail__", {"error": "Trigger timeout", "traceback": None})
    assert life.execute() == "failed"
    assert isinstance(life.error, AirflowSensorTimeout)
    assert life.deferred_to == []
