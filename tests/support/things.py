"""Workflows, instances, histories and records as Flows would answer them, made in place for tests without a server."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from airflow_provider_orchestration.api.models import Activity, Instance, StageHistory, StageStatus, Workflow
from airflow_provider_orchestration.run.record import Phase, RunRecord

BEGAN = "2026-11-23T18:00:00.123456789Z"
ENDED = "2026-11-23T18:00:08.5Z"


def workflow(*stages: dict[str, Any], **fields: Any) -> Workflow:
    """A definition."""
    data = {"id": "w1", "createdAt": BEGAN, "config": {"name": "payout", "stages": list(stages)}, **fields}
    return msgspec.json.decode(json.dumps(data), type=Workflow)


def status(stage: int, *, ended: bool = False, error: str | None = None) -> StageStatus:
    """A stage that has begun; one with an error has ended."""
    data = {"stage": stage, "startedAt": BEGAN, "error": error, "terminatedAt": ENDED if ended or error else None}
    return msgspec.convert(data, StageStatus)


def instance(*statuses: StageStatus, stages: tuple[dict[str, Any], ...] | None = (), **fields: Any) -> Instance:
    """An instance, running unless `terminated` is given; `stages` are those of its definition, None for none."""
    data = {"id": "i1", "workflowID": "w1", "createdAt": BEGAN, "terminated": False, **fields}
    made = msgspec.convert(data, Instance)
    definition = None if stages is None else workflow(*stages)
    return msgspec.structs.replace(made, workflow=definition, status=list(statuses))


def history(name: str = "RunSend", *, error: str | None = None, ended: bool = False, **given: Any) -> StageHistory:
    """An entry of an instance's history."""
    data = {"name": name, "terminated": ended or bool(error), "startedAt": BEGAN, "error": error, "input": given}
    return msgspec.convert(data, StageHistory)


def activity(**fields: Any) -> Activity:
    """An entry of a stage's history, still at work unless told."""
    return msgspec.convert({"name": "CreateTransaction", "terminated": False, "startedAt": BEGAN, **fields}, Activity)


def run_record(**fields: Any) -> RunRecord:
    """A record, submitted unless told."""
    known: dict[str, Any] = {
        "run_key": "dag/run/task@0123456789abcdef",
        "workflow_id": "w1",
        "digest": {"workflow": "aa"},
        "generation": 2,
        "phase": Phase.SUBMITTED,
        "intent_at": 1_800_000_000.0,
        "instance_id": "i1",
    }
    return RunRecord(**(known | fields))
