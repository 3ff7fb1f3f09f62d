"""SendEventOperator: the stage that waits takes the event, once, and no other does."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_orchestration.operators.send_event import SendEventOperator
from tests.support.flows import delay, unique, wait_event
from tests.support.task_life import TaskLife, told

pytestmark = pytest.mark.usefixtures("impatient")
mode = pytest.mark.parametrize("deferrable", [False, True], ids=["waiting", "deferrable"])


def life(instance_id: Any, event: Any = "go", **arguments: Any) -> TaskLife:
    defaults: dict[str, Any] = {
        "task_id": "send",
        "retries": 2,
        "poll_interval": 0.05,
        "wait_timeout": 20.0,
        "confirm_timeout": 3.0,
    }
    return TaskLife(
        lambda: SendEventOperator(**(defaults | arguments), instance_id=instance_id, event=event), task_id="send"
    )


def assert_not_taken(task: TaskLife, text: str) -> None:
    assert task.execute() == "failed"
    assert isinstance(task.error, AirflowFailException)
    assert text in told(task.error)


@mode
def test_waits_for_the_stage_and_sees_it_taken(flows, deferrable):
    instance_id = flows.run(delay(2), wait_event("go"), delay(0.1))
    task = life(instance_id, deferrable=deferrable)
    assert task.execute() == "success", task.error
    assert task.result == {
        "instance_id": instance_id,
        "event": "go",
        "stage": 1,
        "confirmed": True,
        "taken_over": False,
    }
    assert flows.ended(instance_id).error is None
    assert task.deferred_to == (["EventStageTrigger"] if deferrable else [])


def test_name_with_a_variable(flows):
    instance_id = flows.run(wait_event("approved-${order}"), order="7")
    assert life(instance_id, "approved-7").execute() == "success"
    assert flows.ended(instance_id).error is None


@mode
@pytest.mark.parametrize("kind", ["reset_after", "status_after"])
def test_lost_answer_of_an_event_that_was_taken(flows, deferrable, kind):
    instance_id = flows.run(wait_event("go"), wait_event("go"))
    flows.waiting_at(instance_id, 0)
    flows.emulator.fault("send_event", kind, 1, **({"status": 502} if kind == "status_after" else {}))
    task = life(instance_id, deferrable=deferrable)
    assert task.execute() == "success", task.error
    assert task.result["stage"] == 0
    # The second stage waits for the same name, and got nothing.
    assert flows.waiting_at(instance_id, 1).terminated is False
    assert flows.asked("send_event") == 1


def test_lost_event_is_sent_again_where_no_other_stage_could_take_it(flows):
    instance_id = flows.run(wait_event("go"), wait_event("other"))
    flows.waiting_at(instance_id, 0)
    flows.emulator.fault("send_event", "reset_before")
    task = life(instance_id)
    assert task.execute() == "success", task.error
    assert flows.asked("send_event") == 2


def test_lost_event_is_not_sent_again_where_a_later_stage_could_take_it(flows):
    instance_id = flows.run(wait_event("go"), wait_event("${name}"), name="go")
    flows.waiting_at(instance_id, 0)
    flows.emulator.fault("send_event", "reset_before")
    assert_not_taken(life(instance_id), "a later stage waits for the same name")
    assert flows.asked("send_event") == 1


def test_what_was_taken_is_not_sent_again(flows):
    instance_id = flows.run(wait_event("go"), wait_event("go"))
    # One that does not listen yet refuses the event, and is sent it again: that is not what is counted here.
    flows.waiting_at(instance_id, 0)
    task = life(instance_id)
    assert task.execute() == "success", task.error
    flows.waiting_at(instance_id, 1)
    task.clear()
    assert task.execute() == "success", task.error
    assert task.result["taken_over"] is True
    assert flows.asked("send_event") == 1


def test_a_retry_after_a_kill_sees_that_the_event_was_taken(flows):
    instance_id = flows.run(wait_event("go"), wait_event("go"))
    # One that does not listen yet refuses the event, and is sent it again: that is not what is counted here.
    flows.waiting_at(instance_id, 0)
    task = life(instance_id)
    died: list[bool] = []

    def die_once(_key: str, value: Any) -> None:
        if value.get("phase") == "sent" and not died:
            died.append(True)
            raise RuntimeError("killed after it was sent")

    task.store.before_write = die_once
    assert task.execute() == "up_for_retry"
    assert task.execute() == "success", task.error
    assert task.result["stage"] == 0
    assert flows.waiting_at(instance_id, 1).terminated is False
    assert flows.asked("send_event") == 1


@mode
def test_ended_instance(flows, deferrable):
    instance_id = flows.run(delay(0.1))
    flows.ended(instance_id)
    assert_not_taken(life(instance_id, deferrable=deferrable), "it has succeeded")
    assert flows.asked("send_event") == 0


@mode
def test_stage_that_will_never_come(flows, deferrable):
    instance_id = flows.run(wait_event("other"))
    flows.waiting_at(instance_id, 0)
    assert_not_taken(life(instance_id, deferrable=deferrable), "no later stage waits for it")


def test_wait_timeout(flows):
    instance_id = flows.run(wait_event("other"), wait_event("go"))
    assert_not_taken(life(instance_id, wait_timeout=0.3), "within 0.3 s no stage waited for it")


@mode
def test_unknown_instance(flows, deferrable):
    assert_not_taken(life(unique("none"), deferrable=deferrable), "there is no such instance")


@mode
def test_looks_that_fail_are_borne(flows, deferrable, said):
    flows.emulator.fault("get_instance", "status", times=6, status=503)
    task = life(flows.run(wait_event("go")), deferrable=deferrable)
    assert task.execute() == "success", task.error
    assert said.having("cannot be read", "warning")


@mode
def test_dead_instance(flows, deferrable):
    instance_id = flows.run(wait_event("other"), wait_event("go"))
    flows.waiting_at(instance_id, 0)
    flows.emulator.engine(instance_id, "cancel")
    assert_not_taken(life(instance_id, deferrable=deferrable), "canceled")


def test_instance_that_was_terminated_in_the_engine(flows):
    instance_id = flows.run(wait_event("go"))
    flows.waiting_at(instance_id, 0)
    flows.emulator.engine(instance_id, "terminate")
    assert_not_taken(life(instance_id), "the instance has ended")


def test_a_stage_that_does_not_listen_yet_is_sent_its_event_when_it_does(flows):
    instance_id = flows.run(wait_event("go"), wait_event("go"))
    flows.waiting_at(instance_id, 0)
    body = {"errorCode": "INTERNAL", "errorMessage": "sending signal to server: workflow not found for ID: x-0"}
    flows.emulator.fault("send_event", "status", times=2, status=500, body=body)
    task = life(instance_id)
    assert task.execute() == "success", task.error
    assert flows.asked("send_event") == 3
    assert flows.waiting_at(instance_id, 1).terminated is False


@pytest.mark.parametrize("status", [401, 403, 404, 429])
def test_an_event_that_was_proven_to_be_refused_is_sent_by_the_next_try(flows, status):
    # Also where a later stage could take a second one: there was no first.
    instance_id = flows.run(wait_event("go"), wait_event("go"))
    flows.waiting_at(instance_id, 0)
    flows.emulator.fault("send_event", "status", times="always", status=status)
    task = life(instance_id, confirm_timeout=0.2)
    assert task.execute() == "up_for_retry"
    assert task.store.rows["formance_event"]["phase"] == "refused"
    flows.emulator.clear_faults()
    flows.emulator.reset_counters()
    assert task.execute() == "success", task.error
    assert (task.result["stage"], flows.asked("send_event")) == (0, 1)


def test_a_refusal_after_a_lost_answer_proves_nothing_of_the_first(flows):
    instance_id = flows.run(wait_event("go"), wait_event("other"))
    flows.waiting_at(instance_id, 0)
    flows.emulator.fault("send_event", "reset_before")
    flows.emulator.fault("send_event", "status", times=2, status=401)
    task = life(instance_id)
    assert task.execute() == "up_for_retry"
    record = task.store.rows["formance_event"]
    assert (record["phase"], record["times"]) == ("unknown", 1)
    assert task.execute() == "success", task.error


def test_another_event_is_not_the_one_that_was_taken(flows):
    instance_id = flows.run(wait_event("one"), wait_event("two"))
    task = life(instance_id, "one")
    assert task.execute() == "success", task.error
    other = life(instance_id, "two")
    other.store.rows = task.store.rows
    assert other.execute() == "success", other.error
    assert (other.result["stage"], other.result["taken_over"]) == (1, False)


def test_an_event_that_is_never_taken_is_sent_twice_at_the_most(flows):
    # The server says yes, and loses it.
    instance_id = flows.run(wait_event("go"))
    flows.waiting_at(instance_id, 0)
    flows.emulator.fault("send_event", "status", times="always", status=204)
    assert_not_taken(life(instance_id, confirm_timeout=0.3), "it still waits after 2 times")
    assert flows.asked("send_event") == 2


def test_just_send(flows):
    instance_id = flows.run(wait_event("other"))
    flows.waiting_at(instance_id, 0)
    task = life(instance_id, confirm=False)
    assert task.execute() == "success", task.error
    assert task.result["confirmed"] is False
    assert (flows.asked("send_event"), flows.asked("get_instance")) == (1, 1)


def test_just_send_to_one_that_has_ended(flows):
    instance_id = flows.ended(flows.run(delay(0.1))).id
    assert_not_taken(life(instance_id, confirm=False), f"was not taken, instance {instance_id} has ended")


def test_just_send_with_a_lost_answer_is_not_repeated(flows):
    instance_id = flows.run(wait_event("go"))
    flows.waiting_at(instance_id, 0)
    flows.emulator.fault("send_event", "reset_after")
    assert_not_taken(life(instance_id, confirm=False), "is not known")
    assert flows.asked("send_event") == 1


@pytest.mark.parametrize(("instance_id", "event"), [("", "go"), (None, "go"), ("i", ""), ("i", None), ("i", 5)])
def test_what_is_no_id_or_no_name(flows, instance_id, event):
    task = life(instance_id, event)
    assert task.execute() == "failed"
    assert "give" in str(task.error)
    assert flows.asked("send_event") == 0
