"""What people do to a task on a real Airflow: a clear, a mark, a deletion. Nothing is paid twice by it unasked."""

from __future__ import annotations

import re

import pytest

from airflow_provider_orchestration.emulator.testing import wait_for
from tests.support.payments import PAID_IN, PAID_OUT

pytestmark = pytest.mark.faults


def test_clear_while_deferred_and_then_the_instance_fails_with_retries_left(payments):
    run, instance = payments.start_deferred(payout="nonsense")
    again = run.clear("pay")
    run.wait_for_task("pay", "deferred", min_try=again)
    assert f"taken over: instance {instance}" in run.log("pay", again)
    payments.go(instance)

    assert run.wait() == "failed"
    ended = run.task("pay")
    assert ended["try_number"] <= ended["max_tries"], "no retries were left"
    assert payments.instances(run) == [instance]
    assert payments.moved(run) == [PAID_IN]
    assert payments.cancels == 0
    assert f"instance {instance} failed: stage 3/3 send" in run.log("pay", ended["try_number"])


def test_clear_after_failure_submits_anew(emulator, payments):
    run, first = payments.start_deferred()
    # As an operator of the engine ends what must not go on; Flows itself says for ever that it runs.
    emulator.engine(first, "cancel")
    # Not only the task's: a clear between the two ends is lost in Airflow.
    assert run.wait() == "failed"
    ended = run.task("pay")
    assert ended["try_number"] <= ended["max_tries"], "no retries were left"
    assert f"instance {first} dead: stage 2/3 wait_event 'go': canceled" in run.log("pay", ended["try_number"])

    again = run.clear("pay")
    second = payments.waiting_instance(run, 2)
    payments.go(second)
    assert run.wait_for_task("pay", min_try=again)["state"] == "success"
    assert payments.instances(run) == [first, second]
    assert payments.moved(run) == [PAID_IN, PAID_IN, PAID_OUT]
    assert payments.cancels == 0
    assert [one["instance_id"] for one in run.record("pay")["earlier"]] == [first]
    assert run.xcom("pay")["instance_id"] == second


def test_clear_after_success_pays_nothing_again(payments):
    run, instance = payments.start_deferred()
    payments.go(instance)
    assert run.wait() == "success"
    paid = run.xcom("pay")

    again = run.clear("pay")
    assert run.wait_for_task("pay", min_try=again)["state"] == "success"
    assert payments.instances(run) == [instance]
    assert payments.moved(run) == [PAID_IN, PAID_OUT]
    assert run.xcom("pay") == {**paid, "taken_over": True}
    assert f"taken over: instance {instance} has already succeeded" in run.log("pay", again)


def test_mark_failed_while_deferred_asks_once_to_cancel_and_a_clear_takes_over(payments):
    run, instance = payments.start_deferred()
    run.mark("pay", "failed")
    wait_for(lambda: payments.cancels)
    assert run.wait() == "failed"
    assert payments.goes_on(instance), "the known servers ignore it"
    wait_for(lambda: f"asked Flows to cancel instance {instance}" in run.log("pay"))

    again = run.clear("pay")
    run.wait_for_task("pay", "deferred", min_try=again)
    payments.go(instance)
    assert run.wait_for_task("pay")["state"] == "success"
    assert payments.instances(run) == [instance]
    assert payments.moved(run) == [PAID_IN, PAID_OUT]
    assert payments.cancels == 1


def test_mark_failed_while_it_waits_in_the_worker_asks_once_to_cancel(payments):
    run, instance = payments.start_waiting()
    run.mark("pay", "failed")
    wait_for(lambda: payments.cancels)
    wait_for(lambda: f"asked Flows to cancel instance {instance}" in run.log("pay"))

    assert run.states == {"pay": "failed"}
    assert payments.instances(run) == [instance]
    assert payments.moved(run) == [PAID_IN]
    assert payments.cancels == 1


def test_mark_success_while_deferred_leaves_the_run_alone(payments):
    run, instance = payments.start_deferred()
    run.mark("pay", "success")
    wait_for(lambda: "the task's state is success" in run.log("pay"))

    assert run.wait() == "success"
    assert payments.goes_on(instance)
    assert payments.instances(run) == [instance]
    assert payments.cancels == 0


