"""The operators and the sensor in a DAG: mapping, templates, and arguments that are not possible."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_orchestration.operators.cancel_workflow import CancelWorkflowOperator
from airflow_provider_orchestration.operators.run_workflow import RunWorkflowOperator
from airflow_provider_orchestration.operators.send_event import SendEventOperator
from airflow_provider_orchestration.sensors.instance import WorkflowInstanceSensor

MAPPED = [
    (RunWorkflowOperator, {"workflow_id": "w"}, {"variables": [{"amount": "1"}, {"amount": "2"}]}),
    (RunWorkflowOperator, {"variables": {"amount": "1"}}, {"workflow_name": ["a", "b"]}),
    (SendEventOperator, {"event": "go"}, {"instance_id": ["i1", "i2"]}),
    (CancelWorkflowOperator, {}, {"instance_id": ["i1", "i2"]}),
    (WorkflowInstanceSensor, {"poke_interval": 5}, {"instance_id": ["i1", "i2"]}),
]


@pytest.mark.parametrize(("operator", "same", "each"), MAPPED)
def test_expand_gives_an_operator_for_each(operator, same, each):
    with DAG("dag"):
        mapped = operator.partial(task_id="task", formance_conn_id="other", **same).expand(**each)
    ((name, values),) = each.items()
    for value in values:
        unmapped = mapped.unmap({name: value})
        assert type(unmapped) is operator
        assert getattr(unmapped, name) == value
        assert unmapped.formance_conn_id == "other"


LINES = [
    (
        RunWorkflowOperator,
        {"workflow_id": "w"},
        [{"variables": {"amount": "1"}, "run_key_name": "a"}, {"variables": {"amount": "2"}, "run_key_name": "b"}],
    ),
    (RunWorkflowOperator, {}, [{"workflow_name": "a", "run_timeout": 60.0}, {"workflow_id": "b"}]),
    (SendEventOperator, {}, [{"instance_id": "i1", "event": "go"}, {"instance_id": "i2", "event": "stop"}]),
    (CancelWorkflowOperator, {}, [{"instance_id": "i1", "on_ignored": "warn"}, {"instance_id": "i2"}]),
    (WorkflowInstanceSensor, {}, [{"instance_id": "i1", "soft_fail": True}, {"instance_id": "i2"}]),
]


@pytest.mark.parametrize(("operator", "same", "lines"), LINES)
def test_expand_kwargs_gives_an_operator_for_each_line(operator, same, lines):
    with DAG("dag"):
        mapped = operator.partial(task_id="task", **same).expand_kwargs(lines)
    for line in lines:
        unmapped = mapped.unmap(line)
        assert type(unmapped) is operator
        assert {name: getattr(unmapped, name) for name in line} == line


@pytest.mark.parametrize(
    ("operator", "line", "says"),
    [
        (RunWorkflowOperator, {"workflow_id": "w", "poll_interval": 0}, "poll_interval"),
        (RunWorkflowOperator, {"variables": {}}, "give either workflow_id or workflow_name"),
        (CancelWorkflowOperator, {"instance_id": "i", "on_ignored": "no"}, "on_ignored"),
        (WorkflowInstanceSensor, {"instance_id": "i", "poke_interval": -1}, "poke_interval"),
    ],
)
def test_a_line_that_is_not_possible_is_refused_when_its_task_is_made(operator, line, says):
    with DAG("dag"):
        mapped = operator.partial(task_id="task").expand_kwargs([line])
    with pytest.raises(ValueError, match=says):
        mapped.unmap(line)


@pytest.mark.parametrize(
    ("operator", "arguments"),
    [
        (RunWorkflowOperator, {"workflow_id": "{{ x }}", "variables": {"a": "{{ x }}"}, "run_key_name": "{{ x }}"}),
        (RunWorkflowOperator, {"workflow_name": "{{ x }}"}),
        (SendEventOperator, {"instance_id": "{{ x }}", "event": "{{ x }}"}),
        (CancelWorkflowOperator, {"instance_id": "{{ x }}"}),
        (WorkflowInstanceSensor, {"instance_id": "{{ x }}"}),
    ],
)
def test_templates_are_rendered(operator, arguments):
    with DAG("dag"):
        task = operator(task_id="task", formance_conn_id="{{ x }}", **arguments)
    task.render_template_fields({"x": "rendered"})
    assert task.formance_conn_id == "rendered"
    for name, value in arguments.items():
        assert getattr(task, name) == ({"a": "rendered"} if isinstance(value, dict) else "rendered")
    assert set(getattr(operator, "template_fields_renderers", {})) <= set(operator.template_fields)


def test_variables_are_shown_as_json():
    assert RunWorkflowOperator.template_fields_renderers == {"variables": "json"}


@pytest.mark.parametrize("value", [0, -1, "10", True, float("nan"), float("inf")])
@pytest.mark.parametrize(
    ("operator", "arguments", "name"),
    [
        (RunWorkflowOperator, {"workflow_id": "w"}, "poll_interval"),
        (RunWorkflowOperator, {"workflow_id": "w"}, "run_timeout"),
        (RunWorkflowOperator, {"workflow_id": "w"}, "recovery_timeout"),
        (RunWorkflowOperator, {"workflow_id": "w"}, "cancel_timeout"),
        (RunWorkflowOperator, {"workflow_id": "w"}, "poll_failure_timeout"),
        (SendEventOperator, {"instance_id": "i", "event": "go"}, "poll_interval"),
        (SendEventOperator, {"instance_id": "i", "event": "go"}, "wait_timeout"),
        (SendEventOperator, {"instance_id": "i", "event": "go"}, "confirm_timeout"),
        (CancelWorkflowOperator, {"instance_id": "i"}, "poll_interval"),
        (CancelWorkflowOperator, {"instance_id": "i"}, "cancel_timeout"),
    ],
)
def test_seconds_that_are_none_are_refused(operator, arguments: dict[str, Any], name, value):
    with pytest.raises(ValueError, match=rf"{name} must be above 0 seconds"):
        operator(task_id="task", **arguments, **{name: value})


@pytest.mark.parametrize("arguments", [{}, {"workflow_id": "w", "workflow_name": "n"}])
def test_workflow_is_named_in_one_way(arguments):
    with pytest.raises(ValueError, match="give either workflow_id or workflow_name"):
        RunWorkflowOperator(task_id="task", **arguments)


@pytest.mark.parametrize("attempts", [0, -1, True, 1.5, "3"])
def test_attempts_that_are_none_are_refused(attempts):
    with pytest.raises(ValueError, match="fail_after_attempts"):
        RunWorkflowOperator(task_id="task", workflow_id="w", fail_after_attempts=attempts)


def test_on_ignored_is_one_of_two_words():
    with pytest.raises(ValueError, match='on_ignored must be "fail" or "warn"'):
        CancelWorkflowOperator(task_id="task", instance_id="i", on_ignored="ignore")


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf"])
def test_poll_interval_of_the_configuration_is_checked_too(monkeypatch, value):
    monkeypatch.setenv("AIRFLOW__FORMANCE__POLL_INTERVAL", value)
    with pytest.raises(ValueError, match=r"\[formance\] poll_interval of Airflow's configuration must be above 0"):
        RunWorkflowOperator(task_id="task", workflow_id="w")


def test_defaults_come_from_airflows_configuration(monkeypatch):
    monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", "True")
    monkeypatch.setenv("AIRFLOW__FORMANCE__POLL_INTERVAL", "33")
    operator = RunWorkflowOperator(task_id="task", workflow_id="w")
    assert (operator.deferrable, operator.poll_interval) == (True, 33.0)
    assert WorkflowInstanceSensor(task_id="wait", instance_id="i").deferrable is True


@pytest.mark.parametrize(("operator", "arguments"), [(one, given) for one, given, *_ in LINES if one is not None])
def test_what_is_serialised_with_a_dag_is_plain(operator, arguments):
    """A text of a class of its own let Airflow lose the whole DAG, without an import error."""
    needed = {"workflow_id": "w", "instance_id": "i", "event": "e"}
    takes = {name: needed[name] for name in needed if name in operator.template_fields}
    task = operator(task_id="task", **(takes | arguments))
    for name in operator.template_fields:
        assert type(getattr(task, name)) in (str, dict, type(None)), name
