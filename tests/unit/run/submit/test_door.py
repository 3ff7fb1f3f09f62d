"""The one door: a resume counts only where record, try, generation and event belong together."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import TaskDeferralError, TaskDeferred

import airflow_provider_orchestration
from airflow_provider_orchestration.operators.base import FormanceOperator
from airflow_provider_orchestration.operators.recovering import RecoversRuns
from airflow_provider_orchestration.run.submit.door import OneDoor
from airflow_provider_orchestration.triggers.instance import InstanceEndTrigger
from tests.support.task_life import TaskLife


class Waits(FormanceOperator):
    """One that somebody else made: it defers to a method of its own, and notes what is called."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(task_id="task", **arguments)
        self.called: list[str] = []

    def execute(self, context: Any) -> None:
        self.called.append("execute")
        self.wait_in_triggerer(context, a_trigger(), "later", {"kept": 1})

    def later(self, context: Any, kept: int = 0, event: Any = None) -> str:
        self.called.append("later")
        return f"{kept} {event['verdict']}"


def a_trigger() -> InstanceEndTrigger:
    return InstanceEndTrigger(formance_conn_id="c", instance_id="i", workflow_id=None, poll_interval=1.0)


class Task:
    """A task that has deferred once."""

    def __init__(self) -> None:
        self.operator = Waits()
        self.life = TaskLife(lambda: self.operator)
        self.life.try_number = 1
        self.nonce = self.defer(lambda: self.operator.execute(self.life.context()))

    def defer(self, call: Any) -> str:
        with pytest.raises(TaskDeferred) as deferred:
            call()
        nonce: str = deferred.value.trigger.nonce
        assert deferred.value.method_name == "later"
        assert deferred.value.trigger.serialize()[1]["nonce"] == nonce
        return nonce

    def resume(self, method: str = "later", **kwargs: Any) -> Any:
        self.operator = Waits()
        context: Any = self.life.context()
        return self.operator.resume_execution(method, {"kept": 7, **kwargs}, context)

    def event(self, **other: Any) -> dict[str, Any]:
        return {"verdict": "ended", "nonce": self.nonce, **other}


@pytest.fixture
def task() -> Task:
    return Task()


def test_the_resume_of_the_very_deferral_goes_on(task):
    assert task.resume(event=task.event()) == "7 ended"
    assert task.operator.called == ["later"]


def begins_anew(task: Task, *args: Any, **kwargs: Any) -> None:
    nonce = task.defer(lambda: task.resume(*args, **kwargs))
    assert task.operator.called == ["execute"]
    # What it waits for now is another deferral, whose resume counts.
    assert nonce != task.nonce
    assert task.resume(event={"verdict": "ended", "nonce": nonce}) == "7 ended"


def test_after_a_clear_it_begins_anew(task, said):
    task.life.try_number, task.life.max_tries = 2, 4
    begins_anew(task, event=task.event())
    assert said.having("Airflow resumed this task at later, but the event is of what try 1 waited for", "warning")


@pytest.mark.parametrize(("try_number", "max_tries"), [(2, 2), (1, 3)], ids=["try", "generation"])
def test_each_of_try_and_generation_must_be_the_same(task, try_number, max_tries):
    task.life.try_number, task.life.max_tries = try_number, max_tries
    begins_anew(task, event=task.event())


@pytest.mark.parametrize("event", [None, "ended", {}, {"verdict": "ended"}, {"verdict": "ended", "nonce": "another"}])
def test_the_event_must_be_that_of_the_deferral(task, event):
    begins_anew(task, event=event)


def test_it_must_be_the_method_of_the_deferral(task):
    begins_anew(task, "on_kill", event=task.event())


@pytest.mark.parametrize("raw", [None, {"version": 2}, {"nonce": 5}, "text"], ids=str)
def test_without_a_record_of_the_deferral_it_begins_anew(task, raw):
    if raw is None:
        task.life.store.rows.clear()  # the button "Clear All Task State Store"
    else:
        task.life.store.rows["formance_deferral"] = raw
    begins_anew(task, event=task.event())


