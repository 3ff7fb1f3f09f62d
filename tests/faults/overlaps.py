"""
One task whose executions overlap: one sleeps anywhere, is given up, and wakes while others are at work.

The machine of test_state_machine runs each try to its end or death; here each goes from point to point, and people act
in between.
What is allowed is judged by what the machine itself did and by the emulator, not by the record.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from airflow_provider_orchestration.emulator.testing import EmulatorProcess, wait_for
from airflow_provider_orchestration.run.record import Decision, RunRecord
from airflow_provider_orchestration.run.submit.deciding import forgotten
from airflow_provider_orchestration.run.wait.watch import Verdict
from airflow_provider_orchestration.triggers.instance import RecoveryTrigger
from tests.faults.execution import START, Execution, SteppedLife
from tests.faults.payout import AMOUNT, APPROVAL, Payout, failing
from tests.support.task_life import one_event

RUN = "formance_run"
#: So many points further an execution goes at once; ten are its whole life, if nothing keeps it.
POINTS = st.integers(1, 10)
FAULTS = {
    "reset_before": {},
    "reset_after": {},
    "status": {"status": 400},
    "status_after": {"status": 502},
    "worker_down": {},
}
#: A fault of the stack from now on (or none), or something that the task is told.
CHANGES = st.sampled_from(["", *FAULTS, "told to stop", "another amount"])


@dataclass
class Submission:
    """An intent that the state store took."""

    key: str
    refused: bool = False
    #: The instance failed, or is dead in the engine.
    failed: bool = False
    #: A person has told it to be replaced, knowing so much.
    replaced: bool = False


class StoreAwayError(Exception):
    """Airflow's API server does not answer."""


def early_event(trigger: Any) -> dict[str, Any]:
    """Return the event of a triggerer whose clock is ahead: time is up, though it is not."""
    if isinstance(trigger, RecoveryTrigger):
        return {"found": None, "run_key": trigger.run_key, "nonce": trigger.nonce}
    return Verdict("deadline", trigger.instance_id).as_event() | {"nonce": trigger.nonce}


