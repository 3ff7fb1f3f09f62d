"""Waiting in the worker: one look after another, as far apart as they should be."""

from __future__ import annotations

import logging
import time

import pytest

from airflow_provider_orchestration.run.wait.in_worker import wait_for_verdict
from airflow_provider_orchestration.run.wait.watch import Verdict, Watch
from tests.support.flows import delay, send, wait_event

log = logging.getLogger(__name__)


@pytest.fixture
def pauses():
    """The seconds that were paused for."""
    return []


@pytest.fixture
def wait(flows, pauses):
    """Wait for an instance, with pauses that are noted and cut short."""

    def begin(instance_id: str, **limits: float) -> Verdict:
        def pause(seconds: float) -> None:
            pauses.append(seconds)
            time.sleep(min(seconds, 0.02))  # noqa: TID251 - the pause that is asked for

        return wait_for_verdict(flows.client, Watch(instance_id, log, **limits), 7.0, pause)  # type: ignore[arg-type]

    return begin


def test_it_looks_until_the_instance_has_ended(flows, wait, pauses):
    instance_id = flows.run(delay(1))
    flows.emulator.reset_counters()
    assert wait(instance_id) == Verdict("ended", instance_id)
    assert set(pauses) == {7.0}
    assert flows.asked("get_instance") == len(pauses) + 1


def test_one_that_has_ended_is_looked_at_once(flows, wait, pauses):
    instance_id = flows.ended(flows.run(send("a"))).id
    assert wait(instance_id) == Verdict("ended", instance_id)
    assert pauses == []


def test_trouble_is_borne_and_retry_after_kept(flows, wait, pauses):
    instance_id = flows.ended(flows.run(send("a"))).id
    flows.emulator.fault("get_instance", "status", status=429, headers={"Retry-After": "30"})
    flows.emulator.fault("get_instance", "status", status=503, headers={"Retry-After": "86400"})
    flows.emulator.fault("get_instance", "status", status=503, headers={"Retry-After": "2"})
    for kind in ("reset_before", "reset_after", "garbage"):
        flows.emulator.fault("get_instance", kind)
    assert wait(instance_id) == Verdict("ended", instance_id)
    # A server that wants to be asked sooner than the interval is not.
    assert pauses == [30.0, 300.0, 7.0, 7.0, 7.0, 7.0]


def test_the_deadline_is_not_slept_through(flows, wait, pauses):
    instance_id = flows.run(wait_event("go"))
    flows.waiting_at(instance_id, 0)
    flows.emulator.fault("get_instance", "status", status=429, headers={"Retry-After": "300"})
    began = time.time()
    assert wait(instance_id, deadline=began + 0.3) == Verdict("deadline", instance_id)
    assert max(pauses) <= 0.3
    assert 0.3 <= time.time() - began < 5


def test_a_deadline_that_has_passed_still_has_its_look(flows, wait, pauses):
    ended, running = flows.ended(flows.run(send("a"))).id, flows.run(wait_event("go"))
    assert wait(ended, deadline=time.time() - 60) == Verdict("ended", ended)
    assert wait(running, deadline=time.time() - 60) == Verdict("deadline", running)
    assert pauses == []


def test_what_stops_the_pause_stops_the_waiting(flows):
    instance_id = flows.run(wait_event("go"))

    def stop(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        wait_for_verdict(flows.client, Watch(instance_id, log), 7.0, stop)
