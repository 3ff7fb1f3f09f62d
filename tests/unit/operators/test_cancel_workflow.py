"""CancelWorkflowOperator: asks, looks, and says what it saw."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_orchestration.emulator.testing import EmulatorProcess
from airflow_provider_orchestration.operators.cancel_workflow import CancelWorkflowOperator
from tests.support.flows import FAILS, Flows, delay, unique, wait_event
from tests.support.task_life import TaskLife, told

mode = pytest.mark.parametrize("deferrable", [False, True], ids=["waiting", "deferrable"])


def life(instance_id: Any, **arguments: Any) -> TaskLife:
    defaults: dict[str, Any] = {"task_id": "cancel", "retries": 2, "poll_interval": 0.05, "cancel_timeout": 0.4}
    return TaskLife(lambda: CancelWorkflowOperator(**(defaults | arguments), instance_id=instance_id), task_id="cancel")


@mode
def test_ignored(flows, deferrable):
    instance_id = flows.run(wait_event("go"))
    task = life(instance_id, deferrable=deferrable)
    assert task.execute() == "failed"
    assert isinstance(task.error, AirflowFailException)
    assert "still ran" in str(task.error)
    assert "end it in the engine behind Flows" in told(task.error)
    assert flows.asked("cancel_event") == 1


@mode
def test_ignored_with_a_warning(flows, deferrable, said):
    instance_id = flows.run(wait_event("go"))
    task = life(instance_id, deferrable=deferrable, on_ignored="warn")
    assert task.execute() == "success", task.error
    assert (task.result["state"], task.result["cancel_asked"]) == ("running", True)
    assert said.having("still ran", "warning")


@mode
@pytest.mark.parametrize(("stage", "state"), [(delay(0.1), "succeeded"), (FAILS, "failed")])
def test_what_has_ended_is_told(flows, deferrable, stage, state, said):
    instance_id = flows.run(stage, amount="")
    flows.ended(instance_id)
    task = life(instance_id, deferrable=deferrable)
    assert task.execute() == "success", task.error
    assert (task.result["state"], task.result["cancel_asked"]) == (state, False)
    assert said.having(f"had already ended: {state}")
    assert flows.asked("cancel_event") == 0


@mode
def test_a_server_that_honours_it(connect_airflow, deferrable):
    with EmulatorProcess("--time-scale", "0.1", "--abort", "honour") as emulator:
        connect_airflow(emulator)
        instance_id = Flows(emulator).run(wait_event("go"))
        task = life(instance_id, deferrable=deferrable, cancel_timeout=10.0)
        assert task.execute() == "success", task.error
        assert (task.result["state"], task.result["cancel_asked"]) == ("canceled", True)


@mode
@pytest.mark.parametrize("done", ["terminate", "cancel"])
def test_what_a_person_ended_in_the_engine_has_ended(flows, deferrable, done, impatient):
    instance_id = flows.run(wait_event("go"))
    flows.waiting_at(instance_id, 0)
    flows.emulator.engine(instance_id, done)
    task = life(instance_id, deferrable=deferrable)
    assert task.execute() == "success", task.error
    assert (task.result["state"], task.result["cancel_asked"]) == ("dead", True)


@mode
def test_one_that_ends_by_itself_is_seen(flows, deferrable, said):
    instance_id = flows.run(delay(4))
    task = life(instance_id, deferrable=deferrable, cancel_timeout=30.0)
    assert task.execute() == "success", task.error
    assert (task.result["state"], task.result["cancel_asked"]) == ("succeeded", True)
    assert said.having(f"instance {instance_id} has ended: succeeded")


@mode
def test_a_cancel_that_is_not_accepted_is_retried(flows, deferrable):
    flows.emulator.fault("cancel_event", "status", times="always", status=503)
    task = life(flows.run(wait_event("go")), deferrable=deferrable)
    assert task.execute() == "up_for_retry"
    assert "503" in str(task.error)


def test_unknown_instance(flows):
    task = life(unique("none"))
    task.execute()
    assert "Instance not found" in str(task.error)
    assert flows.asked("cancel_event") == 0


@pytest.mark.parametrize("instance_id", ["", None, 5])
def test_an_id_that_is_none(flows, instance_id):
    task = life(instance_id)
    assert task.execute() == "failed"
    assert "instance_id is" in str(task.error)
