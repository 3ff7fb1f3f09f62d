"""
Told to stop: a cancel is asked for only where the task is known to be marked failed.

What Airflow says of a task's state comes from its supervisor, which a unit test does not have: `task_states` stands in
for that one request. The same on a real Airflow is in tests/e2e.
"""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from airflow.utils.state import TaskInstanceState

from airflow_provider_orchestration.run.wait.kill import Pulse, cancel_if_failed, task_state
from tests.support.flows import wait_event

STATES = [str(state) for state in TaskInstanceState] + [None]


@pytest.mark.parametrize(
    ("map_index", "answer", "state"),
    [
        (-1, {"run": {"task": "failed"}}, "failed"),
        (-1, {"run": {"task": TaskInstanceState.RUNNING}}, "running"),
        (3, {"run": {"task_3": "failed"}}, "failed"),
        (3, {"run": {"task": "failed"}}, None),
        (0, {"run": {"task_0": "restarting"}}, "restarting"),
        (-1, {"run": {"task": None}}, None),
        (-1, {"other": {"task": "failed"}}, None),
        (-1, {"run": {}}, None),
        (-1, {}, None),
    ],
)
def test_the_state_is_that_of_this_very_task(task_states, map_index, answer, state):
    asked = task_states(answer)
    assert task_state(SimpleNamespace(dag_id="dag", run_id="run", task_id="task", map_index=map_index)) == state
    assert asked == [{"dag_id": "dag", "run_ids": ["run"], "task_ids": ["task"], "map_index": map_index}]


@pytest.fixture
def waiting(flows):
    """An instance that waits."""
    instance_id = flows.run(wait_event("go"))
    flows.waiting_at(instance_id, 0)
    flows.emulator.reset_counters()
    return instance_id


@pytest.mark.parametrize("state", STATES)
def test_only_failed_asks_for_a_cancel_and_the_log_says_what_was_seen(flows, waiting, said, state):
    import structlog

    asked = cancel_if_failed(state, flows.client, waiting, structlog.get_logger("test"))
    assert asked is (state == "failed")
    assert flows.asked("cancel_event") == int(asked)
    (line,) = said.having(waiting, "warning")
    if asked:
        assert line.startswith("the task was marked failed: asked Flows to cancel")
    else:
        assert line == f"told to stop; the task's state is {state}, so instance {waiting} is not cancelled"


def test_it_is_asked_once_and_not_waited_for(flows, waiting, said):
    import structlog

    flows.emulator.fault("cancel_event", "delay", seconds=20, times="always")
    began = time.monotonic()
    assert not cancel_if_failed("failed", flows.client, waiting, structlog.get_logger("test"))
    # Airflow ends the process 5 s after it asked it to stop.
    assert time.monotonic() - began < 4
    assert flows.asked("cancel_event") == 1
    assert said.having(f"asking to cancel instance {waiting} did not work", "error")


@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_a_cancel_that_is_refused_is_told(flows, waiting, said, status):
    import structlog

    flows.emulator.fault("cancel_event", "status", status=status, times="always")
    assert not cancel_if_failed("failed", flows.client, waiting, structlog.get_logger("test"))
    assert flows.asked("cancel_event") == (2 if status == 401 else 1)
    assert said.having(str(status), "error")


def test_a_process_that_stood_still_is_known_for_a_while(monkeypatch):
    now = [1_800_000_000.0]
    monkeypatch.setattr("time.time", lambda: now[0])
    pulse = Pulse(20.0)
    assert not pulse.stood_still()
    for seconds, stood_still in ((5, False), (19, False), (21, True), (5, True), (290, True), (5, True), (301, True)):
        now[0] += seconds
        assert pulse.stood_still() is stood_still, seconds
    for _ in range(61):
        now[0] += 5
        pulse.beat()
    assert not pulse.stood_still()
    # Nobody waited for an hour: that is no standing still.
    now[0] += 3600
    pulse.begin()
    assert not pulse.stood_still()
    # A clock that is set back may hide one.
    now[0] -= 60
    assert pulse.stood_still()
