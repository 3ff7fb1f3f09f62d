from __future__ import annotations

import copy
import inspect
import pickle

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
