"""
A mapped task pays a list of payees, each once, held where the list changes its order and its tasks are begun again.

A place in the list is no identity, and a name may be shared. Who was paid is counted in the ledger; whose an instance
is, by which task was at work when it appeared.
"""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from airflow_provider_orchestration.emulator.testing import EmulatorProcess
from airflow_provider_orchestration.operators.run_workflow import RunWorkflowOperator
from airflow_provider_orchestration.run.keys import position_name
from airflow_provider_orchestration.run.submit import again, orphans, recorded
from tests.faults.execution import Execution, SteppedLife
from tests.faults.payout import AMOUNT, KEY, payment
from tests.faults.planted import assert_found, narrowed
from tests.support.flows import Flows, unique, wait_event

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]
PLACE = st.integers(0, 2)
POINTS = st.integers(1, 10)
#: How the DAG gives `run_key_name`: not at all, each payee's invoice, or one for all by mistake.
NAMES = ["none", "own", "shared"]


class Place:
    """One index of the mapped task: its life, its present execution, and what it has submitted."""

    def __init__(self, life: SteppedLife) -> None:
        self.life = life
        self.present: Execution | None = None
        #: Instance and payee of each of its submissions.
        self.submitted: dict[str, str] = {}
        #: Whom it may claim to have paid when it is green: what it asked for when it submitted, or when it last began
        #: without a record or after a clear (several, where such an execution came to nothing).
        self.claims: set[str] = set()
        self.begins_anew = True
        #: Whether anything has become of its latest instance.
        self.news = False

    @property
    def is_quiet(self) -> bool:
        """Whether there is nothing to see for one that waits."""
        return not self.news and (self.life.record or {}).get("phase") == "submitted"


