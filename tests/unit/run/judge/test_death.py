"""The last looks: whether an instance is dead in the engine, and whether a cancel worked."""

from __future__ import annotations

import logging
import time

import pytest

from airflow_provider_orchestration.emulator.testing import EmulatorProcess
from airflow_provider_orchestration.exceptions import NotFoundError
from airflow_provider_orchestration.run.judge.death import PROBE_PAUSE, is_terminated_in_engine
from airflow_provider_orchestration.run.judge.outcome import State
from airflow_provider_orchestration.run.judge.reading import read_instance
from airflow_provider_orchestration.run.wait.cancel import ask_to_cancel
from tests.support.flows import Flows, delay, send, wait_event

log = logging.getLogger(__name__)


def no_pause(seconds: float) -> None:
    pytest.fail(f"a pause of {seconds} s")


@pytest.fixture
def waiting(flows):
    """An instance that waits for `go`, then for `further`."""
    instance_id = flows.run(wait_event("go"), wait_event("further"))
    return flows.waiting_at(instance_id, 0)


def test_reading_judges(flows, waiting):
    assert read_instance(flows.client, waiting.id)[1].state is State.RUNNING
    flows.client.send_event(waiting.id, "go")
    flows.waiting_at(waiting.id, 1)
    flows.client.send_event(waiting.id, "further")
    flows.ended(waiting.id)
    instance, outcome = read_instance(flows.client, waiting.id)
    assert (instance.terminated, outcome.state) == (True, State.SUCCEEDED)
    with pytest.raises(NotFoundError):
        read_instance(flows.client, "nobody")


def test_one_that_was_terminated_is_dead_after_two_probes(flows, waiting, caplog):
    flows.emulator.engine(waiting.id, "terminate")
    flows.emulator.reset_counters()
    pauses: list[float] = []
    assert is_terminated_in_engine(flows.client, waiting, log, pauses.append)
    assert pauses == [PROBE_PAUSE]
    assert flows.asked("send_event") == 2
    assert f"instance {waiting.id} is said to run, but was terminated in the engine" in caplog.text


def test_one_that_waits_is_alive_and_does_not_take_the_probe(flows, waiting):
    flows.emulator.reset_counters()
    assert not is_terminated_in_engine(flows.client, waiting, log, no_pause)
    assert flows.asked("send_event") == 1
    instance, outcome = read_instance(flows.client, waiting.id)
    assert (instance.status, outcome.state) == (waiting.status, State.RUNNING)


@pytest.mark.parametrize("status", [500, 503, 429, 401])
def test_a_probe_that_says_something_else_proves_nothing(flows, waiting, status):
    flows.emulator.engine(waiting.id, "terminate")
    flows.emulator.fault("send_event", "status", status=status, times="always")
    assert not is_terminated_in_engine(flows.client, waiting, log, no_pause)


def test_one_of_which_the_engine_knows_nothing_is_not_called_terminated(flows, waiting):
    flows.emulator.engine(waiting.id, "purge_history")
    assert not is_terminated_in_engine(flows.client, waiting, log, no_pause)


def test_one_that_is_just_ending_is_not_dead(flows, waiting):
    # The first probe comes when the stage has ended and its row does not say so yet.
    ended = {"errorCode": "INTERNAL", "errorMessage": "sending signal to server: workflow execution already completed"}
    flows.emulator.fault("send_event", "status", times=2, status=500, body=ended)

    def move(_: float) -> None:
        flows.emulator.clear_faults()
        flows.client.send_event(waiting.id, "go")
        flows.waiting_at(waiting.id, 1)
        flows.emulator.fault("send_event", "status", status=500, body=ended)

    assert not is_terminated_in_engine(flows.client, waiting, log, move)


def test_one_that_has_ended_between_is_not_dead(flows):
    instance_id = flows.run(send("a"))
    before = flows.client.get_instance(instance_id)
    flows.ended(instance_id)
    assert not is_terminated_in_engine(flows.client, before, log, no_pause)


def test_a_cancel_that_is_ignored_is_looked_at_for_its_time(flows, waiting, caplog):
    caplog.set_level(logging.INFO)
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        time.sleep(seconds)  # noqa: TID251 - the pause that is asked for

    began = time.time()
    instance, outcome = ask_to_cancel(flows.client, waiting.id, log, timeout=0.5, poll_interval=0.2, pause=pause)
    assert time.time() - began >= 0.5
    assert (instance.id, outcome.state) == (waiting.id, State.RUNNING)
    assert all(seconds <= 0.2 for seconds in pauses)
    assert flows.asked("cancel_event") == 1
    assert f"asked Flows to cancel instance {waiting.id}; looking for up to " in caplog.text


def test_one_that_ends_all_the_same_is_seen_at_once(flows):
    instance_id = flows.run(delay(1))
    flows.waiting_at(instance_id, 0)
    _, outcome = ask_to_cancel(
        flows.client,
        instance_id,
        log,
        timeout=60,
        poll_interval=0.05,
        pause=time.sleep,  # noqa: TID251 - the pause that is asked for
    )
    assert outcome.state is State.SUCCEEDED


def test_a_server_that_honours_it():
    with EmulatorProcess("--time-scale", "0.1", "--abort", "honour") as emulator:
        flows = Flows(emulator)
        instance_id = flows.run(wait_event("go"))
        flows.waiting_at(instance_id, 0)
        instance, outcome = ask_to_cancel(flows.client, instance_id, log, timeout=60, poll_interval=1, pause=no_pause)
        assert (instance.terminated, outcome.state, outcome.error) == (True, State.CANCELED, "canceled")
        flows.client.close()
