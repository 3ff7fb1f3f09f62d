"""What people do (part 4): they clear, mark, delete, correct and deploy, at bad moments."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_orchestration.emulator.testing import wait_for
from tests.faults.execution import SteppedLife
from tests.faults.payout import (
    AMOUNT,
    APPROVAL,
    assert_final,
    assert_money,
    assert_paid_once,
    failing,
    in_the_background,
    mode,
)
from tests.support.servers import on_both
from tests.support.task_life import StaleExecutionError

pytestmark = [pytest.mark.faults, on_both]


def stepped(pay: Any, **arguments: Any) -> SteppedLife:
    task: SteppedLife = pay.task(life=SteppedLife, **arguments)
    return task


def approved_meanwhile(pay: Any, number: int = 0) -> Any:
    """Approve an instance beside the block, as soon as it waits."""
    return in_the_background(lambda: pay.approve(wait_for(lambda: pay.instances()[number:])[0]))


@mode
def test_clear_while_it_waits(payout, deferrable):
    pay = payout(APPROVAL)
    task = stepped(pay, deferrable=deferrable)
    task.begin_waiting().kill()
    task.clear()
    with approved_meanwhile(pay):
        task.finish(task.begin())
    assert_paid_once(pay, task)


@mode
def test_clear_while_it_waits_and_then_the_instance_fails(payout, deferrable):
    """Airflow's retries after a clear must not take the failure for one that the clear was about."""
    pay = payout(APPROVAL, failing("users:never"))
    task = stepped(pay, deferrable=deferrable)
    task.begin_waiting().kill()
    task.clear()
    with approved_meanwhile(pay):
        task.finish(task.begin())
    assert_final(task, pay.instances()[0], "stage 3/3 send")
    # A retry that comes all the same (the report of the failure was lost) submits nothing.
    task.finish(task.begin())
    assert_final(task, pay.instances()[0])
    assert len(pay.instances()) == 1
    assert_money(pay, 1)


@mode
def test_clear_while_it_waits_and_the_next_execution_dies_at_once(payout, deferrable):
    """It died before it could take the instance over: its retry is not the clear, either."""
    pay = payout(APPROVAL, failing("users:never"))
    task = stepped(pay, deferrable=deferrable)
    task.begin_waiting().kill()
    task.clear()
    next_one = task.begin()
    next_one.go("before write submitted")
    next_one.kill()
    task.lose()
    pay.approve(pay.instances()[0])
    task.finish(task.begin())
    assert_final(task, pay.instances()[0])
    assert len(pay.instances()) == 1


def test_clear_while_it_waits_and_the_instance_fails_before_the_process_ends(payout):
    """The clear came first: nobody has seen the failure, so nobody has told it to be replaced."""
    pay = payout(APPROVAL, failing("users:never"))
    task = stepped(pay, deferrable=False)
    old = task.begin_waiting()
    task.clear()
    old.operator.on_kill()
    pay.approve(pay.instances()[0])
    old.go()  # it goes on after the signal and sees the failure; Airflow lets it write no more
    assert isinstance(old.error, StaleExecutionError)
    task.finish(task.begin())
    assert_final(task, pay.instances()[0])
    assert len(pay.instances()) == 1


@mode
def test_clear_after_success(payout, deferrable):
    pay = payout()
    task = pay.task(deferrable=deferrable)
    task.execute_to_end()
    result = task.result
    for _ in range(2):
        task.clear()
        task.execute_to_end()
        assert_paid_once(pay, task)
        assert task.result == {**result, "taken_over": True}


@mode
def test_clear_after_failure_submits_anew(payout, deferrable):
    pay = payout(failing("users:never"))
    task = pay.task(deferrable=deferrable)
    for number in range(1, 4):
        task.execute_to_end()
        assert task.state == "failed"
        assert len(pay.instances()) == number
        assert [one["instance_id"] for one in task.record.get("earlier", ())] == pay.instances()[:-1]
        task.clear()
    assert_money(pay, 3)


@mode
def test_clear_with_a_corrected_amount_while_it_waits(payout, deferrable):
    pay = payout(APPROVAL)
    task = stepped(pay, deferrable=deferrable)
    task.begin_waiting().kill()
    task.clear()
    pay.variables = {"amount": 2 * AMOUNT}
    task.finish(task.begin())
    assert_final(task, "variables.amount", "has not been paid", pay.instances()[0])
    # Restored, it takes the instance over that has been at work all the time.
    pay.variables = {"amount": AMOUNT}
    task.clear()
    with approved_meanwhile(pay):
        task.finish(task.begin())
    assert_paid_once(pay, task)


@mode
def test_clear_with_a_corrected_amount_after_success(payout, deferrable):
    pay = payout()
    task = pay.task(deferrable=deferrable)
    task.execute_to_end()
    pay.variables = {"amount": 2 * AMOUNT}
    task.clear()
    task.execute_to_end()
    assert_final(task, "variables.amount", "has not been paid")
    assert len(pay.instances()) == 1
    assert_money(pay, 1)


@mode
def test_clear_with_a_corrected_amount_after_failure(payout, deferrable):
    pay = payout(failing("users:never"))
    task = pay.task(deferrable=deferrable)
    task.execute_to_end()
    pay.variables = {**pay.variables, "amount": 2 * AMOUNT}
    task.clear()
    task.execute_to_end()
    assert len(pay.instances()) == 2
    assert pay.money() == 3 * AMOUNT


