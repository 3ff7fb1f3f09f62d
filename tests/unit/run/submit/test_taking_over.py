"""What a later execution of a task makes of what an earlier one submitted: retries, clears, records that are gone."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from airflow_provider_orchestration.exceptions import (
    AlreadySubmittedError,
    FormanceError,
    InstanceFailedError,
    RecordError,
)
from airflow_provider_orchestration.run.judge.outcome import Outcome, State
from airflow_provider_orchestration.run.judge.reading import read_instance
from airflow_provider_orchestration.run.submit.again import Ask, Step
from airflow_provider_orchestration.run.submit.submission import TaskRun
from tests.support.flows import FAILS, send, unique, wait_event
from tests.support.task_life import TaskLife, told

log = logging.getLogger(__name__)


class Task:
    """One task of one DAG run, of which executions are made one after another."""

    def __init__(self, flows, *stages: dict[str, Any]) -> None:
        self.flows = flows
        self.workflow = flows.workflow(*(stages or (send("a", amount="${amount}"), wait_event("go"))))
        self.life = TaskLife(lambda: None, dag_id=unique("dag"))

    def execution(self, **ask: Any) -> TaskRun:
        self.life.try_number += 1
        context: Any = self.life.context()
        asked = Ask(**{"workflow_id": self.workflow.id, "workflow_name": None, "variables": {"amount": 5}, **ask})
        return TaskRun(context, asked, lambda: self.flows.client, log)

    def end(self, run: TaskRun) -> dict[str, Any]:
        """Read the instance's end, and write it down."""
        self.flows.ended(run.instance_id)
        return run.ended(*read_instance(self.flows.client, run.instance_id))

    @property
    def instances(self) -> list[str]:
        return [run["instance"] for run in self.flows.runs_of(self.workflow.id)]

    @property
    def record(self) -> dict[str, Any]:
        assert self.life.record is not None
        return self.life.record


@pytest.fixture
def task(flows):
    return Task(flows)


def test_a_retry_and_a_clear_take_over_what_is_at_work(task, caplog):
    task.execution().begin()
    assert task.execution().begin() is Step.TAKE_OVER
    task.life.clear()
    run = task.execution()
    assert run.begin() is Step.TAKE_OVER
    assert task.instances == [run.instance_id]
    assert caplog.text.count(f"taken over: instance {run.instance_id} of run key {task.record['run_key']}") == 2
    # Or else Airflow's own retry after the clear would take the next failure for a clear.
    assert task.record["generation"] == task.life.max_tries


def test_taking_over_asks_nothing_of_the_stack(task):
    task.execution().begin()
    task.flows.emulator.reset_counters()
    assert task.execution(workflow_id=None, workflow_name="renamed").begin() is Step.TAKE_OVER
    assert not task.flows.emulator.counters()["requests"]


def test_success_is_written_and_taken_over(task, caplog):
    caplog.set_level(logging.INFO)
    run = task.execution()
    run.begin()
    task.flows.waiting_at(run.instance_id, 1)
    task.flows.client.send_event(run.instance_id, "go")
    result = task.end(run)
    assert (result["state"], result["run_key"]) == ("succeeded", task.record["run_key"])
    assert [one["postings"][0]["amount"] for one in result["transactions"]] == ["5"]
    assert f"instance {run.instance_id} succeeded; transactions: 1" in caplog.text
    assert task.record["result"] == result
    task.life.clear()
    again = task.execution()
    assert again.begin() is Step.ALREADY_SUCCEEDED
    assert again.record.result == result
    assert "has already succeeded; nothing is submitted again" in caplog.text
    assert len(task.instances) == 1


def test_a_failure_is_written_and_only_a_clear_submits_anew(flows):
    task = Task(flows, FAILS)
    run = task.execution(variables={"amount": "much"})
    run.begin()
    first_key = task.record["run_key"]
    with pytest.raises(InstanceFailedError) as caught:
        task.end(run)
    first = run.instance_id
    assert caught.value.instance_id == first
    said = told(caught.value)
    assert said.startswith(f"instance {first} failed: stage 1/1 send: ")
    assert "Airflow does not retry it" in said
    assert "clear the task to submit it anew" in said
    assert (task.record["phase"], task.record["state"]) == ("ended", "failed")
    # A retry that comes all the same fails with the same words, and asks nothing of the stack.
    flows.emulator.reset_counters()
    with pytest.raises(InstanceFailedError, match=f"instance {first} failed"):
        task.execution(variables={"amount": "much"}).begin()
    assert not flows.emulator.counters()["requests"]
    # A clear, with corrected values, submits; the earlier one stays known.
    task.life.clear()
    second = task.execution()
    assert second.begin() is Step.SUBMIT
    assert task.instances == [first, second.instance_id]
    assert task.record["run_key"] != first_key
    (earlier,) = task.record["earlier"]
    assert (earlier["run_key"], earlier["instance_id"], earlier["state"]) == (first_key, first, "failed")
    flows.ended(second.instance_id)
    assert task.end(second)["state"] == "succeeded"
    assert len(task.record["earlier"]) == 1


