"""Sensors that end, and begin, in the triggerer, on a real Airflow: states, tries and results as in a worker."""

from __future__ import annotations

import pytest

from airflow_provider_orchestration.emulator.testing import wait_for
from airflow_provider_orchestration.exceptions import NotFoundError
from tests.support.airflow_runs import Run, start

WAYS = ("ends", "starts")
STATES = {"green": "success", "failed": "failed", "skipped": "skipped", "timeout": "failed", "called": "success"}
WITHOUT = "this task ends without a worker"


@pytest.fixture(scope="module")
def run(airflow, flows) -> Run:
    """The run at its end: each instance went on once its sensor was seen to wait in the triggerer."""
    run = start(airflow, "sensors")
    waiting = {*(f"{kind}_{way}" for kind in ("green", "failed") for way in WAYS), "mapped[0]", "mapped[1]"}
    wait_for(lambda: waiting <= {name for name, state in run.states.items() if state == "deferred"}, 200)
    for name, instance_id in run.xcom("begin").items():
        if name.startswith("timeout"):
            continue

        def takes_it(instance_id: str = instance_id) -> bool:
            try:
                flows.send_event(instance_id, "go")
            except NotFoundError:
                return False
            return True

        wait_for(takes_it, 20)
    run.wait(200)
    return run


def test_states_are_those_of_a_sensor_in_a_worker(run):
    expected = {f"{kind}_{way}": state for kind, state in STATES.items() for way in WAYS}
    assert {name: run.states[name] for name in expected} == expected


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("kind", "told"),
    [("failed", "failed: stage 2/2 send: no amount defined"), ("timeout", "timeout of 8 seconds passed")],
)
def test_failure_says_why_and_is_not_retried(run, kind, way, told):
    assert run.task(f"{kind}_{way}")["try_number"] == 1
    assert told in run.log(f"{kind}_{way}")


@pytest.mark.parametrize("way", WAYS)
def test_success_gives_its_result_without_a_worker(run, way):
    result = run.xcom(f"green_{way}")
    assert (result["instance_id"], result["state"]) == (run.xcom("begin")[f"green_{way}"], "succeeded")
    assert [one["postings"][0]["amount"] for one in result["transactions"]] == ["1"]
    log = run.log(f"green_{way}")
    assert WITHOUT in log
    assert "stage 2/2 send: done in" in log


def test_other_tasks_get_the_result(run):
    assert run.xcom("pulled") == dict.fromkeys(WAYS, "succeeded")


def test_no_worker_at_all_where_airflow_begins_it(run):
    assert not run.task("green_starts")["pid"]
    assert run.task("green_ends")["pid"]
    assert "skipped instead of failed" in run.log("skipped_starts")


@pytest.mark.parametrize("way", WAYS)
def test_a_callback_is_left_to_a_worker(run, way):
    assert WITHOUT not in run.log(f"called_{way}")
    assert run.task(f"called_{way}")["pid"]


@pytest.mark.parametrize("index", [0, 1])
def test_mapped_sensors_begin_in_a_worker_and_those_in_a_mapped_group_need_none(run, index):
    begun = run.xcom("begin")
    assert run.xcom("mapped", map_index=index)["instance_id"] == begun[f"mapped_{index}"]
    assert run.xcom("group.in_group", map_index=index)["instance_id"] == begun[f"in_group_{index}"]
    assert WITHOUT in run.log("mapped", map_index=index)
    assert run.task("mapped", map_index=index)["pid"]
    assert not run.task("group.in_group", map_index=index)["pid"]
