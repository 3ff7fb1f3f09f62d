"""A submission that is disturbed on a real Airflow is found again, and never made twice."""

from __future__ import annotations

import os
import signal

import pytest

from airflow_provider_orchestration.emulator.testing import wait_for
from tests.support.payments import PAID_IN, PAID_OUT

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("dag_id", ["pay_deferred", "pay_waiting"])
def test_task_killed_after_the_server_accepted_and_before_the_id_is_stored(emulator, payments, dag_id):
    emulator.fault("run_workflow", "hang_after")
    run = payments.start(dag_id)
    pid = run.wait_for_task("pay", "running")["pid"]
    instance = payments.waiting_instance(run)
    assert run.record("pay")["phase"] == "intent"
    os.kill(pid, signal.SIGKILL)

    run.wait_for_task("pay", "deferred", "running", min_try=2)
    payments.go(instance)
    assert run.wait_for_task("pay")["state"] == "success"
    assert payments.instances(run) == [instance]
    assert payments.moved(run) == [PAID_IN, PAID_OUT]
    assert payments.cancels == 0
    assert f"found: instance {instance} bears run key" in run.log("pay", 2)
    assert run.xcom("pay")["instance_id"] == instance


def test_task_killed_while_it_waits(payments):
    run, instance = payments.start_waiting()
    os.kill(run.task("pay")["pid"], signal.SIGKILL)

    run.wait_for_task("pay", "running", min_try=2)
    payments.go(instance)
    assert run.wait_for_task("pay")["state"] == "success"
    assert payments.instances(run) == [instance]
    assert payments.moved(run) == [PAID_IN, PAID_OUT]
    assert payments.cancels == 0
    assert f"taken over: instance {instance}" in run.log("pay", 2)
    assert run.xcom("pay")["instance_id"] == instance


@pytest.mark.parametrize("dag_id", ["pay_deferred", "pay_waiting"])
def test_answer_to_the_submit_lost(emulator, payments, dag_id):
    emulator.fault("run_workflow", "reset_after")
    run = payments.start(dag_id)
    instance = payments.waiting_instance(run)
    wait_for(lambda: run.record("pay").get("instance_id") == instance)
    payments.go(instance)

    assert run.wait() == "success"
    assert run.task("pay")["try_number"] == 1
    assert payments.instances(run) == [instance]
    assert payments.moved(run) == [PAID_IN, PAID_OUT]
    log = run.log("pay")
    assert "whether the run was submitted is not known" in log
    # A second deferral of a try overwrites what the first wrote into the log: there the worker's line is left.
    found = "taken over" if dag_id == "pay_deferred" else "found"
    assert f"{found}: instance {instance}" in log
    assert f"run key {run.record('pay')['run_key']}" in log
    assert run.xcom("pay")["state"] == "succeeded"
