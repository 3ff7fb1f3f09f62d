"""What a trigger does when Airflow tells it to stop: a cancel is asked for only where the task is marked failed."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_orchestration.triggers.instance import InstanceEndTrigger
from tests.support.flows import wait_event

TASK = SimpleNamespace(dag_id="dag", run_id="run", task_id="task", map_index=-1)
MAPPED = SimpleNamespace(dag_id="dag", run_id="run", task_id="task", map_index=3)


def kill(flows, task: Any = TASK, *, cancel_on_kill: bool = True) -> int:
    instance_id = flows.run(wait_event("go"))
    trigger = InstanceEndTrigger(
        formance_conn_id="formance_default",
        instance_id=instance_id,
        workflow_id=None,
        poll_interval=1.0,
        cancel_on_kill=cancel_on_kill,
    )
    # As the triggerer sets it, without the Airflow that stands behind it.
    trigger._task_instance = task
    asyncio.run(trigger.on_kill())
    return int(flows.asked("cancel_event"))


@pytest.mark.parametrize(("task", "name"), [(TASK, "task"), (MAPPED, "task_3")], ids=["plain", "mapped"])
def test_marked_failed_asks_once(flows, task_states, said, task, name):
    asked = task_states({"run": {name: "failed"}})
    assert kill(flows, task) == 1
    assert asked == [{"dag_id": "dag", "map_index": task.map_index, "task_ids": ["task"], "run_ids": ["run"]}]
    assert said.having("the task was marked failed: asked Flows to cancel", "warning")


@pytest.mark.parametrize("state", ["success", "deferred", "running", "restarting", "queued", "up_for_retry", None])
def test_any_other_state_cancels_nothing(flows, task_states, said, state):
    task_states({"run": {"task": state}})
    assert kill(flows) == 0
    assert said.having("is not cancelled", "warning")


@pytest.mark.parametrize(
    "answer", [{}, {"run": {}}, {"another run": {"task": "failed"}}, RuntimeError("no API server")]
)
def test_a_state_that_cannot_be_read_cancels_nothing(flows, task_states, answer):
    task_states(answer)
    assert kill(flows) == 0


def test_without_the_option_the_state_is_not_even_read(flows, task_states):
    asked = task_states({"run": {"task": "failed"}})
    assert kill(flows, cancel_on_kill=False) == 0
    assert asked == []


def test_a_cancel_that_does_not_work_is_told(flows, task_states, said):
    task_states({"run": {"task": "failed"}})
    flows.emulator.fault("cancel_event", "status", 1, status=503)
    assert kill(flows) == 1
    assert said.having("did not work", "error")
