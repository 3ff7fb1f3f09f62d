"""Executions after the first: what they take over, what they look for, and what they leave to a person."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from tests.support.flows import Flows, delay, send, wait_event
from tests.support.task_life import TaskLife


@pytest.fixture
def started_elsewhere(flows, run_task):
    """A task whose run is at work, and whose execution came to nothing after the submission."""

    def make(*stages: dict[str, Any], **arguments: Any) -> tuple[TaskLife, str]:
        workflow = flows.workflow(*stages)
        life = run_task(workflow_id=workflow.id, **arguments)

        def die(key: str, value: dict[str, Any]) -> None:
            if value.get("phase") == "submitted":
                life.store.rows[key] = value
                life.store.before_write = lambda key, value: None
                raise ConnectionError("the worker is gone")

        life.store.before_write = die
        assert life.execute() == "up_for_retry"
        (run,) = flows.runs_of(workflow.id)
        return life, str(run["instance"])

    return make


def test_a_retry_takes_over_what_is_at_work(flows, started_elsewhere, said):
    life, instance_id = started_elsewhere(delay(3))
    said.entries.clear()
    assert life.execute() == "success"
    assert life.xcoms["instance_id"] == life.result["instance_id"] == instance_id
    assert said.having("", "warning")[1].startswith(f"taken over: instance {instance_id} of run key")


@pytest.mark.parametrize("clear", [False, True])
def test_what_has_succeeded_meanwhile_is_taken_over(flows, started_elsewhere, clear):
    life, instance_id = started_elsewhere(send("a"))
    flows.ended(instance_id)
    if clear:
        life.clear()
    assert life.execute() == "success"
    assert (life.result["instance_id"], life.result["taken_over"]) == (instance_id, True)
    assert life.result["transactions"]
    assert life.deferred_to == []
    # And once more, without a look at the stack.
    life.clear()
    flows.emulator.reset_counters()
    assert life.execute() == "success"
    assert life.result["taken_over"] is True
    assert life.xcoms["instance_id"] == instance_id
    assert not flows.emulator.counters()["requests"]


@pytest.mark.parametrize("done", ["terminate", "cancel"])
def test_what_is_dead_in_the_engine_fails_and_a_clear_submits_anew(flows, started_elsewhere, done):
    life, instance_id = started_elsewhere(wait_event("go"))
    flows.waiting_at(instance_id, 0)
    flows.emulator.engine(instance_id, done)
    assert life.execute() == "failed"
    assert f"instance {instance_id} dead: terminated in the engine" in str(life.error)
    life.clear()
    life.store.before_write = lambda key, value: (
        (flows.waiting_at(value["instance_id"], 0), flows.client.send_event(value["instance_id"], "go"))
        if value.get("phase") == "submitted"
        else None
    )
    assert life.execute() == "success"
    assert life.result["instance_id"] != instance_id
    assert life.record["earlier"][0]["instance_id"] == instance_id


def test_the_answer_to_the_submission_was_lost_and_the_run_is_found(flows, run_task, said, deferrable):
    workflow = flows.workflow(send("a"), delay(1))
    flows.emulator.fault("run_workflow", "reset_after")
    life = run_task(workflow_id=workflow.id)
    assert life.execute() == "success"
    (run,) = flows.runs_of(workflow.id)
    assert life.xcoms["instance_id"] == run["instance"]
    assert said.having(f"found: instance {run['instance']} bears run key {life.record['run_key']}")
    assert life.deferred_to[:1] == (["RecoveryTrigger"] if deferrable else [])


def test_what_is_not_found_stays_unknown_and_is_not_submitted_again(flows, run_task, said):
    workflow = flows.workflow(send("a"))
    flows.emulator.fault("run_workflow", "reset_before")
    life = run_task(workflow_id=workflow.id, recovery_timeout=0.3)
    assert life.execute() == "failed"
    assert isinstance(life.error, AirflowFailException)
    assert str(life.error) == "whether this task's run was submitted is not known"
    assert life.error.__suppress_context__
    for line in (life.record["run_key"], "airflow formance adopt", "airflow formance forget"):
        assert said.having(line, "error"), line
    assert max(map(len, said.having("", "error"))) <= 160
    assert life.record["phase"] == "unknown"
    life.clear()
    assert life.execute() == "failed"
    assert flows.asked("run_workflow") == 1


def begin_late(flows: Flows, life: TaskLife, workflow_id: str) -> None:
    """Start, as the server's own worker would, the run whose submission was lost."""
    assert life.record is not None
    flows.client.run_workflow(workflow_id, {"airflow_run_key": life.record["run_key"]})


