"""Waiting in the worker: one look after another, as far apart as they should be."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import pytest

from airflow_provider_orchestration.api.client import FlowsClient
from airflow_provider_orchestration.hooks.orchestration import OrchestrationHook
from airflow_provider_orchestration.run.wait.in_worker import look_now, wait_for_verdict
from airflow_provider_orchestration.run.wait.watch import Verdict, Watch
from tests.support.flows import Flows, delay, send, wait_event

log = logging.getLogger(__name__)


class Steady:
    """A connection that nobody changes."""

    def __init__(self, client: FlowsClient) -> None:
        self.client = client

    def get_conn(self) -> FlowsClient:
        return self.client

    def renewed_conn(self, read_since: float) -> FlowsClient:
        return self.client


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

        return wait_for_verdict(Steady(flows.client), Watch(instance_id, log, **limits), 7.0, pause)  # type: ignore[arg-type]

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
        wait_for_verdict(Steady(flows.client), Watch(instance_id, log), 7.0, stop)


class Changed:
    """The hook of the connection, and what became of the waiting."""

    def __init__(self, flows: Flows) -> None:
        self.hook = OrchestrationHook()
        self.hook.get_conn()
        self.watch = Watch(flows.ended(flows.run(send("a"))).id, log)

    def wait(self, pause: Callable[[float], None] = lambda _: None) -> str:
        return wait_for_verdict(self.hook, self.watch, 0.1, pause).verdict

    @property
    def client_id(self) -> str:
        return self.hook.get_conn().settings.client_id


@pytest.fixture
def changed(flows, connect_airflow) -> Changed:
    """One who waits with a client of before the connection was changed."""
    waiting = Changed(flows)
    connect_airflow(flows.emulator, login="demo-reader", password="demo-reader")
    return waiting


def test_a_changed_connection_is_taken_up_at_once_after_a_401(flows, changed, caplog):
    flows.emulator.fault("get_instance", "status", times=2, status=401)
    assert changed.wait() == "ended"
    assert changed.client_id == "demo-reader"
    assert "cannot be read" not in caplog.text


def test_a_changed_connection_is_taken_up_after_a_while(flows, changed, monkeypatch):
    assert changed.wait() == "ended"
    assert changed.client_id == flows.emulator.client_id
    monkeypatch.setattr("airflow_provider_orchestration.run.wait.in_worker.CONNECTION_HOLDS", 0.0)
    assert changed.wait() == "ended"
    assert changed.client_id == "demo-reader"
    client = changed.hook.get_conn()
    assert changed.wait() == "ended"
    assert changed.hook.get_conn() is client, "nothing was changed since"


def test_a_refusal_for_ever_is_a_failed_look(flows, changed):
    flows.emulator.fault("get_instance", "status", times="always", status=401)
    assert look_now(changed.hook, changed.watch.instance_id, with_history=False).error is not None
    flows.emulator.clear_faults()
    assert changed.wait() == "ended"


def test_a_connection_that_cannot_be_read_is_a_failed_look(changed, connect_airflow, flows, monkeypatch, caplog):
    monkeypatch.setattr("airflow_provider_orchestration.run.wait.in_worker.CONNECTION_HOLDS", 0.0)
    monkeypatch.delenv("AIRFLOW_CONN_FORMANCE_DEFAULT")
    assert changed.wait(lambda _: connect_airflow(flows.emulator)) == "ended"
    assert "cannot be read (the run is not touched by that): AirflowNotFoundException" in caplog.text
    connect_airflow(flows.emulator, password="")
    assert changed.wait(lambda _: connect_airflow(flows.emulator)) == "ended"


def test_where_airflow_does_not_answer_the_connection_is_used_as_it_was(changed, monkeypatch, caplog):
    monkeypatch.setattr("airflow_provider_orchestration.run.wait.in_worker.CONNECTION_HOLDS", 0.0)

    def away(_conn_id: str) -> None:
        raise ConnectionError("Airflow's API server is away")

    monkeypatch.setattr(OrchestrationHook, "get_connection", away)
    client = changed.hook.get_conn()
    assert changed.wait() == "ended"
    assert changed.hook.get_conn() is client
    assert "it is used as it was" in caplog.text
