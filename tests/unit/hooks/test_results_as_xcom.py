"""What the hook returns can be returned from a task, and the next one has it as it was."""

from __future__ import annotations

import inspect
import json
import typing
from typing import Any

import msgspec
import pytest
from airflow.sdk.serde import deserialize, serialize

from airflow_provider_orchestration.api import models
from airflow_provider_orchestration.api.operations import OPERATIONS
from airflow_provider_orchestration.emulator.testing import wait_for
from airflow_provider_orchestration.hooks.orchestration import OrchestrationHook
from tests.support.flows import send, unique

DEFINITION = {"name": "results", "stages": [send(key=False)]}


def through_xcom(value: Any) -> Any:
    """Return what the next task has of a value, as JSON carries it."""
    return deserialize(json.loads(json.dumps(serialize(value))))


def test_each_result_is_the_same_in_the_next_task(stack, emulator):
    hook = OrchestrationHook(stack)
    workflow = hook.create_workflow(DEFINITION)
    instance = hook.run_workflow(workflow.id, {})
    trigger = hook.create_trigger(unique("EVENT"), workflow.id, vars={"a": "event.b"})
    emulator.publish(trigger.event, {"b": "1"})
    wait_for(lambda: hook.get_instance(instance.id).terminated)
    results = {
        "get_server_info": hook.get_server_info(),
        "list_workflows": hook.list_workflows(),
        "create_workflow": workflow,
        "get_workflow": hook.get_workflow(workflow.id),
        "run_workflow": instance,
        "list_instances": hook.list_instances(workflow.id),
        "get_instance": hook.get_instance(instance.id),
        "get_instance_history": hook.get_instance_history(instance.id),
        "get_instance_stage_history": hook.get_instance_stage_history(instance.id, 0),
        "list_triggers": hook.list_triggers(),
        "create_trigger": trigger,
        "read_trigger": hook.read_trigger(trigger.id),
        "list_triggers_occurrences": wait_for(lambda: hook.list_triggers_occurrences(trigger.id)),
    }
    nothing = {"delete_trigger", "delete_workflow", "send_event", "cancel_event"}
    assert {getattr(hook, name).__annotations__["return"] for name in nothing} == {"None"}
    names = {operation.name.removeprefix("orchestration") for operation in OPERATIONS}
    assert names == {*results, *nothing}
    for name, result in results.items():
        assert through_xcom(result) == result, name
    assert through_xcom(workflow).definition == DEFINITION


def test_every_model_can_be_taken_in():
    known = [
        model
        for _, model in inspect.getmembers(models, inspect.isclass)
        if issubclass(model, models.Model) and model is not models.Model and not model.__name__.startswith("_")
    ]
    assert len(known) == 8
    for model in known:
        classname = f"{model.__module__}.{model.__qualname__}"
        with pytest.raises(msgspec.ValidationError):
            deserialize({"__classname__": classname, "__version__": 1, "__data__": "1"})


def test_a_value_of_a_newer_version_is_refused():
    value = typing.cast("dict[str, Any]", serialize(models.ServerInfo(version="v2.6.0")))
    with pytest.raises(TypeError, match="version 2 is newer than this package knows"):
        deserialize({**value, "__version__": 2})
