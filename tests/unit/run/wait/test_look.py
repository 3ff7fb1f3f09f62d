"""One look at an instance: what is read, in which order, and that a failure is part of it."""

from __future__ import annotations

import pytest

from airflow_provider_orchestration.exceptions import AuthenticationError, NotFoundError, ServerTroubleError
from airflow_provider_orchestration.run.judge.reading import whole_instance
from airflow_provider_orchestration.run.wait.watch import look_unless_refused, take_look
from tests.support.flows import delay, send, wait_event


@pytest.fixture
def waiting(flows):
    """An instance that waits for an event, after a stage that sent."""
    instance_id = flows.run(send("a"), wait_event("go"))
    flows.waiting_at(instance_id, 1)
    flows.emulator.reset_counters()
    return instance_id


def test_a_look_without_the_history_is_one_request(flows, waiting):
    look = take_look(flows.client, waiting, with_history=False)
    assert look.instance is not None
    assert look.instance.workflow is not None
    assert (look.history, look.activities, look.error, look.listed) == (None, None, None, False)
    assert flows.emulator.counters()["requests"] == {"get_instance": 1}


def test_what_waits_by_its_nature_has_no_attempts_to_be_read(flows, waiting):
    look = take_look(flows.client, waiting, with_history=True)
    assert [stage.name for stage in look.history or ()] == ["RunSend", "RunWaitEvent"]
    assert look.activities is None
    assert flows.emulator.counters()["requests"] == {"get_instance": 1, "get_instance_history": 1}


def test_a_stage_that_may_be_stuck_has_its_attempts_read(flows):
    instance_id = flows.run(send("a", source="poor"))
    flows.waiting_at(instance_id, 0)
    look = take_look(flows.client, instance_id, with_history=True)
    assert look.activities is not None
    assert [one.name for one in look.activities] == ["CreateTransaction"]


def test_a_history_that_is_not_there_tells_nothing(flows, waiting):
    flows.emulator.engine(waiting, "purge_history")
    look = take_look(flows.client, waiting, with_history=True)
    assert look.instance is not None
    assert (look.history, look.error) == (None, None)


def test_attempts_that_are_not_there_tell_nothing(flows):
    instance_id = flows.run(send("a", source="poor"))
    flows.waiting_at(instance_id, 0)
    flows.emulator.fault(
        "get_instance_stage_history", "status", status=404, body={"errorCode": "NOT_FOUND", "errorMessage": "x"}
    )
    look = take_look(flows.client, instance_id, with_history=True)
    assert look.instance is not None
    assert (look.activities, look.error) == (None, None)


@pytest.mark.parametrize("operation", ["get_instance", "get_instance_history"])
def test_a_failure_is_part_of_the_look(flows, waiting, operation):
    flows.emulator.fault(operation, "status", status=503)
    look = take_look(flows.client, waiting, with_history=True)
    assert isinstance(look.error, ServerTroubleError)
    assert look.instance is None
    assert flows.asked(operation) == 1
    assert take_look(flows.client, waiting, with_history=True).error is None


def test_it_is_tried_again_where_that_is_asked_for(flows, waiting):
    flows.emulator.fault("get_instance", "status", times=2, status=503)
    assert take_look(flows.client, waiting, with_history=False, retries=2).error is None
    assert flows.asked("get_instance") == 3


def test_an_unknown_instance(flows):
    assert isinstance(take_look(flows.client, "nobody", with_history=False).error, NotFoundError)
    assert isinstance(take_look(flows.client, "nobody", with_history=True).error, NotFoundError)


def test_a_client_that_is_refused_is_no_matter_of_one_instance(flows, waiting):
    flows.emulator.fault("get_instance", "status", times="always", status=401)
    assert isinstance(take_look(flows.client, waiting, with_history=False).error, AuthenticationError)
    with pytest.raises(AuthenticationError):
        look_unless_refused(flows.client, waiting, with_history=False)
    flows.emulator.clear_faults()
    flows.emulator.fault("get_instance", "status", status=503)
    assert isinstance(look_unless_refused(flows.client, waiting, with_history=False).error, ServerTroubleError)


def test_an_instance_without_its_definition_is_completed(flows):
    instance_id = flows.run(delay(0.1))
    answer = flows.ended(instance_id).to_dict()
    definition = answer.pop("workflow")
    flows.emulator.fault("get_instance", "status", status=200, body={"data": answer})
    flows.emulator.reset_counters()
    found = whole_instance(flows.client, instance_id)
    assert found.workflow is not None
    assert found.workflow.id == definition["id"]
    assert flows.asked("get_workflow") == 1
