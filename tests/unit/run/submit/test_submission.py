"""Submit once: what is written when, and what each answer to the POST leads to."""

from __future__ import annotations

import logging
import time
from typing import Any

import pytest

from airflow_provider_orchestration.exceptions import (
    AuthenticationError,
    InvalidInputError,
    RateLimitedError,
    RecordError,
    StoppedError,
)
from airflow_provider_orchestration.run.submit import submission
from airflow_provider_orchestration.run.submit.again import Ask, Step
from airflow_provider_orchestration.run.submit.submission import TaskRun
from tests.support.flows import send, unique, wait_event
from tests.support.task_life import StaleExecutionError, TaskLife

log = logging.getLogger(__name__)


class Task:
    """One task of one DAG run, as `TaskRun` sees it."""

    def __init__(self, flows, *stages: dict[str, Any], **ask: Any) -> None:
        self.flows = flows
        self.workflow = flows.workflow(*(stages or (send("a", amount="${amount}"), wait_event("go"))))
        self.ask = Ask(**{"workflow_id": self.workflow.id, "workflow_name": None, "variables": {"amount": 5}, **ask})
        self.life = TaskLife(lambda: None, dag_id=unique("dag"), run_id="r", task_id="t")
        self.life.try_number = 1
        #: The phases that were written, each with how many runs there were then.
        self.written: list[tuple[str, int]] = []
        self.life.store.before_write = self._note

    def _note(self, key: str, value: dict[str, Any]) -> None:
        assert key == "formance_run"
        self.written.append((value["phase"], len(self.runs)))

    @property
    def runs(self) -> list[dict[str, Any]]:
        runs: list[dict[str, Any]] = self.flows.runs_of(self.workflow.id)
        return runs

    def execution(self, ask: Ask | None = None, **options: Any) -> TaskRun:
        context: Any = self.life.context()
        return TaskRun(context, ask or self.ask, lambda: self.flows.client, log, **options)

    @property
    def record(self) -> dict[str, Any]:
        assert self.life.record is not None
        return self.life.record


@pytest.fixture
def task(flows):
    return Task(flows)


def test_the_intent_is_written_before_the_post_and_the_id_after_it(task):
    began = time.time()
    run = task.execution()
    assert run.begin() is Step.SUBMIT
    (only,) = task.runs
    assert task.written == [("begun", 0), ("intent", 0), ("submitted", 1)]
    assert run.instance_id == only["instance"] == task.record["instance_id"]
    key = task.record["run_key"]
    assert only["variables"] == {"amount": "5", "airflow_run_key": key}
    assert key.startswith(f"{task.life.names[0]}/r/t@")
    assert task.record["recoverable"] is True
    assert "deadline" not in task.record
    assert task.record["generation"] == task.life.max_tries
    # By the server's clock, whose Date has whole seconds.
    assert began - 2 <= task.record["intent_at"] <= time.time()
    assert run.started() == {
        "instance_id": run.instance_id,
        "workflow_id": task.workflow.id,
        "state": "running",
        "run_key": key,
    }


def test_the_deadline_counts_from_the_submission_and_stays(flows):
    task = Task(flows, run_timeout=100.0)
    task.execution().begin()
    deadline = task.record["deadline"]
    assert abs(deadline - time.time() - 100) < 5
    task.life.clear()
    assert task.execution().begin() is Step.TAKE_OVER
    assert task.record["deadline"] == deadline


def test_a_write_that_fails_stops_it_before_anything_is_sent(task):
    def fail(key, value):
        raise ConnectionError("Airflow's API is away")

    task.life.store.before_write = fail
    with pytest.raises(ConnectionError):
        task.execution().begin()
    assert task.runs == []
    assert task.life.record is None


def test_a_stale_execution_is_stopped_by_its_first_write(task):
    stale = task.execution()
    task.execution().begin()
    with pytest.raises(StaleExecutionError):
        stale.begin()  # its read gave nothing, which proves nothing
    assert len(task.runs) == 1
    assert task.record["phase"] == "submitted"


def test_a_fence_that_took_too_long_is_written_again(task, monkeypatch):
    monkeypatch.setattr(submission, "FENCE_HOLDS", 0.1)

    def sleep(key, value):
        task._note(key, value)
        if value.get("phase") == "intent":
            task.life.store.before_write = task._note
            time.sleep(0.2)  # noqa: TID251 - a machine that was paused

    task.life.store.before_write = sleep
    task.execution().begin()
    assert task.written == [("begun", 0), ("intent", 0), ("intent", 0), ("submitted", 1)]


def test_a_stale_execution_that_slept_in_the_fence_is_stopped_by_the_second(task, monkeypatch):
    monkeypatch.setattr(submission, "FENCE_HOLDS", 0.1)
    stale = task.execution()
    writes = []

    class Sleeper:
        """A store whose write takes long: meanwhile another execution has become the current one."""

        def set(self, key, value, *, retention):
            writes.append(value.get("phase"))
            if len(writes) == 2:
                task.life.context()
                time.sleep(0.2)  # noqa: TID251 - a machine that was paused
            elif len(writes) == 3:
                raise StaleExecutionError("404")

        def get(self, key):
            return None

    stale.store._store = Sleeper()
    with pytest.raises(StaleExecutionError):
        stale.begin()
    assert writes == ["begun", "intent", "intent"]
    assert task.runs == []


