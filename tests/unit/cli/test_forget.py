"""`airflow formance forget`: submit again what may have been submitted."""

from __future__ import annotations

import pytest

from tests.support.flows import send, unique
from tests.support.servers import on_next
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


def test_a_deleted_workflow_hides_its_instances_so_yes_is_not_enough(airflow_rest, flows, paying, decide):
    airflow_rest.add_task(KEY, raw_record(paying))
    flows.client.delete_workflow(paying)
    _refused_but_for_who_is_sure(airflow_rest, decide, "the workflow was deleted: Flows does not list its instances")


def test_a_history_that_cannot_be_read_is_refused_but_for_who_is_sure(airflow_rest, flows, paying, decide):
    instance = flows.client.run_workflow(paying, {"airflow_run_key": "another"}).id
    flows.ended(instance)
    airflow_rest.add_task(KEY, raw_record(paying))
    flows.emulator.fault("get_instance_history", "status", times="always", status=503)
    _refused_but_for_who_is_sure(airflow_rest, decide, f"these histories cannot be read: {instance}")


def test_a_history_that_cannot_be_read_counts_also_of_one_that_is_older_by_the_clocks(
    airflow_rest, flows, paying, decide
):
    instance = flows.client.run_workflow(paying, {"airflow_run_key": OWN}).id
    created = flows.ended(instance).created_at.timestamp()
    airflow_rest.add_task(KEY, raw_record(paying, intent_at=created + 600.0))
    flows.emulator.fault("get_instance_history", "status", times="always", status=503)
    _refused_but_for_who_is_sure(airflow_rest, decide, f"these histories cannot be read: {instance}")


@on_next
def test_a_list_that_may_be_cut_is_refused_but_for_who_is_sure(airflow_rest, flows, decide):
    """A gateway lets only the first version of the API through."""
    paying = flows.workflow(send(unique("payee"))).id
    for _ in range(100):
        flows.client.run_workflow(paying, {"airflow_run_key": "another"})
    airflow_rest.add_task(KEY, raw_record(paying))
    flows.emulator.fault("list_instances_v2", "status", times="always", status=404)
    refused = _refused_but_for_who_is_sure(airflow_rest, decide, "list_instances: the server gave 100 items or fewer")
    assert "Its instances created since: 100" in refused


@on_next
def test_what_bears_the_key_is_seen_in_a_list_that_may_be_cut(airflow_rest, flows, decide):
    paying = flows.workflow(send(unique("payee"))).id
    for number in range(100):
        flows.client.run_workflow(paying, {"airflow_run_key": OWN if number == 50 else "another"})
    airflow_rest.add_task(KEY, raw_record(paying))
    flows.emulator.fault("list_instances_v2", "status", times="always", status=404)
    assert f"{NAME} was submitted" in decide("forget", "--yes-although-not-all-was-read").error


def _refused_but_for_who_is_sure(airflow_rest, decide, why):
    refused = decide("forget")
    assert "cannot be forgotten as long as not all is read that may be its run; nothing was written" in refused.error
    assert "NOT ALL WAS READ that may be this task's run:" in refused.err
    assert why in refused.err
    assert airflow_rest.writes == []
    assert decide("forget", "--yes-although-not-all-was-read").json["written"] is True
    return refused.err


def test_refused_where_an_instance_bears_the_key_that_is_older_by_the_clocks(airflow_rest, flows, paying, decide):
    """What a person is told to be sure of does not hang on two clocks."""
    instance = flows.client.run_workflow(paying, {"airflow_run_key": OWN}).id
    created = flows.ended(instance).created_at.timestamp()
    airflow_rest.add_task(KEY, raw_record(paying, intent_at=created + 600.0))
    error = decide("forget").error
    assert error.startswith(f"error: {NAME} was submitted: instance {instance} bears its run key {OWN}. ")
    assert "a clear does not find it: adopt it" in error
