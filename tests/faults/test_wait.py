"""The wait goes wrong (part 3): looks that fail, servers that are away, engines that lose a run; no cancel."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from airflow_provider_orchestration.emulator.testing import wait_for
from airflow_provider_orchestration.run.wait.watch import Look, Verdict, Watch
from tests.faults.execution import SteppedLife
from tests.faults.payout import (
    APPROVAL,
    assert_final,
    assert_money,
    assert_paid_once,
    failing,
    in_the_background,
    mode,
)
from tests.support.servers import on_both
from tests.support.task_life import told

pytestmark = [pytest.mark.faults, on_both]


class Looks:
    """Counts the looks of those who wait."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._lock = threading.Lock()
        self.failed = self.good = 0
        take = Watch.take

        def counting(watch: Watch, look: Look) -> Verdict | None:
            with self._lock:
                if look.error is None:
                    self.good += 1
                else:
                    self.failed += 1
            return take(watch, look)

        monkeypatch.setattr(Watch, "take", counting)


@pytest.fixture
def looks(monkeypatch) -> Looks:
    return Looks(monkeypatch)


@pytest.fixture(autouse=True)
def _nothing_is_cancelled(emulator):
    yield
    assert "cancel_event" not in emulator.counters()["requests"]


@dataclass(frozen=True)
class Fault:
    """What happens to the looks while a task waits; `failed` of them are to fail before the instance goes on."""

    operation: str
    kind: str
    times: int
    failed: int
    settings: dict[str, Any] = field(default_factory=dict)


NOT_FOUND = {"errorCode": "INTERNAL", "errorMessage": "Instance not found"}
NO_HISTORY = {"errorCode": "INTERNAL", "errorMessage": "workflow not found for ID: x-main"}
FAULTS = {
    "503 three times": Fault("get_instance", "status", 3, 3, {"status": 503}),
    "reset": Fault("get_instance", "reset_before", 2, 2),
    "reset after": Fault("get_instance", "reset_after", 2, 2),
    "401 twice": Fault("get_instance", "status", 2, 1, {"status": 401}),
    "401 once": Fault("get_instance", "status", 1, 0, {"status": 401}),
    "403 once": Fault("get_instance", "status", 1, 1, {"status": 403}),
    "token ended": Fault("token", "expire_tokens", 1, 0),
    "HTML once": Fault("get_instance", "garbage", 1, 1),
    "404 of a gateway": Fault("get_instance", "status", 1, 1, {"status": 404, "body": "<html>"}),
    "429 with Retry-After": Fault("get_instance", "status", 1, 1, {"status": 429, "headers": {"Retry-After": "1"}}),
    "no answer": Fault("get_instance", "hang_after", 1, 1),
    "not found for a moment": Fault("get_instance", "status", 4, 4, {"status": 500, "body": NOT_FOUND}),
    "history fails": Fault("get_instance_history", "status", 2, 1, {"status": 500}),
    "history not found": Fault("get_instance_history", "status", 2, 0, {"status": 500, "body": NO_HISTORY}),
    "everything fails": Fault("*", "status", 5, 1, {"status": 502}),
}


@mode
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_fault(payout, emulator, looks, fault: Fault, deferrable):
    pay = payout(APPROVAL)
    task = pay.task(deferrable=deferrable)

    def break_looks() -> None:
        (instance,) = wait_for(pay.instances)
        wait_for(lambda: looks.good and pay.waits(instance))
        emulator.fault(fault.operation, fault.kind, fault.times, **fault.settings)
        wait_for(lambda: looks.failed >= fault.failed and not emulator.control("GET", "faults")["data"])
        good = looks.good
        wait_for(lambda: looks.good > good)
        pay.hook.send_event(instance, "approved")

    with in_the_background(break_looks):
        task.execute_to_end()
    assert_paid_once(pay, task)
    assert task.try_number == 1


def test_the_end_cannot_be_read_in_the_worker(payout, emulator):
    """The triggerer has seen it; no retry is spent on it."""
    pay = payout()
    task = pay.task(deferrable=True)

    def break_reads(_trigger: str, event: Any) -> Any:
        emulator.fault("get_instance", "status", 7, status=503)
        return event

    task.on_event = break_reads
    task.execute_to_end()
    assert_paid_once(pay, task)
    assert task.try_number == 1
    assert not emulator.control("GET", "faults")["data"]


