"""The triggers: what they serialise, and the one event that each yields."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import Any

import pytest

from airflow_provider_orchestration.emulator.testing import wait_for
from airflow_provider_orchestration.triggers.instance import EventStageTrigger, InstanceEndTrigger, RecoveryTrigger
from tests.support.flows import FAILS, delay, send, unique, wait_event
from tests.support.task_life import one_event

pytestmark = pytest.mark.usefixtures("impatient")


def end_trigger(instance_id: str, **arguments: Any) -> InstanceEndTrigger:
    defaults = {"formance_conn_id": "formance_default", "nonce": "n1", "workflow_id": None, "poll_interval": 0.05}
    return InstanceEndTrigger(**(defaults | arguments), instance_id=instance_id)


def stage_trigger(instance_id: str, event: str, **limits: Any) -> EventStageTrigger:
    return EventStageTrigger(
        event=event,
        formance_conn_id="formance_default",
        nonce="n1",
        instance_id=instance_id,
        workflow_id=None,
        poll_interval=0.05,
        **limits,
    )


def recovery_trigger(workflow_id: str, run_key: str, seconds: float) -> RecoveryTrigger:
    now = time.time()
    return RecoveryTrigger(
        formance_conn_id="formance_default",
        nonce="n1",
        workflow_id=workflow_id,
        run_key=run_key,
        since=now - 60,
        until=now + seconds,
        poll_interval=0.05,
    )


def event_of(trigger: Any) -> dict[str, Any]:
    return asyncio.run(one_event(trigger))


@pytest.mark.parametrize(
    "trigger", [end_trigger("i", deadline=5.0), stage_trigger("i", "go"), recovery_trigger("w", "dag/run/task@1", 1)]
)
def test_serialisation_makes_the_same_trigger_again(trigger):
    path, arguments = trigger.serialize()
    assert path == f"{type(trigger).__module__}.{type(trigger).__name__}"
    again = type(trigger)(**json.loads(json.dumps(arguments)))
    assert again.serialize() == (path, arguments)
    assert not [name for name in arguments if "secret" in name or "token" in name]


def test_end_of_a_success_and_of_a_failure_is_the_same_event(flows):
    for stages in ([delay(0.5)], [delay(0.5), FAILS]):
        instance_id = flows.run(*stages, amount="")
        assert event_of(end_trigger(instance_id)) == {
            "verdict": "ended",
            "instance_id": instance_id,
            "stage": None,
            "error": None,
            "nonce": "n1",
        }


def test_stages_are_told_once(flows, said):
    instance_id = flows.run(send(key=False), wait_event("go"))
    flows.waiting_at(instance_id, 1)
    assert event_of(end_trigger(instance_id, deadline=time.time() + 0.5))["verdict"] == "deadline"
    assert len(said.having("stage 1/2 send: done in")) == 1
    assert len(said.having("stage 2/2 wait_event 'go': waiting")) == 1


def test_deadline_in_the_past(flows):
    instance_id = flows.run(wait_event("go"))
    assert event_of(end_trigger(instance_id, deadline=time.time() - 10))["verdict"] == "deadline"


def test_dead_in_the_engine(flows):
    instance_id = flows.run(wait_event("go"))
    flows.waiting_at(instance_id, 0)
    flows.emulator.engine(instance_id, "cancel")
    event = event_of(end_trigger(instance_id))
    assert (event["verdict"], event["stage"], event["error"]) == ("dead", 0, "canceled")


def test_stuck_after_so_many_attempts(flows, said):
    instance_id = flows.run(send(source=unique("poor"), key=False))
    event = event_of(end_trigger(instance_id, fail_after_attempts=2))
    assert event["verdict"] == "stuck"
    assert "insufficient funds" in event["error"]
    assert said.having("failed: account(s) @poor", "warning")
    assert said.having("; next try ")


def test_not_found(flows):
    assert event_of(end_trigger(unique("none"), not_found_after=3))["verdict"] == "not_found"


def test_poll_failed(flows):
    instance_id = flows.run(wait_event("go"))
    flows.emulator.fault("get_instance", "status", -1, status=503)
    event = event_of(end_trigger(instance_id, poll_failure_timeout=0.3))
    assert event["verdict"] == "poll_failed"
    assert "503" in event["error"]


def test_stage_is_ready_for_an_event(flows):
    instance_id = flows.run(delay(1), wait_event("approved-${order}"), order="7")
    event = event_of(stage_trigger(instance_id, "approved-7"))
    assert (event["verdict"], event["stage"]) == ("ready", 1)


def test_no_stage_will_ever_wait_for_the_event(flows):
    instance_id = flows.run(wait_event("other"))
    flows.waiting_at(instance_id, 0)
    event = event_of(stage_trigger(instance_id, "go"))
    assert event["verdict"] == "never"
    assert "no later stage waits for it" in event["error"]


def test_instance_ends_before_the_event(flows):
    event = event_of(stage_trigger(flows.run(delay(0.5)), "go"))
    assert event["verdict"] in ("ended", "never")


@pytest.mark.parametrize(
    ("limits", "verdict"), [({"deadline": 0.0}, "deadline"), ({"not_found_after": 3}, "not_found")]
)
def test_the_wait_for_a_stage_has_the_same_limits(flows, limits, verdict):
    instance_id = unique("none") if verdict == "not_found" else flows.run(delay(100), wait_event("go"))
    assert event_of(stage_trigger(instance_id, "go", **limits))["verdict"] == verdict


def test_a_stage_that_dies_before_it_gets_its_event(flows):
    instance_id = flows.run(delay(1000), wait_event("go"))
    flows.waiting_at(instance_id, 0)
    flows.emulator.engine(instance_id, "cancel")
    event = event_of(stage_trigger(instance_id, "go"))
    assert (event["verdict"], event["stage"]) == ("dead", 0)


def test_lost_submission_is_found_by_its_key(flows):
    workflow, key = flows.workflow(send()), f"dag/run/task@{unique('')}"
    instance_id = flows.client.run_workflow(workflow.id, {"airflow_run_key": key}).id
    event = event_of(recovery_trigger(workflow.id, key, 20))
    assert event == {"found": instance_id, "run_key": key, "nonce": "n1"}


def test_lost_submission_that_never_comes(flows, said):
    workflow = flows.workflow(send())
    other = flows.client.run_workflow(workflow.id, {"airflow_run_key": "dag/run/other@1"}).id
    event = event_of(recovery_trigger(workflow.id, "dag/run/task@1", 0.3))
    assert event == {"found": None, "run_key": "dag/run/task@1", "nonce": "n1"}
    assert said.having("created since the submission bears it:", "warning")
    assert said.having(f"  {other} of ", "warning")


def test_lost_submission_is_found_though_looks_fail(flows, said):
    workflow, key = flows.workflow(send()), f"dag/run/task@{unique('')}"
    instance_id = flows.client.run_workflow(workflow.id, {"airflow_run_key": key}).id
    flows.emulator.fault("list_instances", "status", 2, status=503)
    flows.emulator.fault("get_instance_history", "status", 1, status=503)
    assert event_of(recovery_trigger(workflow.id, key, 20))["found"] == instance_id
    assert len(said.having(f"looking for run key {key} failed", "warning")) == 1
    assert said.having(f"found: instance {instance_id} bears run key {key}", "info")


@pytest.mark.parametrize("known", [True, False])
def test_a_search_whose_time_has_passed_still_looks_once(flows, known):
    workflow, key = flows.workflow(send()), f"dag/run/task@{unique('')}"
    if known:
        flows.waiting_at(flows.client.run_workflow(workflow.id, {"airflow_run_key": key}).id, 0)
    assert bool(event_of(recovery_trigger(workflow.id, key, -10))["found"]) is known
    # Where it found something, once more: whether the server cuts lists.
    assert flows.asked("list_instances") == (2 if known else 1)


@pytest.mark.parametrize(
    ("limit", "value", "verdict"), [("deadline", 0.3, "deadline"), ("poll_failure_timeout", 0.3, "poll_failed")]
)
def test_a_connection_that_is_not_there_ends_as_failed_looks_do(flows, said, limit, value, verdict):
    value += time.time() if limit == "deadline" else 0.0
    trigger = end_trigger("i", formance_conn_id=unique("nowhere"), **{limit: value})
    assert event_of(trigger)["verdict"] == verdict
    assert len(said.having("instance i cannot be read (the run is not touched by that)", "warning")) == 1


def test_one_that_is_cancelled_gives_no_event_and_leaves_nothing_behind(flows):
    events: list[Any] = []

    async def wait() -> None:
        events.extend([event async for event in end_trigger(instance_id).run()])

    async def cancel_it() -> set[asyncio.Task[Any]]:
        before = asyncio.all_tasks()
        task = asyncio.create_task(wait())
        await asyncio.to_thread(wait_for, lambda: flows.asked("get_instance"))
        task.cancel()
        _, goes_on = await asyncio.wait(asyncio.all_tasks() - before, timeout=10)
        assert task.cancelled()
        return goes_on

    instance_id = flows.run(wait_event("go"))
    assert asyncio.run(cancel_it()) == set()
    assert events == []
    wait_for(lambda: not [one for one in threading.enumerate() if one.name.startswith("formance-")])