def test_an_instance_that_fails_after_a_clear_took_it_over_is_not_replaced_by_a_retry(flows):
    task = Task(flows, wait_event("go"), FAILS)
    task.execution(variables={"amount": "much"}).begin()
    task.life.clear()
    run = task.execution(variables={"amount": "much"})
    assert run.begin() is Step.TAKE_OVER
    flows.waiting_at(run.instance_id, 0)
    flows.client.send_event(run.instance_id, "go")
    with pytest.raises(InstanceFailedError):
        task.end(run)
    with pytest.raises(InstanceFailedError):
        task.execution(variables={"amount": "much"}).begin()
    assert len(task.instances) == 1


def test_one_that_is_dead_counts_as_failed(task):
    run = task.execution()
    run.begin()
    instance = task.flows.waiting_at(run.instance_id, 1)
    with pytest.raises(InstanceFailedError, match=r"dead: stage 2/2 wait_event 'go': canceled"):
        run.ended(instance, Outcome(State.DEAD, 1, "canceled"))
    assert task.record["state"] == "dead"
    # What it moved before is known.
    assert [one["stage"] for one in task.record["result"]["transactions"]] == [0]
    with pytest.raises(InstanceFailedError):
        task.execution().begin()
    task.life.clear()
    assert task.execution().begin() is Step.SUBMIT


@pytest.mark.parametrize("ended", [False, True])
def test_after_a_clear_another_ask_has_not_been_paid(flows, ended):
    task = Task(flows, send("${payee}", amount="${amount}"), *([] if ended else [wait_event("go")]))
    run = task.execution(variables={"amount": 5, "payee": "alice"})
    run.begin()
    if ended:
        task.end(run)
    task.life.clear()
    asked = {"amount": "5", "payee": "bob", "note": "x"}
    with pytest.raises(AlreadySubmittedError) as caught:
        task.execution(variables=asked).begin()
    said = told(caught.value)
    assert "it differs in variables.note, variables.payee" in said
    assert "has not been paid" in said
    assert caught.value.instance_id == run.instance_id
    assert "bob" not in said
    assert len(task.instances) == 1
    # The values restored and cleared again, it is taken over.
    task.life.clear()
    taken = task.execution(variables={"amount": 5, "payee": "alice"}).begin()
    assert taken is (Step.ALREADY_SUCCEEDED if ended else Step.TAKE_OVER)


def test_on_a_retry_another_ask_is_taken_over_with_a_warning(task, caplog):
    task.execution().begin()
    assert task.execution(variables={"amount": 6}).begin() is Step.TAKE_OVER
    assert "asks for other values than the submission it takes over: variables.amount" in caplog.text


def test_a_name_that_means_another_workflow_now_is_no_other_ask(flows):
    name = unique("payout")
    task = Task(flows)
    task.workflow = flows.workflow(send("a"), wait_event("go"), name=name)
    asked: dict[str, Any] = {"workflow_id": None, "workflow_name": name, "variables": None}
    task.execution(**asked).begin()
    flows.workflow(send("b"), name=name)
    task.life.clear()
    run = task.execution(**asked)
    assert run.begin() is Step.TAKE_OVER
    assert run.record.workflow_id == task.workflow.id


def test_a_later_try_without_a_record_finds_its_instance_by_the_name_in_its_key(task, caplog):
    task.execution().begin()
    (instance,) = task.instances
    key = task.record["run_key"]
    task.flows.waiting_at(instance, 1)
    task.life.store.rows.clear()
    run = task.execution(run_timeout=60.0)
    assert run.begin() is Step.TAKE_OVER
    assert (run.instance_id, task.record["run_key"]) == (instance, key)
    assert "deadline" in task.record
    assert f"no record of an earlier try, but instance {instance} bears this task's key" in caplog.text


def test_where_there_is_none_it_submits(task, caplog):
    caplog.set_level(logging.INFO)
    task.life.try_number = 1
    assert task.execution().begin() is Step.SUBMIT
    assert "no record of an earlier try, and no instance of this DAG run bears this task's key" in caplog.text


def test_where_that_cannot_be_looked_up_nothing_is_sent(task):
    task.life.try_number = 1
    task.flows.emulator.fault("list_instances", "status", times="always", status=503)
    with pytest.raises(FormanceError, match="cannot be looked up"):
        task.execution().begin()
    assert task.instances == []


def test_a_record_that_cannot_be_read_stops_the_task(task):
    task.execution().begin()
    task.life.store.rows["formance_run"]["version"] = 99
    with pytest.raises(RecordError, match="of version 99"):
        task.execution().begin()
    assert len(task.instances) == 1