@mode
def test_retry_with_another_amount_takes_over(payout, deferrable):
    """A template may hold the time of day: a retry is no other wish."""
    pay = payout(APPROVAL)
    task = stepped(pay, deferrable=deferrable)
    task.begin_waiting().kill()
    task.lose()
    pay.variables = {"amount": 2 * AMOUNT}
    with approved_meanwhile(pay):
        task.finish(task.begin())
    assert_paid_once(pay, task)


@mode
def test_clear_with_a_name_that_now_means_another_workflow(payout, deferrable):
    pay = payout(APPROVAL)
    task = stepped(pay, deferrable=deferrable, workflow_name=pay.name)
    task.begin_waiting().kill()
    other = payout(name=pay.name)
    pay.hook.delete_workflow(pay.id)
    task.clear()
    with approved_meanwhile(pay):
        task.finish(task.begin())
    assert_paid_once(pay, task)
    assert other.instances() == []


@mode
@pytest.mark.parametrize("state", ["failed", "success"])
def test_marked_while_it_waits(payout, emulator, state, deferrable):
    """By the mark nothing is cancelled, and a clear takes over what is at work. The same where the run is marked."""
    pay = payout(APPROVAL)
    task = stepped(pay, deferrable=deferrable)
    task.begin_waiting().kill()
    task.mark(state)
    task.clear()
    with approved_meanwhile(pay):
        task.finish(task.begin())
    assert_paid_once(pay, task)
    assert "cancel_event" not in emulator.counters()["requests"]


@mode
def test_dag_run_deleted_and_made_again(payout, deferrable):
    """It is a new run, though all its ids are the same."""
    pay = payout(APPROVAL)
    first = stepped(pay, deferrable=deferrable)
    first.begin_waiting().kill()
    second = stepped(pay, deferrable=deferrable)
    with approved_meanwhile(pay, 1):
        second.finish(second.begin())
    assert second.state == "success"
    assert len(pay.instances()) == 2
    assert second.xcoms["instance_id"] == pay.instances()[1]
    assert_money(pay, 2)


@mode
@pytest.mark.parametrize("point", ["before write intent", "after write intent", "before write submitted", "pause"])
def test_cleared_twice_quickly(payout, point, deferrable):
    """The executions overlap; each stale one goes on for a while, wherever it was."""
    pay = payout(APPROVAL)
    task = stepped(pay, deferrable=deferrable, recovery_timeout=2.0)
    old = []
    for _ in range(2):
        execution = task.begin()
        execution.go(point)
        old.append(execution)
        task.clear()
    last = task.begin()
    last.go("pause")
    with approved_meanwhile(pay):
        for execution in old:
            execution.go()
        task.finish(last)
    assert_paid_once(pay, task)


@mode
def test_mapped_task_cleared_whose_upstream_list_has_changed_order(payout, deferrable):
    payouts = [payout(), payout()]
    tasks = [
        pay.task(deferrable=deferrable, names={"map_index": index}, variables={"amount": AMOUNT, "payee": pay.payee})
        for index, pay in enumerate(payouts)
    ]
    for task in tasks:
        task.execute_to_end()
    # Index 1 is now asked for what index 0 has paid.
    first, second = payouts
    tasks[1].make_operator = lambda: first.operator(
        deferrable=deferrable, variables={"amount": AMOUNT, "payee": first.payee}
    )
    tasks[1].clear()
    tasks[1].execute_to_end()
    assert_final(tasks[1], "variables.payee", "workflow", second.instances()[0])
    for pay in payouts:
        assert len(pay.instances()) == 1
        assert_money(pay, 1)


@mode
def test_backfill_beside_a_scheduled_run(payout, deferrable):
    pay = payout()
    runs = ("scheduled__2026-01-01T00:00:00+00:00", "backfill__2026-01-01T00:00:00+00:00")
    tasks = [pay.task(deferrable=deferrable, names={"run_id": run_id}) for run_id in runs]
    for task in tasks:
        assert task.execute_to_end() == "success"
    assert len(pay.instances()) == 2
    assert {task.xcoms["instance_id"] for task in tasks} == set(pay.instances())
    assert_money(pay, 2)


@mode
@pytest.mark.parametrize("killed", [False, True], ids=["waits on", "taken over"])
def test_workflow_deleted_while_its_run_is_under_way(payout, killed, deferrable):
    """The run goes on, though its workflow is listed no more, and neither is the run."""
    pay = payout(APPROVAL)
    task = stepped(pay, deferrable=deferrable)
    execution = task.begin_waiting()
    pay.hook.delete_workflow(pay.id)
    if killed:
        execution.kill()
        task.lose()
        execution = task.begin()
    with approved_meanwhile(pay):
        task.finish(execution)
    assert_paid_once(pay, task)


@mode
def test_workflow_deleted_while_its_run_is_unknown(payout, emulator, deferrable):
    """The server lists its instances no more, so nothing can be found; nothing is submitted."""
    pay = payout()
    task = stepped(pay, deferrable=deferrable)
    execution = task.begin()
    execution.go("before write submitted")
    execution.kill()
    task.lose()
    pay.hook.delete_workflow(pay.id)
    task.finish(task.begin())
    assert task.record is not None
    assert_final(task, "airflow formance adopt", task.record["run_key"])
    assert len(pay.instances()) == 1


@mode
def test_workflow_deployed_anew_while_its_run_is_unknown(payout, deferrable):
    pay = payout()
    task = stepped(pay, deferrable=deferrable, workflow_name=pay.name)
    execution = task.begin()
    execution.go("before write submitted")
    execution.kill()
    task.lose()
    other = payout(name=pay.name)
    task.finish(task.begin())
    assert_paid_once(pay, task)
    assert other.instances() == []
