"""What is made of the looks at one instance: log lines, and in the end one verdict. With a clock that the test sets."""

from __future__ import annotations

import itertools
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_orchestration.exceptions import FormanceError, NotFoundError, ServerTroubleError
from airflow_provider_orchestration.run.wait.watch import Look, Verdict, Watch, describe_stage
from tests.support.flows import delay, send, wait_event
from tests.support.things import activity, history, instance, status

STAGES = (send(), wait_event("ok"), delay(1))
AT_WORK = Look(instance(status(0), stages=STAGES), history=[history()], activities=[])
CANCELED = Look(instance(status(0), stages=STAGES), history=[history(error="canceled")])
DOWN = Look(error=ServerTroubleError("503"))
UNKNOWN = Look(error=NotFoundError("no such instance"))
LISTED = Look(listed=True)


@dataclass
class Clock:
    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Scene:
    """A watch and its clock."""

    clock: Clock = field(default_factory=Clock)
    watch: Watch = field(init=False)

    def begin(self, **limits: Any) -> Watch:
        watch = self.watch = Watch("i1", logging.getLogger(__name__), clock=self.clock, **limits)
        return watch

    def look(self, look: Look, after: float = 0.0) -> Verdict | None:
        self.clock.now += after
        return self.watch.take(look)


@pytest.fixture
def scene(caplog):
    caplog.set_level(logging.DEBUG)
    return Scene()


def attempts(number: int, clock: Clock, next_in: float | None = 8.0) -> Look:
    """A look at a stage that has failed so often."""
    next_try = None if next_in is None else datetime.fromtimestamp(clock.now + next_in, UTC).isoformat()
    failing = activity(attempt=number + 1, lastFailure="insufficient funds", nextExecution=next_try)
    return Look(instance(status(0), stages=STAGES), history=[history()], activities=[failing])


def test_it_goes_on_while_the_instance_runs(scene, caplog):
    scene.begin()
    for look in (Look(instance(stages=STAGES)), AT_WORK, AT_WORK, LISTED):
        assert scene.look(look, after=10.0) is None
    assert caplog.messages == ["stage 1/3 send: at work"]


@pytest.mark.parametrize(
    "look",
    [
        Look(instance(status(0, ended=True), stages=STAGES[:1], terminated=True)),
        Look(instance(status(0, error="no"), stages=STAGES, terminated=True, error="no")),
        Look(instance(status(0), stages=STAGES, terminated=True)),  # not as it should
        Look(terminated=True),  # only a list says so
    ],
)
def test_it_ends_when_the_instance_has_ended(scene, look):
    scene.begin()
    assert scene.look(AT_WORK) is None
    assert scene.look(look) == Verdict("ended", "i1")


@pytest.mark.parametrize("look", [AT_WORK, LISTED, DOWN, CANCELED])
def test_the_deadline_is_seen_with_every_look(scene, look):
    scene.begin(deadline=scene.clock.now + 10)
    assert scene.look(look, after=9.9) is None
    assert scene.look(look, after=0.1) == Verdict("deadline", "i1")


def test_an_end_goes_before_the_deadline(scene):
    scene.begin(deadline=scene.clock.now)
    assert scene.look(Look(instance(terminated=True))) == Verdict("ended", "i1")


def test_failed_looks_are_borne_without_end_and_told_once(scene, caplog):
    scene.begin()
    for _ in range(20):
        assert scene.look(DOWN, after=3600.0) is None
    warnings = [record.message for record in caplog.records if record.levelno >= logging.INFO]
    assert warnings == ["instance i1 cannot be read (the run is not touched by that): 503"]
    assert scene.look(AT_WORK) is None
    assert scene.look(DOWN) is None
    told = [record.message for record in caplog.records if record.levelno >= logging.INFO]
    assert told[1:] == ["instance i1 can be read again", "stage 1/3 send: at work", warnings[0]]


def test_failed_looks_end_it_after_poll_failure_timeout_in_a_row(scene):
    scene.begin(poll_failure_timeout=60.0)
    assert scene.look(DOWN) is None
    assert scene.look(DOWN, after=59.0) is None
    assert scene.look(LISTED, after=0.5) is None  # one that succeeds begins it anew
    assert scene.look(DOWN, after=10.0) is None
    assert scene.look(UNKNOWN, after=59.0) is None
    assert scene.look(DOWN, after=1.0) == Verdict("poll_failed", "i1", error="503")


def test_an_instance_that_is_not_found_is_borne_where_the_server_gave_its_id(scene):
    scene.begin()
    assert [scene.look(UNKNOWN, after=10.0) for _ in range(10)] == [None] * 10


