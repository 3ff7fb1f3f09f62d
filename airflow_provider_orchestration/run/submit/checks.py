"""What is checked before money moves: the variables by themselves, and against the definition."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from airflow_provider_orchestration.exceptions import InvalidInputError
from airflow_provider_orchestration.run.definition import RUN_KEY_VARIABLE, variables_of
from airflow_provider_orchestration.run.money import amount_variables, check_money
from airflow_provider_orchestration.run.words import listed

if TYPE_CHECKING:
    import logging

    from airflow_provider_orchestration.api.models import Workflow


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
            f"variables must be a mapping of names to strings, not {type(variables).__name__}: {_shown(variables)}",
            details=('give e.g. {"amount": "1000", "payee": "users:42"}',),
        )
    checked: dict[str, str] = {}
    wrong: list[str] = []
    for name, value in variables.items():
        if not isinstance(name, str) or not name:
            wrong.append(f"the name {_shown(name)} is not a string")
        elif isinstance(value, str):
            # Plain text of what templates and enumerations give: subclasses of str cannot be sent.
            checked[name] = str.__str__(value)
        elif isinstance(value, int) and not isinstance(value, bool):
            try:
                checked[name] = str(int(value))
            except ValueError:  # Python's limit, sys.get_int_max_str_digits()
                wrong.append(f"{name} is a whole number of thousands of digits")
        else:
            wrong.append(f"{name} = {_shown(value)} is a {type(value).__name__}")
    if wrong:
        raise InvalidInputError(
            f"variables: {listed(wrong)}; nothing was sent",
            details=(
                "Flows takes strings: give a string, or a whole number of the asset's smallest unit",
                "e.g. 1000 for 10.00 EUR/2",
            ),
        )
    return checked


def check_before_submit(workflow: Workflow, variables: Mapping[str, str], log: logging.Logger) -> None:
    """
    Check a run against the definition before anything is sent; unknown variables are only warned of.

    :param variables: as :func:`as_strings` gave them, without the run key.
    :raises InvalidInputError: the workflow is deleted (Flows would run it all the same), a variable that the
        definition mentions is missing (Flows would fill in nothing), or one that stands in an account or an amount was
        rendered to nothing.
    """
    called = f"workflow {workflow.name!r} ({workflow.id})"
    if workflow.deleted_at is not None:
        raise InvalidInputError(
            f"{called} was deleted at {workflow.deleted_at.isoformat()}, name one that is not; nothing was sent"
        )
    asked = variables_of(workflow) - {RUN_KEY_VARIABLE}
    if missing := sorted(asked - variables.keys()):
        raise InvalidInputError(
            f"variables: {listed(missing)} missing, which {called} mentions; nothing was sent",
            details=(
                f"it mentions {listed('${' + name + '}' for name in missing)}",
                f"given: {listed(sorted(variables))}",
            ),
        )
    check_money(workflow, variables)
    for name in sorted(amount_variables(workflow) & variables.keys()):
        if not re.fullmatch("[0-9]+", value := variables[name]):
            what = "negative" if re.fullmatch("-[0-9]+", value) else "no whole number of its asset's smallest unit"
            log.warning("variables: %s = %s is an amount of the workflow, and %s", name, _shown(value, 40), what)
            log.warning("an amount is e.g. 1000 for 10.00 EUR/2; unless this Flows knows better, that stage will fail")
    if unknown := sorted(variables.keys() - asked - {RUN_KEY_VARIABLE}):
        log.warning("variables: %s: %s mentions no such variable; sent all the same", listed(unknown, 5), called)


def _shown(value: object, at_most: int = 200) -> str:
    """Return a value for a message."""
    try:
        text = repr(value)
    except ValueError:  # it holds a whole number of thousands of digits
        return "(too long to be shown)"
    return text if len(text) <= at_most else f"{text[:at_most]}..."
