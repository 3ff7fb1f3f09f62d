"""The stand-in for Airflow's supervisor leaves nothing behind, in whatever order its users go."""

from __future__ import annotations

from contextlib import ExitStack

from airflow.sdk.execution_time import task_runner

from tests.support.supervisor import Supervisor


def test_the_first_who_came_may_go_first():
    first, second = ExitStack(), ExitStack()
    first.enter_context(Supervisor()())
    second.enter_context(Supervisor()())
    first.close()
    assert hasattr(task_runner, "SUPERVISOR_COMMS")
    second.close()
    assert not hasattr(task_runner, "SUPERVISOR_COMMS")
