"""The operations on Flows triggers: what the real server answers to each."""

from __future__ import annotations

import uuid
from functools import partial
from typing import Any

from airflow_provider_orchestration.emulator.expr.checking import check
from airflow_provider_orchestration.emulator.expr.expressions import ExpressionError
from airflow_provider_orchestration.emulator.go import gojson, golang
from airflow_provider_orchestration.emulator.http.operations import (
    NO_ROWS,
    Answer,
    Call,
    data,
    error,
    invalid,
    no_content,
)
from airflow_provider_orchestration.emulator.world.generation import Generation
from airflow_provider_orchestration.emulator.world.models import Trigger
from airflow_provider_orchestration.emulator.world.state import State


class TriggerOperations:
    """Flows triggers and their occurrences."""

    def __init__(self, state: State, generation: Generation) -> None:
        self.state = state
        self.generation = generation

    def create_trigger(self, call: Call) -> Answer:
        """Its expressions are compiled now."""
        fit = gojson.Fit()
        try:
            given = fit.struct(
                gojson.parse(call.body),
                "triggers.TriggerData",
                {
                    **dict.fromkeys(("name", "event", "version", "filter", "workflowID"), fit.string),
                    "workflow": partial(_workflow, fit),
                    "vars": fit.string_map,
                },
            )
            fit.check()
        except gojson.DecodeError as problem:
            return invalid(self.generation, str(problem))
        fault = _check(given)
        if fault is not None:
            return error(400, "VALIDATION", f"validating data: {fault}")
        workflow = self.state.workflows.get(given["workflowID"])
        if workflow is None or workflow.deleted_at is not None:
            return error(404, "NOT_FOUND", "workflow does not exists")
        trigger = Trigger(
            id=str(uuid.uuid4()),
            name=given.get("name", ""),
            event=given["event"],
            workflow_id=workflow.id,
            created_at=golang.now_ns(),
            version=given.get("version"),
            filter=given.get("filter"),
            vars=given.get("vars", {}),
        )
        self.state.triggers[trigger.id] = trigger
        self.state.note(trigger)
        return data(trigger.show(), 201)

    def read_trigger(self, call: Call) -> Answer:
        """Not if it is deleted."""
        trigger = self._find(call)
        return _unknown() if trigger is None else data(trigger.show())

    def delete_trigger(self, call: Call) -> Answer:
        """Once."""
        trigger = self._find(call)
        if trigger is None:
            return _unknown()
        trigger.deleted = True
        self.state.note(trigger)
        return no_content()

    def list_triggers_occurrences(self, call: Call) -> Answer:
        """Also those of a trigger that is deleted, or never was."""
        found = [one for one in self.state.occurrences.values() if one.trigger_id == call.ids[0]]
        return data([one.show(self.state.instances.get(one.instance_id or "")) for one in found])

    def _find(self, call: Call) -> Trigger | None:
        trigger = self.state.triggers.get(call.ids[0])
        return None if trigger is None or trigger.deleted else trigger


def _workflow(fit: gojson.Fit, value: Any, field: str) -> None:
    """A field that a caller may give, and that the server does not look at; what is in it is not checked here."""
    if not isinstance(value, gojson.Object):
        fit.misfit(value, "workflow.Workflow", field)


def _unknown() -> Answer:
    return error(404, "NOT_FOUND", NO_ROWS)


def _check(given: dict[str, Any]) -> str | None:
    if not given.get("event"):
        return "missing event"
    if not given.get("workflowID"):
        return "missing workflow id"
    for text in (given.get("filter") or None, *given.get("vars", {}).values()):
        try:
            if text is not None:
                check(text)
        except ExpressionError as problem:
            return f"error compiling expression '{text}': {problem}"
    return None
