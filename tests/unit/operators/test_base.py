"""What the operators share: pauses that see when Airflow says stop."""

from __future__ import annotations

import threading
import time

import pytest

from airflow_provider_orchestration.operators.base import FormanceOperator


class Operator(FormanceOperator):
    """One that notes when it is told to stop."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.told_at: list[float] = []
        self.cancels = False

    def execute(self, context):
        raise NotImplementedError

    def told_to_stop(self, context):
        self.told_at.append(time.monotonic())
        return self.cancels


@pytest.fixture
def operator():
    return Operator(task_id="task")


def test_a_pause_lasts_as_long_as_it_should(operator):
    for seconds in (0.0, -1.0, 0.3):
        began = time.monotonic()
        operator.pause(seconds, {})
        assert max(0.0, seconds) <= time.monotonic() - began < 5
    assert operator.told_at == []


def test_it_sees_within_half_a_second_that_it_is_told_to_stop_and_goes_on(operator):
    began = time.monotonic()
    timer = threading.Timer(0.2, operator.on_kill)
    timer.start()
    operator.pause(1.5, {})
    timer.join()
    assert time.monotonic() - began >= 1.5
    (told_at,) = operator.told_at
    assert 0.2 <= told_at - began < 1.2


def test_it_is_told_each_time_until_a_cancel_was_asked_for(operator):
    for _ in range(2):
        operator.on_kill()
        operator.on_kill()
        for _ in range(2):
            operator.pause(0.0, {})
    assert len(operator.told_at) == 2
    operator.cancels = True
    for _ in range(2):
        operator.on_kill()
        operator.pause(0.0, {})
    assert len(operator.told_at) == 3


def test_on_kill_calls_nothing(operator):
    # Airflow calls it in a signal handler, where a call to Airflow can deadlock.
    assert set(FormanceOperator.on_kill.__code__.co_names) == {"_told_to_stop", "_stop_unhandled"}
    operator.on_kill()
    assert operator.told_at == []


def test_what_is_done_unless_an_operator_knows_better(said):
    class Plain(FormanceOperator):
        def execute(self, context):
            raise NotImplementedError

    plain = Plain(task_id="task")
    plain.on_kill()
    plain.pause(0.0, {})
    assert said.having("told to stop: nothing is cancelled on the stack", "warning")


def test_the_client_is_kept(flows):
    operator = Operator(task_id="task")
    assert operator.client is operator.client
    assert operator.client.list_workflows() is not None
    assert operator.poll_interval == 10.0