@pytest.mark.parametrize("status", [400, 403, 404, 405, 413, 415, 422])
def test_a_proven_refusal_is_written_and_the_next_try_submits(task, status):
    body = {"errorCode": "VALIDATION", "errorMessage": "no"}
    task.flows.emulator.fault("run_workflow", "status", status=status, body=body)
    with pytest.raises(Exception, match=str(status)):
        task.execution().begin()
    assert task.written == [("begun", 0), ("intent", 0), ("refused", 0)]
    assert task.execution().begin() is Step.SUBMIT
    assert len(task.runs) == 1


def test_a_token_that_has_ended_and_too_many_requests_are_no_new_submission(task):
    task.flows.client.list_workflows()
    task.flows.emulator.fault("token", "expire_tokens")
    task.flows.emulator.fault("run_workflow", "status", times=2, status=429)
    assert task.execution().begin() is Step.SUBMIT
    # The intent is written before each POST: 401, twice 429, and the one that was accepted.
    assert len(task.runs) == 1
    assert {phase for phase, _ in task.written} == {"begun", "intent", "submitted"}


@pytest.mark.parametrize(("status", "error"), [(401, AuthenticationError), (429, RateLimitedError)])
def test_a_server_that_refuses_for_ever(task, status, error):
    task.flows.emulator.fault("run_workflow", "status", times="always", status=status)
    with pytest.raises(error):
        task.execution().begin()
    assert task.runs == []
    assert task.record["phase"] == "refused"


@pytest.mark.parametrize(
    ("fault", "runs"),
    [
        ({"kind": "reset_before"}, 0),
        ({"kind": "reset_after"}, 1),
        ({"kind": "status", "status": 500}, 0),
        ({"kind": "status", "status": 502}, 0),
        ({"kind": "status_after", "status": 504}, 1),
        ({"kind": "status_after", "status": 408}, 1),
        ({"kind": "status", "status": 302, "headers": {"Location": "/"}}, 0),
        ({"kind": "garbage"}, 0),
        ({"kind": "status_after", "status": 201, "body": '{"data": {'}, 1),
    ],
    ids=lambda part: "-".join(map(str, part.values())) if isinstance(part, dict) else None,
)
def test_an_answer_that_proves_nothing_leaves_it_unknown(task, fault, runs):
    task.flows.emulator.fault("run_workflow", **fault)
    run = task.execution()
    assert run.begin() is Step.RECOVER
    assert task.record["phase"] == "unknown"
    with pytest.raises(RecordError, match="names no instance; it is unknown"):
        _ = run.instance_id
    assert len(task.runs) == runs
    # Whoever comes next looks, and does not submit.
    for clear in (False, True):
        if clear:
            task.life.clear()
        assert task.execution().begin() is Step.RECOVER
    assert task.flows.asked("run_workflow") == 1


def test_what_recovery_found_is_written_and_taken_over(task, caplog):
    task.flows.emulator.fault("run_workflow", "reset_after")
    run = task.execution()
    run.begin()
    (only,) = task.runs
    task.life.clear()
    run = task.execution()
    assert run.begin() is Step.RECOVER
    assert run.recovered(only["instance"]) is Step.TAKE_OVER
    assert (task.record["phase"], task.record["instance_id"]) == ("submitted", only["instance"])
    assert task.record["generation"] == task.life.max_tries
    assert f"taken over: instance {only['instance']} of run key" in caplog.text


def test_a_search_looks_for_this_submission(task):
    task.flows.emulator.fault("run_workflow", "reset_after")
    run = task.execution()
    run.begin()
    (only,) = task.runs
    task.flows.waiting_at(only["instance"], 1)
    assert run.search().look(task.flows.client, time.time() + 30) == only["instance"]


def test_a_task_that_was_told_to_stop_submits_nothing(task):
    told: list[str] = []
    run = task.execution(told_to_stop=lambda: bool(told))
    task.life.store.before_write = lambda key, value: told.append(key)  # as late as can be
    with pytest.raises(StoppedError, match="before it submitted; nothing was sent"):
        run.begin()
    assert task.runs == []
    assert task.record["phase"] == "refused"
    assert task.execution().begin() is Step.SUBMIT


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        ({"variables": {"amount": 5.0}}, "amount = 5.0 is a float"),
        ({"variables": {}}, "amount missing"),
        ({"variables": {"amount": "5", "airflow_run_key": "mine"}}, "airflow_run_key is the provider's own"),
        ({"variables": {"amount": "\ud800"}}, "cannot be sent"),
    ],
)
def test_bad_input_is_refused_before_an_intent_is_written(flows, ask, says):
    task = Task(flows, **ask)
    with pytest.raises(InvalidInputError, match=says):
        task.execution().begin()
    assert (task.runs, task.written) == ([], [("begun", 0)])


def test_a_workflow_that_is_not_recoverable_is_told_of_with_the_remedy(flows, caplog):
    task = Task(flows, send("a", key=False))
    task.execution().begin()
    assert task.record.get("recoverable", False) is False
    assert "is not recoverable" in caplog.text
    assert 'mention "${airflow_run_key}" in the first stage' in caplog.text


def test_a_resumed_execution_needs_its_record(task):
    task.execution().begin()
    run = task.execution()
    run.resume()
    assert run.record.instance_id == task.runs[0]["instance"]
    stale = task.execution()
    task.life.context()
    with pytest.raises(RecordError, match="the record of this task is gone, or another execution"):
        stale.resume()
