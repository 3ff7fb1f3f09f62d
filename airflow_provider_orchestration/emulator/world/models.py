"""What the server keeps, and how its answers show it.

Times are nanoseconds since 1970. An answer to a create shows nine decimals, one that was read from the database six.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from airflow_provider_orchestration.emulator.go.golang import escape, format_time

READ = 6
FRESH = 9


def compact(value: Any) -> bytes:
    """JSON without spaces, and without the newline of a whole answer."""
    return escape(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"))


class Workflow(msgspec.Struct):
    """A definition."""

    id: str
    name: str
    stages: list[Any] | None
    created_at: int
    updated_at: int
    deleted_at: int | None = None

    def show(self, decimals: int = READ) -> dict[str, Any]:
        """The workflow as an answer shows it."""
        return {
            "id": self.id,
            "config": {"name": self.name, "stages": self.stages},
            "createdAt": format_time(self.created_at, decimals),
            "updatedAt": format_time(self.updated_at, decimals),
            "deletedAt": None if self.deleted_at is None else format_time(self.deleted_at, decimals),
        }


class Activity(msgspec.Struct):
    """One piece of work of a stage, tried again as long as it may succeed."""

    name: str
    input: dict[str, Any]
    request: dict[str, Any]
    started_at: int
    attempt: int = 1
    output: dict[str, Any] | None = None
    error: str = ""
    terminated_at: int | None = None
    last_failure: str = ""
    next_at: int | None = None

    def show(self) -> dict[str, Any]:
        """The activity as a stage's history shows it."""
        shown: dict[str, Any] = {"name": self.name, "input": {self.name: self.input}}
        if self.output is not None:
            shown["output"] = {self.name: self.output}
        if self.error:
            shown["error"] = self.error
        shown["terminated"] = self.terminated_at is not None
        shown["startedAt"] = format_time(self.started_at, FRESH)
        if self.terminated_at is not None:
            shown["terminatedAt"] = format_time(self.terminated_at, FRESH)
        if self.last_failure and self.terminated_at is None:
            shown["lastFailure"] = self.last_failure
        shown["attempt"] = self.attempt
        if self.next_at is not None and self.terminated_at is None:
            shown["nextExecution"] = format_time(self.next_at, FRESH)
        return shown


class Run(msgspec.Struct):
    """What the engine knows of a stage that has begun to run."""

    name: str
    input: dict[str, Any]
    started_at: int
    error: str = ""
    terminated_at: int | None = None
    activities: list[Activity] = []
    todo: list[dict[str, Any]] = []

    def show(self) -> dict[str, Any]:
        """The stage as an instance's history shows it."""
        shown: dict[str, Any] = {"name": self.name, "input": self.input}
        if self.error:
            shown["error"] = self.error
        shown["terminated"] = self.terminated_at is not None
        shown["startedAt"] = format_time(self.started_at, FRESH)
        if self.terminated_at is not None:
            shown["terminatedAt"] = format_time(self.terminated_at, FRESH)
        return shown


class Stage(msgspec.Struct):
    """A stage of an instance: its row in the database, and its run once it has begun."""

    number: int
    started_at: int
    terminated_at: int | None = None
    error: str | None = None
    run: Run | None = None


class Instance(msgspec.Struct):
    """One run of a workflow."""

    id: str
    workflow_id: str
    variables: dict[str, str]
    run_id: str
    created_at: int
    terminated_at: int | None = None
    error: str = ""
    stages: list[Stage] = []
    phase: str = "begin"
    due: int | None = None
    begun: bool = False
    dead: str = ""
    purged: bool = False
    failure: str | None = None
    #: It ends as canceled when the event comes that it waits for.
    aborted: bool = False

    @property
    def terminated(self) -> bool:
        """The database says that it has ended."""
        return self.terminated_at is not None

    def show(self, decimals: int = READ, workflow: Workflow | None = None, stages: bool = False) -> dict[str, Any]:
        """The instance as an answer shows it, with its workflow and its stages where they belong."""
        shown: dict[str, Any] = {"workflowID": self.workflow_id}
        if workflow is not None:
            shown["workflow"] = workflow.show()
        shown["id"] = self.id
        shown["createdAt"] = shown["updatedAt"] = format_time(self.created_at, decimals)
        shown["terminated"] = self.terminated
        if self.terminated_at is not None:
            shown["terminatedAt"] = format_time(self.terminated_at, decimals)
        if stages and self.stages:
            shown["status"] = [self._show_stage(stage) for stage in self.stages]
        if self.error:
            shown["error"] = self.error
        return shown

    def _show_stage(self, stage: Stage) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "stage": stage.number,
            "instanceID": self.id,
            "temporalRunID": self.run_id,
            "startedAt": format_time(stage.started_at, READ),
        }
        if stage.terminated_at is not None:
            shown["terminatedAt"] = format_time(stage.terminated_at, READ)
        if stage.error is not None:
            shown["error"] = stage.error
        return shown


class Trigger(msgspec.Struct):
    """Starts instances of a workflow from the events of the stack."""

    id: str
    name: str
    event: str
    workflow_id: str
    created_at: int
    version: str | None = None
    filter: str | None = None
    vars: dict[str, str] = {}
    deleted: bool = False
    seen: list[str] = []

    def show(self) -> dict[str, Any]:
        """The trigger as an answer shows it."""
        shown: dict[str, Any] = {"name": self.name, "event": self.event}
        if self.version is not None:
            shown["version"] = self.version
        if self.filter is not None:
            shown["filter"] = self.filter
        shown["workflowID"] = self.workflow_id
        shown["workflow"] = None
        if self.vars:
            shown["vars"] = dict(sorted(self.vars.items()))
        shown["id"] = self.id
        shown["createdAt"] = format_time(self.created_at, READ)
        return shown


class Occurrence(msgspec.Struct):
    """A firing of a trigger."""

    id: str
    trigger_id: str
    date: int
    event: dict[str, Any]
    instance_id: str | None = None
    error: str | None = None

    def show(self, instance: Instance | None) -> dict[str, Any]:
        """The occurrence as an answer shows it."""
        shown: dict[str, Any] = {"id": self.id, "triggerID": self.trigger_id}
        if self.instance_id is not None:
            shown["workflowInstanceID"] = self.instance_id
        if instance is not None:
            shown["workflowInstance"] = instance.show()
        shown["date"] = format_time(self.date, READ)
        shown["event"] = self.event
        if self.error is not None:
            shown["error"] = self.error
        return shown


class Start(msgspec.Struct):
    """A run that was asked for and that no worker has begun."""

    id: str
    workflow_id: str
    variables: dict[str, str]
