"""The lists of workflows, instances and Flows triggers, as both versions of the API give them."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any

from airflow_provider_orchestration.emulator.http.operations import Answer, Call, error, internal, wants
from airflow_provider_orchestration.emulator.http.pages import PAGE, QueryError, page_size, read_page
from airflow_provider_orchestration.emulator.world.generation import Generation
from airflow_provider_orchestration.emulator.world.models import compact
from airflow_provider_orchestration.emulator.world.state import State

_SQL_TOKEN = re.compile(r"[A-Za-z_\x80-\U0010ffff][\w$]*|\d+(?:\.\d*)?|\S")


def _checked(operation: Callable[[ListOperations, Call], Answer]) -> Callable[[ListOperations, Call], Answer]:
    """Answer to a query that cannot be."""

    @functools.wraps(operation)
    def answer(self: ListOperations, call: Call) -> Answer:
        try:
            return operation(self, call)
        except QueryError as problem:
            return error(400, "VALIDATION", str(problem))

    return answer


class ListOperations:
    """Lists, in the order in which the database has them."""

    def __init__(self, state: State, generation: Generation) -> None:
        self.state = state
        self.generation = generation

    @_checked
    def list_workflows(self, call: Call) -> Answer:
        """All that are not deleted; the next server cuts them."""
        return self._data(call, self.state.list_workflows())

    @_checked
    def list_instances(self, call: Call) -> Answer:
        """All of them; the next server cuts them."""
        return self._data(call, self.state.list_instances(**_filters(call)))

    @_checked
    def list_triggers(self, call: Call) -> Answer:
        """The first page only; a name is more than today's server can do."""
        if call.query.get("cursor"):  # it gives none, so none can be right
            raise QueryError("cursor")
        size, name = page_size(call.query), call.query.get("name", "")
        if name and not self.generation.is_next:
            # The server puts a quoted text inside a quoted text.
            token = _SQL_TOKEN.search(name.replace("'", " "))
            return internal(f'ERROR: syntax error at or near "{token[0] if token else ""}" (SQLSTATE 42601)')
        return _answer(self._triggers(name)[: size or PAGE])

    @_checked
    def list_workflows_v2(self, call: Call) -> Answer:
        """A page of workflows."""
        return Answer(200, read_page(call.query, None).show(self.state.list_workflows()))

    @_checked
    def list_instances_v2(self, call: Call) -> Answer:
        """A page of instances."""
        asked = _filters(call)
        page = read_page(call.query, {"WorkflowID": asked["workflow_id"], "Running": asked["running"]})
        filters = page.filters or {}
        items = self.state.list_instances(filters.get("WorkflowID", ""), running=bool(filters.get("Running")))
        return Answer(200, page.show(items))

    @_checked
    def list_triggers_v2(self, call: Call) -> Answer:
        """A page of Flows triggers."""
        page = read_page(call.query, {"Name": call.query.get("name", "")})
        return Answer(200, page.show(self._triggers((page.filters or {}).get("Name", ""))))

    def _data(self, call: Call, items: Sequence[bytes]) -> Answer:
        return _answer(items[: page_size(call.query)] if self.generation.is_next else items)

    def _triggers(self, name: str) -> Sequence[bytes]:
        triggers = [one for one in self.state.triggers.values() if not one.deleted]
        return [compact(trigger.show()) for trigger in triggers if name.lower() in trigger.name.lower()]


def _filters(call: Call) -> dict[str, Any]:
    return {"workflow_id": call.query.get("workflowID", ""), "running": wants(call.query.get("running", ""))}


def _answer(items: Sequence[bytes]) -> Answer:
    return Answer(200, b'{"data":[' + b",".join(items) + b"]}\n")