@mode
def test_the_stack_is_away_when_a_retry_takes_over(payout, emulator, looks, deferrable):
    """The retry waits as any other execution does, and is not spent on a look."""
    pay = payout(APPROVAL)
    task = pay.task(life=SteppedLife, deferrable=deferrable)
    task.begin_waiting().kill()
    task.lose()
    (instance,) = pay.instances()
    emulator.fault("get_instance", "status", "always", status=503)

    def come_back() -> None:
        wait_for(lambda: looks.failed >= 3)
        emulator.clear_faults()
        pay.approve(instance)

    with in_the_background(come_back):
        assert task.finish(task.begin()) == "success"
    assert_paid_once(pay, task)
    assert task.try_number == 2


def away_and_back(pay: Any, looks: Looks, close: Callable[[], object], back: Callable[[], object]) -> None:
    """Have something go away while the task waits, be missed three times, and come back."""
    (instance,) = wait_for(pay.instances)
    wait_for(lambda: looks.good and pay.waits(instance))
    close()
    failed = looks.failed
    wait_for(lambda: looks.failed >= failed + 3)
    back()
    pay.hook.send_event(instance, "approved")


@mode
def test_server_down_and_back(payout, gate, looks, deferrable):
    pay = payout(APPROVAL)
    task = pay.task(deferrable=deferrable)
    with in_the_background(lambda: away_and_back(pay, looks, gate.close, gate.open)):
        task.execute_to_end()
    assert_paid_once(pay, task)
    assert task.try_number == 1


@mode
def test_token_endpoint_down_at_renewal(payout, emulator, looks, deferrable):
    pay = payout(APPROVAL)
    task = pay.task(deferrable=deferrable)

    def close() -> None:
        emulator.fault("token", "status", "always", status=503)
        emulator.fault("token", "expire_tokens")

    with in_the_background(lambda: away_and_back(pay, looks, close, emulator.clear_faults)):
        task.execute_to_end()
    assert_paid_once(pay, task)
    assert task.try_number == 1


@mode
def test_server_away_for_longer_than_the_task_bears(payout, gate, looks, deferrable):
    """`poll_failure_timeout` ends a try, not the run: the next try takes it over."""
    pay = payout(APPROVAL)
    task = pay.task(deferrable=deferrable, poll_failure_timeout=0.3)

    def close() -> None:
        (instance,) = wait_for(pay.instances)
        wait_for(lambda: looks.good and pay.waits(instance))
        gate.close()

    with in_the_background(close):
        assert task.execute() == "up_for_retry"
    assert "goes on" in told(task.error)
    gate.open()
    with in_the_background(lambda: pay.approve(pay.instances()[0])):
        task.execute_to_end()
    assert_paid_once(pay, task)
    assert task.try_number == 2


def test_server_away_when_the_task_is_resumed(payout, gate, looks):
    pay = payout()
    task = pay.task(deferrable=True)

    def close(_trigger: str, event: Any) -> Any:
        gate.close()
        looks.failed = 0
        return event

    def come_back() -> None:
        wait_for(lambda: looks.failed >= 3)
        gate.open()

    task.on_event = close
    with in_the_background(come_back):
        task.execute_to_end()
    assert_paid_once(pay, task)
    assert task.try_number == 1


EVENTS = {
    "none": None,
    "no text": 7,
    "unknown verdict": {"verdict": "fine", "instance_id": "x"},
    "of another instance": {"verdict": "ended", "instance_id": "another"},
}


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS.keys())
def test_event_that_says_nothing_is_no_success(payout, event):
    pay = payout(failing("users:never"))
    task = pay.task(deferrable=True)
    task.on_event = lambda _trigger, _event: event
    # It begins anew, and reads itself what became of the instance.
    task.execute_to_end()
    assert_final(task, pay.instances()[0], "stage 2/2 send")
    assert_money(pay, 1)


@pytest.mark.parametrize("verdict", Verdict.kinds)
def test_event_that_lies_is_no_success(payout, verdict):
    """What the instance itself says goes before what the trigger's event says."""
    pay = payout(failing("users:never"))
    task = pay.task(deferrable=True)
    task.on_event = lambda _trigger, event: {**event, "verdict": verdict}
    assert task.execute_to_end() == "failed"
    assert len(pay.instances()) == 1
    assert_money(pay, 1)


@mode
def test_failed_instance(payout, deferrable):
    pay = payout(failing("users:never"))
    task = pay.task(deferrable=deferrable)
    task.execute_to_end()
    assert task.try_number == 1
    assert_final(task, pay.instances()[0], "stage 2/2 send", "nonsense")
    assert task.record["state"] == "failed"
    assert_money(pay, 1)


def while_waiting(pay: Any, looks: Looks, then: Callable[[str], object]) -> Callable[[], None]:
    """Return what does something to the instance as soon as the task waits for it."""

    def act() -> None:
        (instance,) = wait_for(pay.instances)
        wait_for(lambda: looks.good and pay.waits(instance))
        then(instance)

    return act


