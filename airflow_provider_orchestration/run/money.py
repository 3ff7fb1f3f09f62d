"""
Money in a workflow: which variables say where it goes and how much, and which amounts of a history are exact.

Flows puts amounts through a 64-bit float on their way into histories (flows-api, "Money in histories is rounded"):
below 2^53 they are exact there, above they are proven only by what the definition and the variables say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_orchestration.exceptions import InvalidInputError
from airflow_provider_orchestration.run.definition import VARIABLE, stages_of, strings_in
from airflow_provider_orchestration.run.words import listed

if TYPE_CHECKING:
    from airflow_provider_orchestration.api.models import Workflow

#: From here on two whole numbers can be the same float.
FIRST_ROUNDED = 2**53
#: What of a stage says where money goes and how much, by the stage's kind.
_FIELDS = {"send": ("source", "destination", "amount"), "update": ("account",)}


def check_money(workflow: Workflow, variables: Mapping[str, str]) -> None:
    """
    Refuse variables that say where money goes, or how much, and were rendered to nothing.

    An ``xcom_pull`` that found nothing gives the text ``None``, and Flows pays to an account of that name.

    :param variables: as they are to be sent.
    :raises InvalidInputError: naming each, its value and where it stands.
    """
    wrong: dict[str, str] = {}
    for place, text in _texts_of_money(workflow):
        for name in VARIABLE.findall(text):
            if name in variables and _is_nothing(variables[name]):
                wrong.setdefault(name, f"{name} = {variables[name]!r}, which stands in {place} as {text!r}")
    if wrong:
        raise InvalidInputError(
            f"variables: {listed(wrong.values())}; nothing was sent",
            details=(
                "no account, wallet or amount is called so: a template found nothing",
                "let the task that gives the value come first, or correct its key",
            ),
        )


def amount_variables(workflow: Workflow) -> set[str]:
    """Return the names of the variables that are the whole amount of a `send`."""
    return {whole[1] for _, text in _amounts(workflow) if (whole := VARIABLE.fullmatch(text))}


def exact_amounts(workflow: Workflow | None, variables: Mapping[str, str] | None) -> dict[int, int]:
    """
    Return the exact amount of each `send` (by its stage, from 0) that the definition and the variables prove.

    :param variables: that the run was submitted with; None where they are not known.
    """
    known = variables or {}
    exact = {}
    for stage, text in _amounts(workflow):
        filled = VARIABLE.sub(lambda found: known.get(found[1], found[0]), text)
        if re.fullmatch("[0-9]{1,300}", filled):  # more is no float, and could not be compared
            exact[stage] = int(filled)
    return exact


def with_amount(posting: Mapping[str, Any], exact: int | None) -> dict[str, Any]:
    """
    Return a posting of a history with its ``amount`` as a string where it is exact.

    Otherwise ``amount`` is None, and ``amount_rounded`` is what the history said.

    :param exact: what the posting must be, if that is proven.
    """
    said = posting.get("amount")
    if isinstance(said, float) and said.is_integer() and abs(said) < FIRST_ROUNDED:
        said = int(said)
    if isinstance(said, int) and abs(said) < FIRST_ROUNDED:
        return {**posting, "amount": str(said)}
    if exact is not None and isinstance(said, int | float) and float(exact) == float(said):
        return {**posting, "amount": str(exact)}
    return {**posting, "amount": None, "amount_rounded": str(said)}


def _amounts(workflow: Workflow | None) -> Iterator[tuple[int, str]]:
    for stage in stages_of(workflow):
        amount = stage.settings.get("amount")
        if stage.kind == "send" and isinstance(amount, Mapping):
            yield stage.number, str(amount.get("amount"))


def _texts_of_money(workflow: Workflow) -> Iterator[tuple[str, str]]:
    for stage in stages_of(workflow):
        for field in _FIELDS.get(stage.kind, ()):
            settings = stage.settings.get(field)
            if isinstance(settings, Mapping):
                # Not an account's metadata, which may well be empty.
                settings = {name: value for name, value in settings.items() if name != "metadata"}
            for text in strings_in(settings):
                yield f"stages[{stage.number}].{stage.kind}.{field}", text


def _is_nothing(value: str) -> bool:
    """Tell whether a value, or a segment of it (``users:None``), is empty or the text of Python's None."""
    return any(part.strip() in ("", "None") for part in value.split(":"))