class Lists(RuleBasedStateMachine):
    """The tasks of a list of payees, in one DAG run."""

    flows: ClassVar[Flows]
    emulator: ClassVar[EmulatorProcess]
    #: What is not left to chance, of the arguments of the rules that look it up here.
    fixed: ClassVar[dict[str, Any]] = {}

    @initialize(length=st.sampled_from([2, 3]), names=st.sampled_from(NAMES), points=st.integers(0, 10))
    def begin(self, **chances: Any) -> None:
        self.start(**{name: self.fixed.get(name, chance) for name, chance in chances.items()})

    def start(self, length: int, names: str, points: int) -> None:
        self.names = names
        account = {"id": "payouts", "ledger": "default", "metadata": {"airflow": KEY}}
        stages = [{"update": {"account": account}}, wait_event("go"), payment("${payee}", key=None)]
        self.workflow = self.flows.workflow(*stages).id
        # The list as it is now: what is asked for at a place.
        self.payees = [f"users:{unique(name)}" for name in ("alice", "bob", "carol")[:length]]
        self.places = [Place(self.life_of(index)) for index in range(length)]
        for number in range(length):
            self.go_on(number, points)

    def life_of(self, index: int) -> SteppedLife:
        def operator() -> RunWorkflowOperator:
            payee = self.payees[index]
            name: dict[str, Any] = {
                "none": {},
                "own": {"run_key_name": f"invoice of {payee}"},
                "shared": {"run_key_name": "invoice"},
            }[self.names]
            return RunWorkflowOperator(
                task_id="task",
                workflow_id=self.workflow,
                variables={"payee": payee, "amount": AMOUNT},
                poll_interval=0.002,
                recovery_timeout=0.05,
                run_timeout=60.0,
                retries=2,
                deferrable=False,
                **name,
            )

        return SteppedLife(operator, map_index=index)

    def place(self, number: int) -> tuple[int, Place]:
        index = number % len(self.places)
        return index, self.places[index]

    # -- the tasks; no rule has a precondition, as in `Overlaps`

    @rule(number=PLACE, points=POINTS, killed=st.booleans())
    def runs(self, number: int, points: int, killed: bool) -> None:
        """The present execution of a place, or its next try, comes some points further; its worker may die there."""
        self.go_on(number, points)
        _, place = self.place(number)
        if killed and place.present is not None:
            place.present.kill()
            place.present = None
            place.life.lose()

    @rule()
    def all_run(self) -> None:
        """All come to where they wait, or to their end."""
        for number in range(len(self.places)):
            self.go_on(number, 10)

    def go_on(self, number: int, points: int) -> None:
        index, place = self.place(number)
        if place.present is None and place.life.state in (None, "up_for_retry"):
            if not place.life.store.rows:
                place.begins_anew = True
            if place.begins_anew:
                place.claims.add(self.payees[index])
            place.present = place.life.begin()
        if place.present is None:
            return
        looks = 0
        for _ in range(points):
            looks += place.present.at == "pause"
            if looks > 3 or (looks and place.is_quiet):  # enough to see an end, or a death
                break
            submits = place.present.at == "after write intent"
            place.present.go("")
            if submits:
                self.note(place)
        if place.present.ended:
            place.life.take(place.present)
            place.present = None
            place.begins_anew = False
            self.check()

    def note(self, place: Place) -> None:
        """Note whose the instances are that have appeared."""
        known = {instance for place in self.places for instance in place.submitted}
        for run in self.flows.runs_of(self.workflow):
            if run["instance"] not in known:
                place.submitted[run["instance"]] = run["variables"]["payee"]
                place.claims, place.begins_anew = {run["variables"]["payee"]}, False
                place.news = False

    @rule(number=PLACE)
    def dies_before_it_begins(self, number: int) -> None:
        """A template cannot be rendered, or the worker is gone at once: a try, and nothing else."""
        _, place = self.place(number)
        if place.present is None and place.life.state in (None, "up_for_retry"):
            place.life.try_number += 1
            place.life.has_failed(final=False)

    # -- instances

    @rule(number=PLACE)
    def goes(self, number: int) -> None:
        """What a place has at work pays."""
        self.let_go_on(number)

    @rule()
    def all_go(self) -> None:
        """All that is at work pays."""
        for number in range(len(self.places)):
            self.let_go_on(number)

    def let_go_on(self, number: int) -> None:
        for instance in self.waiting(number):
            self.flows.client.send_event(instance, "go")
            self.flows.ended(instance)
            self.check()

    @rule(number=PLACE, seen=st.booleans())
    def fails(self, number: int, seen: bool) -> None:
        """What a place has at work comes to nothing before the money has moved; its task may see it at once."""
        number = self.fixed.get("fails", number)
        for instance in self.waiting(number):
            self.emulator.engine(instance, "cancel")
        if self.fixed.get("seen", seen):
            self.go_on(number, 10)

    def waiting(self, number: int) -> list[str]:
        """Return what a place has at work, of which there will be news."""
        _, place = self.place(number)
        found = []
        for instance in place.submitted:
            history = self.flows.client.get_instance_history(instance)
            if not history or not any(stage.error for stage in history):
                ended = self.flows.client.get_instance(instance).terminated
                found += [] if ended else [instance]
        for instance in found:
            self.flows.waiting_at(instance, 1)
        place.news = place.news or bool(found)
        return found

    # -- people

    @rule(number=PLACE, points=st.integers(0, 10))
    def clear(self, number: int, points: int) -> None:
        """A person clears a place, and it begins again."""
        _, place = self.place(number)
        running = place.present is not None
        if place.present is not None:
            place.present.kill()
            place.present = None
        place.life.clear(running=running)
        place.claims, place.begins_anew = set(), True
        self.go_on(number, points)

    @rule(order=st.permutations(range(3)), cleared=st.sampled_from([None, 0, 1, 2]))
    def changes_its_order(self, order: list[int], cleared: int | None) -> None:
        """
        The list, and a person may clear a place then.

        Only once each of its tasks has submitted: what is first asked for afterwards is not known to any of them.
        """
        if all(place.submitted for place in self.places):
            kept = [number for number in self.fixed.get("order", order) if number < len(self.payees)]
            self.payees = [self.payees[number] for number in kept]
        cleared = self.fixed.get("cleared", cleared)
        if cleared is not None:
            Lists.clear(self, cleared, 10)

    @rule(number=PLACE)
    def remove_the_records(self, number: int) -> None:
        """Airflow's *Clear All Task State Store* of a place."""
        _, place = self.place(self.fixed.get("remove_the_records", number))
        place.life.store.rows.clear()
        if place.present is None:
            place.claims = set()
        place.begins_anew = True

    # -- what must hold

    def check(self) -> None:
        for payee in self.payees:
            balance = self.flows.balance(payee)
            assert balance <= AMOUNT, f"{payee} was paid twice"
        for place in self.places:
            if place.life.state != "success":
                continue
            instance = place.life.result["instance_id"]
            assert instance in place.submitted, "green by the instance of another place"
            payee = place.submitted[instance]
            assert self.flows.balance(payee) == AMOUNT, "green, and nobody paid"
            assert payee in place.claims or not place.claims, f"green for {place.claims}, and {payee} was paid"

    def teardown(self) -> None:
        for number, place in enumerate(getattr(self, "places", ())):
            self.let_go_on(number)
            self.go_on(number, 10)
            if place.present is not None:
                place.present.kill()


