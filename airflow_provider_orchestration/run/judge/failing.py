"""How the errors of this provider fail a task: with or without a retry of Airflow, and what its log says before."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from airflow_provider_orchestration.exceptions import FinalError, FormanceError, InvalidInputError

if TYPE_CHECKING:
    import logging


@contextlib.contextmanager
def task_failures(log: logging.Logger | Any) -> Iterator[None]:
    """
    Tell the details of our errors in the task's log, a line each, and let the errors pass, without their causes.

    Airflow prints the whole traceback of each cause, and cuts long lines off: what a person needs stands above them.
    Errors that no retry can help become ``AirflowFailException``, their text on one line. The others (a server in
    trouble, a missing scope) fail the task too, and Airflow's retry goes on where it stood.
    """
    try:
        yield
    except FormanceError as error:
        for line in error.details:
            log.error("%s", line)
        if not isinstance(error, FinalError | InvalidInputError):
            raise error from None
        from airflow.sdk.exceptions import AirflowFailException

        raise AirflowFailException(" ".join(str(error).split())) from None
