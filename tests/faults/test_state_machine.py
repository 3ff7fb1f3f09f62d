"""
The promise, held against random lives of a task: faults, kills, retries, clears, decisions and time in any order.

The counts come from the emulator. The machine is itself tested: with a rule broken on purpose it must find the double
payment.
"""

from __future__ import annotations

import threading
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from airflow_provider_orchestration.emulator.testing import EmulatorProcess
from airflow_provider_orchestration.run.judge.outcome import Outcome, State
from airflow_provider_orchestration.run.record import Decision, RunRecord
from airflow_provider_orchestration.run.submit import again, submission
from airflow_provider_orchestration.run.submit.deciding import forgotten
from tests.faults.payout import AMOUNT, Payout, failing
from tests.faults.planted import assert_found, submits_when_unknown
from tests.support.task_life import TaskLife

pytestmark = pytest.mark.faults

#: Where a process is killed: before or after the record is written in a phase, or when the triggerer has its event.
POINTS = [
    ("before", "begun"),
    ("after", "begun"),
    ("before", "intent"),
    ("after", "intent"),
    ("before", "submitted"),
    ("after", "submitted"),
    ("before", "unknown"),
    ("before", "ended"),
    ("after", "ended"),
    ("resume", ""),
]
WHERE = st.sampled_from([None, *POINTS])
FAULTS = st.sampled_from(
    [
        ("run_workflow", "reset_before", {}),
        ("run_workflow", "reset_after", {}),
        ("run_workflow", "status", {"status": 502}),
        ("run_workflow", "status_after", {"status": 504}),
        ("run_workflow", "status", {"status": 429}),
        ("run_workflow", "status", {"status": 400}),
        ("run_workflow", "garbage", {}),
        ("run_workflow", "hang_after", {}),
        ("run_workflow", "worker_down", {}),
        ("list_instances", "status", {"status": 503}),
        ("get_instance", "reset_before", {}),
        ("get_instance", "garbage", {}),
        ("get_instance_history", "status", {"status": 500}),
        ("*", "status", {"status": 401}),
    ]
)


#: A stage that takes a tenth of a second, and seconds: longer than that, and than the short one of the deadlines.
A_MOMENT = {"delay": {"duration": "5s"}}
TIME = 0.15
DEADLINES = (2.0, 0.1)


class Killed(BaseException):
    """SIGKILL: nothing of the process goes on."""


class MortalLife(TaskLife):
    """A task whose processes can be killed at a point of their work."""

    point: tuple[str, str] | None = None
    #: What stops the process at the point is a clear, not its death.
    cleared: bool = False

    def context(self) -> dict[str, Any]:
        context = super().context()
        accessor = context["task_state_store"]
        write = accessor.set

        def mortal_write(key: str, value: Any, **options: Any) -> None:
            self.die_at("before", value.get("phase", "deferral"))
            write(key, value, **options)
            self.die_at("after", value.get("phase", "deferral"))

        accessor.set = mortal_write
        return context

    def run_trigger(self, trigger: Any) -> Any:
        event = super().run_trigger(trigger)
        self.die_at("resume", "")
        return event

    def die_at(self, *point: str) -> None:
        if point == self.point:
            self.point = None
            raise Killed(point)

    def execute(self) -> str:
        try:
            return super().execute()
        except Killed as killed:
            if self.cleared:
                # A task whose trigger's event has come, and that is not resumed yet, is not running.
                self.clear(running=killed.args != (("resume", ""),))
            else:
                self.has_failed(final=False)
            return str(self.state)


