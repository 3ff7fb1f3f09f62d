"""
A running task that had been resumed from a deferral is cleared: Airflow begins the next try at the same method, with
the event of a deferral that is past. And the other resumes that are none.

The same on a real Airflow: tests/e2e/test_resumes.py.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from airflow_provider_orchestration.emulator.testing import wait_for
from airflow_provider_orchestration.operators.cancel_workflow import CancelWorkflowOperator
from airflow_provider_orchestration.operators.send_event import SendEventOperator
from airflow_provider_orchestration.run.wait.watch import Verdict
from airflow_provider_orchestration.sensors.instance import WorkflowInstanceSensor
from tests.faults.execution import Execution, SteppedLife
from tests.faults.payout import (
    APPROVAL,
    Payout,
    assert_final,
    assert_money,
    assert_paid_once,
    failing,
    in_the_background,
    recoverable,
)
from tests.support.task_life import TaskLife

pytestmark = pytest.mark.faults


def early(task: SteppedLife) -> dict[str, Any]:
    """Return the event of a triggerer whose clock is ahead: the resumed task waits on in its worker."""
    trigger: Any = task.deferral.trigger  # type: ignore[union-attr]
    return {**Verdict("deadline", trigger.instance_id).as_event(), "nonce": trigger.nonce}


def resumed_and_waiting(task: SteppedLife) -> Execution:
    """Let a task defer, and wait in its worker after it was resumed."""
    task.begin_waiting()
    execution = task.resume(early(task))
    assert execution.go("pause") == "pause"
    return execution


def cleared(task: SteppedLife, execution: Execution) -> Execution:
    """Clear a task while an execution of it is at work, which ends of it; return the next one."""
    task.clear(running=True)
    execution.kill()
    assert task.next is not None, "Airflow would call `execute`"
    return task.begin()


def test_what_fails_after_the_clear_is_not_replaced_by_a_retry(payout):
    """Seen on a real Airflow: two instances, the money moved twice."""
    pay = payout(APPROVAL, failing("users:never"))
    task = pay.task(life=SteppedLife, deferrable=True)
    again = cleared(task, resumed_and_waiting(task))
    assert again.go("after write deferral") == "after write deferral", "it waits anew"
    assert task.record["generation"] == task.max_tries
    again.go()
    assert task.take(again) == "deferred"
    pay.approve(pay.instances()[0])
    ending = task.resume(task.fire())
    ending.go("after write ended")
    ending.kill()
    task.lose()
    assert task.state == "up_for_retry"
    task.finish(task.begin())
    assert_final(task, pay.instances()[0], "stage 3/3 send")
    assert len(pay.instances()) == 1
    assert_money(pay, 1)


def test_it_takes_over_what_succeeds(payout):
    pay = payout(APPROVAL)
    task = pay.task(life=SteppedLife, deferrable=True)
    again = cleared(task, resumed_and_waiting(task))
    with in_the_background(lambda: pay.approve(pay.instances()[0])):
        task.finish(again)
    assert_paid_once(pay, task)


def test_another_amount_after_the_clear_is_refused(payout):
    """`execute_complete` would not have looked at what is asked for now."""
    pay = payout(APPROVAL)
    task = pay.task(life=SteppedLife, deferrable=True)
    execution = resumed_and_waiting(task)
    pay.variables = {"amount": 5}
    task.finish(cleared(task, execution))
    assert_final(task, "variables.amount", "has not been paid")
    assert task.xcoms["instance_id"] == pay.instances()[0]


@pytest.mark.parametrize("point", ["before write submitted", "after write submitted", "before write ended"])
@pytest.mark.parametrize("fails", [True, False], ids=["fails", "succeeds"])
def test_while_recovery_is_resumed(payout, emulator, point, fails):
    pay = payout(*([failing("users:never")] if fails else []))
    task = pay.task(life=SteppedLife, deferrable=True)
    emulator.fault("run_workflow", "reset_after")
    first = task.begin()
    first.go()
    assert task.take(first) == "deferred"
    execution = task.resume(task.fire())
    execution.go(point)
    task.finish(cleared(task, execution))
    if not fails:
        assert_paid_once(pay, task)
        return
    assert_final(task, pay.instances()[0])
    task.finish(task.begin())
    assert len(pay.instances()) == 1


def sender(pay: Payout, instance_id: str, **arguments: Any) -> SteppedLife:
    """Return the life of a task that sends an approval."""
    return SteppedLife(
        lambda: SendEventOperator(
            task_id="approve",
            instance_id=instance_id,
            event="approved",
            poll_interval=0.05,
            confirm_timeout=2.0,
            deferrable=True,
            retries=2,
            **arguments,
        )
    )


def taken(pay: Payout, instance_id: str) -> int:
    """Return how many stages have ended."""
    return sum(one.terminated_at is not None for one in pay.hook.get_instance(instance_id).status)


@pytest.mark.parametrize("point", ["after write found", "before write sent", "before write taken"])
@pytest.mark.parametrize("wakes", [True, False], ids=["wakes", "dead"])
def test_an_event_is_not_sent_twice(payout, point, wakes):
    """Else the next stage that waits for the name takes the second: an approval that nobody gave."""
    pay = payout(APPROVAL, APPROVAL)
    instance_id = pay.hook.run_workflow(pay.id, {"amount": "1", "airflow_run_key": "k"}).id
    wait_for(lambda: pay.waits(instance_id))
    task = sender(pay, instance_id)
    task.begin_waiting()
    execution = task.resume(task.fire())
    assert execution.go(point) == point
    task.clear(running=True)
    if not wakes:
        execution.kill()
    again = task.begin()
    again.go("pause")
    if wakes:
        # A stage listens a moment after it has begun.
        threading.Event().wait(0.1)
        execution.go()
    task.finish(again)
    wait_for(lambda: pay.hook.get_instance(instance_id).status)
    assert taken(pay, instance_id) - 1 <= 1, "one approval, two stages"
    if task.state == "success":
        assert taken(pay, instance_id) - 1 == 1


@pytest.mark.parametrize("ended", [True, False], ids=["ended", "at work"])
def test_a_sensor_waits_anew_with_a_new_timeout(payout, ended):
    pay = payout(APPROVAL)
    instance_id = pay.hook.run_workflow(pay.id, {"amount": "1", "airflow_run_key": "k"}).id
    task = TaskLife(
        lambda: WorkflowInstanceSensor(
            task_id="wait", instance_id=instance_id, poke_interval=0.05, timeout=60.0, deferrable=True
        )
    )
    # As the API server hands it to the next try: an old event, and a deadline that has passed.
    task.next = ("execute_complete", {"deadline": 1.0, "event": {"verdict": "deadline", "instance_id": instance_id}})
    if ended:
        pay.approve(instance_id)
        assert task.execute() == "success"
    else:
        with in_the_background(lambda: pay.approve(instance_id)):
            assert task.execute() == "success", task.error
    assert pay.has_succeeded(instance_id)


def test_a_cancel_asks_anew(payout, emulator):
    pay = payout(APPROVAL)
    instance_id = pay.hook.run_workflow(pay.id, {"amount": "1", "airflow_run_key": "k"}).id
    task = TaskLife(
        lambda: CancelWorkflowOperator(
            task_id="cancel",
            instance_id=instance_id,
            poll_interval=0.05,
            cancel_timeout=0.3,
            on_ignored="warn",
            deferrable=True,
        )
    )
    task.next = ("execute_complete", {"event": {"verdict": "ended", "instance_id": instance_id}})
    assert task.execute() == "success"
    assert task.result["state"] == "running", "it went on, and so it is said"
    assert emulator.counters()["requests"]["cancel_event"] == 1


@recoverable
def test_all_records_are_removed_while_it_is_deferred(payout, recoverable):
    """The button *Clear All Task State Store*: its resume is no first execution, though its try is the first."""
    pay = payout(APPROVAL, recoverable=recoverable)
    task = pay.task(life=SteppedLife, deferrable=True)
    task.begin_waiting()
    pay.approve(pay.instances()[0])
    event = task.fire()
    task.store.rows.clear()
    task.finish(task.resume(event))
    if recoverable:
        assert_paid_once(pay, task)
    else:
        assert_final(task, "the record of this task is gone", "nothing was submitted")
        assert len(pay.instances()) == 1


def test_a_wrong_event_and_a_variable_that_holds_the_time_of_day(payout):
    """It begins anew in the same try, with templates that were rendered anew: that is no second run."""
    pay = payout(APPROVAL)
    task = pay.task(life=SteppedLife, deferrable=True)
    make = task.make_operator

    def render() -> Any:
        pay.variables = {**pay.variables, "note": str(time.time_ns())}
        return make()

    task.make_operator = render
    task.begin_waiting()
    again = task.resume({"verdict": "ended"})
    with in_the_background(lambda: pay.approve(pay.instances()[0])):
        task.finish(again)
    assert_paid_once(pay, task)
    assert task.try_number == 1