class Overlaps(RuleBasedStateMachine):
    """One task of one DAG run, its present execution, and those that Airflow has given up."""

    make_payout: ClassVar[Any] = None
    emulator: ClassVar[EmulatorProcess]
    #: What is not left to chance, of the arguments of the rules that look it up here.
    fixed: ClassVar[dict[str, Any]] = {}

    @initialize(recoverable=st.booleans(), deferrable=st.booleans(), fails=st.booleans(), fault=CHANGES, points=POINTS)
    def begin(self, **chances: Any) -> None:
        self.start(**{name: self.fixed.get(name, chance) for name, chance in chances.items()})

    def start(self, recoverable: bool, deferrable: bool, fails: bool, fault: str, points: int) -> None:
        self.emulator.clear_faults()
        then = [APPROVAL, failing("users:never")] if fails else [APPROVAL]
        self.pay: Payout = self.make_payout(*then, recoverable=recoverable)
        self.life: SteppedLife = self.pay.task(
            life=SteppedLife, deferrable=deferrable, poll_interval=0.002, recovery_timeout=0.05
        )
        self.fails = fails
        self.fault = ""
        self.present: Execution | None = None
        self.sleepers: list[Execution] = []
        self.submissions: dict[str, Submission] = {}
        #: Executions that Airflow resumed, and those of them that had no record when they began.
        self.resumed: list[Execution] = []
        self.bare: list[Execution] = []
        self.change(fault)
        self.go_on(points)

    # -- the task's executions. Each thing that happens comes after it has gone on, for Hypothesis plays without some of
    # the rules; and no rule has a precondition, for it plays again what went another way, as time goes on meanwhile.

    @rule(points=POINTS)
    def go_on(self, points: int) -> None:
        """Let the present execution, or the next try, come some points further."""
        if self.present is None and self.life.state in (None, "up_for_retry"):
            resumes = self.life.next is not None
            self.present = self.life.begin()
            self.resumed += [self.present] if resumes else []
        if self.present is None:
            return
        self.advance(self.present, points)
        if self.present.ended:
            self.life.take(self.present)
            self.present = None
        self.check()

    @rule(early=st.booleans())
    def trigger_fires(self, early: bool) -> None:
        if self.life.state != "deferred":
            return
        if self.fixed.get("early", early):
            self.resume(early_event(self.life.deferral.trigger))  # type: ignore[union-attr]
            return

        async def within_a_moment() -> Any:
            async with asyncio.timeout(0.3):
                return await one_event(self.life.deferral.trigger)  # type: ignore[union-attr]

        try:
            event = asyncio.run(within_a_moment())
        except TimeoutError:
            return
        self.resume(event)

    def resume(self, event: Any) -> None:
        self.present = self.life.resume(event)
        self.resumed.append(self.present)

    @rule(points=POINTS, killed=st.booleans())
    def given_up(self, points: int, killed: bool) -> None:
        """No heartbeat came, or the resume was lost, or the report of the end: Airflow tries again."""
        at_work = self.under_way or self.life.state in (None, "up_for_retry")
        self.go_on(points)
        if at_work:
            self.leave(killed=killed)
            self.life.lose()

    @rule(killed=st.booleans())
    def ends_unreported(self, killed: bool) -> None:
        """The instance ends, the task writes it down, and then no heartbeat comes: Airflow tries again."""
        self.go_on(1)
        if self.present is None:
            return
        self.let_go_on()
        for _ in range(20):
            if self.present is not None and self.present.at != "after write ended":
                self.go_on(1)
        if self.present is not None:
            self.leave(killed=killed)
            self.life.lose()

    @rule(which=st.integers(0, 5), points=POINTS)
    def wakes(self, which: int, points: int) -> None:
        if not self.sleepers:
            return
        sleeper = self.sleepers[which % len(self.sleepers)]
        self.advance(sleeper, points)
        if sleeper.ended:
            self.sleepers.remove(sleeper)
        self.check()

    # -- people

    @rule(points=POINTS, counted=st.booleans(), killed=st.booleans())
    def clear(self, points: int, counted: bool, killed: bool) -> None:
        self.go_on(points)
        running, counted = self.present is not None, self.fixed.get("counted", counted)
        self.leave(killed=killed)
        max_tries = self.life.max_tries
        self.life.clear(running=running and counted)
        if running and not counted:
            # The executor reported the end of what was cleared as a failure: no more tries than before.
            self.life.max_tries = max_tries
        for one in self.submissions.values():
            one.replaced = one.replaced or one.failed

    @rule(points=POINTS, state=st.sampled_from(["failed", "success"]), killed=st.booleans())
    def mark(self, points: int, state: str, killed: bool) -> None:
        self.go_on(points)
        if self.under_way:
            self.leave(killed=killed)
            self.life.mark(state)

    @rule()
    def forget(self) -> None:
        if self.life.state != "failed" or self.phase not in ("intent", "unknown"):
            return
        record = msgspec.convert(self.life.record, RunRecord)
        decision = Decision("forget", "a person", "2026-01-01T00:00:00Z")
        self.life.store.rows[RUN] = msgspec.to_builtins(forgotten(record, decision))
        for one in self.submissions.values():
            one.replaced = True

    @rule(points=POINTS)
    def remove_the_records(self, points: int) -> None:
        """Airflow's *Clear All Task State Store*: it forgets what cannot be found by its key."""
        self.go_on(points)
        arrived = self.instances() if self.pay.recoverable else {}
        self.life.store.rows.clear()
        for key, one in self.submissions.items():
            one.replaced = one.replaced or key not in arrived

    # -- servers

    @rule(kind=CHANGES)
    def something_changes(self, kind: str) -> None:
        self.change(kind)

    def change(self, kind: str) -> None:
        if kind == "told to stop":
            if self.present is not None:
                self.present.operator.on_kill()
        elif kind == "another amount":
            self.pay.variables = {**self.pay.variables, "amount": AMOUNT + 1}
        else:
            self.fault = kind
            self.emulator.clear_faults()
            if kind:
                self.emulator.fault("run_workflow", kind, **FAULTS[kind])

    @rule(phase=st.sampled_from(["intent", "submitted", "unknown", "refused", "ended"]))
    def store_fails_once(self, phase: str) -> None:
        def fail(_key: str, value: Any) -> None:
            if value.get("phase", "deferral") == phase:
                self.life.store.before_write = lambda _key, _value: None
                raise StoreAwayError

        self.life.store.before_write = fail

    @rule()
    def approve(self) -> None:
        self.let_go_on()

    def let_go_on(self) -> None:
        if self.fault == "worker_down":
            return
        for key, instance in self.at_work().items():
            self.pay.approve(instance)
            wait_for(lambda: self.pay.hook.get_instance(instance).terminated)  # noqa: B023 - at once
            self.submissions[key].failed = self.fails

    @rule(what=st.sampled_from(["cancel", "terminate"]))
    def break_the_engine(self, what: str) -> None:
        for key, instance in self.at_work().items():
            self.emulator.engine(instance, what)
            self.submissions[key].failed = True

    # -- what must hold

    @property
    def phase(self) -> str:
        return str((self.life.record or {}).get("phase", ""))

    @property
    def run_key(self) -> str:
        return str((self.life.record or {}).get("run_key", ""))

    @property
    def under_way(self) -> bool:
        """Whether the task is running or deferred."""
        return self.present is not None or self.life.state == "deferred"

    def leave(self, *, killed: bool) -> None:
        present, self.present = self.present, None
        if present is not None and killed:
            present.kill()
        elif present is not None:
            self.sleepers.append(present)

    def instances(self) -> dict[str, str]:
        """Return the instance of each run key."""
        runs = self.pay.runs()
        keys = [run["variables"]["airflow_run_key"] for run in runs]
        assert len(set(keys)) == len(keys), "a submission was sent twice"
        assert set(keys) <= self.submissions.keys(), "a submission without an intent"
        return {key: run["instance"] for key, run in zip(keys, runs, strict=True)}

    def at_work(self) -> dict[str, str]:
        """Return the instances that have neither ended nor are dead in the engine, by their run keys."""
        return {
            key: instance
            for key, instance in self.instances().items()
            if not self.submissions[key].failed and not self.pay.hook.get_instance(instance).terminated
        }

    def advance(self, execution: Execution, points: int) -> None:
        for _ in range(points):
            if execution.ended:
                return
            if execution.at == START and execution in self.resumed and RUN not in self.life.store.rows:
                self.bare.append(execution)
            about_to_send, key = execution.at == "after write intent", self.run_key
            execution.go("")
            if about_to_send and key and self.run_key == key and execution.at == "before write refused":
                self.submissions[key].refused = True
            if self.phase == "intent" and self.run_key not in self.submissions:
                open_ones = [one for one in self.submissions.values() if not (one.refused or one.replaced)]
                assert not open_ones, f"submits, though {open_ones} may be at work"
                assert execution not in self.bare, "a resume without a record submits"
                self.submissions[self.run_key] = Submission(self.run_key)

    def check(self) -> None:
        good = [key for key in self.instances() if not (self.submissions[key].replaced or self.submissions[key].failed)]
        assert len(good) <= 1, f"{good} are at work or have paid"
        if self.life.state == "success" and "return_value" in self.life.xcoms:
            assert self.pay.has_succeeded(self.life.result["instance_id"]), "green, and not known to have succeeded"

    def teardown(self) -> None:
        if hasattr(self, "sleepers"):
            self.emulator.clear_faults()
            for sleeper in self.sleepers:
                self.advance(sleeper, 8)
            self.check()
            for sleeper in [*self.sleepers, *filter(None, [self.present])]:
                sleeper.kill()
