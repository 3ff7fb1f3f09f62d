from __future__ import annotations

import ast
import copy
import inspect
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_orchestration import exceptions
from airflow_provider_orchestration.exceptions import FlowsApiError, FormanceError, OutcomeUnknownError

CLASSES = [
    found
    for _, found in inspect.getmembers(exceptions, inspect.isclass)
    if issubclass(found, Exception) and found.__module__ == exceptions.__name__
]
API_ERRORS = [found for found in CLASSES if issubclass(found, FlowsApiError)]
DETAILS = {
    "operation": "run_workflow",
    "status_code": 503,
    "error_code": "INTERNAL",
    "workflow_id": "w",
    "instance_id": "i",
    "trigger_id": "t",
    "retry_after": 1.5,
}


@pytest.mark.parametrize("error", CLASSES)
def test_all_are_in_the_tree_and_say_what_they_mean(error):
    assert issubclass(error, FormanceError)
    assert inspect.getdoc(error)
    assert error is FormanceError or error.__name__ in str(inspect.getdoc(exceptions))


@pytest.mark.parametrize("error", API_ERRORS)
def test_details_survive_being_copied_and_sent_to_another_process(error):
    original = error("text", **DETAILS)
    for again in (original, copy.copy(original), pickle.loads(pickle.dumps(original))):
        assert type(again) is error
        assert str(again) == "text"
        assert {name: getattr(again, name) for name in DETAILS} == DETAILS


def test_details_are_none_unless_given():
    error = OutcomeUnknownError("text")
    assert {getattr(error, name) for name in DETAILS} == {None}


PACKAGE = Path(exceptions.__file__).parent
MADE = {found.__name__ for found in CLASSES} | {"stopped_watching", "_not_taken", "_may_have_arrived"}


def messages() -> Iterator[tuple[str, str]]:
    """Yield where each error that a task can end with is made, and the literal part of its message."""
    for path in sorted(file for part in ("run", "operators", "sensors") for file in (PACKAGE / part).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and node.args:
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                if name in MADE:
                    yield f"{path.name}:{node.lineno}", literal(node.args[-1 if name == "_not_taken" else 0])


def literal(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(literal(part) for part in node.values)
    return str(node.value) if isinstance(node, ast.Constant) else "…"


@pytest.mark.parametrize(("where", "message"), [pytest.param(*one, id=one[0]) for one in messages()])
def test_a_message_is_one_short_sentence(where, message):
    assert not re.search(r"[.!?] |\.$", message), "what is more than one sentence are details, a line each"
    assert len(message) <= 160
