"""What a workflow asks for: its variables, its stages, and whether it shows the run key; which one a name means."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_orchestration.api import names
from airflow_provider_orchestration.api.inputs import check_id, check_text
from airflow_provider_orchestration.exceptions import NotFoundError
from airflow_provider_orchestration.run.words import wrapped

if TYPE_CHECKING:
    import logging

    from airflow_provider_orchestration.api.client import FlowsClient
    from airflow_provider_orchestration.api.lists import Listed
    from airflow_provider_orchestration.api.models import Workflow

#: The variable that carries a task's run key; a first stage that mentions it makes a workflow recoverable.
RUN_KEY_VARIABLE = "airflow_run_key"

HOW_TO_RECOVER = (
    'mention "${airflow_run_key}" in the first stage, e.g. send: {..., metadata: {airflow: "${airflow_run_key}"}}'
)

VARIABLE = re.compile(r"\$\{([^}]*)\}")


@dataclass(frozen=True)
class Stage:
    """One stage of a definition: its place (from 0), its kind (`send`, ...) and what the kind is given."""

    number: int
    kind: str
    settings: Mapping[str, Any]

    @property
    def event(self) -> str | None:
        """The event that a `wait_event` waits for, with its variables not filled in; None for other kinds."""
        return str(self.settings.get("event") or "") if self.kind == "wait_event" else None

    def __str__(self) -> str:
        if self.kind == "wait_event":
            return f"wait_event {self.event!r}"
        if self.kind == "delay":
            return f"delay {self.settings.get('duration') or self.settings.get('until') or ''}".rstrip()
        return self.kind


def stages_of(workflow: Workflow | None) -> list[Stage]:
    """Return the stages of a definition; an odd one (a kind that we do not know) is kept by its name."""
    stages = []
    for number, raw in enumerate(workflow.stages if workflow else []):
        kind, settings = next(iter(raw.items())) if raw else ("?", {})
        stages.append(Stage(number, str(kind), settings if isinstance(settings, Mapping) else {}))
    return stages


def strings_in(value: Any) -> Iterator[str]:
    """Yield every string inside a JSON value, keys of objects left out (Flows fills in values only)."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from strings_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from strings_in(item)


def variables_of(workflow: Workflow) -> set[str]:
    """Return the names of all `${variables}` of a definition."""
    return {name for text in strings_in(workflow.stages) for name in VARIABLE.findall(text)}


def is_recoverable(workflow: Workflow) -> bool:
    """Tell whether the first stage mentions the run key, so that the history of an instance shows whose it is."""
    return bool(workflow.stages) and any(
        RUN_KEY_VARIABLE in VARIABLE.findall(text) for text in strings_in(workflow.stages[0])
    )


def shows_key_alone(workflow: Workflow) -> bool:
    """Tell whether a text of the first stage is the run key and nothing else, so that it is read as it was sent."""
    return bool(workflow.stages) and f"${{{RUN_KEY_VARIABLE}}}" in strings_in(workflow.stages[0])


def find_workflow(
    client: FlowsClient,
    *,
    workflow_id: str | None,
    workflow_name: str | None,
    log: logging.Logger,
    asked_by: str | None = None,
) -> Workflow:
    """
    Return the workflow by id, or by name the newest that is not deleted.

    :param asked_by: names the mapped list whose tasks share what they find by a name, if it is for one.
    :raises NotFoundError: no such id, or no workflow of that name.
    :raises InvalidInputError: neither is given, or it is empty (a template can leave it so).
    """
    if workflow_name is None:
        try:
            return client.get_workflow(check_id("workflow_id", workflow_id))
        except NotFoundError as error:
            raise NotFoundError(
                f"workflow_id: no workflow has the id {workflow_id!r} on this stack",
                details=["correct it, or give its name as workflow_name", *wrapped(error)],
                operation=error.operation,
                status_code=error.status_code,
                error_code=error.error_code,
                workflow_id=workflow_id,
            ) from error
    check_text("workflow_name", workflow_name)
    if asked_by is None:
        return _newest_of(client, workflow_name, log)[0]
    return _recalled(client, workflow_name, log, asked_by) or _remembered(client, workflow_name, log, asked_by)


def _recalled(client: FlowsClient, name: str, log: logging.Logger, asked_by: str) -> Workflow | None:
    """Return the workflow that the list's tasks have found by its name a moment ago, if it is still there."""
    workflow_id = names.recall(client.settings.base_url, name, asked_by)
    workflow = None if workflow_id is None else _still_there(client, workflow_id)
    if workflow is None:
        return None
    log.info("workflow %r is %s, as it was found less than %.0f s ago", name, workflow_id, names.HOLDS)
    return workflow


def _remembered(client: FlowsClient, name: str, log: logging.Logger, asked_by: str) -> Workflow:
    looked_at = time.monotonic()
    newest, paged = _newest_of(client, name, log)
    if paged:
        names.remember(client.settings.base_url, name, asked_by, newest.id, looked_at)
    return newest


def _still_there(client: FlowsClient, workflow_id: str) -> Workflow | None:
    """Return a workflow that was there, None where it is deleted; the next server then knows it no more."""
    try:
        workflow = client.get_workflow(workflow_id)
    except NotFoundError:
        return None
    return workflow if workflow.deleted_at is None else None


def _newest_of(client: FlowsClient, name: str, log: logging.Logger) -> tuple[Workflow, bool]:
    """Return the newest workflow of a name, and whether its list came page by page."""
    listed = _all_workflows(client, name)
    there_are = [one for one in listed.items if one.deleted_at is None]
    named = sorted((one for one in there_are if one.name == name), key=lambda one: one.created_at, reverse=True)
    if listed.paged:
        # What any pass saw is listed, so the newest may be gone.
        while named and _still_there(client, named[0].id) is None:
            del named[0]
    if not named:
        known = sorted({one.name for one in there_are if one.name})
        raise NotFoundError(
            f"workflow_name: no workflow is named {name!r} on this stack",
            details=("create it first, or correct workflow_name; there are:", *(f"  {name}" for name in known[:20])),
            operation="list_workflows",
        )
    newest = named[0]
    if len(named) > 1:
        of = (len(named), len(there_are))
        log.info("%d of %d workflows are named %r: the newest is taken, %s", *of, name, newest.id)
    else:
        log.info("workflow %r is %s, of %d on this stack", name, newest.id, len(there_are))
    return newest, listed.paged


def _all_workflows(client: FlowsClient, name: str) -> Listed[Workflow]:
    """
    Return all workflows, of those of one name none missing, or an older one would be run.

    :raises IncompleteListError: the list may be cut, or things move while it is read.
    """
    from airflow_provider_orchestration.api import lists, models

    return client.lists.read_surely(lists.WORKFLOWS, models.Workflow, concerns=lambda one: one.name == name)


def is_deleted(client: FlowsClient, workflow_id: str) -> bool:
    """Tell whether a workflow that was there is deleted."""
    return _still_there(client, workflow_id) is None


def workflows_named_as(client: FlowsClient, workflow: Workflow) -> list[Workflow]:
    """
    Return a workflow and all others of its name that are not deleted: it may have been deployed anew.

    :raises FlowsApiError: they cannot be listed.
    """
    named = [one for one in _all_workflows(client, workflow.name).items if one.name == workflow.name]
    return [workflow, *(one for one in named if one.id != workflow.id and one.deleted_at is None)]
