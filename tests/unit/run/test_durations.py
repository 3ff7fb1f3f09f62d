"""Durations: what may be given."""

from __future__ import annotations

from datetime import timedelta

import pendulum
import pytest

from airflow_provider_orchestration.operators.cancel_workflow import CancelWorkflowOperator
from airflow_provider_orchestration.operators.run_workflow import RunWorkflowOperator
from airflow_provider_orchestration.operators.send_event import SendEventOperator
from airflow_provider_orchestration.run.durations import seconds_of, seconds_or_none
from airflow_provider_orchestration.sensors.instance import WorkflowInstanceSensor

#: Every argument of an operator or sensor of ours that is a duration.
ARGUMENTS = [
    *(
        (RunWorkflowOperator, {"workflow_id": "w"}, name)
        for name in ("run_timeout", "cancel_timeout", "recovery_timeout", "poll_failure_timeout", "poll_interval")
    ),
    *(
        (SendEventOperator, {"instance_id": "i", "event": "e"}, name)
        for name in ("wait_timeout", "confirm_timeout", "poll_interval")
    ),
    *((CancelWorkflowOperator, {"instance_id": "i"}, name) for name in ("cancel_timeout", "poll_interval")),
    *((WorkflowInstanceSensor, {"instance_id": "i"}, name) for name in ("poke_interval", "timeout")),
]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(1, 1.0), (0.1, 0.1), (timedelta(minutes=2), 120.0), (pendulum.duration(hours=1), 3600.0)],
)
def test_seconds(value, seconds):
    assert seconds_of("name", value) == seconds
    assert seconds_or_none("name", value) == seconds


@pytest.mark.parametrize(
    "value",
    [0, -1, True, "5", float("nan"), float("inf"), timedelta(0), timedelta(days=-1), pendulum.duration(0)],
    ids=repr,
)
def test_what_is_no_duration_is_refused_by_name(value):
    with pytest.raises(ValueError, match=r"name must be above 0 seconds \(.*pendulum.Duration\), not "):
        seconds_or_none("name", value)


def test_one_that_must_be_given():
    assert seconds_or_none("name", None) is None
    with pytest.raises(ValueError, match=r"name must be above 0 seconds \(.*pendulum.Duration\), not None"):
        seconds_of("name", None)


@pytest.mark.parametrize(
    ("operator", "needed", "name"), ARGUMENTS, ids=lambda value: getattr(value, "__name__", str(value))
)
def test_every_argument_that_is_a_duration_takes_all_kinds(operator, needed, name):
    for value in (90, 90.0, timedelta(seconds=90), pendulum.duration(minutes=1, seconds=30)):
        assert getattr(operator(task_id="task", **needed, **{name: value}), name) == 90.0
