"""`airflow formance adopt`: that instance is this task's run."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_orchestration.emulator.testing import wait_for
from airflow_provider_orchestration.run.record import RunRecord
from airflow_provider_orchestration.run.store import as_json, record_from
from tests.support.flows import FAILS, send, unique, wait_event
from tests.unit.cli.conftest import KEY, raw_record

OWN = "/".join(KEY[:3]) + "@0123456789abcdef"
EARLIER = "/".join(KEY[:3]) + "@00000000000000ee"


@pytest.fixture
def plain(flows) -> str:
    """A workflow that cannot be recovered: it waits for an event, and bears no key."""
    return str(flows.workflow(wait_event(unique("go"))).id)


def test_adopt_writes_who_decided_and_when(airflow_rest, flows, plain, decide):
    instance = flows.client.run_workflow(plain).id
    wait_for(lambda: flows.client.get_instance_history(instance))
    old = raw_record(plain, deadline=4_000_000_000.0)
    airflow_rest.add_task(KEY, old)
    ended = decide("adopt", "--instance-id", instance)

    written = airflow_rest.records[KEY]
    assert record_from(written, RunRecord).instance_id == instance
    when = datetime.fromisoformat(written["decisions"][0].pop("when"))
    assert abs(datetime.now(UTC) - when) < timedelta(seconds=60)
    decision = {"what": "adopt", "who": "ann", "instance_id": instance}
    assert written == {**old, "phase": "submitted", "instance_id": instance, "decisions": [decision]}
    assert airflow_rest.writes[0]["expires_at"] is None

    shown = ended.json
    written["decisions"][0]["when"] = shown["record"]["decisions"][0]["when"]
    assert shown == {
        "command": "adopt",
        "dag_id": KEY[0],
        "run_id": KEY[1],
        "task_id": KEY[2],
        "map_index": -1,
        "written": True,
        "record": written,
        "instance": {"instance_id": instance, "state": "running", "run_key": None},
        "next": f"Written. Now clear {'/'.join(KEY[:3])}: it takes the instance over.",
    }
    assert "It bears no run key: nothing but your word says whose it is." in ended.err
    assert f"instance_id: None -> {instance}" in ended.err


def test_adopt_by_its_key(airflow_rest, flows, paying, decide):
    instance = flows.client.run_workflow(paying, {"airflow_run_key": OWN}).id
    flows.ended(instance)
    airflow_rest.add_task(KEY, raw_record(paying))
    ended = decide("adopt", "--instance-id", instance)
    assert ended.json["instance"] == {"instance_id": instance, "state": "succeeded", "run_key": OWN}
    assert f"It bears run key {OWN}, of this task." in ended.err


def test_adopt_of_a_submission_before_keeps_the_lost_key(airflow_rest, flows, paying, decide):
    instance = flows.client.run_workflow(paying, {"airflow_run_key": EARLIER}).id
    flows.ended(instance)
    airflow_rest.add_task(KEY, raw_record(paying))
    record = decide("adopt", "--instance-id", instance).json["record"]
    assert record["run_key"] == EARLIER
    assert record["earlier"] == [{"run_key": OWN, "state": "unknown"}]


def test_adopt_by_a_person_who_is_asked(airflow_rest, flows, plain, decide):
    instance = flows.client.run_workflow(plain).id
    airflow_rest.add_task(KEY, raw_record(plain))
    for answer in ("n\n", "", "\n"):
        refused = decide("adopt", "--instance-id", instance, yes=False, stdin=answer)
        assert refused.error == "error: nothing was written"
        assert f"Is instance {instance} the run of {'/'.join(KEY[:3])}? [y/N]" in refused.err
    assert airflow_rest.writes == []
    assert decide("adopt", "--instance-id", instance, yes=False, stdin="y\n").json["written"] is True


def test_adopt_of_a_mapped_task(airflow_rest, flows, plain, decide):
    instance = flows.client.run_workflow(plain).id
    mapped = (*KEY[:3], 3)
    airflow_rest.add_task(mapped, raw_record(plain))
    airflow_rest.add_task((*KEY[:3], 4), raw_record(plain))
    assert decide("adopt", "--instance-id", instance, key=mapped).json["map_index"] == 3
    assert airflow_rest.records[mapped]["instance_id"] == instance
    assert "instance_id" not in airflow_rest.records[*KEY[:3], 4]


def test_adopt_for_people(airflow_rest, flows, plain, formance):
    instance = flows.client.run_workflow(plain).id
    airflow_rest.add_task(KEY, raw_record(plain))
    ended = formance("adopt", *KEY[:3], "--instance-id", instance, "--yes")
    assert ended.out == f"Written. Now clear {'/'.join(KEY[:3])}: it takes the instance over.\n"


@pytest.mark.parametrize(
    "state", ["running", "deferred", "queued", "up_for_retry", "up_for_reschedule", "restarting", "scheduled", None]
)
@pytest.mark.parametrize("what", [["adopt", "--instance-id", "i"], ["forget"]], ids=lambda what: what[0])
def test_refused_while_the_task_is_unfinished(airflow_rest, decide, state, what):
    airflow_rest.add_task(KEY, raw_record("w"), state=state)
    ended = decide(*what)
    assert f"is {state or 'not scheduled yet'}: only a task that has ended can be decided about" in ended.error
    assert airflow_rest.writes == []


@pytest.mark.parametrize("state", ["failed", "success", "skipped", "upstream_failed", "removed"])
def test_allowed_once_it_has_ended(airflow_rest, flows, plain, decide, state):
    airflow_rest.add_task(KEY, raw_record(plain), state=state)
    assert decide("adopt", "--instance-id", flows.client.run_workflow(plain).id).json["written"] is True


def test_refused_without_such_an_instance(airflow_rest, flows, plain, decide):
    airflow_rest.add_task(KEY, raw_record(plain))
    assert "the stack has no instance 00000000-0000" in str(
        decide("adopt", "--instance-id", "00000000-0000-0000-0000-000000000000").error
    )
    assert airflow_rest.writes == []


def test_refused_for_an_instance_of_another_workflow(airflow_rest, flows, plain, decide):
    instance = flows.client.run_workflow(flows.workflow(wait_event("e")).id).id
    airflow_rest.add_task(KEY, raw_record(plain))
    error = decide("adopt", "--instance-id", instance).error
    assert error.startswith(f"error: instance {instance} cannot be adopted: it is of workflow ")
    assert error.endswith(f"this task submitted workflow {plain}. Nothing was written.")


@pytest.mark.parametrize("recorded", [True, False])
def test_refused_for_the_run_of_another_task_by_its_key(airflow_rest, flows, paying, decide, recorded):
    other = "/".join([*KEY[:2], "other"]) + "@0123456789abcdef"
    airflow_rest.add_task((*KEY[:2], "other", -1))
    instance = flows.client.run_workflow(paying, {"airflow_run_key": other}).id
    flows.ended(instance)
    airflow_rest.add_task(KEY, raw_record(paying) if recorded else None)
    assert (
        f"it bears run key '{other}', so it is the run of another task"
        in decide("adopt", "--instance-id", instance).error
    )
    assert airflow_rest.writes == []


@pytest.mark.parametrize("where", [{"instance_id": "X"}, {"earlier": [{"run_key": "k", "instance_id": "X"}]}])
def test_refused_where_another_record_names_it(airflow_rest, flows, plain, decide, where):
    instance = flows.client.run_workflow(plain).id
    airflow_rest.add_task(KEY, raw_record(plain), operator="PayoutOperator")
    for number in range(3):
        airflow_rest.add_task(("dag", "r", "none", number))
    theirs = {**raw_record(plain, phase="submitted"), **where}
    theirs = json.loads(json.dumps(theirs).replace('"X"', f'"{instance}"'))
    airflow_rest.add_task(("other", "r", "pay", 7), theirs)
    error = decide("adopt", "--instance-id", instance).error
    assert error == f"error: instance {instance} is the run of other/r/pay[7]: its record says so"
    assert airflow_rest.writes == []
    assert set(airflow_rest.queries[0]["operator"]) == {"PayoutOperator", "RunWorkflowOperator"}
    assert airflow_rest.queries[0]["updated_at_gte"]


def test_refused_where_another_record_cannot_be_read(airflow_rest, flows, plain, decide):
    airflow_rest.add_task(KEY, raw_record(plain))
    airflow_rest.add_task(("other", "r", "pay", -1), {"version": 99})
    instance = flows.client.run_workflow(plain).id
    error = decide("adopt", "--instance-id", instance).error
    assert error.startswith(f"error: whether other/r/pay has instance {instance} cannot be told: the record of")
    assert "of version 99" in error
    assert airflow_rest.writes == []


def test_refused_beside_a_run_of_its_own_that_goes_on(airflow_rest, flows, plain, decide):
    own, other = (flows.client.run_workflow(plain).id for _ in range(2))
    airflow_rest.add_task(KEY, raw_record(plain, phase="submitted", instance_id=own))
    error = decide("adopt", "--instance-id", other).error
    assert f"this task has a run of its own, instance {own}, running; only one that has failed" in error
    assert airflow_rest.writes == []


def test_in_place_of_a_run_of_its_own_that_has_failed(airflow_rest, flows, decide):
    workflow = flows.workflow(FAILS).id
    own = flows.client.run_workflow(workflow, {"amount": "nonsense"}).id
    flows.ended(own)
    other = flows.client.run_workflow(workflow, {"amount": "100"}).id
    airflow_rest.add_task(KEY, raw_record(workflow, phase="submitted", instance_id=own))
    record = decide("adopt", "--instance-id", other).json["record"]
    assert record["instance_id"] == other
    assert record["earlier"] == [{"run_key": OWN, "instance_id": own}]


def test_of_its_own_instance_there_is_nothing_to_write(airflow_rest, flows, plain, decide):
    own = flows.client.run_workflow(plain).id
    airflow_rest.add_task(KEY, raw_record(plain, phase="submitted", instance_id=own))
    ended = decide("adopt", "--instance-id", own)
    assert ended.json["written"] is False
    assert airflow_rest.writes == []


@pytest.mark.parametrize("begun", [False, True], ids=["no record", "only begun"])
def test_without_a_submission_on_record_one_is_made(airflow_rest, flows, plain, decide, begun):
    instance = flows.client.get_instance(flows.client.run_workflow(plain).id)
    airflow_rest.add_task(
        KEY, as_json(RunRecord.begun("/".join(KEY[:3]) + "@", {}, generation=4)) if begun else None, max_tries=4
    )
    record = decide("adopt", "--instance-id", instance.id).json["record"]
    assert record.pop("decisions")
    assert record == {
        "run_key": "/".join(KEY[:3]) + "@adopted",
        "workflow_id": plain,
        "digest": {},
        "generation": 4,
        "phase": "submitted",
        "intent_at": instance.created_at.timestamp(),
        "instance_id": instance.id,
    }


def test_without_a_record_a_key_with_a_name_of_its_own_is_the_tasks(airflow_rest, flows, paying, decide):
    key = "/".join(KEY[:3]) + ":INV-1@0123456789abcdef.0123456789abcdef"
    instance = flows.client.run_workflow(paying, {"airflow_run_key": key}).id
    flows.ended(instance)
    airflow_rest.add_task(KEY)
    assert decide("adopt", "--instance-id", instance).json["record"]["run_key"] == key


def test_the_outlook_for_one_that_has_failed(airflow_rest, flows, decide):
    workflow = flows.workflow(send(amount="${amount}"))
    instance = flows.client.run_workflow(workflow.id, {"amount": "nonsense"}).id
    flows.ended(instance)
    airflow_rest.add_task(KEY, raw_record(workflow.id))
    assert "The instance has failed, so the task will, too" in decide("adopt", "--instance-id", instance).json["next"]


def test_the_outlook_for_one_whose_deadline_has_passed(airflow_rest, flows, plain, decide):
    airflow_rest.add_task(KEY, raw_record(plain, deadline=1_700_000_100.0))
    told = decide("adopt", "--instance-id", flows.client.run_workflow(plain).id).json["next"]
    assert "clear the task when the instance has ended" in told


def test_a_history_that_is_forgotten_proves_nothing(airflow_rest, flows, paying, emulator, decide):
    instance = flows.client.run_workflow(paying, {"airflow_run_key": OWN}).id
    flows.ended(instance)
    emulator.engine(instance, "purge_history")
    airflow_rest.add_task(KEY, raw_record(paying))
    ended = decide("adopt", "--instance-id", instance)
    assert ended.json["instance"]["run_key"] is None
    assert "Its history cannot be read (any more)" in ended.err


@pytest.mark.parametrize("change", ["state", "record"])
def test_nothing_is_written_where_something_changed_after_it_was_shown(airflow_rest, flows, plain, decide, change):
    airflow_rest.add_task(KEY, raw_record(plain))
    reads = iter(range(9))

    def read() -> None:
        if next(reads) == 0:
            return
        if change == "record":
            airflow_rest.records[KEY] = raw_record(plain, phase="submitted", instance_id="i9")
        else:
            airflow_rest.tasks[KEY]["id"] = "2"

    airflow_rest.on_task_read = read
    error = decide("adopt", "--instance-id", flows.client.run_workflow(plain).id).error
    assert error == f"error: {'/'.join(KEY[:3])} has changed in the meantime, nothing was written: look again"
    assert airflow_rest.writes == []


def test_a_clear_during_the_write_is_told(airflow_rest, flows, plain, decide):
    airflow_rest.add_task(KEY, raw_record(plain))

    def read() -> None:
        if airflow_rest.writes:
            airflow_rest.tasks[KEY]["state"] = "queued"

    airflow_rest.on_task_read = read
    ended = decide("adopt", "--instance-id", flows.client.run_workflow(plain).id)
    assert (
        "WARNING: dag/manual__2026-11-23T18:00:00+00:00/pay was cleared or changed while this was written" in ended.err
    )
