"""Each operator and each mode of the sensor on a real Airflow, succeeding and failing, in one run of one DAG."""

from __future__ import annotations

import pytest

from tests.support.airflow_runs import Run

WAYS = ("waiting", "deferred")
MODES = ("poke", "reschedule", "deferred")
GREEN = [
    "deploy",
    "start",
    *(f"{what}_{way}_good" for what in ("run", "send") for way in WAYS),
    *(f"sensor_{mode}_good" for mode in MODES),
    "sensor_by_formance_reader",
    "sensor_by_formance_from_file",
    "by_hook_and_secrets_backend",
]
RED = {
    **{f"run_{way}_bad": "failed: stage 1/2 send: no amount defined" for way in WAYS},
    **{f"send_{way}_bad": "no later stage waits for it" for way in WAYS},
    **{f"cancel_{way}_bad": "end it in the engine behind Flows" for way in WAYS},
    **{f"sensor_{mode}_bad": "failed: stage 1/2 send: no amount defined" for mode in MODES},
}


@pytest.fixture(scope="module")
def run(airflow) -> Run:
    """The run, at its end."""
    airflow.api.wait_for_dag("modes")
    run = Run(airflow.api, "modes", airflow.api.trigger("modes"))
    run.wait(240)
    return run


def test_every_task_has_the_state_that_it_should(run):
    assert run.states == {
        **dict.fromkeys(GREEN, "success"),
        **dict.fromkeys(RED, "failed"),
        "sensor_skips": "skipped",
    }


@pytest.mark.parametrize(("task_id", "told"), RED.items(), ids=RED)
def test_failure_says_why_and_is_not_retried(run, task_id, told):
    assert run.task(task_id)["try_number"] == 1
    assert told in run.log(task_id)


@pytest.mark.parametrize("way", WAYS)
def test_run_gives_its_result(run, way):
    result = run.xcom(f"run_{way}_good")
    assert result["state"] == "succeeded"
    assert result["instance_id"] == run.xcom(f"run_{way}_good", "instance_id")
    assert result["transactions"][0]["postings"][0]["amount"] == "5"


@pytest.mark.parametrize("way", WAYS)
def test_event_was_taken(run, flows, way):
    sent = run.xcom(f"send_{way}_good")
    assert (sent["stage"], sent["confirmed"]) == (0, True)
    assert flows.get_instance(sent["instance_id"]).status[0].terminated_at is not None


@pytest.mark.parametrize("task", [*(f"sensor_{mode}_good" for mode in MODES), "sensor_by_formance_reader"])
def test_sensor_gives_the_result(run, task):
    result = run.xcom(task)
    assert (result["instance_id"], result["state"]) == (run.xcom("start")["good"], "succeeded")
    assert result["transactions"][0]["postings"][0]["amount"] == "1"


def test_connection_of_a_secrets_backend(run):
    good = run.xcom("start")["good"]
    assert run.xcom("sensor_by_formance_from_file")["instance_id"] == good
    assert run.xcom("by_hook_and_secrets_backend") == good