def test_dag_run_marked_failed_while_deferred_asks_once_to_cancel_and_a_clear_takes_over(airflow, payments):
    run, instance = payments.start_deferred()
    airflow.api.set_run_state(run.dag_id, run.run_id, "failed")
    wait_for(lambda: payments.cancels)
    assert payments.goes_on(instance), "the known servers ignore it"

    again = run.clear("pay")
    run.wait_for_task("pay", "deferred", min_try=again)
    payments.go(instance)
    assert run.wait_for_task("pay")["state"] == "success"
    assert payments.instances(run) == [instance]
    assert payments.moved(run) == [PAID_IN, PAID_OUT]
    assert payments.cancels == 1


def test_cleared_twice_quickly_while_it_waits_in_the_worker(payments):
    run, instance = payments.start_waiting()
    again = run.clear("pay")
    run.clear("pay")
    run.wait_for_task("pay", "running", min_try=again)
    wait_for(lambda: "taken over" in run.log("pay", run.task("pay")["try_number"]))
    payments.go(instance)

    assert run.wait_for_task("pay")["state"] == "success"
    assert payments.instances(run) == [instance]
    assert payments.moved(run) == [PAID_IN, PAID_OUT]
    assert payments.cancels == 0


def test_execution_timeout_cancels_nothing_and_the_retry_takes_over(payments):
    run, instance = payments.start_waiting("pay_with_execution_timeout")
    run.wait_for_task("pay", "running", min_try=2)
    wait_for(lambda: f"taken over: instance {instance}" in run.log("pay", 2))
    payments.go(instance)

    assert run.wait_for_task("pay")["state"] == "success"
    assert "Timeout" in run.log("pay")
    assert payments.instances(run) == [instance]
    assert payments.moved(run) == [PAID_IN, PAID_OUT]
    assert payments.cancels == 0


def test_dag_run_deleted_and_made_again_is_a_new_run(airflow, payments):
    run, first = payments.start_deferred(run_id="made-again")
    payments.go(first)
    assert run.wait() == "success"
    # Two executions in workers. A run can end before the scheduler hears of their ends; where the task was made again
    # meanwhile, it takes a late one for the end of the new task's first try, which it then fails.
    wait_for(lambda: executions_heard_of(airflow, run) == 2)
    airflow.api.delete_run(run.dag_id, run.run_id)

    again = payments.start("pay_deferred", run_id="made-again")
    second = payments.waiting_instance(again, 2)
    payments.go(second)
    assert again.wait() == "success"
    assert payments.instances(again) == [first, second]
    assert payments.moved(again) == [PAID_IN, PAID_OUT] * 2
    assert again.xcom("pay")["instance_id"] == second
    assert "earlier" not in again.record("pay")


def executions_heard_of(airflow, run):
    log = airflow.components["scheduler"].log.read_text()
    return len(re.findall(rf"TaskInstance Finished: .* run_id={run.run_id},", log))


def test_one_index_of_a_mapped_task_is_cleared_and_its_list_has_changed_order(payments):
    run = payments.start("pay_mapped")
    for number in (1, 2, 3):
        payments.go(payments.waiting_instance(run, number))
    assert run.wait() == "success"
    instances = payments.instances(run)
    moved = sorted(payments.moved(run))
    assert moved == sorted([PAID_IN] * 3 + [(f"users:{payee}", 100) for payee in ("anna", "ben", "cleo")])

    # The same list at this index: what was paid is taken over.
    again = run.clear("pay", map_index=1)
    assert run.wait_for_task("pay", map_index=1, min_try=again)["state"] == "success"
    assert run.xcom("pay", map_index=1)["taken_over"] is True
    # Or the scheduler, about to end the run, would do so over the next clear.
    assert run.wait() == "success"

    # Another payee at this index: neither paid nor taken for paid.
    again = run.clear("pay", "lines", map_index=0)
    ended = run.wait_for_task("pay", map_index=0, min_try=again)
    assert ended["state"] == "failed"
    assert "it differs in variables.payee" in run.log("pay", ended["try_number"], map_index=0)
    assert payments.instances(run) == instances
    assert sorted(payments.moved(run)) == moved
