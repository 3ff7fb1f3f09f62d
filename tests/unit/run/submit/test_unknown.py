"""Runs of which too little is known: without a record, or without an answer."""

from __future__ import annotations

import time

import pytest

from airflow_provider_orchestration.exceptions import FormanceError, RecordError
from airflow_provider_orchestration.run.record import Phase, new_run_key, task_name
from airflow_provider_orchestration.run.submit.recovery import Candidate
from airflow_provider_orchestration.run.submit.unknown import find_orphan, unknown_run
from tests.support.flows import send, unique, wait_event
from tests.support.things import run_record


@pytest.fixture
def name():
    """The name of a task that no other test has."""
    return task_name(unique("dag"), "run", "task", -1, None)


def start(flows, workflow, key: str) -> str:
    """Start an instance with a run key, and wait until its history shows it."""
    instance_id: str = flows.client.run_workflow(workflow.id, {"airflow_run_key": key}).id
    flows.waiting_at(instance_id, len(workflow.stages) - 1)
    return instance_id


def test_an_instance_that_runs_goes_before_one_that_ended_and_a_newer_first(flows, name):
    workflow = flows.workflow(wait_event("${airflow_run_key}"))
    since = time.time()
    assert find_orphan(flows.client, workflow, name, since) is None
    first, second, third = (new_run_key(name) for _ in range(3))
    ids = [start(flows, workflow, key) for key in (first, second, third)]
    start(flows, workflow, new_run_key(f"x-{name}"))

    def found() -> tuple[str, str]:
        orphan = find_orphan(flows.client, workflow, name, since)
        assert orphan is not None
        return orphan.instance_id, orphan.key_from(name)

    assert found() == (ids[2], third)
    for number, key in ((2, third), (0, first)):
        flows.client.send_event(ids[number], key)
        flows.ended(ids[number])
        assert found() == (ids[1], second)
    flows.client.send_event(ids[1], second)
    flows.ended(ids[1])
    # The server lists one that ended after those that ended before.
    assert found() == (ids[1], second)


def test_a_task_whose_name_ends_in_this_one_is_another(flows, name):
    workflow = flows.workflow(send(), wait_event("go"))
    start(flows, workflow, new_run_key(f"eu-{name}"))
    start(flows, workflow, new_run_key(f"{name}example.com@"))  # a business name may hold the sign
    assert find_orphan(flows.client, workflow, name, time.time()) is None


def test_where_the_key_stands_within_a_longer_text_a_person_must_say_whose_it_is(flows, name):
    workflow = flows.workflow(wait_event("run-${airflow_run_key}"))
    mine_or_not = start(flows, workflow, new_run_key(name))
    with pytest.raises(RecordError, match=f"may be this task's: {mine_or_not}.*Nothing was sent.*airflow formance"):
        find_orphan(flows.client, workflow, name, time.time())


def test_what_stands_after_the_key_does_no_harm(flows, name):
    workflow = flows.workflow(wait_event("${airflow_run_key}-go"))
    key = new_run_key(name)
    instance_id = start(flows, workflow, key)
    orphan = find_orphan(flows.client, workflow, name, time.time())
    assert orphan is not None
    assert (orphan.instance_id, orphan.key_from(name)) == (instance_id, key)


def test_a_workflow_that_does_not_show_the_key_is_not_searched(flows, name):
    workflow = flows.workflow(send(key=False), wait_event("go"))
    start(flows, workflow, new_run_key(name))
    flows.emulator.reset_counters()
    assert find_orphan(flows.client, workflow, name, time.time()) is None
    assert not flows.emulator.counters()["requests"]


def test_a_stack_that_cannot_be_read_gives_no_answer(flows, name):
    workflow = flows.workflow(send())
    flows.emulator.fault("list_instances", "status", times="always", status=503)
    with pytest.raises(FormanceError, match=r"an earlier try submitted cannot be looked up: .*503.*Nothing was sent"):
        find_orphan(flows.client, workflow, name, time.time())


def test_the_message_names_key_time_candidates_and_the_three_ways_on():
    record = run_record(phase=Phase.UNKNOWN, instance_id=None, intent_at=1_800_000_000.9, recoverable=True)
    said = str(unknown_run(record, [Candidate("i7", "2027-01-15T08:00:01+00:00", False, None)]))
    for part in (
        record.run_key,
        "2027-01-15 08:00:00 UTC",
        "workflow w1",
        "i7 (created 2027-01-15T08:00:01+00:00, running, history not readable)",
        "clear the task to look again",
        "`airflow formance adopt`",
        "`airflow formance forget`",
        "nothing is submitted again by itself",
    ):
        assert part in said
    assert "not recoverable" not in said
    assert "\n" not in said


def test_the_message_says_why_no_look_can_prove_anything():
    record = run_record(phase=Phase.UNKNOWN, instance_id=None)
    said = str(unknown_run(record, []))
    assert "The workflow is not recoverable, so no look can prove whose an instance is." in said
    assert "created since: none. It may still start later" in said
    said = str(unknown_run(record, [], "list_instances: 503"))
    assert "created since: none (as far as is known: the last look failed, list_instances: 503)" in said
