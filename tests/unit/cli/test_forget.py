"""`airflow formance forget`: submit again what may have been submitted."""

from __future__ import annotations

import pytest

from tests.support.flows import send, unique
from tests.unit.cli.conftest import KEY, raw_record

NAME = "/".join(KEY[:3])
OWN = f"{NAME}@0123456789abcdef"


@pytest.mark.parametrize("phase", ["unknown", "intent"])
def test_forget_writes_who_decided_and_keeps_the_key(airflow_rest, paying, decide, phase):
    old = raw_record(paying, phase=phase)
    airflow_rest.add_task(KEY, old)
    shown = decide("forget").json

    written = airflow_rest.records[KEY]
    assert written["decisions"][0].pop("when")
    earlier = [{"run_key": OWN, "state": "forgotten"}]
    decisions = [{"what": "forget", "who": "ann"}]
    assert written == {**old, "phase": "forgotten", "earlier": earlier, "decisions": decisions}
    assert airflow_rest.writes[0]["expires_at"] is None
    assert (shown["written"], shown["candidates"], shown["record"]["phase"]) == (True, [], "forgotten")
    assert shown["next"] == f"Written. Now clear {NAME}: it submits again."


def test_forget_shows_key_time_and_candidates_and_warns(airflow_rest, flows, decide):
    workflow = flows.workflow(send(unique("payee"), key=False)).id
    instance = flows.client.run_workflow(workflow).id
    flows.ended(instance)
    airflow_rest.add_task(KEY, raw_record(workflow, recoverable=False))
    refused = decide("forget", yes=False, stdin="no\n")
    assert refused.error == "error: nothing was written"
    assert f"Run key {OWN}, sent at 2023-11-14 22:13:20 UTC" in refused.err
    assert f"  {instance} of 20" in refused.err
    assert "THE MONEY MOVES TWICE" in refused.err
    assert "none of them can be ruled out" in refused.err
    assert f"Are you sure that nothing was submitted for {NAME}, and shall it submit again? [y/N]" in refused.err
    assert airflow_rest.writes == []

    candidate = decide("forget", yes=False, stdin="yes\n").json["candidates"][0]
    assert candidate.pop("created_at")
    assert candidate == {"instance_id": instance, "terminated": True, "history_read": True}


def test_refused_where_an_instance_bears_the_key(airflow_rest, flows, paying, decide):
    instance = flows.client.run_workflow(paying, {"airflow_run_key": OWN}).id
    flows.ended(instance)
    airflow_rest.add_task(KEY, raw_record(paying))
    error = decide("forget").error
    assert error.startswith(f"error: {NAME} was submitted: instance {instance} bears its run key {OWN}. Clear the task")
    assert airflow_rest.writes == []


@pytest.mark.parametrize(
    "fields, why",
    [
        ({"phase": "begun"}, "nothing of it was accepted"),
        ({"phase": "refused"}, "nothing of it was accepted"),
        ({"phase": "submitted", "instance_id": "i"}, "start a new DAG run"),
        ({"phase": "ended", "instance_id": "i", "state": "succeeded"}, "submitting again would pay twice"),
        ({"phase": "ended", "instance_id": "i", "state": "failed"}, "clear the task, and it submits anew"),
    ],
)
def test_refused_for_what_is_known(airflow_rest, flows, decide, fields, why):
    airflow_rest.add_task(KEY, raw_record("w", **fields))
    error = decide("forget").error
    assert error.startswith(f"error: {NAME} cannot be forgotten: ")
    assert why in error
    assert airflow_rest.writes == []


def test_refused_without_a_record(airflow_rest, flows, decide):
    airflow_rest.add_task(KEY)
    assert f"{NAME} has no record, so there is nothing to forget" in decide("forget").error


def test_refused_where_the_stack_cannot_be_read(airflow_rest, flows, emulator, paying, decide):
    airflow_rest.add_task(KEY, raw_record(paying))
    emulator.fault("list_instances", "status", times="always", status=503)
    assert "the instances of the stack cannot be read, so nothing can be ruled out" in decide("forget").error
    assert airflow_rest.writes == []


def test_a_deleted_workflow_hides_its_instances_and_that_is_told(airflow_rest, flows, paying, decide):
    airflow_rest.add_task(KEY, raw_record(paying))
    flows.client.delete_workflow(paying)
    assert "The workflow was deleted: Flows does not list its instances" in decide("forget").err


def test_refused_where_an_instance_bears_the_key_that_is_older_by_the_clocks(airflow_rest, flows, paying, decide):
    """What a person is told to be sure of does not hang on two clocks."""
    instance = flows.client.run_workflow(paying, {"airflow_run_key": OWN}).id
    created = flows.ended(instance).created_at.timestamp()
    airflow_rest.add_task(KEY, raw_record(paying, intent_at=created + 600.0))
    error = decide("forget").error
    assert error.startswith(f"error: {NAME} was submitted: instance {instance} bears its run key {OWN}. ")
    assert "a clear does not find it: adopt it" in error
