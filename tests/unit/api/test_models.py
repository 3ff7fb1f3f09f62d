"""The models against what the real server answered."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_orchestration.api import models
from airflow_provider_orchestration.exceptions import InvalidAnswerError

RECORDED = Path(__file__).parents[2] / "data" / "exchanges.jsonl"
MODELS = {
    r"/_info": models.ServerInfo,
    r"/workflows(/[^/]+)?": models.Workflow,
    r"/workflows/[^/]+/instances": models.Instance,
    r"/instances/?|/instances/[^/]+": models.Instance,
    r"/instances/[^/]+/history": models.StageHistory,
    r"/instances/[^/]+/stages/\d+/history": models.Activity,
    r"/triggers(/[^/]+)?": models.Trigger,
    r"/triggers/[^/]+/occurrences": models.Occurrence,
}
NOW = "2026-11-23T18:02:23.500761497Z"


def recorded() -> list[Any]:
    """Every value that the recorded server answered: its model and its JSON."""
    found = []
    for line in RECORDED.read_text().splitlines():
        exchange = json.loads(line)
        if exchange["status"] not in (200, 201) or not exchange["response"]:
            continue
        (model,) = [model for path, model in MODELS.items() if re.fullmatch(path, exchange["path"])]
        data = exchange["response"] if model is models.ServerInfo else exchange["response"]["data"]
        values = [value for value in data if isinstance(value, dict)] if isinstance(data, list) else [data]
        found += [pytest.param(model, value, id=f"{exchange['case']}-{n}") for n, value in enumerate(values)]
    return found


def read(model: type[Any], value: Any) -> Any:
    return msgspec.json.decode(json.dumps(value), type=model)


def without_absent(value: Any) -> Any:
    """Drop what is None or empty, and bring times to microseconds: both forms of the same answer."""
    if isinstance(value, dict):
        cleaned = {key: without_absent(item) for key, item in value.items()}
        return {key: item for key, item in cleaned.items() if item not in (None, "", [], {}, 0)}
    if isinstance(value, list):
        return [without_absent(item) for item in value]
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", value):
        return msgspec.json.decode(json.dumps(value), type=datetime).isoformat()
    return value


@pytest.mark.parametrize("model, value", recorded())
def test_recorded_answers_are_read_and_given_back_whole(model, value):
    assert without_absent(read(model, value).to_dict()) == without_absent(value)


def test_all_models_are_in_the_record():
    assert {parameter.values[0] for parameter in recorded()} == set(MODELS.values())


def test_workflow():
    config = {"name": "n", "stages": [{"noop": {}}, {"wait_event": {"event": "go"}}], "later": 1}
    workflow = read(models.Workflow, {"id": "w", "config": config, "createdAt": NOW, "new": [1]})
    assert (workflow.name, workflow.stages) == ("n", config["stages"])
    assert workflow.created_at == datetime(2026, 11, 23, 18, 2, 23, 500761, tzinfo=UTC)
    assert workflow.deleted_at is None
    assert workflow.definition == workflow.to_dict()["config"] == config


@pytest.mark.parametrize("config", [{}, {"name": None, "stages": None}, {"name": "", "stages": []}])
def test_workflow_without_name_and_stages(config):
    workflow = read(models.Workflow, {"id": "w", "config": config, "createdAt": NOW})
    assert (workflow.name, workflow.stages, workflow.definition) == ("", [], config)


@pytest.mark.parametrize("config", [None, 1, {"stages": "x"}, {"stages": [1]}, {"name": 1}])
def test_workflow_with_a_config_that_is_none(config):
    workflow = read(models.Workflow, {"id": "w", "config": config, "createdAt": NOW})
    with pytest.raises(InvalidAnswerError, match="workflow w") as caught:
        _ = workflow.stages
    assert caught.value.workflow_id == "w"


def test_a_definition_that_is_none():
    workflow = read(models.Workflow, {"id": "w", "config": [], "createdAt": NOW})
    with pytest.raises(InvalidAnswerError, match="workflow w"):
        _ = workflow.definition


def test_null_for_a_list_or_map_is_an_empty_one():
    instance = {"id": "i", "workflowID": "w", "createdAt": NOW, "terminated": False, "status": None}
    assert read(models.Instance, instance).status == []
    stage = {"name": "RunNoop", "terminated": False, "startedAt": NOW, "input": None}
    assert read(models.StageHistory, stage).input == {}
    assert read(models.Activity, stage).input == {}
    trigger = {"id": "t", "event": "E", "workflowID": "w", "createdAt": NOW, "vars": None}
    assert read(models.Trigger, trigger).vars == {}


def test_a_trigger_made_instance_has_an_odd_id():
    odd = "01a20995-c538-7b3f-844e-809d2d9f5ba8_11"
    instance = read(models.Instance, {"id": odd, "workflowID": "w", "createdAt": NOW, "terminated": True, "error": ""})
    assert (instance.id, instance.error) == (odd, "")


def test_times_without_a_zone_are_no_times():
    with pytest.raises(msgspec.ValidationError):
        read(models.Workflow, {"id": "w", "config": {}, "createdAt": NOW.rstrip("Z")})


@given(st.integers())
def test_amounts_of_any_size_stay_whole_numbers(amount):
    activity = read(
        models.Activity,
        {"name": "CreateTransaction", "terminated": True, "startedAt": NOW, "input": {"amount": amount}},
    )
    assert activity.input == {"amount": amount}
    assert type(activity.input["amount"]) is int
    assert activity.to_dict()["input"] == {"amount": amount}


def test_values_do_not_change():
    info = read(models.ServerInfo, {"version": "v"})
    with pytest.raises(AttributeError):
        info.version = "w"