@mode
def test_cancelled_in_the_engine(payout, emulator, looks, deferrable):
    """It looks alive for ever; only its history tells."""
    pay = payout(APPROVAL)
    task = pay.task(deferrable=deferrable)
    with in_the_background(while_waiting(pay, looks, lambda instance: emulator.engine(instance, "cancel"))):
        task.execute_to_end()
    assert_final(task, pay.instances()[0], "dead", "canceled")
    assert task.try_number == 1
    assert len(pay.instances()) == 1
    # A clear knows that it is dead, and submits anew.
    task.clear()
    with in_the_background(lambda: pay.approve(wait_for(lambda: pay.instances()[1:])[0])):
        assert task.execute_to_end() == "success"
    assert len(pay.instances()) == 2
    assert task.record["earlier"][0]["state"] == "dead"


@mode
def test_terminated_in_the_engine(payout, emulator, looks, deferrable):
    """Nothing shows it but a probe, at the deadline or when it is taken over."""
    pay = payout(APPROVAL)
    task = pay.task(deferrable=deferrable, run_timeout=1.0)
    with in_the_background(while_waiting(pay, looks, lambda instance: emulator.engine(instance, "terminate"))):
        task.execute_to_end()
    assert_final(task, pay.instances()[0], "dead", "terminated in the engine")
    assert len(pay.instances()) == 1


@mode
@pytest.mark.parametrize("ended", [True, False], ids=["succeeded", "moved"])
def test_taken_for_dead_and_lives_after_all(payout, ended, deferrable):
    """Whatever made it look dead: a clear looks once more before it replaces it."""
    pay = payout(APPROVAL)
    task = pay.task(life=SteppedLife, deferrable=deferrable)
    task.begin_waiting().kill()
    task.lose()
    (instance,) = pay.instances()
    wait_for(lambda: pay.waits(instance))
    record = task.store.rows["formance_run"]
    as_it_was: dict[str, Any] = {"stages": []}
    record |= {"phase": "ended", "state": "dead", "error": "terminated in the engine", "result": as_it_was}
    task.clear()
    if ended:
        pay.approve(instance)
        wait_for(lambda: pay.has_succeeded(instance))
        task.finish(task.begin())
    else:
        with in_the_background(lambda: pay.approve(instance)):
            task.finish(task.begin())
    assert_paid_once(pay, task)


def test_taken_for_dead_lives_and_something_else_is_asked_for(payout):
    """What is now asked for has not been paid by the one that lives."""
    pay = payout(APPROVAL)
    task = pay.task(life=SteppedLife, deferrable=False)
    task.begin_waiting().kill()
    task.lose()
    (instance,) = pay.instances()
    pay.approve(instance)
    wait_for(lambda: pay.has_succeeded(instance))
    task.store.rows["formance_run"] |= {"phase": "ended", "state": "dead", "error": "x", "result": {"stages": []}}
    task.clear()
    pay.variables = {"amount": 5000}
    task.finish(task.begin())
    assert_final(task, "variables.amount", "has not been paid")
    assert_money(pay, 1)


@mode
def test_forgotten_by_the_engine_while_it_runs(payout, emulator, looks, deferrable):
    """Neither history nor probe tells anything: it is stopped being watched at the deadline, and not doubled after."""
    pay = payout(APPROVAL)
    task = pay.task(deferrable=deferrable, run_timeout=1.0)
    with in_the_background(while_waiting(pay, looks, lambda instance: emulator.engine(instance, "purge_history"))):
        task.execute_to_end()
    assert_final(task, pay.instances()[0], "goes on")
    task.clear()
    task.execute_to_end()
    assert_final(task, pay.instances()[0], "goes on")
    assert len(pay.instances()) == 1


@mode
def test_histories_forgotten_when_the_result_is_read(payout, emulator, deferrable):
    pay = payout()
    task = pay.task(deferrable=deferrable)

    def forget(_key: str, value: Any) -> None:
        if value.get("phase") == "submitted":
            wait_for(lambda: pay.has_succeeded(value["instance_id"]))
            emulator.engine(value["instance_id"], "purge_history")

    task.store.before_write = forget
    task.execute_to_end()
    assert_paid_once(pay, task)
    assert task.result["transactions"] is None


@mode
def test_stage_history_fails_when_the_result_is_read(payout, emulator, deferrable):
    pay = payout()
    task = pay.task(deferrable=deferrable)
    emulator.fault("get_instance_stage_history", "status", "always", status=500)
    task.execute_to_end()
    assert_paid_once(pay, task)
    assert task.result["transactions"] is None
