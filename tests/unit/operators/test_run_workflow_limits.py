"""What ends the waiting before the instance ends: a deadline, attempts that fail, Airflow that says stop."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_orchestration.emulator.testing import EmulatorProcess
from tests.support.flows import Flows, delay, send, unique, wait_event
from tests.support.servers import on_next
from tests.support.task_life import told


def runs_of_one(flows: Flows, workflow_id: str) -> str:
    (run,) = flows.runs_of(workflow_id)
    return str(run["instance"])


def test_the_deadline_fails_the_task_for_good_and_the_run_goes_on(flows, run_task):
    workflow = flows.workflow(wait_event("go"))
    life = run_task(workflow_id=workflow.id, run_timeout=0.4)
    began = time.time()
    assert life.execute() == "failed"
    assert 0.4 <= time.time() - began < 10
    instance_id = runs_of_one(flows, workflow.id)
    assert isinstance(life.error, AirflowFailException)
    assert told(life.error).splitlines() == [
        f"run_timeout of 0.4 s passed; instance {instance_id} goes on",
        "this task has stopped watching it; clear the task once the instance has ended, and it takes the end over",
    ]
    assert flows.asked("cancel_event") == 0
    assert not flows.client.get_instance(instance_id).terminated
    # The same over clears: it is that of the submission.
    life.clear()
    began = time.time()
    assert life.execute() == "failed"
    assert "run_timeout" in str(life.error)
    assert runs_of_one(flows, workflow.id) == instance_id


def test_a_run_that_ended_just_before_the_deadline_is_seen_by_the_last_look(flows, run_task):
    workflow = flows.workflow(delay(1))
    life = run_task(workflow_id=workflow.id, run_timeout=1.0, poll_interval=30.0)
    assert life.execute() == "success"


def test_a_last_look_that_fails_is_told(flows, run_task):
    workflow = flows.workflow(wait_event("go"))
    life = run_task(workflow_id=workflow.id, run_timeout=0.4)

    def break_it(key: str, value: dict[str, Any]) -> None:
        if value.get("phase") == "submitted":
            flows.emulator.fault("get_instance", "status", times="always", status=503)

    life.store.before_write = break_it
    assert life.execute() == "failed"
    assert re.search(r"run_timeout of 0\.4 s passed, and the last look failed; .* goes on\n.*503", told(life.error))


def test_at_the_deadline_a_cancel_is_asked_for_only_where_that_is_wanted_and_its_fate_told(flows, run_task):
    workflow = flows.workflow(wait_event("go"))
    life = run_task(workflow_id=workflow.id, run_timeout=0.3, cancel_on_timeout=True, cancel_timeout=0.3)
    assert life.execute() == "failed"
    assert flows.asked("cancel_event") == 1
    assert "run_timeout of 0.3 s passed; it was asked to cancel, and still runs; instance" in str(life.error)


def test_a_server_that_honours_the_cancel(connect_airflow, run_task):
    with EmulatorProcess("--time-scale", "0.1", "--abort", "honour") as emulator:
        connect_airflow(emulator)
        flows = Flows(emulator)
        workflow = flows.workflow(wait_event("go"))
        life = run_task(workflow_id=workflow.id, run_timeout=0.3, cancel_on_timeout=True)
        assert life.execute() == "failed"
        assert "canceled: stage 1/1 wait_event 'go': canceled" in str(life.error)
        assert life.record["state"] == "canceled"
        flows.client.close()


def test_one_that_was_terminated_in_the_engine_is_found_dead_at_the_deadline(flows, run_task):
    workflow = flows.workflow(wait_event("go"))
    life = run_task(workflow_id=workflow.id, run_timeout=0.5)

    def terminate(key: str, value: dict[str, Any]) -> None:
        if value.get("phase") == "submitted":
            flows.waiting_at(value["instance_id"], 0)
            flows.emulator.engine(value["instance_id"], "terminate")

    life.store.before_write = terminate
    assert life.execute() == "failed"
    assert "dead: terminated in the engine, though Flows says that it runs" in str(life.error)
    assert life.record["state"] == "dead"


def test_a_stage_without_funds_is_told_attempt_by_attempt_and_can_end_the_waiting(flows, run_task, said):
    poor = unique("poor")
    workflow = flows.workflow(delay(0.1), send("a", source=poor))
    life = run_task(workflow_id=workflow.id, fail_after_attempts=2)
    assert life.execute() == "failed"
    assert isinstance(life.error, AirflowFailException)
    instance_id = runs_of_one(flows, workflow.id)
    funds = re.escape(f"account(s) @{poor} had/have insufficient funds")
    one_line = re.sub(r"\s+", " ", told(life.error))
    assert re.search(rf"^stage 2/2 send failed 2 times; instance {instance_id} goes on .*{funds} this task", one_line)
    lines = said.having("stage 2/2 send: attempt", "warning")
    assert lines
    assert all(
        re.fullmatch(rf"stage 2/2 send: attempt \d+ failed: {funds}; next try \d\d:\d\d:\d\d", line) for line in lines
    )
    assert not flows.client.get_instance(instance_id).terminated


def test_a_stage_that_gets_its_funds_goes_on(flows, run_task, said):
    poor = unique("poor")
    workflow = flows.workflow(send("a", source=poor))
    life = run_task(workflow_id=workflow.id)

    def pay_in(key: str, value: dict[str, Any]) -> None:
        if value.get("phase") == "submitted":
            flows.waiting_at(value["instance_id"], 0)
            flows.ended(flows.run(send(poor)))

    life.store.before_write = pay_in
    assert life.execute() == "success"
    assert flows.balance(poor) == 0


def told_to_stop_when_it_waits(life) -> None:
    """Let Airflow's signal handler speak as soon as the submission is written."""
    make = life.make_operator

    def make_and_remember():
        operator = make()
        life.store.before_write = lambda key, value: operator.on_kill() if value.get("phase") == "submitted" else None
        return operator

    life.make_operator = make_and_remember


