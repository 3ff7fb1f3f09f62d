"""Events, aborts, and what is done to the engine: when they count, when they are lost, when they fail."""

from __future__ import annotations

import pytest

from airflow_provider_orchestration.emulator.world.signals import SignalError
from tests.unit.emulator.conftest import Lab, send

WAIT = {"wait_event": {"event": "go"}}
COMPLETED = "sending signal to server: workflow execution already completed"


def refused(lab: Lab, instance_id: str, name: str = "go") -> str:
    with pytest.raises(SignalError) as raised:
        lab.signals.send_event(instance_id, name)
    return str(raised.value)


def test_an_event_is_refused_until_the_stage_listens(lab):
    instance = lab.run(WAIT)
    lab.pass_time(0.1)
    assert refused(lab, instance.id) == "retrieving workflow: sql: no rows in result set"
    lab.pass_time(0.2)
    assert refused(lab, instance.id) == f"sending signal to server: workflow not found for ID: {instance.id}-0"
    lab.pass_time(0.3)
    lab.signals.send_event(instance.id, "go")
    lab.pass_time(1)
    assert instance.terminated


def test_an_event_for_nobody_is_refused(lab):
    assert refused(lab, "nobody") == "retrieving workflow: sql: no rows in result set"


@pytest.mark.parametrize("name", ["other", ""])
def test_an_event_of_another_name_is_lost(lab, name):
    instance = lab.run(WAIT)
    lab.pass_time(1)
    lab.signals.send_event(instance.id, name)
    lab.pass_time(60)
    assert not instance.terminated


@pytest.mark.parametrize("stage", [{"delay": {"duration": "1h"}}, send(source="poor")])
def test_an_event_for_a_stage_that_does_not_wait_is_lost(lab, stage):
    instance = lab.run(stage, WAIT)
    lab.pass_time(1)
    lab.signals.send_event(instance.id, "go")
    lab.pass_time(7200)
    assert not instance.terminated


def test_an_event_is_not_kept_for_a_later_stage(lab):
    instance = lab.run(WAIT, WAIT)
    lab.pass_time(1)
    lab.signals.send_event(instance.id, "go")
    lab.signals.send_event(instance.id, "go")
    lab.pass_time(0.2)
    assert refused(lab, instance.id) == COMPLETED
    lab.pass_time(60)
    assert len(instance.stages) == 2
    assert not instance.terminated
    lab.signals.send_event(instance.id, "go")
    lab.pass_time(2)
    assert instance.terminated
    assert refused(lab, instance.id) == COMPLETED


def test_an_abort_does_nothing(lab):
    instance = lab.run(WAIT)
    lab.pass_time(1)
    lab.signals.abort(instance.id)
    lab.pass_time(60)
    assert not instance.terminated
    lab.signals.send_event(instance.id, "go")
    lab.pass_time(2)
    assert instance.terminated
    assert not instance.error
    lab.signals.abort(instance.id)


def test_an_abort_of_nothing_is_refused(lab):
    with pytest.raises(SignalError, match=r"^retrieving workflow execution: sql: no rows in result set$"):
        lab.signals.abort("nobody")


@pytest.mark.parametrize("seconds", [0.1, 0.3, 1.0], ids=["no stage", "stage without a run", "running"])
def test_an_abort_that_is_honoured_ends_the_instance(seconds):
    lab = Lab(abort="honour")
    instance = lab.run(WAIT)
    lab.pass_time(seconds)
    lab.signals.abort(instance.id)
    assert instance.terminated
    assert instance.error == "canceled"
    assert all(stage.error == "canceled" for stage in instance.stages)
    assert all(run["error"] == "canceled" for run in lab.history(instance))
    shown = instance.show(stages=True)
    lab.pass_time(60)
    assert instance.show(stages=True) == shown


def test_what_is_cancelled_in_the_engine_shows_in_the_history_only(lab):
    instance = lab.run(WAIT)
    lab.pass_time(1)
    lab.signals.cancel_in_engine(instance)
    lab.pass_time(60)
    assert not instance.terminated
    assert "terminatedAt" not in instance.show(stages=True)["status"][0]
    (run,) = lab.history(instance)
    assert (run["error"], run["terminated"]) == ("canceled", True)
    assert refused(lab, instance.id) == COMPLETED


def test_what_is_terminated_in_the_engine_shows_only_when_it_is_sent_an_event(lab):
    instance = lab.run(WAIT)
    lab.pass_time(1)
    before = lab.history(instance)
    lab.signals.terminate_in_engine(instance)
    lab.pass_time(60)
    assert lab.history(instance) == before
    assert not instance.terminated
    assert refused(lab, instance.id) == COMPLETED


def test_a_purged_history_is_gone(lab):
    instance = lab.run({"noop": {}})
    lab.pass_time(2)
    lab.signals.purge_history(instance)
    assert instance.terminated
    assert refused(lab, instance.id) == f"sending signal to server: workflow not found for ID: {instance.id}-0"
    with pytest.raises(SignalError, match=rf"^workflow not found for ID: {instance.id}$"):
        lab.signals.abort(instance.id)


@pytest.mark.parametrize("what", ["cancel_in_engine", "terminate_in_engine"])
def test_an_instance_that_has_ended_cannot_be_ended_in_the_engine(lab, what):
    instance = lab.run({"noop": {}})
    lab.pass_time(2)
    before = (instance.show(stages=True), lab.history(instance))
    getattr(lab.signals, what)(instance)
    assert (instance.show(stages=True), lab.history(instance)) == before
