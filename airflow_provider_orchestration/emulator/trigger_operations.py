"""The operations on Flows triggers: what the real server answers to each."""

from __future__ import annotations

import re
import uuid

from airflow_provider_orchestration.emulator import gojson, golang
from airflow_provider_orchestration.emulator.expressions import ExpressionError, parse
from airflow_provider_orchestration.emulator.models import Trigger
from airflow_provider_orchestration.emulator.operations import NO_ROWS, Answer, Call, data, error, internal, no_content
from airflow_provider_orchestration.emulator.state import State

_FIELDS = dict.fromkeys(("name", "event", "version", "filter", "workflowID", "workflow"), "string")
_FIELDS["vars"] = "map[string]string"
_PAGE, _LARGEST_PAGE = 15, 100
_SQL_TOKEN = re.compile(r"[A-Za-z_\x80-\U0010ffff][\w$]*|\d+(?:\.\d*)?|\S")


class TriggerOperations:
    """Flows triggers and their occurrences."""

    def __init__(self, state: State) -> None:
        self.state = state

    def list_triggers(self, call: Call) -> Answer:
        """The first page only; a name is more than the server can do."""
        size = call.query.get("pageSize") or str(_PAGE)
        if not re.fullmatch(r"[0-9]+", size) or int(size) >= 2**32:
            return error(400, "VALIDATION", "invalid 'pageSize' query param")
        name = call.query.get("name")
        if name:
            # The server puts a quoted text inside a quoted text.
            token = _SQL_TOKEN.search(name.replace("'", " "))
            return internal(f'ERROR: syntax error at or near "{token[0] if token else ""}" (SQLSTATE 42601)')
        shown = [trigger.show() for trigger in self.state.triggers.values() if not trigger.deleted]
        return data(shown[: min(int(size), _LARGEST_PAGE) or _PAGE])

    def create_trigger(self, call: Call) -> Answer:
        """Its expressions are compiled now."""
        fit = gojson.Fit()
        try:
            given = fit.struct(gojson.parse(call.body), "triggers.TriggerData", _FIELDS)
            texts: dict[str, str] = {
                name: fit.string(given[name], f"TriggerData.{name}")
                for name in ("name", "event", "version", "filter", "workflowID")
                if name in given
            }
            variables = fit.string_map(given.get("vars"), "TriggerData.vars")
            fit.check()
        except gojson.DecodeError as problem:
            return internal(str(problem))
        fault = _check(texts, variables)
        if fault is not None:
            return error(400, "VALIDATION", f"validating data: {fault}")
        workflow = self.state.workflows.get(texts["workflowID"])
        if workflow is None or workflow.deleted_at is not None:
            return error(404, "NOT_FOUND", "workflow does not exists")
        trigger = Trigger(
            id=str(uuid.uuid4()),
            name=texts.get("name", ""),
            event=texts["event"],
            workflow_id=workflow.id,
            created_at=golang.now_ns(),
            version=texts.get("version"),
            filter=texts.get("filter"),
            vars=variables,
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


def _unknown() -> Answer:
    return error(404, "NOT_FOUND", NO_ROWS)


def _check(texts: dict[str, str], variables: dict[str, str]) -> str | None:
    if not texts.get("event"):
        return "missing event"
    if not texts.get("workflowID"):
        return "missing workflow id"
    expressions = [texts["filter"]] if texts.get("filter") else []
    for text in expressions + list(variables.values()):
        try:
            parse(text)
        except ExpressionError as problem:
            return f"error compiling expression '{text}': {problem}"
    return None
