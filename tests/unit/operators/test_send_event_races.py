"""SendEventOperator beside other senders, kills and people: no other stage ever takes its event."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from airflow_provider_orchestration.emulator.testing import wait_for
from airflow_provider_orchestration.exceptions import NotConnectedError
from airflow_provider_orchestration.operators.send_event import SendEventOperator
from tests.support.flows import delay, wait_event
from tests.support.task_life import TaskLife
from tests.unit.operators.test_send_event import assert_not_taken, life

pytestmark = pytest.mark.usefixtures("impatient")


@pytest.fixture
def four_eyes(flows) -> str:
    """An instance that waits for two approvals of one name, and is at the first."""
    instance_id = flows.run(wait_event("approved"), wait_event("approved"))
    flows.waiting_at(instance_id, 0)
    return str(instance_id)


def assert_second_still_waits(flows, instance_id: str) -> None:
    assert flows.waiting_at(instance_id, 1).terminated is False


def test_another_sender_was_quicker_while_the_task_was_queued_to_resume(flows, four_eyes):
    task = life(four_eyes, "approved", deferrable=True)

    def be_quicker(_trigger: str, event: Any) -> Any:
        flows.client.send_event(four_eyes, "approved")
        flows.waiting_at(four_eyes, 1)
        return event

    task.on_event = be_quicker
    assert_not_taken(task, "it is not at that stage any more")
    assert flows.asked("send_event") == 1
    assert_second_still_waits(flows, four_eyes)


def test_another_sender_was_quicker_while_the_server_wanted_to_be_left_alone(flows, four_eyes):
    flows.emulator.fault("send_event", "status", 1, status=429, headers={"Retry-After": "1"})
    task = life(four_eyes, "approved")

    def be_quicker() -> None:
        wait_for(lambda: flows.asked("send_event") == 1)
        flows.client.send_event(four_eyes, "approved")

    thread = threading.Thread(target=be_quicker)
    thread.start()
    assert_not_taken(task, "it is not at that stage any more")
    thread.join()
    assert_second_still_waits(flows, four_eyes)
    # Nor does a clear send it to the next stage, or take the other's for its own.
    task.clear()
    assert_not_taken(task, "an earlier try was too late for it")
    assert_second_still_waits(flows, four_eyes)
    assert flows.asked("send_event") == 2


def test_no_connection_for_a_while_is_borne(flows, four_eyes):
    """Each time it is proven that nothing was sent."""
    task = life(four_eyes, "approved")
    make = task.make_operator
    refusals = [NotConnectedError("no connection"), NotConnectedError("no connection")]

    def make_unlucky() -> Any:
        operator = make()
        send = operator.client.send_event

        def send_at_last(*arguments: Any, **options: Any) -> Any:
            if refusals:
                raise refusals.pop()
            return send(*arguments, **options)

        operator.client.send_event = send_at_last
        return operator

    task.make_operator = make_unlucky
    assert task.execute() == "success", task.error
    assert task.result["stage"] == 0


def test_told_to_stop_before_the_stage_is_there(flows):
    """A person who marks the approving task failed does not want it to approve in its last seconds."""
    instance_id = flows.run(delay(5), wait_event("approved"))
    operators: list[SendEventOperator] = []

    def make() -> SendEventOperator:
        arguments: dict[str, Any] = {"poll_interval": 0.05, "wait_timeout": 20.0, "confirm_timeout": 3.0, "retries": 0}
        operators.append(SendEventOperator(task_id="send", instance_id=instance_id, event="approved", **arguments))
        return operators[-1]

    task = TaskLife(make, task_id="send", retries=0)
    timer = threading.Timer(0.2, lambda: operators[0].on_kill())  # noqa: PLW0108 - it is made later
    timer.start()
    assert task.execute() == "failed"
    timer.join()
    assert "told to stop before it sent the event" in str(task.error)
    assert flows.asked("send_event") == 0
    assert task.store.rows["formance_event"]["phase"] == "refused"


def test_the_first_is_taken_just_before_the_second_is_sent(flows):
    instance_id = flows.run(wait_event("go"))
    flows.waiting_at(instance_id, 0)
    flows.emulator.fault("send_event", "reset_before")
    task = life(instance_id)

    def arrive_late(_key: str, value: Any) -> None:
        if value.get("phase") == "found" and value["times"] == 2:
            flows.client.send_event(instance_id, "go")  # the first, which was under way all the time
            flows.ended(instance_id)

    task.store.before_write = arrive_late
    assert task.execute() == "success", task.error
    assert task.store.rows["formance_event"]["phase"] == "taken"


def killed_while_sending(flows, instance_id: str, **arguments: Any) -> TaskLife:
    """Return a task whose first try was killed while its POST was under way, and a second one is to come."""
    task = life(instance_id, **arguments)
    make = task.make_operator

    def make_mortal() -> Any:
        operator = make()
        client = operator.client

        def die(*_: Any, **__: Any) -> Any:
            raise RuntimeError("killed while its POST was under way")

        client.send_event = die
        task.make_operator = make
        return operator

    task.make_operator = make_mortal
    assert task.execute() == "up_for_retry"
    return task


def test_a_refusal_after_a_kill_proves_nothing_of_the_first(flows):
    instance_id = flows.run(wait_event("go"), wait_event("other"))
    flows.waiting_at(instance_id, 0)
    task = killed_while_sending(flows, instance_id)
    flows.emulator.fault("send_event", "status", "always", status=403)
    assert task.execute() == "up_for_retry"
    assert task.store.rows["formance_event"]["phase"] == "unknown"
    flows.emulator.clear_faults()
    flows.client.send_event(instance_id, "go")  # the first arrives after all
    flows.waiting_at(instance_id, 1)
    assert task.execute() == "success", task.error


def test_just_send_is_not_repeated_by_a_retry_after_a_kill(flows, four_eyes):
    task = killed_while_sending(flows, four_eyes, event="approved", confirm=False)
    assert_not_taken(task, "an earlier try was cut short while it was sent")
    assert flows.asked("send_event") == 0
    # A person has looked, and wants it sent.
    task.clear()
    assert task.execute() == "success", task.error
    assert flows.asked("send_event") == 1


def test_just_send_is_not_repeated_by_a_retry_after_it_was_sent(flows, four_eyes):
    task = life(four_eyes, "approved", confirm=False)
    assert task.execute() == "success", task.error
    # Airflow lost word of the success.
    assert task.execute() == "success", task.error
    assert task.result["taken_over"] is True
    assert flows.asked("send_event") == 1
    assert_second_still_waits(flows, four_eyes)


def test_just_send_that_was_refused_is_sent_by_the_next_try(flows, four_eyes):
    flows.emulator.fault("send_event", "status", "always", status=403)
    task = life(four_eyes, "approved", confirm=False)
    assert task.execute() == "up_for_retry"
    flows.emulator.clear_faults()
    assert task.execute() == "success", task.error


@pytest.mark.parametrize("confirm", [True, False])
def test_a_refusal_is_written_before_anything_else_can_fail(flows, four_eyes, confirm):
    """Proven not to have been sent, it is sent by the next try, though a later stage waits for the same name."""
    flows.emulator.fault("send_event", "status", 1, status=429)
    task = life(four_eyes, "approved", confirm=confirm)

    def die(_key: str, value: Any) -> None:
        if died := value.get("phase") == "refused":
            task.store.rows["formance_event"] = value
            task.store.before_write = lambda _key, _value: None
            raise RuntimeError(f"killed in the pause: {died}")

    task.store.before_write = die
    assert task.execute() == "up_for_retry"
    assert task.execute() == "success", task.error
    assert flows.asked("send_event") == 2
    assert_second_still_waits(flows, four_eyes)


def test_just_send_bears_429_for_a_while(flows, four_eyes):
    flows.emulator.fault("send_event", "status", 2, status=429)
    assert life(four_eyes, "approved", confirm=False).execute() == "success"
    assert flows.asked("send_event") == 3


def test_a_record_of_an_older_version_is_read(flows):
    instance_id = flows.run(wait_event("go"))
    flows.waiting_at(instance_id, 0)
    task = life(instance_id)
    old = {"instance_id": instance_id, "event": "go", "stage": 0, "phase": "sent", "times": 1}
    task.store.rows["formance_event"] = old
    assert task.execute() == "success", task.error
