"""
Real processes are killed and stopped (part 1): of the task wherever it is, and of the triggerer.

The processes are forked from one that has loaded everything, and are ended by SIGKILL while the call that they made
to Airflow's API server is held. Supervisor, scheduler, triggerer and API server of a real Airflow are in tests/e2e.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_provider_orchestration.emulator.testing import wait_for
from tests.faults.payout import APPROVAL, Payout, assert_money, assert_paid_once, failing, mode, recoverable
from tests.faults.processes import Forks, Process, ProcessLife

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    forks = Forks()
    yield forks
    forks.close()


@pytest.fixture
def process_life(payout, forks) -> Iterator[Callable[..., tuple[Payout, ProcessLife]]]:
    """Make a payout and the life, in processes, of the task that makes it."""
    lives = []

    def make(*then: dict[str, Any], recoverable: bool = True, **arguments: Any) -> tuple[Payout, ProcessLife]:
        pay: Payout = payout(*then, recoverable=recoverable)
        operator = {
            "task_id": "task",
            "retries": 2,
            "workflow_id": pay.id,
            "variables": pay.variables,
            "poll_interval": 0.05,
            "recovery_timeout": 0.5,
            "run_timeout": 60.0,
            **arguments,
        }
        name = "AIRFLOW_CONN_FORMANCE_DEFAULT"
        life = ProcessLife(forks, operator, {name: os.environ[name]})
        lives.append(life)
        return pay, life

    yield make
    forks.end_all()
    for life in lives:
        life.api.close()


def polled(emulator: Any) -> bool:
    return int(emulator.counters()["requests"].get("get_instance", 0)) >= 2


def assert_unknown(pay: Payout, life: ProcessLife, *, instances: int) -> None:
    assert life.state == "failed"
    assert life.record["phase"] == "unknown"
    for told in (life.record["run_key"], "airflow formance adopt", "airflow formance forget", *pay.instances()):
        assert told in str(life.error)
    assert len(pay.instances()) == instances
    assert_money(pay, instances)


class Then(enum.Enum):
    """What the next try comes to."""

    PAID = "paid once, green"
    #: As far as the run key is shown; else a person must say which instance is the one.
    FOUND = "found by its key, green"
    UNKNOWN = "not submitted, which nobody can know"


#: Where the process is when it is killed, and what its next try comes to.
POINTS = {
    "before anything": ("before write begun", Then.PAID),
    "begun": ("after write begun", Then.PAID),
    "before the intent": ("before write intent", Then.PAID),
    "after the intent": ("after write intent", Then.UNKNOWN),
    "accepted, id not stored": ("before write submitted", Then.FOUND),
    "id stored": ("after write submitted", Then.PAID),
    "ended, not written": ("before write ended", Then.PAID),
    "ended, not reported": ("after write ended", Then.PAID),
    "about to report": ("report success", Then.PAID),
}


@mode
@recoverable
@pytest.mark.parametrize(("point", "then"), POINTS.values(), ids=POINTS.keys())
def test_task_is_killed(process_life, point, then, recoverable, deferrable):
    pay, life = process_life(recoverable=recoverable, deferrable=deferrable)
    life.api.hold_at(point)
    process = life.begin()
    if deferrable and ("ended" in point or "report" in point):
        life.take_report(process)
        process = life.resume_after(life.fire())
    life.api.wait_until_held()
    process.kill()
    life.api.go_on(drop=True)
    life.lose()
    life.finish(life.begin())
    if then is Then.PAID or (then is Then.FOUND and recoverable):
        assert_paid_once(pay, life)
    else:
        assert_unknown(pay, life, instances=int(then is Then.FOUND))


@mode
@recoverable
def test_task_is_killed_while_the_submission_is_on_its_way(process_life, emulator, recoverable, deferrable):
    """The server's worker takes it up only after the process is gone."""
    pay, life = process_life(recoverable=recoverable, deferrable=deferrable, recovery_timeout=20.0)
    emulator.fault("run_workflow", "worker_down")
    process = life.begin()
    wait_for(lambda: emulator.counters()["requests"].get("run_workflow"))
    process.kill()
    life.lose()
    assert pay.instances() == []
    process = life.begin()
    if not recoverable:
        life.finish(process)
        emulator.clear_faults()
        wait_for(pay.instances)
        life.clear()
        life.finish(life.begin())
        assert_unknown(pay, life, instances=1)
        return
    if deferrable:
        life.take_report(process)
        process = life.fire()
    wait_for(lambda: emulator.counters()["requests"].get("list_instances"))
    emulator.clear_faults()
    life.finish(life.resume_after(process) if deferrable else process)
    assert_paid_once(pay, life)


