"""The trigger of a sensor: when it ends the task itself, and when it leaves that to a worker."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.listeners import hookimpl
from airflow.sdk.listener import get_listener_manager
from airflow.triggers.base import TaskSkippedEvent, TaskSuccessEvent

from airflow_provider_orchestration.run.wait.pollers import poller_for
from airflow_provider_orchestration.run.wait.watch import Verdict
from airflow_provider_orchestration.triggers import sensor
from airflow_provider_orchestration.triggers.sensor import InstanceSensorTrigger, who_needs_a_worker
from tests.support.flows import FAILS, delay, send, unique, wait_event
from tests.support.supervisor import Supervisor
from tests.support.task_life import one_event

pytestmark = pytest.mark.usefixtures("impatient")


def trigger(instance_id: Any, made: type[InstanceSensorTrigger] = InstanceSensorTrigger, **more: Any) -> Any:
    defaults = {"formance_conn_id": "formance_default", "nonce": "n1", "workflow_id": None, "poll_interval": 0.05}
    one = made(**(defaults | {"timeout": 20.0, "deadline": time.time() + 20.0} | more), instance_id=instance_id)
    one.task_instance = TI  # type: ignore[assignment]
    return one


TI = SimpleNamespace(dag_id="d", run_id="r", task_id="wait", map_index=-1)


def event_of(one: Any, supervisor: Supervisor | None = None) -> Any:
    with (supervisor or Supervisor())():
        return asyncio.run(one_event(one))


def test_serialisation_makes_the_same_trigger_again():
    path, arguments = trigger("i", skip=True, airflow_timeout=620.0).serialize()
    assert path == "airflow_provider_orchestration.triggers.sensor.InstanceSensorTrigger"
    assert InstanceSensorTrigger(**json.loads(json.dumps(arguments))).serialize() == (path, arguments)


def test_success_ends_the_task_with_the_result(flows, said):
    instance_id = flows.run(send(key=False), delay(0.5))
    supervisor = Supervisor()
    assert isinstance(event_of(trigger(instance_id), supervisor), TaskSuccessEvent)
    result = supervisor.xcoms["return_value"]
    assert (result["instance_id"], result["state"]) == (instance_id, "succeeded")
    assert result["transactions"][0]["postings"][0]["amount"] == "100"
    assert said.having("stage 1/2 send: done in")
    assert said.having("succeeded; this task ends without a worker")


def test_no_xcom_where_none_is_wanted(flows):
    supervisor = Supervisor()
    assert isinstance(event_of(trigger(flows.run(delay(0.1)), push=False), supervisor), TaskSuccessEvent)
    assert supervisor.xcoms == {}


def test_a_result_that_cannot_be_given_to_xcom_is_for_a_worker(flows, said):
    event = event_of(trigger(flows.run(delay(0.1))), Supervisor(OSError("away")))
    assert event["verdict"] == "ended"
    assert said.having("the result cannot be given to XCom here, a worker does it: OSError('away')", "warning")


def test_many_that_end_together_wait_for_their_turn_to_give_their_results(flows, monkeypatch):
    """Airflow's triggerer gives one answer after another; that the last one's comes late is no failure."""
    monkeypatch.setattr(sensor, "_ANSWER", 0.5)
    triggers = [trigger(flows.run(delay(0.1))) for _ in range(30)]

    async def all_of_them() -> list[Any]:
        return await asyncio.gather(*map(one_event, triggers))

    with Supervisor(takes=0.05)():
        assert {type(event) for event in asyncio.run(all_of_them())} == {TaskSuccessEvent}


@pytest.mark.parametrize(
    ("stages", "deadline", "told"),
    [([FAILS], 20.0, "no amount defined"), ([wait_event("never")], 0.3, "timeout of 20 seconds passed; instance")],
)
def test_a_failure_and_a_timeout_are_for_a_worker_or_skip_the_task(flows, said, stages, deadline, told):
    instance_id = flows.run(*stages, amount="")
    event = event_of(trigger(instance_id, deadline=time.time() + deadline))
    assert (event["instance_id"], event["nonce"]) == (instance_id, "n1")
    assert isinstance(event_of(trigger(instance_id, deadline=time.time() + deadline, skip=True)), TaskSkippedEvent)
    assert told in said.having("skipped instead of failed", "warning")[0]


def test_an_unknown_instance_is_for_a_worker_or_skips_the_task(flows):
    assert event_of(trigger(unique("none"), not_found_after=3))["verdict"] == "not_found"
    assert isinstance(event_of(trigger(unique("none"), not_found_after=3, skip=True)), TaskSkippedEvent)


class SaidToEnd(InstanceSensorTrigger):
    """Its looks say at once that it is over; the reads of the end fail so often."""

    fails: Any
    looked = 0

    async def _verdict(self) -> Verdict:
        self.looked += 1
        if self.looked == 1:
            self.fails()
        return Verdict("ended", self.instance_id)


def test_an_end_that_cannot_be_read_is_waited_for(flows, said):
    one = trigger(flows.ended(flows.run(delay(0.1))).id, SaidToEnd)
    one.fails = lambda: flows.emulator.fault("get_instance", "status", 2, status=503)
    assert isinstance(event_of(one), TaskSuccessEvent)
    assert one.looked == 3
    assert len(said.having("cannot be read now", "warning")) == 2


def test_an_end_that_is_none_is_not_believed(flows, said):
    instance_id = flows.run(wait_event("never"))
    one = trigger(instance_id, SaidToEnd, deadline=time.time() + 0.4)
    one.fails = lambda: None
    assert event_of(one)["verdict"] == "ended"
    assert one.looked > 2
    assert said.having("it was said to be over (ended), but instance", "warning")


def test_an_end_that_can_never_be_read_is_no_success(flows):
    one = trigger(flows.ended(flows.run(delay(0.1))).id, SaidToEnd, deadline=time.time() + 0.4)
    one.fails = lambda: flows.emulator.fault("get_instance", "status", -1, status=503)
    assert event_of(one)["verdict"] == "ended"


class StoodStill(InstanceSensorTrigger):
    """Its process was paused while it waited: the task may have been cleared since, and be at its next try."""

    async def _verdict(self) -> Verdict:
        verdict = await super()._verdict()
        poller_for(self.formance_conn_id).pulse._latest = time.time() - 60
        return verdict


def test_a_process_that_stood_still_gives_no_result(flows, said):
    supervisor = Supervisor()
    assert event_of(trigger(flows.run(delay(0.1)), StoodStill), supervisor)["verdict"] == "ended"
    assert supervisor.xcoms == {}
    assert said.having("this process stood still for a while", "warning")


@pytest.fixture
def listener() -> Iterator[None]:
    class Listener:
        @hookimpl
        def on_task_instance_success(self) -> None:
            """Be there."""

    one = Listener()
    get_listener_manager().pm.register(one)
    who_needs_a_worker.cache_clear()
    yield
    get_listener_manager().pm.unregister(one)
    who_needs_a_worker.cache_clear()


@pytest.mark.usefixtures("listener")
def test_listeners_are_left_to_a_worker(flows, said):
    instance_id = flows.run(delay(0.1))
    assert event_of(trigger(instance_id))["verdict"] == "ended"
    assert event_of(trigger(instance_id, airflow_timeout=620.0)) == {"nonce": "n1"}
    assert said.having("this sensor begins in a worker: a listener of task instances is installed")


def begun_by_airflow(instance_id: Any, ago: float = 0.0, **more: Any) -> Any:
    """A trigger that Airflow began so many seconds ago, maybe in another triggerer."""
    one = trigger(instance_id, airflow_timeout=620.0, deadline=None, **more)
    one.timeout_after = datetime.now(UTC) + timedelta(seconds=620.0 - ago)
    return one


def test_one_that_airflow_began_ends_alike_and_shares_the_looks_of_its_workflow(flows):
    instance_id = flows.run(delay(0.3))
    one = begun_by_airflow(instance_id)
    assert isinstance(event_of(one), TaskSuccessEvent)
    assert one.workflow_id == flows.client.get_instance(instance_id).workflow_id


def test_timeout_counts_from_the_beginning_also_in_another_triggerer(flows):
    began = time.monotonic()
    event = event_of(begun_by_airflow(flows.run(wait_event("never")), ago=19.7))
    assert event["verdict"] == "deadline"
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("instance_id", ["None", "", " x", ".."])
def test_an_id_that_is_none_is_refused_by_a_worker_before_anything_is_sent(flows, said, instance_id):
    assert event_of(begun_by_airflow(instance_id)) == {"nonce": "n1"}
    assert said.having("this sensor begins in a worker: instance_id is")
    assert flows.asked("get_instance") == 0


def rendering(one: Any, content: str) -> Any:
    """As Airflow's triggerer does before it runs a trigger."""
    one.instance_id = content
    one.template_fields = ("instance_id",)
    one.render_template_fields({"run_id": "r"})
    return one


