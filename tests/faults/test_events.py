"""
One task sends its event to one stage once, held where its executions overlap, are cleared, killed and given up.

Later stages wait for the same event: one that they took is an approval that nobody gave. How many stages took one is
counted by the instance, as the emulator tells it, not by the record.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from airflow_provider_orchestration.emulator.testing import EmulatorProcess
from airflow_provider_orchestration.operators.send_event import SendEventOperator
from airflow_provider_orchestration.run.event import sending
from airflow_provider_orchestration.run.wait.watch import Verdict
from tests.faults.execution import Execution, SteppedLife
from tests.faults.planted import accepts_any_resume, assert_found, narrowed
from tests.support.flows import Flows, wait_event
from tests.support.task_life import one_event

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]
EVENT = "approved"
#: So many points further an execution goes at once; eight are the whole life of one that is not kept.
POINTS = st.integers(1, 8)
FAULTS: dict[str, dict[str, Any]] = {
    "reset_before": {},
    "reset_after": {},
    # What a stage answers that does not listen yet: proven not to have arrived.
    "status": {
        "status": 500,
        "body": {"errorCode": "INTERNAL", "errorMessage": "retrieving workflow: sql: no rows in result set"},
    },
    "status_after": {"status": 502},
}


class Events(RuleBasedStateMachine):
    """A task that sends an event, its present execution, and those that Airflow has given up."""

    flows: ClassVar[Flows]
    emulator: ClassVar[EmulatorProcess]
    #: The workflow of so many stages.
    workflows: ClassVar[dict[int, str]]
    #: What is not left to chance, of the arguments of the rules that look it up here.
    fixed: ClassVar[dict[str, Any]] = {}

    @initialize(
        deferrable=st.booleans(),
        stages=st.sampled_from([2, 3]),
        fault=st.sampled_from(["", *FAULTS]),
        points=st.integers(0, 8),
    )
    def begin(self, **chances: Any) -> None:
        self.start(**{name: self.fixed.get(name, chance) for name, chance in chances.items()})

    def start(self, deferrable: bool, stages: int, fault: str, points: int) -> None:
        self.emulator.clear_faults()
        self.instance = instance = self.flows.client.run_workflow(self.workflows[stages], {}).id
        self.flows.waiting_at(instance, 0)
        self.life = SteppedLife(
            lambda: SendEventOperator(
                task_id="task",
                instance_id=instance,
                event=EVENT,
                deferrable=deferrable,
                poll_interval=0.002,
                confirm_timeout=0.05,
                retries=2,
            )
        )
        self.present: Execution | None = None
        self.sleepers: list[Execution] = []
        self.change(fault, 1)
        self.come(points)

    # -- the task's executions; no rule has a precondition, as in `Overlaps`

    @rule(points=POINTS)
    def go_on(self, points: int) -> None:
        """Let the present execution, or the next try, come some points further."""
        self.come(points)

    def come(self, points: int) -> None:
        if self.present is None and self.life.state in (None, "up_for_retry"):
            self.present = self.life.begin()
        if self.present is None:
            return
        self.advance(self.present, points)
        if self.present.ended:
            self.life.take(self.present)
            self.present = None
        self.check()

    @rule(early=st.booleans())
    def trigger_fires(self, early: bool) -> None:
        """The triggerer has an event; or its clock is ahead, and it says that time is up."""
        if self.life.state != "deferred":
            return
        trigger: Any = self.life.deferral.trigger  # type: ignore[union-attr]
        if self.fixed.get("early", early):
            event: Any = Verdict("deadline", self.instance).as_event() | {"nonce": trigger.nonce}
        else:

            async def within_a_moment() -> Any:
                async with asyncio.timeout(5):
                    return await one_event(trigger)

            event = asyncio.run(within_a_moment())
        self.present = self.life.resume(event)

    @rule(points=POINTS, killed=st.booleans())
    def given_up(self, points: int, killed: bool) -> None:
        """No heartbeat came, or the resume was lost, or the report of the end: Airflow tries again."""
        at_work = self.present is not None or self.life.state in (None, "up_for_retry", "deferred")
        self.come(points)
        if at_work:
            self.leave(killed=killed)
            self.life.lose()

    @rule(which=st.integers(0, 5), points=POINTS)
    def wakes(self, which: int, points: int) -> None:
        """One that was given up goes on where it slept."""
        if not self.sleepers:
            return
        sleeper = self.sleepers[which % len(self.sleepers)]
        self.advance(sleeper, points)
        if sleeper.ended:
            self.sleepers.remove(sleeper)
        self.check()

    # -- people and servers

    @rule(points=POINTS, killed=st.booleans(), then=st.integers(0, 8))
    def clear(self, points: int, killed: bool, then: int) -> None:
        """Running or not: what runs sleeps where it is, or is gone; and the next try begins."""
        self.come(self.fixed.get("clear", points))
        running = self.present is not None
        self.leave(killed=self.fixed.get("killed", killed))
        self.life.clear(running=running)
        self.come(self.fixed.get("then", then))

    @rule(kind=st.sampled_from(["", "told to stop", *FAULTS]), times=st.integers(1, 2))
    def something_changes(self, kind: str, times: int) -> None:
        """The next events meet a fault (or no more), or the present execution is told to stop."""
        self.change(kind, times)

    def change(self, kind: str, times: int) -> None:
        if kind == "told to stop":
            if self.present is not None:
                self.present.operator.on_kill()
            return
        self.emulator.clear_faults()
        if kind:
            self.emulator.fault("send_event", kind, times, **FAULTS[kind])

    # -- what must hold

    def leave(self, *, killed: bool) -> None:
        present, self.present = self.present, None
        if present is not None and killed:
            present.kill()
        elif present is not None:
            self.sleepers.append(present)

    def advance(self, execution: Execution, points: int) -> None:
        for _ in range(points):
            execution.go("")

    def taken(self) -> int:
        """Return how many stages have taken an event."""
        status = self.flows.client.get_instance(self.instance).status
        return sum(stage.terminated_at is not None and not stage.error for stage in status)

    def check(self) -> None:
        taken = self.taken()
        assert taken <= 1, f"{taken} stages took the event of one task"
        if self.life.state == "success":
            assert taken == 1, "green, and no stage took the event"

    def teardown(self) -> None:
        if hasattr(self, "sleepers"):
            self.emulator.clear_faults()
            for sleeper in self.sleepers:
                self.advance(sleeper, 8)
            self.check()
            for sleeper in [*self.sleepers, *filter(None, [self.present])]:
                sleeper.kill()


SETTINGS = settings(
    max_examples=100,
    stateful_step_count=20,
    suppress_health_check=list(HealthCheck),
    database=None,
    # The same lives each time, so that a change that passes here passes elsewhere.
    derandomize=True,
)


@pytest.fixture
def machine(emulator, connect, monkeypatch) -> type[Events]:
    connect(extra={"read_timeout": 0.5, "connect_timeout": 0.5})
    monkeypatch.setattr(sending, "_SHORT_PAUSE", 0.005)
    monkeypatch.setattr(sending, "_LOST_AFTER", 0.02)
    flows = Flows(emulator)
    workflows = {stages: flows.workflow(*[wait_event(EVENT)] * stages).id for stages in (2, 3)}
    return type("BoundEvents", (Events,), {"flows": flows, "emulator": emulator, "workflows": workflows})


def test_one_stage_takes_it(machine):
    run_state_machine_as_test(machine, settings=SETTINGS)


def forgets_what_it_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """An execution looks for a stage that waits, whatever an earlier one sent."""
    monkeypatch.setattr(sending.EventSending, "earlier", lambda _sending: None)


#: What is broken on purpose, the rules that it takes to find it, and what is not left to chance.
PLANTS: list[tuple[Any, list[str], dict[str, Any]]] = [
    (forgets_what_it_sent, ["go_on", "given_up"], {"fault": "", "deferrable": False, "points": 0}),
    # The one that was cleared was about to send; what its successor sent is taken, and the next stage listens.
    (
        accepts_any_resume,
        ["trigger_fires", "clear"],
        {"fault": "", "deferrable": True, "points": 8, "early": False, "clear": 2, "killed": False, "then": 8},
    ),
]


@pytest.mark.parametrize(("plant", "rules", "fixed"), PLANTS, ids=[plant.__name__ for plant, *_ in PLANTS])
def test_machine_finds_what_is_planted(machine, monkeypatch, plant, rules, fixed):
    plant(monkeypatch)
    narrow = narrowed(machine, rules, fixed=fixed)
    assert_found(narrow, settings(SETTINGS, max_examples=500, stateful_step_count=8), "2 stages took")