@mode
@recoverable
@pytest.mark.parametrize("fails", [False, True], ids=["succeeds", "fails"])
def test_killed_while_waiting(process_life, emulator, fails, recoverable, deferrable):
    """The task's process, or that of the triggerer; the instance goes on, and what it comes to counts."""
    then = [failing("users:never")] if fails else []
    pay, life = process_life(APPROVAL, *then, recoverable=recoverable, deferrable=deferrable)
    process = life.begin()
    if deferrable:
        life.take_report(process)
        process = life.fire()
    wait_for(lambda: polled(emulator))
    process.kill()
    pay.approve(pay.instances()[0])
    if deferrable:
        life.finish(life.resume_after(life.fire()))  # in another triggerer
    else:
        life.lose()
        life.finish(life.begin())
    if fails:
        assert life.state == "failed"
        assert "stage 3/3 send" in str(life.error)
        assert len(pay.instances()) == 1
        assert_money(pay, 1)
    else:
        assert_paid_once(pay, life)
    assert "cancel_event" not in emulator.counters()["requests"]


def test_triggerer_is_killed_while_it_looks_for_the_run(process_life, emulator):
    pay, life = process_life(deferrable=True, recovery_timeout=20.0)
    emulator.fault("run_workflow", "worker_down")
    life.take_report(life.begin())
    first = life.fire()
    wait_for(lambda: emulator.counters()["requests"].get("list_instances"))
    first.kill()
    emulator.clear_faults()
    life.finish(life.resume_after(life.fire()))
    assert_paid_once(pay, life)


@mode
def test_killed_at_every_try(process_life, deferrable):
    """Each try is killed a step further on; the last one is green."""
    pay, life = process_life(deferrable=deferrable)
    for point in ("before write intent", "before write submitted"):
        life.api.hold_at(point)
        process = life.begin()
        life.api.wait_until_held()
        process.kill()
        life.api.go_on(drop=True)
        life.lose()
    life.finish(life.begin())
    assert life.try_number == 3
    assert_paid_once(pay, life)


def stopped_at(life: ProcessLife, point: str) -> Process:
    """Return a process that was stopped at a point, with the answer to its call waiting for it; it is given up."""
    life.api.hold_at(point)
    process = life.begin()
    life.api.wait_until_held()
    process.stop()
    life.api.go_on()
    life.lose()
    return process


def wake(process: Process) -> None:
    """Let a stopped process go on to its end."""
    process.go_on()
    process.wait()


@mode
def test_paused_for_long_between_intent_and_submission(process_life, deferrable):
    """It writes the intent again before it sends, and is refused there."""
    pay, life = process_life(deferrable=deferrable)
    life.settings = {"airflow_provider_orchestration__run__submit__submission__FENCE_HOLDS": 0.2}
    sleeper = stopped_at(life, "after write intent")
    life.finish(life.begin())
    assert_unknown(pay, life, instances=0)
    wake(sleeper)
    assert pay.instances() == []
    assert life.api.reports == []


@mode
def test_paused_for_a_moment_between_intent_and_submission(process_life, deferrable):
    """What it submits cannot be kept from it any more; it is the only one, and a clear finds it."""
    pay, life = process_life(deferrable=deferrable)
    sleeper = stopped_at(life, "after write intent")
    life.finish(life.begin())
    assert_unknown(pay, life, instances=0)
    wake(sleeper)
    assert len(pay.instances()) == 1
    life.clear()
    life.finish(life.begin())
    assert_paid_once(pay, life)


@mode
def test_paused_before_the_intent_while_another_submits(process_life, deferrable):
    pay, life = process_life(deferrable=deferrable)
    life.api.hold_at("before write intent")
    sleeper = life.begin()
    life.api.wait_until_held()
    sleeper.stop()
    life.lose()
    second = life.begin()
    second.wait()
    life.api.go_on()  # only now does its write reach Airflow
    wake(sleeper)
    life.finish(second)
    assert_paid_once(pay, life)


@mode
def test_paused_after_the_submission_while_another_takes_over(process_life, deferrable):
    pay, life = process_life(deferrable=deferrable)
    life.api.hold_at("before write submitted")
    sleeper = life.begin()
    life.api.wait_until_held()
    sleeper.stop()
    life.lose()
    life.finish(life.begin())
    life.api.go_on()
    wake(sleeper)
    assert_paid_once(pay, life)
    assert life.record["state"] == "succeeded"


def test_paused_while_waiting_and_another_takes_over(process_life, emulator):
    """It wakes when all is over, sees the end, too, and may write and tell nothing."""
    pay, life = process_life(APPROVAL, failing("users:never"), deferrable=False)
    sleeper = life.begin()
    wait_for(lambda: polled(emulator))
    sleeper.stop()
    life.clear()
    pay.approve(pay.instances()[0])
    life.finish(life.begin())
    assert life.state == "failed"
    record = life.record
    wake(sleeper)
    assert life.record == record
    assert life.api.reports == []
    assert len(pay.instances()) == 1
