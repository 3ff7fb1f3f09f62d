from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_orchestration.operators.run_workflow import RunWorkflowOperator
from tests.support.flows import unique
from tests.support.task_life import TaskLife


@pytest.fixture(params=[False, True], ids=["waiting", "deferrable"])
def deferrable(request) -> bool:
    """Both modes in which an operator waits."""
    mode: bool = request.param
    return mode


@pytest.fixture
def run_task(deferrable, impatient) -> Callable[..., TaskLife]:
    """Make the life of a `RunWorkflowOperator` with these arguments; further ones for the life in `life`."""

    def make(*, life: dict[str, Any] | None = None, **arguments: Any) -> TaskLife:
        given = {"poll_interval": 0.1, "run_timeout": 60.0, "deferrable": deferrable, "retries": 2, **arguments}
        return TaskLife(
            lambda: RunWorkflowOperator(task_id="pay", **given),
            **{"dag_id": unique("dag"), "task_id": "pay"} | (life or {}),
        )

    return make