def test_a_trigger_that_failed_fails_the_try_that_waited_for_it_only(task):
    with pytest.raises(TaskDeferralError, match="boom"):
        task.resume("__fail__", error="boom")
    task.life.try_number, task.life.max_tries = 2, 4
    begins_anew(task, "__fail__", error="boom")


def test_a_trigger_that_is_always_wrong_does_not_let_it_go_round_for_ever(task):
    for _ in range(3):
        task.defer(lambda: task.resume(event={}))
    with pytest.raises(TaskDeferralError, match=r"resumed this task at later, but the event is not.*\{\}, 4 times now"):
        task.resume(event={})
    # Airflow's retry begins with a clean sheet.
    task.life.try_number = 2
    task.operator = Waits()
    task.defer(lambda: task.operator.execute(task.life.context()))
    task.defer(lambda: task.resume(event={}))


def test_what_is_refused_outside_of_the_records_is_not_needed(task, monkeypatch):
    """A sensor needs no records that outlive its success."""
    monkeypatch.setenv("AIRFLOW__STATE_STORE__CLEAR_ON_SUCCESS", "True")
    assert task.resume(event=task.event()) == "7 ended"


def test_to_defer_past_the_door_is_refused(task):
    with pytest.raises(TypeError, match="Waits defers by wait_in_triggerer"):
        task.operator.defer(trigger=a_trigger(), method_name="later")


@pytest.mark.parametrize("name", ["defer", "resume_execution", "wait_in_triggerer"])
def test_no_subclass_makes_a_door_of_its_own(name):
    with pytest.raises(TypeError, match=f"Back may not define {name}: every execution comes in by one door"):
        type("Back", (FormanceOperator,), {name: lambda self: None})


def test_nor_does_one_that_is_mixed_in():
    mixin = type("Mixin", (), {"resume_execution": lambda *_: None})
    with pytest.raises(TypeError, match="may not define resume_execution"):
        type("Mixed", (mixin, FormanceOperator), {})


def operators() -> list[type[Any]]:
    """Every operator and sensor of the package."""
    found = set()
    package = airflow_provider_orchestration
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if module.name.split(".")[1] in ("operators", "sensors"):
            made = vars(importlib.import_module(module.name)).values()
            found |= {one for one in made if inspect.isclass(one) and issubclass(one, BaseOperator)}
    return sorted((one for one in found if one.__module__.startswith(package.__name__)), key=lambda one: one.__name__)


def test_every_operator_and_sensor_comes_in_by_it():
    names = [one.__name__ for one in operators()]
    assert names == [
        "CancelWorkflowOperator",
        "FormanceOperator",
        "RecoversRuns",
        "RunWorkflowOperator",
        "SendEventOperator",
        "WorkflowInstanceSensor",
    ]
    for one in operators():
        assert one.resume_execution is OneDoor.resume_execution, one
        assert one.defer is OneDoor.defer, one


@pytest.mark.parametrize("one", operators())
def test_what_bounds_the_waiting_while_deferred_is_an_argument_of_its_own(one):
    if one in (FormanceOperator, RecoversRuns):
        return
    arguments = [name for kind in one.__mro__[:-1] for name in inspect.signature(kind.__init__).parameters]
    assert one.ends_waiting in arguments


@pytest.mark.parametrize("timeout", [None, timedelta(hours=1)])
def test_execution_timeout_is_said_to_do_nothing_while_deferred(said, timeout):
    operator = Waits(execution_timeout=timeout)
    with pytest.raises(TaskDeferred):
        operator.execute(TaskLife(lambda: operator).context())
    lines = said.having("execution_timeout does nothing while this task is deferred", "warning")
    assert len(lines) == (timeout is not None)
    assert all(line.endswith(": run_timeout bounds the waiting") for line in lines)
