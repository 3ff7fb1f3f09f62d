"""How the errors of this provider fail a task: with or without a retry of Airflow."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from airflow_provider_orchestration.exceptions import FinalError, InvalidInputError


@contextlib.contextmanager
def task_failures() -> Iterator[None]:
    """
    Turn the errors that no retry can help into ``AirflowFailException``, their text on one line; others pass.

    Those others (a server in trouble, a missing scope) fail the task too, and Airflow's retry goes on where it stood.
    """
    try:
        yield
    except (FinalError, InvalidInputError) as error:
        from airflow.sdk.exceptions import AirflowFailException

        raise AirflowFailException(" ".join(str(error).split())) from error
