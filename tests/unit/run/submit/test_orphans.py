"""A later execution without a record: which instance is taken for its own, and which is not."""

from __future__ import annotations

import time

import pytest

from airflow_provider_orchestration.exceptions import FormanceError, RecordError
from airflow_provider_orchestration.run.keys import digest_of_all, position_name
from airflow_provider_orchestration.run.keys import new_run_key as new_key
from airflow_provider_orchestration.run.submit.again import Ask
from airflow_provider_orchestration.run.submit.orphans import Orphan, find_orphan
from tests.support.flows import send, unique, wait_event
from tests.support.task_life import told

ASK = Ask("w", None, {"amount": 1})


@pytest.fixture
def position():
    """The position of a task that no other test has."""
    return position_name(unique("dag"), "run", "task", -1)


def new_run_key(position: str, name: str | None = None, ask: Ask = ASK) -> str:
    return new_key(position, name, digest_of_all(ask.digest))


def found_in(flows, workflow, position, since: float | None = None) -> Orphan | None:
    return find_orphan(flows.client, [workflow], position, since or time.time())


def start(flows, workflow, key: str) -> str:
    """Start an instance with a run key, and wait until its history shows it."""
    instance_id: str = flows.client.run_workflow(workflow.id, {"airflow_run_key": key}).id
    flows.waiting_at(instance_id, len(workflow.stages) - 1)
    return instance_id


def test_an_instance_that_runs_goes_before_one_that_ended_and_a_newer_first(flows, position):
    workflow = flows.workflow(wait_event("${airflow_run_key}"))
    since = time.time()
    assert found_in(flows, workflow, position, since) is None
    first, second, third = (new_run_key(position) for _ in range(3))
    ids = [start(flows, workflow, key) for key in (first, second, third)]
    start(flows, workflow, new_run_key(f"x-{position}"))

    def found() -> tuple[str, str]:
        orphan = found_in(flows, workflow, position, since)
        assert orphan is not None
        return orphan.candidate.instance_id, orphan.run_key

    assert found() == (ids[2], third)
    for number, key in ((2, third), (0, first)):
        flows.client.send_event(ids[number], key)
        flows.ended(ids[number])
        assert found() == (ids[1], second)
    flows.client.send_event(ids[1], second)
    flows.ended(ids[1])
    # Whatever the order in which they ended.
    assert found() == (ids[2], third)


def test_a_task_whose_name_ends_in_this_one_is_another(flows, position):
    workflow = flows.workflow(send(), wait_event("go"))
    start(flows, workflow, new_run_key(f"eu-{position}"))
    start(flows, workflow, new_run_key(f"{position}[1]"))  # mapped, it is another task
    assert found_in(flows, workflow, position) is None


def test_where_the_key_stands_within_a_longer_text_a_person_must_say_whose_it_is(flows, position):
    workflow = flows.workflow(wait_event("run-${airflow_run_key}"))
    mine_or_not = start(flows, workflow, new_run_key(position))
    with pytest.raises(RecordError, match="may be this task's; nothing was sent") as caught:
        found_in(flows, workflow, position)
    assert f"  {mine_or_not} of 20" in told(caught.value)
    assert "airflow formance adopt" in told(caught.value)


def test_what_stands_after_the_key_does_no_harm(flows, position):
    workflow = flows.workflow(wait_event("${airflow_run_key}-go"))
    key = new_run_key(position)
    instance_id = start(flows, workflow, key)
    orphan = found_in(flows, workflow, position)
    assert orphan is not None
    assert (orphan.candidate.instance_id, orphan.run_key) == (instance_id, key)


def test_a_workflow_that_does_not_show_the_key_is_not_searched(flows, position):
    workflow = flows.workflow(send(key=False), wait_event("go"))
    start(flows, workflow, new_run_key(position))
    flows.emulator.reset_counters()
    assert found_in(flows, workflow, position) is None
    assert not flows.emulator.counters()["requests"]


def test_a_stack_that_cannot_be_read_gives_no_answer(flows, position):
    workflow = flows.workflow(send())
    flows.emulator.fault("list_instances", "status", times="always", status=503)
    with pytest.raises(FormanceError, match=r"what was submitted before cannot be looked up: .*503.*nothing was sent"):
        found_in(flows, workflow, position)


def test_one_that_is_older_than_the_dag_run_by_a_clock_that_is_ahead_is_found(flows, position):
    workflow = flows.workflow(wait_event("${airflow_run_key}"))
    instance_id = start(flows, workflow, new_run_key(position))
    orphan = found_in(flows, workflow, position, time.time() + 60)
    assert orphan is not None
    assert orphan.candidate.instance_id == instance_id
    assert found_in(flows, workflow, position, time.time() + 7200) is None


def test_it_is_looked_for_in_every_workflow_it_may_be_of(flows, position):
    first, second = (flows.workflow(wait_event("${airflow_run_key}")) for _ in range(2))
    instance_id = start(flows, first, key := new_run_key(position))
    orphan = find_orphan(flows.client, [second, first], position, time.time())
    assert orphan is not None
    assert (orphan.candidate.instance_id, orphan.workflow_id, orphan.run_key) == (instance_id, first.id, key)


@pytest.mark.parametrize(
    ("key_name", "asked"),
    [
        (None, Ask("w", None, {"amount": 2})),
        (None, Ask("w", None, {"amount": 1}, name="INV-1", named=True)),
        ("INV-1", Ask("w", None, {"amount": 1}, name="INV-2", named=True)),
        ("INV-1", ASK),
    ],
)
def test_position_alone_proves_nothing(flows, position, key_name, asked):
    workflow = flows.workflow(wait_event("${airflow_run_key}"))
    instance_id = start(flows, workflow, key := new_run_key(position, key_name))
    orphan = found_in(flows, workflow, position)
    assert orphan is not None
    orphan.check(Ask("w", None, {"amount": 1}, name=key_name, named=bool(key_name)))
    with pytest.raises(RecordError, match="not proven to be what is asked for now; nothing was sent") as caught:
        orphan.check(asked)
    assert caught.value.instance_id == instance_id
    assert key in told(caught.value)


def test_a_key_without_a_digest_proves_nothing(flows, position):
    workflow = flows.workflow(wait_event("${airflow_run_key}"))
    start(flows, workflow, f"{position}@0123456789abcdef")
    orphan = found_in(flows, workflow, position)
    assert orphan is not None
    with pytest.raises(RecordError, match="not proven"):
        orphan.check(ASK)
