"""WorkflowInstanceSensor in its three modes: succeeding, failing, skipping, giving up, bearing trouble."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowRescheduleException, AirflowSensorTimeout

from airflow_provider_orchestration.emulator.testing import wait_for
from airflow_provider_orchestration.sensors.instance import WorkflowInstanceSensor
from tests.support.flows import FAILS, delay, send, unique, wait_event
from tests.support.task_life import TaskLife

pytestmark = pytest.mark.usefixtures("impatient")
MODES: dict[str, dict[str, Any]] = {
    "poke": {"mode": "poke"},
    "deferrable": {"deferrable": True},
    "ends in a worker": {"deferrable": True, "end_from_trigger": False},
    "starts in the triggerer": {"deferrable": True, "start_from_trigger": True},
}
mode = pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
WITHOUT_A_WORKER = ("deferrable", "starts in the triggerer")


def ends_without_a_worker(mode: dict[str, Any]) -> bool:
    return bool(mode.get("deferrable")) and mode.get("end_from_trigger", True)


def sensor(instance_id: Any, **arguments: Any) -> WorkflowInstanceSensor:
    defaults: dict[str, Any] = {"task_id": "wait", "poke_interval": 0.05, "timeout": 20, "retries": 2}
    return WorkflowInstanceSensor(**(defaults | arguments), instance_id=instance_id)


def life(instance_id: Any, **arguments: Any) -> TaskLife:
    return TaskLife(lambda: sensor(instance_id, **arguments), task_id="wait")


@mode
def test_succeeds_with_the_result(flows, mode):
    instance_id = flows.run(send(key=False), delay(1))
    task = life(instance_id, **mode)
    assert task.execute() == "success", task.error
    assert task.result["instance_id"] == instance_id
    assert task.result["state"] == "succeeded"
    assert task.result["transactions"][0]["postings"][0]["amount"] == "100"
    waits_by = "InstanceSensorTrigger" if ends_without_a_worker(mode) else "InstanceEndTrigger"
    assert task.deferred_to == ([waits_by] if mode.get("deferrable") else [])
    assert task.ended_by == (["TaskSuccessEvent"] if ends_without_a_worker(mode) else [])
    # Its own execution, and that after its trigger.
    assert task.store.current == {"poke": 1}.get(mode.get("mode"), 1 + (not ends_without_a_worker(mode))) - bool(
        mode.get("start_from_trigger")
    )


@mode
def test_failed_instance_fails_without_a_retry(flows, mode):
    instance_id = flows.run(delay(0.2), FAILS, amount="")
    task = life(instance_id, **mode)
    assert task.execute() == "failed"
    assert isinstance(task.error, AirflowFailException)
    assert str(task.error) == f"instance {instance_id} failed: stage 2/2 send: no amount defined"


@mode
@pytest.mark.parametrize("option", ["soft_fail", "never_fail"])
def test_failed_instance_is_skipped_where_wanted(flows, mode, option):
    task = life(flows.run(delay(1), FAILS, amount=""), **mode, **{option: True})
    assert task.execute() == "skipped"
    assert task.ended_by == (["TaskSkippedEvent"] if ends_without_a_worker(mode) else [])


@mode
@pytest.mark.parametrize(("option", "state"), [("soft_fail", "up_for_retry"), ("never_fail", "skipped")])
def test_other_errors_are_skipped_only_by_never_fail(flows, connect_airflow, mode, option, state):
    connect_airflow(flows.emulator, password="")
    assert life("i", **mode, **{option: True}).execute() == state


@pytest.mark.parametrize(
    ("option", "state"), [({}, "up_for_retry"), ({"soft_fail": True}, "skipped"), ({"never_fail": True}, "skipped")]
)
def test_an_event_that_is_always_wrong_is_a_failed_deferral_as_of_every_sensor(flows, option, state):
    task = life(flows.run(wait_event("go")), deferrable=True, **option)
    task.run_trigger = lambda _trigger: None  # type: ignore[assignment,method-assign]
    assert task.execute() == state


@mode
def test_timeout(flows, mode):
    task = life(flows.run(wait_event("never")), **mode, timeout=0.3)
    assert task.execute() == "failed"
    assert isinstance(task.error, AirflowSensorTimeout)


@mode
@pytest.mark.parametrize("option", ["soft_fail", "never_fail"])
def test_timeout_is_skipped_where_wanted(flows, mode, option):
    task = life(flows.run(wait_event("never")), timeout=0.3, **mode, **{option: True})
    assert task.execute() == "skipped"


@mode
def test_a_connection_that_is_changed_while_it_waits_is_taken_up(flows, connect_airflow, mode, said):
    instance_id = flows.run(wait_event("go"))
    flows.waiting_at(instance_id, 0)
    flows.emulator.reset_counters()

    def change() -> None:
        wait_for(lambda: flows.asked("get_instance") >= 2)
        # The old credentials are refused, and a person has given others.
        connect_airflow(flows.emulator, login="demo-reader", password="demo-reader")
        flows.emulator.fault("get_instance", "status", times=2, status=401)
        flows.client.send_event(instance_id, "go")

    task = life(instance_id, **mode)
    with ThreadPoolExecutor(1) as threads:
        changed = threads.submit(change)
        assert task.execute() == "success", task.error
        changed.result()
    assert not said.having("cannot be read", "warning")


def test_execution_timeout_is_said_to_do_nothing_while_deferred(flows, said):
    task = life(flows.run(delay(0.2)), deferrable=True, execution_timeout=timedelta(hours=1))
    assert task.execute() == "success", task.error
    (line,) = said.having("execution_timeout does nothing while this task is deferred", "warning")
    assert line.endswith(": timeout bounds the waiting")
    assert len(line) <= 150


class Rescheduled(TaskLife):
    """A sensor in mode `reschedule`: each look is a new execution."""

    first_look: datetime | None = None

    def context(self) -> dict[str, Any]:
        context = super().context()
        context["ti"].get_first_reschedule_date = lambda _context: self.first_look
        return context

    def looks_again(self) -> bool:
        """Execute, and tell whether it asks to be called again."""
        self.execute()
        return isinstance(self.error, AirflowRescheduleException)


def rescheduled(instance_id: str, **arguments: Any) -> Rescheduled:
    return Rescheduled(lambda: sensor(instance_id, mode="reschedule", **arguments), task_id="wait")


def test_reschedule_asks_to_be_called_again_and_then_succeeds(flows):
    instance_id = flows.run(wait_event("go"))
    flows.waiting_at(instance_id, 0)
    task = rescheduled(instance_id)
    assert task.looks_again()
    flows.client.send_event(instance_id, "go")
    flows.ended(instance_id)
    assert task.execute() == "success", task.error


def test_reschedule_bears_looks_that_fail(flows, said):
    task = rescheduled(flows.ended(flows.run(delay(0.1))).id)
    flows.emulator.fault("get_instance", "status", 3, status=503)
    for _ in range(3):
        assert task.looks_again(), task.error
    assert task.execute() == "success", task.error
    assert len(said.having("cannot be read (the run is not touched by that)", "warning")) == 3


@pytest.mark.parametrize(("option", "state"), [({}, "failed"), ({"soft_fail": True}, "skipped")])
def test_reschedule_believes_failure_death_and_an_unknown_instance_within_one_look(flows, option, state):
    failed = flows.ended(flows.run(FAILS, amount="")).id
    dead = flows.run(wait_event("go"))
    flows.waiting_at(dead, 0)
    flows.emulator.engine(dead, "cancel")
    for instance_id, says in {failed: "no amount", dead: "dead: stage 1/1", unique("none"): "knows no inst"}.items():
        task = rescheduled(instance_id, **option)
        assert task.execute() == state
        # A skip hides why; what it was made of says it.
        error = task.error if state == "failed" else getattr(task.error, "__context__", None)
        assert says in str(error)


@pytest.mark.parametrize("option", [{"soft_fail": True}, {"never_fail": True}])
def test_reschedule_is_not_skipped_while_it_waits(flows, option):
    assert rescheduled(flows.run(wait_event("never")), **option).looks_again()


def test_reschedule_counts_its_timeout_from_its_first_look(flows):
    task = rescheduled(flows.run(wait_event("go")), timeout=60)
    assert task.looks_again()
    task.first_look = datetime.now(UTC) - timedelta(seconds=61)
    assert task.execute() == "failed"
    assert isinstance(task.error, AirflowSensorTimeout)


@mode
def test_a_client_that_may_only_read_is_enough(flows, connect_airflow, mode):
    connect_airflow(flows.emulator, login="demo-reader", password="demo-reader")
    task = life(flows.run(delay(1)), **mode)
    assert task.execute() == "success", task.error


@mode
def test_looks_that_fail_are_borne(flows, mode, said):
    flows.emulator.fault("get_instance", "status", 3, status=503)
    flows.emulator.fault("get_instance", "garbage", 1)
    task = life(flows.run(delay(2)), **mode)
    assert task.execute() == "success", task.error
    assert said.having("cannot be read (the run is not touched by that)", "warning")
    assert said.having("can be read again")


@mode
def test_unknown_instance_is_a_clear_failure(flows, mode):
    task = life(unique("no-instance"), **mode)
    assert task.execute() == "failed"
    assert isinstance(task.error, AirflowFailException)
    assert "instance_id: the stack knows no instance" in str(task.error)


@mode
def test_an_instance_that_is_not_found_for_a_moment_is_no_failure(flows, mode):
    body = {"errorCode": "INTERNAL", "errorMessage": "Instance not found"}
    flows.emulator.fault("get_instance", "status", 2, status=500, body=body)
    task = life(flows.run(delay(1)), **mode)
    assert task.execute() == "success", task.error


@mode
def test_cancelled_in_the_engine_is_a_failure(flows, mode):
    instance_id = flows.run(wait_event("go"))
    flows.waiting_at(instance_id, 0)
    flows.emulator.engine(instance_id, "cancel")
    task = life(instance_id, **mode)
    assert task.execute() == "failed"
    assert "dead: stage 1/1 wait_event 'go': canceled" in str(task.error)


@mode
def test_what_was_terminated_in_the_engine_shows_no_end_to_a_reader_and_is_never_green(flows, mode):
    instance_id = flows.run(wait_event("go"))
    flows.waiting_at(instance_id, 0)
    flows.emulator.engine(instance_id, "terminate")
    task = life(instance_id, **mode, timeout=0.5)
    assert task.execute() == "failed"
    assert isinstance(task.error, AirflowSensorTimeout)
    assert flows.asked("send_event") == 0


@mode
def test_a_success_is_not_doubted_because_its_history_is_gone(flows, mode, said):
    instance_id = flows.ended(flows.run(send(key=False))).id
    flows.emulator.engine(instance_id, "purge_history")
    task = life(instance_id, **mode)
    assert task.execute() == "success", task.error
    assert (task.result["state"], task.result["transactions"]) == ("succeeded", None)
    assert said.having("the transactions of stage 1/1 cannot be read", "warning")


@mode
@pytest.mark.parametrize("instance_id", [None, "", 5, " x", ".."])
def test_an_id_that_is_none_is_refused_before_anything_is_sent(flows, mode, instance_id):
    task = life(instance_id, **mode)
    assert task.execute() == "failed"
    assert "instance_id" in str(task.error)
    assert flows.asked("get_instance") == 0


@pytest.mark.parametrize("event", [None, {}, {"verdict": "fine", "instance_id": "i"}, {"verdict": "ended"}, "ended"])
def test_an_event_that_says_nothing_is_no_success(flows, event):
    task = life(flows.run(wait_event("go")), deferrable=True, timeout=60.0, poke_interval=0.05)
    task.run_trigger = lambda _trigger: event  # type: ignore[assignment,method-assign]
    assert task.execute() == "up_for_retry"


def test_an_event_that_lies_is_no_success(flows):
    instance_id = flows.run(wait_event("go"))
    task = life(instance_id, deferrable=True, timeout=0.2)
    task.on_event = lambda _trigger, event: {**event, "verdict": "ended"}
    assert task.execute() == "failed"
    assert isinstance(task.error, AirflowSensorTimeout)
    assert str(task.error) == f"timeout of 0.2 s passed; instance {instance_id} goes on"


def test_an_end_that_cannot_be_read_in_the_worker_is_waited_for(flows):
    instance_id = flows.run(delay(0.2))
    task = life(instance_id, deferrable=True, end_from_trigger=False)

    def break_reads_once(_trigger: str, event: Any) -> Any:
        if len(task.deferred_to) == 1:
            flows.emulator.fault("get_instance", "status", times=5, status=503)
        return event

    task.on_event = break_reads_once
    assert task.execute() == "success", task.error
    assert task.deferred_to == ["InstanceEndTrigger"] * 2


def test_exponential_backoff_looks_less_often(flows):
    task = life(flows.run(wait_event("never")), deferrable=True, timeout=1.5, exponential_backoff=True, max_wait=10)
    flows.emulator.reset_counters()
    assert task.execute() == "failed"
    # The sensor's own, those after 0, 0.05, 0.15, 0.35, 0.75 s and so on, and the last: not one every 0.05 s.
    assert flows.asked("get_instance") <= 9


WRONG = [0, -1, "10", True, None, float("nan"), float("inf"), timedelta(0), timedelta(seconds=-5)]


@pytest.mark.parametrize("poke_interval", WRONG, ids=repr)
def test_poke_interval_must_be_above_zero(poke_interval):
    with pytest.raises(ValueError, match=re.escape(f"not {poke_interval!r}")):
        sensor("i", poke_interval=poke_interval)


def test_poke_interval_may_be_a_timedelta():
    assert sensor("i", poke_interval=timedelta(minutes=1)).poke_interval == 60.0


@pytest.mark.parametrize("arguments", [{"mode": "wait"}, {"timeout": -1}, {"soft_fail": True, "never_fail": True}])
def test_what_airflow_refuses_of_a_sensor_is_refused(arguments):
    with pytest.raises(ValueError, match=r"mode|timeout|mutually exclusive"):
        sensor("i", **arguments)
