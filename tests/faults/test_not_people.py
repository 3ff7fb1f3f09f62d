"""
What looks like people and is not (part 5): Airflow says "stop" and means something else. Nothing is cancelled.

Only where the task's state, read there and then, is `failed` is a cancel asked for; once, quickly, and only if the
operator wants it so. What Airflow says of the state comes from its supervisor, for which a function stands in here.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowTaskTimeout
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

from airflow_provider_orchestration.emulator.testing import wait_for
from tests.faults.execution import SteppedLife
from tests.faults.payout import APPROVAL, assert_paid_once, in_the_background, mode, recoverable
from tests.support.task_life import TaskInstance, one_event

pytestmark = pytest.mark.faults

#: What Airflow was seen to say inside `on_kill`, and when.
STATES = {
    "marked failed": "failed",
    "marked success": "success",
    "cleared": "restarting",
    "cleared twice, worker drained, heartbeat lost": "running",
    "triggerer paused, another took over": "deferred",
    "retried meanwhile": "up_for_retry",
    "being started": "queued",
    "no such task": None,
    "API server away": ConnectionError("no API server"),
}
states = pytest.mark.parametrize("state", STATES.values(), ids=STATES.keys())
wanted = pytest.mark.parametrize("cancel_on_kill", [True, False], ids=["cancel_on_kill", "by default"])


@pytest.fixture
def airflow_says(monkeypatch) -> Callable[[Any], None]:
    """Have Airflow say that the task is in a state, or fail to say so."""

    def says(state: Any) -> None:
        def get_task_states(*, run_ids: list[str], task_ids: list[str], **_: Any) -> dict[str, dict[str, Any]]:
            if isinstance(state, Exception):
                raise state
            return {run_ids[0]: {task_ids[0]: state} if state else {}}

        monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", staticmethod(get_task_states))

    return says


def cancels(emulator: Any) -> int:
    return int(emulator.counters()["requests"].get("cancel_event", 0))


def trigger_of(task: SteppedLife) -> Any:
    """Return the trigger of a deferred task as a triggerer has it."""
    assert task.deferral is not None
    trigger = task.deferral.trigger
    copy = type(trigger)(**json.loads(json.dumps(trigger.serialize()[1])))
    copy.task_instance = TaskInstance(*task.names, task.try_number, task.max_tries, {})
    return copy


@states
@wanted
def test_worker_is_told_to_stop(payout, emulator, airflow_says, state, cancel_on_kill):
    pay = payout(APPROVAL)
    task = pay.task(life=SteppedLife, deferrable=False, cancel_on_kill=cancel_on_kill)
    execution = task.begin_waiting()
    airflow_says(state)
    for _ in range(2):
        execution.operator.on_kill()
        for _ in range(2):
            execution.go("pause")
    assert cancels(emulator) == int(cancel_on_kill and state == "failed")
    # A process that is not ended after all goes on, and succeeds.
    with in_the_background(lambda: pay.approve(pay.instances()[0])):
        task.finish(execution)
    assert_paid_once(pay, task)


@mode
def test_told_to_stop_after_the_process_had_stood_still(payout, emulator, airflow_says, monkeypatch, deferrable):
    """Airflow gave the task up meanwhile, and it failed on its last try: that is no person's doing."""
    pay = payout(APPROVAL)
    task = pay.task(life=SteppedLife, deferrable=deferrable, cancel_on_kill=True)
    execution = task.begin_waiting()
    airflow_says("failed")
    now = time.time

    async def stop_a_triggerer() -> None:
        trigger = trigger_of(task)
        waiting = asyncio.create_task(one_event(trigger))
        await asyncio.sleep(0.2)
        monkeypatch.setattr("time.time", lambda: now() + 200.0)
        await trigger.on_kill()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    if deferrable:
        asyncio.run(stop_a_triggerer())
    else:
        execution.go("pause")
        monkeypatch.setattr("time.time", lambda: now() + 200.0)
        execution.operator.on_kill()
        for _ in range(2):
            execution.go("pause")
        execution.kill()
    assert cancels(emulator) == 0


@states
@wanted
def test_trigger_is_told_to_stop(payout, emulator, airflow_says, state, cancel_on_kill):
    pay = payout(APPROVAL)
    task = pay.task(life=SteppedLife, deferrable=True, cancel_on_kill=cancel_on_kill)
    task.begin_waiting()
    airflow_says(state)

    async def stop() -> None:
        trigger = trigger_of(task)
        waiting = asyncio.create_task(one_event(trigger))
        await asyncio.sleep(0)
        await trigger.on_kill()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    asyncio.run(stop())
    assert cancels(emulator) == int(cancel_on_kill and state == "failed")
    with in_the_background(lambda: pay.approve(pay.instances()[0])):
        task.finish(task.resume(task.fire()))
    assert_paid_once(pay, task)


