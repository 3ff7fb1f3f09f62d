"""Many at once: tasks that look the same, deployments that look the same, and a thousand that look for their runs."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from airflow_provider_orchestration.emulator.testing import wait_for
from airflow_provider_orchestration.run.keys import new_run_key, position_name
from airflow_provider_orchestration.triggers.instance import RecoveryTrigger
from tests.faults.execution import SteppedLife
from tests.faults.payout import APPROVAL, assert_money, assert_paid_once, assert_unknown, mode, recoverable
from tests.support.task_life import one_event

pytestmark = pytest.mark.faults


@mode
@recoverable
@pytest.mark.parametrize("first_arrives", [True, False], ids=["first arrived", "second arrived"])
def test_two_tasks_ask_for_the_same_and_only_one_submission_arrives(
    payout, emulator, first_arrives, recoverable, deferrable
):
    """They are two runs, each its own: the one that did not arrive must not take the other's for its own."""
    pay = payout(recoverable=recoverable)
    tasks = [pay.task(deferrable=deferrable, names={"task_id": name}) for name in ("first", "second")]
    arrived, lost = tasks if first_arrives else tasks[::-1]
    for task in tasks:
        emulator.fault("run_workflow", "reset_after" if task is arrived else "reset_before")
        task.execute_to_end()
    # It looks again, with the other's instance in sight.
    lost.clear()
    lost.execute_to_end()
    assert_unknown(pay, lost, instances=1)
    if recoverable:
        assert_paid_once(pay, arrived)
    else:
        assert_unknown(pay, arrived, instances=1)
        assert_money(pay, 1)


@mode
@recoverable
def test_two_deployments_with_the_same_ids(payout, recoverable, deferrable):
    pay = payout(recoverable=recoverable)
    tasks = [pay.task(deferrable=deferrable) for _ in range(2)]
    for task in tasks:
        assert task.execute_to_end() == "success"
    assert len(pay.instances()) == 2
    assert {task.xcoms["instance_id"] for task in tasks} == set(pay.instances())
    assert_money(pay, 2)


@mode
def test_two_deployments_with_the_same_ids_both_killed_after_the_submission(payout, deferrable):
    pay = payout()
    tasks = [pay.task(life=SteppedLife, deferrable=deferrable) for _ in range(2)]
    for task in tasks:
        execution = task.begin()
        execution.go("before write submitted")
        execution.kill()
        task.lose()
    for task in tasks:
        assert task.finish(task.begin()) == "success"
    assert {task.xcoms["instance_id"] for task in tasks} == set(pay.instances())
    assert_money(pay, 2)


@mode
@pytest.mark.parametrize("other", ["another deployment", "the same run, deleted and made again"])
def test_nothing_submitted_yet_and_another_has_the_same_ids(payout, emulator, other, deferrable):
    """Its first try failed before it wrote anything: the second must submit, not be green by another's payment."""
    pay = payout()
    first, second = (pay.task(deferrable=deferrable) for _ in range(2))
    if other == "another deployment":
        emulator.fault("get_workflow", "status", 5, status=503)
        assert second.execute() == "up_for_retry"
        first.execute_to_end()
    else:
        second.dag_run.run_after = first.dag_run.run_after  # a scheduled run keeps its time
        first.execute_to_end()
        emulator.fault("get_workflow", "status", 5, status=503)
        assert second.execute() == "up_for_retry"
    assert second.execute_to_end() == "success"
    assert second.xcoms["instance_id"] != first.xcoms["instance_id"]
    assert_money(pay, 2)


def test_a_thousand_runs_become_unknown_at_once(payout, emulator):
    """All look together: each history is read once, whoever looks, and each finds its own."""
    pay = payout(APPROVAL)
    since = time.time()
    keys = [new_run_key(position_name("dag", "run", "task", index), None, "0" * 16) for index in range(1000)]
    arrived, lost = keys[:950], keys[950:]
    client = pay.hook.get_conn()
    for key in arrived:
        client.run_workflow(pay.id, {"amount": "1", "airflow_run_key": key})
    instances = {run["variables"]["airflow_run_key"]: run["instance"] for run in pay.runs()}
    wait_for(lambda: pay.waits(instances[arrived[-1]]))
    emulator.reset_counters()

    async def recover() -> list[Any]:
        triggers = [
            RecoveryTrigger(
                formance_conn_id="formance_default",
                workflow_id=pay.id,
                run_key=key,
                since=since,
                until=time.time() + 15.0,
                poll_interval=0.5,
            )
            for key in keys
        ]
        return await asyncio.gather(*(one_event(trigger) for trigger in triggers))

    events = asyncio.run(recover())
    assert events == [{"found": instances.get(key), "run_key": key, "nonce": ""} for key in keys]
    assert all(event["found"] is None for event in events[len(arrived) :])
    assert len(lost) == 50
    requests = emulator.counters()["requests"]
    assert requests["get_instance_history"] == len(arrived)
    assert requests["list_instances"] < 20
    assert "run_workflow" not in requests


@pytest.mark.parametrize("deferrable", [True], ids=["deferrable"])
def test_a_hundred_tasks_lose_their_answers(payout, emulator, deferrable):
    pay = payout()
    tasks = [pay.task(life=SteppedLife, names={"map_index": index}, deferrable=deferrable) for index in range(100)]
    emulator.fault("run_workflow", "status_after", len(tasks), status=502)
    for task in tasks:
        execution = task.begin()
        execution.go()
        assert task.take(execution) == "deferred"
    emulator.reset_counters()

    async def recover() -> list[Any]:
        return await asyncio.gather(*(one_event(task.deferral.trigger) for task in tasks))

    events = asyncio.run(recover())
    assert emulator.counters()["requests"]["get_instance_history"] == len(tasks)
    for task, event in zip(tasks, events, strict=True):
        assert task.finish(task.resume(event)) == "success"
    assert len({task.xcoms["instance_id"] for task in tasks}) == len(tasks)
    assert len(pay.instances()) == len(tasks)
    assert_money(pay, len(tasks))
