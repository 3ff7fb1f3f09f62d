"""Two real triggerers, of which one dies: what waited in it goes on in the other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_orchestration.emulator.testing import wait_for
from tests.support.airflow_runs import second_triggerer
from tests.support.payments import AMOUNT
from tools.airflow_stack import AirflowStack

pytestmark = pytest.mark.faults

PAYEES = ("users:anna", "users:ben", "users:cleo")
LOOKED = "wait_event 'go': waiting"


@pytest.fixture
def killed_by_the_test(airflow) -> Iterator[AirflowStack]:
    """The session's Airflow, whose triggerer the test kills."""
    try:
        yield airflow
    finally:
        airflow.restart("triggerer")
        wait_for(lambda: airflow.api.health().get("triggerer") == "healthy", 60)


def test_what_waited_in_a_triggerer_that_died_goes_on_in_the_other(killed_by_the_test, payments):
    airflow = killed_by_the_test
    run = payments.start("pay_mapped")
    tasks = range(len(PAYEES))
    wait_for(lambda: all(LOOKED in run.log("pay", map_index=task) for task in tasks), 120)
    instances = payments.instances(run)
    first = {run.task("pay", task)["triggerer_job"]["id"] for task in tasks}
    assert len(first) == 1

    with second_triggerer(airflow):
        airflow.kill("triggerer")
        # One ends while nobody looks; the others when they are looked at by the triggerer that is left.
        payments.go(instances[0])
        wait_for(lambda: _triggerers(run, tasks) and not _triggerers(run, tasks) & first, 90)
        for instance in instances[1:]:
            payments.go(instance)
        assert run.wait(120) == "success"

    assert {run.task("pay", task)["try_number"] for task in tasks} == {1}
    assert sorted(run.xcom("pay", map_index=task)["instance_id"] for task in tasks) == sorted(instances)
    assert sorted(payments.moved(run)) == sorted([("orders:e2e", AMOUNT)] * 3 + [(payee, AMOUNT) for payee in PAYEES])
    assert payments.cancels == 0


def _triggerers(run, tasks) -> set[int]:
    jobs = [run.task("pay", task)["triggerer_job"] for task in tasks]
    return {job["id"] for job in jobs if job}
