"""A real Airflow and the next generation of Flows: names and lost runs beyond the first page, a cancel that works."""

from __future__ import annotations

import pytest

from airflow_provider_orchestration.emulator.testing import EmulatorProcess
from tests.support.airflow_runs import address
from tests.support.payments import PAID_IN, PAID_OUT, TWO_PAYMENTS, Payments, client_of

#: More than a page holds.
MANY = 110


@pytest.fixture(scope="module")
def next_server(airflow):
    with EmulatorProcess("--time-scale", "0.1", server="next") as emulator:
        airflow.api.add_connection("formance_next", "formance", **address(emulator))
        yield emulator


@pytest.fixture(scope="module")
def next_flows(next_server):
    with client_of(next_server) as client:
        yield client


@pytest.fixture
def payments(next_server, next_flows, start_dag):
    return Payments(next_server, next_flows, start_dag)


def test_the_newest_of_a_name_is_run_and_a_lost_answer_is_found_among_many(next_server, next_flows, payments):
    next_flows.create_workflow(TWO_PAYMENTS)
    for _ in range(MANY):
        next_flows.create_workflow({"name": "other", "stages": [{"noop": {}}]})
    newest = next_flows.create_workflow({**TWO_PAYMENTS, "name": "paid by name"})
    for _ in range(MANY):
        next_flows.run_workflow(newest.id, {"airflow_run_key": "another", "payee": "users:other", "payout": "1"})
    next_server.fault("run_workflow", "reset_after")

    run = payments.start_named("pay_on_next", newest)
    run.wait_for_task("pay", "deferred")
    instance = payments.waiting_instance(run)
    payments.go(instance)
    assert run.wait() == "success"
    assert payments.instances(run) == [instance]
    assert payments.moved(run) == [PAID_IN, PAID_OUT]
    assert run.xcom("pay")["instance_id"] == instance
    assert f"workflow 'paid by name' is {newest.id}, of {MANY + 2} on this stack" in run.log("pay")
    assert f"found: instance {instance} bears run key" in run.log("pay")


def test_a_cancel_ends_a_run_and_its_task_says_so(next_flows, payments, start_dag):
    slow = next_flows.create_workflow({"name": "slow", "stages": [{"delay": {"duration": "1h"}}]})
    run = payments.start_named("pay_on_next", slow)
    run.wait_for_task("pay", "deferred")
    (instance,) = payments.instances(run)

    cancel = start_dag("cancel_on_next", {"instance_id": instance})
    assert cancel.wait() == "success"
    assert (cancel.xcom("cancel")["state"], cancel.xcom("cancel")["instance_id"]) == ("canceled", instance)
    # Known to have ended, and never started again by a retry.
    assert run.wait() == "failed"
    assert f"instance {instance} canceled" in run.log("pay", run.task("pay")["try_number"])
    assert payments.instances(run) == [instance]
