"""Odd things that the matrix does not hold: clocks, answers of another shape, a request repeated on its way."""

from __future__ import annotations

import time
from typing import Any

import pytest

from airflow_provider_orchestration.api.session import ServerClock
from airflow_provider_orchestration.emulator.testing import EmulatorProcess, wait_for
from airflow_provider_orchestration.hooks.orchestration import OrchestrationHook
from airflow_provider_orchestration.operators.run_workflow import RunWorkflowOperator
from tests.faults.conftest import connection
from tests.faults.execution import SteppedLife
from tests.faults.payout import (
    APPROVAL,
    Payout,
    assert_final,
    assert_money,
    assert_paid_once,
    in_the_background,
    mode,
)

pytestmark = pytest.mark.faults


def test_worker_of_flows_is_down_between_two_stages(monkeypatch):
    """Every probe says that the instance has ended; but its latest stage ended well, and the next is yet to begin."""
    with EmulatorProcess("--time-scale", "3") as slow:
        monkeypatch.setenv("AIRFLOW_CONN_FORMANCE_DEFAULT", connection(slow))
        hook = OrchestrationHook()
        pay = Payout(slow, hook, APPROVAL)
        task = pay.task(life=SteppedLife, deferrable=False)
        task.begin_waiting().kill()
        task.lose()
        (instance,) = pay.instances()

        def is_between() -> bool:
            history = hook.get_instance_history(instance)
            return len(history) == 1 and history[0].terminated

        wait_for(is_between, pause=0.01)
        slow.fault("*", "worker_down")
        second = task.begin()
        second.go("after write submitted")
        for _ in range(5):  # the pause of the probe, then those of the waiting
            second.go("pause")
        assert not second.ended, second.error
        assert is_between()
        slow.clear_faults()
        wait_for(lambda: pay.waits(instance))
        second.kill()


@mode
def test_clock_of_the_server_is_ahead(payout, emulator, monkeypatch, deferrable):
    monkeypatch.setattr(ServerClock, "now", lambda _self: time.time() + 120.0)
    emulator.fault("run_workflow", "reset_after")
    pay = payout()
    task = pay.task(deferrable=deferrable)
    task.execute_to_end()
    assert_paid_once(pay, task)


def test_clock_of_the_triggerer_is_ahead(payout, emulator, monkeypatch):
    """Its deadline is not the one in the record: nothing is given up, nothing cancelled."""
    pay = payout(APPROVAL)
    task = pay.task(life=SteppedLife, deferrable=True, run_timeout=3600.0, cancel_on_timeout=True)
    task.begin_waiting()
    now = time.time
    with monkeypatch.context() as ahead:
        ahead.setattr("time.time", lambda: now() + 4000.0)
        event = task.fire()
    assert event["verdict"] == "deadline"
    with in_the_background(lambda: pay.approve(pay.instances()[0])):
        task.finish(task.resume(event))
    assert_paid_once(pay, task)
    assert "cancel_event" not in emulator.counters()["requests"]


@pytest.mark.parametrize(
    "output",
    [
        {"CreateTransaction": {"data": ["17"]}},
        {"CreateTransaction": ["x"]},
        {"CreateTransaction": {"data": [{"id": 1, "postings": ["x"]}]}},
        {"CreateTransaction": {"data": 7}},
    ],
)
def test_transactions_of_another_shape(payout, emulator, output):
    """What is known to have succeeded is not doubted because of them."""
    activity = {"name": "CreateTransaction", "input": {}, "output": output, "terminated": True, "attempt": 1}
    body = {"data": [{**activity, "startedAt": "2026-01-01T00:00:00Z"}]}
    emulator.fault("get_instance_stage_history", "status", "always", status=200, body=body)
    pay = payout()
    task = pay.task()
    task.execute_to_end()
    assert_paid_once(pay, task)
    assert task.result["transactions"] is None