SETTINGS = settings(
    max_examples=75,
    stateful_step_count=25,
    suppress_health_check=list(HealthCheck),
    database=None,
    # The same lives each time, so that a change that passes here passes elsewhere.
    derandomize=True,
)


@pytest.fixture
def machine(emulator, connect, monkeypatch) -> type[Lists]:
    connect()
    monkeypatch.setattr("airflow_provider_orchestration.run.judge.death.PROBE_PAUSE", 0.002)
    monkeypatch.setattr("airflow_provider_orchestration.run.wait.watch.Watch.FIRST_HISTORY", 0.0)
    monkeypatch.setattr("airflow_provider_orchestration.run.wait.watch.Watch.DEATH_PAUSE", 0.002)
    return type("BoundLists", (Lists,), {"flows": Flows(emulator), "emulator": emulator})


@pytest.mark.parametrize("names", NAMES)
def test_each_is_paid_once(machine, names):
    bound = type("BoundLists", (machine,), {"fixed": {"names": names}})
    run_state_machine_as_test(bound, settings=settings(SETTINGS, max_examples=SETTINGS.max_examples // 3))


def takes_a_place_for_an_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failure a place may pay whom it asks for now."""
    for name in ("is_another_than", "may_stand_elsewhere"):
        monkeypatch.setattr(again.Ask, name, lambda *_: False)


def proves_no_orphan(monkeypatch: pytest.MonkeyPatch) -> None:
    """What bears the key of a place is its own, whatever is asked for now."""
    monkeypatch.setattr(orphans.Orphan, "check", lambda _orphan, _ask: None)


def takes_a_name_for_an_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys tell the name and not the place, and what bears the name is one's own."""
    proves_no_orphan(monkeypatch)
    monkeypatch.setattr(recorded, "position_name", lambda dag, run, task, _index: position_name(dag, run, task, -1))


FIXED = {"length": 2, "names": "none", "order": [1, 0], "cleared": 0}
#: What is broken on purpose, the rules that it takes to find it, what is not left to chance, and what is told.
PLANTS: list[tuple[Any, list[str], dict[str, Any], str]] = [
    (
        takes_a_place_for_an_identity,
        ["fails", "changes_its_order"],
        FIXED | {"points": 10, "fails": 0, "seen": True},
        "was paid twice",
    ),
    (
        takes_a_name_for_an_identity,
        ["runs", "dies_before_it_begins"],
        {"length": 2, "names": "shared", "points": 0, "steps": 15},
        "of another place",
    ),
    (
        proves_no_orphan,
        ["changes_its_order", "remove_the_records"],
        FIXED | {"points": 10, "remove_the_records": 0},
        "green for .* was paid",
    ),
]


@pytest.mark.parametrize(("plant", "rules", "fixed", "told"), PLANTS, ids=[plant.__name__ for plant, *_ in PLANTS])
def test_machine_finds_what_is_planted(machine, monkeypatch, plant, rules, fixed, told):
    plant(monkeypatch)
    narrow = narrowed(machine, rules, fixed=fixed)
    assert_found(narrow, settings(SETTINGS, max_examples=500, stateful_step_count=fixed.get("steps", 6)), told)