def test_otherwise_it_ends_after_so_many_in_a_row(scene):
    scene.begin(not_found_after=3)
    for look in (UNKNOWN, UNKNOWN, DOWN, UNKNOWN, UNKNOWN, AT_WORK, UNKNOWN, UNKNOWN):
        assert scene.look(look) is None
    assert scene.look(UNKNOWN) == Verdict("not_found", "i1", error="no such instance")


def test_death_is_believed_when_a_later_look_shows_it_again(scene, caplog):
    scene.begin()
    assert scene.look(CANCELED) is None
    assert "the history ended with 'canceled', though the instance is said to run" in caplog.text
    assert scene.look(CANCELED, after=4.9) is None
    assert scene.look(LISTED, after=1.0) is None  # a look without the history tells nothing
    assert scene.watch.wants_history
    assert scene.look(CANCELED) == Verdict("dead", "i1", 0, "canceled")
    assert caplog.text.count("looking again") == 1


def test_an_ordinary_failure_is_not_death(scene):
    scene.begin()
    assert scene.look(CANCELED) is None
    failed = Look(instance(status(0, error="canceled"), stages=STAGES, terminated=True, error="canceled"))
    assert scene.look(failed, after=10.0) == Verdict("ended", "i1")


def test_a_sign_of_death_that_passes_is_forgotten(scene):
    scene.begin()
    for _ in range(3):
        assert scene.look(CANCELED, after=4.0) is None
        assert scene.look(AT_WORK, after=4.0) is None


def test_each_attempt_is_told_and_histories_are_read_when_the_next_is_due(scene, caplog):
    scene.begin()
    scene.look(AT_WORK)
    scene.clock.now += 3.0
    assert scene.look(attempts(3, scene.clock)) is None
    assert not scene.watch.wants_history
    scene.clock.now += 8.9
    assert not scene.watch.wants_history
    scene.clock.now += 0.2
    assert scene.watch.wants_history
    assert scene.look(attempts(4, scene.clock, 16.0)) is None
    assert scene.look(attempts(4, scene.clock, 16.0)) is None
    lines = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert [line.partition(";")[0] for line in lines] == [
        "stage 1/3 send: attempt 3 failed: insufficient funds",
        "stage 1/3 send: attempt 4 failed: insufficient funds",
    ]
    due = datetime.fromtimestamp(scene.clock.now + 16.0, UTC)
    assert lines[1].endswith(f"; next try {due:%H:%M:%S}")


def test_attempts_end_it_only_if_asked_for(scene):
    scene.begin(fail_after_attempts=3)
    scene.look(AT_WORK)
    assert scene.look(attempts(2, scene.clock)) is None
    assert scene.look(AT_WORK) is None
    assert scene.look(attempts(3, scene.clock)) == Verdict("stuck", "i1", 0, "insufficient funds")
    scene.begin()
    scene.look(AT_WORK)
    assert scene.look(attempts(300, scene.clock)) is None


def test_histories_are_read_ever_less_often_while_a_stage_lasts(scene):
    scene.begin()
    scene.look(AT_WORK)
    reads: list[float] = []
    began = scene.clock.now
    while scene.clock.now < began + 2000:
        scene.clock.now += 1.0
        if scene.watch.wants_history:
            reads.append(scene.clock.now - began)
            scene.look(AT_WORK)
    pauses = [later - earlier for earlier, later in itertools.pairwise(reads)]
    assert reads[0] == 3.0
    assert pauses == [6.0, 12.0, 24.0, 48.0, 96.0, 192.0, *[300.0] * (len(pauses) - 6)]
    # The next stage begins it anew.
    scene.look(Look(instance(status(0, ended=True), status(1), stages=STAGES)))
    assert not scene.watch.wants_history
    scene.clock.now += 3.0
    assert scene.watch.wants_history


@pytest.mark.parametrize("verdict", [Verdict("ended", "i1"), Verdict("stuck", "i1", 2, "no funds")])
def test_a_verdict_goes_through_an_event(verdict):
    assert Verdict.from_event(verdict.as_event(), "i1") == verdict


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (None, "came back with None, which says nothing"),
        ({}, "which says nothing"),
        ("ended", "which says nothing"),
        ({"verdict": "succeeded", "instance_id": "i1"}, "which says nothing"),
        ({"verdict": None, "instance_id": "i1"}, "which says nothing"),
        ({"verdict": "ended", "instance_id": "i2"}, "is of another instance than i1"),
        ({"verdict": "ended"}, "is of another instance than i1"),
    ],
)
def test_an_event_that_says_nothing_is_no_success(event, says):
    with pytest.raises(FormanceError, match=says):
        Verdict.from_event(event, "i1")


def test_a_stage_is_named_for_a_message():
    assert describe_stage(instance(stages=STAGES), 1) == "stage 2/3 wait_event 'ok'"
    assert describe_stage(None, 1) == "stage 2/2"
    assert describe_stage(None, None) == "no stage"
