"""With or without a retry of Airflow: what no retry can help fails the task for good. The log tells the details."""

from __future__ import annotations

import logging
import traceback

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from airflow_provider_orchestration import exceptions
from airflow_provider_orchestration.exceptions import FinalError, FormanceError, InvalidInputError
from airflow_provider_orchestration.run.judge.failing import task_failures

log = logging.getLogger(__name__)
KINDS = [kind for kind in vars(exceptions).values() if isinstance(kind, type) and issubclass(kind, FormanceError)]


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_is_final_is_not_retried(kind):
    final = issubclass(kind, FinalError | InvalidInputError)
    with pytest.raises(AirflowFailException if final else kind) as caught, task_failures(log):
        raise kind("two\n   lines")
    assert str(caught.value) == ("two lines" if final else "two\n   lines")
    assert isinstance(caught.value.__context__, kind) is final


@pytest.mark.parametrize("kind", KINDS)
def test_the_log_tells_the_details_and_one_traceback_is_printed(kind, caplog):
    cause = OSError("the cause")
    with pytest.raises((kind, AirflowFailException)) as caught, task_failures(log):
        raise kind("what happened", details=("what is known", "what 100 % of people can do")) from cause
    assert caplog.messages == ["what is known", "what 100 % of people can do"]
    printed = "".join(traceback.format_exception(caught.value))
    assert printed.count("Traceback") == 1
    assert "the cause" not in printed


@pytest.mark.parametrize("error", [ValueError("x"), AirflowException("x"), KeyboardInterrupt(), OSError("x")], ids=repr)
def test_what_is_not_ours_passes(error):
    with pytest.raises(type(error)) as caught, task_failures(log):
        raise error
    assert caught.value is error


def test_nothing_happens_where_nothing_fails():
    with task_failures(log):
        done = True
    assert done