class Promise(RuleBasedStateMachine):
    """One task of one DAG run, and all that can happen to it."""

    # Set by the test that runs the machine.
    make_payout: Any = None
    emulator: EmulatorProcess

    @initialize(
        recoverable=st.booleans(),
        deferrable=st.booleans(),
        run_timeout=st.sampled_from(DEADLINES),
        then=st.sampled_from([[], [A_MOMENT], [failing("users:nobody")], [A_MOMENT, failing("users:nobody")]]),
        faults=st.lists(FAULTS, min_size=1, max_size=2),
        point=WHERE,
    )
    def begin(self, then: list[Any], faults: list[Any], point: Any, recoverable: bool, **arguments: Any) -> None:
        self.emulator.clear_faults()
        self.payout: Payout = self.make_payout(*then, recoverable=recoverable)
        self.life: MortalLife = self.payout.task(
            life=MortalLife, recovery_timeout=0.15, poll_failure_timeout=1.0, **arguments
        )
        self.submissions_allowed = 1
        for fault in faults:
            self.break_something(fault, 1)
        self.next_try(point)

    def record(self) -> RunRecord | None:
        raw = self.life.record
        return None if raw is None else msgspec.convert(raw, RunRecord)

    # No rule has a precondition: time goes on meanwhile, and Hypothesis plays again what went another way.

    @rule(point=WHERE)
    def next_try(self, point: tuple[str, str] | None) -> None:
        """Let Airflow try again; where the task has ended, after a person has cleared it."""
        if self.life.state in ("success", "failed"):
            self.clear()
        record = self.record()
        unknown = record is not None and record.phase in ("intent", "unknown")
        sent = self.sent()
        self.life.point = point
        self.life.execute()
        self.life.point = None
        if unknown:
            assert self.sent() == sent, "submitted again, though an earlier submission may have arrived"

    @rule(point=st.sampled_from(POINTS))
    def next_try_is_cleared(self, point: tuple[str, str]) -> None:
        """The same, but a person clears it at that point, and its process ends of it."""
        self.life.cleared = True
        self.next_try(point)
        self.life.cleared = False
        if self.life.state is None:
            self.allow_for_a_clear()

    def clear(self) -> None:
        self.allow_for_a_clear()
        self.life.clear()

    def allow_for_a_clear(self) -> None:
        record = self.record()
        if record is not None and record.phase == "ended" and record.state != "succeeded":
            # A person has seen a failure and wants it anew: one more, unless such a wish is still open.
            self.submissions_allowed = len(self.payout.runs()) + 1

    @rule(fault=FAULTS, times=st.integers(1, 3))
    def break_something(self, fault: tuple[str, str, dict[str, Any]], times: int) -> None:
        operation, kind, more = fault
        self.emulator.fault(operation, kind, times, **more)

    @rule()
    def mend_all(self) -> None:
        self.emulator.clear_faults()

    @rule()
    def time_passes(self) -> None:
        threading.Event().wait(TIME)

    @rule()
    def forget(self) -> None:
        record = self.record()
        if self.life.state == "failed" and record is not None and record.phase in ("intent", "unknown"):
            decision = Decision("forget", "a person", "2026-01-01T00:00:00Z")
            self.life.store.rows["formance_run"] = msgspec.to_builtins(forgotten(record, decision))
            self.submissions_allowed += 1

    @rule(what=st.sampled_from(["cancel", "terminate", "purge_history"]))
    def break_the_engine(self, what: str) -> None:
        for instance_id in self.payout.instances()[-1:]:
            self.emulator.engine(instance_id, what)

    @invariant()
    def holds(self) -> None:
        if not hasattr(self, "life"):
            return
        runs = self.payout.runs()
        assert len(runs) <= self.submissions_allowed, f"{len(runs)} instances, {self.submissions_allowed} allowed"
        if self.life.state == "success":
            record = self.record()
            assert record is not None
            assert record.instance_id in self.payout.instances()
            assert record.state == "succeeded"

    def teardown(self) -> None:
        if not hasattr(self, "life"):
            return
        self.emulator.clear_faults()
        self.holds()
        if self.life.state == "success":
            record = self.record()
            assert record is not None
            assert self.payout.has_succeeded(str(record.instance_id)), "green, and not known to have succeeded"
        assert self.payout.emulator.account("default", self.payout.payee)["balances"].get("EUR/2", 0) <= (
            AMOUNT * self.submissions_allowed
        )

    def sent(self) -> int:
        return int(self.emulator.counters()["requests"].get("run_workflow", 0))


QUICK = settings(
    max_examples=50,
    stateful_step_count=12,
    suppress_health_check=list(HealthCheck),
    database=None,
    # The same lives each time, so that a change that passes here passes elsewhere.
    derandomize=True,
)


@pytest.fixture
def machine(payout, emulator, connect) -> type[Promise]:
    connect(extra={"read_timeout": 0.3, "connect_timeout": 0.3})
    return type("BoundPromise", (Promise,), {"make_payout": staticmethod(payout), "emulator": emulator})


@pytest.mark.timeout(300)
def test_promise(machine):
    run_state_machine_as_test(machine, settings=QUICK)


def fails_over_to_a_new_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(record: Any, ask: Any, own: Any) -> again.Step:
        step = again.decide(record, ask, own)
        return again.Step.SUBMIT if step in (again.Step.TAKE_OVER, again.Step.FAIL_AGAIN) else step

    monkeypatch.setattr(submission, "decide", broken)


def takes_unknown_for_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class NeverRaisedError(Exception):
        pass

    monkeypatch.setattr(submission, "OutcomeUnknownError", NeverRaisedError)


def writes_no_intent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submission.TaskRun, "_fence", lambda _run, _record: None)


def takes_any_end_for_success(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = submission.TaskRun.ended
    monkeypatch.setattr(
        submission.TaskRun, "ended", lambda run, instance, _outcome: ended(run, instance, Outcome(State.SUCCEEDED))
    )


TWICE = r"submitted again|instances, \d+ allowed"
PLANTS = {
    submits_when_unknown: TWICE,
    fails_over_to_a_new_run: TWICE,
    takes_unknown_for_refused: TWICE,
    writes_no_intent: TWICE,
    takes_any_end_for_success: "green, and not known to have succeeded",
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("plant", "told"), PLANTS.items(), ids=[plant.__name__ for plant in PLANTS])
def test_machine_finds_what_is_planted(machine, monkeypatch, plant, told):
    plant(monkeypatch)
    # Time is not what it takes.
    hasty = type("HastyPromise", (machine,), {"time_passes": None})
    assert_found(hasty, settings(QUICK, max_examples=300), told)
