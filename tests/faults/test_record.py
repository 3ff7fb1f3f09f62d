"""The record goes wrong (part 6): deleted, unreadable, of a newer version, wiped, or the store away at each call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from airflow_provider_orchestration.emulator.testing import wait_for
from tests.faults.execution import SteppedLife
from tests.faults.payout import (
    APPROVAL,
    assert_final,
    assert_money,
    assert_paid_once,
    assert_unknown,
    in_the_background,
    mode,
    recoverable,
)
from tests.support.task_life import StaleExecutionError, StateStore, StoreAccessor

pytestmark = pytest.mark.faults
RUN = "formance_run"
NO_HISTORY = {"errorCode": "INTERNAL", "errorMessage": "workflow not found for ID: x-main"}


def test_deleted_by_hand_while_deferred(payout):
    pay = payout(APPROVAL)
    task = pay.task(life=SteppedLife, deferrable=True)
    task.begin_waiting()
    del task.store.rows[RUN]
    with in_the_background(lambda: pay.approve(pay.instances()[0])):
        task.finish(task.resume(task.fire()))
    assert_final(task, "record of this task is gone")
    # Its run key still tells whose the instance is.
    task.clear()
    task.finish(task.begin())
    assert_paid_once(pay, task)


def test_deleted_by_hand_while_it_waits_in_the_worker(payout):
    pay = payout(APPROVAL)
    task = pay.task(life=SteppedLife, deferrable=False)
    execution = task.begin_waiting()
    del task.store.rows[RUN]
    with in_the_background(lambda: pay.approve(pay.instances()[0])):
        task.finish(execution)
    assert_paid_once(pay, task)
    assert task.record["state"] == "succeeded"


def begun_and_deleted(payout: Callable[..., Any], deferrable: bool) -> tuple[Any, SteppedLife]:
    """Return a payout whose task was killed while it waited, and whose record was deleted."""
    pay = payout(APPROVAL)
    task = pay.task(life=SteppedLife, deferrable=deferrable)
    task.begin_waiting().kill()
    task.lose()
    del task.store.rows[RUN]
    wait_for(lambda: pay.waits(pay.instances()[0]))
    return pay, task


@mode
@pytest.mark.parametrize("ended", [True, False], ids=["ended", "at work"])
def test_deleted_by_hand_before_a_later_try(payout, ended, deferrable):
    pay, task = begun_and_deleted(payout, deferrable)
    if ended:
        pay.approve(pay.instances()[0])
        task.finish(task.begin())
    else:
        with in_the_background(lambda: pay.approve(pay.instances()[0])):
            task.finish(task.begin())
    assert_paid_once(pay, task)


@mode
@pytest.mark.parametrize("operation", ["list_instances", "get_instance_history"])
@pytest.mark.parametrize("body", [None, NO_HISTORY], ids=["503", "not found yet"])
def test_deleted_by_hand_and_the_stack_cannot_be_read(payout, emulator, operation, body, deferrable):
    """Not being able to look is not having found nothing; a row is there a moment before its history."""
    pay, task = begun_and_deleted(payout, deferrable)
    emulator.fault(operation, "status", "always", **({"status": 500, "body": body} if body else {"status": 503}))
    assert task.finish(task.begin()) == "up_for_retry"
    emulator.clear_faults()
    with in_the_background(lambda: pay.approve(pay.instances()[0])):
        task.finish(task.begin())
    assert_paid_once(pay, task)


@mode
def test_no_record_and_an_old_run_whose_history_is_forgotten(payout, emulator, monkeypatch, deferrable):
    """It can be nobody's any more, and must not keep a task that never submitted anything from it for ever."""
    monkeypatch.setattr("airflow_provider_orchestration.run.submit.recovery.HISTORY_BEGINS_WITHIN", -10.0)
    pay = payout()
    old = pay.hook.run_workflow(pay.id, {"amount": "1", "airflow_run_key": "old"}).id
    wait_for(lambda: pay.has_succeeded(old))
    emulator.engine(old, "purge_history")
    task = pay.task(deferrable=deferrable)
    emulator.fault("get_workflow", "status", 5, status=503)
    assert task.execute() == "up_for_retry"
    del task.store.rows[RUN]
    task.execute_to_end()
    assert task.state == "success"
    assert pay.instances() == [old, task.xcoms["instance_id"]]


UNREADABLE = {
    "no object": [1, 2],
    "a text": "submitted",
    "without a key": {"version": 1, "phase": "submitted"},
    "of an unknown phase": {"phase": "paid", "run_key": "k", "workflow_id": "w", "digest": {}, "generation": 2},
    "of a newer version": {"version": 2, "run_key": "k"},
}


