"""Each operator and each mode of the sensor on a real Airflow, succeeding and failing, in one run of one DAG."""

from __future__ import annotations

import pytest

from airflow_provider_orchestration.emulator.testing import wait_for
from airflow_provider_orchestration.exceptions import NotFoundError
from tests.support.airflow_runs import FROM_FILE, READER, Run, start
from tools.airflow_api import TASK_ENDED, AirflowApiError

WAYS = ("waiting", "deferred")
MODES = {"poke": "running", "reschedule": "up_for_reschedule", "deferred": "deferred"}
BY_READER, BY_SECRETS_BACKEND = f"sensor_by_{READER}", f"sensor_by_{FROM_FILE}"
GREEN = [
    "deploy",
    "start",
    *(f"{what}_{way}_good" for what in ("run", "send", "cancel") for way in WAYS),
    *(f"sensor_{mode}_good" for mode in MODES),
    BY_READER,
    BY_SECRETS_BACKEND,
    "by_hook_and_secrets_backend",
]
RED = {
    **{f"run_{way}_bad": "failed: stage 1/2 send: resolving field 'Amount'" for way in WAYS},
    **{f"send_{way}_bad": "no later stage waits for it" for way in WAYS},
    **{f"cancel_{way}_bad": "end it in the engine behind Flows" for way in WAYS},
    **{f"sensor_{mode}_bad": "failed: stage 2/2 send: no amount defined" for mode in MODES},
}
#: In which state a task waits for its instance, which goes on only when it was seen there.
WAITS = {
    **{f"sensor_{mode}_{outcome}": state for mode, state in MODES.items() for outcome in ("good", "bad")},
    **dict.fromkeys((BY_READER, BY_SECRETS_BACKEND, "sensor_skips_bad", "cancel_deferred_good"), "deferred"),
    "cancel_waiting_good": "running",
}
LOOKED = "wait_event 'go': waiting"


@pytest.fixture(scope="module")
def started(airflow):
    """The run, at its beginning."""
    return start(airflow, "modes")


@pytest.fixture(scope="module")
def waited(started: Run, flows):
    """The state in which each task was seen waiting, when its instance was let go on."""
    seen: dict[str, str] = {}

    def waits(task_id: str) -> bool:
        log = started.log(task_id)
        if task_id.startswith("cancel_"):
            return "asked Flows to cancel instance" in log
        # The sensor looks in the worker first; then the triggerer does, and tells it, too.
        return log.count(LOOKED) >= (2 if WAITS[task_id] == "deferred" else 1)

    def let_go() -> bool:
        states = started.states
        for task_id, state in WAITS.items():
            if task_id in seen or states.get(task_id) != state or not waits(task_id):
                continue
            try:
                flows.send_event(started.xcom("start")[task_id], "go")
            except NotFoundError:
                continue  # does not listen yet
            seen[task_id] = state
        return len(seen) == len(WAITS) or all(state in TASK_ENDED for state in states.values())

    wait_for(let_go, 220, pause=0.3)
    return seen


@pytest.fixture(scope="module")
def run(started, waited):
    """The run, at its end."""
    started.wait(120)
    return started


def test_every_task_has_the_state_that_it_should(run):
    wanted = {**dict.fromkeys(GREEN, "success"), **dict.fromkeys(RED, "failed"), "sensor_skips_bad": "skipped"}
    for task_id, state in run.states.items():
        if state != wanted.get(task_id):
            print(run.story(task_id))
    assert run.states == wanted


def test_sensors_and_cancels_have_waited_in_their_mode(run, waited):
    assert waited == WAITS


@pytest.mark.parametrize(("task_id", "told"), RED.items(), ids=RED)
def test_failure_says_why_and_is_not_retried(run, task_id, told):
    ended = run.task(task_id)
    # One try, but for a rescheduling that Airflow itself has lost: it reads late that the part before it has ended.
    assert ended["try_number"] <= ended["max_tries"], "no retries were left"
    assert told in run.log(task_id, ended["try_number"])


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


@pytest.mark.parametrize("way", WAYS)
def test_cancel_tells_how_it_has_ended(run, way):
    result = run.xcom(f"cancel_{way}_good")
    assert result["instance_id"] == run.xcom("start")[f"cancel_{way}_good"]
    assert (result["state"], result["cancel_asked"]) == ("succeeded", True)


@pytest.mark.parametrize("task", [*(f"sensor_{mode}_good" for mode in MODES), BY_READER, BY_SECRETS_BACKEND])
def test_sensor_gives_the_result(run, task):
    result = run.xcom(task)
    assert (result["instance_id"], result["state"]) == (run.xcom("start")[task], "succeeded")
    assert [one["postings"][0]["amount"] for one in result["transactions"]] == ["1"]


def test_hook_with_the_connection_of_a_secrets_backend(airflow, run):
    assert run.xcom("by_hook_and_secrets_backend") == run.xcom("start")["third"]
    with pytest.raises(AirflowApiError, match="404"):
        airflow.api.delete_connection(FROM_FILE)  # the database does not have it
