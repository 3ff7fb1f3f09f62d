"""The deadline is one, from the submission: over retries, clears and deferrals, with one last look."""

from __future__ import annotations

import time
from typing import Any

import pytest

from airflow_provider_orchestration.emulator.testing import wait_for
from airflow_provider_orchestration.run.words import in_words
from tests.faults.execution import SteppedLife
from tests.faults.payout import APPROVAL, assert_final, assert_money, assert_paid_once, mode

pytestmark = pytest.mark.faults
TIMEOUT = 1.0


def past(task: SteppedLife) -> bool:
    record = task.record
    assert record is not None
    return time.time() > float(record["deadline"])


@mode
@pytest.mark.parametrize("again", ["retry", "clear"])
def test_it_is_the_same_over_all_executions(payout, again, deferrable):
    pay = payout(APPROVAL)
    task = pay.task(life=SteppedLife, deferrable=deferrable, run_timeout=TIMEOUT)
    task.begin_waiting().kill()
    deadline = task.record["deadline"]
    task.clear() if again == "clear" else task.lose()
    task.finish(task.begin())
    assert_final(task, f"run_timeout of {in_words(TIMEOUT)} passed", pay.instances()[0], "goes on")
    assert task.record["deadline"] == deadline
    assert 0.0 <= time.time() - deadline < 0.8
    assert len(pay.instances()) == 1
    assert_money(pay, 1)


@mode
@pytest.mark.parametrize("ended", [True, False], ids=["ended meanwhile", "goes on"])
def test_it_passes_while_nobody_watches(payout, ended, deferrable):
    """Between two tries, or while the triggerer is down: what the instance has come to by then counts."""
    pay = payout(APPROVAL)
    task = pay.task(life=SteppedLife, deferrable=deferrable, run_timeout=TIMEOUT)
    execution = task.begin_waiting()
    if ended:
        pay.approve(pay.instances()[0])
    wait_for(lambda: past(task))
    if deferrable:
        execution = task.resume(task.fire())
    else:
        execution.kill()
        task.lose()
        execution = task.begin()
    task.finish(execution)
    if ended:
        assert_paid_once(pay, task)
    else:
        assert_final(task, "goes on")
        assert len(pay.instances()) == 1


@mode
def test_it_passes_while_the_server_is_down(payout, gate, deferrable):
    pay = payout(APPROVAL)
    task = pay.task(life=SteppedLife, deferrable=deferrable, run_timeout=TIMEOUT)
    execution = task.begin_waiting()
    gate.close()
    wait_for(lambda: past(task))
    task.finish(task.resume(task.fire()) if deferrable else execution)
    assert_final(task, "the last look failed", "goes on")
    # The run went on, and a person looks again.
    gate.open()
    pay.approve(pay.instances()[0])
    wait_for(lambda: pay.has_succeeded(pay.instances()[0]))
    task.clear()
    task.finish(task.begin())
    assert_paid_once(pay, task)


@pytest.mark.parametrize("event", ["deadline", "ended"])
def test_it_ends_between_the_last_poll_and_the_last_look(payout, event):
    pay = payout(APPROVAL)
    task = pay.task(life=SteppedLife, deferrable=True, run_timeout=TIMEOUT)
    task.begin_waiting()
    (instance,) = pay.instances()
    told: dict[str, Any] = {"verdict": event, "instance_id": instance, "stage": None, "error": None}
    pay.approve(instance)
    wait_for(lambda: pay.has_succeeded(instance))
    task.finish(task.resume(told))
    assert_paid_once(pay, task)


@mode
def test_a_refused_submission_has_no_deadline_yet(payout, emulator, deferrable):
    """It counts from the submission; a run that was refused was none."""
    pay = payout()
    task = pay.task(deferrable=deferrable, run_timeout=TIMEOUT)
    emulator.fault("run_workflow", "status", 1, status=400)
    assert task.execute() == "up_for_retry"
    first = task.record["deadline"]
    wait_for(lambda: time.time() > first)
    task.execute_to_end()
    assert_paid_once(pay, task)


@mode
def test_cancel_on_timeout_is_asked_for_once_and_said_to_be_ignored(payout, emulator, deferrable):
    pay = payout(APPROVAL)
    task = pay.task(deferrable=deferrable, run_timeout=0.5, cancel_on_timeout=True, cancel_timeout=0.3)
    task.execute_to_end()
    assert_final(task, "asked to cancel, and still runs", "goes on")
    assert emulator.counters()["requests"]["cancel_event"] == 1
    assert not pay.has_succeeded(pay.instances()[0])
    assert len(pay.instances()) == 1
