"""What a trigger does when Airflow tells it to stop: a cancel is asked for only where the task is marked failed."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.utils.state import TaskInstanceState
from structlog.contextvars import bind_contextvars, clear_contextvars

from airflow_provider_orchestration.emulator.testing import wait_for
from airflow_provider_orchestration.triggers.instance import InstanceEndTrigger
from tests.support.flows import wait_event

TASK = SimpleNamespace(dag_id="dag", run_id="run", task_id="task", map_index=-1)
MAPPED = SimpleNamespace(dag_id="dag", run_id="run", task_id="task", map_index=3)


def trigger_of(instance_id: str, task: Any = TASK, *, cancel_on_kill: bool = True) -> InstanceEndTrigger:
    trigger = InstanceEndTrigger(
        formance_conn_id="formance_default",
        instance_id=instance_id,
        workflow_id=None,
        poll_interval=1.0,
        cancel_on_kill=cancel_on_kill,
    )
    # As the triggerer sets it, without the Airflow that stands behind it.
    trigger._task_instance = task
    return trigger


def kill(flows, task: Any = TASK, *, cancel_on_kill: bool = True) -> int:
    """Tell the trigger of a waiting instance to stop, and return how often a cancel was asked for."""
    asyncio.run(trigger_of(flows.run(wait_event("go")), task, cancel_on_kill=cancel_on_kill).on_kill())
    return int(flows.asked("cancel_event"))


@pytest.mark.parametrize(("task", "name"), [(TASK, "task"), (MAPPED, "task_3")], ids=["plain", "mapped"])
def test_marked_failed_asks_once(flows, task_states, said, task, name):
    asked = task_states({"run": {name: "failed"}})
    assert kill(flows, task) == 1
    assert asked == [{"dag_id": "dag", "map_index": task.map_index, "task_ids": ["task"], "run_ids": ["run"]}]
    assert said.having("the task was marked failed: asked Flows to cancel", "warning")


@pytest.mark.parametrize("state", [*(state.value for state in TaskInstanceState if state.value != "failed"), None])
def test_any_other_state_cancels_nothing(flows, task_states, said, state):
    task_states({"run": {"task": state}})
    assert kill(flows) == 0
    assert said.having("is not cancelled", "warning")


@pytest.mark.parametrize(
    "answer", [{}, {"run": {}}, {"another run": {"task": "failed"}}, RuntimeError("no API server")]
)
def test_a_state_that_cannot_be_read_cancels_nothing(flows, task_states, said, answer):
    task_states(answer)
    assert kill(flows) == 0
    (line,) = said.having("told to stop", "warning")
    assert "cannot be read (no API server): nothing is cancelled" in line or "state is None" in line


def test_without_the_option_the_state_is_not_even_read(flows, task_states):
    asked = task_states({"run": {"task": "failed"}})
    assert kill(flows, cancel_on_kill=False) == 0
    assert asked == []


def test_a_cancel_that_does_not_work_is_told(flows, task_states, said):
    task_states({"run": {"task": "failed"}})
    flows.emulator.fault("cancel_event", "status", 1, status=503)
    assert kill(flows) == 1
    assert said.having("did not work", "error")


def test_what_was_seen_is_written_to_the_log_of_the_task(flows, task_states, said):
    task_states({"run": {"task": "failed"}})
    bind_contextvars(task="mine")
    try:
        assert kill(flows) == 1
    finally:
        clear_contextvars()
    assert [entry["task"] for entry in said.entries if "asked Flows to cancel" in entry["event"]] == ["mine"]


def test_a_trigger_without_its_task_cancels_nothing(flows, task_states):
    asked = task_states({"run": {"task": "failed"}})
    assert kill(flows, None) == 0
    assert asked == []


def test_it_is_asked_while_the_trigger_still_waits(flows, task_states):
    """As the triggerer does it: within the task that it cancels."""
    task_states({"run": {"task": "failed"}})
    instance_id = flows.run(wait_event("go"))
    trigger = trigger_of(instance_id)

    async def wait() -> None:
        try:
            _ = [event async for event in trigger.run()]
        except asyncio.CancelledError:
            await trigger.on_kill()
            raise

    async def kill_it() -> None:
        task = asyncio.create_task(wait())
        await asyncio.to_thread(wait_for, lambda: flows.asked("get_instance"))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(kill_it())
    assert flows.asked("cancel_event") == 1
