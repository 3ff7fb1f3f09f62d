"""
The promise, held where executions overlap (see `Overlaps`): in any order, and with a rule broken on purpose.

The machine of test_state_machine runs each try to its end or death; here each goes from point to point.
"""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from airflow_provider_orchestration.run.record import RunRecord
from airflow_provider_orchestration.run.submit import submission
from tests.faults.overlaps import Overlaps
from tests.faults.planted import accepts_any_resume, assert_found, narrowed, submits_when_unknown
from tests.support.task_life import StaleExecutionError

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

SETTINGS = settings(
    max_examples=100,
    stateful_step_count=25,
    suppress_health_check=list(HealthCheck),
    database=None,
    # The same lives each time, so that a change that passes here passes elsewhere.
    derandomize=True,
)


@pytest.fixture
def machine(payout, emulator, connect, monkeypatch) -> type[Overlaps]:
    connect(extra={"read_timeout": 0.3, "connect_timeout": 0.3})
    monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", staticmethod(lambda **_: {}))
    monkeypatch.setattr("airflow_provider_orchestration.run.judge.death.PROBE_PAUSE", 0.002)
    return type("BoundOverlaps", (Overlaps,), {"make_payout": staticmethod(payout), "emulator": emulator})


def test_promise(machine):
    run_state_machine_as_test(machine, settings=SETTINGS)


def send_without_a_fence(monkeypatch: pytest.MonkeyPatch) -> None:
    fence = submission.TaskRun._fence

    def broken(run: Any, record: RunRecord) -> None:
        try:
            fence(run, record)
        except StaleExecutionError:
            run.log.warning("sent all the same")

    monkeypatch.setattr(submission.TaskRun, "_fence", broken)


def forget_the_generation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who takes over does not write its own: a retry takes the next failure for one that a clear was about."""
    write = submission.TaskRun._write

    def broken(run: Any, record: RunRecord) -> None:
        write(run, record.but(generation=getattr(run, "record", record).generation))

    monkeypatch.setattr(submission.TaskRun, "_write", broken)


WORKER = {"fault": "", "deferrable": False}
#: What is broken on purpose, the rules that it takes to find it, and what is not left to chance.
PLANTS: list[tuple[Any, list[str], dict[str, Any]]] = [
    (submits_when_unknown, ["go_on", "given_up", "something_changes"], {}),
    (send_without_a_fence, ["go_on", "given_up", "wakes"], WORKER | {"points": 2}),
    (forget_the_generation, ["go_on", "ends_unreported", "clear"], WORKER | {"fails": True}),
    # The record keeps the old generation, so that Airflow's retry of what failed is taken for a clear.
    (
        accepts_any_resume,
        ["go_on", "trigger_fires", "ends_unreported", "clear"],
        {"fault": "", "deferrable": True, "fails": True, "points": 10, "early": True, "counted": True},
    ),
]


@pytest.mark.parametrize(("plant", "rules", "fixed"), PLANTS, ids=[plant.__name__ for plant, *_ in PLANTS])
def test_machine_finds_what_is_planted(machine, monkeypatch, plant, rules, fixed):
    plant(monkeypatch)
    narrow = narrowed(machine, rules, fixed=fixed)
    how = settings(SETTINGS, max_examples=1000, stateful_step_count=8)
    assert_found(narrow, how, "may be at work|are at work|without an intent|sent twice")
