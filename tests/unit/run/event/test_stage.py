"""Which stage takes an event, and whether it did."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from airflow_provider_orchestration.run.event.stage import EventWatch, event_of_stage, stage_ended, stages_to_come
from airflow_provider_orchestration.run.wait.watch import Look, Verdict, take_look
from tests.support.flows import FAILS, delay, send, wait_event
from tests.support.things import history, instance, status

STAGES = (wait_event("a"), send(), wait_event("b-${order}"), wait_event("a"), wait_event(""))
log = logging.getLogger(__name__)


@pytest.mark.parametrize(
    ("stage", "told", "event"),
    [
        (0, None, "a"),
        (1, None, None),
        (2, None, ""),  # a variable hides it
        (4, None, ""),
        (9, None, None),
        # The history shows the variables filled in.
        (2, [history(), history(), history("RunWaitEvent", event="b-7")], "b-7"),
        (0, [history("RunWaitEvent", event="a")], "a"),
        (1, [history("RunWaitEvent", event="a"), history("RunSend")], None),
        # It may be older than the instance.
        (2, [history("RunWaitEvent", event="a")], ""),
        (0, [], "a"),
        (0, [history("RunWaitEvent")], ""),
    ],
)
def test_the_event_of_a_stage(stage, told, event):
    assert event_of_stage(instance(stages=STAGES), stage, told) == event


@pytest.mark.parametrize(
    ("after", "event", "stages"),
    [
        (-1, "a", [0, 2, 3, 4]),
        (0, "a", [2, 3, 4]),
        (3, "a", [4]),
        (4, "a", []),
        (-1, "other", [2, 4]),  # what is hidden may be it
    ],
)
def test_the_stages_to_come(after, event, stages):
    assert stages_to_come(instance(stages=STAGES), after, event) == stages


@pytest.mark.parametrize(
    ("found", "ended"),
    [
        (instance(status(0)), False),
        (instance(status(0, ended=True)), True),
        (instance(status(0, error="canceled")), False),
        (instance(status(1, ended=True)), False),
        (instance(), False),
    ],
)
def test_a_stage_that_took_its_event_has_ended_without_an_error(found, ended):
    assert stage_ended(found, 0) is ended


def look(flows, instance_id: str, event: str, **limits) -> Verdict | None:
    watch = EventWatch(instance_id, log, event=event, **limits)
    assert watch.wants_history
    return watch.take(take_look(flows.client, instance_id, with_history=watch.wants_history))


def test_a_stage_that_waits_for_it_is_ready(flows):
    instance_id = flows.run(wait_event("first"), wait_event("ok-${order}"), order="7")
    flows.waiting_at(instance_id, 0)
    assert look(flows, instance_id, "first") == Verdict("ready", instance_id, 0)
    assert look(flows, instance_id, "ok-7") is None  # it is to come, for all that is known
    flows.client.send_event(instance_id, "first")
    flows.waiting_at(instance_id, 1)
    assert look(flows, instance_id, "ok-7") == Verdict("ready", instance_id, 1)
    never = look(flows, instance_id, "ok-8")
    assert never == Verdict(
        "never", instance_id, 1, "it is at stage 2/2 wait_event 'ok-${order}', and no later stage waits for it"
    )


def test_an_event_that_no_stage_waits_for_never_comes(flows):
    instance_id = flows.run(delay(100), wait_event("other"))
    flows.waiting_at(instance_id, 0)
    verdict = look(flows, instance_id, "ok")
    assert verdict is not None
    assert verdict.verdict == "never"
    assert verdict.error == "it is at stage 1/2 delay 100000ms, and no later stage waits for it"


def test_one_that_has_not_begun_is_told_so():
    watch = EventWatch("i1", log, event="a")
    assert watch.take(Look(instance(stages=STAGES))) is None
    verdict = watch.take(Look(instance(stages=(send(), wait_event("b")))))
    assert verdict == Verdict("never", "i1", None, "it is at no stage, and no later stage waits for it")


@pytest.mark.parametrize(
    ("stages", "told"), [((delay(0.1),), "it has succeeded"), ((FAILS, wait_event("ok")), "it has failed")]
)
def test_an_instance_that_has_ended_takes_no_event(flows, stages, told):
    instance_id = flows.run(*stages, amount="much")
    flows.ended(instance_id)
    verdict = look(flows, instance_id, "ok")
    assert verdict is not None
    assert (verdict.verdict, verdict.error) == ("ended", told)


def test_one_that_is_dead_takes_none_either(flows, impatient):
    instance_id = flows.run(wait_event("other"), wait_event("ok"))
    flows.waiting_at(instance_id, 0)
    flows.emulator.engine(instance_id, "cancel")
    watch = EventWatch(instance_id, log, event="ok", clock=iter([0.0, 0.0, 9.0, 9.0]).__next__)
    for verdict in (None, Verdict("dead", instance_id, 0, "canceled")):
        assert watch.take(take_look(flows.client, instance_id, with_history=True)) == verdict


def test_limits_are_those_of_every_watch(flows):
    instance_id = flows.run(delay(100), wait_event("ok"))
    assert look(flows, instance_id, "ok", deadline=0.0) == Verdict("deadline", instance_id)
    unknown = look(flows, "nobody", "ok", not_found_after=1)
    assert unknown is not None
    assert unknown.verdict == "not_found"


def test_a_long_workflow_holds_nobody_up():
    """A look at 1,000 stages took 3 s of the event loop; linear, it is a hundredth of that."""
    number = 1000
    stages = tuple(wait_event(f"e{one}") for one in range(number))
    half = instance(*(status(one, ended=one < 500) for one in range(501)), stages=stages)
    told = [history("RunWaitEvent", event=f"e{one}") for one in range(501)]
    decoded = 0
    workflow_class: Any = type(half.workflow)
    stages_of_definition = workflow_class.stages

    class Counted:
        def __get__(self, workflow: Any, owner: Any) -> Any:
            nonlocal decoded
            decoded += 1
            return stages_of_definition.__get__(workflow, owner)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workflow_class, "stages", Counted())
        event_watch = EventWatch("i1", log, event=f"e{number - 1}")
        assert event_watch.take(Look(instance=half, history=told)) is None
    assert decoded < 10, "once for each question, not for each stage"
