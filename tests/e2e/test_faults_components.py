"""Parts of a real Airflow are killed, stopped and started again: the run goes on, nothing is paid twice or cancelled.

In an Airflow of their own, which notices within seconds what usually takes minutes. Every task wants its run cancelled
when it is killed (`dags/pay.py`).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import psutil
import pytest

from airflow_provider_orchestration.emulator.testing import wait_for
from tests.support.airflow_runs import airflow_with_connections, second_triggerer
from tests.support.payments import PAID_IN, PAID_OUT
from tools.airflow_stack import AirflowStack
from tools.processes import members

pytestmark = pytest.mark.faults

#: Seconds, in place of 300, 30 and 30, after which a task, a triggerer and a scheduler that are silent count as lost.
SOON = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "1",
    "AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS": "1",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "6",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "8",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "3",
}


@pytest.fixture(scope="module")
def airflow(emulator_process, tmp_path_factory) -> Iterator[AirflowStack]:
    """An Airflow that may be broken, in place of the session's."""
    with airflow_with_connections(emulator_process, tmp_path_factory.mktemp("secrets") / "c.json", SOON) as stack:
        yield stack


@pytest.fixture(autouse=True)
def _all_healthy(airflow) -> None:
    wait_for(lambda: set(airflow.api.health().values()) == {"healthy"}, 60)


def assert_paid_once(payments, run, instance) -> None:
    """The task is green by its one instance, which moved the money once, and nobody asked for a cancel."""
    assert run.wait_for_task("pay", timeout=90)["state"] == "success"
    assert run.xcom("pay")["instance_id"] == instance
    assert payments.instances(run) == [instance]
    assert payments.moved(run) == [PAID_IN, PAID_OUT]
    assert payments.cancels == 0


def test_task_and_its_supervisor_killed_as_if_the_host_were_lost(payments):
    run, instance = payments.start_waiting()
    process = psutil.Process(run.task("pay")["pid"])
    supervisor = process.parent()
    assert supervisor is not None
    # In this order: it must not live to tell.
    supervisor.kill()
    process.kill()

    run.wait_for_task("pay", "running", min_try=2, timeout=90)
    wait_for(lambda: f"taken over: instance {instance}" in run.log("pay", 2))
    payments.go(instance)
    assert_paid_once(payments, run, instance)


def test_triggerer_killed_while_the_run_ends(airflow, payments):
    run, instance = payments.start_deferred()
    airflow.kill("triggerer")
    payments.go(instance)
    assert run.states == {"pay": "deferred"}
    airflow.restart("triggerer")

    assert_paid_once(payments, run, instance)
    assert run.task("pay")["try_number"] == 1


def test_triggerer_paused_while_another_takes_over(airflow, payments):
    run, instance = payments.start_deferred()
    first = run.task("pay")["triggerer_job"]["id"]
    for process in members(airflow.components["triggerer"].pid):
        process.suspend()
    with second_triggerer(airflow):
        wait_for(lambda: (run.task("pay")["triggerer_job"] or {"id": first})["id"] != first, 60)
        for process in members(airflow.components["triggerer"].pid):
            process.resume()
        # Airflow calls on_kill for each trigger that is not the first's any more, as if a person had killed the task.
        # It reads the state and tells it; or it knows that it stood still for long, and tells that.
        wait_for(lambda: f"so instance {instance} is not cancelled" in run.log("pay"), 60)
        assert run.states == {"pay": "deferred"}
        payments.go(instance)
        assert_paid_once(payments, run, instance)
    assert run.task("pay")["try_number"] == 1


def test_scheduler_killed_with_its_workers(airflow, payments):
    deferred, ends_meanwhile = payments.start_deferred()
    waiting, goes_on = payments.start_waiting()
    airflow.kill("scheduler")
    payments.go(ends_meanwhile)
    airflow.restart("scheduler")

    assert_paid_once(payments, deferred, ends_meanwhile)
    waiting.wait_for_task("pay", "running", min_try=2, timeout=90)
    payments.go(goes_on)
    assert_paid_once(payments, waiting, goes_on)


def test_api_server_killed_until_the_workers_gave_up(airflow, payments):
    deferred, ends_meanwhile = payments.start_deferred()
    waiting, goes_on = payments.start_waiting()
    task_process = waiting.task("pay")["pid"]
    airflow.kill("api-server")
    payments.go(ends_meanwhile)
    # Without the API server no heartbeat arrives, and the supervisor ends its task.
    wait_for(lambda: not psutil.pid_exists(task_process), 60)
    assert payments.cancels == 0
    airflow.restart("api-server")
    wait_for(airflow.api.reachable, 60)

    assert_paid_once(payments, deferred, ends_meanwhile)
    waiting.wait_for_task("pay", "running", min_try=2, timeout=90)
    payments.go(goes_on)
    assert_paid_once(payments, waiting, goes_on)


def test_worker_drained_by_sigterm_cancels_nothing(payments):
    run, instance = payments.start_waiting()
    os.kill(run.task("pay")["pid"], signal.SIGTERM)
    wait_for(lambda: "told to stop; the task's state is running" in run.log("pay"))
    payments.go(instance)

    assert_paid_once(payments, run, instance)