@mode
@pytest.mark.parametrize("record", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_unreadable(payout, record, deferrable):
    pay = payout()
    task = pay.task(deferrable=deferrable)
    task.store.rows[RUN] = record
    task.execute_to_end()
    assert_final(task, "record of this task", "nothing was sent")
    assert pay.instances() == []
    assert task.store.rows[RUN] == record


@mode
def test_clear_on_success(payout, emulator, monkeypatch, deferrable):
    """Airflow would wipe what was paid as soon as it was paid."""
    monkeypatch.setenv("AIRFLOW__STATE_STORE__CLEAR_ON_SUCCESS", "True")
    pay = payout()
    task = pay.task(deferrable=deferrable)
    task.execute_to_end()
    assert_final(task, "clear_on_success", "nothing was sent")
    assert "run_workflow" not in emulator.counters()["requests"]


class NoApiServerError(Exception):
    """What Airflow raises where its API server does not answer."""


@dataclass
class FailingStore(StateStore):
    """Fails at one call: before it took effect, or after."""

    fails_at: str = ""
    applied: bool = False

    def accessor(self, execution: int) -> StoreAccessor:
        return _FailingAccessor(self, execution)

    def fail(self, at: str) -> None:
        if self.fails_at == at:
            self.fails_at = ""
            raise NoApiServerError(at)


class _FailingAccessor(StoreAccessor):
    store: FailingStore

    def get(self, key: str, default: Any = None) -> Any:
        value = super().get(key, default)
        self.store.fail(f"read {value.get('phase', 'deferral')}" if value else "read nothing")
        return value

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        if not self.store.applied:
            self.store.fail(f"write {value.get('phase', 'deferral')}")
        super().set(key, value, retention=retention)
        self.store.fail(f"write {value.get('phase', 'deferral')}")


CALLS = ["read nothing", "write begun", "write intent", "write submitted", "write ended"]
#: One who waits in the worker does not read the record again.
CALLS_OF_MODES = [
    *((call, False) for call in CALLS),
    *((call, True) for call in [*CALLS, "write deferral", "read deferral", "read submitted"]),
]


@recoverable
@pytest.mark.parametrize("applied", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("call", "deferrable"),
    CALLS_OF_MODES,
    ids=[f"{call}-{'deferrable' if deferrable else 'waiting'}" for call, deferrable in CALLS_OF_MODES],
)
def test_api_server_of_airflow_gone(payout, call, applied, recoverable, deferrable):
    pay = payout(recoverable=recoverable)
    task = pay.task(deferrable=deferrable)
    task.store = FailingStore(fails_at=call, applied=applied)
    assert task.execute() == "up_for_retry"
    assert isinstance(task.error, NoApiServerError)
    task.execute_to_end()
    if call == "write intent" and applied:
        # An intent without an answer: nobody can tell that it was not sent after all.
        assert_unknown(pay, task, instances=0)
    elif call == "write submitted" and not applied and not recoverable:
        assert_unknown(pay, task, instances=1)
        assert_money(pay, 1)
    else:
        assert_paid_once(pay, task)


@mode
@recoverable
@pytest.mark.parametrize("applied", [False, True], ids=["before", "after"])
def test_api_server_of_airflow_gone_when_the_answer_was_lost(payout, emulator, applied, recoverable, deferrable):
    pay = payout(recoverable=recoverable)
    task = pay.task(deferrable=deferrable)
    task.store = FailingStore(fails_at="write unknown", applied=applied)
    emulator.fault("run_workflow", "reset_after")
    assert task.execute() == "up_for_retry"
    task.execute_to_end()
    if recoverable:
        assert_paid_once(pay, task)
    else:
        assert_unknown(pay, task, instances=1)


@mode
def test_api_server_of_airflow_gone_when_the_id_is_pushed(payout, deferrable, monkeypatch):
    pay = payout()
    task = pay.task(deferrable=deferrable)
    from tests.support.task_life import TaskInstance

    push, failures = TaskInstance.xcom_push, [NoApiServerError()]

    def failing_once(ti: TaskInstance, key: str, value: Any) -> None:
        if failures:
            raise failures.pop()
        push(ti, key, value)

    monkeypatch.setattr(TaskInstance, "xcom_push", failing_once)
    assert task.execute() == "up_for_retry"
    task.execute_to_end()
    assert_paid_once(pay, task)


def sleeping(payout: Callable[..., Any], at: str, deferrable: bool) -> tuple[Any, SteppedLife, Any]:
    """Return a payout, its task, and an execution that sleeps somewhere and is given up by Airflow."""
    pay = payout()
    task = pay.task(life=SteppedLife, deferrable=deferrable)
    sleeper = task.begin()
    sleeper.go(at)
    task.lose()
    return pay, task, sleeper


@mode
@pytest.mark.parametrize("point", ["before write begun", "after write begun", "before write intent"])
def test_slept_before_the_intent(payout, point, deferrable):
    pay, task, sleeper = sleeping(payout, point, deferrable)
    task.finish(task.begin())
    sleeper.go()
    assert isinstance(sleeper.error, StaleExecutionError)
    assert_paid_once(pay, task)


@mode
def test_slept_long_between_intent_and_submission(payout, monkeypatch, deferrable):
    """It writes the intent again before it sends, and is refused there."""
    monkeypatch.setattr("airflow_provider_orchestration.run.submit.submission.FENCE_HOLDS", 0.1)
    pay, task, sleeper = sleeping(payout, "after write intent", deferrable)
    task.finish(task.begin())
    assert_unknown(pay, task, instances=0)
    sleeper.go()
    assert isinstance(sleeper.error, StaleExecutionError)
    assert pay.instances() == []


@mode
def test_slept_a_moment_between_intent_and_submission(payout, deferrable):
    """No fence can hold for ever: what it submits is found by its key, and nothing else was submitted meanwhile."""
    pay, task, sleeper = sleeping(payout, "after write intent", deferrable)
    task.finish(task.begin())
    assert_unknown(pay, task, instances=0)
    sleeper.go()
    assert isinstance(sleeper.error, StaleExecutionError)
    assert len(pay.instances()) == 1
    task.clear()
    task.finish(task.begin())
    assert_paid_once(pay, task)


@mode
def test_slept_after_the_submission(payout, deferrable):
    pay, task, sleeper = sleeping(payout, "before write submitted", deferrable)
    task.finish(task.begin())
    sleeper.go()
    assert isinstance(sleeper.error, StaleExecutionError)
    assert_paid_once(pay, task)