@mode
def test_definition_of_another_shape_once(payout, emulator, deferrable):
    pay = payout(APPROVAL)
    task = pay.task(deferrable=deferrable)

    def trouble() -> None:
        (instance,) = wait_for(pay.instances)
        wait_for(lambda: pay.waits(instance))
        body = {
            "id": instance,
            "workflowID": pay.id,
            "terminated": False,
            "createdAt": "2026-01-01T00:00:00Z",
            "workflow": {"id": pay.id, "config": {"name": "x", "stages": "y"}, "createdAt": "2026-01-01T00:00:00Z"},
        }
        emulator.fault("get_instance", "status", 1, status=200, body={"data": body})
        wait_for(lambda: not emulator.control("GET", "faults")["data"])
        pay.approve(instance)

    with in_the_background(trouble):
        task.execute_to_end()
    assert_paid_once(pay, task)
    assert task.try_number == 1


def test_a_request_that_a_gateway_repeated(payout, emulator):
    """The one that runs is followed, not the first that is found."""
    pay = payout(APPROVAL)
    emulator.fault("run_workflow", "reset_after")
    task = pay.task(life=SteppedLife, deferrable=False)
    execution = task.begin()
    execution.go("before write unknown")
    (run,) = pay.runs()
    pay.approve(run["instance"])
    wait_for(lambda: pay.has_succeeded(run["instance"]))
    second = pay.hook.run_workflow(pay.id, run["variables"]).id
    wait_for(lambda: pay.waits(second))
    execution.go("pause")
    assert task.record["instance_id"] == second
    execution.kill()


class PayAll(RunWorkflowOperator):
    def execute(self, context: Any) -> Any:
        for amount in (1000, 2000):
            self.variables = {"amount": amount}
            result = super().execute(context)
        return result


PAY_ALL: dict[str, Any] = {
    "task_id": "task",
    "retries": 2,
    "poll_interval": 0.05,
    "run_timeout": 60.0,
    "deferrable": False,
}


def test_an_operator_that_runs_twice_in_one_try(payout):
    """The second has not been paid, and the task must not be green by the first."""
    pay = payout()
    task = pay.task()
    task.make_operator = lambda: PayAll(workflow_id=pay.id, **PAY_ALL)
    task.execute_to_end()
    assert_final(task, "one try of this task asks for a second run", "variables.amount", "has not been paid")
    assert_money(pay, 1)


def test_a_run_that_was_deleted_and_made_again_whose_first_try_never_began(payout):
    """Nothing was written by it, and what bears its name is older than its run."""
    pay = payout()
    old = pay.task()
    old.execute_to_end()
    again = pay.task()
    again.dag_run.run_after = old.dag_run.run_after  # a scheduled run keeps its time
    # Beyond what the clocks of Airflow and Flows may differ.
    again.dag_run.start_date = old.dag_run.run_after.fromtimestamp(time.time() + 3700.0, old.dag_run.run_after.tzinfo)
    again.try_number = 1
    assert again.execute_to_end() == "success"
    assert again.xcoms["instance_id"] != old.xcoms["instance_id"]
    assert_money(pay, 2)


def test_an_operator_that_runs_twice_in_a_retry(payout):
    """The first has been paid by the try before; the second has not."""
    pay = payout()
    task = pay.task(life=SteppedLife)
    task.make_operator = lambda: PayAll(workflow_id=pay.id, **PAY_ALL)
    execution = task.begin()
    execution.go("after write ended")
    execution.kill()
    task.lose()
    task.finish(task.begin())
    assert_final(task, "one try of this task asks for a second run", "variables.amount")
    assert_money(pay, 1)


@mode
def test_the_answer_is_lost_and_a_variable_holds_the_time_of_day(payout, emulator, deferrable):
    """Airflow renders the templates anew when it resumes a task."""
    pay = payout()
    emulator.fault("run_workflow", "reset_after")
    task = pay.task(deferrable=deferrable)
    make = task.make_operator

    def render() -> Any:
        pay.variables = {**pay.variables, "note": str(time.time_ns())}
        return make()

    task.make_operator = render
    task.execute_to_end()
    assert_paid_once(pay, task)
    assert task.try_number == 1
