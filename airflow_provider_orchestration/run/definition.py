"""What a workflow asks for: its variables and its stages, and the checks before money moves."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_orchestration.api.inputs import check_id, check_text
from airflow_provider_orchestration.exceptions import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    import logging

    from airflow_provider_orchestration.api.client import FlowsClient
    from airflow_provider_orchestration.api.models import Workflow

#: The variable that carries a task's run key; a first stage that mentions it makes a workflow recoverable.
RUN_KEY_VARIABLE = "airflow_run_key"

HOW_TO_RECOVER = (
    'mention "${airflow_run_key}" in the first stage, e.g. send: {..., metadata: {airflow: "${airflow_run_key}"}}'
)

_VARIABLE = re.compile(r"\$\{([^}]*)\}")


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
    return {name for text in strings_in(workflow.stages) for name in _VARIABLE.findall(text)}


def _amounts_of(workflow: Workflow) -> set[str]:
    """Return the names of the variables that are the whole amount of a `send`."""
    amounts = [stage.settings.get("amount") for stage in stages_of(workflow) if stage.kind == "send"]
    texts = [str(amount.get("amount")) for amount in amounts if isinstance(amount, Mapping)]
    return {whole[1] for text in texts if (whole := _VARIABLE.fullmatch(text))}


def is_recoverable(workflow: Workflow) -> bool:
    """Tell whether the first stage mentions the run key, so that the history of an instance shows whose it is."""
    return bool(workflow.stages) and any(
        RUN_KEY_VARIABLE in _VARIABLE.findall(text) for text in strings_in(workflow.stages[0])
    )


def shows_key_alone(workflow: Workflow) -> bool:
    """Tell whether a text of the first stage is the run key and nothing else, so that it is read as it was sent."""
    return bool(workflow.stages) and f"${{{RUN_KEY_VARIABLE}}}" in strings_in(workflow.stages[0])


def as_strings(variables: object) -> dict[str, str]:
    """
    Return the variables of a run as Flows wants them, a map of string to string.

    A whole number is made a string. bool, float and Decimal are refused, because money is a whole number of the
    asset's smallest unit and a silent ``str(10.0)`` or ``str(1e3)`` is not.

    :raises InvalidInputError: naming each variable that cannot be sent.
    """
    if variables is None:
        return {}
    if not isinstance(variables, Mapping):
        raise InvalidInputError(
            f"variables must be a mapping of names to strings, not {type(variables).__name__}: {variables!r}. "
            'Give e.g. {"amount": "1000", "payee": "users:42"}.'
        )
    checked: dict[str, str] = {}
    wrong: list[str] = []
    for name, value in variables.items():
        if not isinstance(name, str) or not name:
            wrong.append(f"the name {name!r} is not a string")
        elif isinstance(value, str):
            # Plain text of what templates and enumerations give: subclasses of str cannot be sent.
            checked[name] = str.__str__(value)
        elif isinstance(value, int) and not isinstance(value, bool):
            checked[name] = str(int(value))
        else:
            wrong.append(f"{name} = {value!r} is a {type(value).__name__}")
    if wrong:
        raise InvalidInputError(
            f"variables: {'; '.join(wrong)}. Flows takes strings; give a string, or a whole number in the smallest "
            "unit of the asset (1000 for 10.00 EUR/2). Nothing was sent."
        )
    return checked


def check_before_submit(workflow: Workflow, variables: Mapping[str, str], log: logging.Logger) -> None:
    """
    Check a run against the definition before anything is sent; unknown variables are only warned of.

    :param variables: as :func:`as_strings` gave them, without the run key.
    :raises InvalidInputError: the workflow is deleted (Flows would run it all the same), or a variable that the
        definition mentions is missing (Flows would fill in nothing).
    """
    called = f"workflow {workflow.name!r} ({workflow.id})"
    if workflow.deleted_at is not None:
        raise InvalidInputError(
            f"{called} was deleted at {workflow.deleted_at.isoformat()}; name one that is not. Nothing was sent."
        )
    asked = variables_of(workflow) - {RUN_KEY_VARIABLE}
    if missing := sorted(asked - variables.keys()):
        raise InvalidInputError(
            f"variables: {', '.join(missing)} missing, which {called} mentions as "
            f"{', '.join('${' + name + '}' for name in missing)}; given: {', '.join(sorted(variables)) or 'none'}. "
            "Nothing was sent."
        )
    for name in sorted(_amounts_of(workflow) & variables.keys()):
        if not re.fullmatch("[0-9]+", variables[name]):
            log.warning(
                "variables: %s = %r is no whole number of the asset's smallest unit (1000 for 10.00 EUR/2), but the "
                "workflow sends it as an amount: unless this Flows knows better, that stage will fail",
                name,
                variables[name],
            )
    if unknown := sorted(variables.keys() - asked - {RUN_KEY_VARIABLE}):
        log.warning("variables: %s: %s mentions no such variable; sent all the same", ", ".join(unknown), called)


def find_workflow(
    client: FlowsClient, *, workflow_id: str | None, workflow_name: str | None, log: logging.Logger
) -> Workflow:
    """
    Return the workflow by id, or by name the newest that is not deleted.

    :raises NotFoundError: no such id, or no workflow of that name.
    :raises InvalidInputError: neither is given, or it is empty (a template can leave it so).
    """
    if workflow_name is None:
        try:
            return client.get_workflow(check_id("workflow_id", workflow_id))
        except NotFoundError as error:
            raise NotFoundError(
                f"workflow_id: no workflow has the id {workflow_id!r} on this stack; correct it, or give its name as "
                f"workflow_name. {error}",
                operation=error.operation,
                status_code=error.status_code,
                error_code=error.error_code,
                workflow_id=workflow_id,
            ) from error
    check_text("workflow_name", workflow_name)
    listed = client.list_workflows()
    named = sorted(
        (w for w in listed if w.name == workflow_name and w.deleted_at is None),
        key=lambda w: w.created_at,
        reverse=True,
    )
    if not named:
        names = sorted({w.name for w in listed if w.name and w.deleted_at is None})
        raise NotFoundError(
            f"no workflow is named {workflow_name!r} on this stack; there are: {', '.join(names[:20]) or 'none'}"
            f"{', ...' if len(names) > 20 else ''}. Create it first, or correct workflow_name.",
            operation="list_workflows",
        )
    newest = named[0]
    if len(named) > 1:
        log.info("%d workflows are named %r: the newest is taken, %s", len(named), workflow_name, newest.id)
    else:
        log.info("workflow %r is %s", workflow_name, newest.id)
    return newest
