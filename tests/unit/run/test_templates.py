"""Templates give text, also in a DAG that renders native objects."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_orchestration.operators.cancel_workflow import CancelWorkflowOperator
from airflow_provider_orchestration.operators.run_workflow import RunWorkflowOperator
from airflow_provider_orchestration.operators.send_event import SendEventOperator
from airflow_provider_orchestration.sensors.instance import WorkflowInstanceSensor

#: What Jinja would make another thing of (airflow-facts, "Found in use").
TEXTS = ["12_34", "0x10", "+5", "(7)", "0012", "1e3", "[1]", "None", "True", "users:12_34", ""]
OURS = [
    (RunWorkflowOperator, {"workflow_id": "{{ x }}", "variables": {"a": "{{ x }}"}, "run_key_name": "{{ x }}"}),
    (SendEventOperator, {"instance_id": "{{ x }}", "event": "{{ x }}"}),
    (CancelWorkflowOperator, {"instance_id": "{{ x }}"}),
    (WorkflowInstanceSensor, {"instance_id": "{{ x }}"}),
]


@pytest.mark.parametrize("value", TEXTS)
@pytest.mark.parametrize("by", ["dag", "operator"])
@pytest.mark.parametrize(("operator", "arguments"), OURS)
def test_text_is_text(operator, arguments, by, value):
    with DAG("dag", render_template_as_native_obj=by == "dag"):
        more = {"render_template_as_native_obj": True} if by == "operator" else {}
        task = operator(task_id="task", formance_conn_id="{{ x }}", **arguments, **more)
    task.render_template_fields({"x": value})
    assert task.formance_conn_id == value
    for name, given in arguments.items():
        assert getattr(task, name) == ({"a": value} if isinstance(given, dict) else value)


@pytest.mark.parametrize("value", TEXTS)
def test_text_is_text_of_a_mapped_task(value):
    with DAG("dag", render_template_as_native_obj=True):
        mapped = RunWorkflowOperator.partial(task_id="task", workflow_id="{{ x }}").expand(variables=[{"a": "{{ x }}"}])
    task: Any = mapped.unmap({"variables": {"a": "{{ x }}"}})
    task.render_template_fields({"x": value})
    assert (task.workflow_id, task.variables) == (value, {"a": value})


def test_a_value_of_a_mapped_list_is_no_template():
    """Who is paid may have chosen it."""
    with DAG("dag", render_template_as_native_obj=True):
        mapped = RunWorkflowOperator.partial(task_id="task", workflow_id="w").expand(run_key_name=["x"])
    name = "INV {{ 7 * 7 }}"
    task: Any = mapped.unmap({"run_key_name": name})
    task._do_render_template_fields(task, ["run_key_name"], {}, task.dag.get_template_env(), {id(name)})
    assert task.run_key_name == name


def test_without_a_dag():
    task: Any = RunWorkflowOperator(task_id="task", workflow_id="{{ x }}", render_template_as_native_obj=True)
    task.render_template_fields({"x": "12_34"})
    assert task.workflow_id == "12_34"


def test_variables_that_are_one_template_are_a_dict_where_native_objects_are_rendered():
    given = {"payee": "12_34", "amount": 100}
    for native, seen in ((True, given), (False, str(given))):
        with DAG("dag", render_template_as_native_obj=native):
            task: Any = RunWorkflowOperator(task_id="task", workflow_id="w", variables="{{ x }}")  # type: ignore[arg-type]
        task.render_template_fields({"x": given})
        assert task.variables == seen


def test_macros_filters_and_undefined_names_of_the_dag_hold():
    dag = DAG("dag", render_template_as_native_obj=True, user_defined_macros={"twice": lambda text: text * 2})
    with dag:
        task = RunWorkflowOperator(task_id="task", workflow_id="{{ twice(x) }}", variables={"a": "{{ missing }}"})
    context: dict[str, Any] = {"x": "12"}
    with pytest.raises(Exception, match="'missing' is undefined"):
        task.render_template_fields(context)  # type: ignore[arg-type]
    assert task.workflow_id == "1212"


def test_what_is_no_template_stays_what_it_is():
    with DAG("dag", render_template_as_native_obj=True):
        task = RunWorkflowOperator(task_id="task", workflow_id="w", variables={"amount": 1000, "payee": "a"})
    task.render_template_fields({})
    assert task.variables == {"amount": 1000, "payee": "a"}