@mode
def test_marked_failed_while_the_server_does_not_answer(payout, emulator, airflow_says, monkeypatch, deferrable):
    """The request to cancel is made once and quickly: Airflow ends the process 5 s after it asked."""
    monkeypatch.setattr("airflow_provider_orchestration.run.wait.kill.CANCEL_TIMEOUT", 0.3)
    pay = payout(APPROVAL)
    task = pay.task(life=SteppedLife, deferrable=deferrable, cancel_on_kill=True)
    execution = task.begin_waiting()
    airflow_says("failed")
    emulator.fault("cancel_event", "hang_after", "always")
    began = time.monotonic()
    if deferrable:
        asyncio.run(trigger_of(task).on_kill())
    else:
        execution.operator.on_kill()
        execution.go("pause")
        execution.go("pause")
    assert time.monotonic() - began < 2.5
    assert cancels(emulator) == 1


@recoverable
def test_told_to_stop_before_the_submission(payout, airflow_says, recoverable):
    """It is read between the intent and the POST: nothing is sent, and the next try submits."""
    airflow_says("running")
    pay = payout(recoverable=recoverable)
    task = pay.task(life=SteppedLife, deferrable=False)
    execution = task.begin()
    execution.go("after write intent")
    execution.operator.on_kill()
    assert task.finish(execution) == "up_for_retry"
    assert pay.instances() == []
    task.finish(task.begin())
    assert_paid_once(pay, task)


def test_told_to_stop_while_the_run_is_looked_for(payout, emulator, airflow_says):
    """No instance is known, so none can be cancelled; the looking goes on."""
    airflow_says("failed")
    pay = payout()
    task = pay.task(life=SteppedLife, deferrable=False, cancel_on_kill=True, recovery_timeout=10.0)
    emulator.fault("run_workflow", "worker_down")
    execution = task.begin()
    execution.go("pause")
    execution.operator.on_kill()
    execution.go("pause")
    emulator.clear_faults()
    wait_for(pay.instances)
    task.finish(execution)
    assert_paid_once(pay, task)
    assert cancels(emulator) == 0


@recoverable
@pytest.mark.parametrize("point", ["after write intent", "before write submitted", "after write submitted", "pause"])
def test_execution_timeout(payout, emulator, airflow_says, point, recoverable):
    """Airflow calls `on_kill` and raises: the next try goes on where this one stood."""
    airflow_says("running")
    pay = payout(APPROVAL, recoverable=recoverable)
    task = pay.task(life=SteppedLife, deferrable=False, cancel_on_kill=True)
    execution = task.begin()
    execution.go(point)
    execution.operator.on_kill()
    execution.kill(by=AirflowTaskTimeout())
    task.lose()
    arrived = point != "after write intent"
    if arrived and (recoverable or point in ("after write submitted", "pause")):
        with in_the_background(lambda: pay.approve(pay.instances()[0])):
            task.finish(task.begin())
        assert_paid_once(pay, task)
    else:
        task.finish(task.begin())
        assert task.state == "failed"
        assert task.record["phase"] == "unknown"
        assert len(pay.instances()) == int(arrived)
    assert cancels(emulator) == 0


@pytest.mark.parametrize("point", ["before write submitted", "pause"])
def test_heartbeat_lost_while_the_process_goes_on(payout, emulator, airflow_says, point):
    """Two processes of one task watch one instance; the one that is given up may write nothing."""
    airflow_says("running")
    pay = payout(APPROVAL)
    task = pay.task(life=SteppedLife, deferrable=False, cancel_on_kill=True)
    lost = task.begin()
    lost.go(point)
    lost.operator.on_kill()
    task.lose()
    second = task.begin()
    second.go("pause")
    with in_the_background(lambda: pay.approve(pay.instances()[0])):
        lost.go()
    assert lost.error is not None
    task.finish(second)
    assert_paid_once(pay, task)
    assert cancels(emulator) == 0


def test_two_triggerers_watch_at_once(payout, emulator, airflow_says):
    """The one that was paused comes back, while another has taken over: both see the end, one tells it."""
    airflow_says("deferred")
    pay = payout(APPROVAL)
    task = pay.task(life=SteppedLife, deferrable=True, cancel_on_kill=True)
    task.begin_waiting()

    async def watch() -> list[Any]:
        paused, other = trigger_of(task), trigger_of(task)
        both = asyncio.gather(one_event(paused), one_event(other))
        await paused.on_kill()
        await asyncio.to_thread(pay.approve, pay.instances()[0])
        return list(await both)

    events = asyncio.run(watch())
    assert events[0] == events[1]
    task.finish(task.resume(events[1]))
    assert_paid_once(pay, task)
    assert cancels(emulator) == 0