def test_one_that_begins_after_all_is_found_by_the_next_execution(flows, run_task):
    workflow = flows.workflow(send("a"))
    flows.emulator.fault("run_workflow", "reset_before")
    life = run_task(workflow_id=workflow.id, recovery_timeout=0.2)
    assert life.execute() == "failed"
    begin_late(flows, life, workflow.id)
    flows.ended(flows.runs_of(workflow.id)[0]["instance"])
    life.clear()
    assert life.execute() == "success"
    assert len(flows.runs_of(workflow.id)) == 1


@pytest.mark.parametrize("deferrable", [True])
def test_one_that_begins_between_the_triggerers_last_look_and_the_worker_is_found(flows, run_task):
    workflow = flows.workflow(send("a"))
    flows.emulator.fault("run_workflow", "reset_before")
    life = run_task(workflow_id=workflow.id, recovery_timeout=0.2)

    def late(trigger: str, event: Any) -> Any:
        if trigger == "RecoveryTrigger":
            assert event["found"] is None
            begin_late(flows, life, workflow.id)
            flows.ended(flows.runs_of(workflow.id)[0]["instance"])
        return event

    life.on_event = late
    assert life.execute() == "success"
    assert life.result["taken_over"] is True


def test_a_workflow_that_is_not_recoverable_is_left_to_a_person_at_once(flows, run_task, said):
    workflow = flows.workflow(send("a", key=False))
    flows.emulator.fault("run_workflow", "reset_after")
    life = run_task(workflow_id=workflow.id, recovery_timeout=600.0)
    assert life.execute() == "failed"
    (run,) = flows.runs_of(workflow.id)
    assert said.having("the workflow is not recoverable", "error")
    assert said.having(f"  {run['instance']} of ", "error")
    assert life.deferred_to == []


@pytest.mark.parametrize("deferrable", [True])
@pytest.mark.parametrize("event", [None, "found", {}, {"found": "i1"}, {"found": "i1", "run_key": "another"}])
def test_what_recovery_brings_must_be_of_this_submission(flows, run_task, event):
    workflow = flows.workflow(send("a"))
    flows.emulator.fault("run_workflow", "reset_after")
    life = run_task(workflow_id=workflow.id)
    life.on_event = lambda _trigger, _seen: event
    assert life.execute() == "up_for_retry"
    assert "Airflow resumed this task at execute_recovery, but the event is not that of its latest" in str(life.error)
    assert life.deferred_to == ["RecoveryTrigger"] * 4, "not for ever"
    life.on_event = lambda _trigger, seen: seen
    assert life.execute() == "success"
    assert len(flows.runs_of(workflow.id)) == 1


@pytest.mark.parametrize("deferrable", [True])
def test_an_event_that_says_ended_too_early_makes_it_wait_again(flows, run_task, said):
    workflow = flows.workflow(delay(3))
    life = run_task(workflow_id=workflow.id, poll_interval=0.1)
    make_event = life.run_trigger
    told: list[str] = []

    def too_early(trigger: Any) -> Any:
        told.append(trigger.instance_id)
        if len(told) == 1:
            early = {"verdict": "ended", "instance_id": trigger.instance_id, "stage": None, "error": None}
            return {**early, "nonce": trigger.nonce}
        return make_event(trigger)

    life.run_trigger = too_early
    assert life.execute() == "success"
    assert life.deferred_to == ["InstanceEndTrigger"] * 2
    assert said.having("was said to have ended, but it runs; waiting again", "warning")