@pytest.mark.parametrize("deferrable", [False])
@pytest.mark.parametrize(
    ("state", "cancel_on_kill", "asked"),
    [("failed", True, 1), ("failed", False, 0), ("running", True, 0), ("restarting", True, 0), (None, True, 0)],
)
def test_a_worker_that_is_told_to_stop_cancels_only_what_a_person_marked_failed(
    flows, run_task, task_states, said, state, cancel_on_kill, asked
):
    workflow = flows.workflow(delay(12))
    task_states({"run": {"pay": state}})
    life = run_task(workflow_id=workflow.id, cancel_on_kill=cancel_on_kill)
    told_to_stop_when_it_waits(life)
    # It goes on, as the signal may have been none of a person's.
    assert life.execute() == "success"
    assert flows.asked("cancel_event") == asked
    if cancel_on_kill:
        assert len(said.having("told to stop" if not asked else "the task was marked failed", "warning")) == 1
    else:
        assert said.having("told to stop: nothing is cancelled on the stack", "warning")


@pytest.mark.parametrize("deferrable", [False])
@on_next
def test_on_the_next_server_that_cancel_ends_it(flows, run_task, task_states):
    task_states({"run": {"pay": "failed"}})
    life = run_task(workflow_id=flows.workflow(delay(100), send("a")).id, cancel_on_kill=True)
    told_to_stop_when_it_waits(life)
    assert life.execute() == "failed"
    assert re.search(r"instance \S+ canceled", str(life.error))
    assert life.record["state"] == "canceled"


@pytest.mark.parametrize("deferrable", [False])
def test_where_the_state_cannot_be_read_nothing_is_cancelled_and_the_waiting_goes_on(
    flows, run_task, task_states, said
):
    task_states(ConnectionError("the API server is away"))
    life = run_task(workflow_id=flows.workflow(delay(12)).id, cancel_on_kill=True)
    told_to_stop_when_it_waits(life)
    assert life.execute() == "success"
    assert flows.asked("cancel_event") == 0
    assert said.having("the task's state cannot be read (the API server is away): nothing is cancelled", "warning")


@pytest.mark.parametrize("deferrable", [False])
def test_one_that_is_told_to_stop_before_the_submission_submits_nothing(flows, run_task):
    workflow = flows.workflow(send("a"))
    life = run_task(workflow_id=workflow.id)
    make = life.make_operator

    def make_and_stop():
        operator = make()
        operator.on_kill()
        return operator

    life.make_operator = make_and_stop
    assert life.execute() == "up_for_retry"
    assert "told to stop before it submitted" in str(life.error)
    life.make_operator = make
    assert life.execute() == "success"
    assert len(flows.runs_of(workflow.id)) == 1