def test_a_template_is_rendered_there(flows):
    instance_id = flows.run(delay(0.1))
    first, rest = instance_id[0], instance_id[1:]
    assert isinstance(event_of(rendering(begun_by_airflow(""), f"{{{{ '{first}' }}}}{rest}")), TaskSuccessEvent)


def test_a_template_that_cannot_be_rendered_there_begins_in_a_worker(said):
    assert event_of(rendering(begun_by_airflow(""), "{{ macro_of_the_dag() }}")) == {"nonce": "n1"}
    assert said.having("this sensor begins in a worker: the triggerer cannot render its templates: 'macro_of_the_dag'")


def test_a_connection_that_cannot_be_used_is_refused_by_a_worker(flows, connect_airflow):
    connect_airflow(flows.emulator, password="")
    assert event_of(begun_by_airflow("i")) == {"nonce": "n1"}


def test_a_server_that_is_away_at_the_beginning_is_borne(flows):
    instance_id = flows.run(delay(0.1))
    flows.emulator.fault("get_instance", "status", 2, status=503)
    assert isinstance(event_of(begun_by_airflow(instance_id)), TaskSuccessEvent)


def test_a_task_that_is_mapped_over_the_result_has_a_worker(flows):
    one = begun_by_airflow(flows.run(delay(0.1)))
    task = SimpleNamespace(iter_mapped_dependants=lambda: iter(["next"]), template_ext=(), start_trigger_args=None)
    one.task_instance = SimpleNamespace(task=task, task_id="wait", map_index=-1)
    assert event_of(one) == {"nonce": "n1"}
