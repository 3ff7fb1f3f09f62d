"""The next generation of Flows: lists that are cut, aborts that work, deleted workflows that are gone."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_orchestration.api import names
from airflow_provider_orchestration.emulator.testing import wait_for
from airflow_provider_orchestration.exceptions import InstanceEndedError
from airflow_provider_orchestration.operators.cancel_workflow import CancelWorkflowOperator
from airflow_provider_orchestration.operators.send_event import SendEventOperator
from airflow_provider_orchestration.run.wait.lists import running_ids
from airflow_provider_orchestration.run.wait.poller import Poller
from tests.support.flows import Flows, delay, send, unique, wait_event
from tests.support.servers import on_next
from tests.support.task_life import TaskLife, told
from tests.support.waiting import Crowd, all_of, begin, run, until

pytestmark = [pytest.mark.usefixtures("impatient"), on_next]
#: More than any page holds.
MANY = 120


@pytest.fixture(autouse=True)
def _nothing_there(flows: Flows) -> None:
    flows.emulator.reset()


def canceling(instance_id: str, **arguments: Any) -> TaskLife:
    given = {"poll_interval": 0.05, "cancel_timeout": 5.0, "retries": 2, "instance_id": instance_id, **arguments}
    return TaskLife(lambda: CancelWorkflowOperator(task_id="cancel", **given), task_id="cancel")


def sending(instance_id: str, deferrable: bool) -> TaskLife:
    given: dict[str, Any] = {"poll_interval": 0.05, "wait_timeout": 20.0, "confirm_timeout": 3.0, "retries": 2}
    given |= {"instance_id": instance_id, "event": "go", "deferrable": deferrable}
    return TaskLife(lambda: SendEventOperator(task_id="send", **given), task_id="send")


def test_a_name_is_that_of_the_newest_of_many(flows, run_task, said):
    name = unique("payout")
    flows.workflow(send("old"), name=name)
    for _ in range(MANY):
        flows.workflow(delay(0.1))
    newest = flows.workflow(send("new"), name=name)
    life = run_task(workflow_name=name)
    assert life.execute() == "success", life.error
    assert life.result["workflow_id"] == newest.id
    assert said.having(f" workflows are named {name!r}: the newest is taken, {newest.id}")


def test_a_name_is_read_in_pages_once_for_the_tasks_of_a_mapped_list(flows, run_task, said):
    name = unique("payout")
    older = flows.workflow(send("old"), name=name)
    for _ in range(MANY):
        flows.workflow(send("other"))
    asked = flows.asked("list_workflows_v2")
    dag = unique("dag")

    def index(number: int, task_id: str = "pay") -> TaskLife:
        names = {"dag_id": dag, "task_id": task_id, "map_index": number}
        life: TaskLife = run_task(workflow_name=name, wait_for_completion=False, life=names)
        return life

    def run_it(life: TaskLife) -> str:
        assert life.execute() == "success", life.error
        return str(life.result["workflow_id"])

    assert [run_it(index(number)) for number in range(3)] == [older.id] * 3
    assert flows.asked("list_workflows_v2") - asked == 2 * (MANY // 100 + 1)
    assert len(said.having(f"workflow {name!r} is {older.id}, as it was found less than 10 s ago")) == 2
    # What is deployed before another task begins is seen by it.
    newer = flows.workflow(send("new"), name=name)
    assert run_it(index(0, "pay_more")) == newer.id
    assert run_it(run_task(workflow_name=name, wait_for_completion=False)) == newer.id


def test_a_name_that_somebody_else_deleted_is_looked_up_again(flows, run_task):
    name = unique("payout")
    older, newer = (flows.workflow(send(payee), name=name) for payee in ("old", "new"))
    flows.client.delete_workflow(newer.id)
    dag = unique("dag")
    names.remember(flows.client.settings.base_url, name, f"{dag}/run/pay", newer.id, time.monotonic())
    life = run_task(workflow_name=name, wait_for_completion=False, life={"dag_id": dag, "map_index": 0})
    assert life.execute() == "success", life.error
    assert life.result["workflow_id"] == older.id


def test_a_lost_run_is_found_among_many(flows, run_task):
    workflow = flows.workflow(send("a"), wait_event("go"))
    for _ in range(MANY):
        flows.client.run_workflow(workflow.id, {"airflow_run_key": "another"})
    flows.emulator.fault("run_workflow", "reset_after")
    life = run_task(workflow_id=workflow.id, wait_for_completion=False)
    assert life.execute() == "success", life.error
    mine = next(one for one in flows.runs_of(workflow.id) if one["variables"]["airflow_run_key"] != "another")
    assert life.result["instance_id"] == mine["instance"]
    assert len(flows.runs_of(workflow.id)) == MANY + 1


def test_of_many_that_wait_none_has_ended_that_runs(flows, monkeypatch):
    monkeypatch.setenv("AIRFLOW__FORMANCE__STAGE_READS_PER_SECOND", "0")
    crowd = Crowd(flows, MANY)
    listed = running_ids(flows.client, crowd.workflow_id)
    assert (listed.ids, listed.paged) == (frozenset(crowd.ids), True)

    async def scene(poller: Poller) -> None:
        tasks = begin(poller, crowd.ids, crowd.workflow_id)
        await until(lambda: flows.asked("list_instances_v2") >= 8)
        assert not any(task.done() for task in tasks)
        crowd.go(crowd.ids[7])
        await until(tasks[7].done)
        assert sum(task.done() for task in tasks) == 1
        crowd.go(*(one for one in crowd.ids if one != crowd.ids[7]))
        assert await all_of(tasks) == crowd.ends

    run(scene)


def test_who_waits_is_told_where_a_list_is_cut_and_its_pages_cannot_be_had(flows):
    crowd = Crowd(flows, MANY)
    flows.emulator.fault("list_instances_v2", "status", times="always", status=404)

    async def scene(poller: Poller) -> None:
        tasks = begin(poller, crowd.ids[:5], crowd.workflow_id)
        await asyncio.to_thread(lambda: crowd.go(*crowd.ids[:5]))
        assert await all_of(tasks) == crowd.ends[:5]
        for task in tasks:
            task.cancel()

    run(scene)


def test_an_interval_of_many_costs_a_request_for_each_hundred_and_two(flows, monkeypatch):
    monkeypatch.setenv("AIRFLOW__FORMANCE__STAGE_READS_PER_SECOND", "0")
    number = 250
    crowd = Crowd(flows, number)

    async def scene(poller: Poller) -> None:
        tasks = begin(poller, crowd.ids, crowd.workflow_id, 1.0)
        looks: list[int] = []
        while len(looks) < 5:
            before = asked = flows.asked_in_all()
            while asked == before:
                await asyncio.sleep(0.02)
                asked = await asyncio.to_thread(flows.asked_in_all)
            # A look is over before the pause that follows it.
            await asyncio.sleep(0.5)
            looks.append(flows.asked_in_all() - before)
        assert not any(task.done() for task in tasks)
        assert max(looks) <= number // 100 + 1 + 2
        # It is known by then that this server cuts its lists: the pages alone are asked for.
        assert looks[-1] == number // 100 + 1
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run(scene)


def test_a_cancel_ends_it(flows, deferrable, said):
    instance_id = flows.run(delay(100), delay(0.1))
    wait_for(lambda: flows.client.get_instance(instance_id).status)
    task = canceling(instance_id, deferrable=deferrable)
    assert task.execute() == "success", task.error
    assert (task.result["state"], task.result["error"]) == ("canceled", "canceled")
    assert said.having(f"instance {instance_id} has ended: canceled")


def test_one_that_waits_for_an_event_goes_on(flows, deferrable):
    instance_id = flows.run(wait_event("go"), delay(0.1))
    flows.waiting_at(instance_id, 0)
    task = canceling(instance_id, deferrable=deferrable, cancel_timeout=0.4)
    assert task.execute() == "failed"
    assert isinstance(task.error, AirflowFailException)
    assert "it waits for event 'go': the next server ends it as canceled when that event comes" in told(task.error)
    assert not flows.client.get_instance(instance_id).terminated
    assert flows.asked("send_event") == 1, "the probe whether it is dead, under a name that nobody waits for"


def test_at_the_deadline_a_cancel_ends_it_and_a_clear_pays_anew(flows, run_task):
    workflow = flows.workflow(delay(100), send("a"))
    life = run_task(workflow_id=workflow.id, run_timeout=0.3, cancel_on_timeout=True)
    assert life.execute() == "failed"
    assert "canceled: stage 1/2 delay" in str(life.error)
    assert life.record["state"] == "canceled"
    life.clear()
    assert life.execute() == "failed"
    assert len(flows.runs_of(workflow.id)) == 2


def test_at_the_deadline_one_that_waits_for_an_event_is_said_to_end_with_it(flows, run_task):
    life = run_task(
        workflow_id=flows.workflow(wait_event("go")).id, run_timeout=0.3, cancel_on_timeout=True, cancel_timeout=0.3
    )
    assert life.execute() == "failed"
    assert "it was asked to cancel, and still runs; instance" in str(life.error)
    assert "it waits for event 'go': the next server ends it as canceled when that event comes" in told(life.error)
    assert flows.asked("cancel_event") == 1


def test_an_event_that_only_ends_a_canceled_run_was_not_taken(flows, deferrable):
    instance_id = flows.run(wait_event("go"), send("a"))
    flows.waiting_at(instance_id, 0)
    flows.client.cancel_event(instance_id)
    task = sending(instance_id, deferrable)
    assert task.execute() == "failed"
    assert "the run was asked to cancel, and ended when the event came" in told(task.error)
    assert flows.asked("send_event") == 1
    assert flows.ended(instance_id).error == "canceled"


def test_an_event_that_was_taken_before_a_cancel_was_taken(flows, deferrable):
    instance_id = flows.run(wait_event("go"), delay(100))
    assert sending(instance_id, deferrable).execute() == "success"
    flows.client.cancel_event(instance_id)
    assert flows.ended(instance_id).error == "canceled"


def test_a_canceled_run_is_red_and_a_clear_submits_anew(flows, run_task):
    workflow = flows.workflow(delay(20), delay(0.1))
    life = run_task(workflow_id=workflow.id)
    life.store.before_write = lambda key, value: (
        (
            wait_for(lambda: flows.client.get_instance(value["instance_id"]).status),
            flows.client.cancel_event(value["instance_id"]),
        )
        if value.get("phase") == "submitted"
        else None
    )
    assert life.execute() == "failed"
    assert f"instance {life.record['instance_id']} canceled: " in str(life.error)
    assert life.record["state"] == "canceled"
    life.store.before_write = lambda key, value: None
    life.clear()
    assert life.execute() == "success", life.error
    assert [one["state"] for one in life.record["earlier"]] == ["canceled"]


def test_a_run_whose_workflow_is_deleted_meanwhile_is_green(flows, run_task):
    workflow = flows.workflow(delay(2), delay(0.1))
    life = run_task(workflow_id=workflow.id)
    deleted: list[None] = []

    def delete_once(key: str, value: dict[str, Any]) -> None:
        if value.get("phase") == "submitted" and not deleted:
            flows.client.delete_workflow(workflow.id)
            deleted.append(None)

    life.store.before_write = delete_once
    assert life.execute() == "success", life.error
    assert len(deleted) == 1
    assert len(life.result["stages"]) == 2


def test_a_deleted_workflow_is_not_there(flows, run_task):
    workflow = flows.workflow(delay(0.1))
    flows.client.delete_workflow(workflow.id)
    life = run_task(workflow_id=workflow.id)
    assert life.execute() == "up_for_retry"
    assert "no workflow has the id" in str(life.error)
    assert flows.asked("run_workflow") == 0


def test_an_event_after_the_end(flows):
    instance_id = flows.run(delay(0.1))
    flows.ended(instance_id)
    with pytest.raises(InstanceEndedError) as caught:
        flows.client.send_event(instance_id, "go")
    assert caught.value.status_code == 404
